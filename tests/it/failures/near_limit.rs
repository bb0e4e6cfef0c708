//! A message as large as the broker takes still gets its dead letter: by reference, with its hash.

use anyhow::Result;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{created, refuse_bad_phones};
use crate::deployment::{Deployment, header};
use crate::world::{Base, cloud_event, on_both};

on_both!(
    a_payload_at_the_limit_gets_its_letter,
    an_event_near_the_limit_that_waited_gets_its_letter,
);

/// The broker's `max_payload`.
const LIMIT: usize = 1_048_576;

async fn a_payload_at_the_limit_gets_its_letter(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&created(0..1)).await?;
    let payload = vec![b'x'; LIMIT];
    deployment.put("user.created", &[], &payload).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({"undecodable": 1}));
    referred(&deployment, &payload, "undecodable", "2").await
}

async fn an_event_near_the_limit_that_waited_gets_its_letter(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__MAX_ATTEMPTS", "2");
    refuse_bad_phones(&deployment.base).await?;
    deployment.publish(&created(0..1)).await?;
    let data = json!({"user_id": "u0", "phone": "bad", "padding": ""});
    let room = LIMIT - 200 - cloud_event("updated", "p", 9, &data).to_string().len();
    let data = json!({"user_id": "u0", "phone": "bad", "padding": "x".repeat(room)});
    let payload = cloud_event("updated", "p", 9, &data).to_string();
    let structured = ("Content-Type", "application/cloudevents+json");
    deployment
        .put("user.updated", &[structured], payload.as_bytes())
        .await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({"exhausted": 1}));
    referred(&deployment, payload.as_bytes(), "exhausted", "2").await
}

async fn referred(deployment: &Deployment, payload: &[u8], reason: &str, sequence: &str) -> Result<()> {
    let letters = deployment.dead_letters().await?;
    let [letter] = letters.as_slice() else {
        panic!("{} letters", letters.len())
    };
    assert!(letter.payload.is_empty());
    let hash = rollcall::domain::hex(&Sha256::digest(payload));
    let bytes = payload.len().to_string();
    for (name, expected) in [
        ("Rollcall-Reason", reason),
        ("Rollcall-Stream", "USERS"),
        ("Rollcall-Sequence", sequence),
        ("Rollcall-Payload-Bytes", &bytes),
        ("Rollcall-Payload-Sha256", &hash),
    ] {
        assert_eq!(header(letter, name), Some(expected), "{name}");
    }
    assert_eq!(
        deployment.base.number("count(*)", "@outbox").await?,
        0,
        "nothing is stuck"
    );
    assert_eq!(deployment.base.number("count(*)", "@retries").await?, 0);
    Ok(())
}
