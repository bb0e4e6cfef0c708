//! `crew-users`: user records whose primary key is the email address.

mod belongings;
mod followed;
mod mails;

use anyhow::Result;
use serde_json::{Value, json};

use super::Preset;
use crate::world::cloud_event;

use belongings::CREW;

const VIEW: &str = "crew.users";

fn created(id: &str, data: &Value) -> Value {
    cloud_event("created", id, 1, data)
}

fn renamed(id: &str, minute: i64, from: &str, to: &str) -> Value {
    cloud_event("renamed", id, minute, &json!({"user_id": from, "new_user_id": to}))
}

fn deleted(id: &str, minute: i64, user: &str) -> Value {
    cloud_event("deleted", id, minute, &json!({"user_id": user}))
}

impl Preset {
    /// One user through the old name: key, address, full name, telephone number, role, whether an admin.
    async fn user(&self, name: &str) -> Result<String> {
        let columns = ["name", "email", "full_name", "phone", "role_profile", "is_admin"];
        self.base()
            .line(&columns, &format!("{VIEW} WHERE name = '{name}'"))
            .await
    }

    /// What the ledger says of the steps of an event.
    async fn noted(&self, event: &str) -> Result<Value> {
        let of_event = format!("@ledger WHERE event_id = '{event}'");
        Ok(serde_json::from_str(
            &self.base().line(&["cascades"], &of_event).await?,
        )?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crew_users() -> Result<()> {
    let preset = Preset::set_up("crew-users").await?;
    created_mirrors_the_user(&preset).await?;
    keys_fold_case_and_a_new_key_is_a_new_address(&preset).await?;
    an_admin_is_one_by_key_or_by_role(&preset).await?;
    followed::a_rename_goes_through_in_order(&preset).await?;
    followed::a_deletion_removes_what_was_theirs(&preset).await?;
    followed::each_step_is_isolated(&preset).await?;
    followed::each_step_of_a_rename_is_isolated(&preset).await?;
    administrator_stays(&preset).await
}

/// Created mirrors the user. When the database refuses the full record, it falls back to the minimal fields, so that no
/// user is without one. The `Administrator` of the installation has no address, and gets a profile without.
async fn created_mirrors_the_user(preset: &Preset) -> Result<()> {
    let full = json!({
        "user_id": "abe@crew.example", "email": "abe@crew.example", "first_name": "Abe", "last_name": "Moreau",
        "full_name": "Abe Moreau", "phone": "+33 2 98 00 00 01", "metadata": {"role_profile": "Deckhand"},
    });
    let mut refused = full.clone();
    refused["user_id"] = json!("bea@crew.example");
    refused["email"] = json!("bea@crew.example");
    refused["phone"] = json!("ask the harbour master");
    let installed = json!({"user_id": "Administrator", "email": "admin", "full_name": "Administrator"});
    let outcomes = preset
        .play(&[
            created("abe", &full),
            created("bea", &refused),
            created("install", &installed),
        ])
        .await?;
    assert_eq!(outcomes["applied"], json!(3), "{outcomes}");
    assert_eq!(
        preset.user("abe@crew.example").await?,
        "abe@crew.example abe@crew.example Abe Moreau +33 2 98 00 00 01 Deckhand false"
    );
    assert_eq!(
        preset.user("bea@crew.example").await?,
        "bea@crew.example bea@crew.example Abe Moreau - - false"
    );
    assert_eq!(
        preset.user("Administrator").await?,
        "Administrator - Administrator - - true"
    );
    let kept = ["user_id", "first_name", "last_name", "degraded"];
    let degraded = preset
        .base()
        .lines(&kept, "@profiles WHERE degraded::text <> '[]'")
        .await?;
    let expected = [
        "administrator - - [\"email\"]",
        "bea@crew.example Abe - [\"last_name\",\"metadata\",\"phone\"]",
    ];
    assert_eq!(degraded, expected);
    assert_eq!(preset.base().number("count(*)", "@dead_letters").await?, 0);

    // A number that the rule takes heals it.
    let healed = json!({"user_id": "bea@crew.example", "phone": "0298000002"});
    preset.play(&[cloud_event("updated", "bea-2", 2, &healed)]).await?;
    let bea = preset.user("bea@crew.example").await?;
    assert!(bea.contains(" 0298000002 "), "{bea}");
    Ok(())
}

async fn keys_fold_case_and_a_new_key_is_a_new_address(preset: &Preset) -> Result<()> {
    preset
        .play(&[
            created(
                "cas",
                &json!({"user_id": "Cas.Nil@Crew.Example", "full_name": "Cas Nil"}),
            ),
            cloud_event(
                "updated",
                "cas-2",
                2,
                &json!({"user_id": "CAS.NIL@crew.example", "phone": "12345"}),
            ),
        ])
        .await?;
    assert_eq!(
        preset.user("cas.nil@crew.example").await?,
        "cas.nil@crew.example cas.nil@crew.example Cas Nil 12345 - false"
    );
    preset
        .play(&[renamed("cas-3", 3, "cas.nil@crew.example", "Cas.Lind@Crew.example")])
        .await?;
    assert_eq!(preset.user("cas.nil@crew.example").await?, "");
    assert_eq!(
        preset.user("cas.lind@crew.example").await?,
        "cas.lind@crew.example cas.lind@crew.example Cas Nil 12345 - false"
    );
    // Nobody moves: it is the same key in other letters.
    preset
        .play(&[renamed("cas-4", 4, "cas.lind@crew.example", "CAS.LIND@CREW.EXAMPLE")])
        .await?;
    assert_eq!(
        preset
            .base()
            .number("count(*)", "crew.users WHERE name LIKE 'cas%'")
            .await?,
        1
    );
    Ok(())
}

/// `is_admin` is the key `Administrator`, or the role profile of admins, and nothing else; the role follows the metadata.
async fn an_admin_is_one_by_key_or_by_role(preset: &Preset) -> Result<()> {
    let table = [
        ("r1@crew.example", json!({"role_profile": "Crew Admin"}), true),
        ("r2@crew.example", json!({"role_profile": "Deckhand"}), false),
        ("r3@crew.example", json!({"role_profile": "crew admin"}), false),
        ("r4@crew.example", json!({"role": "Crew Admin"}), false),
        ("r5@crew.example", json!({}), false),
        ("administrator@crew.example", Value::Null, false),
    ];
    let events: Vec<Value> = table
        .iter()
        .map(|(user, metadata, _)| created(user, &json!({"user_id": user, "metadata": metadata})))
        .collect();
    preset.play(&events).await?;
    let is_admin = async |user: &str| -> Result<String> {
        let of_user = format!("{VIEW} WHERE name = '{user}'");
        preset.base().line(&["is_admin"], &of_user).await
    };
    for (user, metadata, expected) in &table {
        assert_eq!(is_admin(user).await?, expected.to_string(), "{user} {metadata}");
    }
    // The other way round.
    let role = |id: &str, user: &str, metadata: Value| {
        cloud_event("updated", id, 5, &json!({"user_id": user, "metadata": metadata}))
    };
    preset
        .play(&[
            role("r1-2", "r1@crew.example", json!({"role_profile": "Deckhand"})),
            role("r2-2", "r2@crew.example", json!({"role_profile": "Crew Admin"})),
            role("install-2", "Administrator", json!({"role_profile": "Deckhand"})),
        ])
        .await?;
    for (user, expected) in [
        ("r1@crew.example", "false"),
        ("r2@crew.example", "true"),
        ("Administrator", "true"),
    ] {
        assert_eq!(is_admin(user).await?, expected, "{user}");
    }
    preset.play(&[role("r2-3", "r2@crew.example", Value::Null)]).await?;
    assert_eq!(
        is_admin("r2@crew.example").await?,
        "false",
        "a role that was taken away"
    );
    Ok(())
}

/// `Administrator` can be neither renamed nor deleted, nor can anyone be renamed to it, nor reach it through an alias.
async fn administrator_stays(preset: &Preset) -> Result<()> {
    let columns = preset.base().columns("profiles").await?;
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let row = "@profiles WHERE user_id = 'administrator'";
    let before = preset.base().line(&columns, row).await?;
    let admins = format!("{CREW} AS belongings WHERE owner = 'Administrator'");
    let belongings = preset.base().lines(&["what"], &admins).await?;

    let outcomes = preset
        .play(&[
            created("eve", &json!({"user_id": "eve@crew.example"})),
            renamed("p1", 10, "Administrator", "captain@crew.example"),
            deleted("p2", 11, "ADMINISTRATOR"),
            // Somebody who is there, somebody whom nobody knows, and somebody under a key that is an alias.
            renamed("p3", 12, "eve@crew.example", "administrator"),
            renamed("p4", 13, "ghost@crew.example", "Administrator"),
            renamed("p5", 14, "eve@crew.example", "eva@crew.example"),
            renamed("p6", 15, "eve@crew.example", "Administrator"),
            // Neither of the keys leads to it.
            cloud_event(
                "updated",
                "p7",
                16,
                &json!({"user_id": "ghost@crew.example", "full_name": "Ghost"}),
            ),
            deleted("p8", 17, "ghost@crew.example"),
            deleted("p9", 18, "eve@crew.example"),
        ])
        .await?;
    assert_eq!(outcomes["rejected"], json!({"protected_user": 5}), "{outcomes}");
    let letters = preset.base().lines(&["event_id", "reason"], "@dead_letters").await?;
    let expected = ["p1", "p2", "p3", "p4", "p6"].map(|id| format!("{id} protected_user"));
    assert_eq!(letters, expected);
    assert_eq!(preset.base().line(&columns, row).await?, before, "not a byte of it");
    assert_eq!(preset.base().lines(&["what"], &admins).await?, belongings);
    for gone in [
        "eve@crew.example",
        "eva@crew.example",
        "ghost@crew.example",
        "captain@crew.example",
    ] {
        assert_eq!(preset.user(gone).await?, "", "{gone}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_of_crew_users_ends_as_it_must() -> Result<()> {
    let preset = Preset::set_up("crew-users").await?;
    assert_eq!(preset.demo().await?, Vec::<String>::new());
    assert_eq!(preset.demo().await?, Vec::<String>::new(), "and again");
    let missing = preset.rollcall(&["cascade", "check"]).await?;
    assert_eq!(missing.code, 0, "{missing:?}");
    preset.base().execute("DELETE FROM crew.versions").await?;
    assert_eq!(preset.demo().await?.len(), 3);
    Ok(())
}
