//! What an answer of the broker means; which answer it is stands beside the errors of the broker.

use super::kind::Kind;
use crate::jetstream::Answer;

pub(super) fn kind(answer: Answer) -> Kind {
    match answer {
        Answer::Passing => Kind::Passing,
        Answer::Full => Kind::Full,
        Answer::SetUp | Answer::Missing => Kind::SetUp,
        Answer::Overtaken => Kind::Contended,
        Answer::Message => Kind::Event,
        Answer::Unknown => Kind::Unknown,
    }
}
