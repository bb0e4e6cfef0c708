//! Creating a user succeeds though the welcome fails, and whoever asked is told.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::created;
use crate::harness::smtp::{Encryption, Smtp};
use crate::presets::Preset;
use crate::world::cloud_event;

impl Preset {
    /// What is told of one event of a user.
    async fn told(&self, user: &str, event: &str) -> Result<Value> {
        let told = self.rollcall(&["explain", user, "--json"]).await?.success()?;
        let lines = told.stdout.lines().map(serde_json::from_str);
        let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
        let line = lines.into_iter().find(|line| line["id"] == json!(event));
        let mut line = line.with_context(|| format!("{told:?}"))?;
        Ok(line["result"].take())
    }
}

/// The text of an error, taken out so that the rest can be compared.
fn take_text(told: &mut Value, name: &str) -> String {
    told[name].take().as_str().unwrap_or_default().to_owned()
}

fn reset(id: &str, minute: i64) -> Value {
    let data = json!({"user_id": "Zoe@crew.example", "code": "493-127"});
    cloud_event("password_reset", id, minute, &data)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crew_users_are_there_though_no_mail_goes_out() -> Result<()> {
    // As it is shipped: nobody listens.
    let mut preset = Preset::set_up("crew-users").await?;
    let zoe = json!({"user_id": "zoe@crew.example", "full_name": "Zoe Lind", "phone": "ask her"});
    let outcomes = preset.play(&[created("zoe", &zoe)]).await?;
    assert_eq!(outcomes["applied"], json!(1), "{outcomes}");
    let user = "zoe@crew.example zoe@crew.example Zoe Lind - - false";
    assert_eq!(preset.user("zoe@crew.example").await?, user);
    let mut told = preset.told("zoe@crew.example", "zoe").await?;
    assert_ne!(take_text(&mut told, "email_error"), "");
    let expected = json!({"success": true, "user": "zoe@crew.example", "message": "the user is there",
                          "email_sent": false, "email_error": null});
    assert_eq!(told, expected);

    // A server that takes nobody's mail.
    let smtp = Smtp::start(Encryption::Plain).await?;
    preset
        .deployment
        .set("ROLLCALL__MAIL__SERVER", &smtp.url())
        .set("ROLLCALL__MAIL__FROM", "no-reply@crew.example")
        .set("ROLLCALL__MAIL__ENCRYPT", "false");
    smtp.refuse(Some("550 5.1.1 there is no such mailbox"))?;
    preset.play(&[reset("forgot", 2)]).await?;
    let mut told = preset.told("zoe@crew.example", "forgot").await?;
    let error = take_text(&mut told, "error");
    assert!(error.contains("550") && !error.contains("493-127"), "{error}");
    let expected = json!({"success": true, "message": "the mail is not sent", "email_sent": false, "error": null});
    assert_eq!(told, expected);

    // And one that does.
    smtp.refuse(None)?;
    preset.play(&[reset("forgot again", 3)]).await?;
    let told = preset.told("zoe@crew.example", "forgot again").await?;
    let expected = json!({"success": true, "message": "the mail was sent", "email_sent": true, "error": null});
    assert_eq!(told, expected);
    let mails = smtp.mails()?;
    let sent = mails
        .iter()
        .any(|mail| String::from_utf8_lossy(&mail.bytes).contains("493-127"));
    assert!(sent, "{} mails", mails.len());
    assert_eq!(preset.user("zoe@crew.example").await?, user);
    assert_eq!(preset.base().number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}
