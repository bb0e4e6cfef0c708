//! Keys that pass from one person to another within a batch, merges, and people who go: unique keys never stand in the
//! way, and rows keep their surrogate ids.

use anyhow::Result;
use rollcall::domain::OnDelete;
use serde_json::json;

use crate::world::{Base, Stream, apply, on_both, said};

on_both!(
    two_users_swap_keys_through_a_temporary_one_in_one_batch,
    a_swap_of_stored_rows_keeps_their_ids,
    a_key_passes_to_a_newcomer_in_one_batch,
    three_keys_rotate_in_one_batch,
    merging_a_provisional_user_keeps_the_row_of_the_real_one,
    deletion_takes_the_rows,
    archived_rows_stay_outside_the_unique_key,
);

const WHO: [&str; 3] = ["user_id", "email", "version"];

fn two_users() -> Stream {
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "a", "email": "ada@x.org"}))
        .say("created", "2", 2, json!({"user_id": "b", "email": "bea@x.org"}))
        .say("joined", "3", 3, json!({"user_id": "a", "organization_id": "o"}))
        .say("joined", "4", 4, json!({"user_id": "b", "organization_id": "o"}));
    stream
}

fn swap(stream: &mut Stream) {
    stream
        .say("renamed", "5", 5, json!({"user_id": "a", "new_user_id": "t"}))
        .say("renamed", "6", 6, json!({"user_id": "b", "new_user_id": "a"}))
        .say("renamed", "7", 7, json!({"user_id": "t", "new_user_id": "b"}));
}

async fn two_users_swap_keys_through_a_temporary_one_in_one_batch(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = two_users();
    swap(&mut stream);
    let settled = apply(&applier, &stream.messages).await?;
    assert_eq!(said(&settled), ["applied"; 7]);
    assert_eq!(base.lines(&WHO, "@profiles").await?, ["a bea@x.org 3", "b ada@x.org 4"]);
    assert_eq!(
        base.lines(&["user_id", "email"], "@customers").await?,
        ["a bea@x.org", "b ada@x.org"]
    );
    Ok(())
}

async fn a_swap_of_stored_rows_keeps_their_ids(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = two_users();
    apply(&applier, &stream.messages).await?;
    let by_email = ["email", "profile_id"];
    let before = base.lines(&by_email, "@profiles").await?;
    let customers = base
        .lines(&["email", "customer_id", "profile_id"], "@customers")
        .await?;
    swap(&mut stream);
    apply(&applier, &stream.messages[4..]).await?;
    assert_eq!(base.lines(&WHO, "@profiles").await?, ["a bea@x.org 3", "b ada@x.org 4"]);
    assert_eq!(base.lines(&by_email, "@profiles").await?, before);
    assert_eq!(
        base.lines(&["email", "customer_id", "profile_id"], "@customers")
            .await?,
        customers
    );
    Ok(())
}

async fn a_key_passes_to_a_newcomer_in_one_batch(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = two_users();
    apply(&applier, &stream.messages).await?;
    let ada = base.line(&["profile_id"], "@profiles WHERE user_id = 'a'").await?;
    stream
        .say("renamed", "5", 5, json!({"user_id": "a", "new_user_id": "ada"}))
        .say("created", "6", 6, json!({"user_id": "a", "email": "new@x.org"}))
        .say("joined", "7", 7, json!({"user_id": "a", "organization_id": "o"}))
        .say("deleted", "8", 8, json!({"user_id": "b"}))
        .say("created", "9", 9, json!({"user_id": "b", "email": "again@x.org"}));
    let settled = apply(&applier, &stream.messages[4..]).await?;
    assert_eq!(said(&settled), ["applied"; 5]);
    let rows = base.lines(&WHO, "@profiles").await?;
    assert_eq!(rows, ["a new@x.org 2", "ada ada@x.org 3", "b again@x.org 1"]);
    assert_eq!(
        base.lines(&["user_id", "organization_id"], "@customers").await?,
        ["a o", "ada o"]
    );
    assert_eq!(
        base.line(&["profile_id"], "@profiles WHERE user_id = 'ada'").await?,
        ada
    );
    Ok(())
}

async fn three_keys_rotate_in_one_batch(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
        let data = json!({"user_id": key, "email": format!("{key}@x.org"), "organization_id": format!("o{key}")});
        stream.say("created", key, n as i64, data);
        stream.say(
            "joined",
            &format!("j{key}"),
            n as i64,
            json!({"user_id": key, "organization_id": "o"}),
        );
    }
    apply(&applier, &stream.messages).await?;
    for (n, (from, to)) in [("c", "t"), ("b", "c"), ("a", "b"), ("t", "a")].into_iter().enumerate() {
        stream.say(
            "renamed",
            &format!("r{n}"),
            10 + n as i64,
            json!({"user_id": from, "new_user_id": to}),
        );
    }
    apply(&applier, &stream.messages[6..]).await?;
    let expected = ["a c@x.org", "b a@x.org", "c b@x.org"];
    assert_eq!(base.lines(&["user_id", "email"], "@profiles").await?, expected);
    assert_eq!(base.lines(&["user_id", "email"], "@customers").await?, expected);
    Ok(())
}

async fn merging_a_provisional_user_keeps_the_row_of_the_real_one(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = Stream::new();
    stream
        .say("created", "1", 1, json!({"user_id": "old", "email": "ada@x.org"}))
        .say(
            "joined",
            "2",
            2,
            json!({"user_id": "old", "organization_id": "o1", "customer_name": "One"}),
        )
        .say("updated", "3", 3, json!({"user_id": "new", "phone": "123"}))
        .say("joined", "4", 4, json!({"user_id": "new", "organization_id": "o1"}))
        .say("joined", "5", 5, json!({"user_id": "new", "organization_id": "o2"}));
    apply(&applier, &stream.messages).await?;
    let row = base.line(&["profile_id"], "@profiles WHERE user_id = 'old'").await?;
    stream.say("renamed", "6", 6, json!({"user_id": "old", "new_user_id": "new"}));
    assert_eq!(said(&apply(&applier, &stream.messages[5..]).await?), ["applied"]);
    let columns = [
        "profile_id",
        "user_id",
        "email",
        "phone",
        "organization_id",
        "version",
        "created_via",
    ];
    // The survivor's organization stays; the gap it had is filled.
    let expected = format!("{row} new ada@x.org 123 o1 6 event");
    assert_eq!(base.line(&columns, "@profiles").await?, expected);
    let customers = base
        .lines(&["user_id", "organization_id", "name", "email"], "@customers")
        .await?;
    assert_eq!(customers, ["new o1 One ada@x.org", "new o2 - ada@x.org"]);
    let linked = "@customers c JOIN @profiles p ON p.profile_id = c.profile_id";
    assert_eq!(
        base.number("count(*)", linked).await?,
        2,
        "customers follow to the surviving profile"
    );
    Ok(())
}

async fn deletion_takes_the_rows(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let mut stream = two_users();
    stream
        .say("deleted", "5", 5, json!({"user_id": "a"}))
        .say("updated", "6", 6, json!({"user_id": "a"}));
    let settled = apply(&applier, &stream.messages).await?;
    assert_eq!(said(&settled[4..]), ["applied", "ignored after_deletion"]);
    assert_eq!(base.lines(&["user_id"], "@profiles").await?, ["b"]);
    assert_eq!(base.lines(&["user_id"], "@customers").await?, ["b"]);
    stream
        .say("deleted", "7", 7, json!({"user_id": "b"}))
        .say("deleted", "8", 8, json!({"user_id": "b"}));
    let settled = apply(&applier, &stream.messages[6..]).await?;
    assert_eq!(said(&settled), ["applied", "ignored already_deleted"]);
    assert_eq!(
        base.number("count(*)", "@profiles").await? + base.number("count(*)", "@customers").await?,
        0
    );
    Ok(())
}

async fn archived_rows_stay_outside_the_unique_key(base: Base) -> Result<()> {
    let applier = base.applier_with(|policy| policy.on_delete = OnDelete::Archive).await?;
    let mut stream = two_users();
    apply(&applier, &stream.messages).await?;
    let id = base.line(&["profile_id"], "@profiles WHERE user_id = 'a'").await?;
    for n in 0..2 {
        stream
            .say("deleted", &format!("d{n}"), 10 + 3 * n, json!({"user_id": "a"}))
            .say(
                "created",
                &format!("c{n}"),
                11 + 3 * n,
                json!({"user_id": "a", "email": format!("{n}@x.org")}),
            )
            .say(
                "joined",
                &format!("j{n}"),
                12 + 3 * n,
                json!({"user_id": "a", "organization_id": "o"}),
            );
    }
    apply(&applier, &stream.messages[4..]).await?;
    let columns = ["email", "is_active", "deleted_at"];
    assert_eq!(
        base.lines(&columns, "@profiles WHERE user_id = 'a'").await?,
        [
            "0@x.org 0 2020-03-01T00:13:00.000000Z",
            "1@x.org 1 -",
            "ada@x.org 0 2020-03-01T00:10:00.000000Z"
        ]
    );
    assert_eq!(
        base.number("count(*)", "@customers WHERE user_id = 'a' AND deleted_at IS NOT NULL")
            .await?,
        2
    );
    assert_eq!(
        base.line(&["profile_id"], "@profiles WHERE email = 'ada@x.org'")
            .await?,
        id
    );

    // The person turns out to have gone under another key: the archived row follows under its own id.
    stream.say("renamed", "late", 9, json!({"user_id": "a", "new_user_id": "z"}));
    stream.say("updated", "z", 20, json!({"user_id": "z", "phone": "1"}));
    let settled = apply(&applier, &stream.messages[10..]).await?;
    assert_eq!(said(&settled), ["applied", "ignored after_deletion"]);
    assert_eq!(
        base.line(&["user_id"], &format!("@profiles WHERE profile_id = '{id}'"))
            .await?,
        "z"
    );
    Ok(())
}
