//! The events: the same ones on every machine, because everything about a person follows from a number and the seed.

use bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::broker::Event;

/// Every run has the same people.
pub(crate) const SEED: u64 = 6;
/// 2024-01-01T00:00:00Z: no event lies in the future.
const EPOCH: i64 = 1_704_067_200;
const FIRST: [&str; 8] = [
    "Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Niklaus",
];
const LAST: [&str; 8] = [
    "Byron", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Allen", "Wirth",
];

/// `SplitMix64` of a number: no two numbers have the same, and neighbours are far from each other, as keys of identity
/// providers are.
pub(crate) fn mixed(number: u64) -> u64 {
    let mut z = (number ^ (SEED << 48)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of a person.
pub(crate) fn key(person: u64) -> String {
    format!("usr_{:016x}", mixed(person))
}

/// An event that happened so many ticks (100 ms) after the epoch, in structured form.
pub(crate) fn event(kind: &str, id: &str, tick: u64, data: &Value) -> Event {
    let nanos = i128::from(EPOCH) * 1_000_000_000 + i128::from(tick) * 100_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let event = json!({
        "specversion": "1.0",
        "type": format!("user.{kind}"),
        "source": "https://id.example.com",
        "id": id,
        "time": time.format(&Rfc3339).unwrap_or_default(),
        "datacontenttype": "application/json",
        "data": data,
    });
    Event {
        subject: subject(kind),
        payload: Bytes::from(event.to_string()),
    }
}

fn subject(kind: &str) -> &'static str {
    match kind {
        "created" => "user.created",
        "updated" => "user.updated",
        "renamed" => "user.renamed",
        "joined" => "user.joined",
        _ => "user.deleted",
    }
}

/// What a sign-up says, as identity providers say it.
pub(crate) fn details(person: u64) -> Value {
    let dice = mixed(person);
    let first = FIRST[(dice % 8) as usize];
    let last = LAST[(dice / 8 % 8) as usize];
    json!({
        "user_id": key(person),
        "email": format!("{}.{}.{person}@example.com", first.to_lowercase(), last.to_lowercase()),
        "email_verified": true,
        "username": format!("{}{person}", last.to_lowercase()),
        "first_name": first,
        "last_name": last,
        "full_name": format!("{first} {last}"),
        "phone": format!("+4930{:07}", dice % 10_000_000),
        "metadata": {"plan": "free", "locale": "en-GB"},
    })
}

/// Sign-ups of these people, in order.
pub(crate) fn created(people: std::ops::Range<u64>) -> impl Iterator<Item = Event> {
    people.map(|person| event("created", &format!("c{person}"), person, &details(person)))
}
