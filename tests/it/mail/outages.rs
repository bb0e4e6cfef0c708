//! A mail server that is down, or says no: no profile waits for it, and every mail is sent in the end or given up.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{created, header, mailing, result};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::smtp::Encryption;
use crate::harness::wait::wait_for;
use crate::world::{Base, on_both};

on_both!(
    a_server_that_is_down_or_refuses_delays_nobody,
    a_server_that_is_a_stranger_gets_nothing,
);

/// Waits until what is told of the welcome of a user fits.
async fn told(deployment: &Deployment, user: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    let found = wait_for("the news of a mail", PATIENCE, async || {
        last = result(deployment, user, "user.created").await.ok()?;
        fits(&last).then(|| last.clone())
    });
    let found = found.await;
    found.with_context(|| format!("last: {last}"))
}

/// Whatever waits is tried without waiting.
async fn at_once(deployment: &Deployment) -> Result<()> {
    let waiting = "UPDATE @mails SET next_at = ordered_at WHERE next_at IS NOT NULL";
    deployment.base.execute(waiting).await?;
    Ok(())
}

fn error(told: &Value) -> &str {
    told["email_error"].as_str().unwrap_or_default()
}

async fn a_server_that_is_down_or_refuses_delays_nobody(base: Base) -> Result<()> {
    let (deployment, mut smtp) = mailing(base, Encryption::StartTls).await?;
    smtp.stop().await?;
    let mut worker = deployment.start(&["run"])?;
    let down: Vec<Value> = (0..20).map(|n| created(&format!("down{n}"))).collect();
    deployment.publish(&down).await?;
    deployment.ledger_reaches(20).await?;
    assert_eq!(deployment.base.number("count(*)", "@profiles").await?, 20);
    let shown = told(&deployment, "down0", |told| !error(told).is_empty()).await?;
    assert_eq!(
        (&shown["success"], &shown["email_sent"]),
        (&json!(true), &json!(false)),
        "{shown}"
    );

    smtp.refuse(Some("450 4.2.0 not now"))?;
    smtp.restart().await?;
    let shown = told(&deployment, "down0", |told| error(told).contains("450")).await?;
    assert_eq!(shown["email_sent"], json!(false));
    smtp.refuse(None)?;
    let mails = smtp.has(20).await?;
    let mut ids: Vec<String> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20, "each once");
    let shown = told(&deployment, "down0", |told| told["email_sent"] == json!(true)).await?;
    assert_eq!(shown["email_error"], json!(null));
    assert!(deployment.base.number("max(attempts)", "@mails").await? > 1);

    smtp.refuse(Some("550 5.1.1 <no@example.com>: no such user here"))?;
    deployment.publish(&[created("no")]).await?;
    let given_up = "@mails WHERE event_id = 'created-no' AND given_up_at IS NOT NULL AND next_at IS NULL";
    wait_for("a mail that is given up", PATIENCE, async || {
        let found = deployment.base.number("count(*)", given_up).await.ok()?;
        (found == 1).then_some(())
    })
    .await
    .with_context(|| worker.log())?;
    let shown = result(&deployment, "no", "user.created").await?;
    assert!(
        error(&shown).contains("550") && shown["success"] == json!(true),
        "{shown}"
    );
    smtp.refuse(None)?;
    deployment.publish(&[created("yes")]).await?;
    let mails = smtp.has(21).await?;
    assert_eq!(
        mails[20].envelope["to"],
        json!(["yes@example.com"]),
        "nobody waits for the one who is refused"
    );
    worker.signal("TERM")?;
    let log = worker.finished(PATIENCE).await?.success()?.stderr;
    assert!(
        log.contains("mail given up") && !log.contains("no@example.com"),
        "{log}"
    );
    Ok(())
}

async fn a_server_that_is_a_stranger_gets_nothing(base: Base) -> Result<()> {
    let (mut deployment, smtp) = mailing(base, Encryption::Implicit).await?;
    let (ca, stranger) = (&smtp.certificates.ca, &smtp.certificates.stranger);
    deployment.set("ROLLCALL__MAIL__CA_FILE", &stranger.display().to_string());
    deployment.publish(&[created("ada")]).await?;
    deployment.drain().await?;
    let shown = result(&deployment, "ada", "user.created").await?;
    assert_eq!(
        (&shown["email_sent"], error(&shown).is_empty()),
        (&json!(false), false),
        "{shown}"
    );

    deployment.set("ROLLCALL__MAIL__CA_FILE", &ca.display().to_string());
    let wrong = smtp.folder().join("wrong");
    std::fs::write(&wrong, "open barley")?;
    let right = smtp.folder().join("password").display().to_string();
    deployment.set("ROLLCALL__MAIL__PASSWORD_FILE", &wrong.display().to_string());
    at_once(&deployment).await?;
    let mut worker = deployment.start(&["run"])?;
    let refused = told(&deployment, "ada", |told| error(told).contains("535")).await;
    refused.with_context(|| worker.log())?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert!(smtp.mails()?.is_empty());

    // That it does not take us is no fault of the mail: it is still there.
    deployment.set("ROLLCALL__MAIL__PASSWORD_FILE", &right);
    at_once(&deployment).await?;
    let mut worker = deployment.start(&["run"])?;
    let mails = smtp.has(1).await?;
    assert_eq!(mails[0].envelope["encrypted"], json!(true));
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(())
}
