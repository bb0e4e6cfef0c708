//! Events that wait for their next try, in the table `retries` and acknowledged: so bad ones take no room from good ones,
//! memory stays flat, and a restart forgets no attempt. Any worker tries them, one at a time; each is a worker's own as long
//! as it says so.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::judge::{Judgement, judge};
use super::message::Message;
use super::settle::{Flow, Sentence, sentence};
use super::suspects;
use super::switch::{Change, ended_well};
use super::tools::{Tools, Turn};
use crate::apply::Settled;
use crate::clock;
use crate::domain::{Kind, Reason};
use crate::failure::{Fault, Pace};
use crate::store::{Attempt, Claimed, Duties, Lease, Letter, Parked};

/// How often somebody looks whether an event is due.
const POLL: Duration = Duration::from_millis(500);
/// How often a type that is held back is probed.
const PROBE: Duration = Duration::from_mins(1);
/// How long an event waits that something is in the way of; longer where it takes somebody to clear it.
const ASIDE: Duration = Duration::from_secs(5);
const LONG_ASIDE: Duration = Duration::from_mins(1);

impl Tools {
    /// What follows from a judgement of an event that was just delivered. The outcome is empty when it waits now; None when
    /// nobody waits for it any longer.
    pub(super) async fn judged(&self, message: &Arc<Message>, judgement: Judgement) -> Option<Vec<Settled>> {
        let (attempts, pause) = match judgement {
            Judgement::Settled(settled) => return Some(vec![settled]),
            Judgement::GivenUp => return None,
            Judgement::Contended(fault) => {
                note_aside(message, &fault);
                (Vec::new(), aside(&fault))
            }
            Judgement::Failed(attempt, pace) => {
                self.failed(message).await?;
                note_failure(message, &attempt);
                let flow = self.flow(message.kind());
                match sentence(1, self.settings.max_attempts, flow, pace, jitter()) {
                    Sentence::Wait(pause) | Sentence::Hold(pause) => (vec![attempt], pause),
                    Sentence::Bury => return self.exhausted(message, &[attempt]).await.map(|settled| vec![settled]),
                }
            }
        };
        let parked = message.to_park(self.message_id(message), attempts, clock::now() + pause);
        let parked = [parked];
        self.persist(|| self.applier.store.park(&parked)).await?;
        Some(Vec::new())
    }

    /// Puts events of a type that is held back away, untried: they are tried beside the lanes.
    pub(super) async fn put_away(&self, messages: &[Arc<Message>]) -> Option<()> {
        let now = clock::now();
        let parked: Vec<Parked> = messages
            .iter()
            .map(|message| message.to_park(self.message_id(message), Vec::new(), now))
            .collect();
        self.persist(|| self.applier.store.park(&parked)).await
    }

    /// Tells the kill switch of events that ended well.
    pub(super) async fn passed(&self, messages: &[Arc<Message>], settled: &[Settled]) {
        let endings = messages
            .iter()
            .map(|message| message.kind())
            .zip(settled.iter().copied());
        for (kind, count) in ended_well(endings) {
            if self.switch.passed(kind, count) == Change::Free {
                self.free(kind, "few of its latest events fail").await;
            }
        }
    }

    /// Tells the kill switch of an event that failed at its first try; None when nobody waits for it any longer.
    async fn failed(&self, message: &Message) -> Option<()> {
        // Garbage is of no type.
        let Some(kind) = message.kind() else {
            return Some(());
        };
        if self.switch.failed(kind) == Change::Hold {
            let name = kind.name();
            tracing::error!(
                kind = name,
                "too many events of this type fail: nothing of it is buried until one of them succeeds"
            );
            let probe_at = clock::now() + PROBE;
            self.persist(|| self.applier.store.hold(name, probe_at)).await?;
        }
        Some(())
    }

    async fn free(&self, kind: Kind, why: &'static str) {
        let now = clock::now();
        if self
            .persist(|| self.applier.store.free(kind.name(), now))
            .await
            .is_some()
        {
            tracing::info!(kind = kind.name(), why, "this type of event is held back no longer");
        }
    }

    fn flow(&self, kind: Option<Kind>) -> Flow {
        if kind.is_some_and(|kind| self.switch.is_held(kind)) {
            Flow::Held
        } else {
            Flow::Free
        }
    }

    /// Buries an event whose every attempt failed.
    async fn exhausted(&self, message: &Arc<Message>, attempts: &[Attempt]) -> Option<Settled> {
        let error = attempts.last().map_or("", |attempt| attempt.error.as_str());
        let letter = self.letter(message, Reason::Exhausted, error, attempts);
        let id = self.message_id(message);
        self.persist(|| self.applier.store.conclude(&id, Some(&letter))).await?;
        Some(Settled::Dead(Reason::Exhausted))
    }

    /// The dead letter of an event that was tried again and again.
    pub(super) fn letter(&self, message: &Message, reason: Reason, error: &str, attempts: &[Attempt]) -> Letter {
        let incoming = message.incoming();
        let identity = message.identity();
        let undertaker = &self.applier.undertaker;
        undertaker.bury_after(&incoming, reason, error, attempts, identity, clock::now())
    }
}

/// Tries what is due, until it is stopped.
pub(super) async fn run(tools: Arc<Tools>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if round(&tools, &stop).await.is_none() {
            return;
        }
    }
}

/// Tries everything that is due now; None when we are stopped.
async fn round(tools: &Arc<Tools>, stop: &CancellationToken) -> Option<()> {
    while tools.may_begin().await && !stop.is_cancelled() {
        let store = &tools.applier.store;
        let now = clock::now();
        let Duties { holds, probe, retry } = tools.persist(|| store.duties(now)).await?;
        tools.switch.learn(&holds);
        if probe {
            probe_held(tools, now).await?;
        }
        if !retry {
            return Some(());
        }
        // Before the claim: what waits for its turn must not look as if it were tried.
        let turn = tools.shared_turn().await;
        if let Some(claimed) = tools.persist(|| store.claim(now, tools.lease())).await? {
            let id = claimed.parked.message_id.clone();
            if try_again(tools, claimed, turn).await.is_none() {
                tools.hand_back(&id).await;
                return None;
            }
        }
    }
    None
}

impl Tools {
    /// How long what is claimed is ours without a word from us: short enough that our death delays nothing for long.
    fn lease_time(&self) -> Duration {
        (2 * self.settings.ack_wait).max(Duration::from_secs(4))
    }

    fn lease(&self) -> Lease {
        self.lease_until(clock::now() + self.lease_time())
    }

    fn lease_until(&self, until: OffsetDateTime) -> Lease {
        Lease { life: self.life, until }
    }

    /// Judges what is claimed, and keeps it for as long as that takes: a slow try and a brake that holds are no death.
    async fn judge_claimed(self: &Arc<Self>, id: &str, message: &Arc<Message>) -> Judgement {
        let every = self.lease_time() / 4;
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut judging = std::pin::pin!(judge(Arc::clone(self), Arc::clone(message), None));
        let mut renewal: Option<tokio::task::JoinHandle<()>> = None;
        loop {
            tokio::select! {
                biased;
                judgement = &mut judging => return judgement,
                _ = ticks.tick() => {}
            }
            // Beside the judgement and past the brake, one at a time: the database may be slow, or away.
            if renewal.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                let (store, id, lease) = (self.applier.store.clone(), id.to_owned(), self.lease());
                renewal = Some(tokio::spawn(async move {
                    if let Err(error) = store.renew(&id, lease).await {
                        tracing::debug!(%error, "the claim of an event is not renewed yet");
                    }
                }));
            }
        }
    }

    /// Gives what is claimed back because we are stopped, brake or not: what is left in hand looks like a death.
    async fn hand_back(&self, id: &str) {
        let given = tokio::select! {
            biased;
            given = self.applier.store.give_back(id, self.lease_until(clock::now())) => given,
            () = self.shutdown.hard.cancelled() => return,
        };
        if let Err(error) = given {
            tracing::debug!(%error, "a claimed event is not given back, it is tried again when its lease ends");
        }
    }
}

/// Tries one event of a type that is held back: if it succeeds, the type is free.
async fn probe_held(tools: &Arc<Tools>, now: OffsetDateTime) -> Option<()> {
    let store = &tools.applier.store;
    let next = now + PROBE;
    let Some(name) = tools.persist(|| store.claim_hold(now, next)).await? else {
        return Some(());
    };
    let Some(kind) = Kind::from_name(&name) else {
        return Some(());
    };
    let _turn = tools.shared_turn().await;
    let Some(claimed) = tools.persist(|| store.claim_held(&name, now, tools.lease())).await? else {
        // Others may have the last of it in hand.
        if !tools.persist(|| store.holds_back(&name)).await? {
            tools.free(kind, "nothing of it waits").await;
        }
        return Some(());
    };
    let id = claimed.parked.message_id.clone();
    let message = Arc::new(Message::parked(claimed.parked));
    match tools.judge_claimed(&id, &message).await {
        Judgement::Settled(settled) => {
            tools.persist(|| store.conclude(&id, None)).await?;
            tools.report([&message], &[settled]);
            tools.free(kind, "one of its events succeeded").await;
        }
        // The next probe is for another one: who waits longest comes first.
        Judgement::Failed(..) | Judgement::Contended(_) => {
            tools.persist(|| store.give_back(&id, tools.lease_until(next))).await?;
        }
        Judgement::GivenUp => {
            tools.hand_back(&id).await;
            return None;
        }
    }
    Some(())
}

/// One more try of one event.
async fn try_again(tools: &Arc<Tools>, claimed: Claimed, turn: Turn) -> Option<()> {
    let Claimed { parked, deaths } = claimed;
    let store = &tools.applier.store;
    let id = parked.message_id.clone();
    let mut waiting = Parked {
        payload: Vec::new(),
        ..parked.clone()
    };
    let message = Arc::new(Message::parked(parked));
    let _turn = if deaths == 0 {
        turn
    } else {
        // A worker died with it in hand, and maybe of it: it is in nobody's hands until nothing else is tried.
        tools
            .persist(|| store.give_back(&id, tools.lease_until(waiting.next_at)))
            .await?;
        drop(turn);
        let alone = tools.turn_alone().await;
        if !tools.persist(|| store.take_up(&id, tools.lease())).await? {
            return Some(());
        }
        alone
    };
    if suspects::is_fatal(deaths) {
        let settled = tools.crash_loop(&message, deaths).await?;
        tools.report([&message], &[settled]);
        return Some(());
    }
    let (attempt, pace) = match tools.judge_claimed(&id, &message).await {
        Judgement::Settled(settled) => {
            tools.persist(|| store.conclude(&id, None)).await?;
            tools.report([&message], &[settled]);
            // Its first try was counted when it failed.
            if waiting.attempts.is_empty() {
                tools.passed(std::slice::from_ref(&message), &[settled]).await;
            }
            return Some(());
        }
        Judgement::Failed(attempt, pace) => (attempt, pace),
        Judgement::Contended(fault) => {
            note_aside(&message, &fault);
            let next = clock::now() + aside(&fault);
            return tools.persist(|| store.give_back(&id, tools.lease_until(next))).await;
        }
        Judgement::GivenUp => return None,
    };
    if waiting.attempts.is_empty() {
        tools.failed(&message).await?;
    }
    note_failure(&message, &attempt);
    waiting.attempts.push(attempt);
    let judged = waiting.attempts.len() as u32;
    let flow = tools.flow(message.kind());
    match sentence(judged, tools.settings.max_attempts, flow, pace, jitter()) {
        Sentence::Bury => {
            let settled = tools.exhausted(&message, &waiting.attempts).await?;
            tools.report([&message], &[settled]);
            Some(())
        }
        Sentence::Wait(pause) => {
            waiting.next_at = clock::now() + pause;
            tools.persist(|| store.failed_again(&waiting)).await
        }
        Sentence::Hold(pause) => {
            let next = clock::now() + pause;
            tools.persist(|| store.give_back(&id, tools.lease_until(next))).await
        }
    }
}

/// One line per failure, without data values.
fn note_failure(message: &Message, attempt: &Attempt) {
    tracing::warn!(
        event_id = message.identity().map_or("", |(_, id)| id),
        sequence = message.sequence,
        code = attempt.code,
        error = attempt.error,
        "this event is refused, alone, while others are taken"
    );
}

/// The same where it is not the event that is refused.
fn note_aside(message: &Message, fault: &Fault) {
    let event_id = message.identity().map_or("", |(_, id)| id);
    let sequence = message.sequence;
    if fault.page {
        tracing::error!(event_id, sequence, code = fault.code, error = %fault, remedy = fault.remedy(), "this event waits");
    } else {
        tracing::warn!(event_id, sequence, code = fault.code, error = %fault, "this event waits");
    }
}

fn aside(fault: &Fault) -> Duration {
    match fault.pace {
        Pace::Usual => ASIDE,
        Pace::Slow => LONG_ASIDE,
    }
}

/// Between 0 and 1, so that events that failed together are not tried together.
fn jitter() -> f64 {
    f64::from(clock::new_row_id().as_bytes()[15]) / 255.0
}
