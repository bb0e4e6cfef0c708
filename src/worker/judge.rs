//! Whose fault is it? One event is tried alone, with a probe before and after; only when it fails twice in the same way
//! while everything else can be written, the fault is its own: a judged failure, the only thing that counts as an attempt.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::message::{Form, Message};
use super::tools::{Pauses, Tools};
use crate::apply::Settled;
use crate::clock;
use crate::failure::{self, Class, Fault, Pace};
use crate::store::Attempt;

/// Longest account of an error, in characters.
const ERROR_MAX: usize = 400;
/// How often an event is tried that only others are in the way of, before it makes room.
const CONTENDED_TRIES: u32 = 3;
/// The same for one that fails in another way each time, which proves nothing.
const UNLIKE_TRIES: u32 = 6;

/// What the judgement came to.
pub(super) enum Judgement {
    /// It was applied, whole or reduced, or settled otherwise.
    Settled(Settled),
    /// The fault is its own.
    Failed(Attempt, Pace),
    /// Something is in the way of it, and only of it: it may wait, and nothing is counted.
    Contended(Fault),
    /// Nobody waits for it any longer.
    GivenUp,
}

/// Judges one event. `before` is how it failed alone just now, if it did.
pub(super) async fn judge(tools: Arc<Tools>, message: Arc<Message>, before: Option<Fault>) -> Judgement {
    let mut before = before.map(|fault| fault.code);
    let mut pauses = Pauses::default();
    let (mut contended, mut unlike) = (0, 0);
    loop {
        // Whatever the world did meanwhile, the failures before it prove nothing.
        match healthy(&tools).await {
            Health::Good => {}
            Health::Regained => before = None,
            Health::GivenUp => return Judgement::GivenUp,
        }
        let epoch = tools.brake.epoch();
        let error = match tools.attempt(vec![Arc::clone(&message)], Form::Whole).await {
            None => return Judgement::GivenUp,
            Some(Ok(settled)) => return ended(&tools, settled),
            Some(Err(error)) => error,
        };
        let fault = failure::fault(&error);
        match fault.alone {
            Class::World => tools.brake.hold(epoch, &fault),
            Class::Contended => {
                contended += 1;
                if contended >= CONTENDED_TRIES {
                    return Judgement::Contended(fault);
                }
                if !pauses.wait(&tools.shutdown).await {
                    return Judgement::GivenUp;
                }
            }
            Class::Event => match healthy(&tools).await {
                Health::GivenUp => return Judgement::GivenUp,
                Health::Regained => before = None,
                Health::Good if before.as_ref() == Some(&fault.code) => {
                    return reduced(&tools, &message, fault).await;
                }
                Health::Good => {
                    unlike += 1;
                    if unlike >= UNLIKE_TRIES {
                        return Judgement::Contended(fault);
                    }
                    before = Some(fault.code);
                }
            },
        }
    }
}

/// No user is left without a record: a creation that fails is tried once more with its minimal fields.
/// What others are in the way of is no failure of this form either.
async fn reduced(tools: &Arc<Tools>, message: &Arc<Message>, fault: Fault) -> Judgement {
    let mut pauses = Pauses::default();
    let mut contended = 0;
    while tools.may_begin().await {
        let epoch = tools.brake.epoch();
        let error = match tools.attempt(vec![Arc::clone(message)], Form::Reduced).await {
            Some(Ok(settled)) => return ended(tools, settled),
            Some(Err(error)) => error,
            None if tools.shutdown.hard.is_cancelled() => return Judgement::GivenUp,
            // There is no such form of it.
            None => return Judgement::Failed(account(&fault), fault.pace),
        };
        let second = failure::fault(&error);
        match second.alone {
            Class::World => tools.brake.hold(epoch, &second),
            Class::Contended => {
                contended += 1;
                if contended >= CONTENDED_TRIES {
                    return Judgement::Contended(second);
                }
                if !pauses.wait(&tools.shutdown).await {
                    return Judgement::GivenUp;
                }
            }
            Class::Event => return Judgement::Failed(account(&fault), fault.pace),
        }
    }
    Judgement::GivenUp
}

fn ended(tools: &Tools, settled: Vec<Settled>) -> Judgement {
    tools.brake.worked();
    settled
        .into_iter()
        .next()
        .map_or(Judgement::GivenUp, Judgement::Settled)
}

/// The account of a judged failure.
fn account(fault: &Fault) -> Attempt {
    Attempt {
        at: text(clock::now()),
        error: fault.to_string().chars().take(ERROR_MAX).collect(),
        code: Some(fault.code.clone()),
    }
}

/// An instant as the accounts have it.
pub(super) fn text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

enum Health {
    /// All can be written.
    Good,
    /// It could not be for a while.
    Regained,
    GivenUp,
}

/// Waits until the brake is free and a probe succeeds.
async fn healthy(tools: &Tools) -> Health {
    let mut health = Health::Good;
    loop {
        if tools.brake.reason().is_some() {
            health = Health::Regained;
        }
        if !tools.may_begin().await {
            return Health::GivenUp;
        }
        let epoch = tools.brake.epoch();
        let probed = tokio::select! {
            biased;
            probed = tools.brake.probe() => probed,
            () = tools.shutdown.hard.cancelled() => return Health::GivenUp,
        };
        match probed {
            Ok(()) => return health,
            Err(error) => {
                tools.brake.hold(epoch, &failure::fault(&error));
                health = Health::Regained;
            }
        }
    }
}
