//! `crm-customers`: one profile for each user and type, one customer for each user and organization.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Preset;
use crate::world::cloud_event;

const PROFILES: [&str; 4] = ["user_id", "profile_type", "organization_id", "status"];

fn joined(id: &str, minute: i64, user: &str, organization: &str) -> Value {
    cloud_event(
        "joined",
        id,
        minute,
        &json!({"user_id": user, "organization_id": organization}),
    )
}

impl Preset {
    async fn profiles_of(&self, user: &str) -> Result<Vec<String>> {
        let of_user = format!("crm.profiles WHERE user_id = '{user}'");
        self.base().lines(&PROFILES, &of_user).await
    }

    /// Each customer of a user with the type of the profile that it points at.
    async fn customers_of(&self, user: &str) -> Result<Vec<String>> {
        let of_user =
            format!("crm.customers c LEFT JOIN crm.profiles p ON p.id = c.profile_id WHERE c.user_id = '{user}'");
        self.base()
            .lines(&["c.organization_id", "p.profile_type"], &of_user)
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crm_customers() -> Result<()> {
    let preset = Preset::set_up("crm-customers").await?;

    // A second organization reuses the customer profile, makes the second customer row with its profile set, and moves
    // that profile's organization and no other's.
    let both = json!({"user_id": "mia", "organization_id": "supply", "profile_types": ["customer", "vendor"]});
    preset
        .play(&[cloud_event("created", "m1", 1, &both), joined("m2", 2, "mia", "acme")])
        .await?;
    let first = preset
        .base()
        .lines(&["id"], "crm.profiles WHERE profile_type = 'customer'")
        .await?;
    preset.play(&[joined("m3", 3, "mia", "book")]).await?;
    assert_eq!(
        preset.profiles_of("mia").await?,
        ["mia customer book active", "mia vendor supply active"]
    );
    assert_eq!(preset.customers_of("mia").await?, ["acme customer", "book customer"]);
    assert_eq!(
        preset
            .base()
            .lines(&["id"], "crm.profiles WHERE profile_type = 'customer'")
            .await?,
        first
    );

    // A user without a customer profile gets one, active: one who has none at all, and one who only sells.
    preset
        .play(&[
            cloud_event("created", "n1", 4, &json!({"user_id": "noa"})),
            joined("n2", 5, "noa", "acme"),
            cloud_event(
                "created",
                "v1",
                6,
                &json!({"user_id": "vic", "organization_id": "supply", "profile_types": ["vendor"]}),
            ),
            joined("v2", 7, "vic", "acme"),
        ])
        .await?;
    assert_eq!(preset.profiles_of("noa").await?, ["noa customer acme active"]);
    assert_eq!(
        preset.profiles_of("vic").await?,
        ["vic customer acme active", "vic vendor supply active"]
    );

    // The same organization twice makes nothing new, and heals a row whose profile is null: one of the old system, and
    // one that lost it since.
    let rows = ["id", "organization_id"];
    let of_leo = "crm.customers WHERE user_id = 'leo'";
    let old = preset.base().lines(&rows, of_leo).await?;
    assert_eq!(preset.customers_of("leo").await?, ["acme -"]);
    preset.play(&[joined("l1", 8, "leo", "acme")]).await?;
    assert_eq!(preset.customers_of("leo").await?, ["acme customer"]);
    preset
        .base()
        .execute("UPDATE @customers SET profile_id = NULL WHERE user_id = 'leo'")
        .await?;
    preset.play(&[joined("l2", 9, "leo", "acme")]).await?;
    assert_eq!(preset.customers_of("leo").await?, ["acme customer"]);
    assert_eq!(preset.base().lines(&rows, of_leo).await?, old);
    assert_eq!(preset.base().number("count(*)", "@dead_letters").await?, 0);

    fifty_joins_through_four_workers(&preset).await
}

/// 50 concurrent joins, 25 to each of two organizations, through 4 workers end in 1 profile, 2 customers, 0 dead letters
/// and 0 unique violations in the log of PostgreSQL.
async fn fifty_joins_through_four_workers(preset: &Preset) -> Result<()> {
    let before = preset.base().number("count(*)", "@ledger").await?;
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(preset.worker().await?);
    }
    let client = preset.deployment.client().await?;
    let mut publishing = tokio::task::JoinSet::new();
    for n in 0..50 {
        let client = client.clone();
        // All at one time, and most of them late for the others.
        let event = joined(
            &format!("s{n}"),
            100 - n % 7,
            "sam",
            if n % 2 == 0 { "acme" } else { "book" },
        );
        publishing.spawn(async move {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Content-Type", "application/cloudevents+json");
            let sent = client.publish_with_headers("user.joined", headers, event.to_string().into());
            sent.await?.await?;
            anyhow::Ok(())
        });
    }
    while let Some(sent) = publishing.join_next().await {
        sent??;
    }
    preset.entered(before + 50).await?;
    for worker in &mut workers {
        worker.signal("TERM")?;
    }
    for worker in workers {
        worker.finished(crate::deployment::PATIENCE).await?.success()?;
    }
    assert_eq!(preset.profiles_of("sam").await?.len(), 1);
    assert_eq!(preset.customers_of("sam").await?, ["acme customer", "book customer"]);
    assert_eq!(preset.base().number("count(*)", "@dead_letters").await?, 0);
    let log = preset.base().server.as_ref().context("a server")?.log();
    let violations: Vec<&str> = log.lines().filter(|line| line.contains("unique constraint")).collect();
    assert_eq!(violations, Vec::<&str>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_of_crm_customers_ends_as_it_must() -> Result<()> {
    let preset = Preset::set_up("crm-customers").await?;
    assert_eq!(preset.demo().await?, Vec::<String>::new());
    assert_eq!(preset.demo().await?, Vec::<String>::new(), "and again");
    preset
        .base()
        .execute("UPDATE @profiles SET status = 'draft' WHERE user_id = 'noa'")
        .await?;
    let wrong = preset.demo().await?;
    assert_eq!(
        wrong,
        [
            "missing profile: noa customer acme active",
            "surplus profile: noa customer acme draft"
        ]
    );
    Ok(())
}
