//! Long histories and large components: late events bring the same tables at a cost that does not grow with everything
//! before them. What it costs in time is measured by `cargo bench --bench late`.

use anyhow::Result;
use serde_json::json;

use crate::world::{Base, Stream, Tables, apply, apply_cut, on_both, said};

on_both!(
    many_late_events_of_a_long_history,
    checkpoints_are_few_and_follow_their_component,
    a_chain_of_renames_makes_one_component,
    a_key_that_begins_and_unites_in_one_batch_makes_checkpoints_stale,
);

const LONG: i64 = 4_000;
const LATE: i64 = 200;

/// One user's updates ten minutes apart, then late ones between the last of them.
fn long_story() -> (Stream, Stream) {
    let (mut known, mut late) = (Stream::new(), Stream::new());
    known.say("created", "first", 0, json!({"user_id": "ada", "full_name": "Ada"}));
    for n in 1..LONG {
        known.say(
            "updated",
            &format!("e{n}"),
            10 * n,
            json!({"user_id": "ada", "phone": n.to_string()}),
        );
    }
    for n in 0..LATE {
        // A stride prime to the range: late by 1 to 1,000 events, in no order.
        let minute = 10 * (LONG - 1 - (n * 619) % 1_000) - 5;
        let organization = format!("o{}", n % 7);
        let (kind, data) = match n % 4 {
            0 => ("joined", json!({"user_id": "ada", "organization_id": organization})),
            1 => ("left", json!({"user_id": "ada", "organization_id": organization})),
            2 => (
                "updated",
                json!({"user_id": "ada", "username": n.to_string(), "metadata": {"n": n}}),
            ),
            _ => ("archived", json!({"user_id": "ada"})),
        };
        late.say(kind, &format!("l{n}"), minute, data);
    }
    (known, late)
}

async fn many_late_events_of_a_long_history(mut base: Base) -> Result<()> {
    let (known, late) = long_story();
    let (one_by_one, one_batch, in_order) = (base.another()?, base.another()?, base.another()?);
    for (base, size) in [(&one_by_one, 1), (&one_batch, LATE as usize)] {
        let applier = base.applier().await?;
        apply_cut(&applier, &known, 2_000).await?;
        let settled = apply_cut(&applier, &late, size).await?;
        assert!(!said(&settled).contains(&"duplicate".to_owned()));
    }
    let mut sorted: Vec<_> = known.messages.iter().chain(&late.messages).cloned().collect();
    let time = |message: &crate::world::Message| {
        let event: serde_json::Value = serde_json::from_slice(&message.payload).expect("an event");
        event["time"].as_str().unwrap_or_default().to_owned()
    };
    sorted.sort_by_key(time);
    let applier = in_order.applier().await?;
    for batch in sorted.chunks(2_000) {
        apply(&applier, batch).await?;
    }
    assert_eq!(in_order.number("count(*)", "@ledger WHERE late").await?, 0);
    let expected = Tables::read(&in_order).await?;
    Tables::read(&one_by_one).await?.assert_same(&expected, "one by one");
    Tables::read(&one_batch).await?.assert_same(&expected, "in one batch");
    Ok(())
}

async fn checkpoints_are_few_and_follow_their_component(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let (known, late) = long_story();
    apply_cut(&applier, &known, 2_000).await?;
    assert_eq!(
        base.number("count(*)", "@checkpoints").await?,
        0,
        "nothing was late yet"
    );
    apply(&applier, &late.messages[..1]).await?;
    let first = base.number("count(*)", "@checkpoints").await?;
    assert!((3..=12).contains(&first), "{first} checkpoints of {LONG} events");
    apply_cut(&applier, &late, 1).await?;
    let then = base.number("count(*)", "@checkpoints").await?;
    assert!((3..=12).contains(&then), "{then} checkpoints of {LONG} events");
    let events = base.number("max(events)", "@checkpoints").await?;
    let near = LONG + LATE - 1_024..LONG + LATE;
    assert!(
        near.contains(&events),
        "the last checkpoint is after {events} events, near the end"
    );
    // A key without a history joins: the checkpoints stand for the whole still. One with a history: they do not.
    let mut more = Stream::new();
    more.say(
        "renamed",
        "r1",
        10 * LONG,
        json!({"user_id": "ada", "new_user_id": "ada2"}),
    )
    .say("created", "b", 1, json!({"user_id": "ben"}))
    .say(
        "renamed",
        "r2",
        10 * LONG + 1,
        json!({"user_id": "ada2", "new_user_id": "ben"}),
    );
    apply(&applier, &more.messages[..2]).await?;
    assert_eq!(base.number("count(*)", "@checkpoints").await?, then);
    apply(&applier, &more.messages[2..]).await?;
    assert_eq!(base.number("count(*)", "@checkpoints").await?, 0);
    assert_eq!(base.number("count(*)", "@keys WHERE root = 'ada'").await?, 3);
    Ok(())
}

async fn a_chain_of_renames_makes_one_component(mut base: Base) -> Result<()> {
    const KEYS: i64 = 1_000;
    let mut chain = Stream::new();
    for n in 0..KEYS {
        let (from, to) = (format!("u{n}"), format!("u{}", n + 1));
        chain.say(
            "renamed",
            &format!("r{n}"),
            n,
            json!({"user_id": from, "new_user_id": to}),
        );
    }
    let mut backward = chain.clone();
    backward.messages.reverse();
    let (other, third) = (base.another()?, base.another()?);
    apply_cut(&base.applier().await?, &chain, 50).await?;
    apply_cut(&other.applier().await?, &backward, 1_000).await?;
    apply_cut(&third.applier().await?, &backward, 50).await?;
    assert_eq!(base.number("count(DISTINCT root)", "@keys").await?, 1);
    assert_eq!(base.line(&["user_id", "version"], "@profiles").await?, "u1000 1000");
    let expected = Tables::read(&base).await?;
    Tables::read(&other)
        .await?
        .assert_same(&expected, "the last first, in one batch");
    Tables::read(&third)
        .await?
        .assert_same(&expected, "the last first, in batches");
    Ok(())
}

/// The first events of a key, older than a checkpoint, come with the rename that makes them a part of its component.
async fn a_key_that_begins_and_unites_in_one_batch_makes_checkpoints_stale(mut base: Base) -> Result<()> {
    let (known, late) = long_story();
    let mut union = Stream::new();
    union.say("created", "b", 1, json!({"user_id": "ben"})).say(
        "renamed",
        "r",
        10 * LONG,
        json!({"user_id": "ada", "new_user_id": "ben"}),
    );
    for with_the_union in [false, true] {
        let (base, expected) = (base.another()?, base.another()?);
        let applier = base.applier().await?;
        apply_cut(&applier, &known, 2_000).await?;
        apply(&applier, &late.messages[..1]).await?;
        assert!(base.number("count(*)", "@checkpoints").await? > 0);
        let mut batches = union.messages.clone();
        if with_the_union {
            batches.push(late.messages[1].clone());
        } else {
            apply(&applier, &batches).await?;
            batches = vec![late.messages[1].clone()];
        }
        apply(&applier, &batches).await?;
        apply(&applier, &late.messages[2..3]).await?;

        let all = [&known.messages[..], &union.messages[..], &late.messages[..3]].concat();
        apply(&expected.applier().await?, &all).await?;
        let expected = Tables::read(&expected).await?;
        Tables::read(&base)
            .await?
            .assert_same(&expected, &format!("late with the union: {with_the_union}"));
        assert_eq!(base.number("count(*)", "@profiles").await?, 2);
    }
    Ok(())
}
