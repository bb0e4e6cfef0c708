//! One lane: cuts what arrives into batches, gets each committed, then acknowledges it. An event that fails by its own
//! fault is put away, so that it delays nobody behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::judge::judge;
use super::message::{InHand, Message};
use super::suspects::Care;
use super::tools::{End, Tools};
use crate::apply::Settled;
use crate::failpoint::{Point, Sabotage, is_sabotaged, reach};
use crate::jetstream::{Acker, ack_all};

/// Some events and how carefully they have to be handled.
pub(super) struct Part {
    pub(super) events: Vec<InHand>,
    pub(super) care: Care,
}

/// One lane with everything it has in hand.
pub(super) struct Lane {
    tools: Arc<Tools>,
    queue: mpsc::Receiver<InHand>,
    /// What came while something else was in hand.
    backlog: VecDeque<InHand>,
    /// What is to be done next, the last one first.
    parts: Vec<Part>,
}

impl Lane {
    pub(super) fn new(tools: Arc<Tools>, queue: mpsc::Receiver<InHand>) -> Self {
        Self {
            tools,
            queue,
            backlog: VecDeque::new(),
            parts: Vec::new(),
        }
    }

    /// Works until the queue is closed and empty, or the shutdown leaves no time.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.next().await {
            if self.tools.shutdown.soft.is_cancelled() {
                hand_back(first.acker).await;
                continue;
            }
            let batch = self.gather(first).await;
            reach(Point::Gathered);
            self.sort(batch).await;
            while let Some(part) = self.parts.pop() {
                self.work(part).await;
            }
        }
    }

    async fn next(&mut self) -> Option<InHand> {
        match self.backlog.pop_front() {
            Some(next) => Some(next),
            None => self.queue.recv().await,
        }
    }

    /// Takes what is ready; waits for more only while more is known to be on its way.
    async fn gather(&mut self, first: InHand) -> Vec<InHand> {
        let settings = &self.tools.settings;
        let deadline = Instant::now() + settings.linger;
        let mut batch = vec![first];
        while batch.len() < settings.batch_max {
            if let Some(next) = self.backlog.pop_front() {
                batch.push(next);
                continue;
            }
            match self.queue.try_recv() {
                Ok(next) => batch.push(next),
                Err(_) if batch.last().is_none_or(|last| last.pending == 0) => break,
                Err(_) => match tokio::time::timeout_at(deadline, self.queue.recv()).await {
                    Ok(Some(next)) => batch.push(next),
                    Ok(None) | Err(_) => break,
                },
            }
        }
        batch
    }

    /// Puts away what is held back, and sets aside what may have been in hand at a death.
    async fn sort(&mut self, batch: Vec<InHand>) {
        // Nearly never is there one.
        let (suspects, batch): (Vec<_>, Vec<_>) = if batch.iter().any(|event| event.delivered > 1) {
            batch.into_iter().partition(|event| event.delivered > 1)
        } else {
            (Vec::new(), batch)
        };
        let switch = &self.tools.switch;
        let (held, fresh): (Vec<_>, Vec<_>) = if switch.holds_any() {
            let is_held = |event: &InHand| {
                let _ = event.message.decoded(&self.tools.intake);
                event.message.kind().is_some_and(|kind| switch.is_held(kind))
            };
            batch.into_iter().partition(is_held)
        } else {
            (Vec::new(), batch)
        };
        if !suspects.is_empty() {
            let parts = self.line_up(suspects).await;
            self.parts.extend(parts);
        }
        if !fresh.is_empty() {
            self.parts.push(Part {
                events: fresh,
                care: Care::Fresh,
            });
        }
        if !held.is_empty() {
            let (tools, messages) = (Arc::clone(&self.tools), messages(&held));
            let parked = self
                .alongside(&held, async move { tools.put_away(&messages).await })
                .await;
            finish(held, parked).await;
        }
    }

    /// Asks what is known of them from deaths before.
    async fn line_up(&mut self, suspects: Vec<InHand>) -> Vec<Part> {
        let (tools, messages) = (Arc::clone(&self.tools), messages(&suspects));
        let cares = self
            .alongside(&suspects, async move { tools.suspicions(&messages).await })
            .await;
        if let Some(cares) = cares {
            return super::suspects::line_up(suspects, cares);
        }
        finish(suspects, None).await;
        Vec::new()
    }

    /// Gets a part committed and acknowledges it, or cuts it, or puts its one event away.
    async fn work(&mut self, part: Part) {
        let Part { mut events, care } = part;
        let tools = Arc::clone(&self.tools);
        let _turn = self
            .alongside(&events, async move {
                match care {
                    Care::Alone { .. } => tools.turn_alone().await,
                    Care::Fresh | Care::Group => tools.shared_turn().await,
                }
            })
            .await;
        if is_sabotaged(Sabotage::AckBeforeCommit) {
            for event in &events {
                let _ = event.acker.ack_too_early().await;
            }
        }
        let (tools, batch) = (Arc::clone(&self.tools), messages(&events));
        let end = self
            .alongside(&events, async move {
                if !tools.note(&batch, care).await {
                    return End::GivenUp;
                }
                reach(Point::Noted);
                if care.is_fatal() {
                    return tools.bury_crash_loop(&batch, care).await;
                }
                tools.commit(batch).await
            })
            .await;
        match end {
            End::Cut => {
                let second = events.split_off(events.len() / 2);
                self.parts.extend([second, events].map(|events| Part { events, care }));
            }
            End::Committed(settled) => self.conclude(events, care, Some(settled)).await,
            End::GivenUp => self.conclude(events, care, None).await,
            End::Failed(fault) => {
                let (tools, batch) = (Arc::clone(&self.tools), messages(&events));
                let settled = self
                    .alongside(&events, async move {
                        let message = batch.into_iter().next()?;
                        let judgement = judge(Arc::clone(&tools), Arc::clone(&message), Some(fault)).await;
                        tools.judged(&message, judgement).await
                    })
                    .await;
                self.conclude(events, care, settled).await;
            }
        }
    }

    /// Everything of a part is done, or nobody waits for it any longer.
    async fn conclude(&mut self, events: Vec<InHand>, care: Care, settled: Option<Vec<Settled>>) {
        let (tools, batch) = (Arc::clone(&self.tools), messages(&events));
        let done = self
            .alongside(&events, async move {
                if let Some(settled) = &settled {
                    tools.report(&batch, settled);
                    tools.passed(&batch, settled).await;
                }
                tools.acquit(&batch, care).await;
                reach(Point::Acquitted);
                settled.map(drop)
            })
            .await;
        finish(events, done).await;
    }

    /// Waits for something, and keeps everything in hand alive meanwhile: the current events, and those behind them.
    async fn alongside<T>(&mut self, current: &[InHand], work: impl Future<Output = T>) -> T {
        let mut alive = heartbeat(self.tools.settings.ack_wait);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = alive.tick() => {
                    while let Ok(next) = self.queue.try_recv() {
                        self.backlog.push_back(next);
                    }
                    let behind = self.parts.iter().flat_map(|part| &part.events).chain(&self.backlog);
                    keep(current.iter().chain(behind)).await;
                }
            }
        }
    }
}

fn messages(events: &[InHand]) -> Vec<Arc<Message>> {
    events.iter().map(|event| Arc::clone(&event.message)).collect()
}

/// Acknowledges what is done, hands back what is not.
async fn finish(events: Vec<InHand>, done: Option<()>) {
    let ackers = events.into_iter().map(|event| event.acker);
    if done.is_some() {
        let ackers: Vec<Acker> = ackers.collect();
        ack_all(ackers.into_iter().inspect(|_| reach(Point::Acknowledging))).await;
        reach(Point::Acknowledged);
    } else {
        for acker in ackers {
            hand_back(acker).await;
        }
    }
}

/// Tells the broker that these are still in hand; a lost word costs a redelivery, nothing else.
async fn keep<'a>(events: impl Iterator<Item = &'a InHand>) {
    for event in events {
        if event.acker.progress().await.is_err() {
            return;
        }
    }
}

/// Gives a delivery that was not begun to whoever asks next.
pub(super) async fn hand_back(acker: Acker) {
    if let Err(error) = acker.nak(None).await {
        tracing::debug!(%error, "not handed back, it comes again after the ack wait");
    }
}

/// How often what is in hand is reported to the broker.
pub(super) fn heartbeat(ack_wait: Duration) -> tokio::time::Interval {
    tokio::time::interval_at(Instant::now() + ack_wait / 3, ack_wait / 3)
}
