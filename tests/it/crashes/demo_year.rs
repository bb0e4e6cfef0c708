//! The year of deploy/demo, as its generator makes it.

#![allow(dead_code, reason = "the demo uses the rest: its books and its scenes' casts")]

#[path = "../../../deploy/demo/ada.rs"]
mod ada;
#[path = "../../../deploy/demo/book.rs"]
mod book;
#[path = "../../../deploy/demo/event.rs"]
mod event;
#[path = "../../../deploy/demo/names.rs"]
mod names;
#[path = "../../../deploy/demo/person.rs"]
mod person;
#[path = "../../../deploy/demo/rng.rs"]
mod rng;
#[path = "../../../deploy/demo/scenes.rs"]
mod scenes;
#[path = "../../../deploy/demo/year.rs"]
mod year;

use bytes::Bytes;
use rollcall::jetstream::Outgoing;
use time::{Duration, OffsetDateTime};

use event::{Event, Source};

/// The messages of a year in the order in which everything happened.
///
/// What the demo leaves to the broker's clock would happen at another time in every run: it gets an envelope here.
pub(super) fn messages(seed: u64) -> Vec<Outgoing> {
    let mut last = OffsetDateTime::UNIX_EPOCH;
    year::Year::of(seed)
        .happenings
        .into_iter()
        .map(|happening| {
            last = happening.event.time.unwrap_or(last + Duration::minutes(1));
            let event = match happening.event.source {
                Source::Stream => Event {
                    source: Source::Shop,
                    time: Some(last),
                    ..happening.event
                },
                Source::Hr | Source::Shop => happening.event,
            };
            let message = event.message();
            Outgoing {
                subject: message.subject,
                headers: message.headers.into_iter().collect(),
                payload: Bytes::from(message.payload),
                message_id: message.id,
            }
        })
        .collect()
}
