//! What follows from a failed batch. Pure.

use crate::failure::Class;

/// How often a contended batch is tried whole before it is cut.
const WHOLE_TRIES: u32 = 4;

/// How often an event that is alone is tried at once before it waits longer.
const ALONE_TRIES: u32 = 20;

/// What to do with a batch that was not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// Try the same batch again after a moment.
    Again,
    /// Try its halves one after the other: smaller batches meet fewer others.
    Halve,
    /// Keep it in hand and try again with growing pauses, for ever.
    Wait,
}

/// Decides from the class of the failure, the tries so far (from 1) and the events of the batch. Nothing is ever given
/// up here: no failure of the database counts against an event.
pub fn settle(class: Class, tries: u32, events: usize) -> Directive {
    match class {
        Class::Event if events > 1 => Directive::Halve,
        Class::World | Class::Event => Directive::Wait,
        Class::Contended if tries >= WHOLE_TRIES && events > 1 => Directive::Halve,
        Class::Contended if tries >= ALONE_TRIES => Directive::Wait,
        Class::Contended => Directive::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_tried_again_and_contention_shrinks_the_batch() {
        for (class, tries, events, expected) in [
            (Class::World, 1, 1, Directive::Wait),
            (Class::World, 1_000, 1_000, Directive::Wait),
            (Class::Event, 1, 1_000, Directive::Halve),
            (Class::Event, 1, 1, Directive::Wait),
            (Class::Contended, 1, 1_000, Directive::Again),
            (Class::Contended, 3, 1_000, Directive::Again),
            (Class::Contended, 4, 1_000, Directive::Halve),
            (Class::Contended, 4, 2, Directive::Halve),
            (Class::Contended, 19, 1, Directive::Again),
            (Class::Contended, 20, 1, Directive::Wait),
        ] {
            assert_eq!(
                settle(class, tries, events),
                expected,
                "{class:?}, try {tries}, {events} events"
            );
        }
    }
}
