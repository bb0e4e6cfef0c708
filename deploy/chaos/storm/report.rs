//! What a run has to say, for a person and for a script.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Order;
use super::check::Findings;
use super::plan::{Database, Kind};

/// COMMITs that have to be cut, or the run proves nothing about them.
const CUTS: usize = 3;

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) order: Order,
    /// Messages in the stream: events, and copies of them.
    pub(crate) messages: usize,
    pub(crate) deliveries: u64,
    pub(crate) faults: BTreeMap<Kind, usize>,
    pub(crate) commits_cut: usize,
    pub(crate) commits_cut_committed: usize,
    pub(crate) findings: Findings,
    /// Workers that ended without having been killed, or badly when they were stopped.
    pub(crate) ended: usize,
    /// Something was left to be done, and nothing moved any more.
    pub(crate) is_stuck: bool,
    pub(crate) audit: Value,
    pub(crate) storm_seconds: f64,
    pub(crate) seconds: f64,
}

impl Report {
    /// Why the run proves less than it should; empty if it does not.
    pub(crate) fn void(&self) -> Vec<String> {
        let database = self.order.database;
        let missing = Kind::ALL
            .iter()
            .filter(|kind| kind.exists_on(database) && !self.faults.contains_key(kind));
        let mut void: Vec<String> = missing.map(|kind| format!("no fault {}", kind.name())).collect();
        if database == Database::Sqlite {
            return void;
        }
        let (cut, committed) = (self.commits_cut, self.commits_cut_committed);
        if cut < CUTS {
            void.push(format!("{cut} COMMITs were cut, {CUTS} have to be"));
        }
        if committed == 0 || committed == cut {
            void.push(format!(
                "{committed} of {cut} cut COMMITs had committed: one has to, and one must not have"
            ));
        }
        void
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.findings.is_clean() && !self.is_stuck && self.ended == 0 && self.void().is_empty()
    }

    /// Kinds of fault that this database does not know.
    fn left_out(&self) -> Vec<&'static str> {
        let left_out = Kind::ALL.iter().filter(|kind| !kind.exists_on(self.order.database));
        left_out.map(|kind| kind.name()).collect()
    }

    fn total(&self) -> usize {
        self.faults.values().sum()
    }

    /// One JSON object.
    pub(crate) fn object(&self) -> Value {
        let faults: BTreeMap<&str, usize> = self.faults.iter().map(|(kind, count)| (kind.name(), *count)).collect();
        json!({
            "ok": self.is_ok(),
            "void": self.void(),
            "seed": self.order.seed,
            "store": self.order.database.name(),
            "sabotage": self.order.sabotage,
            "events": self.order.events,
            "messages": self.messages,
            "deliveries": self.deliveries,
            "faults": self.total(),
            "faults_by_kind": faults,
            "left_out": self.left_out(),
            "commits_cut": self.commits_cut,
            "commits_cut_committed": self.commits_cut_committed,
            "lost": self.findings.lost,
            "doubled": self.findings.doubled,
            "misplaced": self.findings.misplaced,
            "findings": self.findings.told,
            "stuck": self.is_stuck,
            "workers_ended": self.ended,
            "audit": self.audit,
            "storm_seconds": rounded(self.storm_seconds),
            "seconds": rounded(self.seconds),
        })
    }

    /// A page for a person.
    pub(crate) fn page(&self) -> String {
        let mut page = format!(
            "\n  {} events and {} faults, seed {}, on {}\n\n",
            self.order.events,
            self.total(),
            self.order.seed,
            self.order.database.name()
        );
        for (kind, count) in &self.faults {
            let _ = writeln!(page, "  {:<20}{count:>6}", kind.name());
        }
        if !self.left_out().is_empty() {
            let _ = writeln!(page, "  left out here: {}", self.left_out().join(", "));
        }
        let _ = writeln!(
            page,
            "\n  commits cut         {:>6}  of which {} had committed\n  messages            {:>6}  delivered {} times\n",
            self.commits_cut, self.commits_cut_committed, self.messages, self.deliveries
        );
        for (name, count) in [
            ("lost", self.findings.lost),
            ("doubled", self.findings.doubled),
            ("misplaced", self.findings.misplaced),
        ] {
            let _ = writeln!(page, "  {name:<20}{count:>6}");
        }
        for told in &self.findings.told {
            let _ = writeln!(page, "    {told}");
        }
        if self.is_stuck {
            page.push_str("\n  STUCK: something was left to be done, and nothing moved any more\n");
        }
        if self.ended > 0 {
            let _ = writeln!(page, "\n  {} workers ended otherwise than by our hand", self.ended);
        }
        for void in self.void() {
            let _ = writeln!(page, "\n  VOID: {void}");
        }
        let verdict = if self.is_ok() {
            "nothing lost, nothing twice, everything in its place"
        } else {
            "FAILED"
        };
        let _ = writeln!(
            page,
            "\n  {verdict}: {:.0} s of storm, {:.0} s in all\n",
            self.storm_seconds, self.seconds
        );
        page
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a run in which everything happened that has to.
    fn report(database: Database) -> Report {
        Report {
            order: Order {
                events: 20_000,
                faults: 30,
                seed: 1,
                database,
                sabotage: None,
                rollcall: "rollcall".into(),
                postgres: None,
                folder: "folder".into(),
            },
            messages: 20_000,
            deliveries: 20_000,
            faults: Kind::ALL
                .iter()
                .filter(|kind| kind.exists_on(database))
                .map(|kind| (*kind, 1))
                .collect(),
            commits_cut: CUTS,
            commits_cut_committed: 1,
            findings: Findings::default(),
            ended: 0,
            is_stuck: false,
            audit: Value::Null,
            storm_seconds: 1.0,
            seconds: 1.0,
        }
    }

    #[test]
    fn a_run_that_proves_too_little_is_void() {
        for database in [Database::Postgres, Database::Sqlite] {
            assert!(report(database).is_ok());
            for kind in Kind::ALL.iter().filter(|kind| kind.exists_on(database)) {
                let mut without = report(database);
                without.faults.remove(kind);
                assert_eq!(without.void(), [format!("no fault {}", kind.name())]);
                assert!(!without.is_ok());
            }
        }
        for (cut, committed, is_void) in [(2, 1, true), (3, 0, true), (3, 3, true), (3, 1, false), (3, 2, false)] {
            let mut cuts = report(Database::Postgres);
            (cuts.commits_cut, cuts.commits_cut_committed) = (cut, committed);
            assert_eq!(
                (!cuts.void().is_empty(), !cuts.is_ok()),
                (is_void, is_void),
                "{committed} of {cut}"
            );
        }
    }
}
