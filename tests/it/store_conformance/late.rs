//! Events that come late: the history is folded again and only the difference is written.

use anyhow::Result;
use serde_json::json;

use crate::world::{Base, Stream, apply, apply_cut, cloud_event, on_both, said};

on_both!(
    a_late_event_refolds_and_says_so,
    late_and_new_events_of_one_batch,
    rows_keep_their_ids_when_the_beginning_comes_late,
    a_late_event_of_a_large_component_is_buried,
    rejected_becomes_applied_and_resolves_its_letter,
    applied_becomes_rejected_and_is_buried_once,
    a_rejection_that_comes_and_goes_sends_one_letter,
);

async fn a_late_event_refolds_and_says_so(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    stream
        .say(
            "updated",
            "2",
            2,
            json!({"user_id": "new", "phone": "2", "full_name": "Ada"}),
        )
        .say("renamed", "1", 1, json!({"user_id": "old", "new_user_id": "new"}))
        .say(
            "created",
            "0",
            0,
            json!({"user_id": "old", "phone": "0", "email": "ada@x.org"}),
        );
    assert_eq!(said(&apply_cut(&applier, &stream, 1).await?), ["applied"; 3]);
    let columns = ["user_id", "email", "phone", "full_name", "created_via", "version"];
    assert_eq!(base.line(&columns, "@profiles").await?, "new ada@x.org 2 Ada event 3");
    assert_eq!(
        base.lines(&["event_id", "late"], "@ledger").await?,
        ["0 1", "1 1", "2 0"]
    );
    let columns = ["created_at", "updated_at"];
    let times = "2020-03-01T00:00:00.000000Z 2020-03-01T00:02:00.000000Z";
    assert_eq!(base.line(&columns, "@profiles").await?, times);
    Ok(())
}

async fn late_and_new_events_of_one_batch(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 10, json!({"user_id": "a", "phone": "1"}))
        .say("created", "2", 10, json!({"user_id": "b", "phone": "1"}));
    apply(&applier, &stream.messages).await?;
    stream
        .say("updated", "3", 20, json!({"user_id": "a", "phone": "3"}))
        .say("updated", "4", 5, json!({"user_id": "a", "username": "early"}))
        .say("updated", "5", 20, json!({"user_id": "b", "phone": "5"}))
        .say("created", "6", 1, json!({"user_id": "c", "phone": "6"}));
    apply(&applier, &stream.messages[2..]).await?;
    let rows = base
        .lines(&["user_id", "phone", "username", "version"], "@profiles")
        .await?;
    assert_eq!(rows, ["a 3 early 3", "b 5 - 2", "c 6 - 1"]);
    // The neighbours of a late event are folded with it; others keep the fast path.
    assert_eq!(base.lines(&["event_id"], "@ledger WHERE late").await?, ["3", "4"]);
    Ok(())
}

async fn rows_keep_their_ids_when_the_beginning_comes_late(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    stream
        .say("updated", "2", 2, json!({"user_id": "a", "phone": "2"}))
        .say("joined", "3", 3, json!({"user_id": "a", "organization_id": "o"}));
    apply(&applier, &stream.messages).await?;
    let ids = ["profile_id", "customer_id"];
    let before = base.line(&ids, "@profiles").await?;
    assert_eq!(base.line(&["created_via"], "@profiles").await?, "implicit");
    stream.say("created", "1", 1, json!({"user_id": "z", "email": "ada@x.org"}));
    stream.say("renamed", "1b", 1, json!({"user_id": "z", "new_user_id": "a"}));
    apply(&applier, &stream.messages[2..]).await?;
    let columns = ["user_id", "email", "phone", "created_via", "version"];
    assert_eq!(base.line(&columns, "@profiles").await?, "a ada@x.org 2 event 4");
    assert_eq!(base.line(&ids, "@profiles").await?, before);
    Ok(())
}

async fn a_late_event_of_a_large_component_is_buried(base: Base) -> Result<()> {
    let policy = rollcall::wiring::policy(&rollcall::config::Config::default());
    let applier = base.applier_for(policy, 3).await?;
    let mut stream = Stream::new();
    for n in 0..5 {
        stream.say(
            "updated",
            &format!("{n}"),
            10 + n,
            json!({"user_id": "a", "phone": format!("{n}")}),
        );
    }
    assert_eq!(
        said(&apply(&applier, &stream.messages).await?),
        ["applied"; 5],
        "the fast path knows no limit"
    );
    stream
        .say("updated", "late", 1, json!({"user_id": "a", "phone": "late"}))
        .say("updated", "new", 20, json!({"user_id": "a", "phone": "new"}))
        .say("updated", "other", 1, json!({"user_id": "b", "phone": "other"}));
    let settled = apply(&applier, &stream.messages[5..]).await?;
    assert_eq!(said(&settled), ["dead component_too_large", "applied", "applied"]);
    assert_eq!(
        base.lines(&["user_id", "phone", "version"], "@profiles").await?,
        ["a new 6", "b other 1"]
    );
    assert_eq!(base.number("count(*)", "@ledger WHERE event_id = 'late'").await?, 0);
    assert_eq!(
        base.line(&["reason", "source", "event_id"], "@dead_letters").await?,
        "component_too_large idp late"
    );
    Ok(())
}

/// A rename onto a key that is taken by a real user.
fn taken() -> Stream {
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a", "email": "ada@x.org"}))
        .say("created", "2", 2, json!({"user_id": "b", "email": "bea@x.org"}))
        .say("renamed", "3", 5, json!({"user_id": "a", "new_user_id": "b"}));
    stream
}

async fn letters(base: &Base) -> Result<Vec<String>> {
    let state = "CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END";
    base.lines(&["reason", "event_id", state], "@dead_letters").await
}

async fn rejected_becomes_applied_and_resolves_its_letter(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = taken();
    assert_eq!(said(&apply(&applier, &stream.messages).await?)[2], "rejected key_taken");
    assert_eq!(letters(&base).await?, ["key_taken 3 open"]);
    let id = base.line(&["message_id"], "@dead_letters").await?;
    let store = base.store().await?;
    assert!(store.resolved(std::slice::from_ref(&id)).await?.is_empty());

    stream.say("deleted", "4", 4, json!({"user_id": "b"}));
    assert_eq!(said(&apply(&applier, &stream.messages[3..]).await?), ["applied"]);
    assert_eq!(base.line(&["user_id", "email"], "@profiles").await?, "b ada@x.org");
    assert_eq!(
        base.line(&["outcome", "reason"], "@ledger WHERE event_id = '3'")
            .await?,
        "applied -"
    );
    assert_eq!(letters(&base).await?, ["key_taken 3 resolved"]);
    assert_eq!(store.resolved(std::slice::from_ref(&id)).await?, [id]);
    assert_eq!(base.number("count(*)", "@outbox").await?, 1);
    Ok(())
}

async fn applied_becomes_rejected_and_is_buried_once(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = taken();
    let late = stream.messages.remove(1);
    assert_eq!(said(&apply(&applier, &stream.messages).await?), ["applied"; 2]);
    assert_eq!(base.line(&["user_id", "email"], "@profiles").await?, "b ada@x.org");
    assert_eq!(said(&apply(&applier, std::slice::from_ref(&late)).await?), ["applied"]);
    let rows = base.lines(&["user_id", "email"], "@profiles").await?;
    assert_eq!(rows, ["a ada@x.org", "b bea@x.org"]);
    let columns = ["outcome", "reason", "effects"];
    assert_eq!(
        base.line(&columns, "@ledger WHERE event_id = '3'").await?,
        "rejected key_taken -"
    );
    assert_eq!(letters(&base).await?, ["key_taken 3 open"]);
    let headers = base.line(&["headers"], "@outbox").await?;
    assert!(
        headers.contains("application/cloudevents+json") && headers.contains("key_taken"),
        "{headers}"
    );
    // A second late event that leaves it rejected sends nothing more.
    stream.say("updated", "9", 3, json!({"user_id": "b", "phone": "9"}));
    apply(&applier, &stream.messages[2..]).await?;
    assert_eq!(base.number("count(*)", "@outbox").await?, 1);
    Ok(())
}

async fn a_rejection_that_comes_and_goes_sends_one_letter(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = taken();
    apply(&applier, &stream.messages).await?;
    stream.say("deleted", "4", 4, json!({"user_id": "b"}));
    apply(&applier, &stream.messages[3..]).await?;
    assert_eq!(letters(&base).await?, ["key_taken 3 resolved"]);
    // Deleted, but created again before the rename: taken again.
    let mut again = cloud_event("created", "5", 4, &json!({"user_id": "b", "email": "again@x.org"}));
    again["time"] = json!("2020-03-01T00:04:30Z");
    stream.event(&again);
    assert_eq!(said(&apply(&applier, &stream.messages[4..]).await?), ["applied"]);
    assert_eq!(
        base.line(&["outcome", "reason"], "@ledger WHERE event_id = '3'")
            .await?,
        "rejected key_taken"
    );
    assert_eq!(letters(&base).await?, ["key_taken 3 open"], "open again");
    assert_eq!(base.number("count(*)", "@outbox").await?, 1, "and told once");
    Ok(())
}
