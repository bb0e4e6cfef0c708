//! Row-level security of a table that is written by COPY, which PostgreSQL refuses then: said before anything fails of it.

use anyhow::Result;
use rollcall::store::{Backend, Store, StoreSettings};
use secrecy::SecretString;

use crate::world::{Base, Which};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_level_security_that_would_stop_the_worker_is_told() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    let store = base.store().await?;
    let ledger = base.table("ledger");
    base.script(&format!(
        "CREATE ROLE secured LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO secured; \
         GRANT USAGE ON SCHEMA {schema} TO secured; ALTER TABLE {ledger} ENABLE ROW LEVEL SECURITY",
        schema = ledger.split('.').next().unwrap_or_default(),
    ))
    .await?;
    let told = |warnings: Vec<String>| {
        warnings
            .iter()
            .any(|warning| warning.contains("row-level security of ledger"))
    };
    assert!(!told(store.warnings().await?), "the owner may");
    let url = base.url.replacen("postgres@", "secured@", 1);
    let backend = Backend::Postgres {
        url: SecretString::from(url),
        schema: "rollcall".to_owned(),
    };
    let secured = Store::open(&StoreSettings {
        backend,
        ..base.settings()
    })
    .await?;
    assert!(told(secured.warnings().await?));
    base.script(&format!("ALTER TABLE {ledger} DISABLE ROW LEVEL SECURITY"))
        .await?;
    assert!(!told(secured.warnings().await?));
    Ok(())
}
