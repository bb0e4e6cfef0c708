//! Rebuilding: what is not as the ledger says is put right, what belongs to the application stays.

use anyhow::Result;
use rollcall::apply::rebuild::{Mode, Repaired};
use rollcall::apply::{Applier, Givens};
use rollcall::clock::new_row_id;
use rollcall::domain::{CreateOn, DisplayOwner, Policy};
use serde_json::json;

use crate::world::{Base, Stream, Tables, apply, on_both};

on_both!(
    what_is_right_is_left_alone,
    every_column_of_the_worker_is_put_right,
    rows_that_went_come_back_and_surplus_ones_go,
    a_row_made_again_by_hand_is_taken_over,
    what_belongs_to_the_application_stays,
    internal_rows_are_put_right,
    a_changed_configuration_reaches_those_who_are_there,
    rows_of_the_departed_are_put_right,
    odd_values_are_put_right_or_left_to_their_owner,
    a_row_under_a_wrong_user_is_not_lost,
);

/// Three users: one with two memberships and an alias, one plain, one deleted.
fn story() -> Stream {
    let mut stream = Stream::new();
    let ada = json!({"user_id": "ada", "email": "ada@x.org", "full_name": "Ada", "phone": "1"});
    stream
        .say("created", "1", 1, ada)
        .say(
            "joined",
            "2",
            2,
            json!({"user_id": "ada", "organization_id": "o1", "customer_name": "One"}),
        )
        .say("joined", "3", 3, json!({"user_id": "ada", "organization_id": "o2"}))
        .say("renamed", "4", 4, json!({"user_id": "ada", "new_user_id": "ada2"}))
        .say(
            "created",
            "5",
            5,
            json!({"user_id": "ben", "username": "b", "metadata": {"plan": "pro"}}),
        )
        .say("created", "6", 6, json!({"user_id": "eve"}))
        .say("deleted", "7", 7, json!({"user_id": "eve"}));
    stream
}

async fn rebuild(applier: &Applier, roots: &[&str], mode: Mode) -> Result<Vec<Repaired>> {
    let roots: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let givens = Givens {
        now: crate::world::epoch(),
        mint: &mut new_row_id,
    };
    Ok(applier.rebuild(&roots, mode, givens).await?)
}

const EVERYBODY: [&str; 3] = ["ada", "ben", "eve"];

async fn what_is_right_is_left_alone(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &story().messages).await?;
    let before = Tables::read(&base).await?;
    let ids = base.lines(&["profile_id", "customer_id"], "@profiles").await?;
    assert_eq!(rebuild(&applier, &EVERYBODY, Mode::Repair).await?, []);
    Tables::read(&base)
        .await?
        .assert_same(&before, "after a rebuild of what is right");
    assert_eq!(base.lines(&["profile_id", "customer_id"], "@profiles").await?, ids);
    Ok(())
}

async fn every_column_of_the_worker_is_put_right(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &story().messages).await?;
    let before = Tables::read(&base).await?;
    let ids = base.lines(&["profile_id"], "@profiles").await?;
    let time = "'2001-01-01T00:00:00.000000Z'";
    base.execute(&format!(
        "UPDATE @profiles SET user_id = user_id || '!', status = 'odd', is_active = NOT is_active, display_name = 'x', \
         email = 'x', username = 'x', first_name = 'x', last_name = 'x', full_name = 'x', phone = 'x', \
         external_id = 'x', organization_id = 'x', customer_id = NULL, degraded = '[\"email\"]', created_via = 'odd', \
         created_at = {time}, updated_at = {time}, version = 99"
    ))
    .await?;
    base.execute(&format!(
        "UPDATE @customers SET profile_id = NULL, name = 'x', email = 'x', created_at = {time}, updated_at = {time}"
    ))
    .await?;
    let found = rebuild(&applier, &EVERYBODY, Mode::DryRun).await?;
    assert_ne!(Tables::read(&base).await?, before, "a dry run changes nothing");
    let ada = found.first().expect("something is wrong with Ada");
    assert_eq!(ada.users, ["ada2"]);
    assert_eq!((ada.profiles_changed, ada.customers_changed), (1, 2));
    let columns: Vec<&str> = ada.columns.iter().copied().collect();
    assert_eq!(
        columns.join(" "),
        "created_at created_via customer_id degraded display_name email external_id first_name full_name is_active \
         last_name name organization_id phone profile_id status updated_at user_id username version"
    );
    assert_eq!(rebuild(&applier, &EVERYBODY, Mode::Repair).await?, found);
    Tables::read(&base).await?.assert_same(&before, "after the repair");
    assert_eq!(base.lines(&["profile_id"], "@profiles").await?, ids);
    assert_eq!(rebuild(&applier, &EVERYBODY, Mode::Repair).await?, []);
    Ok(())
}

async fn rows_that_went_come_back_and_surplus_ones_go(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &story().messages).await?;
    let before = Tables::read(&base).await?;
    base.execute("DELETE FROM @customers WHERE organization_id = 'o2'")
        .await?;
    base.execute("DELETE FROM @profiles WHERE user_id = 'ben'").await?;
    let columns = "profile_id, user_id, profile_type, status, is_active, display_name, created_via, created_at, \
                   updated_at, version, attributes, degraded";
    let values = "'00000000-0000-0000-0000-000000000001', 'eve', 'client', 'draft', true, 'Eve', 'event', \
                  '2001-01-01T00:00:00.000000Z', '2001-01-01T00:00:00.000000Z', 1, '{}', '[]'";
    base.execute(&format!("INSERT INTO @profiles ({columns}) VALUES ({values})"))
        .await?;
    let found = rebuild(&applier, &EVERYBODY, Mode::Repair).await?;
    let counts: Vec<_> = found
        .iter()
        .map(|wrong| {
            (
                wrong.users[0].as_str(),
                wrong.profiles_made,
                wrong.profiles_removed,
                wrong.customers_made,
            )
        })
        .collect();
    assert_eq!(counts, [("ada2", 0, 0, 1), ("ben", 1, 0, 0), ("eve", 0, 1, 0)]);
    Tables::read(&base).await?.assert_same(&before, "after the repair");
    Ok(())
}

async fn a_row_made_again_by_hand_is_taken_over(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &story().messages).await?;
    let (old, new) = (
        base.line(&["profile_id"], "@profiles WHERE user_id = 'ben'").await?,
        "00000000-0000-0000-0000-000000000002",
    );
    base.execute(&format!(
        "UPDATE @profiles SET profile_id = '{new}', attributes = '{{\"mine\": 1}}' WHERE profile_id = '{old}'"
    ))
    .await?;
    let found = rebuild(&applier, &["ben"], Mode::Repair).await?;
    assert_eq!((found[0].profiles_made, found[0].profiles_removed), (0, 0), "{found:?}");
    let kept = base
        .line(&["profile_id", "attributes"], "@profiles WHERE user_id = 'ben'")
        .await?;
    assert_eq!(kept, format!("{new} {{\"mine\":1}}"));
    let mut stream = story();
    stream.say("updated", "8", 8, json!({"user_id": "ben", "phone": "8"}));
    apply(&applier, &stream.messages[7..]).await?;
    assert_eq!(
        base.line(&["profile_id", "phone"], "@profiles WHERE user_id = 'ben'")
            .await?,
        format!("{new} 8")
    );
    Ok(())
}

async fn what_belongs_to_the_application_stays(base: Base) -> Result<()> {
    let applier = base
        .applier_with(|policy| {
            policy.profiles[0].display_owner = DisplayOwner::Application;
            policy.profiles[0].synchronised = vec!["plan".to_owned()];
        })
        .await?;
    apply(&applier, &story().messages).await?;
    base.execute(
        "UPDATE @profiles SET display_name = 'Mine', phone = 'wrong', attributes = '{\"mine\": 1, \"plan\": \"none\"}' \
         WHERE user_id = 'ben'",
    )
    .await?;
    let found = rebuild(&applier, &["ben"], Mode::Repair).await?;
    let columns: Vec<&str> = found[0].columns.iter().copied().collect();
    assert_eq!(columns, ["attributes", "phone"]);
    let row = base
        .line(
            &["display_name", "phone", "attributes"],
            "@profiles WHERE user_id = 'ben'",
        )
        .await?;
    assert_eq!(row, "Mine - {\"mine\":1,\"plan\":\"pro\"}");
    Ok(())
}

async fn internal_rows_are_put_right(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &story().messages).await?;
    let columns = ["key", "root", "holder", "events", "length(newest)"];
    let (keys, tables) = (base.lines(&columns, "@keys").await?, Tables::read(&base).await?);
    let ids = base.lines(&["profile_id"], "@profiles").await?;
    base.execute("UPDATE @keys SET holder = 0, person = NULL, state = NULL, events = 0, newest = NULL")
        .await?;
    let found = rebuild(&applier, &EVERYBODY, Mode::Repair).await?;
    assert!(
        found.iter().all(|wrong| wrong.internal > 0 && wrong.profiles_made == 0),
        "{found:?}"
    );
    assert_eq!(base.lines(&columns, "@keys").await?, keys);
    Tables::read(&base).await?.assert_same(&tables, "after the repair");
    assert_eq!(
        base.lines(&["profile_id"], "@profiles").await?,
        ids,
        "public rows are found by their user"
    );
    Ok(())
}

fn with_partner(policy: &mut Policy) {
    let mut partner = policy.profiles[0].clone();
    "partner".clone_into(&mut partner.name);
    partner.create_on = CreateOn::Creation;
    policy.profiles.push(partner);
}

async fn a_changed_configuration_reaches_those_who_are_there(mut base: Base) -> Result<()> {
    let plain = base.applier().await?;
    apply(&plain, &story().messages).await?;
    let before = Tables::read(&base).await?;
    let wider = base.applier_with(with_partner).await?;
    let found = rebuild(&wider, &EVERYBODY, Mode::Repair).await?;
    let made: Vec<_> = found
        .iter()
        .map(|wrong| (wrong.users[0].as_str(), wrong.profiles_made, wrong.events))
        .collect();
    assert_eq!(made, [("ada2", 1, 4), ("ben", 1, 1), ("eve", 0, 2)]);
    let types = base.lines(&["user_id", "profile_type"], "@profiles").await?;
    assert_eq!(types, ["ada2 client", "ada2 partner", "ben client", "ben partner"]);
    // The new evaluation is an input of every later fold.
    let mut stream = story();
    stream.say("updated", "8", 2, json!({"user_id": "ada", "phone": "8"}));
    apply(&plain, &stream.messages[7..]).await?;
    assert_eq!(base.number("count(*)", "@profiles").await?, 4);
    // Back again: only a rebuild removes profiles because configuration changed.
    let expected = base.another()?;
    let applier = expected.applier().await?;
    apply(&applier, &stream.messages).await?;
    assert_eq!(rebuild(&plain, &EVERYBODY, Mode::Repair).await?.len(), 3);
    let now = Tables::read(&base).await?;
    assert_eq!(now.profiles, Tables::read(&expected).await?.profiles);
    assert_ne!(now, before);
    Ok(())
}

async fn rows_of_the_departed_are_put_right(base: Base) -> Result<()> {
    let applier = base
        .applier_with(|policy| policy.on_delete = rollcall::domain::OnDelete::Archive)
        .await?;
    apply(&applier, &story().messages).await?;
    let before = Tables::read(&base).await?;
    base.execute("UPDATE @profiles SET deleted_at = NULL, version = 9 WHERE user_id = 'eve'")
        .await?;
    base.execute("DELETE FROM @departed").await?;
    let found = rebuild(&applier, &["eve"], Mode::Repair).await?;
    assert_eq!(found.len(), 1);
    Tables::read(&base).await?.assert_same(&before, "after the repair");
    assert_eq!(base.number("count(*)", "@departed").await?, 1);
    Ok(())
}

async fn odd_values_are_put_right_or_left_to_their_owner(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &story().messages).await?;
    base.execute("UPDATE @profiles SET attributes = '[]', degraded = '7' WHERE user_id = 'ben'")
        .await?;
    if base.which == crate::world::Which::Sqlite {
        base.execute(
            "UPDATE @profiles SET created_at = '2020-03-01 00:05:00', customer_id = 'x' WHERE user_id = 'ben'",
        )
        .await?;
    }
    let found = rebuild(&applier, &["ben"], Mode::Repair).await?;
    assert!(found[0].columns.contains("degraded"), "{found:?}");
    let row = base
        .line(
            &["attributes", "degraded", "created_at", "customer_id"],
            "@profiles WHERE user_id = 'ben'",
        )
        .await?;
    assert_eq!(row, "[] [] 2020-03-01T00:05:00.000000Z -");
    Ok(())
}

async fn a_row_under_a_wrong_user_is_not_lost(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    apply(&applier, &story().messages).await?;
    base.execute("UPDATE @profiles SET attributes = '{\"mine\": 1}'")
        .await?;
    let before = Tables::read(&base).await?;
    base.execute("UPDATE @profiles SET user_id = 'elsewhere' WHERE user_id = 'ada2'")
        .await?;
    base.execute("UPDATE @profiles SET user_id = 'ada2' WHERE user_id = 'ben'")
        .await?;
    rebuild(&applier, &["ada"], Mode::Repair).await?;
    assert_eq!(
        base.number("count(*)", "@profiles").await?,
        2,
        "Ben's row stepped aside"
    );
    rebuild(&applier, &["ben"], Mode::Repair).await?;
    Tables::read(&base).await?.assert_same(&before, "after both repairs");
    Ok(())
}
