//! A batch of any size takes the same number of statements per table.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use rollcall::apply::Applier;
use serde_json::json;

use super::{applier, cascade, table};
use crate::world::{Base, Message, Stream, Which, apply, on_both};

on_both!(two_thousand_renames_over_ten_tables_take_as_many_statements_as_two);

const TABLES: usize = 10;

/// Where the trace events of a batch go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Applies messages as one batch and returns the statements that took, as the trace event of the batch says.
async fn statements(applier: &Applier, messages: &[Message]) -> Result<u32> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    apply(applier, messages).await?;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().expect("nobody panicked").clone())?;
    let (_, count) = text.split_once("statements=").with_context(|| text.clone())?;
    let count: String = count.chars().take_while(char::is_ascii_digit).collect();
    Ok(count.parse()?)
}

fn renames(people: std::ops::Range<i64>) -> Stream {
    let mut stream = Stream::new();
    for n in people.clone() {
        stream.say("created", &format!("c{n}"), 1, json!({"user_id": format!("u{n}")}));
    }
    for n in people {
        let data = json!({"user_id": format!("u{n}"), "new_user_id": format!("v{n}")});
        stream.say("renamed", &format!("r{n}"), 2, data);
    }
    stream
}

async fn two_thousand_renames_over_ten_tables_take_as_many_statements_as_two(base: Base) -> Result<()> {
    let mut lines = String::new();
    for n in 0..TABLES {
        let name = format!("table_{n}");
        table(&base, &name, &[]).await?;
        let series = match base.which {
            Which::Postgres => "generate_series(0, 2001) AS s (n)",
            Which::Sqlite => {
                "(WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 2001) SELECT n FROM s)"
            }
        };
        base.execute(&format!(
            "INSERT INTO {name} (id, \"user\") SELECT n, 'u' || n FROM {series}"
        ))
        .await?;
        let optional = if n % 2 == 0 { "" } else { "required = false" };
        lines.push_str(&cascade(&name, optional));
    }
    let plain = base.applier().await?;
    let applier = applier(&base, &lines).await?;
    let (few, many) = (renames(0..2), renames(2..2002));
    apply(&applier, &few.messages[..2]).await?;
    apply(&applier, &many.messages[..2000]).await?;
    let with_few = statements(&applier, &few.messages[2..]).await?;
    let with_many = statements(&applier, &many.messages[2000..]).await?;
    assert_eq!(with_few, with_many, "for 2 renames and for 2,000");
    for n in 0..TABLES {
        let left = base
            .number("count(*)", &format!("table_{n} WHERE \"user\" LIKE 'u%'"))
            .await?;
        assert_eq!(left, 0, "table {n}");
    }
    assert_eq!(
        base.number("count(*)", "@ledger WHERE cascades IS NOT NULL").await?,
        2002
    );

    // Whoever configures nothing pays nothing, and an event that changes no key asks nothing of the tables.
    let mut update = Stream::new();
    update.say("updated", "x1", 3, json!({"user_id": "v1", "full_name": "V"}));
    let without = statements(&plain, &update.messages).await?;
    let mut update = Stream::new();
    update.say("updated", "x2", 4, json!({"user_id": "v1", "full_name": "W"}));
    assert_eq!(statements(&applier, &update.messages).await?, without);
    let per_table = (with_many - without) / TABLES as u32;
    assert!(per_table <= 4, "{per_table} statements per table");
    Ok(())
}
