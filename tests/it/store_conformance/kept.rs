//! What an event found and what it was allowed to do was evaluated once; later folds, and rebuilds by another
//! configuration, keep it unless it is another user's by now.

use anyhow::Result;
use rollcall::apply::Applier;
use rollcall::apply::Givens;
use rollcall::apply::rebuild::{Mode, Repaired};
use rollcall::clock::new_row_id;
use rollcall::store::CustomerSource;
use serde_json::json;

use super::customers::{TABLE, application, applier, created, own_row};
use crate::world::{Base, Stream, apply, apply_cut, epoch, on_both, said};

on_both!(
    a_requirement_that_comes_later_takes_nothing_away,
    a_row_that_another_user_has_by_now_stays_theirs,
);

async fn rebuilt(applier: &Applier, users: &[&str]) -> Result<Vec<Repaired>> {
    let roots: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
    let givens = Givens {
        now: epoch(),
        mint: &mut new_row_id,
    };
    Ok(applier.rebuild(&roots, Mode::Repair, givens).await?)
}

async fn a_requirement_that_comes_later_takes_nothing_away(base: Base) -> Result<()> {
    base.store().await?.close().await;
    base.script(TABLE).await?;
    let asking_nothing = CustomerSource {
        required: Vec::new(),
        ..application()
    };
    let before = applier(&base, asking_nothing).await?;
    let mut stream = Stream::new();
    created(&mut stream, "ada", 1, "ada@example.com", true);
    created(&mut stream, "bea", 2, "bea@example.com", true);
    created(&mut stream, "eve", 3, "eve@example.com", true);
    for (minute, user) in [(4, "ada"), (5, "bea"), (6, "eve")] {
        stream.say("activated", &format!("{user}-a"), minute, json!({"user_id": user}));
    }
    apply(&before, &stream.messages).await?;
    let columns = ["user_id", "status"];
    let active = ["ada active", "bea active", "eve active"];
    assert_eq!(base.lines(&columns, "@profiles").await?, active);

    // Bea's customer lacks what is required from now on, and Eve has none.
    let after = applier(&base, application()).await?;
    rebuilt(&after, &["ada", "bea", "eve"]).await?;
    assert_eq!(base.lines(&columns, "@profiles").await?, active, "evaluated once");
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    // It stays so in later folds, and there is nothing more to put right.
    let mut late = Stream::new();
    late.say("updated", "late-b", 3, json!({"user_id": "bea", "phone": "1"}))
        .say("updated", "late-e", 3, json!({"user_id": "eve", "phone": "1"}));
    apply(&after, &late.messages).await?;
    assert_eq!(base.lines(&columns, "@profiles").await?, active);
    assert_eq!(rebuilt(&after, &["ada", "bea", "eve"]).await?, []);
    // Who comes now has to have it.
    let mut new = Stream::new();
    created(&mut new, "zoe", 7, "zoe@example.com", true);
    new.say("activated", "zoe-a", 8, json!({"user_id": "zoe"}));
    let settled = said(&apply(&after, &new.messages).await?);
    assert_eq!(settled, ["applied", "rejected requirements_missing"]);
    Ok(())
}

async fn a_row_that_another_user_has_by_now_stays_theirs(base: Base) -> Result<()> {
    let applier = applier(&base, CustomerSource::own()).await?;
    own_row(&base, 1, "", "acme", "ada@example.com").await?;
    let mut stream = Stream::new();
    created(&mut stream, "ada", 1, "ada@example.com", true);
    stream
        .say("renamed", "r", 2, json!({"user_id": "ada", "new_user_id": "eve"}))
        .say("left", "l", 4, json!({"user_id": "ada", "organization_id": "acme"}));
    created(&mut stream, "bob", 5, "ada@example.com", true);
    apply_cut(&applier, &stream, 1).await?;
    let columns = ["user_id", "name"];
    assert_eq!(base.lines(&columns, "@customers").await?, ["bob N1"]);
    // Somebody else began at the old key before the leaving, which was theirs: then Eve never left. But the row is Bob's.
    let mut late = Stream::new();
    late.say("created", "other", 3, json!({"user_id": "ada"}));
    apply(&applier, &late.messages).await?;
    assert_eq!(
        base.line(&["outcome", "reason"], "@ledger WHERE event_id = 'l'")
            .await?,
        "ignored not_a_member"
    );
    assert_eq!(base.lines(&columns, "@customers").await?, ["bob N1"]);
    assert_eq!(
        base.number("count(*)", "@profiles WHERE user_id = 'eve' AND customer_id IS NULL")
            .await?,
        1
    );
    // What was taken back is an input of every later fold.
    late.say("updated", "phone", 3, json!({"user_id": "eve", "phone": "1"}));
    apply(&applier, &late.messages[1..]).await?;
    assert_eq!(base.lines(&columns, "@customers").await?, ["bob N1"]);
    assert_eq!(rebuilt(&applier, &["ada", "bob", "eve"]).await?, []);
    Ok(())
}
