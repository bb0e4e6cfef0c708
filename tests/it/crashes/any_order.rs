//! The year of the demo in order, out of order and more than once: the same tables, on both databases.

use anyhow::{Context as _, Result, ensure};

use super::demo_year;
use super::flow::publish;
use super::outcome::Outcome;
use crate::deployment::Deployment;
use crate::histories::Dice;
use crate::world::{Base, Which, on_both};
use rollcall::config::Config;
use rollcall::jetstream::{Manage, Outgoing};

const SEED: u64 = 11;

on_both!(the_demo_year_in_any_order_ends_in_the_same_tables);

async fn the_demo_year_in_any_order_ends_in_the_same_tables(mut base: Base) -> Result<()> {
    let sorted = demo_year::messages(SEED);
    let events = sorted.len();
    ensure!(events >= 1_400, "a year has more than {events} events");
    let mut dice = Dice::new(SEED);
    let mut shuffled = sorted.clone();
    dice.shuffle(&mut shuffled);
    let duplicated = with_copies(&sorted, &mut dice);
    ensure!(duplicated.len() > events + events / 2, "hardly any copies");

    // In order on SQLite: what every order on either database has to end in.
    let expected = settled(Base::fresh(Which::Sqlite).await?, sorted.clone()).await?;
    ensure!(expected.tables.ledger.len() == events, "every event is in the ledger");
    let runs = [("sorted", sorted), ("shuffled", shuffled), ("duplicated", duplicated)];
    for (order, messages) in runs {
        let which = base.which;
        let found = settled(base.another()?, messages).await.context(order)?;
        found.assert_same(&expected, &format!("{order} on {which:?}"));
    }
    Ok(())
}

/// Every event one to three times, in any order; the broker must not recognise the copies, or the worker never sees them.
fn with_copies(messages: &[Outgoing], dice: &mut Dice) -> Vec<Outgoing> {
    let mut all = Vec::new();
    for message in messages {
        for copy in 0..=dice.below(3) {
            let message_id = format!("{} copy {copy}", message.message_id);
            all.push(Outgoing {
                message_id,
                ..message.clone()
            });
        }
    }
    dice.shuffle(&mut all);
    all
}

/// What a worker makes of these messages.
async fn settled(base: Base, messages: Vec<Outgoing>) -> Result<Outcome> {
    let deployment = Deployment::around(base).await?;
    let broker = deployment.nats.connect().await?;
    let stream = rollcall::wiring::events(&Config::default());
    broker.ensure_stream(&stream, Manage::Create).await?;
    publish(&broker, messages).await?;
    broker.close().await;
    deployment.drain().await?;
    Outcome::read(&deployment.base).await
}
