//! Random histories of a few people over a few keys and instants, so that renames, swaps, merges, keys used again
//! and colliding times are common. A seed makes always the same history; every event in it is a valid structured
//! `CloudEvents` object with its own `(source, id)`, and its optional fields are now and then absent, null or bad.

use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::naive::{Settings, TypeSetting};

/// 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600;
const KEYS: [&str; 6] = ["ada", "bob", "cyd", "dee", "Eve", "eve"];
const SOURCES: [&str; 2] = ["https://idp.example", "//crm.example/people"];
const SEQUENCES: [&str; 9] = ["", "2", "10", "007", "7", "0", "b", "a9", "99999999999999999999999999"];
const TYPES: [&str; 3] = ["client", "vendor", "player"];

/// A seeded source of choices (splitmix64): no randomness is taken from the air.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in `percent` of a hundred throws.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// An index, each as likely as its weight.
    fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut throw = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if throw < *weight {
                return index;
            }
            throw -= weight;
        }
        weights.len() - 1
    }

    /// Any order, each as likely.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The settings that go with a seed: `client` and `vendor` at creation, `player` by activation, and as variations
/// other initial statuses, another customer type, archiving on deletion.
pub(crate) fn settings(seed: u64) -> Settings {
    let mut dice = Dice::new(seed ^ 0x5e77_1465);
    let initial = |dice: &mut Dice| (*dice.pick(&["draft", "draft", "active", "archived"])).to_owned();
    let type_setting = |name: &str, initial: String, on_activation: bool, creates: &[&str]| TypeSetting {
        name: name.to_owned(),
        initial,
        on_activation,
        activation_creates: creates.iter().map(|name| (*name).to_owned()).collect(),
    };
    Settings {
        protected: vec!["Administrator".to_owned()],
        types: vec![
            type_setting(
                "client",
                "draft".to_owned(),
                false,
                if dice.chance(50) { &["player"] } else { &[] },
            ),
            type_setting("vendor", initial(&mut dice), false, &[]),
            type_setting(
                "player",
                initial(&mut dice),
                true,
                if dice.chance(30) { &["vendor"] } else { &[] },
            ),
        ],
        customer_type: dice.chance(40).then(|| (*dice.pick(&TYPES)).to_owned()),
        archive_on_delete: dice.chance(50),
    }
}

/// What one history has more or less of.
struct Mood {
    keys: usize,
    instants: usize,
    /// Weights of created, updated, renamed, deleted, joined, left, activated, archived, reactivated.
    weights: [usize; 9],
}

/// The history of a seed: 1 to 40 events, more often few than many; now and then up to 80.
pub(crate) fn history(seed: u64) -> Vec<Value> {
    let mut dice = Dice::new(seed);
    let created = *dice.pick(&[3, 10, 25]);
    let deleted = *dice.pick(&[2, 6, 12]);
    let mood = Mood {
        keys: 3 + dice.below(KEYS.len() - 2),
        instants: *dice.pick(&[1, 3, 6, 40, 400]),
        weights: [created, 10, 28, deleted, 12, 10, 8, 7, 6],
    };
    let length = 1 + if dice.chance(3) {
        dice.below(80)
    } else {
        dice.below(40).min(dice.below(80))
    };
    (0..length).map(|number| event(&mut dice, &mood, number)).collect()
}

fn event(dice: &mut Dice, mood: &Mood, number: usize) -> Value {
    let (kind, data) = match dice.weighted(&mood.weights) {
        0 => ("created", with_fields(dice, mood)),
        1 => ("updated", with_fields(dice, mood)),
        2 => ("renamed", renamed(dice, mood)),
        3 => ("deleted", data_of(dice, mood)),
        4 => ("joined", membership(dice, mood)),
        5 => ("left", membership(dice, mood)),
        6 => ("activated", transition(dice, mood)),
        7 => ("archived", transition(dice, mood)),
        _ => ("reactivated", transition(dice, mood)),
    };
    let mut event = json!({
        "specversion": "1.0",
        "type": format!("user.{kind}"),
        "source": *dice.pick(&SOURCES),
        // Shuffled by a constant, so that the order of ids is not the order of making.
        "id": format!("{:02x}-{number}", number * 37 % 101),
        "time": time(dice, mood.instants),
        "data": data,
    });
    if dice.chance(35) {
        event["sequence"] = json!(*dice.pick(&SEQUENCES));
    }
    if dice.chance(if kind == "created" { 25 } else { 5 }) {
        event["createdvia"] = json!("backfill");
    }
    event
}

/// One of few instants, written with some offset; a few differ by less than a microsecond.
fn time(dice: &mut Dice, instants: usize) -> String {
    let slot = dice.below(instants) as i64;
    let nanos = if dice.chance(25) {
        *dice.pick(&[1, 500, 1_000, 999_999_999])
    } else {
        0
    };
    let instant = OffsetDateTime::from_unix_timestamp(BEGINNING + slot * 3600).expect("within this century");
    let offset = *dice.pick(&[(0, 0), (0, 0), (2, 0), (-5, -30)]);
    let offset = UtcOffset::from_hms(offset.0, offset.1, 0).expect("a real offset");
    (instant + Duration::nanoseconds(nanos))
        .to_offset(offset)
        .format(&Rfc3339)
        .expect("a writable time")
}

fn key(dice: &mut Dice, mood: &Mood) -> &'static str {
    match dice.below(100) {
        0..4 => "Administrator",
        4 => "administrator",
        _ => KEYS[dice.below(mood.keys)],
    }
}

fn data_of(dice: &mut Dice, mood: &Mood) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("user_id".to_owned(), json!(key(dice, mood)));
    if dice.chance(3) {
        data.insert("nickname".to_owned(), json!(["unknown fields", { "are": "kept" }]));
    }
    data
}

/// A field in `percent` of a hundred events: mostly good, sometimes null, sometimes bad.
fn sometimes(dice: &mut Dice, data: &mut Map<String, Value>, name: &str, percent: usize, values: [&[Value]; 2]) {
    if dice.chance(percent) {
        let value = match dice.below(100) {
            0..70 => dice.pick(values[0]).clone(),
            70..86 => Value::Null,
            _ => dice.pick(values[1]).clone(),
        };
        data.insert(name.to_owned(), value);
    }
}

fn with_fields(dice: &mut Dice, mood: &Mood) -> Map<String, Value> {
    let mut data = data_of(dice, mood);
    fields(dice, &mut data);
    data
}

fn fields(dice: &mut Dice, data: &mut Map<String, Value>) {
    let bad = [
        json!(17),
        json!("with \u{0} inside"),
        json!("x".repeat(256)),
        json!(["a", "list"]),
    ];
    let addresses = [
        json!("ada@example.com"),
        json!("ADA@example.com"),
        json!("bob@example.com"),
    ];
    let no_addresses = [
        json!("no address"),
        json!(17),
        json!(format!("{}@x.example", "y".repeat(320))),
    ];
    sometimes(dice, data, "email", 30, [&addresses, &no_addresses]);
    sometimes(
        dice,
        data,
        "email_verified",
        20,
        [&[json!(true), json!(false)], &[json!("yes"), json!(1)]],
    );
    sometimes(
        dice,
        data,
        "username",
        15,
        [&[json!("ada"), json!("x".repeat(255))], &bad],
    );
    sometimes(
        dice,
        data,
        "first_name",
        15,
        [&[json!("Ada"), json!("Zoë"), json!("")], &bad],
    );
    sometimes(dice, data, "last_name", 15, [&[json!("Lovelace"), json!("")], &bad]);
    sometimes(dice, data, "full_name", 12, [&[json!("Ada Lovelace"), json!("")], &bad]);
    sometimes(
        dice,
        data,
        "phone",
        12,
        [&[json!("+44 20 7946 0000")], &[json!("1".repeat(70)), json!(44)]],
    );
    sometimes(
        dice,
        data,
        "external_id",
        10,
        [&[json!("x-1"), json!("é".repeat(255))], &bad],
    );
    other_fields(dice, data, &bad);
}

fn other_fields(dice: &mut Dice, data: &mut Map<String, Value>, bad: &[Value]) {
    sometimes(
        dice,
        data,
        "organization_id",
        15,
        [&[json!("o1"), json!("o2"), json!("o3")], bad],
    );
    let metadata = [
        json!({ "display_name": "Countess" }),
        json!({ "display_name": 7, "deep": [1, { "a": null }] }),
    ];
    sometimes(
        dice,
        data,
        "metadata",
        12,
        [&metadata, &[json!("text"), json!({ "a": ["\u{0}"] })]],
    );
    let active = [json!(true), json!(false)];
    sometimes(dice, data, "active", 12, [&active, &active]);
    let lists = [
        json!([]),
        json!(["client"]),
        json!(["player"]),
        json!(["vendor", "player", "vendor"]),
    ];
    let odd_lists = [
        json!(["ghost"]),
        json!(["client", "ghost", 3]),
        json!("client"),
        json!([null]),
    ];
    sometimes(dice, data, "profile_types", 20, [&lists, &odd_lists]);
}

/// At least one of the three new values is good, so that the event is valid.
fn renamed(dice: &mut Dice, mood: &Mood) -> Map<String, Value> {
    let mut data = data_of(dice, mood);
    if dice.chance(25) {
        fields(dice, &mut data);
    }
    let new_key = match dice.below(100) {
        0..75 => json!(key(dice, mood)),
        75..85 => data["user_id"].clone(),
        _ => Value::Null,
    };
    let good_key = new_key.is_string();
    if good_key || dice.chance(50) {
        data.insert("new_user_id".to_owned(), new_key);
    }
    let addresses = [json!("new@example.com"), json!("ada@example.com")];
    sometimes(
        dice,
        &mut data,
        "new_email",
        15,
        [&addresses, &[json!("no address"), json!(17)]],
    );
    sometimes(
        dice,
        &mut data,
        "new_username",
        15,
        [&[json!("newcomer")], &[json!(17), json!("x".repeat(256))]],
    );
    let good_email = data
        .get("new_email")
        .and_then(Value::as_str)
        .is_some_and(|text| text.contains('@'));
    if !good_key && !good_email {
        data.insert("new_username".to_owned(), json!("newcomer"));
    }
    data
}

fn membership(dice: &mut Dice, mood: &Mood) -> Map<String, Value> {
    let mut data = data_of(dice, mood);
    data.insert("organization_id".to_owned(), json!(*dice.pick(&["o1", "o2", "o3"])));
    sometimes(
        dice,
        &mut data,
        "customer_name",
        40,
        [&[json!("Engines Ltd"), json!("Looms & Co")], &[json!(17)]],
    );
    data
}

fn transition(dice: &mut Dice, mood: &Mood) -> Map<String, Value> {
    let mut data = data_of(dice, mood);
    if dice.chance(60) {
        let profile_type = if dice.chance(8) { "ghost" } else { *dice.pick(&TYPES) };
        data.insert("profile_type".to_owned(), json!(profile_type));
    }
    data
}
