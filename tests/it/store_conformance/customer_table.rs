//! What a check says of the table where customers are looked for.

use anyhow::Result;
use rollcall::store::{CustomerSource, Remark};

use super::customers::{TABLE, application, making};
use crate::world::{Base, on_both};

on_both!(the_table_is_checked);

async fn the_table_is_checked(base: Base) -> Result<()> {
    let store = base.store().await?;
    let problems = |remarks: Vec<Remark>| -> Vec<String> {
        let told = remarks.into_iter().map(|remark| match remark {
            Remark::Problem(text) => format!("problem {text}"),
            Remark::Warning(text) => format!("warning {text}"),
        });
        told.collect()
    };
    let missing = problems(store.check_customers(&application()).await?);
    assert!(missing.len() == 1 && missing[0].contains("tabCustomer") && missing[0].contains("does not exist"));
    base.script(TABLE).await?;
    let found = problems(store.check_customers(&application()).await?);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("warning no index serves the look for an address in tabCustomer: CREATE INDEX"));
    // What it says to run is what is missing.
    let remedy = found[0]
        .split_once(": ")
        .map(|(_, sql)| sql.to_owned())
        .unwrap_or_default();
    base.script(&remedy).await?;
    assert_eq!(
        problems(store.check_customers(&application()).await?),
        Vec::<String>::new()
    );
    let mut wrong = making();
    wrong.make.remove("group");
    wrong.make.insert("colour".to_owned(), "red".to_owned());
    wrong.required.push("vat".to_owned());
    assert_eq!(
        problems(store.check_customers(&wrong).await?),
        [
            "problem table tabCustomer has no column vat",
            "problem table tabCustomer has no column colour",
            "problem tabCustomer.group may not be empty: give it in create_columns",
        ]
    );
    assert_eq!(
        problems(store.check_customers(&CustomerSource::own()).await?),
        Vec::<String>::new()
    );
    store.close().await;
    Ok(())
}
