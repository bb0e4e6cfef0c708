//! What a batch writes: first what goes, then what steps aside, then what changes, then what is new, so that a key
//! that passes from one person to another within the batch is never held twice.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::{Changed, Decided, Letter, NewEntry, StoreError, columns};
use super::Tx;
use crate::domain::{CustomerChange, CustomerRow, KeyRow, Person, ProfileChange, ProfileRow, Reason, hex};

/// Appends a row as a JSON array. Of new rows there are many, and a `Value` would hold a copy of each column.
macro_rules! array {
    ($text:expr, [$($value:expr),* $(,)?]) => {{
        $text.push(b'[');
        $(
            columns::append_json(&$value, $text)?;
            $text.push(b',');
        )*
        $text.pop();
        $text.push(b']');
        Ok(())
    }};
}

impl Tx<'_> {
    pub(in super::super) async fn save(&mut self, decided: &Decided<'_>) -> Result<(), StoreError> {
        let difference = &decided.difference;
        self.write(include_str!("save_keys.sql"), &difference.keys, key).await?;
        self.remove(
            "DELETE FROM @departed WHERE person IN (SELECT value FROM json_each(?1))",
            &difference.returned,
        )
        .await?;
        self.run(
            "INSERT INTO @departed (person, key, state) SELECT value ->> 0, value ->> 1, value ->> 2 \
             FROM json_each(?1) WHERE true \
             ON CONFLICT (person) DO UPDATE SET key = excluded.key, state = excluded.state",
            &difference.departed,
            departed,
        )
        .await?;
        self.remove(
            "DELETE FROM @customers WHERE customer_id IN (SELECT value FROM json_each(?1)) AND made_by_worker",
            &difference.gone_customers,
        )
        .await?;
        self.remove(
            "UPDATE @customers SET user_id = '', profile_id = NULL \
             WHERE customer_id IN (SELECT value FROM json_each(?1))",
            &difference.gone_customers,
        )
        .await?;
        self.remove(
            "DELETE FROM @profiles WHERE profile_id IN (SELECT value FROM json_each(?1))",
            &difference.gone_profiles,
        )
        .await?;
        let aside = columns::profiles_in_the_way(&difference.profiles);
        self.remove(
            "UPDATE @profiles SET user_id = user_id || ' ' || profile_id \
             WHERE profile_id IN (SELECT value FROM json_each(?1))",
            &aside,
        )
        .await?;
        self.run(
            include_str!("update_profiles.sql"),
            &difference.profiles,
            profile_change,
        )
        .await?;
        self.write(include_str!("insert_profiles.sql"), &difference.new_profiles, profile)
            .await?;
        let aside = columns::customers_in_the_way(&difference.customers);
        self.remove(
            "UPDATE @customers SET user_id = user_id || ' ' || customer_id \
             WHERE customer_id IN (SELECT value FROM json_each(?1))",
            &aside,
        )
        .await?;
        self.run(
            include_str!("update_customers.sql"),
            &difference.customers,
            customer_change,
        )
        .await?;
        self.run(
            include_str!("insert_customers.sql"),
            &difference.new_customers,
            customer,
        )
        .await?;
        self.save_letters(&decided.letters).await?;
        self.save_announcements(&decided.announcements).await?;
        self.save_mails(&decided.mails).await?;
        self.resolve_letters(&decided.resolved).await?;
        self.run(
            "UPDATE @ledger AS l SET outcome = u.value ->> 2, reason = u.value ->> 3, effects = u.value ->> 4, \
             degraded = u.value ->> 5, policy_id = u.value ->> 6, inputs = u.value ->> 7 FROM json_each(?1) AS u \
             WHERE l.source = u.value ->> 0 AND l.event_id = u.value ->> 1",
            &decided.changed,
            changed,
        )
        .await?;
        self.save_checkpoints(&decided.checkpoints, &decided.stale_components)
            .await?;
        let inserted = self
            .write(include_str!("insert_ledger.sql"), &decided.entries, entry)
            .await?;
        if inserted == decided.entries.len() as u64 {
            Ok(())
        } else {
            Err(StoreError::Overtaken)
        }
    }

    /// One statement over an array of rows; none when there are no rows. Returns the rows affected.
    pub(super) async fn run<T>(
        &mut self,
        sql: &str,
        rows: &[T],
        encode: impl Fn(&T) -> Result<Value, StoreError>,
    ) -> Result<u64, StoreError> {
        self.write(sql, rows, |row, text| columns::append_json(&encode(row)?, text))
            .await
    }

    /// The same of rows that write themselves.
    async fn write<T>(
        &mut self,
        sql: &str,
        rows: &[T],
        append: impl Fn(&T, &mut Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let mut text = vec![b'['];
        for row in rows {
            append(row, &mut text)?;
            text.push(b',');
        }
        text.pop();
        text.push(b']');
        let text = String::from_utf8(text).map_err(|_| columns::unreadable("rows", "they are not UTF-8"))?;
        let sql = self.sql(sql);
        let done = sqlx::query(sql).bind(text).execute(&mut *self.inner).await?;
        Ok(done.rows_affected())
    }

    async fn remove(&mut self, sql: &str, ids: &[Uuid]) -> Result<(), StoreError> {
        self.run(sql, ids, |id| Ok(json!(id))).await.map(|_| ())
    }

    /// A letter that was written before for the same reason is not sent again; if it was resolved since, it is open again.
    pub(super) async fn save_letters(&mut self, letters: &[Letter]) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO @outbox (message_id, subject, headers, payload) \
             SELECT u.value ->> 5, u.value ->> 1, u.value ->> 2, unhex(u.value ->> 3) FROM json_each(?1) AS u \
             WHERE NOT EXISTS (SELECT 1 FROM @dead_letters d WHERE d.message_id = u.value ->> 0 \
             AND d.reason = u.value ->> 4) \
             ON CONFLICT (message_id) DO NOTHING",
            letters,
            |letter| {
                let headers = columns::headers_text(&letter.headers)?;
                Ok(json!([
                    letter.message_id,
                    letter.subject,
                    headers,
                    hex(&letter.payload),
                    letter.reason.name(),
                    letter.published_id()
                ]))
            },
        )
        .await?;
        self.run(
            "INSERT INTO @dead_letters (message_id, reason, stream_sequence, source, event_id, error) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 \
             FROM json_each(?1) WHERE true ON CONFLICT (message_id) DO UPDATE SET resolved_at = NULL, \
             reason = excluded.reason, error = excluded.error",
            letters,
            |letter| {
                let (source, id) = letter.identity.as_ref().map(|(source, id)| (source, id)).unzip();
                Ok(json!([
                    letter.message_id,
                    letter.reason.name(),
                    letter.stream_sequence,
                    source,
                    id,
                    letter.error
                ]))
            },
        )
        .await
        .map(|_| ())
    }

    async fn resolve_letters(&mut self, resolved: &[(String, String)]) -> Result<(), StoreError> {
        let reasons = columns::RESOLVABLE
            .map(|reason| format!("'{}'", reason.name()))
            .join(", ");
        let sql = format!(
            "UPDATE @dead_letters AS d SET resolved_at = strftime('%Y-%m-%dT%H:%M:%f000Z') FROM json_each(?1) AS u \
             WHERE d.source = u.value ->> 0 AND d.event_id = u.value ->> 1 AND d.resolved_at IS NULL \
             AND d.reason IN ({reasons})"
        );
        self.run(&sql, resolved, |event| Ok(json!([event.0, event.1])))
            .await
            .map(|_| ())
    }
}

fn key(row: &KeyRow, text: &mut Vec<u8>) -> Result<(), StoreError> {
    let (person, state) = columns::holder_columns(&row.holder)?;
    let newest = row.newest.as_ref().map(|position| hex(position.as_bytes()));
    let holder = columns::holder_number(&row.holder);
    array!(text, [row.key, row.root, holder, person, state, newest, row.events])
}

fn departed(person: &Person) -> Result<Value, StoreError> {
    Ok(json!([person.row, person.key, columns::person_text(person)?]))
}

fn profile(row: &ProfileRow, text: &mut Vec<u8>) -> Result<(), StoreError> {
    array!(
        text,
        [
            row.profile_id,
            row.user_id,
            row.profile_type,
            row.status.name(),
            row.is_active,
            row.display_name,
            row.email,
            row.username,
            row.first_name,
            row.last_name,
            row.full_name,
            row.phone,
            row.external_id,
            row.organization_id,
            row.customer_id,
            columns::json(&row.attributes)?,
            columns::json(&row.degraded)?,
            row.created_via,
            time(row.created_at)?,
            time(row.updated_at)?,
            row.version,
            row.deleted_at.map(time).transpose()?,
            row.linked_customer,
        ]
    )
}

fn profile_change(change: &ProfileChange) -> Result<Value, StoreError> {
    let row = &change.row;
    // A merge patch would merge objects; a key has to go before it can be replaced.
    let removed: Map<String, Value> = change
        .unset
        .iter()
        .chain(change.set.keys())
        .map(|name| (name.clone(), Value::Null))
        .collect();
    Ok(json!([
        row.profile_id,
        change.changed,
        row.user_id,
        row.status.name(),
        row.is_active,
        row.display_name,
        row.email,
        row.username,
        row.first_name,
        row.last_name,
        row.full_name,
        row.phone,
        row.external_id,
        row.organization_id,
        row.customer_id,
        columns::json(&row.degraded)?,
        row.created_via,
        time(row.created_at)?,
        time(row.updated_at)?,
        row.version,
        row.deleted_at.map(time).transpose()?,
        columns::json(&removed)?,
        columns::json(&change.set)?,
        row.linked_customer,
        columns::name_to_replace(change),
    ]))
}

fn customer(row: &CustomerRow) -> Result<Value, StoreError> {
    Ok(json!([
        row.customer_id,
        row.user_id,
        row.organization_id,
        row.profile_id,
        row.name,
        row.email,
        time(row.created_at)?,
        time(row.updated_at)?,
        row.deleted_at.map(time).transpose()?,
    ]))
}

fn customer_change(change: &CustomerChange) -> Result<Value, StoreError> {
    let row = &change.row;
    Ok(json!([
        row.customer_id,
        change.changed,
        row.user_id,
        row.profile_id,
        row.name,
        row.email,
        time(row.created_at)?,
        time(row.updated_at)?,
        row.deleted_at.map(time).transpose()?,
    ]))
}

fn changed(event: &Changed) -> Result<Value, StoreError> {
    let verdict = &event.verdict;
    Ok(json!([
        event.source,
        event.event_id,
        verdict.outcome.name(),
        verdict.reason.map(Reason::name),
        columns::effects_text(verdict)?,
        columns::degraded_text(verdict)?,
        event.policy_id,
        event.inputs,
    ]))
}

fn entry(entry: &NewEntry<'_>, text: &mut Vec<u8>) -> Result<(), StoreError> {
    let verdict = &entry.verdict;
    array!(
        text,
        [
            entry.source,
            entry.event_id,
            entry.user_id,
            entry.key,
            entry.new_key,
            entry.kind.name(),
            time(entry.position.time().micros())?,
            entry.states_time,
            entry.sequence,
            hex(entry.position.as_bytes()),
            entry.backfill,
            hex(entry.content),
            entry.data,
            verdict.outcome.name(),
            verdict.reason.map(Reason::name),
            columns::effects_text(verdict)?,
            columns::degraded_text(verdict)?,
            entry.policy_id,
            entry.late,
            entry.subject,
            entry.stream_sequence,
            columns::time_text(entry.published)?,
            entry.reduced,
            entry.inputs,
        ]
    )
}

fn time(micros: i64) -> Result<String, StoreError> {
    columns::time_text(columns::instant(micros)?)
}
