//! Against a loop with one transaction an event, at three numbers in flight, of which the best counts.

use anyhow::Result;
use serde_json::json;

use crate::field::Field;
use crate::naive;
use crate::report::{Row, median};

const IN_FLIGHT: [usize; 3] = [8, 32, 64];
/// It is slow and steady: a tenth of the events says as much.
const SHARE: u64 = 10;

pub(super) async fn measure(field: &Field) -> Result<Vec<Row>> {
    let messages = (field.order.events / SHARE).max(100);
    let broker = field.created().await?;
    let mut product = Vec::new();
    let mut loops: [Vec<f64>; 3] = Default::default();
    for _ in 0..field.order.repetitions {
        product.push(field.first_rate().await?);
        for (in_flight, rates) in IN_FLIGHT.into_iter().zip(&mut loops) {
            let base = field.database().await?;
            field.settle().await?;
            let (stream, durable) = (broker.stream().await?, field.name("naive"));
            let took = naive::run(&stream, &durable, &base.url, in_flight, messages).await?;
            field.expect(&base, "naive.profiles", messages).await?;
            rates.push(messages as f64 / took.as_secs_f64());
            field.drop(base).await?;
        }
    }
    let medians: Vec<f64> = loops.iter().map(|rates| median(rates).round()).collect();
    let best = loops.into_iter().max_by(|a, b| median(a).total_cmp(&median(b)));
    Ok(vec![Row {
        name: "naive",
        what: format!("{} user.created end to end", field.order.events),
        unit: "events/s",
        runs: product,
        beside: Some((
            "a loop with one transaction an event, at its best".to_owned(),
            best.unwrap_or_default(),
        )),
        goal: None,
        more: json!({"events_of_the_loop": messages, "in_flight_8_32_64": medians}),
    }])
}
