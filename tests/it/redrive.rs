//! Dead letters brought back by command, between a real broker and both databases.

use anyhow::{Context, Result};
use rollcall::jetstream::StoredMessage;
use serde_json::{Value, json};

use crate::deployment::{Deployment, PATIENCE, header};
use crate::harness::worker::{Finished, Worker};
use crate::world::{Base, Tables, cloud_event, on_both};

on_both!(
    a_rejected_event_is_judged_anew_in_its_old_place,
    the_first_ones_speak_for_the_others,
);

const COMPLETE: &str = r#"
[[profiles]]
type = "client"
initial_status = "draft"
requires = ["phone"]

[customers]
lookup = "table"
table = "crm"
require_verified_email = false

# Nobody listens there: what counts is which mails are asked for.
[mail]
server = "smtp://localhost:9"
encrypt = false
from = "no-reply@example.com"
welcome = "activation"
"#;

const CRM: &str = "CREATE TABLE crm (id INTEGER PRIMARY KEY, email TEXT, phone TEXT); \
    CREATE INDEX crm_email ON crm (lower(email)); \
    INSERT INTO crm VALUES (1, 'ada@example.com', NULL), (2, 'cas@example.com', ' ')";

const PLACE: [&str; 5] = ["event_id", "subject", "stream_sequence", "published_at", "late"];

fn configure(deployment: &Deployment, config: &str) -> Result<()> {
    Ok(std::fs::write(
        deployment.base.folder.path().join("config.toml"),
        config,
    )?)
}

async fn redrive(deployment: &Deployment, arguments: &[&str]) -> Result<Finished> {
    deployment
        .run(&[&["dead", "redrive", "--json"], arguments].concat())
        .await
}

async fn working(deployment: &Deployment) -> Result<Worker> {
    let mut worker = deployment.start(&["run"])?;
    worker.logged("working", PATIENCE).await?;
    Ok(worker)
}

async fn ended(mut worker: Worker) -> Result<()> {
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(())
}

fn event(kind: &str, id: &str, minute: i64, user: &str) -> Value {
    let data = json!({"user_id": user, "email": format!("{user}@example.com")});
    cloud_event(kind, id, minute, &data)
}

/// What was published to bring events back, in order.
async fn redriven(deployment: &Deployment) -> Result<Vec<StoredMessage>> {
    let broker = deployment.nats.connect().await?;
    let mut messages = broker.stored_messages("USERS").await?;
    let mut found = Vec::new();
    while let Some(message) = messages.next().await? {
        if header(&message, "Rollcall-Redrive").is_some() {
            found.push(message);
        }
    }
    broker.close().await;
    Ok(found)
}

/// Publishes a redrive once more under another message id, as if the broker had forgotten the first.
async fn repeat(deployment: &Deployment, message: &StoredMessage, id: &str) -> Result<()> {
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for (name, value) in message.headers.iter().filter(|(name, _)| name != "Nats-Msg-Id") {
        headers.push((name, value));
    }
    headers.push(("Nats-Msg-Id", id));
    deployment.put(&message.subject, &headers, &message.payload).await?;
    Ok(())
}

async fn statuses(deployment: &Deployment) -> Result<Vec<String>> {
    deployment.base.lines(&["user_id", "status"], "@profiles").await
}

async fn a_rejected_event_is_judged_anew_in_its_old_place(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    configure(&deployment, COMPLETE)?;
    deployment.base.script(CRM).await?;
    let activated_cas = event("activated", "a-cas", 2, "cas");
    let events = [
        event("created", "c-ada", 1, "ada"),
        event("created", "c-bea", 1, "bea"),
        event("created", "c-cas", 1, "cas"),
        event("activated", "a-ada", 2, "ada"),
        event("archived", "r-ada", 3, "ada"),
        event("activated", "a-bea", 2, "bea"),
        activated_cas.clone(),
    ];
    deployment.publish(&events).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["rejected"], json!({"requirements_missing": 3}));
    assert_eq!(counts["outcomes"]["ignored"], json!({"illegal_transition": 1}));

    let odd = redrive(&deployment, &["--reason", "odd"]).await?;
    assert!(
        odd.code == 2 && odd.stderr.contains("requirements_missing, "),
        "{odd:?}"
    );
    let looked = redrive(&deployment, &["--all", "--dry-run"]).await?.success()?.json()?;
    assert_eq!(
        (&looked["chosen"], &looked["redriven"]),
        (&json!(3), &json!(0)),
        "{looked}"
    );
    assert!(redriven(&deployment).await?.is_empty(), "only looked");

    // Nothing was put right: each is judged anew, fails as before, and has its letter already.
    let place = deployment.base.lines(&PLACE, "@ledger").await?;
    let before = Tables::read(&deployment.base).await?;
    let worker = working(&deployment).await?;
    let again = redrive(&deployment, &["--all"]).await?;
    let report = again.json()?;
    assert_eq!(again.code, 1, "{report}");
    assert_eq!(report["failed"], json!({"requirements_missing": 3}), "{report}");
    Tables::read(&deployment.base)
        .await?
        .assert_same(&before, "nothing was put right");
    assert_eq!(deployment.dead_letters().await?.len(), 3);

    // What is put right counts, at the old place: the archival that came after it is legal now.
    deployment
        .base
        .execute("UPDATE crm SET phone = '1' WHERE id = 1")
        .await?;
    let one = redrive(&deployment, &["--type", "user.activated", "--user", "ada"])
        .await?
        .success()?;
    assert_eq!(one.json()?["applied"], json!(1), "{one:?}");
    assert_eq!(statuses(&deployment).await?, ["ada archived", "bea draft", "cas draft"]);
    assert_eq!(
        deployment.base.lines(&PLACE, "@ledger").await?,
        place,
        "what it was, it stays"
    );
    assert_eq!(deployment.base.number("events", "@keys WHERE key = 'ada'").await?, 3);
    assert_eq!(deployment.base.lines(&["event_id"], "@mails").await?, ["a-ada"]);
    let letters = deployment.dead_list().await?;
    let resolved = letters.iter().filter(|letter| letter["resolved"] == json!(true));
    assert_eq!(
        resolved.map(|letter| &letter["event_id"]).collect::<Vec<_>>(),
        [&json!("a-ada")]
    );
    ended(worker).await?;
    copies_change_nothing(&deployment).await?;
    beside_its_original_it_counts(&deployment, &activated_cas).await
}

/// A redrive that is delivered again, or was done twice: what applies is a duplicate, what does not is judged once more.
async fn copies_change_nothing(deployment: &Deployment) -> Result<()> {
    let before = Tables::read(&deployment.base).await?;
    for (n, message) in redriven(deployment).await?.iter().enumerate() {
        repeat(deployment, message, &format!("copy {n}")).await?;
    }
    let counts = deployment.drain().await?["outcomes"].clone();
    assert_eq!(counts["duplicate"], json!(2), "ada's, from before and after: {counts}");
    assert_eq!(counts["rejected"], json!({"requirements_missing": 2}), "{counts}");
    Tables::read(&deployment.base).await?.assert_same(&before, "copies");
    assert_eq!(deployment.dead_letters().await?.len(), 3);

    // A replay meets the redrives of then; it asks nothing anew.
    deployment
        .base
        .execute("UPDATE crm SET phone = '2' WHERE id = 2")
        .await?;
    deployment.run(&["replay"]).await?.success()?;
    Tables::read(&deployment.base).await?.assert_same(&before, "a replay");
    Ok(())
}

/// Whichever comes first within a batch, the redrive is heeded.
async fn beside_its_original_it_counts(deployment: &Deployment, original: &Value) -> Result<()> {
    let all = redriven(deployment).await?;
    let message = all
        .iter()
        .find(|message| String::from_utf8_lossy(&message.payload).contains("a-cas"));
    let message = message.context("the redrive of cas")?;
    let structured = ("Content-Type", "application/cloudevents+json");
    let payload = original.to_string();
    for id in ["before", "after"] {
        let headers = [structured, ("Nats-Msg-Id", id)];
        deployment.put("user.activated", &headers, payload.as_bytes()).await?;
        if id == "before" {
            repeat(deployment, message, "between").await?;
        }
    }
    let counts = deployment.drain().await?["outcomes"].clone();
    assert_eq!(
        (&counts["applied"], &counts["duplicate"]),
        (&json!(1), &json!(2)),
        "{counts}"
    );
    assert_eq!(statuses(deployment).await?, ["ada archived", "bea draft", "cas active"]);
    let audited = deployment.run(&["audit", "--json"]).await?.success()?.json()?;
    assert_eq!(audited["hole_count"], json!(0), "{audited}");
    Ok(())
}

async fn the_first_ones_speak_for_the_others(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    let user = |n: i64| format!("u{n}");
    let staff = |n: i64| json!({"user_id": user(n), "profile_type": "staff"});
    let mut events: Vec<Value> = (0..8)
        .map(|n| event("created", &format!("c{n}"), n, &user(n)))
        .collect();
    events.extend((0..8).map(|n| cloud_event("activated", &format!("a{n}"), 10 + n, &staff(n))));
    events.push(cloud_event("created", "odd", 30, &json!({"user_id": 7})));
    deployment.publish(&events).await?;
    let conflict = event("created", "c0", 0, "other").to_string();
    let headers = [("Content-Type", "application/cloudevents+json")];
    deployment.put("user.created", &headers, conflict.as_bytes()).await?;
    deployment.drain().await?;

    let worker = working(&deployment).await?;
    let again = redrive(&deployment, &["--all"]).await?;
    let report = again.json()?;
    assert_eq!(again.code, 1, "{report}");
    assert_eq!(
        (&report["chosen"], &report["redriven"]),
        (&json!(8), &json!(3)),
        "{report}"
    );
    assert_eq!(report["failed"], json!({"unknown_profile_type": 3}), "{report}");
    assert_eq!(report["held_back"], json!(5), "{report}");
    assert_eq!(report["unfit"], json!({"undecodable": 1, "id_conflict": 1}), "{report}");
    assert_eq!(redriven(&deployment).await?.len(), 3);
    ended(worker).await?;

    let letters = deployment.dead_list().await?;
    let odd = letters.iter().find(|letter| letter["reason"] == json!("undecodable"));
    let odd = odd.context("the undecodable")?["sequence"].to_string();
    let told = deployment.run(&["dead", "redrive", &odd]).await?;
    assert!(
        told.code == 1 && told.stdout.contains("correct it at its source"),
        "{told:?}"
    );
    let nobody = redrive(&deployment, &["--since", "2999-01-01T00:00:00Z"])
        .await?
        .success()?
        .json()?;
    assert_eq!(nobody["chosen"], json!(0));

    // Put right, all of them apply, at the rate that is asked for.
    configure(
        &deployment,
        "[[profiles]]\ntype = \"client\"\n[[profiles]]\ntype = \"staff\"\ncreate_on = \"activation\"\n",
    )?;
    let worker = working(&deployment).await?;
    let named = letters
        .iter()
        .find(|letter| letter["event_id"] == json!("a7"))
        .context("a letter")?;
    let named = named["message_id"].as_str().context("its message id")?;
    assert_eq!(
        redrive(&deployment, &[named]).await?.success()?.json()?["applied"],
        json!(1)
    );
    let one = redrive(&deployment, &["--event", "idp", "a6"])
        .await?
        .success()?
        .json()?;
    assert_eq!(one["applied"], json!(1), "{one}");
    let most = ["--reason", "unknown_profile_type", "--rate", "10"];
    let report = redrive(&deployment, &most).await?.success()?.json()?;
    assert_eq!(
        (&report["applied"], &report["resolved_before"]),
        (&json!(6), &json!(2)),
        "{report}"
    );
    let published: Vec<_> = redriven(&deployment)
        .await?
        .iter()
        .map(|message| message.published)
        .collect();
    let slow = published[10] - published[8];
    assert!(slow > time::Duration::milliseconds(100), "ten in a second: {slow}");
    let active = "@profiles WHERE profile_type = 'staff' AND status = 'active'";
    assert_eq!(deployment.base.number("count(*)", active).await?, 8);
    let nothing = redrive(&deployment, &most).await?.success()?.json()?;
    assert_eq!(
        (&nothing["chosen"], &nothing["resolved_before"]),
        (&json!(0), &json!(8))
    );
    ended(worker).await
}
