//! However a history is cut into batches and ordered, it ends in the same tables.

use anyhow::Result;
use rollcall::domain::{CreateOn, DisplayOwner, OnDelete, Policy, ProfileRule, Status};
use serde_json::json;

use crate::world::{Base, Stream, Tables, apply_cut, on_both};

on_both!(every_cut_ends_in_the_same_tables, every_order_ends_in_the_same_tables);

fn policy(policy: &mut Policy) {
    let client = policy.profiles[0].clone();
    policy.profiles[0].synchronised = vec!["locale".to_owned()];
    policy.profiles[0].activation_creates = vec!["expert".to_owned()];
    policy.profiles.push(ProfileRule {
        name: "expert".to_owned(),
        initial: Status::Active,
        create_on: CreateOn::Activation,
        display_owner: DisplayOwner::Application,
        ..client
    });
    policy.on_delete = OnDelete::Archive;
}

/// A year of three users in which everything happens, in order.
fn history() -> Stream {
    let mut stream = Stream::new();
    let mut minute = 0;
    let mut say = |kind: &str, data: serde_json::Value| {
        minute += 1;
        stream.say(kind, &format!("{minute:02}"), minute, data);
    };
    say(
        "created",
        json!({"user_id": "a", "email": "ada@x.org", "metadata": {"locale": "de"}}),
    );
    say(
        "updated",
        json!({"user_id": "b", "full_name": "Bea", "profile_types": ["expert"]}),
    );
    say(
        "joined",
        json!({"user_id": "a", "organization_id": "o1", "customer_name": "One"}),
    );
    say("joined", json!({"user_id": "b", "organization_id": "o1"}));
    say("joined", json!({"user_id": "a", "organization_id": "o2"}));
    say("renamed", json!({"user_id": "b", "new_user_id": "c"}));
    say(
        "created",
        json!({"user_id": "b", "email": "bob@x.org", "active": false}),
    );
    say("renamed", json!({"user_id": "a", "new_user_id": "b"}));
    say("activated", json!({"user_id": "a"}));
    say("renamed", json!({"user_id": "a", "new_user_id": "t"}));
    say(
        "renamed",
        json!({"user_id": "b", "new_user_id": "a", "email": "bob@y.org"}),
    );
    say("renamed", json!({"user_id": "t", "new_user_id": "b"}));
    say("left", json!({"user_id": "b", "organization_id": "o2"}));
    say("left", json!({"user_id": "b", "organization_id": "o9"}));
    say("archived", json!({"user_id": "b"}));
    say("archived", json!({"user_id": "b"}));
    say("updated", json!({"user_id": "p", "phone": "1"}));
    say("joined", json!({"user_id": "p", "organization_id": "o3"}));
    say("renamed", json!({"user_id": "b", "new_user_id": "p"}));
    say("deleted", json!({"user_id": "c"}));
    say("updated", json!({"user_id": "c", "phone": "1"}));
    say("deleted", json!({"user_id": "c"}));
    say("created", json!({"user_id": "c", "email": "cas@x.org"}));
    say("renamed", json!({"user_id": "q", "new_user_id": "c"}));
    say(
        "updated",
        json!({"user_id": "q", "metadata": {"locale": "fr"}, "phone": 7}),
    );
    say("reactivated", json!({"user_id": "p"}));
    say("deleted", json!({"user_id": "Administrator"}));
    say("activated", json!({"user_id": "p", "profile_type": "none"}));
    say("updated", json!({"user_id": "a", "username": "bob", "active": true}));
    stream
}

async fn every_cut_ends_in_the_same_tables(mut base: Base) -> Result<()> {
    let stream = history();
    let mut tables = Vec::new();
    for size in [usize::MAX, 1, 7, 2] {
        let base = base.another()?;
        let applier = base.applier_with(policy).await?;
        apply_cut(&applier, &stream, size).await?;
        apply_cut(&applier, &stream, 3).await?;
        tables.push(Tables::read(&base).await?);
    }
    let whole = &tables[0];
    assert_eq!(whole.profiles.len(), 5, "{:#?}", whole.profiles);
    assert_eq!(whole.ledger.len(), stream.messages.len());
    for (tables, size) in tables[1..].iter().zip(["1", "7", "2"]) {
        tables.assert_same(whole, &format!("cut in batches of {size}"));
    }
    Ok(())
}

async fn every_order_ends_in_the_same_tables(mut base: Base) -> Result<()> {
    let stream = history();
    let expected = {
        let base = base.another()?;
        let applier = base.applier_with(policy).await?;
        apply_cut(&applier, &stream, 1000).await?;
        Tables::read(&base).await?
    };
    let count = stream.messages.len();
    // Backwards, and in strides that visit every event once.
    for stride in [count - 1, 5, 12, 18] {
        let base = base.another()?;
        let applier = base.applier_with(policy).await?;
        let mut shuffled = stream.clone();
        shuffled.messages = (1..=count)
            .map(|n| stream.messages[n * stride % count].clone())
            .collect();
        apply_cut(&applier, &shuffled, 4).await?;
        Tables::read(&base)
            .await?
            .assert_same(&expected, &format!("in strides of {stride}"));
    }
    Ok(())
}
