//! Every rule of validation.

use super::*;

/// One rule each: section, lines below it, and what is said after the place and the section's name.
pub(super) fn assert_rules(header: &str, rules: &[(&str, &str)]) {
    for (lines, expected) in rules {
        let found = problems(&format!("{header}\n{lines}"), &[]);
        let lines_found: Vec<&str> = found.lines().collect();
        let [only] = lines_found.as_slice() else {
            panic!("{header} {lines}: not one problem but\n{found}")
        };
        assert!(
            only.starts_with("config.toml line ") && only.contains(expected),
            "{header} {lines}: {only}"
        );
        assert!(!only.contains("hunter"), "{only}");
    }
}

#[test]
fn rules_of_nats() {
    assert_rules(
        "[nats]",
        &[
            (
                "url = \"broker:4222\"",
                "\"url\" in [nats] does not begin with nats:// or tls://: write it like nats://127.0.0.1:4222",
            ),
            ("url = \"ws://broker\"", "does not begin with nats:// or tls://"),
            ("url = \"\"", "does not begin with nats:// or tls://"),
            ("url = \"nats://\"", "is not the address of a NATS server"),
            ("url = \"nats://broker/hunter\"", "is not the address of a NATS server"),
            ("url = \"nats://broker:hunter2\"", "has a port that is not a number"),
            ("url = \"nats://[::1]4222\"", "has a port that is not a number"),
            ("url = \"nats://[::1\"", "has a port that is not a number"),
            ("url = \"nats://u:hun/ter2@broker\"", "percent-encode it"),
            ("url = \"nats://u:hunter 2@broker\"", "percent-encode it"),
            ("url = \"nats://a,b\"", "does not begin with nats:// or tls://"),
            (
                "url = \"nats://a\"\nurl_file = \"x\"",
                "\"url_file\" in [nats] and \"url\" are both given: keep one of the two",
            ),
            (
                "token = \"hunter2\"\ntoken_file = \"x\"",
                "\"token_file\" in [nats] and \"token\" are both given",
            ),
            (
                "user = \"u\"\npassword = \"hunter2\"\npassword_file = \"x\"",
                "\"password_file\" in [nats] and \"password\" are both given",
            ),
            (
                "user = \"u\"\npassword = \"hunter2\"\ntoken = \"hunter3\"",
                "\"token\" in [nats] and \"user\" are both given: keep one way to log in",
            ),
            ("user = \"u\"", "\"user\" in [nats] is given without a password"),
            (
                "password = \"hunter2\"",
                "\"password\" in [nats] is given without \"user\"",
            ),
            (
                "url = \"nats://hunter2@a\"\ntoken = \"hunter3\"",
                "\"url\" in [nats] contains credentials, and others are configured",
            ),
            ("inbox_prefix = \"a.>\"", "\"inbox_prefix\" in [nats] is \"a.>\""),
        ],
    );
}

#[test]
fn rules_of_the_store() {
    assert_rules(
        "[store]",
        &[
            (
                "url = \"mysql://root:hunter2@db\"",
                "\"url\" in [store] does not begin with sqlite:// or postgres://",
            ),
            (
                "url = \"sqlite:rollcall.db\"",
                "does not begin with sqlite:// or postgres://",
            ),
            ("url = \"sqlite://\"", "does not name a SQLite file"),
            ("url = \"sqlite://folder/\"", "does not name a SQLite file"),
            ("url = \"sqlite://a.db?mode=rwc\"", "does not name a SQLite file"),
            ("url = \"sqlite://:memory:\"", "keeps everything in memory"),
            ("url = \"postgres://u:hunter2/db\"", "has a port that is not a number"),
            ("url = \"postgres://u:hun/ter2@db/app\"", "percent-encode it"),
            ("url = \"postgres://u:hun?ter2@db/app\"", "percent-encode it"),
            ("url = \"postgres://u:hun#ter2@db/app\"", "percent-encode it"),
            (
                "url = \"postgres://u@db/app?connect_timeout=5\"",
                "has a parameter that the PostgreSQL driver does not know: leave it out",
            ),
            ("schema = \"Rollcall\"", "\"schema\" in [store] is \"Rollcall\""),
            ("schema = \"\"", "\"schema\" in [store] is \"\""),
            ("schema = \"pg_x\"", "\"schema\" in [store] is \"pg_x\""),
            ("schema = \"a\\\"; drop\"", "\"schema\" in [store] is \"a\\\"; drop\""),
            ("table_prefix = \"1_\"", "\"table_prefix\" in [store] is \"1_\""),
            (
                "table_prefix = \"sqlite_x\"",
                "\"table_prefix\" in [store] is \"sqlite_x\"",
            ),
            (
                "max_connections = 0",
                "\"max_connections\" in [store] is 0: give 1 to 1000",
            ),
            (
                "statement_timeout = \"50ms\"\nlock_timeout = \"1ms\"",
                "\"statement_timeout\" in [store] is 50ms: give 100ms to 1h",
            ),
            (
                "lock_timeout = \"0s\"",
                "\"lock_timeout\" in [store] is 0ms: give 1ms to 1h",
            ),
            (
                "lock_timeout = \"20s\"",
                "\"lock_timeout\" in [store] is longer than \"statement_timeout\"",
            ),
        ],
    );
}

#[test]
fn rules_of_the_worker() {
    assert_rules(
        "[worker]",
        &[
            ("lanes = 0", "\"lanes\" in [worker] is 0: give 1 to 64"),
            ("lanes = -1", "\"lanes\" in [worker] is -1: give 1 to 64"),
            ("batch_max = 0", "\"batch_max\" in [worker] is 0: give 1 to 10000"),
            ("linger = \"11s\"", "\"linger\" in [worker] is 11s: give 0ms to 10s"),
            ("grace = \"0s\"", "\"grace\" in [worker] is 0ms: give 1s to 1h"),
            (
                "max_future = \"366d\"",
                "\"max_future\" in [worker] is 366d: give 0ms to 365d",
            ),
            (
                "max_component_events = 0",
                "\"max_component_events\" in [worker] is 0: give 1 to 10000000",
            ),
            (
                "protected = [\"\"]",
                "\"protected\" in [worker] has 0 characters: give 1 to 255",
            ),
            (
                "protected = [\"a\\u0000\"]",
                "\"protected\" in [worker] contains a control character: leave it out",
            ),
        ],
    );
}

#[test]
fn rules_of_the_consumer() {
    assert_rules(
        "[consumer]",
        &[
            (
                "stream = \"US.ERS\"",
                "\"stream\" in [consumer] is \"US.ERS\": give 1 to 255 characters without blanks",
            ),
            ("durable = \"\"", "\"durable\" in [consumer] is \"\""),
            ("subjects = []", "\"subjects\" in [consumer] is empty"),
            (
                "subjects = [\"orders.>\"]",
                "\"subjects\" in [consumer] contains \"orders.>\"",
            ),
            ("subjects = [\"user\"]", "\"subjects\" in [consumer] contains \"user\""),
            (
                "subjects = [\"user.>.x\"]",
                "\"subjects\" in [consumer] contains \"user.>.x\"",
            ),
            (
                "subjects = [\"user..x\"]",
                "\"subjects\" in [consumer] contains \"user..x\"",
            ),
            (
                "subjects = [\"user.*\", \"user.x\"]",
                "contains \"user.*\" and \"user.x\", which overlap",
            ),
            (
                "ack_wait = \"999ms\"",
                "\"ack_wait\" in [consumer] is 999ms: give 1s to 1h",
            ),
            (
                "max_ack_pending = 999",
                "\"max_ack_pending\" in [consumer] is less than \"batch_max\" in [worker]",
            ),
            (
                "duplicate_window = \"99ms\"",
                "\"duplicate_window\" in [consumer] is 99ms: give 100ms to 365d",
            ),
            (
                "max_age = \"1m\"",
                "\"duplicate_window\" in [consumer] is longer than \"max_age\"",
            ),
            (
                "max_bytes = 0",
                "\"max_bytes\" in [consumer] is 0: give a number of bytes",
            ),
            (
                "max_msg_size = 2147483648",
                "\"max_msg_size\" in [consumer] is 2147483648: give a number of bytes from 1 to 2147483647",
            ),
        ],
    );
}

#[test]
fn rules_of_profiles() {
    assert_rules(
        "[[profiles]]",
        &[
            ("initial_status = \"draft\"", "\"type\" in [[profiles]] is missing"),
            (
                "type = \"\"",
                "\"type\" in [[profiles]] has 0 characters: give 1 to 255",
            ),
            (
                "type = \"a\"\n[[profiles]]\ntype = \"b\"\nactivation_creates = [\"c\"]",
                "\"activation_creates\" in [[profiles]] names \"c\", which is no configured profile type: name one of \"a\", \"b\"",
            ),
            (
                "type = \"a\"\nsynchronised = [\"\"]",
                "\"synchronised\" in [[profiles]] has 0 characters",
            ),
            (
                "type = \"a\"\ndisplay_name = []",
                "\"display_name\" in [[profiles]] is empty",
            ),
            (
                "type = \"a\"\ndisplay_name = [\"fullname\"]",
                "contains \"fullname\": did you mean \"full_name\"?",
            ),
            ("type = \"a\"\ndisplay_name = [\"metadata.\"]", "contains \"metadata.\""),
            (
                "type = \"a\"\nattributes = { x = nan }",
                "\"attributes\" in [[profiles]] cannot be stored: \"x\"",
            ),
            (
                "type = \"a\"\nattributes = { x = [\"\\u0000\"] }",
                "cannot be stored: \"x\"",
            ),
            (
                "type = \"a\"\nattributes = { backfill = true }",
                "contains \"backfill\", which is not a table",
            ),
        ],
    );
    let twice = problems("[[profiles]]\ntype = \"a\"\n[[profiles]]\ntype = \"a\"", &[]);
    assert_eq!(
        twice,
        "config.toml line 4: \"type\" in [[profiles]] \"a\" is there more than once: give each type one entry"
    );
    assert_eq!(
        problems("profiles = []", &[]),
        "config.toml line 1: [[profiles]] is empty: give at least one profile type, or leave it out for the default"
    );
}

#[test]
fn rules_of_sources() {
    assert_rules(
        "[[source]]",
        &[
            ("key_prefix = \"a\"", "\"source\" in [[source]] is missing"),
            (
                "source = \"a\"\n[[source]]\nsource = \"a\"",
                "config.toml line 4: \"source\" in [[source]] \"a\" is there more than once",
            ),
            (
                "source = \"a\"\nallow = [\"user.create\"]",
                "\"allow\" in [[source]] contains \"user.create\": did you mean \"user.created\"?",
            ),
            (
                "source = \"a\"\nkey_prefix = \"\\u0000\"",
                "\"key_prefix\" in [[source]] contains a control character",
            ),
            (
                "source = \"a\"\nkey_prefix = \"x\"\n[worker]\nuser_id_is_email = true",
                "\"key_prefix\" in [[source]] makes keys that are no addresses",
            ),
            (
                "source = \"a\"\n[[profiles]]\ntype = \"t\"\nsynchronised = [\"k\"]\nattributes = { k = 1 }",
                "\"synchronised\" in [[profiles]] contains \"k\", which is an attribute of new profiles as well",
            ),
        ],
    );
}

#[test]
fn rules_of_dead_letters_outbox_and_telemetry() {
    assert_rules(
        "[dead_letters]",
        &[
            (
                "stream = \"USERS\"",
                "\"stream\" in [dead_letters] is the stream of [consumer] too",
            ),
            (
                "stream = \"DEAD LETTERS\"",
                "\"stream\" in [dead_letters] is \"DEAD LETTERS\"",
            ),
            ("subject_prefix = \"\"", "\"subject_prefix\" in [dead_letters] is \"\""),
            (
                "subject_prefix = \"dead.>\"",
                "\"subject_prefix\" in [dead_letters] is \"dead.>\"",
            ),
            (
                "subject_prefix = \"$JS\"",
                "\"subject_prefix\" in [dead_letters] is \"$JS\"",
            ),
            (
                "subject_prefix = \"user.dead\"",
                "a dead letter must never look like an event",
            ),
            (
                "max_age = \"1ms\"",
                "\"max_age\" in [dead_letters] is 1ms: give 100ms to 36500d",
            ),
            ("max_bytes = -2", "\"max_bytes\" in [dead_letters] is -2"),
        ],
    );
    assert_rules(
        "[outbox]",
        &[
            ("poll = \"1ms\"", "\"poll\" in [outbox] is 1ms: give 10ms to 1h"),
            ("batch = 0", "\"batch\" in [outbox] is 0: give 1 to 10000"),
        ],
    );
    assert_rules(
        "[telemetry]",
        &[
            ("log = \"\"", "\"log\" in [telemetry] is \"\""),
            ("log = \"a=b=c\"", "\"log\" in [telemetry] is \"a=b=c\""),
            (
                "format = \"xml\"",
                "\"format\" in [telemetry] has a value it cannot take: give one of `auto`, `text`, `json`",
            ),
        ],
    );
}

#[test]
fn attributes_become_json_and_a_backfill_has_its_own() {
    let text = "[[profiles]]\ntype = \"a\"\nattributes = { n = 1, f = 0.5, on = 2026-01-31, list = [true], backfill = { n = 2 } }";
    let config = load(text, &[]).expect("it is valid");
    let shown = |map: &Map<String, Value>| Value::Object(map.clone()).to_string();
    assert_eq!(
        shown(&config.profiles[0].attributes),
        r#"{"f":0.5,"list":[true],"n":1,"on":"2026-01-31"}"#
    );
    assert_eq!(shown(&config.profiles[0].backfill_attributes), r#"{"n":2}"#);
    assert_eq!(config.customers.profile_type, "a");
}

#[test]
fn durations_are_a_number_and_a_unit() {
    for (text, millis) in [
        ("5ms", 5),
        ("30s", 30_000),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("7d", 604_800_000),
        ("0s", 0),
    ] {
        let parsed = duration::parse(text).expect("it is right");
        assert_eq!(parsed.as_millis(), millis);
        assert_eq!(duration::parse(&duration::text(parsed)), Some(parsed));
    }
    for text in [
        "",
        "5",
        "s",
        "1.5s",
        "-1s",
        "1 s",
        "1h30m",
        "5S",
        "99999999999999999999s",
        "18446744073709551615d",
    ] {
        assert_eq!(duration::parse(text), None, "{text}");
    }
}
