//! The first fill from a table or a file, with a worker at work beside it.

mod files;
mod five_users;

use anyhow::Result;
use serde_json::Value;

use crate::deployment::{Deployment, PATIENCE};
use crate::world::{Base, Which};

/// One backfill to its end; its exit code and its report.
async fn backfill(deployment: &Deployment, arguments: &[&str]) -> Result<(i32, Value)> {
    let finished = deployment
        .start(&[&["backfill", "--json"], arguments].concat())?
        .finished(PATIENCE)
        .await?;
    let report = finished
        .json()
        .map_err(|error| error.context(format!("{finished:?}")))?;
    Ok((finished.code, report))
}

/// The same with a worker that runs meanwhile.
async fn beside_a_worker(deployment: &Deployment, arguments: &[&str]) -> Result<(i32, Value)> {
    let mut worker = deployment.start(&["run"])?;
    let ended = backfill(deployment, arguments).await;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    ended
}

/// Every column of the profiles, and on PostgreSQL where and by whom each row was last written.
async fn rows(base: &Base, of: &str) -> Result<Vec<String>> {
    let written = match base.which {
        Which::Sqlite => "rowid",
        Which::Postgres => "concat(xmin, ' ', ctid)",
    };
    let columns = base.columns("profiles").await?;
    let columns: Vec<&str> = std::iter::once(written)
        .chain(columns.iter().map(String::as_str))
        .collect();
    base.lines(&columns, &format!("@profiles WHERE {of}")).await
}
