//! The year itself: ordinary days, with scenes in between, each told to the book in the order in which it happened.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::ada;
use super::book::{Book, Entry, PersonId};
use super::event::{Event, Source};
use super::names::{FIRST, LAST, MARRIED, ORGANIZATIONS, plain};
use super::person::object;
use super::rng::Rng;
use super::scenes;

/// Something that happens in the year.
pub(crate) type Scene = fn(&mut Year);

const BEGIN: OffsetDateTime = datetime!(2025-01-01 00:00 UTC);
/// Whom the company already knew when it installed Rollcall: a backfill tells of them.
const BACKFILLED: usize = 60;
const PEOPLE: usize = 300;
const EVENTS: usize = 1_400;

/// An event and what it came to.
#[derive(Debug, Clone)]
pub(crate) struct Happening {
    pub(crate) event: Event,
    pub(crate) entry: Entry,
}

pub(crate) struct Year {
    pub(crate) rng: Rng,
    pub(crate) book: Book,
    pub(crate) happenings: Vec<Happening>,
    /// A creation, an update and a rename that arrive in the opposite order.
    pub(crate) backwards: Option<[usize; 3]>,
    now: OffsetDateTime,
    names: Vec<(&'static str, &'static str)>,
    /// Who has a part in a scene and is left alone on ordinary days.
    actors: BTreeSet<String>,
}

impl Year {
    /// Lives through the year of this seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut year = Self {
            rng: Rng::new(seed),
            book: Book::default(),
            happenings: Vec::new(),
            backwards: None,
            now: BEGIN,
            names: Vec::new(),
            actors: BTreeSet::from(["Administrator".to_owned()]),
        };
        year.print_directory();
        year.backfill();
        let mut agenda = year.agenda();
        while year.happenings.len() < EVENTS || !agenda.is_empty() {
            match agenda.first_entry().filter(|next| *next.key() <= year.happenings.len()) {
                Some(next) => next.remove().into_iter().for_each(|scene| scene(&mut year)),
                None => year.ordinary_day(),
            }
        }
        year.walk_ins();
        year
    }

    /// All names in a random order; whoever comes new takes the next one.
    fn print_directory(&mut self) {
        let mut names: Vec<_> = FIRST
            .iter()
            .flat_map(|first| LAST.iter().map(move |last| (*first, *last)))
            .collect();
        for end in (1..names.len()).rev() {
            names.swap(end, self.rng.below(end + 1));
        }
        self.names = names;
    }

    /// Scenes at random places of the year, Ada's at regular ones.
    fn agenda(&mut self) -> BTreeMap<usize, Vec<Scene>> {
        let mut agenda: BTreeMap<usize, Vec<Scene>> = BTreeMap::new();
        for scene in &scenes::ALL {
            let at = 250 + self.rng.below(EVENTS - 350);
            agenda.entry(at).or_default().push(*scene);
        }
        for (number, beat) in ada::BEATS.iter().enumerate() {
            let at = BACKFILLED + 20 + number * (EVENTS - 150) / ada::BEATS.len();
            agenda.entry(at).or_default().push(*beat);
        }
        agenda
    }

    /// Writes an event into the book at the next moment of the year.
    pub(crate) fn happen(&mut self, source: Source, kind: &'static str, data: Value) -> Entry {
        let gap =
            Duration::minutes(20 + self.rng.below(660) as i64) + Duration::milliseconds(self.rng.below(60_000) as i64);
        self.now += gap;
        self.record(Event {
            source,
            number: 0,
            kind,
            time: Some(self.now),
            backfill: false,
            data: object(data),
        })
    }

    fn record(&mut self, event: Event) -> Entry {
        let event = Event {
            number: self.happenings.len() + 1,
            ..event
        };
        let entry = self.book.apply(&event);
        self.happenings.push(Happening { event, entry });
        entry
    }

    /// One instant for all: the moment at which the backfill began to read.
    fn backfill(&mut self) {
        for number in 0..BACKFILLED {
            let data = if number == 0 {
                object(json!({"user_id": "Administrator", "email": "admin@example.com", "full_name": "Administrator"}))
            } else {
                self.newcomer()
            };
            let time = Some(BEGIN);
            self.record(Event {
                source: Source::Hr,
                number: 0,
                kind: "created",
                time,
                backfill: true,
                data,
            });
        }
    }

    /// The last guests of the year have no envelope: the broker's clock says when they came.
    fn walk_ins(&mut self) {
        for _ in 0..6 {
            let data = self.newcomer();
            let key = data["user_id"].clone();
            let event = Event {
                source: Source::Stream,
                number: 0,
                kind: "created",
                time: None,
                backfill: false,
                data,
            };
            self.record(event.clone());
            if self.rng.percent(50) {
                let data = object(json!({"user_id": key, "phone": self.phone()}));
                self.record(Event {
                    kind: "updated",
                    data,
                    ..event
                });
            }
        }
    }

    /// What is known of somebody who comes new; a free key, never used before.
    pub(crate) fn newcomer(&mut self) -> Map<String, Value> {
        let (first, last) = self.names.pop().unwrap_or(("Nemo", "Nobody"));
        let key = format!("{}.{}", plain(first), plain(last));
        let mut data = object(json!({"user_id": key, "email": format!("{key}@example.com")}));
        if self.rng.percent(80) {
            data.insert("first_name".into(), json!(first));
            data.insert("last_name".into(), json!(last));
        }
        if self.rng.percent(60) {
            data.insert("full_name".into(), json!(format!("{first} {last}")));
        }
        if self.rng.percent(50) {
            data.insert("email_verified".into(), json!(self.rng.percent(70)));
        }
        if self.rng.percent(30) {
            data.insert("phone".into(), self.phone());
        }
        if self.rng.percent(25) {
            data.insert("organization_id".into(), json!(self.organization().0));
        }
        data
    }

    /// A newcomer whom ordinary days leave alone.
    pub(crate) fn newcomer_on_stage(&mut self) -> (String, Map<String, Value>) {
        let data = self.newcomer();
        let key = data["user_id"].as_str().unwrap_or_default().to_owned();
        self.actors.insert(key.clone());
        (key, data)
    }

    /// Takes somebody out of the ordinary days.
    pub(crate) fn on_stage(&mut self, key: &str) {
        self.actors.insert(key.to_owned());
    }

    pub(crate) fn organization(&mut self) -> (&'static str, &'static str) {
        *self.rng.pick(&ORGANIZATIONS)
    }

    pub(crate) fn phone(&mut self) -> Value {
        json!(format!(
            "+49 40 {:04} {:03}",
            self.rng.below(10_000),
            self.rng.below(1_000)
        ))
    }

    /// Keys of the users for whom a condition holds, actors aside.
    pub(crate) fn those(&self, wanted: impl Fn(PersonId) -> bool) -> Vec<String> {
        let present = self.book.active.iter();
        present
            .filter(|(key, id)| !self.actors.contains(*key) && wanted(**id))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Somebody of the ordinary people, chosen for a scene and left alone from now on.
    pub(crate) fn volunteer(&mut self) -> String {
        let book = &self.book;
        let steady = self.those(|id| !book.people[id].provisional && book.people[id].degraded.is_empty());
        let key = self.rng.pick(&steady).clone();
        self.actors.insert(key.clone());
        key
    }

    /// Anybody but the most eventful ones: nobody shall have a longer story than Ada.
    fn somebody(&mut self) -> String {
        let book = &self.book;
        let all = self.those(|id| book.people[id].version < 10);
        self.rng.pick(&all).clone()
    }

    fn source(&mut self) -> Source {
        if self.rng.percent(55) { Source::Hr } else { Source::Shop }
    }

    fn ordinary_day(&mut self) {
        let source = self.source();
        match self.rng.below(100) {
            0..23 if self.book.people.len() < PEOPLE => {
                let data = self.newcomer();
                self.happen(source, "created", Value::Object(data));
            }
            0..42 => self.detail(source),
            42..50 => self.new_address(source),
            50..62 => self.joins(),
            62..66 => self.leaves(),
            66..84 => self.moves_on(source),
            84..94 => self.renames(source),
            _ if self.book.tombstones.len() < 40 => {
                let key = self.somebody();
                self.happen(source, "deleted", json!({"user_id": key}));
            }
            _ => self.detail(source),
        }
    }

    fn detail(&mut self, source: Source) {
        let mut data = object(json!({"user_id": self.somebody()}));
        match self.rng.below(6) {
            0 => data.insert("phone".into(), self.phone()),
            1 => data.insert("phone".into(), Value::Null),
            2 => data.insert("active".into(), json!(self.rng.percent(60))),
            3 => data.insert("organization_id".into(), json!(self.organization().0)),
            4 => data.insert(
                "external_id".into(),
                json!(format!("crm-{:05}", self.rng.below(100_000))),
            ),
            _ => data.insert(
                "metadata".into(),
                json!({"locale": self.rng.pick(&["de", "en", "fr", "nl"])}),
            ),
        };
        self.happen(source, "updated", Value::Object(data));
    }

    fn new_address(&mut self, source: Source) {
        let key = self.somebody();
        let address = format!("{key}{}@mail.example.com", self.rng.below(90) + 10);
        if self.rng.percent(50) {
            self.happen(
                source,
                "updated",
                json!({"user_id": key, "email": address, "email_verified": true}),
            );
        } else {
            self.happen(source, "renamed", json!({"user_id": key, "new_email": address}));
        }
    }

    fn joins(&mut self) {
        let (organization, name) = self.organization();
        let mut data = object(json!({"user_id": self.somebody(), "organization_id": organization}));
        if self.rng.percent(70) {
            data.insert("customer_name".into(), json!(name));
        }
        self.happen(Source::Shop, "joined", Value::Object(data));
    }

    fn leaves(&mut self) {
        let book = &self.book;
        let members = self.those(|id| !book.people[id].customers.is_empty());
        if members.is_empty() {
            return self.joins();
        }
        let key = self.rng.pick(&members).clone();
        let of: Vec<String> = self
            .book
            .person(&key)
            .map(|person| person.customers.keys().cloned().collect())
            .unwrap_or_default();
        let organization = self.rng.pick(&of).clone();
        self.happen(
            Source::Shop,
            "left",
            json!({"user_id": key, "organization_id": organization}),
        );
    }

    /// The next step of somebody's profile: drafts become active, some of the active go to the archive, some return.
    fn moves_on(&mut self, source: Source) {
        let key = self.somebody();
        let status = self
            .book
            .person(&key)
            .and_then(|person| person.client.as_ref())
            .map_or("draft", |client| client.status);
        let kind = match status {
            "draft" => "activated",
            "active" => "archived",
            _ => "reactivated",
        };
        let mut data = object(json!({"user_id": key}));
        if self.rng.percent(30) {
            data.insert("profile_type".into(), json!("client"));
        }
        self.happen(source, kind, Value::Object(data));
    }

    fn renames(&mut self, source: Source) {
        let key = self.somebody();
        let first = key.split('.').next().unwrap_or("nemo").to_owned();
        let last = *self.rng.pick(&MARRIED);
        let new = format!("{first}.{}", plain(last));
        if self.book.active.contains_key(&new) {
            return self.detail(source);
        }
        let mut data = object(json!({"user_id": key, "new_user_id": new}));
        if let Some(given) = self.book.person(&key).and_then(|person| person.texts.get("first_name")) {
            data.insert("last_name".into(), json!(last));
            data.insert("full_name".into(), json!(format!("{given} {last}")));
        }
        if self.rng.percent(50) {
            data.insert("new_email".into(), json!(format!("{new}@example.com")));
        }
        if self.rng.percent(20) {
            data.insert("new_username".into(), json!(new));
        }
        self.happen(source, "renamed", Value::Object(data));
    }
}
