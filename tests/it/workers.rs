//! Two workers at once on the same few users end where one would, after hundreds of collisions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall::apply::Applier;
use rollcall::failure::{Class, class};
use serde_json::json;

use crate::world::{Base, Message, Stream, Tables, Which, apply, apply_cut};

/// A linear congruential sequence: the same history every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Events about six keys, so that renames, collisions, re-creations and late arrivals are common.
pub(crate) fn history(events: i64, seed: u64) -> Stream {
    let mut dice = Dice(seed);
    let mut stream = Stream::new();
    let key = |dice: &mut Dice| format!("k{}", dice.roll(6));
    for n in 0..events {
        let user = key(&mut dice);
        let id = format!("{n}");
        // Neighbours happen in the other order about as often as not.
        let minute = n + dice.roll(8) as i64;
        match dice.roll(10) {
            0..=2 => stream.say(
                "created",
                &id,
                minute,
                json!({"user_id": user, "email": format!("{n}@x.org")}),
            ),
            3 | 4 => {
                let to = key(&mut dice);
                stream.say(
                    "renamed",
                    &id,
                    minute,
                    json!({"user_id": user, "new_user_id": to, "username": id}),
                )
            }
            5 => stream.say("deleted", &id, minute, json!({"user_id": user})),
            6 => {
                let organization = format!("o{}", dice.roll(2));
                stream.say(
                    "joined",
                    &id,
                    minute,
                    json!({"user_id": user, "organization_id": organization}),
                )
            }
            7 => {
                let organization = format!("o{}", dice.roll(2));
                stream.say(
                    "left",
                    &id,
                    minute,
                    json!({"user_id": user, "organization_id": organization}),
                )
            }
            8 => stream.say("activated", &id, minute, json!({"user_id": user})),
            _ => stream.say("updated", &id, minute, json!({"user_id": user, "phone": id})),
        };
    }
    stream
}

/// Applies batches until each is committed; returns how often another worker was in the way.
async fn work(applier: Applier, batches: Vec<Vec<Message>>, collisions: Arc<AtomicU32>) -> Result<()> {
    for batch in batches {
        loop {
            match apply(&applier, &batch).await {
                Ok(_) => break,
                Err(error) if class(&error) == Class::Contended => collisions.fetch_add(1, Ordering::Relaxed),
                Err(error) => return Err(error).context("a batch"),
            };
        }
    }
    Ok(())
}

async fn two_appliers(seed: u64) -> Result<()> {
    let mut base = Base::fresh(Which::Postgres).await?;
    let stream = history(400, seed);
    let expected = {
        let alone = base.another()?;
        apply_cut(&alone.applier().await?, &stream, 1000).await?;
        Tables::read(&alone).await?
    };
    let shared = base.another()?;
    shared.store().await?;
    let mut dice = Dice(seed + 1);
    // Both get a share of their own, and every fifth event goes to both.
    let mut halves: [Vec<Message>; 2] = [Vec::new(), Vec::new()];
    for message in &stream.messages {
        let roll = dice.roll(10) as usize;
        for (n, share) in halves.iter_mut().enumerate() {
            if roll >= 8 || roll % 2 == n {
                share.push(message.clone());
            }
        }
    }
    let collisions = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for share in halves {
        let applier = shared.applier().await?;
        let batches: Vec<Vec<Message>> = share.chunks(2).map(<[Message]>::to_vec).collect();
        assert!(batches.len() > 100);
        tasks.spawn(work(applier, batches, Arc::clone(&collisions)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let found = Tables::read(&shared).await?;
    found.assert_same(&expected, &format!("seed {seed}, {collisions:?} collisions"));
    let ids: BTreeSet<&str> = found.ledger.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(ids.len(), 400, "every event once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_the_same_users_converge() -> Result<()> {
    tokio::time::timeout(Duration::from_mins(2), async {
        for seed in 1..=3 {
            two_appliers(seed).await?;
        }
        Ok(())
    })
    .await
    .unwrap_or_else(|_| bail!("the workers wait for each other"))
}
