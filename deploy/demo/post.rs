//! The post: how the year's events arrive. A tenth comes twice, a tenth comes after what happened later, and some of
//! what comes cannot be read at all.

use serde_json::json;
use std::collections::BTreeMap;

use crate::event::{Message, Source};
use crate::rng::Rng;
use crate::year::Year;

/// Room between two neighbours of the year, to put others between them.
const STEP: u64 = 1_000;

/// The messages in the order of their arrival, and what the broker must make of them.
pub(crate) struct Post {
    pub(crate) messages: Vec<Message>,
    /// Copies under a message id of their own: the worker sees them.
    pub(crate) copies: usize,
    /// Copies under the same message id: the broker drops them.
    pub(crate) dropped: usize,
    /// Events that arrive after a later one.
    pub(crate) out_of_order: usize,
    pub(crate) undecodable: usize,
    pub(crate) in_future: usize,
    pub(crate) unknown_type: usize,
}

pub(crate) fn post(year: &Year) -> Post {
    let mut rng = year.rng.clone();
    let arrivals = arrivals(year, &mut rng);
    let end = (year.happenings.len() as u64 + 1) * STEP;
    let mut letters = BTreeMap::new();
    let (mut copies, mut dropped) = (0, 0);
    for (happening, &at) in year.happenings.iter().zip(&arrivals) {
        let message = happening.event.message();
        let bare = happening.event.source == Source::Stream;
        if rng.percent(10) && !bare {
            copies += 1;
            let id = format!("{} again", message.id);
            put(
                &mut letters,
                at + 1 + rng.next() % (end - at),
                Message { id, ..message.clone() },
            );
        }
        if rng.percent(2) {
            dropped += 1;
            put(&mut letters, at + 1, message.clone());
        }
        put(&mut letters, at, message);
    }
    let odd = [unreadable(), from_the_future(), of_another_type()];
    let counts = odd.each_ref().map(Vec::len);
    for message in odd.into_iter().flatten() {
        put(&mut letters, rng.next() % end, message);
    }
    let [undecodable, in_future, unknown_type] = counts;
    let out_of_order = count_out_of_order(&arrivals);
    Post {
        messages: letters.into_values().collect(),
        copies,
        dropped,
        out_of_order,
        undecodable,
        in_future,
        unknown_type,
    }
}

/// Puts a message at its place or at the next free one.
fn put(letters: &mut BTreeMap<u64, Message>, mut at: u64, message: Message) {
    while letters.contains_key(&at) {
        at += 1;
    }
    letters.insert(at, message);
}

/// When each event arrives: in order, but a tenth only after the next news of the same person.
fn arrivals(year: &Year, rng: &mut Rng) -> Vec<u64> {
    let mut arrivals: Vec<u64> = (0..year.happenings.len()).map(|index| index as u64 * STEP).collect();
    let mut later: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, happening) in year.happenings.iter().enumerate().rev() {
        let Some(person) = happening
            .entry
            .person
            .filter(|_| happening.event.source != Source::Stream)
        else {
            continue;
        };
        if let Some(next) = later.insert(person, index).filter(|_| rng.percent(13)) {
            arrivals[index] = arrivals[next].max(arrivals[index]) + 1 + rng.next() % (STEP / 2);
        }
    }
    if let Some([created, updated, renamed]) = year.backwards {
        arrivals[updated] = arrivals[renamed] + 40 * STEP + STEP / 2;
        arrivals[created] = arrivals[updated] + 40 * STEP;
    }
    // The envelope-less ones happen when the broker says so: they stay the last, in their own order.
    let end = year.happenings.len() as u64 * STEP;
    for (index, happening) in year.happenings.iter().enumerate() {
        if happening.event.source == Source::Stream {
            arrivals[index] = end + index as u64 * STEP;
        }
    }
    arrivals
}

fn count_out_of_order(arrivals: &[u64]) -> usize {
    let mut order: Vec<usize> = (0..arrivals.len()).collect();
    order.sort_by_key(|index| arrivals[*index]);
    let mut latest = 0;
    let mut late = 0;
    for index in order {
        late += usize::from(index < latest);
        latest = latest.max(index);
    }
    late
}

/// Five messages that nobody can read.
fn unreadable() -> Vec<Message> {
    let bare = [
        ("user.created", "{\"user_id\": \"torn.off\", \"email\": \"torn.o"),
        (
            "user.updated",
            "Dear Rollcall, please change my telephone number. Kind regards",
        ),
        ("user.deleted", ""),
        (
            "user.joined",
            "{\"user_id\": \"no.club\", \"customer_name\": \"which one?\"}",
        ),
        (
            "user.renamed",
            "{\"user_id\": \"twice\", \"user_id\": \"twice.again\", \"new_user_id\": \"which\"}",
        ),
    ];
    let message = |(number, (subject, payload)): (usize, (&str, &str))| Message {
        subject: subject.to_owned(),
        id: format!("unreadable-{number}"),
        headers: BTreeMap::new(),
        payload: payload.to_owned(),
    };
    bare.into_iter().enumerate().map(message).collect()
}

/// One source has a clock that runs a century ahead.
fn from_the_future() -> Vec<Message> {
    vec![structured(
        "hr-ahead",
        "user.updated",
        "2125-06-01T08:00:00Z",
        "tomorrow.morning",
    )]
}

/// What is not about the life of an account is none of Rollcall's business.
fn of_another_type() -> Vec<Message> {
    ["hr-login-1", "hr-login-2", "hr-login-3"]
        .map(|id| structured(id, "user.logged_in", "2025-05-01T08:00:00Z", "ada.moreau"))
        .into()
}

fn structured(id: &str, kind: &str, time: &str, user_id: &str) -> Message {
    let source = Source::Hr.uri();
    let envelope = json!({
        "specversion": "1.0", "id": id, "source": source, "type": kind, "time": time, "data": {"user_id": user_id},
    });
    Message {
        subject: kind.to_owned(),
        id: format!("{source} {id}"),
        headers: BTreeMap::from([("Content-Type".into(), "application/cloudevents+json".into())]),
        payload: envelope.to_string(),
    }
}
