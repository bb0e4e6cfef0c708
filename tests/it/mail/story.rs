//! A welcome and a new password.

use anyhow::Result;
use serde_json::{Value, json};

use super::{at_once, created, header, mailing, readable, result};
use crate::deployment::PATIENCE;
use crate::harness::smtp::Encryption;
use crate::harness::wait::wait_for;
use crate::world::{Base, cloud_event, on_both};

on_both!(
    a_welcome_and_a_reset_reach_the_server,
    who_asks_for_no_mail_gets_none,
    a_mail_goes_to_whom_the_user_is_by_now,
    a_mail_never_goes_to_whoever_has_the_key_next,
    a_welcome_goes_to_the_customer_where_that_is_wanted,
);

const LINK: &str = "https://id.harbour-books.example/reset?token=Zk3v&user=1";

fn reset(id: &str, user: &str) -> Value {
    cloud_event(
        "password_reset",
        id,
        5,
        &json!({"user_id": user, "link": LINK, "code": "493-127"}),
    )
}

async fn a_welcome_and_a_reset_reach_the_server(base: Base) -> Result<()> {
    let (deployment, smtp) = mailing(base, Encryption::StartTls).await?;
    let mut ada = created("ada");
    ada["data"]["full_name"] = json!("Ada\n<b>&Co");
    deployment.publish(&[ada, reset("r1", "ada")]).await?;
    let worked = deployment.run(&["run", "--drain"]).await?.success()?;
    let mut mails = smtp.has(2).await?;
    // Which of the two goes first is nobody's promise.
    mails.sort_by_key(|mail| !header(mail, "Subject").starts_with("Welcome"));
    for mail in &mails {
        let expected = json!({"from": "no-reply@harbour-books.example", "to": ["ada@example.com"],
                              "encrypted": true, "user": "rollcall"});
        assert_eq!(mail.envelope, expected);
        let head = ["From", "To", "Auto-Submitted", "MIME-Version"].map(|name| header(mail, name));
        let expected = [
            "\"Harbour Books\" <no-reply@harbour-books.example>",
            "ada@example.com",
            "auto-generated",
            "1.0",
        ];
        assert_eq!(head, expected.map(str::to_owned));
        assert!(
            header(mail, "Content-Type").starts_with("multipart/alternative"),
            "{}",
            readable(mail)
        );
        let id = header(mail, "Message-ID");
        assert!(id.starts_with('<') && id.ends_with("@harbour-books.example>"), "{id}");
    }
    let [welcome, reset] = [readable(&mails[0]), readable(&mails[1])];
    assert_eq!(header(&mails[0], "Subject"), "Welcome, Ada <b>&Co");
    assert!(welcome.contains("\nHello Ada <b>&Co,\n"), "{welcome}");
    assert!(welcome.contains("<p>Hello Ada &lt;b&gt;&amp;Co,</p>"), "{welcome}");
    assert!(welcome.contains("sign in with ada@example.com."), "{welcome}");
    assert_eq!(header(&mails[1], "Subject"), "Your new password");
    assert!(reset.contains(&format!("\nChoose it here: {LINK}\n")), "{reset}");
    assert!(
        reset.contains("href=\"https://id.harbour-books.example/reset?token=Zk3v&amp;user=1\""),
        "{reset}"
    );
    assert!(reset.contains("\nYour code is: 493-127\n"), "{reset}");

    let told = result(&deployment, "ada", "user.created").await?;
    let expected = json!({"success": true, "user": "ada", "message": "the user is there", "email_sent": true,
                          "email_error": null});
    assert_eq!(told, expected);
    let told = result(&deployment, "ada", "user.password_reset").await?;
    assert_eq!(
        told,
        json!({"success": true, "message": "the mail was sent", "email_sent": true, "error": null})
    );

    let base = &deployment.base;
    let kept = base.lines(&["data"], "@ledger").await?.concat();
    assert!(
        kept.contains("redacted") && !kept.contains("Zk3v") && !kept.contains("493-127"),
        "{kept}"
    );
    assert_eq!(
        base.number("count(*)", "@mails WHERE sent_at IS NOT NULL AND secret IS NULL")
            .await?,
        2
    );
    for secret in ["Zk3v", "493-127", "ada@example.com"] {
        assert!(!worked.stderr.contains(secret), "{secret} in {}", worked.stderr);
    }
    assert_eq!(
        base.line(&["version"], "@profiles").await?,
        "1",
        "a reset means nothing to the fold"
    );

    // What a worker leaves that died before it could write down that the server has the mail.
    let before = [header(&mails[0], "Message-ID"), header(&mails[1], "Message-ID")];
    base.execute("UPDATE @mails SET sent_at = NULL, next_at = ordered_at WHERE kind = 'welcome'")
        .await?;
    deployment.drain().await?;
    let again = smtp.has(3).await?;
    assert_eq!(header(&again[2], "Message-ID"), before[0], "the same mail once more");
    assert_ne!(before[0], before[1]);
    Ok(())
}

async fn who_asks_for_no_mail_gets_none(base: Base) -> Result<()> {
    let (mut deployment, smtp) = mailing(base, Encryption::Plain).await?;
    let mut found = created("found");
    found["createdvia"] = json!("backfill");
    let known = cloud_event(
        "updated",
        "known",
        1,
        &json!({"user_id": "known", "email": "known@example.com"}),
    );
    let refused = cloud_event("deleted", "refused", 1, &json!({"user_id": "Administrator"}));
    deployment.publish(&[found, known, refused]).await?;
    deployment.drain().await?;
    // The same again, and a creation of who is there already.
    deployment.run(&["replay"]).await?.success()?;
    let mut again = created("found");
    // After the other one, at the same time.
    again["id"] = json!("found again");
    deployment.publish(&[again]).await?;
    deployment.drain().await?;
    assert_eq!(deployment.base.number("count(*)", "@mails").await?, 0);

    // News of the day before yesterday, as a replay into an empty database brings it.
    deployment.set("ROLLCALL__MAIL__MAX_AGE", "1s");
    deployment.publish(&[created("old"), reset("old", "old")]).await?;
    let began = rollcall::clock::monotonic();
    wait_for("the events to be old", PATIENCE, async || {
        (began.elapsed() > std::time::Duration::from_millis(1_200)).then_some(())
    })
    .await?;
    deployment.drain().await?;
    assert_eq!(deployment.base.number("count(*)", "@mails").await?, 0);
    assert!(smtp.mails()?.is_empty());
    let told = result(&deployment, "old", "user.password_reset").await?;
    assert_eq!(
        (&told["success"], &told["email_sent"]),
        (&json!(true), &json!(false)),
        "{told}"
    );
    Ok(())
}

async fn a_mail_goes_to_whom_the_user_is_by_now(base: Base) -> Result<()> {
    let (mut deployment, smtp) = mailing(base, Encryption::Plain).await?;
    deployment.set("ROLLCALL__MAIL__WELCOME", "activation");
    // The reset overtakes the creation; then the user moves, and is activated under the old key.
    deployment.publish(&[reset("early", "ada")]).await?;
    deployment.drain().await?;
    let told = result(&deployment, "ada", "user.password_reset").await?;
    assert_eq!(
        (&told["email_sent"], &told["error"]),
        (&json!(false), &json!("nobody is known by this key"))
    );
    let renamed = json!({"user_id": "ada", "new_user_id": "countess", "new_email": "countess@example.com"});
    let events = [
        created("ada"),
        cloud_event("renamed", "2", 2, &renamed),
        cloud_event("activated", "3", 3, &json!({"user_id": "ada"})),
        cloud_event("archived", "4", 4, &json!({"user_id": "ada"})),
        cloud_event("reactivated", "5", 6, &json!({"user_id": "ada"})),
    ];
    deployment.publish(&events).await?;
    let mut worker = deployment.start(&["run"])?;
    let mails = smtp.has(2).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    for mail in &mails {
        assert_eq!(mail.envelope["to"], json!(["countess@example.com"]));
    }
    let mut subjects: Vec<String> = mails.iter().map(|mail| header(mail, "Subject")).collect();
    subjects.sort();
    assert_eq!(subjects, ["Welcome, Name of ada", "Your new password"]);
    Ok(())
}

/// A key that is free again is taken by a stranger while a mail for its former owner waits.
async fn a_mail_never_goes_to_whoever_has_the_key_next(base: Base) -> Result<()> {
    let (mut deployment, smtp) = mailing(base, Encryption::Plain).await?;
    deployment.set("ROLLCALL__MAIL__WELCOME", "never");
    smtp.refuse(Some("450 4.2.0 not now"))?;
    let mut nameless = created("eve");
    nameless["data"] = json!({"user_id": "eve"});
    let early = [
        created("ada"),
        created("bob"),
        reset("r-ada", "ada"),
        reset("r-bob", "bob"),
        reset("r-eve", "eve"),
    ];
    deployment.publish(&early).await?;
    deployment.drain().await?;
    // What overtook its user finds her now, and she has no address.
    deployment.publish(&[nameless]).await?;
    deployment.drain().await?;
    at_once(&deployment).await?;
    deployment.drain().await?;
    let told = result(&deployment, "eve", "user.password_reset").await?;
    assert_eq!(told["error"], json!("the user has no address"));

    let stranger = |key: &str| {
        let data = json!({"user_id": key, "email": format!("not-{key}@example.com")});
        cloud_event("created", &format!("stranger-{key}"), 9, &data)
    };
    let renamed = json!({"user_id": "ada", "new_user_id": "countess", "new_email": "countess@example.com"});
    let events = [
        cloud_event("renamed", "move", 7, &renamed),
        stranger("ada"),
        cloud_event("deleted", "end-bob", 7, &json!({"user_id": "bob"})),
        stranger("bob"),
        cloud_event("deleted", "end-eve", 7, &json!({"user_id": "eve"})),
        stranger("eve"),
        // Both at once: who is meant is decided by what came before, not by who is there when the batch ends.
        created("dan"),
        reset("r-dan", "dan"),
        cloud_event("deleted", "end-dan", 7, &json!({"user_id": "dan"})),
        stranger("dan"),
    ];
    deployment.publish(&events).await?;
    deployment.drain().await?;
    // It comes after all of that, and was meant for him who had the key at its time.
    deployment.publish(&[reset("r-late", "bob")]).await?;
    deployment.drain().await?;
    smtp.refuse(None)?;
    at_once(&deployment).await?;
    deployment.drain().await?;
    let mails = smtp.has(1).await?;
    assert_eq!(mails[0].envelope["to"], json!(["countess@example.com"]));
    let given_up = deployment.base.lines(
        &["event_id", "error"],
        "@mails WHERE given_up_at IS NOT NULL ORDER BY event_id",
    );
    let gone = ["r-bob", "r-dan", "r-eve", "r-late"].map(|id| format!("{id} the user is not there any more"));
    assert_eq!(given_up.await?, gone);
    Ok(())
}

async fn a_welcome_goes_to_the_customer_where_that_is_wanted(base: Base) -> Result<()> {
    let (mut deployment, smtp) = mailing(base, Encryption::Plain).await?;
    deployment
        .set("ROLLCALL__MAIL__WELCOME", "activation")
        .set("ROLLCALL__MAIL__WELCOME_TO", "customer")
        .set("ROLLCALL__CUSTOMERS__LOOKUP", "table")
        .set("ROLLCALL__CUSTOMERS__TABLE", "crm")
        .set("ROLLCALL__CUSTOMERS__REQUIRE_VERIFIED_EMAIL", "false");
    let customers = "CREATE TABLE crm (id INTEGER PRIMARY KEY, email TEXT); CREATE INDEX crm_email ON crm (lower(email)); \
                     INSERT INTO crm VALUES (7, 'ada@example.com'), (8, 'bea@example.com'), (9, 'cas@example.com')";
    deployment.base.script(customers).await?;
    let users = ["ada", "bea", "cas", "dan"];
    deployment.publish(&users.map(created)).await?;
    deployment.drain().await?;
    // Whatever the customer says by the time of the mail: another address, none, or nothing that is one.
    let later = "UPDATE crm SET email = 'office@ada.example' WHERE id = 7; UPDATE crm SET email = ' ' WHERE id = 8; \
                 UPDATE crm SET email = 'call us' WHERE id = 9";
    deployment.base.script(later).await?;
    let activated = users.map(|user| cloud_event("activated", &format!("a {user}"), 2, &json!({"user_id": user})));
    deployment.publish(&activated).await?;
    deployment.publish(&[reset("r1", "ada")]).await?;
    deployment.drain().await?;
    let mails = smtp.has(5).await?;
    let to = |subject: &str| {
        let kind = mails.iter().filter(|mail| header(mail, "Subject").starts_with(subject));
        let mut to: Vec<String> = kind.map(|mail| mail.envelope["to"].to_string()).collect();
        to.sort();
        to.join(" ")
    };
    assert_eq!(
        to("Welcome"),
        r#"["bea@example.com"] ["cas@example.com"] ["dan@example.com"] ["office@ada.example"]"#
    );
    assert_eq!(
        to("Your new password"),
        r#"["ada@example.com"]"#,
        "a secret is the user's"
    );
    Ok(())
}
