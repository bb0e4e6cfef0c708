//! `client-profile`: an ERP whose hook made a Client Profile for each new user.

use anyhow::Result;
use serde_json::{Value, json};

use super::Preset;
use crate::world::cloud_event;

const VIEW: &str = "\"tabClient Profile\"";

fn event(kind: &str, id: &str, minute: i64, user: &str) -> Value {
    cloud_event(kind, id, minute, &json!({"user_id": user}))
}

impl Preset {
    /// The Client Profiles through the old name: user, customer, name, status.
    async fn clients(&self) -> Result<Vec<String>> {
        let columns = ["\"user\"", "customer", "client_name", "profile_status"];
        self.base().lines(&columns, VIEW).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_profile() -> Result<()> {
    let preset = Preset::set_up("client-profile").await?;

    // Created makes exactly one client profile, Draft, named after the full name or the first name, and linked to the
    // customer with the same email if there is one; the hook never says that an address is verified.
    let created = [
        cloud_event(
            "created",
            "1",
            1,
            &json!({"user_id": "ada", "email": "ADA@moreau.example", "full_name": "Ada Moreau", "first_name": "Ada"}),
        ),
        cloud_event(
            "created",
            "2",
            2,
            &json!({"user_id": "bea", "email": "bea@bell.example", "first_name": "Bea"}),
        ),
        cloud_event(
            "created",
            "3",
            3,
            &json!({"user_id": "cas", "email": "cas@nowhere.example"}),
        ),
    ];
    preset.play(&created).await?;
    let made = [
        "ada CUST-00001 Ada Moreau Draft",
        "bea CUST-00002 Bea Draft",
        "cas - cas Draft",
    ];
    assert_eq!(preset.clients().await?, made);

    // Running it again changes nothing, under the same ids or others.
    let rows = preset.base().lines(&["\"name\"", "\"user\"", "creation"], VIEW).await?;
    preset.play(&created).await?;
    let mut again = created.clone();
    for event in &mut again {
        event["id"] = json!(format!("again {}", event["id"]));
    }
    preset.play(&again).await?;
    assert_eq!(
        preset.base().lines(&["\"name\"", "\"user\"", "creation"], VIEW).await?,
        rows
    );
    assert_eq!(preset.clients().await?, made);

    // The profile is there at the first login: a lone event waits for nobody.
    preset.play(&[event("updated", "4", 4, "dan")]).await?;
    assert_eq!(preset.clients().await?.len(), 4);

    // Draft → Active → Archived → Active; activation requires columns of the linked customer and makes the player.
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
    let players = ["\"user\"", "profile_status"];
    assert_eq!(
        preset.base().lines(&players, "\"tabPlayer Profile\"").await?,
        ["ada Active"]
    );
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

    // What is filled later counts for the next activation.
    preset
        .base()
        .execute("UPDATE \"tabCustomer\" SET mobile_no = '1' WHERE name = 'CUST-00002'")
        .await?;
    preset.play(&[event("activated", "10", 10, "bea")]).await?;
    assert_eq!(preset.clients().await?[1], "bea CUST-00002 Bea Active");
    assert_eq!(
        preset.base().lines(&players, "\"tabPlayer Profile\"").await?,
        ["ada Active", "bea Active"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_of_client_profile_ends_as_it_must() -> Result<()> {
    let preset = Preset::set_up("client-profile").await?;
    assert_eq!(preset.demo().await?, Vec::<String>::new());
    assert_eq!(preset.demo().await?, Vec::<String>::new(), "and again");
    Ok(())
}
