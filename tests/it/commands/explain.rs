//! The history of a user, under any key they ever had.

use anyhow::Result;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::world::{Base, cloud_event, on_both};

on_both!(a_history_is_told_in_order_under_every_key, a_stranger_is_no_success);

fn events() -> Vec<Value> {
    vec![
        cloud_event(
            "updated",
            "late",
            2,
            &json!({"user_id": "ada", "phone": 7, "username": "ada"}),
        ),
        cloud_event("created", "1", 1, &json!({"user_id": "ada", "email": "ada@x.org"})),
        cloud_event("renamed", "3", 3, &json!({"user_id": "ada", "new_user_id": "countess"})),
        cloud_event("joined", "4", 4, &json!({"user_id": "ada", "organization_id": "o"})),
        cloud_event("left", "5", 5, &json!({"user_id": "countess", "organization_id": "p"})),
        cloud_event("created", "6", 6, &json!({"user_id": "bob"})),
        cloud_event("renamed", "7", 7, &json!({"user_id": "bob", "new_user_id": "countess"})),
        cloud_event("deleted", "8", 8, &json!({"user_id": "bob"})),
        cloud_event("updated", "9", 9, &json!({"user_id": "bob"})),
    ]
}

async fn explained(deployment: &Deployment, key: &str) -> Result<Vec<Value>> {
    let finished = deployment.run(&["explain", key, "--json"]).await?.success()?;
    Ok(finished
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

async fn a_history_is_told_in_order_under_every_key(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment
        .set("ROLLCALL__WORKER__LANES", "1")
        .set("ROLLCALL__WORKER__BATCH_MAX", "1");
    deployment.publish(&events()).await?;
    deployment.drain().await?;

    let history = explained(&deployment, "countess").await?;
    let told: Vec<_> = history
        .iter()
        .map(|line| {
            (
                line["id"].as_str(),
                line["type"].as_str(),
                line["outcome"].as_str(),
                line["reason"].as_str(),
            )
        })
        .collect();
    let applied = Some("applied");
    assert_eq!(
        told[..5],
        [
            (Some("1"), Some("user.created"), applied, None),
            (Some("late"), Some("user.updated"), applied, None),
            (Some("3"), Some("user.renamed"), applied, None),
            (Some("4"), Some("user.joined"), applied, None),
            (Some("5"), Some("user.left"), Some("ignored"), Some("not_a_member")),
        ]
    );
    let applied = |history: &[Value]| -> Vec<Value> {
        history
            .iter()
            .filter(|line| line["outcome"] == json!("applied"))
            .cloned()
            .collect()
    };
    let alias = explained(&deployment, "ada").await?;
    assert_eq!(applied(&alias), applied(&history), "an alias tells the same");
    assert_eq!(
        (&history[0]["time"], &history[0]["source"]),
        (&json!("2020-03-01T00:01:00Z"), &json!("idp"))
    );
    assert_eq!(history[0]["late"], json!(true), "{}", history[0]);
    assert_eq!(history[1]["degraded"], json!(["phone"]), "{}", history[1]);
    assert_eq!(history[1]["effects"]["fields"], json!(["username"]), "{}", history[1]);
    assert_eq!(
        history[2]["effects"]["key"],
        json!(["ada", "countess"]),
        "{}",
        history[2]
    );

    let shown = deployment.run(&["explain", "ada"]).await?.success()?.stdout;
    for words in [
        "ada, now countess",
        "ada → countess",
        "joined o",
        "came late",
        "dropped phone",
    ] {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    let gone = explained(&deployment, "bob").await?;
    let ids: Vec<_> = gone.iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!(ids, ["6", "7", "8", "9"]);
    assert_eq!(
        (&gone[1]["reason"], &gone[3]["reason"]),
        (&json!("key_taken"), &json!("after_deletion"))
    );
    let shown = deployment.run(&["explain", "bob"]).await?.success()?.stdout;
    assert!(shown.starts_with("bob: deleted"), "{shown}");
    Ok(())
}

async fn a_stranger_is_no_success(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    for arguments in [&["explain", "nobody"][..], &["explain", "nobody", "--json"]] {
        let finished = deployment.run(arguments).await?;
        assert_eq!(finished.code, 1, "{finished:?}");
    }
    let finished = deployment.run(&["explain", "nobody"]).await?;
    assert!(finished.stdout.contains("nobody is known by this key"), "{finished:?}");
    let finished = deployment.run(&["explain", "nobody", "--json"]).await?;
    assert_eq!(finished.stdout, "");
    Ok(())
}
