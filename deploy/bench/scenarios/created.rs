//! The first row: sign-ups end to end into empty tables that were never analysed, beside the limit.

use anyhow::Result;
use serde_json::{Value, json};

use crate::field::Field;
use crate::limit::insert_select;
use crate::report::{Goal, Row};

pub(super) async fn measure(field: &Field) -> Result<Vec<Row>> {
    let events = field.order.events;
    let (mut product, mut limit, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..field.order.repetitions {
        let (drained, base) = field.first_row().await?;
        product.push(drained.rate());
        cpu.push(drained.cpu_micros());
        let task = field.task(field.created().await?, "limit", &base);
        limit.push(events as f64 / insert_select(field, &base, &task).await?);
        field.drop(base).await?;
    }
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
        Row {
            name: "cpu",
            what: "processor time of the worker per event".to_owned(),
            unit: "µs",
            runs: cpu,
            beside: None,
            goal: None,
            more: json!({"of": "the runs of created, user and system time"}),
        },
    ])
}
