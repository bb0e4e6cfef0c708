//! `rollcall replay`: the stream's events once more, into a lost database, an intact one, or beside a worker.

mod again;
mod beside;
mod bounds;
mod lost;
mod tables;

use anyhow::Result;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::histories::{Dice, history};
use crate::world::cloud_event;

/// Three profile types, one made by activation, and the rows of deleted users kept.
const CONFIG: &str = r#"
[worker]
on_delete = "archive"
[[profiles]]
type = "client"
activation_creates = ["player"]
attributes = { seats = 1, backfill = { seats = 0 } }
synchronised = ["display_name"]
[[profiles]]
type = "vendor"
initial_status = "active"
[[profiles]]
type = "player"
create_on = "activation"
[customers]
profile_type = "vendor"
"#;

/// A number of an answer, such as `outcomes.duplicate`.
fn number(answer: &Value, path: &str) -> u64 {
    let found = path.split('.').fold(answer, |value, name| &value[name]);
    found.as_u64().unwrap_or_default()
}

/// Everything that was counted, by outcome and as dead.
fn counted(answer: &Value) -> u64 {
    let sum = |map: &Value| -> u64 {
        let values = map.as_object().into_iter().flat_map(|map| map.values());
        values.filter_map(Value::as_u64).sum()
    };
    number(answer, "outcomes.applied")
        + number(answer, "outcomes.duplicate")
        + sum(&answer["outcomes"]["ignored"])
        + sum(&answer["outcomes"]["rejected"])
        + sum(&answer["dead"])
}

/// `rollcall replay --json` with these arguments; what it printed.
async fn replayed(deployment: &Deployment, arguments: &[&str]) -> Result<Value> {
    let arguments = [&["replay", "--json"], arguments].concat();
    deployment.run(&arguments).await?.success()?.json()
}

/// Many small histories, each of users of its own, in random order.
fn histories(seeds: std::ops::Range<u64>) -> Vec<Value> {
    let mut all = Vec::new();
    for seed in seeds.clone() {
        for mut event in history(seed) {
            event["id"] = format!("{seed}/{}", event["id"].as_str().unwrap_or_default()).into();
            for field in ["user_id", "new_user_id"] {
                let own = match event["data"][field].as_str() {
                    // Protected by its name, which must stay.
                    Some(key) if !key.eq_ignore_ascii_case("administrator") => format!("{key} {seed}"),
                    _ => continue,
                };
                event["data"][field] = own.into();
            }
            all.push(event);
        }
    }
    Dice::new(seeds.start).shuffle(&mut all);
    all
}

/// A history in the stream that has everything: late and rejected events, copies, conflicts, and what is no event.
async fn rich(deployment: &Deployment) -> Result<()> {
    let mut events = histories(700..740);
    for n in 0..3 {
        let mut future = cloud_event("created", &format!("future {n}"), 0, &json!({"user_id": "f"}));
        future["time"] = json!("2999-01-01T00:00:00Z");
        events.push(future);
        let data = json!({"user_id": format!("odd {n}")});
        events.push(cloud_event("exploded", &format!("odd {n}"), n, &data));
        events.push(json!({"subject": "user.created.by.hand", "data": {"user_id": format!("bare {n}")}}));
    }
    let (first, second) = events.split_at(events.len() / 2);
    deployment.publish(first).await?;
    let structured = ("Content-Type", "application/cloudevents+json");
    for (n, event) in first.iter().filter(|event| event["id"].is_string()).take(8).enumerate() {
        let mut event = event.clone();
        if n % 2 == 0 {
            event["data"]["nickname"] = json!("another");
        }
        let headers = [structured, ("Nats-Msg-Id", &format!("copy {n}"))];
        let subject = event["type"].as_str().unwrap_or_default();
        deployment.put(subject, &headers, event.to_string().as_bytes()).await?;
    }
    deployment.put("user.created", &[], b"not JSON").await?;
    deployment.put("user.updated", &[], b"{\"user_id\":7}").await?;
    crate::broker::unreadable::publish_raw(&deployment.nats, b"NATS/1.0\r\nce-id: \xff\r\n\r\n", b"{}").await?;
    deployment.publish(second).await?;
    Ok(())
}
