//! New rows by `COPY` in its binary format. It costs the server a fraction of an `INSERT` from arrays: nothing has to be
//! unfolded and put aside first, and rows enter the table a page at a time. For the ledger only: binary values have to be of
//! the very type of their column, which is not for tables that applications change, nor do their rules and policies hold.
//!
//! It knows no `ON CONFLICT`: what another worker stored meanwhile is a violated unique key, and the batch is tried again.
//! And while the server waits for rows, no timeout of its own ends the statement: so all of them are made ready before it
//! begins.

use sqlx::encode::{Encode, IsNull};
use sqlx::postgres::PgArgumentBuffer;

use super::super::{Refusal, StoreError};
use super::{Driver, Tx};

/// What every binary copy begins with: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Instead of a count of columns, at the end.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Instead of the length of a value.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The SQLSTATE `unique_violation`.
const UNIQUE_VIOLATION: &str = "23505";
/// Sent at once; the driver copies each piece.
const PIECE: usize = 128 * 1024;

/// One row after the other.
pub(super) struct Rows {
    bytes: PgArgumentBuffer,
}

impl Rows {
    /// A row with so many columns follows.
    pub(super) fn row(&mut self, columns: i16) {
        self.bytes.extend(columns.to_be_bytes());
    }

    /// The next value of the row, of the very type of its column; a JSON column takes text.
    pub(super) fn value<'q>(&mut self, value: impl Encode<'q, Driver>) -> Result<(), StoreError> {
        let start = self.bytes.len();
        self.bytes.extend(NULL);
        if let IsNull::No = value.encode(&mut self.bytes).map_err(sqlx::Error::Encode)? {
            self.measure(start)?;
        }
        Ok(())
    }

    /// Puts its length before the value that was just written.
    fn measure(&mut self, start: usize) -> Result<(), StoreError> {
        let length = i32::try_from(self.bytes.len() - start - NULL.len())
            .map_err(|_| sqlx::Error::Encode("a value of more than 2 GiB".into()))?;
        self.bytes[start..start + NULL.len()].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}

impl Tx<'_> {
    /// Copies one row per item into a table: `write` begins it and says its values.
    pub(super) async fn copy<T>(
        &mut self,
        sql: &str,
        items: impl Iterator<Item = T> + Send,
        write: impl Fn(&mut Rows, T) -> Result<(), StoreError> + Send,
    ) -> Result<u64, StoreError>
    where
        T: Send,
    {
        let mut rows = Rows {
            bytes: PgArgumentBuffer::default(),
        };
        rows.bytes.extend_from_slice(HEADER);
        for item in items {
            write(&mut rows, item)?;
        }
        rows.bytes.extend(TRAILER);
        let sql = self.sql(sql);
        let mut copy = self.inner.copy_in_raw(&sql.0).await?;
        for piece in rows.bytes.chunks(PIECE) {
            copy.send(piece).await?;
        }
        Ok(copy.finish().await?)
    }
}

/// What a taken primary key means where only another worker can have taken it since we looked.
pub(super) fn overtaken(error: StoreError) -> StoreError {
    match error {
        StoreError::Refused(refusal) if is_taken(&refusal) => StoreError::Overtaken,
        other => other,
    }
}

fn is_taken(refusal: &Refusal) -> bool {
    let constraint = refusal.constraint.as_deref();
    refusal.code == UNIQUE_VIOLATION && constraint.is_some_and(|name| name.ends_with("_pkey"))
}
