//! `client-profile`: an ERP whose hook made a Client Profile for each new user.

use anyhow::Result;
use serde_json::{Value, json};

use super::Preset;
use crate::deployment::PATIENCE;
use crate::harness::smtp::{Encryption, Smtp};
use crate::harness::wait::wait_for;
use crate::world::cloud_event;

const VIEW: &str = "\"tabClient Profile\"";
const PLAYERS: &str = "\"tabPlayer Profile\"";

fn event(kind: &str, id: &str, minute: i64, user: &str) -> Value {
    cloud_event(kind, id, minute, &json!({"user_id": user}))
}

impl Preset {
    /// The Client Profiles through the old name: user, customer, name, status.
    async fn clients(&self) -> Result<Vec<String>> {
        let columns = ["\"user\"", "customer", "client_name", "profile_status"];
        self.base().lines(&columns, VIEW).await
    }

    async fn players(&self) -> Result<Vec<String>> {
        self.base().lines(&["\"user\"", "profile_status"], PLAYERS).await
    }

    /// The ERP's cache, which is filled by reading profiles.
    async fn cached(&self) -> Result<Vec<String>> {
        self.base().lines(&["value"], "erp_cache").await
    }

    /// Clears from the cache what the announcements say is stale, as the ERP would.
    async fn clear_caches(&self) -> Result<()> {
        let psql = crate::harness::postgres::programs()?.join("psql").display().to_string();
        let arguments = [
            &self.deployment.nats.url(),
            &psql,
            &self.base().url,
            "-Xqv",
            "ON_ERROR_STOP=1",
            "-c",
            "CREATE TEMPORARY TABLE changed (key text)",
            "-c",
            "\\copy changed FROM pstdin",
            "-c",
            "DELETE FROM erp_cache USING changed WHERE erp_cache.key = changed.key",
        ];
        self.program("clear_caches.py", &arguments).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_profile() -> Result<()> {
    let mut preset = Preset::set_up("client-profile").await?;
    let smtp = Smtp::start(Encryption::Plain).await?;
    preset
        .deployment
        .set("ROLLCALL__CONSUMER__ACK_WAIT", "5s")
        .set("ROLLCALL__MAIL__SERVER", &smtp.url())
        .set("ROLLCALL__MAIL__ENCRYPT", "false")
        .set("ROLLCALL__MAIL__FROM", "ERP <erp@example.com>");
    the_profile_is_there_at_the_first_login(&mut preset).await?;
    created_makes_exactly_one_and_again_changes_nothing(&preset).await?;
    existing_users_are_backfilled(&preset).await?;
    assert!(smtp.mails()?.is_empty(), "nobody is welcomed before they are active");
    draft_active_archived_active(&preset).await?;
    no_linked_customer_counts_as_not_met(&preset).await?;
    whoever_was_activated_is_welcomed(&preset, &smtp).await?;
    the_erp_clears_its_caches(&preset).await
}

/// A lone event waits for nobody: acknowledged, and so there, before anything else has been said.
async fn the_profile_is_there_at_the_first_login(preset: &mut Preset) -> Result<()> {
    // A worker that waited for company would be sent the event again before it has acknowledged it.
    preset.deployment.set("ROLLCALL__WORKER__LINGER", "10s");
    let mut worker = preset.worker().await?;
    let data = json!({"user_id": "dan", "email": "dan@early.example", "full_name": "Dan Early"});
    preset
        .deployment
        .publish(&[cloud_event("created", "0", 0, &data)])
        .await?;
    let stream = preset.deployment.client().await?.get_stream("USERS").await?;
    let acknowledged = wait_for("the acknowledgement", PATIENCE, async || {
        let consumer = stream.consumer_info("rollcall").await.ok()?;
        (consumer.ack_floor.stream_sequence == 1).then_some(consumer)
    });
    let consumer = acknowledged.await?;
    // The login looks once; it does not wait either.
    assert_eq!(preset.clients().await?, ["dan - Dan Early Draft"]);
    assert_eq!(stream.get_info().await?.state.last_sequence, 1, "nothing came after it");
    assert_eq!(consumer.delivered.consumer_sequence, 1, "and it came once");
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    preset.deployment.set("ROLLCALL__WORKER__LINGER", "5ms");
    Ok(())
}

/// Exactly one client profile, Draft, named after the full name or the first name, and linked to the customer with the same
/// email if there is one; the hook never says that an address is verified.
async fn created_makes_exactly_one_and_again_changes_nothing(preset: &Preset) -> Result<()> {
    let created = |id: &str, minute, data: Value| cloud_event("created", id, minute, &data);
    let users = [
        json!({"user_id": "ada", "email": "ADA@moreau.example", "full_name": "Ada Moreau", "first_name": "Ada"}),
        json!({"user_id": "bea", "email": "bea@bell.example", "first_name": "Bea"}),
        json!({"user_id": "cas", "email": "cas@nowhere.example"}),
    ];
    let created: Vec<Value> = (1..)
        .zip(users)
        .map(|(n, data)| created(&n.to_string(), n, data))
        .collect();
    preset.play(&created).await?;
    let made = [
        "ada CUST-00001 Ada Moreau Draft",
        "bea CUST-00002 Bea Draft",
        "cas - cas Draft",
        "dan - Dan Early Draft",
    ];
    assert_eq!(preset.clients().await?, made);

    // Running it again, under the same ids or others.
    let rows = preset.base().lines(&["\"name\"", "\"user\"", "creation"], VIEW).await?;
    preset.play(&created).await?;
    let mut again = created;
    for event in &mut again {
        event["id"] = json!(format!("again {}", event["id"]));
    }
    preset.play(&again).await?;
    assert_eq!(
        preset.base().lines(&["\"name\"", "\"user\"", "creation"], VIEW).await?,
        rows
    );
    assert_eq!(preset.clients().await?, made);
    Ok(())
}

/// Who was in the ERP before Rollcall gets a profile like everybody; nobody else changes, and a second time nothing does.
async fn existing_users_are_backfilled(preset: &Preset) -> Result<()> {
    let clients = preset.clients().await?;
    let query = "SELECT \"name\" AS user_id, email, full_name, first_name FROM \"tabUser\"";
    let backfill = [
        "backfill",
        "--query",
        query,
        "--exclude",
        "Administrator",
        "--exclude",
        "Guest",
    ];
    let looked = preset
        .rollcall(&[&backfill[..], &["--json"]].concat())
        .await?
        .success()?;
    assert_eq!(looked.json()?["before"]["missing"], json!(2), "{looked:?}");
    assert_eq!(preset.clients().await?, clients, "only looked");
    let mut worker = preset.worker().await?;
    for published in [2, 0] {
        let done = preset
            .rollcall(&[&backfill[..], &["--apply", "--json"]].concat())
            .await?;
        let report = done.success()?.json()?;
        assert_eq!(report["published"], json!(published), "{report}");
        assert_eq!(report["after"]["missing"], json!(0), "{report}");
    }
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    let mut expected = clients;
    expected.extend(["eve CUST-00003 Eve Later Draft", "fay - Fay Draft"].map(str::to_owned));
    assert_eq!(preset.clients().await?, expected);
    Ok(())
}

/// Activation requires columns of the linked customer, and makes the player.
async fn draft_active_archived_active(preset: &Preset) -> Result<()> {
    for (kind, id, minute, status) in [
        ("activated", "5", 5, "Active"),
        ("archived", "6", 6, "Archived"),
        ("reactivated", "7", 7, "Active"),
    ] {
        preset.play(&[event(kind, id, minute, "ada")]).await?;
        assert_eq!(
            preset.clients().await?[0],
            format!("ada CUST-00001 Ada Moreau {status}")
        );
    }
    assert_eq!(preset.players().await?, ["ada Active"]);
    Ok(())
}

async fn no_linked_customer_counts_as_not_met(preset: &Preset) -> Result<()> {
    let refused = preset
        .play(&[event("activated", "8", 8, "bea"), event("activated", "9", 9, "cas")])
        .await?;
    assert_eq!(refused["rejected"], json!({"requirements_missing": 2}));
    let letters = preset.base().lines(&["event_id", "error"], "@dead_letters").await?;
    assert_eq!(
        letters,
        [
            "8 the activation requires more of the linked customer: mobile_no is empty",
            "9 the activation requires more of the linked customer, and there is none",
        ]
    );
    assert_eq!(
        preset.clients().await?[1..3],
        ["bea CUST-00002 Bea Draft", "cas - cas Draft"]
    );

    // What is filled later counts for the next activation, and for this one when it is redriven.
    preset
        .base()
        .execute(
            "UPDATE \"tabCustomer\" SET mobile_no = '1', email_id = 'office@bell.example' WHERE name = 'CUST-00002'",
        )
        .await?;
    let mut worker = preset.worker().await?;
    let redriven = preset.rollcall(&["dead", "redrive", "--all", "--json"]).await?;
    assert_eq!(redriven.code, 1, "that of cas is still dead: {redriven:?}");
    assert_eq!(redriven.json()?["applied"], json!(1), "{redriven:?}");
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    // Its mail goes out with the worker, which may have ended before.
    preset.rollcall(&["run", "--drain"]).await?.success()?;
    assert_eq!(preset.clients().await?[1], "bea CUST-00002 Bea Active");
    assert_eq!(preset.players().await?, ["ada Active", "bea Active"]);
    Ok(())
}

/// At the customer's address as it is by then, and nobody twice.
async fn whoever_was_activated_is_welcomed(preset: &Preset, smtp: &Smtp) -> Result<()> {
    let mails = smtp.has(2).await?;
    let to: Vec<&Value> = mails.iter().map(|mail| &mail.envelope["to"]).collect();
    assert_eq!(to, [&json!(["Ada@Moreau.example"]), &json!(["office@bell.example"])]);
    assert_eq!(preset.base().number("count(*)", "@mails").await?, 2);
    Ok(())
}

/// Another program hears of what changes, with a consumer of its own, and of nothing else.
async fn the_erp_clears_its_caches(preset: &Preset) -> Result<()> {
    preset.clear_caches().await?;
    preset.base().script(&preset.text("fill_cache.sql")?).await?;
    let full = preset.cached().await?;
    assert_eq!(full.len(), 6);
    // Now, because that is when the backfill was.
    let renamed = json!({"user_id": "fay", "new_user_id": "fay.west"});
    let mut renamed = cloud_event("renamed", "13", 13, &renamed);
    renamed["time"].take();
    preset
        .play(&[
            event("archived", "11", 11, "bea"),
            cloud_event(
                "updated",
                "12",
                12,
                &json!({"user_id": "cas", "email": "cas@nowhere.example"}),
            ),
            renamed,
        ])
        .await?;
    assert_eq!(preset.cached().await?, full, "stale until somebody listens");
    preset.clear_caches().await?;
    let left = [
        "Ada Moreau, Active",
        "Dan Early, Draft",
        "Eve Later, Draft",
        "cas, Draft",
    ];
    assert_eq!(preset.cached().await?, left);

    // It goes on where it was: what it has heard of is not cleared again.
    preset.base().script(&preset.text("fill_cache.sql")?).await?;
    preset.clear_caches().await?;
    assert_eq!(preset.cached().await?.len(), 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_of_client_profile_ends_as_it_must() -> Result<()> {
    let preset = Preset::set_up("client-profile").await?;
    assert_eq!(preset.demo().await?, Vec::<String>::new());
    assert_eq!(preset.demo().await?, Vec::<String>::new(), "and again");
    Ok(())
}
