//! Identities and dead letters: an event enters the ledger once, a message is buried once.

use anyhow::Result;
use rollcall::store::Queue;
use serde_json::json;

use crate::world::{Base, Message, Stream, apply, cloud_event, on_both, said};

on_both!(
    copies_are_duplicates_wherever_they_meet,
    the_same_identity_with_other_content_is_a_conflict,
    a_message_is_buried_once_however_often_it_is_delivered,
    what_never_enters_the_ledger_leaves_nothing_but_its_letter,
    published_messages_leave_the_outbox_in_order,
);

async fn copies_are_duplicates_wherever_they_meet(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let event = cloud_event(
        "created",
        "1",
        1,
        &json!({"user_id": "a", "email": "ada@x.org", "phone": "1"}),
    );
    let mut stream = Stream::new();
    stream.event(&event).event(&event);
    // The same content, written otherwise: order of keys, white space, offset of the time.
    let other = concat!(
        r#"{"data": {"phone":"1", "email":"\u0061da@x.org","user_id":"a"}, "time":"2020-03-01T01:01:00.000+01:00","#,
        r#""id":"1","source":"idp","type":"user.created","specversion":"1.0"}"#
    );
    let headers = vec![(
        "content-type".to_owned(),
        "application/cloudevents+json; charset=utf-8".to_owned(),
    )];
    stream.message("user.created", headers, other.as_bytes());
    let settled = apply(&applier, &stream.messages).await?;
    assert_eq!(said(&settled), ["applied", "duplicate", "duplicate"]);
    assert_eq!(said(&apply(&applier, &stream.messages).await?), ["duplicate"; 3]);
    assert_eq!(base.line(&["event_id", "stream_sequence"], "@ledger").await?, "1 1");
    assert_eq!(base.line(&["version"], "@profiles").await?, "1");
    assert_eq!(base.number("count(*)", "@outbox").await?, 0);
    Ok(())
}

async fn the_same_identity_with_other_content_is_a_conflict(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a", "phone": "1"}))
        .say("created", "1", 1, json!({"user_id": "a", "phone": "2"}))
        .say("created", "1", 2, json!({"user_id": "a", "phone": "1"}))
        .say("updated", "1", 1, json!({"user_id": "a", "phone": "1"}))
        .say("created", "1", 1, json!({"user_id": "b", "phone": "1"}))
        .say("created", "1", 1, json!({"user_id": "a", "phone": "1", "unknown": 1}))
        .say("created", "1", 1, json!({"user_id": "a", "phone": "1"}));
    let conflict = "dead id_conflict";
    let expected = ["applied", conflict, conflict, conflict, conflict, conflict, "duplicate"];
    assert_eq!(said(&apply(&applier, &stream.messages).await?), expected);
    let again = said(&apply(&applier, &stream.messages).await?);
    assert_eq!(
        again,
        [
            "duplicate",
            conflict,
            conflict,
            conflict,
            conflict,
            conflict,
            "duplicate"
        ]
    );
    for message in &stream.messages[1..6] {
        assert_eq!(said(&apply(&applier, std::slice::from_ref(message)).await?), [conflict]);
    }
    assert_eq!(
        base.lines(&["user_id", "phone", "version"], "@profiles").await?,
        ["a 1 1"]
    );
    assert_eq!(base.number("count(*)", "@ledger").await?, 1);
    assert_eq!(base.number("count(*)", "@outbox").await?, 5, "one letter a message");
    // The same id of another source is another event.
    let mut other = cloud_event("updated", "1", 3, &json!({"user_id": "a", "phone": "3"}));
    other["source"] = json!("idp2");
    stream.event(&other);
    assert_eq!(said(&apply(&applier, &stream.messages[7..]).await?), ["applied"]);
    Ok(())
}

fn bad(stream: &mut Stream) {
    let mut early = cloud_event("created", "future", 0, &json!({"user_id": "f"}));
    early["time"] = json!("2030-01-01T00:10:00Z");
    stream
        .message("user.created", Vec::new(), b"\xff\x00{")
        .event(&early)
        .say("deleted", "protected", 3, json!({"user_id": "administrator"}))
        .say(
            "activated",
            "type",
            4,
            json!({"user_id": "t", "profile_type": "nonsense"}),
        )
        .message("user.exploded", Vec::new(), b"{}");
}

async fn a_message_is_buried_once_however_often_it_is_delivered(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    bad(&mut stream);
    let twice = stream.messages[0].clone();
    assert_eq!(
        said(&apply(&applier, &[twice.clone(), twice]).await?),
        ["dead undecodable"; 2]
    );
    let expected = [
        "dead undecodable",
        "dead time_in_future",
        "rejected protected_user",
        "rejected unknown_profile_type",
        "ignored unknown_type",
    ];
    assert_eq!(said(&apply(&applier, &stream.messages).await?), expected);
    let again = said(&apply(&applier, &stream.messages).await?);
    assert_eq!(again[..2], expected[..2]);
    assert_eq!(again[2..], ["duplicate", "duplicate", "ignored unknown_type"]);
    for message in &stream.messages {
        apply(&applier, std::slice::from_ref(message)).await?;
        apply(&applier, &[message.clone(), message.clone()]).await?;
    }
    let reasons = base.lines(&["reason"], "@dead_letters").await?;
    assert_eq!(
        reasons,
        [
            "protected_user",
            "time_in_future",
            "undecodable",
            "unknown_profile_type"
        ]
    );
    assert_eq!(base.number("count(*)", "@outbox").await?, 4);
    // Published and gone from the outbox, it is still not sent again.
    base.execute("DELETE FROM @outbox").await?;
    apply(&applier, &stream.messages).await?;
    assert_eq!(base.number("count(*)", "@outbox").await?, 0);
    // The same bytes in another message are another letter.
    let twin = Message {
        sequence: 99,
        ..stream.messages[0].clone()
    };
    apply(&applier, &[twin]).await?;
    assert_eq!(base.number("count(*)", "@outbox").await?, 1);
    Ok(())
}

async fn what_never_enters_the_ledger_leaves_nothing_but_its_letter(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    bad(&mut stream);
    apply(&applier, &stream.messages).await?;
    let rows = base
        .lines(&["event_id", "outcome", "reason", "effects"], "@ledger")
        .await?;
    assert_eq!(
        rows,
        [
            "protected rejected protected_user -",
            "type rejected unknown_profile_type -"
        ]
    );
    assert_eq!(base.number("count(*)", "@profiles").await?, 0);
    let payload = base.store().await?.outbox(Queue::Letters, 10).await?;
    assert_eq!(payload[0].payload, b"\xff\x00{", "byte for byte");
    Ok(())
}

async fn published_messages_leave_the_outbox_in_order(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let store = base.store().await?;
    let mut stream = Stream::new();
    for n in 0_u8..5 {
        stream.message("user.created", Vec::new(), &[b'!', n]);
    }
    apply(&applier, &stream.messages[..3]).await?;
    apply(&applier, &stream.messages[3..]).await?;
    let first = store.outbox(Queue::Letters, 2).await?;
    assert_eq!(first.iter().map(|row| row.payload[1]).collect::<Vec<_>>(), [0, 1]);
    store
        .published(
            Queue::Letters,
            &first.iter().map(|row| row.outbox_id).collect::<Vec<_>>(),
        )
        .await?;
    let rest = store.outbox(Queue::Letters, 10).await?;
    assert_eq!(rest.iter().map(|row| row.payload[1]).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(rest.iter().all(|row| row.subject == "dead.user.created"));
    Ok(())
}
