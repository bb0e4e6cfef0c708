//! Migrations, and what applications may rely on: names, order and uniqueness of the public columns.

use anyhow::{Context as _, Result};
use rollcall::config::Config;
use rollcall::store::{SchemaState, Store, StoreError};

use crate::world::{Base, Which, on_both};

on_both!(
    migrating_twice_does_nothing_the_second_time,
    a_database_without_tables_is_behind,
    a_database_of_a_newer_version_is_ahead,
    the_public_columns_are_those_of_the_contract,
    none_of_our_tables_is_taken_for_the_applications,
    public_rows_are_unique_and_found_by_email,
);

async fn migrating_twice_does_nothing_the_second_time(base: Base) -> Result<()> {
    let (store, done) = Store::migrate(&base.settings()).await?;
    let names = [
        "foundation",
        "checkpoints",
        "failures",
        "cascades",
        "customers",
        "announcements",
    ];
    assert_eq!(done, names);
    assert_eq!(store.schema_state().await?, SchemaState::Current);
    store.close().await;
    if base.which == Which::Sqlite {
        assert!(base.folder.path().join("test.db").is_file(), "migrating makes the file");
    }
    let (store, done) = Store::migrate(&base.settings()).await?;
    assert!(done.is_empty(), "{done:?}");
    assert_eq!(store.schema_state().await?, SchemaState::Current);
    assert_eq!(base.number("count(*)", "@migrations").await?, 6);
    Ok(())
}

async fn a_database_without_tables_is_behind(base: Base) -> Result<()> {
    match (base.which, Store::open(&base.settings()).await) {
        (Which::Sqlite, Err(StoreError::NoFile { .. })) => {
            assert!(
                !base.folder.path().join("test.db").exists(),
                "only migrating makes the file"
            );
            std::fs::write(base.folder.path().join("test.db"), "")?;
            let store = Store::open(&base.settings()).await?;
            assert_eq!(store.schema_state().await?, SchemaState::Behind);
        }
        (Which::Postgres, Ok(store)) => assert_eq!(store.schema_state().await?, SchemaState::Behind),
        (which, other) => panic!("{which:?}: {other:?}"),
    }
    Ok(())
}

async fn a_database_of_a_newer_version_is_ahead(base: Base) -> Result<()> {
    let store = base.store().await?;
    base.execute("INSERT INTO @migrations (version, name) VALUES (1000, 'of tomorrow')")
        .await?;
    assert_eq!(store.schema_state().await?, SchemaState::Ahead);
    Ok(())
}

const PROFILES: &str = "profile_id user_id profile_type status is_active display_name email username first_name \
    last_name full_name phone external_id organization_id customer_id attributes degraded created_via created_at \
    updated_at version deleted_at linked_customer";
const CUSTOMERS: &str = "customer_id user_id organization_id profile_id name email created_at updated_at deleted_at \
    made_by_worker";
const LEDGER: &str = "user_id source event_id type time outcome reason data effects stream_sequence applied_at";

async fn the_public_columns_are_those_of_the_contract(base: Base) -> Result<()> {
    base.store().await?;
    assert_eq!(base.columns("profiles").await?.join(" "), PROFILES);
    assert_eq!(base.columns("customers").await?.join(" "), CUSTOMERS);
    let ledger = base.columns("ledger").await?;
    for column in LEDGER.split(' ') {
        assert!(
            ledger.iter().any(|there| there == column),
            "{column} is missing: {ledger:?}"
        );
    }
    Ok(())
}

async fn none_of_our_tables_is_taken_for_the_applications(base: Base) -> Result<()> {
    base.store().await?;
    let url = match base.which {
        Which::Sqlite => "sqlite://rollcall.db",
        Which::Postgres => "postgres://app@db/app",
    };
    for table in base.tables().await? {
        let named = base.table(&table);
        let text = format!("[store]\nurl = \"{url}\"\n[customers]\nlookup = \"table\"\ntable = \"{named}\"");
        let refused = Config::parse("config.toml", &text, std::iter::empty())
            .err()
            .context(named.clone())?;
        assert!(refused.to_string().contains(&named), "{refused}");
    }
    Ok(())
}

async fn public_rows_are_unique_and_found_by_email(base: Base) -> Result<()> {
    base.store().await?;
    let id = |n: u32| format!("00000000-0000-7000-8000-{n:012}");
    let time = "2020-03-01T00:00:00.000000Z";
    let deleted = format!("'{time}'");
    let profile = async |n: u32, kind: &str, deleted_at: &str| {
        base.execute(&format!(
            "INSERT INTO @profiles (profile_id, user_id, profile_type, status, is_active, display_name, created_via, \
             created_at, updated_at, version, deleted_at) VALUES ('{}', 'u', '{kind}', 'draft', {}, 'U', 'event', \
             '{time}', '{time}', 1, {deleted_at})",
            id(n),
            if base.which == Which::Sqlite { "1" } else { "true" },
        ))
        .await
    };
    profile(1, "client", "NULL").await?;
    profile(2, "expert", "NULL").await?;
    profile(3, "client", "NULL")
        .await
        .expect_err("one profile per user and type");
    profile(4, "client", &deleted).await?;
    profile(5, "client", &deleted).await?;

    let customer = async |n: u32, organization: &str, deleted_at: &str| {
        base.execute(&format!(
            "INSERT INTO @customers (customer_id, user_id, {} created_at, updated_at, deleted_at) \
             VALUES ('{}', 'u', {organization} '{time}', '{time}', {deleted_at})",
            if organization.is_empty() {
                ""
            } else {
                "organization_id,"
            },
            id(n),
        ))
        .await
    };
    customer(1, "'o1',", "NULL").await?;
    customer(2, "", "NULL").await?;
    customer(3, "", "NULL").await.expect_err("none is an organization too");
    customer(4, "'o1',", "NULL")
        .await
        .expect_err("one customer per user and organization");
    customer(5, "NULL,", "NULL")
        .await
        .expect_err("organization_id is never null");
    customer(6, "'o1',", &deleted).await?;

    let (name, from) = match base.which {
        Which::Sqlite => ("name", "pragma_index_info('profiles_email')"),
        Which::Postgres => ("indexdef", "pg_indexes WHERE indexname = 'profiles_email'"),
    };
    let index = base.line(&[name], from).await?;
    assert!(index.contains("email"), "{index}");
    Ok(())
}
