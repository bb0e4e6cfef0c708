//! Mail through a real server: what it received, byte for byte, and what is recorded of it.

mod outages;
mod settings;
mod story;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::harness::smtp::{Encryption, Mail, Smtp};
use crate::world::{Base, cloud_event};

/// A deployment that sends mail through a server of its own.
async fn mailing(base: Base, encryption: Encryption) -> Result<(Deployment, Smtp)> {
    let smtp = Smtp::start(encryption).await?;
    let mut deployment = Deployment::around(base).await?;
    let password = smtp.folder().join("password");
    std::fs::write(&password, "open sesame\n")?;
    deployment
        .set("ROLLCALL__MAIL__SERVER", &smtp.url())
        .set("ROLLCALL__MAIL__FROM", "Harbour Books <no-reply@harbour-books.example>")
        .set("ROLLCALL__MAIL__RETRY", "200ms")
        .set("ROLLCALL__OUTBOX__POLL", "50ms");
    if encryption == Encryption::Plain {
        deployment.set("ROLLCALL__MAIL__ENCRYPT", "false");
    } else {
        let ca = smtp.certificates.ca.display().to_string();
        deployment
            .set("ROLLCALL__MAIL__USER", "rollcall")
            .set("ROLLCALL__MAIL__PASSWORD_FILE", &password.display().to_string())
            .set("ROLLCALL__MAIL__CA_FILE", &ca);
    }
    Ok((deployment, smtp))
}

/// Whatever waits is tried without waiting.
async fn at_once(deployment: &Deployment) -> Result<()> {
    let waiting = "UPDATE @mails SET next_at = ordered_at WHERE next_at IS NOT NULL";
    deployment.base.execute(waiting).await?;
    Ok(())
}

/// A creation of a user with an address.
fn created(id: &str) -> Value {
    let data = json!({"user_id": id, "email": format!("{id}@example.com"), "full_name": format!("Name of {id}")});
    cloud_event("created", &format!("created-{id}"), 1, &data)
}

/// What whoever asked for the last event of a type gets to know.
async fn result(deployment: &Deployment, user: &str, kind: &str) -> Result<Value> {
    let told = deployment.run(&["explain", user, "--json"]).await?;
    let lines = told.stdout.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
    let line = lines.iter().rev().find(|line| line["type"] == json!(kind));
    Ok(line.with_context(|| format!("{told:?}"))?["result"].clone())
}

/// The text of a mail with what quoted-printable did to it undone, as far as our texts need it.
fn readable(mail: &Mail) -> String {
    let text = String::from_utf8_lossy(&mail.bytes).into_owned();
    text.replace("=\r\n", "").replace("=3D", "=").replace("\r\n", "\n")
}

/// The value of a header.
fn header(mail: &Mail, name: &str) -> String {
    let text = readable(mail);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_default().to_owned()
}
