//! Everything late: people of whom something newer is known get their history in reverse. And what the order of a thousand
//! events of one person costs in one batch.

use anyhow::{Context as _, Result, ensure};
use rollcall::apply::{Applier, Arrival, Givens, Settled};
use rollcall::clock;
use rollcall::config::Config;
use rollcall::envelope::{Incoming, decode};
use rollcall::store::Store;
use rollcall::wiring;
use serde_json::{Value, json};
use std::borrow::Cow;
use time::OffsetDateTime;

use crate::broker::Event;
use crate::field::{Base, Field};
use crate::people::{details, event, key};
use crate::report::{Goal, Row};

/// Events of each person, beside the newest one.
const EACH: u64 = 5;
/// Events of one person in one batch.
const LONG: u64 = 1_000;
/// So many persons make a time that can be measured.
const PERSONS: u64 = 10;

pub(super) async fn measure(field: &Field) -> Result<Vec<Row>> {
    Ok(vec![everybody(field).await?, one_person(field).await?])
}

/// An update that says something else each time.
fn update(person: u64, tick: u64) -> Event {
    let data = json!({"user_id": key(person), "phone": format!("+4930{tick:07}")});
    event("updated", &format!("l{person}-{tick}"), tick, &data)
}

async fn everybody(field: &Field) -> Result<Row> {
    let people = (field.order.events / EACH).max(1);
    let (mut first, mut late) = (Vec::new(), Vec::new());
    let newest = field
        .broker((0..people).map(|person| update(person, EACH * people)))
        .await?;
    // Round by round, the last one first, so that every event comes before what is known of its person by then.
    let history = (0..EACH).rev().flat_map(|round| {
        (0..people).rev().map(move |person| match round {
            0 => event("created", &format!("l{person}-c"), person, &details(person)),
            _ => update(person, round * people + person),
        })
    });
    let reversed = field.broker(history).await?;
    for _ in 0..field.order.repetitions {
        first.push(field.first_rate().await?);
        let base = field.database().await?;
        field.pass(&newest, &base).await?;
        late.push(field.pass(&reversed, &base).await?.rate());
        field.expect(&base, "rollcall.ledger", people * (EACH + 1)).await?;
        field.expect(&base, "rollcall.ledger WHERE late", people * EACH).await?;
        field.drop(base).await?;
    }
    Ok(Row {
        name: "late",
        what: format!("{} events in reverse, all of them late", people * EACH),
        unit: "events/s",
        runs: late,
        beside: Some(("user.created in order".to_owned(), first)),
        goal: Some(Goal::AtLeast(0.2)),
        more: json!({"people": people, "events_of_each": EACH}),
    })
}

/// A thousand events of one person, as one batch: without a broker, because that cuts batches as it likes. A batch is put in
/// order before anything is decided, so something newer is known of whoever gets theirs in reverse, and all of it is late.
async fn one_person(field: &Field) -> Result<Row> {
    let (mut ordered, mut reversed) = (Vec::new(), Vec::new());
    let base = field.database().await?;
    let applier = applier(&base).await?;
    for repetition in 0..field.order.repetitions as u64 {
        let (mut in_order, mut in_reverse) = (0.0, 0.0);
        for number in 0..PERSONS {
            let person = 2 * (repetition * PERSONS + number);
            let mut events: Vec<Event> = (0..LONG).map(|tick| update(person, tick)).collect();
            in_order += batch(&applier, &events).await?;
            batch(&applier, &[update(person + 1, LONG)]).await?;
            events = (0..LONG).rev().map(|tick| update(person + 1, tick)).collect();
            in_reverse += batch(&applier, &events).await?;
        }
        ordered.push(in_order * 1e3 / PERSONS as f64);
        reversed.push(in_reverse * 1e3 / PERSONS as f64);
    }
    drop(applier);
    let late = field.order.repetitions as u64 * PERSONS * LONG;
    field.expect(&base, "rollcall.ledger WHERE late", late).await?;
    field.drop(base).await?;
    Ok(Row {
        name: "late_person",
        what: format!("{LONG} events of one person in reverse, all of them late, one batch"),
        unit: "ms",
        runs: reversed,
        beside: Some(("the same in order".to_owned(), ordered)),
        goal: Some(Goal::AtMost(3.0)),
        more: Value::Null,
    })
}

async fn applier(base: &Base) -> Result<Applier> {
    let text = format!("[store]\nurl = \"{}\"\n", base.url);
    let config = Config::parse("bench", &text, std::iter::empty())?;
    let (store, _) = Store::migrate(&wiring::store(&config)).await?;
    let (policy, undertaker) = (wiring::policy(&config), wiring::undertaker(&config));
    Ok(Applier::new(store, policy, undertaker, config.worker.max_component_events as u64).await?)
}

/// How long one batch takes, in seconds; decoding is not counted.
async fn batch(applier: &Applier, events: &[Event]) -> Result<f64> {
    let intake = wiring::intake(&Config::default());
    let published = OffsetDateTime::from_unix_timestamp(1_893_456_000).context("a time")?;
    let headers = [("Content-Type".to_owned(), "application/cloudevents+json".to_owned())];
    let arrivals: Vec<Arrival<'_>> = (1..)
        .zip(events)
        .map(|(sequence, event)| {
            let message = Incoming {
                subject: event.subject,
                headers: &headers,
                payload: &event.payload,
                stream: "USERS",
                sequence,
                published,
            };
            Arrival {
                message,
                decoded: Cow::Owned(decode(&message, &intake)),
            }
        })
        .collect();
    let givens = Givens {
        now: published,
        mint: &mut clock::new_row_id,
    };
    let began = clock::monotonic();
    let settled = applier.apply(&arrivals, givens).await?;
    let took = began.elapsed().as_secs_f64();
    let done = settled
        .iter()
        .filter(|settled| matches!(settled, Settled::Applied(_)))
        .count();
    ensure!(done == events.len(), "{done} of {} events are applied", events.len());
    Ok(took)
}
