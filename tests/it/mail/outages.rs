//! A mail server that is down, or says no: no profile waits for it, and every mail is sent in the end or given up.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{at_once, created, header, mailing, result};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::smtp::Encryption;
use crate::harness::wait::wait_for;
use crate::world::{Base, Which, on_both};

on_both!(
    a_server_that_is_down_or_refuses_delays_nobody,
    a_server_that_is_a_stranger_gets_nothing,
    a_server_that_blocks_us_loses_no_mail,
    a_mail_that_the_server_has_is_not_sent_again,
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

async fn a_server_that_blocks_us_loses_no_mail(base: Base) -> Result<()> {
    let (mut deployment, smtp) = mailing(base, Encryption::Plain).await?;
    deployment.set("ROLLCALL__MAIL__RETRY", "1m");
    smtp.refuse(Some("554 5.7.1 Service unavailable; client host blocked"))?;
    let users: Vec<Value> = (0..6).map(|n| created(&format!("u{n}"))).collect();
    deployment.publish(&users).await?;
    deployment.drain().await?;
    let base = &deployment.base;
    assert_eq!(base.number("count(*)", "@mails WHERE next_at IS NOT NULL").await?, 6);
    assert_eq!(
        base.number("count(*)", "@mails WHERE given_up_at IS NOT NULL").await?,
        0
    );
    // One while it ran, one as it ended: the others were not even shown to a server that refuses us.
    let tried = base.number("sum(attempts)", "@mails").await?;
    assert!((1..=2).contains(&tried), "{tried}");
    smtp.refuse(None)?;
    at_once(&deployment).await?;
    deployment.drain().await?;
    smtp.has(6).await?;
    Ok(())
}

/// Nothing but the line that says that the server has a mail cannot be written.
async fn a_mail_that_the_server_has_is_not_sent_again(base: Base) -> Result<()> {
    let (deployment, smtp) = mailing(base, Encryption::Plain).await?;
    let base = &deployment.base;
    let (make, end) = match base.which {
        Which::Sqlite => (
            "CREATE TRIGGER forgetful BEFORE UPDATE ON @mails WHEN NEW.sent_at IS NOT NULL \
             BEGIN SELECT RAISE(ABORT, 'not now'); END",
            "DROP TRIGGER forgetful",
        ),
        Which::Postgres => (
            "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END'; \
             CREATE TRIGGER forgetful BEFORE UPDATE ON @mails FOR EACH ROW WHEN (NEW.sent_at IS NOT NULL) \
             EXECUTE FUNCTION forget()",
            "DROP TRIGGER forgetful ON @mails",
        ),
    };
    base.script(make).await?;
    let mut worker = deployment.start(&["run"])?;
    deployment.publish(&[created("ada")]).await?;
    smtp.has(1).await?;
    worker.logged("mail waits for the database", PATIENCE).await?;
    // It is due again, as after the time that another worker would leave it alone.
    at_once(&deployment).await?;
    base.script(end).await?;
    told(&deployment, "ada", |told| told["email_sent"] == json!(true)).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    smtp.has(1).await?;
    assert_eq!(base.number("max(attempts)", "@mails").await?, 1);
    Ok(())
}
