//! The shipped file, typing errors, and the environment.

use std::fmt::Write as _;

use super::section::SECTIONS;
use super::*;

mod customers;
mod files;
mod ingress;
mod partitions;
mod rules;

const SHIPPED: &str = include_str!("../../config.toml");

/// What the file `config.toml` with this text and these variables come to.
fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse("config.toml", text, env)
}

/// The problems of a text, one a line.
fn problems(text: &str, env: &[(&str, &str)]) -> String {
    match load(text, env) {
        Ok(_) => String::new(),
        Err(ConfigError::Invalid(problems)) => problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"),
        Err(other) => other.to_string(),
    }
}

/// Compares all rows and shows all that differ: `(text, the one problem)`.
fn assert_problems(table: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (text, expected) in table {
        let found = problems(text, &[]);
        if found != *expected {
            writeln!(wrong, "{text}\n  expected: {expected}\n  found:    {found}").expect("a String takes all");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let document = Document::read("config.toml", SHIPPED).expect("the shipped file is TOML");
    assert_eq!(document.problems, []);
    let client = low::Profile {
        name: Some("client".into()),
        ..low::Profile::default()
    };
    let expected = low::Config {
        profiles: vec![client],
        ..low::Config::default()
    };
    assert_eq!(
        document.to_low().expect("the shipped file has the right shape"),
        expected
    );

    let shipped = load(SHIPPED, &[]).expect("the shipped file is valid");
    let empty = load("", &[]).expect("an empty file is valid");
    assert_eq!(format!("{shipped:?}"), format!("{:?}", Config::default()));
    assert_eq!(format!("{empty:?}"), format!("{:?}", Config::default()));
    assert_eq!(
        shipped.nats.servers.iter().map(SecretUrl::expose).collect::<Vec<_>>(),
        ["nats://127.0.0.1:4222"]
    );
    assert_eq!(shipped.store.url.expose(), "sqlite://rollcall.db");
    assert_eq!(shipped.store.backend, Backend::Sqlite("rollcall.db".into()));
    assert_eq!(shipped.customers.profile_type, "client");
}

#[test]
fn every_key_is_in_the_shipped_file_with_one_comment() {
    for section in &SECTIONS {
        let header = section.header();
        let headers = [format!("\n{header}\n"), format!("\n# {header}\n")];
        let found = headers.iter().find_map(|header| SHIPPED.split_once(header.as_str()));
        let Some((_, rest)) = found else {
            panic!("{header} is missing")
        };
        let body = rest.split("\n\n").next().unwrap_or_default();
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(
            lines.len(),
            2 * section.keys().len(),
            "{header}: one comment and one line for each key, no more"
        );
        for (pair, key) in lines.chunks(2).zip(section.keys()) {
            let (comment, line) = (pair[0], pair[1].trim_start_matches("# "));
            assert!(
                comment.starts_with("# ") && comment.ends_with('.'),
                "{header} {key}: {comment}"
            );
            let value = line
                .strip_prefix(&format!("{key} = "))
                .unwrap_or_else(|| panic!("{header} {key}: {line}"));
            let value = value.parse().unwrap_or_else(|error| panic!("{header} {key}: {error}"));
            assert_eq!(section.accepts(key, &value), Ok(()));
        }
    }
}

#[test]
fn typing_errors_name_the_nearest_known_thing() {
    assert_problems(&[
        (
            "\n[worker]\nbatchmax = 5",
            "config.toml line 3: unknown key \"batchmax\" in [worker]: did you mean \"batch_max\"?",
        ),
        (
            "[worker]\ndurable = \"a\"",
            "config.toml line 2: unknown key \"durable\" in [worker]: did you mean \"durable\" in [consumer]?",
        ),
        (
            "[[profiles]]\ntype = \"a\"\n[[profiles]]\ntype = \"b\"\nstatus = \"draft\"",
            "config.toml line 5: unknown key \"status\" in [[profiles]]: did you mean \"initial_status\"?",
        ),
        (
            "worker.lane = 3",
            "config.toml line 1: unknown key \"lane\" in [worker]: did you mean \"lanes\"?",
        ),
        (
            "lane = 3",
            "config.toml line 1: unknown key \"lane\" outside of any section: did you mean \"lanes\" in [worker]?",
        ),
        (
            "[wroker]\nlanes = 3",
            "config.toml line 1: unknown section [wroker]: did you mean [worker]?",
        ),
        (
            "[[profile]]\ntype = \"a\"",
            "config.toml line 1: unknown section [[profile]]: did you mean [[profiles]]?",
        ),
        (
            "[sources]",
            "config.toml line 1: unknown section [sources]: did you mean [[source]]?",
        ),
        (
            "[profiles]\ntype = \"a\"",
            "config.toml line 1: \"profiles\" is a section: write [[profiles]] once for each entry, on a line of its own, with its keys below",
        ),
        (
            "[[worker]]",
            "config.toml line 1: \"worker\" is a section: write [worker] once, on a line of its own, with its keys below",
        ),
        (
            "store = \"sqlite://a\"",
            "config.toml line 1: \"store\" is a section: write [store] once, on a line of its own, with its keys below",
        ),
    ]);
}

#[test]
fn values_of_the_wrong_kind_are_explained() {
    assert_problems(&[
        (
            "[worker]\nlanes = \"two\"",
            "config.toml line 2: \"lanes\" in [worker] is a string: give an integer",
        ),
        (
            "[worker]\nlanes = 99999999999999999999",
            "config.toml line 2: \"lanes\" in [worker] is a number beyond 64 bits: give a smaller one",
        ),
        (
            "[worker]\nlinger = 5",
            "config.toml line 2: \"linger\" in [worker] is an integer: give a duration in quotes: a whole number and ms, s, m, h or d, such as \"30s\"",
        ),
        (
            "[worker]\nlinger = \"5 parsecs\"",
            "config.toml line 2: \"linger\" in [worker] has a value it cannot take: give a duration in quotes: a whole number and ms, s, m, h or d, such as \"30s\"",
        ),
        (
            "[worker]\non_delete = \"keep\"",
            "config.toml line 2: \"on_delete\" in [worker] has a value it cannot take: give `delete` or `archive`",
        ),
        (
            "[worker]\nprotected = \"root\"",
            "config.toml line 2: \"protected\" in [worker] is a string: give a list such as [\"a\", \"b\"]",
        ),
        (
            "[nats]\nmanage = 1",
            "config.toml line 2: \"manage\" in [nats] is an integer: give a boolean",
        ),
        (
            "[nats]\ntoken = 12345",
            "config.toml line 2: \"token\" in [nats] is an integer: give text in quotes",
        ),
        (
            "[[profiles]]\ntype = \"a\"\nattributes = 1",
            "config.toml line 3: \"attributes\" in [[profiles]] is an integer: give a table such as { name = \"value\" }",
        ),
        (
            "[[profiles]]\ntype = 1",
            "config.toml line 2: \"type\" in [[profiles]] is an integer: give text in quotes",
        ),
    ]);
}

#[test]
fn what_is_not_toml_is_refused_without_being_shown() {
    for text in [
        "[nats]\npassword = \"hunter2",
        "[nats]\npassword = hunter2",
        "[nats]\npassword = \"hunter2\" x",
        "[nats]\ntoken hunter2",
    ] {
        let found = problems(text, &[]);
        assert!(found.starts_with("config.toml line 2: not TOML: "), "{found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text =
        "[worker]\nlanes = 0\nbatchmax = 1\n[consumer]\nsubjects = [\"a.>\"]\n[store]\nurl = \"mysql://u:hunter2@h/d\"";
    let found = problems(text, &[("ROLLCALL__OUTBOX__BATCH", "0")]);
    let places: Vec<&str> = found.lines().filter_map(|line| line.split(": ").next()).collect();
    let expected = [
        "config.toml line 2",
        "config.toml line 3",
        "config.toml line 5",
        "config.toml line 7",
        "ROLLCALL__OUTBOX__BATCH",
    ];
    assert_eq!(places, expected);
    assert!(!found.contains("hunter2"), "{found}");
    let shown = load(text, &[]).expect_err("it is wrong").to_string();
    assert!(
        shown.starts_with("4 problems in the configuration:\n  config.toml line 2: "),
        "{shown}"
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let env = [
        ("ROLLCALL__NATS__URL", "nats://a:1, tls://u:p@b"),
        ("ROLLCALL__NATS__MANAGE", "false"),
        ("ROLLCALL__CONSUMER__STREAM", "PEOPLE"),
        ("ROLLCALL__CONSUMER__SUBJECTS", "[\"user.created\", \"user.deleted\"]"),
        ("ROLLCALL__CONSUMER__DURABLE", "42"),
        (
            "ROLLCALL__STORE__URL",
            "postgres://rollcall:hunter2@db:5432/app?sslmode=disable",
        ),
        ("ROLLCALL__STORE__SCHEMA", "\"quoted\""),
        ("ROLLCALL__WORKER__LANES", "4"),
        ("ROLLCALL__WORKER__LINGER", "7ms"),
        ("ROLLCALL__DEAD_LETTERS__SUBJECT_PREFIX", "buried.here"),
        ("ROLLCALL_OTHER", "not ours"),
        ("PATH", "/bin"),
    ];
    let config = load(SHIPPED, &env).expect("every variable is right");
    assert_eq!(
        config.nats.servers.iter().map(SecretUrl::redacted).collect::<Vec<_>>(),
        ["nats://a:1", "tls://b"]
    );
    assert!(config.nats.tls.required && !config.nats.manage);
    assert_eq!(
        (config.consumer.stream.as_str(), config.consumer.durable.as_str()),
        ("PEOPLE", "42")
    );
    assert_eq!(config.consumer.subjects, ["user.created", "user.deleted"]);
    assert_eq!(config.store.url.to_string(), "postgres://rollcall@db:5432/app");
    assert_eq!(
        (config.store.backend, config.store.schema.as_str()),
        (Backend::Postgres, "quoted")
    );
    assert_eq!(
        (config.worker.lanes, config.worker.linger),
        (4, Duration::from_millis(7))
    );
    assert_eq!(config.dead_letters.subject_prefix, "buried.here");
}

#[test]
fn wrong_variables_are_named() {
    let table = [
        (
            "ROLLCALL__WORKER__LANE",
            "3",
            "ROLLCALL__WORKER__LANE: unknown key \"lane\" in [worker]: did you mean ROLLCALL__WORKER__LANES?",
        ),
        (
            "ROLLCALL__STOR__URL",
            "x",
            "ROLLCALL__STOR__URL: unknown section \"stor\": did you mean ROLLCALL__STORE__URL?",
        ),
        (
            "ROLLCALL__NATS",
            "x",
            "ROLLCALL__NATS: unknown key \"\" in [nats]: did you mean ROLLCALL__NATS__URL?",
        ),
        (
            "ROLLCALL__PROFILES__TYPE",
            "x",
            "ROLLCALL__PROFILES__TYPE: [[profiles]] is a list and cannot be set by a variable: write it in the configuration file",
        ),
        (
            "ROLLCALL__WORKER__LANES",
            "many",
            "ROLLCALL__WORKER__LANES: \"lanes\" in [worker] is a string: give an integer",
        ),
        (
            "ROLLCALL__WORKER__LANES",
            "2.5",
            "ROLLCALL__WORKER__LANES: \"lanes\" in [worker] is a float: give an integer",
        ),
        (
            "ROLLCALL__WORKER__LANES",
            "65",
            "ROLLCALL__WORKER__LANES: \"lanes\" in [worker] is 65: give 1 to 64",
        ),
        (
            "ROLLCALL__STORE__URL",
            "",
            "ROLLCALL__STORE__URL: \"url\" in [store] does not begin with sqlite:// or postgres://: write it like sqlite://rollcall.db or postgres://user@host:5432/database",
        ),
    ];
    for (name, value, expected) in &table {
        assert_eq!(problems(SHIPPED, &[(name, value)]), *expected);
    }
}
