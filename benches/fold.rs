//! What decoding and folding cost by themselves, without broker and database: `cargo bench --bench fold`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use rollcall::config::Config;
use rollcall::domain::{Entry, Event, Policy, Spacing, World, refold};
use rollcall::envelope::{Envelope, Incoming, decode};
use rollcall::wiring;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Events that are folded at a time.
const MANY: usize = 1_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decoding(&mut criterion);
    folding(&mut criterion);
    criterion.final_summary();
}

/// A message in one of the three forms.
struct Message {
    subject: String,
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

impl Message {
    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            subject: &self.subject,
            headers: &self.headers,
            payload: &self.payload,
            stream: "USERS",
            sequence: 1,
            // 2030-01-01: no event lies in the future.
            published: OffsetDateTime::from_unix_timestamp(1_893_456_000).expect("a time"),
        }
    }

    fn decoded(&self) -> Envelope {
        let intake = wiring::intake(&Config::default());
        decode(&self.incoming(), &intake).expect("an event")
    }
}

fn structured(kind: &str, number: usize, data: &Value) -> Message {
    let (minute, second) = (number / 60 % 60, number % 60);
    let event = json!({
        "specversion": "1.0",
        "type": kind,
        "source": "https://id.example.com",
        "id": format!("{kind}-{number}"),
        "time": format!("2024-01-01T{:02}:{minute:02}:{second:02}Z", number / 3_600),
        "datacontenttype": "application/json",
        "data": data,
    });
    Message {
        subject: kind.to_owned(),
        headers: vec![("Content-Type".to_owned(), "application/cloudevents+json".to_owned())],
        payload: event.to_string().into_bytes(),
    }
}

fn details(number: usize) -> Value {
    json!({
        "user_id": format!("usr_{number:016x}"),
        "email": format!("ada.byron.{number}@example.com"),
        "email_verified": true,
        "username": format!("byron{number}"),
        "first_name": "Ada",
        "last_name": "Byron",
        "full_name": "Ada Byron",
        "phone": "+49301234567",
        "metadata": {"plan": "free", "locale": "en-GB"},
    })
}

fn decoding(criterion: &mut Criterion) {
    let intake = wiring::intake(&Config::default());
    let bare = Message {
        subject: "user.created".to_owned(),
        headers: Vec::new(),
        payload: details(1).to_string().into_bytes(),
    };
    let mut binary = Message {
        payload: details(1).to_string().into_bytes(),
        ..structured("user.created", 1, &Value::Null)
    };
    let attributes = [
        ("ce-specversion", "1.0"),
        ("ce-type", "user.created"),
        ("ce-source", "https://id.example.com"),
        ("ce-id", "1"),
        ("ce-time", "2024-01-01T00:00:01Z"),
        ("Content-Type", "application/json"),
    ];
    binary.headers = attributes
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let renamed = json!({"user_id": "usr_1", "new_user_id": "usr_2"});
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for (name, message) in [
        ("created, structured", structured("user.created", 1, &details(1))),
        ("created, binary", binary),
        ("created, bare", bare),
        ("renamed, structured", structured("user.renamed", 1, &renamed)),
    ] {
        message.decoded();
        group.bench_function(name, |bencher| {
            bencher.iter(|| decode(black_box(&message.incoming()), black_box(&intake)));
        });
    }
    group.finish();
}

fn folding(criterion: &mut Criterion) {
    let policy = wiring::policy(&Config::default());
    let sign_ups: Vec<Event> = (0..MANY)
        .map(|number| structured("user.created", number, &details(number)).decoded().event)
        .collect();
    let updates: Vec<Event> = (0..MANY)
        .map(|number| {
            let data = json!({"user_id": "usr_1", "phone": format!("+49{number}")});
            structured("user.updated", number, &data).decoded().event
        })
        .collect();
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(MANY as u64));
    for (name, events) in [
        ("a thousand sign-ups", &sign_ups),
        ("a thousand updates of one user", &updates),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                World::default,
                |world| applied(world, events, &policy),
                BatchSize::SmallInput,
            );
        });
    }
    let policy = Arc::new(policy);
    let entry = |event: Event| Entry {
        event,
        policy: Arc::clone(&policy),
        known: false,
    };
    let history: Vec<Entry> = updates.into_iter().map(entry).collect();
    group.bench_function("a thousand updates of one user, folded again", |bencher| {
        bencher.iter(|| refold(None, black_box(&history), &World::default(), Spacing::STANDARD));
    });
    group.finish();
}

fn applied(mut world: World, events: &[Event], policy: &Policy) -> World {
    for event in events {
        black_box(world.apply(event, policy));
    }
    world
}
