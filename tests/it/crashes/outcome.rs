//! What is left when the dust has settled, and a witness of what was done twice.

use anyhow::{Result, ensure};

use crate::deployment::Deployment;
use crate::world::{Base, Tables, Which, differing};

/// Everything that runs over the same events must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) tables: Tables,
    /// The dead letters that are not resolved: reason, source and id.
    pub(super) letters: Vec<String>,
}

impl Outcome {
    pub(super) async fn read(base: &Base) -> Result<Self> {
        let letter = ["reason", "source", "event_id"];
        Ok(Self {
            tables: Tables::read(base).await?,
            letters: base.lines(&letter, "@dead_letters WHERE resolved_at IS NULL").await?,
        })
    }

    /// Fails with the lines that differ.
    pub(super) fn assert_same(&self, expected: &Self, context: &str) {
        let letters = differing(&self.letters, &expected.letters);
        assert!(
            self.letters == expected.letters,
            "dead letters, {context}:\n{}",
            letters.join("\n")
        );
        self.tables.assert_same(&expected.tables, context);
    }
}

/// Has the database write down, in the same transaction, every row that enters the ledger and who wrote it: an effect
/// that is repeated as often as its cause.
pub(super) async fn call_witness(base: &Base) -> Result<()> {
    base.store().await?.close().await;
    match base.which {
        Which::Sqlite => {
            base.execute("CREATE TABLE witness (source TEXT, event_id TEXT, worker TEXT)")
                .await?;
            base.execute(
                "CREATE TRIGGER witness AFTER INSERT ON @ledger BEGIN \
                 INSERT INTO witness VALUES (NEW.source, NEW.event_id, ''); END",
            )
            .await?;
        }
        Which::Postgres => {
            base.execute("CREATE TABLE witness (source text, event_id text, worker text)")
                .await?;
            base.execute(
                "CREATE FUNCTION testify() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN INSERT INTO public.witness VALUES (NEW.source, NEW.event_id, session_user); RETURN NULL; END'",
            )
            .await?;
            base.execute("CREATE TRIGGER witness AFTER INSERT ON @ledger FOR EACH ROW EXECUTE FUNCTION testify()")
                .await?;
        }
    }
    Ok(())
}

/// Every event had its effect once: as the witness saw it, as the counters say that the fold itself keeps (the versions
/// of the profiles are among the tables), and every dead letter is in the stream once.
pub(super) async fn nothing_twice(deployment: &Deployment, events: usize) -> Result<()> {
    let base = &deployment.base;
    let seen = base.number("count(*)", "witness").await?;
    let distinct = base
        .number("count(*)", "(SELECT DISTINCT source, event_id FROM witness) AS once")
        .await?;
    ensure!(
        seen == distinct && seen == events as i64,
        "{seen} entries into the ledger of {distinct} events, {events} were sent"
    );
    let counted = base.number("sum(events)", "@keys WHERE key = root").await?;
    ensure!(
        counted == events as i64,
        "{counted} events are counted, {events} were sent"
    );
    let letters = deployment.dead_letters().await?;
    let mut sent: Vec<&str> = letters
        .iter()
        .filter_map(|letter| rollcall::dead_letters::message_id_of(&letter.headers))
        .collect();
    sent.sort_unstable();
    let written = base.lines(&["message_id"], "@dead_letters").await?;
    ensure!(
        !sent.is_empty() && sent == written,
        "dead letters: {sent:?} are in the stream, {written:?} in the table"
    );
    Ok(())
}
