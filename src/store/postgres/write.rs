//! What a batch writes: first what goes, then what steps aside, then what changes, then what is new, so that a key
//! that passes from one person to another within the batch is never held twice.

use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{Changed, Decided, Letter, NewEntry, StoreError, columns};
use super::Tx;
use crate::domain::{CustomerChange, CustomerRow, KeyRow, Person, Position, ProfileChange, ProfileRow};

/// One array per column.
macro_rules! column {
    ($rows:expr, $row:ident => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// One array per column whose values can fail to be written.
macro_rules! try_column {
    ($rows:expr, $row:ident => $value:expr) => {
        $rows
            .iter()
            .map(|$row| $value)
            .collect::<Result<Vec<_>, StoreError>>()?
    };
}

impl Tx<'_> {
    pub(in super::super) async fn save(&mut self, decided: &Decided<'_>) -> Result<(), StoreError> {
        let difference = &decided.difference;
        self.save_keys(&difference.keys).await?;
        self.save_departed(&difference.departed, &difference.returned).await?;
        self.delete_customers(&difference.gone_customers).await?;
        self.delete_profiles(&difference.gone_profiles).await?;
        self.update_profiles(&difference.profiles).await?;
        self.insert_profiles(&difference.new_profiles).await?;
        self.update_customers(&difference.customers).await?;
        self.insert_customers(&difference.new_customers).await?;
        self.save_letters(&decided.letters).await?;
        self.save_announcements(&decided.announcements).await?;
        self.save_mails(&decided.mails).await?;
        self.resolve_letters(&decided.resolved).await?;
        self.update_ledger(&decided.changed).await?;
        self.save_checkpoints(&decided.checkpoints, &decided.stale_components)
            .await?;
        // Last, because it fails in a transaction in which anything failed before.
        self.insert_ledger(&decided.entries).await
    }

    async fn save_keys(&mut self, rows: &[KeyRow]) -> Result<(), StoreError> {
        let (mut new, there): (Vec<&KeyRow>, Vec<&KeyRow>) =
            rows.iter().partition(|row| self.new_keys.contains(&row.key));
        new.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        for (sql, rows) in [
            (include_str!("insert_keys.sql"), new),
            (include_str!("update_keys.sql"), there),
        ] {
            if rows.is_empty() {
                continue;
            }
            let holders = try_column!(rows, row => columns::holder_columns(&row.holder));
            let (persons, states): (Vec<Option<Uuid>>, Vec<Option<String>>) = holders.into_iter().unzip();
            let sql = self.sql(sql);
            let saved = sqlx::query(sql)
                .bind(column!(rows, row => row.key.as_str()))
                .bind(column!(rows, row => row.root.as_str()))
                .bind(column!(rows, row => columns::holder_number(&row.holder)))
                .bind(persons)
                .bind(states)
                .bind(column!(rows, row => row.newest.as_ref().map(Position::as_bytes)))
                .bind(column!(rows, row => row.events as i64))
                .execute(&mut *self.inner)
                .await?;
            if saved.rows_affected() != rows.len() as u64 {
                return Err(StoreError::Overtaken);
            }
        }
        Ok(())
    }

    async fn save_departed(&mut self, departed: &[Person], returned: &[Uuid]) -> Result<(), StoreError> {
        if !returned.is_empty() {
            let sql = self.sql("DELETE FROM @departed WHERE person = ANY($1)");
            sqlx::query(sql).bind(returned).execute(&mut *self.inner).await?;
        }
        if departed.is_empty() {
            return Ok(());
        }
        let sql = self.sql(
            "INSERT INTO @departed (person, key, state) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) \
             ON CONFLICT (person) DO UPDATE SET key = excluded.key, state = excluded.state",
        );
        sqlx::query(sql)
            .bind(column!(departed, person => person.row))
            .bind(column!(departed, person => person.key.as_str()))
            .bind(try_column!(departed, person => columns::person_text(person)))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn delete_profiles(&mut self, rows: &[Uuid]) -> Result<(), StoreError> {
        if !rows.is_empty() {
            let sql = self.sql("DELETE FROM @profiles p USING unnest($1::uuid[]) AS u (id) WHERE p.profile_id = u.id");
            sqlx::query(sql).bind(rows).execute(&mut *self.inner).await?;
        }
        Ok(())
    }

    async fn delete_customers(&mut self, rows: &[Uuid]) -> Result<(), StoreError> {
        if !rows.is_empty() {
            let sql = self.sql(
                "DELETE FROM @customers c USING unnest($1::uuid[]) AS u (id) \
                 WHERE c.customer_id = u.id AND c.made_by_worker",
            );
            sqlx::query(sql).bind(rows).execute(&mut *self.inner).await?;
            let sql = self.sql(
                "UPDATE @customers c SET user_id = '', profile_id = NULL FROM unnest($1::uuid[]) AS u (id) \
                 WHERE c.customer_id = u.id",
            );
            sqlx::query(sql).bind(rows).execute(&mut *self.inner).await?;
        }
        Ok(())
    }

    async fn update_profiles(&mut self, changes: &[ProfileChange]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let aside = columns::profiles_in_the_way(changes);
        if !aside.is_empty() {
            let sql = self.sql(
                "UPDATE @profiles p SET user_id = p.user_id || ' ' || p.profile_id::text \
                 FROM unnest($1::uuid[]) AS u (id) WHERE p.profile_id = u.id",
            );
            sqlx::query(sql).bind(aside).execute(&mut *self.inner).await?;
        }
        let sql = self.sql(include_str!("update_profiles.sql"));
        sqlx::query(sql)
            .bind(column!(changes, change => change.row.profile_id))
            .bind(column!(changes, change => change.changed as i32))
            .bind(column!(changes, change => change.row.user_id.as_str()))
            .bind(column!(changes, change => change.row.status.name()))
            .bind(column!(changes, change => change.row.is_active))
            .bind(column!(changes, change => change.row.display_name.as_str()))
            .bind(column!(changes, change => change.row.email.as_deref()))
            .bind(column!(changes, change => change.row.username.as_deref()))
            .bind(column!(changes, change => change.row.first_name.as_deref()))
            .bind(column!(changes, change => change.row.last_name.as_deref()))
            .bind(column!(changes, change => change.row.full_name.as_deref()))
            .bind(column!(changes, change => change.row.phone.as_deref()))
            .bind(column!(changes, change => change.row.external_id.as_deref()))
            .bind(column!(changes, change => change.row.organization_id.as_deref()))
            .bind(column!(changes, change => change.row.customer_id))
            .bind(try_column!(changes, change => columns::json(&change.row.degraded)))
            .bind(column!(changes, change => change.row.created_via))
            .bind(try_column!(changes, change => columns::instant(change.row.created_at)))
            .bind(try_column!(changes, change => columns::instant(change.row.updated_at)))
            .bind(column!(changes, change => change.row.version as i64))
            .bind(try_column!(changes, change => change.row.deleted_at.map(columns::instant).transpose()))
            .bind(try_column!(changes, change => columns::json(&change.unset)))
            .bind(try_column!(changes, change => columns::json(&change.set)))
            .bind(column!(changes, change => change.row.linked_customer.as_deref()))
            .bind(column!(changes, change => columns::name_to_replace(change)))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn insert_profiles(&mut self, rows: &[ProfileRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = self.sql(include_str!("insert_profiles.sql"));
        sqlx::query(sql)
            .bind(column!(rows, row => row.profile_id))
            .bind(column!(rows, row => row.user_id.as_str()))
            .bind(column!(rows, row => row.profile_type.as_str()))
            .bind(column!(rows, row => row.status.name()))
            .bind(column!(rows, row => row.is_active))
            .bind(column!(rows, row => row.display_name.as_str()))
            .bind(column!(rows, row => row.email.as_deref()))
            .bind(column!(rows, row => row.username.as_deref()))
            .bind(column!(rows, row => row.first_name.as_deref()))
            .bind(column!(rows, row => row.last_name.as_deref()))
            .bind(column!(rows, row => row.full_name.as_deref()))
            .bind(column!(rows, row => row.phone.as_deref()))
            .bind(column!(rows, row => row.external_id.as_deref()))
            .bind(column!(rows, row => row.organization_id.as_deref()))
            .bind(column!(rows, row => row.customer_id))
            .bind(try_column!(rows, row => columns::json(&row.attributes)))
            .bind(try_column!(rows, row => columns::json(&row.degraded)))
            .bind(column!(rows, row => row.created_via))
            .bind(try_column!(rows, row => columns::instant(row.created_at)))
            .bind(try_column!(rows, row => columns::instant(row.updated_at)))
            .bind(column!(rows, row => row.version as i64))
            .bind(try_column!(rows, row => row.deleted_at.map(columns::instant).transpose()))
            .bind(column!(rows, row => row.linked_customer.as_deref()))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn update_customers(&mut self, changes: &[CustomerChange]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let aside = columns::customers_in_the_way(changes);
        if !aside.is_empty() {
            let sql = self.sql(
                "UPDATE @customers c SET user_id = c.user_id || ' ' || c.customer_id::text \
                 FROM unnest($1::uuid[]) AS u (id) WHERE c.customer_id = u.id",
            );
            sqlx::query(sql).bind(aside).execute(&mut *self.inner).await?;
        }
        let sql = self.sql(include_str!("update_customers.sql"));
        sqlx::query(sql)
            .bind(column!(changes, change => change.row.customer_id))
            .bind(column!(changes, change => change.changed as i32))
            .bind(column!(changes, change => change.row.user_id.as_str()))
            .bind(column!(changes, change => change.row.profile_id))
            .bind(column!(changes, change => change.row.name.as_deref()))
            .bind(column!(changes, change => change.row.email.as_deref()))
            .bind(try_column!(changes, change => columns::instant(change.row.created_at)))
            .bind(try_column!(changes, change => columns::instant(change.row.updated_at)))
            .bind(try_column!(changes, change => change.row.deleted_at.map(columns::instant).transpose()))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn insert_customers(&mut self, rows: &[CustomerRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = self.sql(
            "INSERT INTO @customers (customer_id, user_id, organization_id, profile_id, name, email, created_at, \
             updated_at, deleted_at, made_by_worker) SELECT u.*, true FROM unnest($1::uuid[], $2::text[], $3::text[], \
             $4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[]) AS u",
        );
        sqlx::query(sql)
            .bind(column!(rows, row => row.customer_id))
            .bind(column!(rows, row => row.user_id.as_str()))
            .bind(column!(rows, row => row.organization_id.as_str()))
            .bind(column!(rows, row => row.profile_id))
            .bind(column!(rows, row => row.name.as_deref()))
            .bind(column!(rows, row => row.email.as_deref()))
            .bind(try_column!(rows, row => columns::instant(row.created_at)))
            .bind(try_column!(rows, row => columns::instant(row.updated_at)))
            .bind(try_column!(rows, row => row.deleted_at.map(columns::instant).transpose()))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    /// A letter that was written before for the same reason is not sent again; if it was resolved since, it is open again.
    pub(super) async fn save_letters(&mut self, letters: &[Letter]) -> Result<(), StoreError> {
        if letters.is_empty() {
            return Ok(());
        }
        let ids = column!(letters, letter => letter.message_id.as_str());
        let sql = self.sql(
            "INSERT INTO @outbox (message_id, subject, headers, payload) \
             SELECT u.published_id, u.subject, u.headers, u.payload \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[]) \
             AS u (id, subject, headers, payload, reason, published_id) \
             WHERE NOT EXISTS (SELECT 1 FROM @dead_letters d WHERE d.message_id = u.id AND d.reason = u.reason) \
             ON CONFLICT (message_id) DO NOTHING",
        );
        sqlx::query(sql)
            .bind(&ids)
            .bind(column!(letters, letter => letter.subject.as_str()))
            .bind(try_column!(letters, letter => columns::headers_text(&letter.headers)))
            .bind(column!(letters, letter => letter.payload.as_slice()))
            .bind(column!(letters, letter => letter.reason.name()))
            .bind(column!(letters, letter => letter.published_id()))
            .execute(&mut *self.inner)
            .await?;
        let sql = self.sql(
            "INSERT INTO @dead_letters (message_id, reason, stream_sequence, source, event_id, error) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[]) \
             ON CONFLICT (message_id) DO UPDATE SET resolved_at = NULL, reason = excluded.reason, \
             error = excluded.error",
        );
        sqlx::query(sql)
            .bind(&ids)
            .bind(column!(letters, letter => letter.reason.name()))
            .bind(column!(letters, letter => letter.stream_sequence))
            .bind(column!(letters, letter => letter.identity.as_ref().map(|(source, _)| source.as_str())))
            .bind(column!(letters, letter => letter.identity.as_ref().map(|(_, id)| id.as_str())))
            .bind(column!(letters, letter => letter.error.as_str()))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn resolve_letters(&mut self, resolved: &[(String, String)]) -> Result<(), StoreError> {
        if resolved.is_empty() {
            return Ok(());
        }
        let sql = self.sql(
            "UPDATE @dead_letters d SET resolved_at = now() FROM unnest($1::text[], $2::text[]) AS u (source, id) \
             WHERE d.source = u.source AND d.event_id = u.id AND d.resolved_at IS NULL AND d.reason = ANY($3)",
        );
        sqlx::query(sql)
            .bind(column!(resolved, event => event.0.as_str()))
            .bind(column!(resolved, event => event.1.as_str()))
            .bind(columns::RESOLVABLE.map(crate::domain::Reason::name).as_slice())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn update_ledger(&mut self, changed: &[Changed]) -> Result<(), StoreError> {
        if changed.is_empty() {
            return Ok(());
        }
        let sql = self.sql(
            "UPDATE @ledger l SET outcome = u.outcome, reason = u.reason, effects = u.effects::json, \
             degraded = u.degraded::json, policy_id = u.policy_id, inputs = u.inputs::json \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[]) \
             AS u (source, id, outcome, reason, effects, degraded, policy_id, inputs) WHERE l.source = u.source AND l.event_id = u.id",
        );
        sqlx::query(sql)
            .bind(column!(changed, event => event.source.as_str()))
            .bind(column!(changed, event => event.event_id.as_str()))
            .bind(column!(changed, event => event.verdict.outcome.name()))
            .bind(column!(changed, event => event.verdict.reason.map(crate::domain::Reason::name)))
            .bind(try_column!(changed, event => columns::effects_text(&event.verdict)))
            .bind(try_column!(changed, event => columns::degraded_text(&event.verdict)))
            .bind(column!(changed, event => event.policy_id))
            .bind(column!(changed, event => event.inputs.as_deref()))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn insert_ledger(&mut self, entries: &[NewEntry<'_>]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let sql = self.sql(include_str!("insert_ledger.sql"));
        let times: Vec<OffsetDateTime> =
            try_column!(entries, entry => columns::instant(entry.position.time().micros()));
        let inserted = sqlx::query(sql)
            .bind(column!(entries, entry => entry.source))
            .bind(column!(entries, entry => entry.event_id))
            .bind(column!(entries, entry => entry.user_id))
            .bind(column!(entries, entry => entry.key))
            .bind(column!(entries, entry => entry.new_key))
            .bind(column!(entries, entry => entry.kind.name()))
            .bind(times)
            .bind(column!(entries, entry => entry.states_time))
            .bind(column!(entries, entry => entry.sequence))
            .bind(column!(entries, entry => entry.position.as_bytes()))
            .bind(column!(entries, entry => entry.backfill))
            .bind(column!(entries, entry => entry.content.as_slice()))
            .bind(column!(entries, entry => entry.data))
            .bind(column!(entries, entry => entry.verdict.outcome.name()))
            .bind(column!(entries, entry => entry.verdict.reason.map(crate::domain::Reason::name)))
            .bind(try_column!(entries, entry => columns::effects_text(&entry.verdict)))
            .bind(try_column!(entries, entry => columns::degraded_text(&entry.verdict)))
            .bind(column!(entries, entry => entry.policy_id))
            .bind(column!(entries, entry => entry.late))
            .bind(column!(entries, entry => &*entry.subject))
            .bind(column!(entries, entry => entry.stream_sequence))
            .bind(column!(entries, entry => entry.published))
            .bind(column!(entries, entry => entry.reduced))
            .bind(column!(entries, entry => entry.inputs.as_deref()))
            .execute(&mut *self.inner)
            .await
            .map_err(|error| overtaken(StoreError::from(error)))?;
        // Fewer, if the application has a trigger that keeps rows out.
        if inserted.rows_affected() == entries.len() as u64 {
            Ok(())
        } else {
            Err(StoreError::Overtaken)
        }
    }
}

/// Without `ON CONFLICT`, which looks for every row before it inserts it: whoever stored the event meanwhile had to
/// hold other keys than we do, so it was another event with the same id. That happens hardly ever.
fn overtaken(error: StoreError) -> StoreError {
    match error {
        StoreError::Refused(refusal)
            if refusal.code == "23505" && refusal.constraint.as_deref() == Some("ledger_pkey") =>
        {
            StoreError::Overtaken
        }
        other => other,
    }
}
