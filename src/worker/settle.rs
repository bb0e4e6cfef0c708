//! What follows from a failed try, and from a judged failure. Pure.

use std::time::Duration;

use crate::failure::{Class, Pace};

/// How often a contended batch is tried whole before it is cut.
const WHOLE_TRIES: u32 = 4;

/// How often an event that is alone is tried at once before somebody looks whether it is the only one.
const ALONE_TRIES: u32 = 8;

/// The pause after the first judged failure; each further one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// All of them are so much longer where what the event depends on may still come.
const SLOWER: u32 = 4;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What to do with a batch that was not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// Try the same batch again after a moment.
    Again,
    /// Try its halves one after the other: smaller batches meet fewer others, and the event that fails ends up alone.
    Halve,
    /// Hold the brake, keep it in hand and try again when the world is in order. No attempt is counted.
    Wait,
    /// It is one event, and the fault may be its own: find out.
    Judge,
}

/// Decides from the class of the failure, the tries so far (from 1) and the events of the batch. Nothing is ever given
/// up here: only the judgement of a single event counts an attempt.
pub fn settle(class: Class, tries: u32, events: usize) -> Directive {
    match class {
        Class::World => Directive::Wait,
        Class::Contended if tries >= WHOLE_TRIES && events > 1 => Directive::Halve,
        Class::Contended if tries >= ALONE_TRIES => Directive::Judge,
        Class::Contended => Directive::Again,
        Class::Event if events > 1 => Directive::Halve,
        Class::Event => Directive::Judge,
    }
}

/// What to do with an event after a judged failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentence {
    /// Let it wait so long, then try it again.
    Wait(Duration),
    /// Bury it: every attempt it had has failed.
    Bury,
    /// Its type is held back: let it wait so long, and count nothing.
    Hold(Duration),
}

/// Whether the type of an event is held back by the kill switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It is not.
    Free,
    /// It is: nothing of it is buried.
    Held,
}

/// Decides after the judged failure number `judged` (from 1) of at most `max_attempts`. `jitter` is between 0 and 1.
pub fn sentence(judged: u32, max_attempts: u32, flow: Flow, pace: Pace, jitter: f64) -> Sentence {
    let pause = |judged: u32| {
        let slower = if pace == Pace::Slow { SLOWER } else { 1 };
        let factor = 4_u32
            .saturating_pow(judged.saturating_sub(1).min(8))
            .saturating_mul(slower);
        let pause = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        pause + pause.mul_f64(jitter.clamp(0.0, 1.0) / 4.0)
    };
    match flow {
        Flow::Held if judged > 1 => Sentence::Hold(pause(4)),
        Flow::Free if judged >= max_attempts => Sentence::Bury,
        Flow::Free | Flow::Held => Sentence::Wait(pause(judged)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_tried_again_contention_shrinks_the_batch_and_only_single_events_are_judged() {
        for (class, tries, events, expected) in [
            (Class::World, 1, 1, Directive::Wait),
            (Class::World, 1_000, 1_000, Directive::Wait),
            (Class::Event, 1, 1_000, Directive::Halve),
            (Class::Contended, 1, 1_000, Directive::Again),
            (Class::Contended, 3, 1_000, Directive::Again),
            (Class::Contended, 4, 1_000, Directive::Halve),
            (Class::Contended, 4, 2, Directive::Halve),
            (Class::Contended, 7, 1, Directive::Again),
            (Class::Contended, 8, 1, Directive::Judge),
            (Class::Event, 1, 1_000, Directive::Halve),
            (Class::Event, 1, 2, Directive::Halve),
            (Class::Event, 7, 1, Directive::Judge),
        ] {
            assert_eq!(
                settle(class, tries, events),
                expected,
                "{class:?}, try {tries}, {events} events"
            );
        }
    }

    #[test]
    fn attempts_wait_longer_and_longer_and_the_last_one_buries() {
        let seconds = |s| Sentence::Wait(Duration::from_secs(s));
        for (judged, max, flow, expected) in [
            (1, 5, Flow::Free, seconds(1)),
            (2, 5, Flow::Free, seconds(4)),
            (3, 5, Flow::Free, seconds(16)),
            (4, 5, Flow::Free, seconds(64)),
            (5, 5, Flow::Free, Sentence::Bury),
            (6, 5, Flow::Free, Sentence::Bury),
            (1, 1, Flow::Free, Sentence::Bury),
            (9, 20, Flow::Free, seconds(300)),
            (u32::MAX - 1, u32::MAX, Flow::Free, seconds(300)),
            // Nothing of a held type is buried, and only its first failure is written down.
            (1, 1, Flow::Held, seconds(1)),
            (5, 5, Flow::Held, Sentence::Hold(Duration::from_secs(64))),
            (2, 5, Flow::Held, Sentence::Hold(Duration::from_secs(64))),
        ] {
            assert_eq!(
                sentence(judged, max, flow, Pace::Usual, 0.0),
                expected,
                "failure {judged} of {max}, {flow:?}"
            );
        }
        assert_eq!(
            sentence(1, 5, Flow::Free, Pace::Usual, 1.0),
            Sentence::Wait(Duration::from_millis(1_250))
        );
        assert_eq!(sentence(2, 5, Flow::Free, Pace::Slow, 0.0), seconds(16));
    }
}
