//! Others hear of every change of a profile: in order for each user, at least once, whatever dies on the way.

mod listener;
mod outages;
mod story;

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::world::Base;

/// A deployment in which changes are announced and every event is a batch of its own, in order.
async fn announcing(base: Base) -> Result<Deployment> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__OUTBOX__EVENTS", "true");
    deployment.set("ROLLCALL__OUTBOX__POLL", "50ms");
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "1");
    Ok(deployment)
}

/// The profiles as the table has them: what a cache that followed every announcement has to hold.
async fn table(base: &Base) -> Result<BTreeMap<String, Value>> {
    let columns = ["profile_id", "user_id", "status", "email", "display_name", "phone"];
    let rows = base.select(&columns, "@profiles WHERE deleted_at IS NULL").await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let text = |n: usize| row[n].clone();
            let held = json!([text(1), text(2), text(3), text(4), text(5)]);
            (text(0).unwrap_or_default(), held)
        })
        .collect())
}
