//! What happens: little stories about a few people each, in the order in which it happened, told at the same time. The
//! same seed tells the same stories.

use serde_json::{Map, Value, json};
use std::collections::VecDeque;

use super::message::{Event, Form, Source};
use super::people::{Deed, Fate, Micros, Said, Words, World};
use super::rng::Rng;

/// Stories that are told at the same time.
const AT_A_TIME: usize = 150;
/// 2025-01-01, before any clock that may run this.
const BEGINNING: Micros = 1_735_689_600_000_000;
const MINUTE: Micros = 60_000_000;
/// Every so many stories somebody tries to delete the one who may not be deleted.
const PROTECTED_EVERY: usize = 400;
/// Farther ahead than any clock.
const FUTURE: Micros = 4_891_363_200_000_000;

/// All stories of a seed, and how those that were told have ended.
pub(super) struct Stories {
    seed: u64,
    rng: Rng,
    open: Vec<VecDeque<Event>>,
    begun: usize,
    /// Events that were made so far.
    made: u32,
    /// One for each story that was begun.
    pub(super) worlds: Vec<World>,
}

impl Stories {
    pub(super) fn of(seed: u64) -> Self {
        Self {
            seed,
            rng: Rng::new(seed),
            open: Vec::new(),
            begun: 0,
            made: 0,
            worlds: Vec::new(),
        }
    }

    /// The next events, of which `total` are told in all. A story that does not fit is not begun.
    pub(super) fn next(&mut self, count: usize, total: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            while self.open.len() < AT_A_TIME && (self.made as usize) < total {
                self.begin(total);
            }
            if self.open.is_empty() {
                break;
            }
            let speaker = self.rng.below(self.open.len());
            events.extend(self.open[speaker].pop_front());
            if self.open[speaker].is_empty() {
                self.open.swap_remove(speaker);
            }
        }
        events
    }

    fn begin(&mut self, total: usize) {
        let room = total - self.made as usize;
        let mut story = Story {
            rng: Rng::new(self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(self.begun as u64)),
            number: self.begun,
            first: self.made,
            now: BEGINNING + self.begun as Micros * 1_000,
            room,
            events: VecDeque::new(),
            world: World::default(),
        };
        story.tell();
        self.begun += 1;
        self.made += story.events.len() as u32;
        self.worlds.push(story.world);
        self.open.push(story.events);
    }
}

/// One story in the making.
struct Story {
    rng: Rng,
    number: usize,
    /// Number of its first event.
    first: u32,
    now: Micros,
    room: usize,
    events: VecDeque<Event>,
    world: World,
}

impl Story {
    fn tell(&mut self) {
        if self.number % PROTECTED_EVERY == 7 {
            return self.refused("deleted", "Administrator", json!({}), Source::One, "protected_user");
        }
        match self.rng.below(100) {
            0..4 => self.tell_bare(),
            4..6 if self.room > 1 => self.tell_twins(),
            6..30 => self.tell_some(2 + self.number % 2),
            _ => self.tell_some(1),
        }
    }

    /// Somebody's envelope-less creation; its time is the broker's, so there is only one event.
    fn tell_bare(&mut self) {
        let key = self.key(0, "");
        let deed = Deed::Created(self.words(Speech::Creation));
        self.say(&key, &deed);
        if let Some(event) = self.events.back_mut() {
            event.source = Source::Stream;
            event.form = Form::Bare;
        }
        self.world.is_timeless = true;
    }

    /// Two contents under one identity.
    fn tell_twins(&mut self) {
        let key = self.key(0, "");
        let deed = Deed::Created(Words {
            full_name: Some("First Twin".to_owned()),
            ..Words::default()
        });
        self.say(&key, &deed);
        let Some(original) = self.events.back().cloned() else {
            return;
        };
        let mut twin = original.clone();
        twin.number += 1;
        twin.id = original.number;
        twin.fate = Fate::Twin(original.number);
        twin.data.insert("full_name".to_owned(), json!("Other Twin"));
        self.events.push_back(twin);
    }

    /// The lives of a few people whose paths may cross.
    fn tell_some(&mut self, people: usize) {
        let length = (people * (3 + self.rng.below(9))).min(self.room);
        let mut keys: Vec<String> = (0..people).map(|person| self.key(person, "")).collect();
        for (index, key) in keys.clone().into_iter().enumerate() {
            // Most begin with their creation; some are spoken of before.
            if self.events.len() < length && !self.rng.percent(if index == 0 { 12 } else { 30 }) {
                let deed = Deed::Created(self.words(Speech::Creation));
                self.say(&key, &deed);
            }
        }
        while self.events.len() < length {
            let key = self.rng.pick(&keys).clone();
            if self.rng.percent(3) {
                self.planted(&key);
                continue;
            }
            let deed = self.deed(&keys);
            if let Deed::Renamed(new) = &deed
                && !keys.contains(new)
            {
                keys.push(new.clone());
            }
            self.say(&key, &deed);
        }
    }

    fn deed(&mut self, keys: &[String]) -> Deed {
        match self.rng.below(100) {
            0..8 => Deed::Created(self.words(Speech::Creation)),
            8..40 => Deed::Updated(self.words(Speech::Update)),
            40..52 => {
                let fresh = self.rng.percent(50);
                let new = if fresh {
                    self.key(keys.len(), "x")
                } else {
                    self.rng.pick(keys).clone()
                };
                Deed::Renamed(new)
            }
            52..58 => Deed::Deleted,
            58..70 => {
                let name = self.rng.percent(60).then(|| format!("Club {}", self.rng.below(50)));
                Deed::Joined(self.organization(), name)
            }
            70..78 => Deed::Left(self.organization()),
            78..88 => Deed::Activated,
            88..94 => Deed::Archived,
            _ => Deed::Reactivated,
        }
    }

    /// What cannot be applied, or is none of Rollcall's business.
    fn planted(&mut self, key: &str) {
        match self.rng.below(5) {
            0 => self.refused(
                "activated",
                key,
                json!({"profile_type": "pilot"}),
                Source::Two,
                "unknown_profile_type",
            ),
            1 => self.refused("created", key, json!({}), Source::Few, "source_not_allowed"),
            2 => {
                self.push(key, "updated", Map::new(), Fate::Dead("undecodable"));
                if let Some(event) = self.events.back_mut() {
                    event.form = Form::Broken;
                }
            }
            3 => {
                self.push(key, "updated", Map::new(), Fate::Dead("time_in_future"));
                if let Some(event) = self.events.back_mut() {
                    event.time = FUTURE;
                }
            }
            _ => self.push(key, "logged_in", Map::new(), Fate::Unknown),
        }
    }

    fn refused(&mut self, kind: &'static str, key: &str, data: Value, source: Source, reason: &'static str) {
        let data = if let Value::Object(data) = data {
            data
        } else {
            Map::new()
        };
        self.push(key, kind, data, Fate::Rejected(reason));
        if let Some(event) = self.events.back_mut() {
            event.source = source;
        }
    }

    /// Something happens, in the world as well as in the news.
    fn say(&mut self, key: &str, deed: &Deed) {
        let (kind, data) = said(deed);
        self.tick();
        let fate = self.world.apply(key, deed, self.now);
        self.event(key, kind, data, fate);
    }

    /// News of something that never happens.
    fn push(&mut self, key: &str, kind: &'static str, data: Map<String, Value>, fate: Fate) {
        self.tick();
        self.event(key, kind, data, fate);
    }

    fn tick(&mut self) {
        self.now += MINUTE + self.rng.below(60_000_000) as Micros;
    }

    fn event(&mut self, key: &str, kind: &'static str, mut data: Map<String, Value>, fate: Fate) {
        data.insert("user_id".to_owned(), json!(key));
        let number = self.first + self.events.len() as u32;
        let source = if self.rng.percent(60) { Source::One } else { Source::Two };
        let form = if self.rng.percent(70) {
            Form::Structured
        } else {
            Form::Binary
        };
        self.events.push_back(Event {
            number,
            id: number,
            source,
            form,
            kind,
            story: self.number as u32,
            user: key.to_owned(),
            time: self.now,
            data,
            fate,
        });
    }

    fn key(&self, person: usize, mark: &str) -> String {
        format!("s{}.{person}{mark}", self.number)
    }

    fn organization(&mut self) -> String {
        format!("org-{}", self.rng.below(4))
    }

    fn words(&mut self, speech: Speech) -> Words {
        let mut any = |chance: usize, what: &str| {
            let said = self.rng.percent(chance);
            said.then(|| format!("{what}{}", self.rng.below(100_000)))
        };
        let (common, rare) = match speech {
            Speech::Creation => (90, 10),
            Speech::Update => (40, 20),
        };
        let email = any(common, "").map(|number| format!("p{number}@example.com"));
        let full_name = any(common, "Person ");
        let phone = any(common / 2, "+49 30 ").map_or(Said::Nothing, Said::Value);
        let cleared = self.rng.percent(rare) && speech == Speech::Update;
        let active = self.rng.percent(rare).then(|| self.rng.percent(50));
        Words {
            email,
            full_name,
            phone: if cleared { Said::Cleared } else { phone },
            active,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speech {
    Creation,
    Update,
}

/// Type and data of the event that tells of a deed.
fn said(deed: &Deed) -> (&'static str, Map<String, Value>) {
    let mut data = Map::new();
    let kind = match deed {
        Deed::Created(words) | Deed::Updated(words) => {
            for (field, value) in [("email", &words.email), ("full_name", &words.full_name)] {
                if let Some(value) = value {
                    data.insert(field.to_owned(), json!(value));
                }
            }
            match &words.phone {
                Said::Nothing => None,
                Said::Cleared => data.insert("phone".to_owned(), Value::Null),
                Said::Value(phone) => data.insert("phone".to_owned(), json!(phone)),
            };
            if let Some(active) = words.active {
                data.insert("active".to_owned(), json!(active));
            }
            if matches!(deed, Deed::Created(_)) {
                "created"
            } else {
                "updated"
            }
        }
        Deed::Renamed(new) => {
            data.insert("new_user_id".to_owned(), json!(new));
            "renamed"
        }
        Deed::Joined(organization, name) => {
            data.insert("organization_id".to_owned(), json!(organization));
            if let Some(name) = name {
                data.insert("customer_name".to_owned(), json!(name));
            }
            "joined"
        }
        Deed::Left(organization) => {
            data.insert("organization_id".to_owned(), json!(organization));
            "left"
        }
        Deed::Deleted => "deleted",
        Deed::Activated => "activated",
        Deed::Archived => "archived",
        Deed::Reactivated => "reactivated",
    };
    (kind, data)
}
