//! An event that fails by its own fault: its neighbours are applied at once, it waits aside, and in the end it is buried
//! with the account of every attempt.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{PATIENCE_FOR_ATTEMPTS, RECOVERY, created, phoned, reaches, refuse_bad_phones, take_bad_phones};
use crate::deployment::{Deployment, PATIENCE, header};
use crate::world::{Base, Which, cloud_event, on_both};

on_both!(
    a_bad_event_ends_exhausted_and_its_neighbours_are_applied_at_once,
    a_bad_event_that_is_mended_meanwhile_is_applied,
    a_creation_is_applied_with_its_minimal_fields,
    many_bad_events_never_stop_good_ones,
    a_bare_event_keeps_its_identity_while_it_waits,
    a_refusal_beside_a_probe_that_fails_proves_nothing,
    garbage_whose_letter_is_refused_waits_and_delays_nobody,
);

async fn a_bad_event_ends_exhausted_and_its_neighbours_are_applied_at_once(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__MAX_ATTEMPTS", "3");
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    refuse_bad_phones(&deployment.base).await?;
    let mut events = created(0..100);
    events.extend(phoned(40..41, "bad"));
    deployment.publish(&events).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    reaches(&deployment.base, "@ledger", 100, RECOVERY).await?;
    reaches(&deployment.base, "@dead_letters", 1, PATIENCE_FOR_ATTEMPTS).await?;
    reaches(&deployment.base, "@outbox", 0, PATIENCE).await?;
    worker.signal("TERM")?;
    let finished = worker.finished(PATIENCE).await?.success()?;
    assert_eq!(finished.json()?["dead"], json!({"exhausted": 1}));
    assert_eq!(finished.json()?["outcomes"]["applied"], json!(100));
    assert!(!finished.stderr.contains("the brake holds"), "{}", finished.stderr);
    assert_eq!(deployment.base.number("count(*)", "@retries").await?, 0);

    let letters = deployment.dead_letters().await?;
    let [letter] = letters.as_slice() else {
        panic!("{} letters", letters.len())
    };
    assert_eq!(&letter.payload[..], events[100].to_string().as_bytes());
    let code = match deployment.base.which {
        Which::Sqlite => "1811",
        Which::Postgres => "23514",
    };
    for (name, expected) in [
        ("Rollcall-Reason", "exhausted"),
        ("Rollcall-Attempts", "3"),
        ("Rollcall-Code", code),
        ("Rollcall-Event-Id", "p40"),
        ("Rollcall-Sequence", "101"),
    ] {
        assert_eq!(header(letter, name), Some(expected), "{name}");
    }
    for name in ["Rollcall-Attempt-1", "Rollcall-Attempt-2", "Rollcall-Attempt-3"] {
        let account = header(letter, name).context(name)?;
        assert!(account.contains(code) && account.starts_with("20"), "{account}");
        assert!(!account.contains("bad"), "no data values: {account}");
    }
    assert_eq!(header(letter, "Rollcall-Attempt-4"), None);
    assert!(header(letter, "Rollcall-First-Attempt") < header(letter, "Rollcall-Last-Attempt"));
    Ok(())
}

async fn a_bad_event_that_is_mended_meanwhile_is_applied(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    refuse_bad_phones(&deployment.base).await?;
    let mut events = created(0..3);
    events.extend(phoned(1..2, "bad"));
    deployment.publish(&events).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    reaches(&deployment.base, "@retries WHERE judged > 0", 1, RECOVERY).await?;
    // Attempts outlive the worker, whichever way it ends.
    worker.signal("KILL")?;
    worker.finished(PATIENCE).await?;
    take_bad_phones(&deployment.base).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({}));
    assert_eq!(counts["outcomes"]["applied"], json!(1), "{counts}");
    assert_eq!(
        deployment
            .base
            .number("count(*)", "@profiles WHERE phone = 'bad'")
            .await?,
        1
    );
    assert_eq!(deployment.base.number("count(*)", "@retries").await?, 0);
    Ok(())
}

async fn a_creation_is_applied_with_its_minimal_fields(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    refuse_bad_phones(&deployment.base).await?;
    let data = json!({
        "user_id": "u", "email": "u@x.org", "email_verified": true, "first_name": "Ada", "last_name": "L",
        "full_name": "Ada L", "phone": "bad", "username": "ada", "metadata": {"a": 1},
    });
    deployment.publish(&[cloud_event("created", "1", 5, &data)]).await?;
    let counts = deployment.drain().await?;
    assert_eq!(
        (&counts["outcomes"]["applied"], &counts["dead"]),
        (&json!(1), &json!({}))
    );
    let columns = [
        "email",
        "first_name",
        "last_name",
        "full_name",
        "phone",
        "username",
        "degraded",
    ];
    let expected = "u@x.org Ada - Ada L - - [\"email_verified\",\"last_name\",\"metadata\",\"phone\",\"username\"]";
    assert_eq!(deployment.base.line(&columns, "@profiles").await?, expected);
    let ledger = deployment.base.line(&["reduced", "outcome", "data"], "@ledger").await?;
    assert!(
        ledger.starts_with("1 applied") || ledger.starts_with("true applied"),
        "{ledger}"
    );
    assert!(ledger.contains("bad"), "the ledger keeps all of it: {ledger}");

    // A late event folds the history again: that the creation was reduced is an input of it.
    let late = json!({"user_id": "u", "external_id": "x"});
    deployment.publish(&[cloud_event("updated", "2", 1, &late)]).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["outcomes"]["applied"], json!(1), "{counts}");
    assert_eq!(deployment.base.line(&columns, "@profiles").await?, expected);
    assert_eq!(deployment.base.line(&["external_id"], "@profiles").await?, "x");
    // And the same message again is a duplicate.
    let again = cloud_event("created", "1", 5, &data).to_string();
    let structured = ("Content-Type", "application/cloudevents+json");
    deployment.put("user.created", &[structured], again.as_bytes()).await?;
    assert_eq!(deployment.drain().await?["outcomes"]["duplicate"], json!(1));
    Ok(())
}

/// The reduced form is refused twice because others are in the way: that is no failure, and nobody is left without a record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reduced_creation_that_is_contended_is_tried_again() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Postgres).await?).await?;
    deployment.set("ROLLCALL__WORKER__MAX_ATTEMPTS", "1");
    refuse_bad_phones(&deployment.base).await?;
    deployment
        .base
        .script(
            "CREATE SEQUENCE tries; CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
             IF NEW.phone IS NULL AND nextval(''tries'') <= 2 THEN RAISE EXCEPTION ''busy'' USING ERRCODE = ''40001''; \
             END IF; RETURN NEW; END'; \
             CREATE TRIGGER busy BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION busy()",
        )
        .await?;
    let data = json!({"user_id": "ada", "full_name": "Ada", "phone": "bad"});
    deployment.publish(&[cloud_event("created", "c", 1, &data)]).await?;
    let counts = deployment.drain().await?;
    assert_eq!(counts["dead"], json!({}), "{counts}");
    assert_eq!(deployment.base.line(&["reduced"], "@ledger").await?, "1");
    assert_eq!(
        deployment.base.line(&["user_id", "full_name"], "@profiles").await?,
        "ada Ada"
    );
    Ok(())
}

async fn many_bad_events_never_stop_good_ones(base: Base) -> Result<()> {
    let mut deployment = Deployment::around(base).await?;
    deployment.set("ROLLCALL__WORKER__KILL_SWITCH", "1.0");
    deployment.set("ROLLCALL__WORKER__BATCH_MAX", "20");
    deployment.set("ROLLCALL__CONSUMER__MAX_ACK_PENDING", "20");
    refuse_bad_phones(&deployment.base).await?;
    // More bad ones than may be unacknowledged, and the good ones behind them.
    let mut events = phoned(0..60, "bad");
    events.extend(created(100..200));
    deployment.publish(&events).await?;
    let mut worker = deployment.start(&["run", "--json"])?;
    reaches(&deployment.base, "@ledger", 100, PATIENCE).await?;
    reaches(&deployment.base, "@retries", 60, PATIENCE).await?;
    let broker = deployment.nats.connect().await?;
    let backlog = broker.backlog("USERS", "rollcall").await?;
    broker.close().await;
    assert!(backlog.pending == 0 && backlog.ack_pending <= 5, "{backlog:?}");
    assert_eq!(
        deployment.base.number("count(*)", "@dead_letters").await?,
        0,
        "attempts take longer"
    );
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    Ok(())
}

async fn a_bare_event_keeps_its_identity_while_it_waits(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    deployment.publish(&created(0..1)).await?;
    refuse_bad_phones(&deployment.base).await?;
    deployment
        .put("user.updated", &[], br#"{"user_id": "u0", "phone": "bad"}"#)
        .await?;
    let mut worker = deployment.start(&["run"])?;
    reaches(&deployment.base, "@retries WHERE judged > 0", 1, RECOVERY).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    take_bad_phones(&deployment.base).await?;
    deployment.drain().await?;
    let id = deployment
        .base
        .line(&["event_id"], "@ledger WHERE type = 'user.updated'")
        .await?;
    let client = deployment.client().await?;
    let stream = client.get_stream("USERS").await?;
    let message = stream.get_raw_message(2).await?;
    assert_eq!(id, format!("USERS:2:{}", message.time.unix_timestamp_nanos()));
    Ok(())
}

/// The database refuses the event, and at the same time cannot take everything else: that is not judged.
async fn a_refusal_beside_a_probe_that_fails_proves_nothing(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let base = &deployment.base;
    deployment.publish(&created(0..1)).await?;
    let mut worker = deployment.start(&["run"])?;
    deployment.ledger_reaches(1).await?;
    refuse_bad_phones(base).await?;
    base.execute("ALTER TABLE @mails RENAME TO hidden").await?;
    deployment.publish(&phoned(0..1, "bad")).await?;
    worker.logged("the brake holds", PATIENCE).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert_eq!(base.number("count(*)", "@retries").await?, 0, "nothing is judged");
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    let hidden = base.table("hidden");
    base.execute(&format!("ALTER TABLE {hidden} RENAME TO mails")).await?;
    take_bad_phones(base).await?;
    assert_eq!(deployment.drain().await?["outcomes"]["applied"], json!(1));
    Ok(())
}

/// Its letter is refused, which is nothing that a type of event could be held back for.
async fn garbage_whose_letter_is_refused_waits_and_delays_nobody(base: Base) -> Result<()> {
    let deployment = Deployment::around(base).await?;
    let base = &deployment.base;
    let (refuse, take) = match base.which {
        Which::Sqlite => (
            "CREATE TRIGGER no_letters BEFORE INSERT ON @dead_letters BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER no_letters",
        ),
        Which::Postgres => (
            "ALTER TABLE @dead_letters ADD CONSTRAINT no_letters CHECK (false)",
            "ALTER TABLE @dead_letters DROP CONSTRAINT no_letters",
        ),
    };
    base.execute(refuse).await?;
    deployment.publish(&created(0..20)).await?;
    deployment.put("user.created", &[], b"not JSON").await?;
    let mut worker = deployment.start(&["run"])?;
    reaches(base, "@retries WHERE judged > 0", 1, RECOVERY).await?;
    reaches(base, "@ledger", 20, RECOVERY).await?;
    base.execute(take).await?;
    reaches(
        base,
        "@dead_letters WHERE reason = 'undecodable'",
        1,
        PATIENCE_FOR_ATTEMPTS,
    )
    .await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert_eq!(base.number("count(*)", "@retries").await?, 0);
    Ok(())
}

/// Another error each time proves nothing, and the event does not keep its lane.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_fails_in_another_way_each_time_waits_and_is_not_judged() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Postgres).await?).await?;
    deployment.set("ROLLCALL__WORKER__LANES", "1");
    let base = &deployment.base;
    base.script(
        "CREATE SEQUENCE tries; CREATE FUNCTION moody() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
         IF NEW.phone = ''bad'' THEN IF nextval(''tries'') % 2 = 0 THEN RAISE check_violation; \
         ELSE RAISE not_null_violation; END IF; END IF; RETURN NEW; END'; \
         CREATE TRIGGER moody BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION moody()",
    )
    .await?;
    deployment.publish(&phoned(0..1, "bad")).await?;
    deployment.publish(&created(0..20)).await?;
    let mut worker = deployment.start(&["run"])?;
    reaches(base, "@ledger", 20, RECOVERY).await?;
    reaches(base, "@retries WHERE judged = 0", 1, PATIENCE).await?;
    base.execute("DROP TRIGGER moody ON @profiles").await?;
    reaches(base, "@ledger", 21, PATIENCE_FOR_ATTEMPTS).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}
