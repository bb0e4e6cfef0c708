//! The field of a run: one PostgreSQL, a broker for each workload, a database for each measurement.

use anyhow::{Result, ensure};
use sqlx::{Connection as _, SqliteConnection};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

use crate::broker::{Broker, Event};
use crate::cluster::Cluster;
use crate::drain::{Drained, Task};
use crate::people;
use crate::report::Judge;

/// What is to be measured, and with what.
pub(crate) struct Order {
    /// Events of the first scenario; the others have theirs in proportion.
    pub(crate) events: u64,
    /// How often each figure is taken.
    pub(crate) repetitions: usize,
    pub(crate) judge: Judge,
    pub(crate) rollcall: PathBuf,
    pub(crate) nats: PathBuf,
    /// The folder of initdb and postgres.
    pub(crate) postgres: PathBuf,
    pub(crate) folder: PathBuf,
}

pub(crate) struct Field {
    pub(crate) order: Order,
    pub(crate) cluster: Cluster,
    made: AtomicU32,
    created: OnceCell<Broker>,
    rate: OnceCell<f64>,
}

/// A database of PostgreSQL's, or a file of SQLite's.
pub(crate) struct Base {
    /// Of PostgreSQL's database; empty for a file.
    pub(crate) name: String,
    pub(crate) url: String,
}

impl Field {
    pub(crate) async fn prepare(order: Order) -> Result<Self> {
        let cluster = Cluster::start(&order.postgres).await?;
        Ok(Self {
            order,
            cluster,
            made: AtomicU32::new(0),
            created: OnceCell::new(),
            rate: OnceCell::new(),
        })
    }

    /// A name that no other database, consumer or folder of this run has.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{what}_{}", self.made.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.order.folder
    }

    /// A broker with a stream of its own.
    pub(crate) async fn broker(&self, events: impl Iterator<Item = Event>) -> Result<Broker> {
        Broker::filled(&self.order.nats, &self.folder().join(self.name("nats")), events).await
    }

    /// The sign-ups that most scenarios read.
    pub(crate) async fn created(&self) -> Result<&Broker> {
        let fill = || self.broker(people::created(0..self.order.events));
        self.created.get_or_try_init(fill).await
    }

    /// An empty database.
    pub(crate) async fn database(&self) -> Result<Base> {
        let name = self.name("bench");
        self.cluster
            .execute("postgres", &[format!("CREATE DATABASE {name}")])
            .await?;
        let url = self.cluster.url(&name);
        Ok(Base { name, url })
    }

    /// A file that is not there yet.
    pub(crate) fn file(&self) -> Base {
        let file = self.folder().join(format!("{}.db", self.name("sqlite")));
        Base {
            name: String::new(),
            url: format!("sqlite://{}", file.display()),
        }
    }

    /// Takes it away, so that disk and caches are as before.
    pub(crate) async fn drop(&self, base: Base) -> Result<()> {
        if base.name.is_empty() {
            let file = base.url.trim_start_matches("sqlite://");
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{file}{end}"));
            }
            return Ok(());
        }
        if self.order.judge == Judge::Nothing {
            // It goes with its server, and dropping it costs a checkpoint.
            return Ok(());
        }
        let drop = format!("DROP DATABASE {} WITH (FORCE)", base.name);
        self.cluster.execute("postgres", &[drop]).await
    }

    /// A worker between this broker and this database.
    pub(crate) fn task<'a>(&'a self, broker: &'a Broker, durable: &'a str, base: &'a Base) -> Task<'a> {
        Task {
            rollcall: &self.order.rollcall,
            folder: self.folder().join(durable),
            broker,
            durable,
            store_url: &base.url,
            batch_max: None,
            sections: String::new(),
        }
    }

    /// What was written before is on the disk, so that nobody pays for another; where nothing is judged nobody would mind.
    pub(crate) async fn settle(&self) -> Result<()> {
        if self.order.judge == Judge::Nothing {
            return Ok(());
        }
        self.cluster.execute("postgres", &["CHECKPOINT".to_owned()]).await
    }

    /// One worker reads the whole stream into these empty tables.
    pub(crate) async fn pass(&self, broker: &Broker, base: &Base) -> Result<Drained> {
        self.pass_as(broker, base, 1, |_| {}).await
    }

    /// The same with several workers, or with another configuration.
    pub(crate) async fn pass_as(
        &self,
        broker: &Broker,
        base: &Base,
        workers: usize,
        change: impl FnOnce(&mut Task<'_>),
    ) -> Result<Drained> {
        let durable = self.name("run");
        let mut task = self.task(broker, &durable, base);
        change(&mut task);
        task.migrate().await?;
        self.settle().await?;
        let drained = task.drain(workers, broker.messages).await?;
        task.forget().await?;
        Ok(drained)
    }

    /// One worker reads all sign-ups into an empty database, which is there afterwards.
    pub(crate) async fn first_row(&self) -> Result<(Drained, Base)> {
        let base = self.database().await?;
        let drained = self.pass(self.created().await?, &base).await?;
        self.expect(&base, "rollcall.ledger", self.order.events).await?;
        self.expect(&base, "rollcall.profiles", self.order.events).await?;
        Ok((drained, base))
    }

    /// Its rate, for those who are held against it. Where nothing is judged once is enough.
    pub(crate) async fn first_rate(&self) -> Result<f64> {
        let take = async || {
            let (drained, base) = self.first_row().await?;
            self.drop(base).await?;
            Ok(drained.rate())
        };
        match self.order.judge {
            Judge::Goals => take().await,
            Judge::Nothing => self.rate.get_or_try_init(take).await.copied(),
        }
    }

    /// The same for a file: so many events are in its ledger.
    pub(crate) async fn expect_file(&self, base: &Base, events: u64) -> Result<()> {
        let mut connection = SqliteConnection::connect(&base.url).await?;
        let sql = "SELECT count(*) FROM ledger";
        let found: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        connection.close().await?;
        ensure!(found as u64 == events, "the ledger has {found} rows, not {events}");
        Ok(())
    }

    /// Nothing that was measured counts when the work was not done.
    pub(crate) async fn expect(&self, base: &Base, table: &str, rows: u64) -> Result<()> {
        let sql = format!("SELECT count(*) FROM {table}");
        let found = self.cluster.number(&base.name, &sql).await?;
        ensure!(found as u64 == rows, "{table} has {found} rows, not {rows}");
        Ok(())
    }
}
