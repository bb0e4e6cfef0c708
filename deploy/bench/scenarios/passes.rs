//! The sign-ups of the first row under other circumstances, beside the first row itself.

use anyhow::Result;
use serde_json::{Value, json};

use crate::field::Field;
use crate::people;
use crate::report::{Goal, Judge, Row, median};

/// A million where the first row has three hundred thousand.
fn million(field: &Field) -> u64 {
    field.order.events * 10 / 3
}

/// Everything once more, over what is there already.
pub(super) async fn duplicates(field: &Field) -> Result<Vec<Row>> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..field.order.repetitions {
        let (drained, base) = field.first_row().await?;
        first.push(drained.rate());
        second.push(field.pass(field.created().await?, &base).await?.rate());
        field.expect(&base, "rollcall.ledger", field.order.events).await?;
        field.drop(base).await?;
    }
    Ok(vec![Row {
        name: "duplicates",
        what: "the same events once more: all duplicates".to_owned(),
        unit: "events/s",
        runs: second,
        beside: Some(("their first pass".to_owned(), first)),
        goal: Some(Goal::AtLeast(1.5)),
        more: Value::Null,
    }])
}

pub(super) async fn sqlite(field: &Field) -> Result<Vec<Row>> {
    let (mut postgres, mut sqlite) = (Vec::new(), Vec::new());
    for _ in 0..field.order.repetitions {
        postgres.push(field.first_rate().await?);
        let file = field.file();
        sqlite.push(field.pass(field.created().await?, &file).await?.rate());
        field.expect_file(&file, field.order.events).await?;
        field.drop(file).await?;
    }
    Ok(vec![Row {
        name: "sqlite",
        what: format!("{} user.created end to end, SQLite", field.order.events),
        unit: "events/s",
        runs: sqlite,
        beside: Some(("PostgreSQL".to_owned(), postgres)),
        goal: Some(Goal::AtLeast(0.8)),
        more: Value::Null,
    }])
}

/// With a long backlog the worker must not take more than with a short one.
pub(super) async fn memory(field: &Field) -> Result<Vec<Row>> {
    let broker = field.broker(people::created(0..million(field))).await?;
    let (mut peak, mut early, mut rate) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..field.order.repetitions {
        let base = field.database().await?;
        let drained = field.pass(&broker, &base).await?;
        field.expect(&base, "rollcall.ledger", broker.messages).await?;
        peak.push(mb(drained.peak_kib));
        early.push(mb(drained.early_peak_kib));
        rate.push(drained.rate().round());
        field.drop(base).await?;
    }
    Ok(vec![
        Row {
            name: "memory",
            what: format!("most memory of the worker, {} events waiting", broker.messages),
            unit: "MB",
            runs: peak.clone(),
            beside: None,
            goal: Some(Goal::AtMost(100.0)),
            more: json!({"events_a_second": rate}),
        },
        Row {
            name: "memory_flat",
            what: "the same at the end".to_owned(),
            unit: "MB",
            runs: peak,
            beside: Some(("when a tenth was done".to_owned(), early)),
            goal: Some(Goal::AtMost(1.25)),
            more: Value::Null,
        },
    ])
}

fn mb(kib: u64) -> f64 {
    kib as f64 * 1_024.0 / 1e6
}

pub(super) async fn batch(field: &Field) -> Result<Vec<Row>> {
    const SIZES: [usize; 4] = [500, 1_000, 2_000, 5_000];
    let broker = field.created().await?;
    let mut rates: [Vec<f64>; 4] = Default::default();
    for _ in 0..field.order.repetitions {
        for (size, rates) in SIZES.into_iter().zip(&mut rates) {
            // The two ends show that it can be measured.
            if field.order.judge == Judge::Nothing && !matches!(size, 500 | 5_000) {
                continue;
            }
            let base = field.database().await?;
            let change = |task: &mut crate::drain::Task<'_>| task.batch_max = Some(size);
            rates.push(field.pass_as(broker, &base, 1, change).await?.rate());
            field.expect(&base, "rollcall.ledger", field.order.events).await?;
            field.drop(base).await?;
        }
    }
    let medians: Vec<f64> = rates.iter().map(|rates| median(rates).round()).collect();
    let by_rate = |a: &Vec<f64>, b: &Vec<f64>| median(a).total_cmp(&median(b));
    let slowest = rates
        .iter()
        .filter(|rates| !rates.is_empty())
        .min_by(|a, b| by_rate(a, b))
        .cloned()
        .unwrap_or_default();
    let fastest = rates.into_iter().max_by(by_rate).unwrap_or_default();
    Ok(vec![Row {
        name: "batch",
        what: "the slowest of batch_max 500, 1000, 2000, 5000".to_owned(),
        unit: "events/s",
        runs: slowest,
        beside: Some(("the fastest of them".to_owned(), fastest)),
        goal: Some(Goal::AtLeast(0.8)),
        more: json!({"by_batch_max": medians}),
    }])
}

/// Two processes on one consumer; what they cost each other is counted.
pub(super) async fn workers(field: &Field) -> Result<Vec<Row>> {
    let (mut one, mut two, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
    let deadlocks = || field.cluster.log().matches("deadlock detected").count();
    let before = deadlocks();
    for _ in 0..field.order.repetitions {
        one.push(field.first_rate().await?);
        let base = field.database().await?;
        let drained = field.pass_as(field.created().await?, &base, 2, |_| {}).await?;
        field.expect(&base, "rollcall.ledger", field.order.events).await?;
        two.push(drained.rate());
        conflicts.push(drained.conflicts);
        field.drop(base).await?;
    }
    Ok(vec![Row {
        name: "workers",
        what: "two workers on one consumer".to_owned(),
        unit: "events/s",
        runs: two,
        beside: Some(("one worker".to_owned(), one)),
        goal: Some(Goal::AtLeast(1.0)),
        more: json!({"batches_tried_again": conflicts, "deadlocks": deadlocks() - before}),
    }])
}

/// A million users are there, and the planner knows of them, as it would.
pub(super) async fn growth(field: &Field) -> Result<Vec<Row>> {
    let (events, there) = (field.order.events, million(field));
    let grown = field.database().await?;
    let broker = field.broker(people::created(0..there)).await?;
    field.pass(&broker, &grown).await?;
    drop(broker);
    field.cluster.execute(&grown.name, &["ANALYZE".to_owned()]).await?;
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    for repetition in 0..field.order.repetitions as u64 {
        empty.push(field.first_rate().await?);
        let first = there + repetition * events;
        let broker = field.broker(people::created(first..first + events)).await?;
        full.push(field.pass(&broker, &grown).await?.rate());
        field.expect(&grown, "rollcall.ledger", first + events).await?;
    }
    field.drop(grown).await?;
    Ok(vec![Row {
        name: "growth",
        what: format!("{events} user.created, {there} users there already"),
        unit: "events/s",
        runs: full,
        beside: Some(("into empty tables".to_owned(), empty)),
        goal: Some(Goal::AtLeast(0.8)),
        more: Value::Null,
    }])
}
