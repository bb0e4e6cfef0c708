//! What breaks, whose fault it is, and that nothing is lost, buried or held up that should not be.

mod brake;
mod crash_loop;
mod elsewhere;
mod isolation;
mod kill_switch;
mod near_limit;
mod readiness;
mod redriven;
mod soak;
mod stops;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::wait::wait_for;
use crate::world::{Base, Which, cloud_event};

/// How soon the worker has to have noticed that the world is in order again.
const RECOVERY: Duration = Duration::from_secs(10);

/// How long a handful of attempts take, with the pauses between them.
const PATIENCE_FOR_ATTEMPTS: Duration = Duration::from_secs(30);

/// Creations of users `u<n>`.
pub(crate) fn created(numbers: std::ops::Range<i64>) -> Vec<Value> {
    numbers
        .map(|n| cloud_event("created", &format!("c{n}"), n, &json!({"user_id": format!("u{n}")})))
        .collect()
}

/// Updates of the same users, which set this telephone number.
pub(crate) fn phoned(numbers: std::ops::Range<i64>, phone: &str) -> Vec<Value> {
    numbers
        .map(|n| {
            let data = json!({"user_id": format!("u{n}"), "phone": phone});
            cloud_event("updated", &format!("p{n}"), 10_000 + n, &data)
        })
        .collect()
}

/// From now on the database refuses profiles with the telephone number `bad`.
pub(crate) async fn refuse_bad_phones(base: &Base) -> Result<()> {
    match base.which {
        Which::Postgres => {
            base.execute("ALTER TABLE @profiles ADD CONSTRAINT good_phone CHECK (phone <> 'bad')")
                .await?;
        }
        Which::Sqlite => {
            for (name, when) in [("bad_insert", "INSERT"), ("bad_update", "UPDATE")] {
                base.execute(&format!(
                    "CREATE TRIGGER {name} BEFORE {when} ON @profiles WHEN NEW.phone = 'bad' \
                     BEGIN SELECT RAISE(ABORT, 'good_phone'); END"
                ))
                .await?;
            }
        }
    }
    Ok(())
}

/// Ends [`refuse_bad_phones`].
async fn take_bad_phones(base: &Base) -> Result<()> {
    match base.which {
        Which::Postgres => {
            base.execute("ALTER TABLE @profiles DROP CONSTRAINT good_phone").await?;
        }
        Which::Sqlite => {
            base.execute("DROP TRIGGER bad_insert").await?;
            base.execute("DROP TRIGGER bad_update").await?;
        }
    }
    Ok(())
}

/// Waits until a count is what it should be.
pub(crate) async fn reaches(base: &Base, from: &str, count: i64, deadline: Duration) -> Result<()> {
    let what = format!("{count} rows of {from}");
    wait_for(&what, deadline, async || {
        let found = base.number("count(*)", from).await.ok()?;
        (found == count).then_some(())
    })
    .await
}
