//! Which faults come in which order: chance by seed, and none of the kinds left out.

use super::rng::Rng;

/// The two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Postgres,
    Sqlite,
}

impl Database {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

macro_rules! kinds {
    ($($kind:ident $name:literal $weight:literal $on:ident,)+) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind {
            $($kind,)+
        }

        impl Kind {
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)+];

            /// As reports call it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// How many of a deck are of this kind.
            fn weight(self) -> usize {
                match self { $(Self::$kind => $weight,)+ }
            }

            pub(crate) fn exists_on(self, database: Database) -> bool {
                match self { $(Self::$kind => On::$on.includes(database),)+ }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Both,
    Postgres,
    Sqlite,
}

impl On {
    fn includes(self, database: Database) -> bool {
        match self {
            Self::Both => true,
            Self::Postgres => database == Database::Postgres,
            Self::Sqlite => database == Database::Sqlite,
        }
    }
}

// The weights are those of FAULTS for a thousand faults: 300 deaths of workers, 200 of the broker, 200 of the database,
// 200 cuts and freezes, 100 storms.
kinds! {
    WorkerKill "worker_kill" 12 Both,
    WorkerFreeze "worker_freeze" 2 Both,
    BrokerKill "broker_kill" 8 Both,
    BrokerFreeze "broker_freeze" 1 Both,
    BrokerCut "broker_cut" 2 Both,
    PostmasterKill "postmaster_kill" 4 Postgres,
    BackendKill "backend_kill" 4 Postgres,
    DatabaseFreeze "database_freeze" 1 Postgres,
    DatabaseCut "database_cut" 1 Postgres,
    CommitLost "commit_lost" 1 Postgres,
    CommitUnanswered "commit_unanswered" 1 Postgres,
    DatabaseLocked "database_locked" 3 Sqlite,
    DuplicateStorm "duplicate_storm" 2 Both,
    ReorderStorm "reorder_storm" 2 Both,
}

/// A cut COMMIT or two more than the least, because one that nobody sends cannot be cut.
const OPENING_AGAIN: [Kind; 4] = [
    Kind::CommitLost,
    Kind::CommitUnanswered,
    Kind::WorkerKill,
    Kind::WorkerKill,
];

/// So many faults for this database: first every kind that it knows, then whatever the deck has.
pub(crate) fn plan(rng: &mut Rng, faults: usize, database: Database) -> Vec<Kind> {
    let known: Vec<Kind> = Kind::ALL
        .iter()
        .copied()
        .filter(|kind| kind.exists_on(database))
        .collect();
    let again = OPENING_AGAIN.into_iter().filter(|kind| kind.exists_on(database));
    let mut plan: Vec<Kind> = known.iter().copied().chain(again).collect();
    shuffle(rng, &mut plan);
    while plan.len() < faults {
        let mut deck: Vec<Kind> = known
            .iter()
            .flat_map(|kind| std::iter::repeat_n(*kind, kind.weight()))
            .collect();
        shuffle(rng, &mut deck);
        plan.extend(deck);
    }
    plan.truncate(faults);
    plan
}

/// Every order is as likely as any other.
pub(super) fn shuffle<T>(rng: &mut Rng, all: &mut [T]) {
    for last in (1..all.len()).rev() {
        all.swap(last, rng.below(last + 1));
    }
}
