use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::jetstream::Answer;
use crate::store::Refusal;

#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Link {
    text: &'static str,
    source: Option<Box<Link>>,
}

#[test]
fn a_chain_says_everything_once() {
    let link = |text, source: Option<Link>| Link {
        text,
        source: source.map(Box::new),
    };
    let quoted = link("no broker", Some(link("io: refused", Some(link("refused", None)))));
    assert_eq!(chain(&quoted), "no broker: io: refused");
    assert_eq!(chain(&link("a", Some(link("b", None)))), "a: b");
}

/// Class, class alone, pace, whether it is known, whether somebody is told, whether it is ours at start, whether it
/// passes at start, whether the connection is spoilt.
type Row = (Class, Class, Pace, bool, bool, bool, bool, bool);

fn row(fault: &Fault) -> Row {
    (
        fault.class,
        fault.alone,
        fault.pace,
        fault.known,
        fault.page,
        fault.is_ours(),
        fault.passes(),
        fault.spoils_connection(),
    )
}

use Class::{Contended, Event, World};
use Pace::{Slow, Usual};

const PASSING: Row = (World, World, Usual, true, false, false, true, true);
const FULL: Row = (World, World, Usual, true, true, false, true, true);
const SET_UP: Row = (World, World, Usual, true, true, true, false, true);
const UNKNOWN: Row = (World, World, Usual, false, true, false, false, true);
const CONTENDED: Row = (Contended, Contended, Usual, true, false, false, true, false);
const TOO_LONG: Row = (Contended, Event, Slow, true, false, false, true, false);
const STALE: Row = (Contended, World, Usual, true, false, false, true, true);
const ODD: Row = (Contended, Contended, Slow, true, true, false, false, false);
const WAITS: Row = (Event, Contended, Usual, true, false, false, true, false);
const EVENT: Row = (Event, Event, Usual, true, false, false, false, false);
const DEPENDENT: Row = (Event, Event, Slow, true, false, false, false, false);
const BUG: Row = (Event, Event, Usual, true, true, false, false, false);

fn refused(dialect: Dialect, code: &str) -> StoreError {
    StoreError::Refused(Refusal {
        dialect,
        code: code.to_owned(),
        constraint: Some("profiles_email_key".to_owned()),
        table: Some("profiles".to_owned()),
    })
}

#[track_caller]
fn assert_codes(dialect: Dialect, table: &[(Row, &str)]) {
    for (expected, codes) in table {
        for code in codes.split_whitespace() {
            let error = refused(dialect, code);
            let fault = fault(&error);
            assert_eq!(row(&fault), *expected, "{dialect:?} {code}");
            assert_eq!(fault.class, class(&error), "{dialect:?} {code}");
            assert_eq!(fault.code, code);
            assert!(!fault.remedy().is_empty());
        }
    }
}

#[test]
fn every_code_of_postgres_has_its_class() {
    assert_codes(
        Dialect::Postgres,
        &[
            (
                PASSING,
                "08000 08001 08003 08004 08006 08007 08P01 25006 40003 57P01 57P02 57P03 57P05 72000",
            ),
            (FULL, "25P03 25P04 53000 53100 53200 53300 53400"),
            (
                SET_UP,
                "28000 28P01 3D000 3F000 42501 57P04 42P01 42703 42883 42704 42P10 42601 42804 42P18 42702 58000 58030 \
                 58P01 58P02 XX000 XX001 XX002 F0000",
            ),
            (CONTENDED, "40001 40P01 55P03"),
            (TOO_LONG, "57014"),
            (STALE, "0A000 26000 42P05"),
            (
                EVENT,
                "23001 23502 23514 23P01 22001 22003 22007 22008 22012 22021 22023 22P02 22P03 22P05 22030 22031 22032 \
                 22033 22034 22035 22036 22037 22038 22039 2203A 2203B 2203C 2203D 2203E 2203F 2203G 54000 54001 54011 \
                 54023 P0001",
            ),
            (DEPENDENT, "23503 23505"),
            (BUG, "21000 25P02"),
            // Neighbours of known codes are no relatives of theirs.
            (
                UNKNOWN,
                "02000 38000 39000 P0002 P0000 22000 22999 23000 42000 40000 40002 57000 55000 99999 00000 5 1555",
            ),
        ],
    );
    assert_eq!(fault(&refused(Dialect::Postgres, "")).class, World);
}

#[test]
fn every_code_of_sqlite_has_its_class() {
    assert_codes(
        Dialect::Sqlite,
        &[
            (CONTENDED, "5 261 517 773 6 262"),
            (PASSING, "9 17"),
            (FULL, "7 10 266 522 778 1034 1290 1546 2570 3338 3850 6410 8714 13"),
            (
                SET_UP,
                "1 257 513 769 3 8 264 520 776 1032 1288 1544 11 267 523 779 14 270 526 782 1038 1294 1550 23 279 26",
            ),
            (DEPENDENT, "19 787 1555 2067"),
            (EVENT, "275 1299 1811 3091 18 20"),
            (BUG, "21 25"),
            (
                UNKNOWN,
                "0 2 4 12 15 16 22 24 27 28 100 101 518 531 1043 2323 2579 2835 9999 23505 57014 x",
            ),
        ],
    );
}

#[test]
fn what_has_no_code_has_a_word_and_a_class() {
    let driver = StoreError::Driver;
    for (error, word, expected) in [
        (driver(Trouble::Io(ErrorKind::ConnectionReset)), "io", PASSING),
        (driver(Trouble::Io(ErrorKind::UnexpectedEof)), "io", PASSING),
        (driver(Trouble::PoolTimedOut), "pool_timed_out", PASSING),
        (driver(Trouble::PoolClosed), "pool_closed", PASSING),
        (driver(Trouble::ThreadCrashed), "thread_crashed", PASSING),
        (driver(Trouble::Tls), "tls", SET_UP),
        (driver(Trouble::Protocol), "protocol", PASSING),
        (driver(Trouble::Url), "url", SET_UP),
        (
            driver(Trouble::ColumnMissing("key".to_owned())),
            "column_missing",
            SET_UP,
        ),
        (
            driver(Trouble::ColumnUnreadable("key".to_owned())),
            "column_unreadable",
            SET_UP,
        ),
        (driver(Trouble::TypeMissing), "type_missing", SET_UP),
        (driver(Trouble::Other), "driver", UNKNOWN),
        (StoreError::Moved, "moved", CONTENDED),
        (StoreError::Overtaken, "overtaken", CONTENDED),
        (StoreError::Aborted, "aborted", BUG),
        (StoreError::Slow(Duration::from_secs(15)), "timeout", PASSING),
        (StoreError::Died("it panicked"), "died", BUG),
        (StoreError::Settings("no port".to_owned()), "settings", SET_UP),
        (StoreError::Restricted { rows: 3 }, "restricted", DEPENDENT),
        (StoreError::Unfinished, "unfinished", WAITS),
        (
            StoreError::NoFile {
                path: "/x/y".to_owned(),
            },
            "no_file",
            SET_UP,
        ),
        (
            StoreError::Unreadable {
                what: "person",
                problem: "at column 3".to_owned(),
            },
            "unreadable",
            ODD,
        ),
    ] {
        let fault = fault(&error);
        assert_eq!((fault.code.as_str(), row(&fault)), (word, expected), "{error}");
        assert_eq!((fault.constraint.clone(), fault.table.clone()), (None, None));
        assert_eq!(fault.to_string(), error.to_string());
    }
}

#[test]
fn a_fault_names_constraint_and_table_and_differs_by_them() {
    let one = fault(&refused(Dialect::Postgres, "23505"));
    assert_eq!(
        one.to_string(),
        "the database refused with code 23505, constraint profiles_email_key, table profiles"
    );
    assert_eq!(one.constraint.as_deref(), Some("profiles_email_key"));
    assert_eq!(one.table.as_deref(), Some("profiles"));
    assert_eq!(one, fault(&refused(Dialect::Postgres, "23505")));
    let other = StoreError::Refused(Refusal {
        dialect: Dialect::Postgres,
        code: "23505".to_owned(),
        constraint: None,
        table: None,
    });
    assert_ne!(one, fault(&other));
}

#[test]
fn a_step_in_the_applications_tables_fails_as_what_it_failed_of() {
    for code in ["23505", "57014", "42501", "99999"] {
        let cause = refused(Dialect::Postgres, code);
        let alone = fault(&cause);
        let step = StoreError::Step {
            step: "shop.orders".to_owned(),
            source: Box::new(cause),
        };
        let of_step = fault(&step);
        assert_eq!((row(&of_step), class(&step)), (row(&alone), alone.class), "{code}");
        assert_eq!(
            (&of_step.code, &of_step.constraint, &of_step.table),
            (&alone.code, &alone.constraint, &alone.table)
        );
        assert_eq!(of_step.to_string(), chain(&step));
        assert!(of_step.to_string().contains("shop.orders"), "{of_step}");
    }
}

#[test]
fn every_answer_of_the_broker_has_its_class() {
    let doing = || "publishing".to_owned();
    let servers = || "localhost".to_owned();
    for (error, word, expected) in [
        (BrokerError::Timeout { doing: doing() }, "timeout", PASSING),
        (BrokerError::NoResponders { doing: doing() }, "no_responders", PASSING),
        (BrokerError::Disconnected { doing: doing() }, "disconnected", PASSING),
        (BrokerError::NoJetStream { servers: servers() }, "no_jetstream", SET_UP),
        (BrokerError::Closed { doing: doing() }, "closed", SET_UP),
        (
            BrokerError::Denied {
                doing: doing(),
                reason: "x".to_owned(),
            },
            "denied",
            SET_UP,
        ),
        (BrokerError::Settings { reason: "x".to_owned() }, "settings", SET_UP),
        (
            BrokerError::TooOld {
                version: "2.9".to_owned(),
            },
            "too_old",
            SET_UP,
        ),
        (
            BrokerError::StreamMissing {
                stream: "S".to_owned(),
                remedy: String::new(),
            },
            "stream_missing",
            SET_UP,
        ),
        (
            BrokerError::ConsumerMissing {
                stream: "S".to_owned(),
                consumer: "c".to_owned(),
                remedy: String::new(),
            },
            "consumer_missing",
            SET_UP,
        ),
        (
            BrokerError::Mismatch {
                object: "stream S".to_owned(),
                differences: Vec::new(),
            },
            "mismatch",
            SET_UP,
        ),
        (
            BrokerError::TooLarge {
                doing: doing(),
                bytes: 2,
                limit: 1,
            },
            "too_large",
            EVENT,
        ),
        (BrokerError::BadMessage { reason: "x".to_owned() }, "bad_message", EVENT),
    ] {
        let fault = broker_fault(&error);
        assert_eq!((fault.code.as_str(), row(&fault)), (word, expected), "{error}");
        assert_eq!(broker_class(&error), fault.class);
        assert_eq!(error.is_transient(), fault.passes(), "{error}");
    }
    assert_eq!(nats::kind(Answer::Full), Kind::Full);
    assert_eq!(nats::kind(Answer::Overtaken), Kind::Contended);
    assert_eq!(nats::kind(Answer::Unknown), Kind::Unknown);
}

#[test]
fn somebody_is_told_once_per_code_and_only_of_what_they_can_put_right() {
    let alarms = Alarms::default();
    let tell = |code: &str| alarms.sound(&fault(&refused(Dialect::Postgres, code)));
    assert_eq!(
        ["99999", "53100", "53100", "99999"].map(tell),
        [true, true, false, false]
    );
    assert_eq!(["40001", "57P01", "23505", "57014"].map(tell), [false; 4]);
    // There is an end to what is remembered, and so to what is told: a thousand codes, two of them above.
    assert_eq!((0..2_000).filter(|n| tell(&format!("X{n:04}"))).count(), 998);
}

#[test]
fn who_is_told_is_told_what_to_do() {
    for (code, words) in [
        ("57P01", "nothing: it is tried again"),
        ("40001", "nothing: it is tried again"),
        ("57014", "nothing: it is tried again"),
        ("0A000", "nothing: it is tried again"),
        ("53100", "make room"),
        ("42P01", "`rollcall check`"),
        ("99999", "does not know the code"),
        ("23514", "redrive it"),
        ("23505", "redrive it"),
        ("25P02", "report it"),
    ] {
        let remedy = fault(&refused(Dialect::Postgres, code)).remedy();
        assert!(remedy.contains(words), "{code}: {remedy}");
    }
    let odd = StoreError::Unreadable {
        what: "person",
        problem: "at column 3".to_owned(),
    };
    assert!(fault(&odd).remedy().contains("`rollcall rebuild`"));
}
