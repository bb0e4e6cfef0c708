//! What each error code of JetStream means, once. The codes are those of nats-server's `errors.json`.

use async_nats::jetstream::ErrorCode;

/// What it means that the broker answered with an error, or did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Away, electing, starting, overloaded: it passes by itself. What was published may have been stored.
    Passing,
    /// Disk, memory or a limit is full: it passes when somebody makes room.
    Full,
    /// Credentials, rights, settings: somebody has to change something.
    SetUp,
    /// Stream, consumer or JetStream itself is not there. While a server starts that may pass.
    Missing,
    /// Somebody else was faster: look again.
    Overtaken,
    /// This one message cannot be taken as it is.
    Message,
    /// This version does not know the answer.
    Unknown,
}

/// Every code we know. Those that are not here are unknown.
const CODES: &[(ErrorCode, Answer)] = &[
    (ErrorCode::CLUSTER_INCOMPLETE, Answer::Passing),
    (ErrorCode::CLUSTER_NOT_AVAILABLE, Answer::Passing),
    (ErrorCode::CLUSTER_NOT_LEADER, Answer::Passing),
    (ErrorCode::CLUSTER_NOT_ASSIGNED, Answer::Passing),
    (ErrorCode::CLUSTER_NOT_ACTIVE, Answer::Passing),
    (ErrorCode::STREAM_OFFLINE, Answer::Passing),
    (ErrorCode::CONSUMER_OFFLINE, Answer::Passing),
    (ErrorCode::STREAM_OFFLINE_REASON, Answer::Passing),
    (ErrorCode::CONSUMER_OFFLINE_REASON, Answer::Passing),
    (ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT, Answer::Passing),
    (ErrorCode::STREAM_TOO_MANY_REQUESTS, Answer::Passing),
    (ErrorCode::ACCOUNT_RESOURCES_EXCEEDED, Answer::Full),
    (ErrorCode::INSUFFICIENT_RESOURCES, Answer::Full),
    (ErrorCode::MEMORY_RESOURCES_EXCEEDED, Answer::Full),
    (ErrorCode::STORAGE_RESOURCES_EXCEEDED, Answer::Full),
    (ErrorCode::STREAM_STORE_FAILED, Answer::Full),
    (ErrorCode::STREAM_NOT_FOUND, Answer::Missing),
    (ErrorCode::CONSUMER_NOT_FOUND, Answer::Missing),
    (ErrorCode::JETSTREAM_NOT_ENABLED, Answer::Missing),
    (ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT, Answer::Missing),
    (ErrorCode::CONSUMER_CREATE, Answer::SetUp),
    (ErrorCode::INVALID_JSON, Answer::SetUp),
    (ErrorCode::STREAM_SUBJECT_OVERLAP, Answer::SetUp),
    (ErrorCode::STREAM_NAME_EXIST, Answer::SetUp),
    (ErrorCode::STREAM_INVALID_CONFIG, Answer::SetUp),
    (ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED, Answer::SetUp),
    (ErrorCode::MAXIMUM_CONSUMERS_LIMIT, Answer::SetUp),
    (ErrorCode::MAXIMUM_STREAMS_LIMIT, Answer::SetUp),
    (ErrorCode::CONSUMER_WQ_REQUIRES_EXPLICIT_ACK, Answer::SetUp),
    (ErrorCode::CONSUMER_WQ_MULTIPLE_UNFILTERED, Answer::SetUp),
    (ErrorCode::CONSUMER_WQ_CONSUMER_NOT_UNIQUE, Answer::SetUp),
    (ErrorCode::CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL, Answer::SetUp),
    (ErrorCode::CONSUMER_MAX_DELIVER_BACKOFF, Answer::SetUp),
    (ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, Answer::Message),
    (ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM, Answer::Message),
    (ErrorCode::STREAM_WRONG_LAST_SEQUENCE, Answer::Overtaken),
];

/// What the broker means by a code.
pub(super) fn of(code: ErrorCode) -> Answer {
    let found = CODES.iter().find(|(known, _)| *known == code);
    found.map_or(Answer::Unknown, |(_, answer)| *answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_means_what_is_written_down_about_it() {
        for (answer, codes) in [
            (
                Answer::Passing,
                vec![
                    10004, 10007, 10008, 10009, 10006, 10118, 10119, 10158, 10167, 10194, 10195,
                ],
            ),
            (Answer::Full, vec![10002, 10023, 10028, 10047, 10077]),
            (Answer::Missing, vec![10014, 10039, 10059, 10076]),
            (
                Answer::SetUp,
                vec![
                    10012, 10025, 10026, 10027, 10052, 10058, 10065, 10074, 10098, 10099, 10100, 10101, 10116,
                ],
            ),
            (Answer::Message, vec![10054, 10097]),
            (Answer::Overtaken, vec![10071]),
            (Answer::Unknown, vec![0, 10001, 10999, 65535]),
        ] {
            for code in codes {
                assert_eq!(of(ErrorCode(code)), answer, "{code}");
            }
        }
    }

    #[test]
    fn no_code_stands_twice_and_every_code_is_tested() {
        let mut all: Vec<u64> = CODES.iter().map(|(code, _)| code.0).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), CODES.len());
        // 11 + 5 + 4 + 13 + 2 + 1 of the table above.
        assert_eq!(all.len(), 36);
    }
}
