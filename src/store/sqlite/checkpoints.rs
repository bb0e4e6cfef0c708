//! Worlds in the midst of long histories.

use serde_json::json;
use sqlx::Row as _;

use super::super::{Checkpoints, Mark, StoreError, columns};
use super::Tx;
use crate::domain::{Checkpoint, Position, hex};

impl Tx<'_> {
    pub(in super::super) async fn marks(&mut self, roots: &[&str]) -> Result<Vec<Mark>, StoreError> {
        let sql = self.sql(
            "SELECT c.root, c.position, c.events FROM json_each(?1) AS u CROSS JOIN @checkpoints c ON c.root = u.value",
        );
        let rows = sqlx::query(sql)
            .bind(columns::json(&roots)?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Mark {
                    root: row.try_get(0)?,
                    at: Position::from_bytes(row.try_get(1)?),
                    events: row.try_get::<i64, _>(2)? as u64,
                })
            })
            .collect()
    }

    pub(in super::super) async fn checkpoints(
        &mut self,
        marks: &[Mark],
    ) -> Result<Vec<(String, Checkpoint)>, StoreError> {
        let sql = self.sql(
            "SELECT c.root, c.position, c.events, c.state FROM json_each(?1) AS u CROSS JOIN @checkpoints c \
             ON c.root = u.value ->> 0 AND c.position = unhex(u.value ->> 1)",
        );
        let rows = sqlx::query(sql)
            .bind(columns::json(&names(marks))?)
            .fetch_all(&mut *self.inner)
            .await?;
        rows.iter()
            .map(|row| {
                let checkpoint = columns::checkpoint_of(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)?;
                Ok((row.try_get(0)?, checkpoint))
            })
            .collect()
    }

    /// What is forgotten goes first: a component that was folded again may have a new checkpoint at an old place.
    pub(super) async fn save_checkpoints(
        &mut self,
        checkpoints: &Checkpoints,
        stale_components: &[String],
    ) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM @checkpoints WHERE root IN (SELECT value FROM json_each(?1))",
            stale_components,
            |root| Ok(json!(root)),
        )
        .await?;
        self.run(
            "DELETE FROM @checkpoints WHERE (root, position) IN \
             (SELECT value ->> 0, unhex(value ->> 1) FROM json_each(?1))",
            &checkpoints.stale,
            |mark| Ok(json!([mark.root, hex(mark.at.as_bytes())])),
        )
        .await?;
        self.run(
            "INSERT INTO @checkpoints (root, position, events, state) \
             SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3 FROM json_each(?1)",
            &checkpoints.made,
            |(mark, state)| Ok(json!([mark.root, hex(mark.at.as_bytes()), mark.events, state])),
        )
        .await?;
        Ok(())
    }
}

fn names(marks: &[Mark]) -> Vec<(&str, String)> {
    marks
        .iter()
        .map(|mark| (mark.root.as_str(), hex(mark.at.as_bytes())))
        .collect()
}
