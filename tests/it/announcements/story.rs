//! What is told of a life, step by step.

use anyhow::Result;
use rollcall::announcements::{Happening, schema};
use serde_json::{Value, json};

use super::announcing;
use super::listener::Listener;
use super::table;
use crate::deployment::Deployment;
use crate::world::{Base, cloud_event, on_both};

on_both!(
    a_life_is_told_in_order,
    nothing_is_told_unless_it_is_wanted,
    a_rebuild_tells_what_it_puts_right,
);

fn life() -> Vec<Value> {
    let ada = |more: Value| {
        let mut data = json!({"user_id": "ada"});
        for (name, value) in more.as_object().into_iter().flatten() {
            data[name] = value.clone();
        }
        data
    };
    let steps = [
        ("created", ada(json!({"email": "ada@example.com", "full_name": "Ada"}))),
        ("updated", ada(json!({"phone": "1"}))),
        // Says nothing new: nobody is told.
        ("updated", ada(json!({"phone": "1"}))),
        ("activated", ada(json!({}))),
        ("archived", ada(json!({}))),
        ("reactivated", ada(json!({}))),
        (
            "renamed",
            ada(json!({"new_user_id": "Zoë", "new_email": "zoe@example.com"})),
        ),
        ("deleted", json!({"user_id": "Zoë"})),
    ];
    (0..)
        .zip(steps)
        .map(|(n, (kind, data))| cloud_event(kind, &n.to_string(), n, &data))
        .collect()
}

async fn a_life_is_told_in_order(base: Base) -> Result<()> {
    let deployment = announcing(base).await?;
    let mut listener = Listener::default();
    let life = life();
    // Whoever listens may come and go: it goes on where it was.
    for part in life.chunks(3) {
        deployment.publish(part).await?;
        deployment.drain().await?;
        listener.listen(&deployment).await?;
        listener.is_in_order()?;
        assert_eq!(listener.cache, table(&deployment.base).await?);
    }
    let told: Vec<(&str, &str)> = listener
        .heard
        .iter()
        .map(|heard| (heard.kind.as_str(), heard.user.as_str()))
        .collect();
    let expected = [
        ("profile.created", "ada"),
        ("profile.updated", "ada"),
        ("profile.activated", "ada"),
        ("profile.archived", "ada"),
        ("profile.activated", "ada"),
        ("profile.renamed", "Zo%C3%AB"),
        ("profile.deleted", "Zo%C3%AB"),
    ];
    assert_eq!(told, expected);
    let data = |n: usize| &listener.heard[n].data;
    assert_eq!(
        (&data(0)["email"], &data(0)["status"]),
        (&json!("ada@example.com"), &json!("draft"))
    );
    assert_eq!(data(1)["changed"], json!(["phone", "updated_at", "version"]));
    assert_eq!(
        (&data(2)["old_status"], &data(2)["status"]),
        (&json!("draft"), &json!("active"))
    );
    assert_eq!(
        (&data(4)["old_status"], &data(4)["version"]),
        (&json!("archived"), &json!(6))
    );
    assert_eq!(
        (&data(5)["old_user_id"], &data(5)["email"]),
        (&json!("ada"), &json!("zoe@example.com"))
    );
    assert_eq!(
        (&data(6)["status"], &data(6)["user_id"]),
        (&json!("active"), &json!("Zoë"))
    );
    for heard in &listener.heard {
        let kind = Happening::from_name(&heard.kind).expect("a known type");
        let schema = jsonschema::draft202012::new(&schema::data_document(kind))?;
        let problems: Vec<String> = schema.iter_errors(&heard.data).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{heard:?}: {problems:?}");
    }
    assert_eq!(deployment.base.number("count(*)", "@announcements").await?, 0);

    // The same events again, as a replay brings them: nothing changes, so nobody is told.
    let before = listener.heard.len();
    deployment.run(&["replay"]).await?.success()?;
    listener.listen(&deployment).await?;
    assert_eq!(listener.heard.len(), before);
    Ok(())
}

async fn nothing_is_told_unless_it_is_wanted(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&life()).await?;
    deployment.drain().await?;
    assert_eq!(deployment.base.number("count(*)", "@announcements").await?, 0);
    assert!(deployment.client().await?.get_stream("PROFILES").await.is_err());
    Ok(())
}

async fn a_rebuild_tells_what_it_puts_right(base: Base) -> Result<()> {
    let deployment = announcing(base).await?;
    deployment.publish(&life()[..2]).await?;
    deployment.drain().await?;
    let mut listener = Listener::default();
    listener.listen(&deployment).await?;
    deployment.base.execute("DELETE FROM @profiles").await?;
    deployment.run(&["rebuild", "--all", "--dry-run"]).await?;
    assert_eq!(deployment.base.number("count(*)", "@announcements").await?, 0);
    deployment.run(&["rebuild", "--all"]).await?.success()?;
    // Whoever relays is the worker.
    deployment.drain().await?;
    listener.listen(&deployment).await?;
    let kinds: Vec<&str> = listener.heard.iter().map(|heard| heard.kind.as_str()).collect();
    assert_eq!(kinds, ["profile.created", "profile.updated", "profile.created"]);
    assert_eq!(listener.heard[2].data["phone"], json!("1"));
    Ok(())
}
