//! What must become of the events: a small world of people, written from SPEC sections 3 and 4 for the few fields that
//! the generator uses. It is told the events in the order in which they happened and shares no code with Rollcall.

use std::collections::BTreeMap;

/// Microseconds since 1970.
pub(super) type Micros = i64;

/// What a user key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Active(usize),
    Alias(usize),
    Tombstone,
}

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Applied,
    /// Applied, with the reason why its main effect did not happen.
    Noted(&'static str),
    Ignored(&'static str),
    /// In the ledger, and a dead letter.
    Rejected(&'static str),
    /// A dead letter, and not in the ledger.
    Dead(&'static str),
    /// Of the event with this number there are two contents, and this is the other one: whichever is stored first wins,
    /// the other is a dead letter.
    Twin(u32),
    /// Of a type that nobody knows.
    Unknown,
}

/// A membership.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Membership {
    pub(super) name: Option<String>,
    pub(super) first: Micros,
    pub(super) last: Micros,
}

/// One person with what the tables must say of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Person {
    pub(super) key: String,
    pub(super) is_real: bool,
    pub(super) email: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) active: Option<bool>,
    /// Status of the profile `client`, which everybody has, and when it was made.
    pub(super) client: &'static str,
    pub(super) client_since: Micros,
    pub(super) organization: Option<String>,
    /// Since when there is a profile `player`, which the first activation makes.
    pub(super) player_since: Option<Micros>,
    pub(super) memberships: BTreeMap<String, Membership>,
    pub(super) version: u64,
    pub(super) updated: Micros,
}

/// What an event says of a user; None says nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    pub(super) email: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) phone: Said,
    pub(super) active: Option<bool>,
}

/// What an event says of a field that it may clear.
#[derive(Debug, Clone, Default)]
pub(super) enum Said {
    #[default]
    Nothing,
    Cleared,
    Value(String),
}

/// One kind of event with what the world has to know of it.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Created(Words),
    Updated(Words),
    Renamed(String),
    Deleted,
    Joined(String, Option<String>),
    Left(String),
    Activated,
    Archived,
    Reactivated,
}

/// The people of one story and the keys they had.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) people: BTreeMap<usize, Person>,
    pub(super) keys: BTreeMap<String, Holder>,
    /// Its times are the broker's.
    pub(super) is_timeless: bool,
    begun: usize,
}

/// Found by a key.
enum Place {
    Here(usize),
    Elsewhere(usize),
    Buried,
    Nowhere,
}

impl World {
    /// The next event; they come in the order in which they happened.
    pub(super) fn apply(&mut self, key: &str, deed: &Deed, time: Micros) -> Fate {
        let place = match self.keys.get(key) {
            Some(Holder::Active(person)) => Place::Here(*person),
            Some(Holder::Alias(person)) => Place::Elsewhere(*person),
            Some(Holder::Tombstone) => Place::Buried,
            None => Place::Nowhere,
        };
        match (deed, place) {
            (Deed::Created(words), place) => self.created(key, words, &place, time),
            (Deed::Deleted, Place::Buried) => Fate::Ignored("already_deleted"),
            (_, Place::Buried) => Fate::Ignored("after_deletion"),
            (Deed::Deleted, Place::Nowhere) => {
                self.keys.insert(key.to_owned(), Holder::Tombstone);
                Fate::Applied
            }
            (Deed::Deleted, Place::Here(person) | Place::Elsewhere(person)) => self.deleted(person),
            (Deed::Left(_), Place::Nowhere) => Fate::Ignored("not_a_member"),
            (Deed::Renamed(new), Place::Nowhere) => self.renamed_from_nowhere(key, new, time),
            (Deed::Renamed(new), Place::Here(person) | Place::Elsewhere(person)) => {
                self.renamed(person, key, new, time)
            }
            (deed, Place::Nowhere) => {
                let person = self.begin(key, time, false);
                self.news(person, deed, time, true)
            }
            (deed, Place::Here(person) | Place::Elsewhere(person)) => self.news(person, deed, time, false),
        }
    }

    /// Whoever is known by this key now.
    pub(super) fn person(&self, key: &str) -> Option<&Person> {
        match self.keys.get(key)? {
            Holder::Active(person) | Holder::Alias(person) => self.people.get(person),
            Holder::Tombstone => None,
        }
    }

    fn at(&mut self, person: usize) -> &mut Person {
        self.people
            .get_mut(&person)
            .expect("keys point at people who are there")
    }

    fn begin(&mut self, key: &str, time: Micros, is_real: bool) -> usize {
        let person = self.begun;
        self.begun += 1;
        self.keys.insert(key.to_owned(), Holder::Active(person));
        let new = Person {
            key: key.to_owned(),
            is_real,
            email: None,
            full_name: None,
            phone: None,
            active: None,
            client: "draft",
            client_since: time,
            organization: None,
            player_since: None,
            memberships: BTreeMap::new(),
            version: 0,
            updated: time,
        };
        self.people.insert(person, new);
        person
    }

    fn applied(&mut self, person: usize, time: Micros) -> Fate {
        let person = self.at(person);
        person.version += 1;
        person.updated = time;
        Fate::Applied
    }

    fn created(&mut self, key: &str, words: &Words, place: &Place, time: Micros) -> Fate {
        let person = match place {
            Place::Here(person) => *person,
            Place::Elsewhere(person) if !self.at(*person).is_real => *person,
            // A real person who left this key keeps what they have; somebody new begins here.
            Place::Elsewhere(_) | Place::Buried | Place::Nowhere => self.begin(key, time, true),
        };
        let known = self.at(person);
        known.is_real = true;
        known.patch(words);
        self.applied(person, time)
    }

    fn deleted(&mut self, person: usize) -> Fate {
        self.people.remove(&person);
        for holder in self.keys.values_mut() {
            if matches!(holder, Holder::Active(other) | Holder::Alias(other) if *other == person) {
                *holder = Holder::Tombstone;
            }
        }
        Fate::Applied
    }

    /// Everything that needs a person and moves no key; `begun` with the person that it needed.
    fn news(&mut self, person: usize, deed: &Deed, time: Micros, begun: bool) -> Fate {
        let known = self.at(person);
        let mut fate = Fate::Applied;
        match deed {
            Deed::Updated(words) => known.patch(words),
            Deed::Joined(organization, name) => known.join(organization, name.as_deref(), time),
            Deed::Left(organization) => {
                if !known.leave(organization) {
                    return Fate::Ignored("not_a_member");
                }
            }
            Deed::Activated | Deed::Archived | Deed::Reactivated => {
                let (from, to) = match deed {
                    Deed::Activated => ("draft", "active"),
                    Deed::Archived => ("active", "archived"),
                    _ => ("archived", "active"),
                };
                if known.client == from {
                    known.client = to;
                    if from == "draft" {
                        known.player_since = known.player_since.or(Some(time));
                    }
                } else if begun {
                    fate = Fate::Noted("illegal_transition");
                } else {
                    return Fate::Ignored("illegal_transition");
                }
            }
            Deed::Created(_) | Deed::Renamed(_) | Deed::Deleted => unreachable!("they have rules of their own"),
        }
        self.applied(person, time);
        fate
    }

    fn renamed_from_nowhere(&mut self, key: &str, new: &str, time: Micros) -> Fate {
        if key == new {
            let person = self.begin(key, time, false);
            return self.applied(person, time);
        }
        if let Some(Holder::Active(person)) = self.keys.get(new).copied() {
            self.keys.insert(key.to_owned(), Holder::Alias(person));
            self.applied(person, time);
            return Fate::Noted("already_renamed");
        }
        let person = self.begin(new, time, false);
        self.keys.insert(key.to_owned(), Holder::Alias(person));
        self.applied(person, time)
    }

    fn renamed(&mut self, person: usize, said: &str, new: &str, time: Micros) -> Fate {
        let old = self.at(person).key.clone();
        if new == said || new == old {
            return self.applied(person, time);
        }
        let Some(Holder::Active(other)) = self.keys.get(new).copied() else {
            self.keys.insert(old, Holder::Alias(person));
            self.keys.insert(new.to_owned(), Holder::Active(person));
            new.clone_into(&mut self.at(person).key);
            return self.applied(person, time);
        };
        let (survivor, gone) = match (self.at(person).is_real, self.at(other).is_real) {
            (true, true) => return Fate::Rejected("key_taken"),
            (false, true) => (other, person),
            _ => (person, other),
        };
        let gone_person = self.people.remove(&gone).expect("it is there");
        for holder in self.keys.values_mut() {
            if matches!(holder, Holder::Active(who) | Holder::Alias(who) if *who == gone || *who == survivor) {
                *holder = Holder::Alias(survivor);
            }
        }
        self.keys.insert(old, Holder::Alias(survivor));
        self.keys.insert(new.to_owned(), Holder::Active(survivor));
        let kept = self.at(survivor);
        new.clone_into(&mut kept.key);
        kept.absorb(gone_person);
        self.applied(survivor, time)
    }
}

impl Person {
    fn patch(&mut self, words: &Words) {
        let Words {
            email,
            full_name,
            phone,
            active,
        } = words.clone();
        self.email = email.or(self.email.take());
        self.full_name = full_name.or(self.full_name.take());
        match phone {
            Said::Nothing => {}
            Said::Cleared => self.phone = None,
            Said::Value(value) => self.phone = Some(value),
        }
        self.active = active.or(self.active);
    }

    fn join(&mut self, organization: &str, name: Option<&str>, time: Micros) {
        self.organization = Some(organization.to_owned());
        let membership = self.memberships.entry(organization.to_owned()).or_insert(Membership {
            name: None,
            first: time,
            last: time,
        });
        membership.last = time;
        membership.name = name.map(str::to_owned).or(membership.name.take());
    }

    fn leave(&mut self, organization: &str) -> bool {
        if self.memberships.remove(organization).is_none() {
            return false;
        }
        if self.organization.as_deref() == Some(organization) {
            let latest = self.memberships.iter().max_by_key(|(_, membership)| membership.last);
            self.organization = latest.map(|(name, _)| name.clone());
        }
        true
    }

    /// Takes in another person: their values fill gaps only, of two memberships the later join counts.
    fn absorb(&mut self, gone: Self) {
        self.email = self.email.take().or(gone.email);
        self.full_name = self.full_name.take().or(gone.full_name);
        self.phone = self.phone.take().or(gone.phone);
        self.active = self.active.or(gone.active);
        self.organization = self.organization.take().or(gone.organization);
        self.player_since = self.player_since.or(gone.player_since);
        self.version += gone.version;
        for (organization, theirs) in gone.memberships {
            let Some(mine) = self.memberships.get_mut(&organization) else {
                self.memberships.insert(organization, theirs);
                continue;
            };
            let (later, earlier) = if theirs.last > mine.last {
                (theirs, mine.clone())
            } else {
                (mine.clone(), theirs)
            };
            *mine = Membership {
                name: later.name.or(earlier.name),
                ..later
            };
        }
    }

    /// The first that is known of the names.
    pub(super) fn display_name(&self) -> &str {
        let name = self.full_name.as_deref().or(self.email.as_deref());
        name.unwrap_or(&self.key)
    }

    /// Whether a profile of this status is in use.
    pub(super) fn is_active(&self, status: &str) -> bool {
        self.active != Some(false) && status != "archived"
    }
}
