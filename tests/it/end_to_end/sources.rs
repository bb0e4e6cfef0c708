//! Sources with keys of their own, and with a list of what they may send.

use anyhow::Result;
use serde_json::json;

use crate::deployment::Deployment;
use crate::world::{Base, cloud_event, on_both};

on_both!(sources_have_keys_and_limits_of_their_own);

async fn sources_have_keys_and_limits_of_their_own(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let config = "[[source]]\nsource = \"idp\"\nkey_prefix = \"idp:\"\nallow = [\"user.created\", \"user.renamed\"]\n";
    std::fs::write(deployment.base.folder.path().join("config.toml"), config)?;
    let mut other = cloud_event("deleted", "3", 3, &json!({"user_id": "bob"}));
    other["source"] = json!("elsewhere");
    deployment
        .publish(&[
            cloud_event("created", "1", 1, &json!({"user_id": "ada"})),
            cloud_event("deleted", "2", 2, &json!({"user_id": "ada"})),
            other,
            cloud_event("renamed", "4", 4, &json!({"user_id": "ada", "new_user_id": "bob"})),
        ])
        .await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["rejected"], json!({"source_not_allowed": 1}));
    assert_eq!(deployment.base.lines(&["user_id"], "@profiles").await?, ["idp:bob"]);
    let letters = deployment.base.lines(&["event_id", "reason"], "@dead_letters").await?;
    assert_eq!(letters, ["2 source_not_allowed"]);
    Ok(())
}

#[test]
fn every_type_of_event_may_be_allowed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config.toml");
    let names = rollcall::domain::Kind::ALL.map(rollcall::domain::Kind::name);
    std::fs::write(&path, format!("[[source]]\nsource = \"idp\"\nallow = {names:?}\n"))?;
    let config = rollcall::config::Config::load(Some(&path), std::iter::empty())?;
    assert_eq!(config.sources[0].allow, names);
    Ok(())
}
