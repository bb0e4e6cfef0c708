//! Worlds in the midst of long histories.

use sqlx::Row as _;

use super::super::{Checkpoints, Mark, StoreError, columns};
use super::Tx;
use crate::domain::{Checkpoint, Position};

impl Tx<'_> {
    pub(in super::super) async fn marks(&mut self, roots: &[&str]) -> Result<Vec<Mark>, StoreError> {
        let sql = self.sql(
            "SELECT c.root, c.position, c.events FROM unnest($1::text[]) AS u (root) \
             JOIN @checkpoints c ON c.root = u.root",
        );
        let rows = sqlx::query(sql).bind(roots).fetch_all(&mut *self.inner).await?;
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
            "SELECT c.root, c.position, c.events, c.state FROM unnest($1::text[], $2::bytea[]) AS u (root, position) \
             JOIN @checkpoints c ON c.root = u.root AND c.position = u.position",
        );
        let (roots, positions): (Vec<&str>, Vec<&[u8]>) = marks
            .iter()
            .map(|mark| (mark.root.as_str(), mark.at.as_bytes()))
            .unzip();
        let rows = sqlx::query(sql)
            .bind(roots)
            .bind(positions)
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
        if !stale_components.is_empty() {
            let sql = self.sql("DELETE FROM @checkpoints c USING unnest($1::text[]) AS u (root) WHERE c.root = u.root");
            sqlx::query(sql)
                .bind(stale_components)
                .execute(&mut *self.inner)
                .await?;
        }
        let stale = &checkpoints.stale;
        if !stale.is_empty() {
            let sql = self.sql(
                "DELETE FROM @checkpoints c USING unnest($1::text[], $2::bytea[]) AS u (root, position) \
                 WHERE c.root = u.root AND c.position = u.position",
            );
            sqlx::query(sql)
                .bind(stale.iter().map(|mark| mark.root.as_str()).collect::<Vec<_>>())
                .bind(stale.iter().map(|mark| mark.at.as_bytes()).collect::<Vec<_>>())
                .execute(&mut *self.inner)
                .await?;
        }
        let made = &checkpoints.made;
        if !made.is_empty() {
            let sql = self.sql(
                "INSERT INTO @checkpoints (root, position, events, state) \
                 SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::text[])",
            );
            sqlx::query(sql)
                .bind(made.iter().map(|(mark, _)| mark.root.as_str()).collect::<Vec<_>>())
                .bind(made.iter().map(|(mark, _)| mark.at.as_bytes()).collect::<Vec<_>>())
                .bind(made.iter().map(|(mark, _)| mark.events as i64).collect::<Vec<_>>())
                .bind(made.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>())
                .execute(&mut *self.inner)
                .await?;
        }
        Ok(())
    }
}
