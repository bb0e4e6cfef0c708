//! The first row: sign-ups end to end into empty tables that were never analysed, beside the limit.

use anyhow::Result;
use serde_json::{Value, json};

use crate::field::Field;
use crate::limit::insert_select;
use crate::report::{Goal, Row};

pub(super) async fn measure(field: &Field) -> Result<Vec<Row>> {
    let events = field.order.events;
    let (mut product, mut limit) = (Vec::new(), Vec::new());
    let (mut cpu, mut database, mut broker, mut wal) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let micros = |seconds: f64| seconds * 1e6 / events as f64;
    for _ in 0..field.order.repetitions {
        let stream = field.created().await?;
        let before = (
            field.cluster.processor(),
            stream.processor(),
            field.cluster.written().await?,
        );
        let (drained, base) = field.first_row().await?;
        product.push(drained.rate());
        cpu.push(drained.cpu_micros());
        database.push(micros(field.cluster.processor() - before.0));
        broker.push(micros(stream.processor() - before.1));
        wal.push((field.cluster.written().await? - before.2) as f64 / events as f64);
        let task = field.task(field.created().await?, "limit", &base);
        limit.push(events as f64 / insert_select(field, &base, &task).await?);
        field.drop(base).await?;
    }
    let told = |name: &'static str, what: &str, unit: &'static str, runs: Vec<f64>| Row {
        name,
        what: what.to_owned(),
        unit,
        runs,
        beside: None,
        goal: None,
        more: json!({"of": "the runs of created"}),
    };
    Ok(vec![
        Row {
            name: "created",
            what: format!("{events} user.created end to end"),
            unit: "events/s",
            runs: product,
            beside: Some(("INSERT … SELECT of the same rows".to_owned(), limit)),
            goal: Some(Goal::AtLeast(0.65)),
            more: Value::Null,
        },
        told("cpu", "processor time of the worker per event", "µs", cpu),
        told("cpu_database", "the same of PostgreSQL's sessions", "µs", database),
        told("cpu_broker", "the same of nats-server", "µs", broker),
        told("wal", "write-ahead log of PostgreSQL per event", "bytes", wal),
    ])
}
