//! The two pure functions that carry the meaning stay pure: no async, no I/O, no clock, no randomness, no log.

use super::source::{File, tree};
use super::{catches, holds, is_rust};

/// Files and folders whose every result follows from their arguments alone.
const PURE: [&str; 9] = [
    "src/domain/",
    "src/envelope/",
    "src/apply/decide.rs",
    "src/apply/fold.rs",
    "src/apply/late.rs",
    "src/ingress/signature/",
    "src/ingress/provider/",
    "src/ingress/translation.rs",
    "src/worker/settle.rs",
];

/// Words that no pure file has.
const IMPURE: [&str; 29] = [
    "async",
    "await",
    "tokio",
    "tokio_util",
    "futures_util",
    "async_nats",
    "sqlx",
    "reqwest",
    "tracing",
    "log",
    "println",
    "eprintln",
    "print",
    "eprint",
    "dbg",
    "fs",
    "net",
    "env",
    "process",
    "thread",
    "io",
    "SystemTime",
    "Instant",
    "now_utc",
    "now_local",
    "now_v7",
    "new_v4",
    "rand",
    "fastrand",
];

fn is_pure(path: &str) -> bool {
    is_rust(path)
        && PURE
            .iter()
            .any(|pure| path == *pure || (pure.ends_with('/') && path.starts_with(pure)))
}

fn rule(file: &File) -> Vec<String> {
    let impure = file
        .tokens()
        .into_iter()
        .filter(|(_, word)| IMPURE.contains(&word.as_str()));
    impure
        .map(|(line, word)| format!("{}:{line}: {word} has no place in a pure file", file.path))
        .collect()
}

#[test]
fn what_carries_the_meaning_is_pure() {
    holds(is_pure, 40, rule);
    let paths: Vec<String> = tree().into_iter().map(|file| file.path).collect();
    for pure in PURE {
        assert!(paths.iter().any(|path| path.starts_with(pure)), "{pure} is not there");
    }
}

#[test]
fn impure_words_are_caught() {
    let path = "src/domain/world.rs";
    catches(
        rule,
        &[
            (path, "//! No async, no tracing.\nfn fold() { \"std::fs\" }", &[]),
            (path, "async fn fold() {}", &["world.rs:1: async"]),
            (path, "let x = read()\n    .await;", &["world.rs:2: await"]),
            (path, "use tokio::sync::Mutex;", &["tokio"]),
            (path, "sqlx::query(\"\")", &["sqlx"]),
            (path, "use std::{collections::BTreeMap, fs};", &["fs"]),
            (path, "std::net::TcpStream", &["net"]),
            (path, "std::time::SystemTime::now()", &["SystemTime"]),
            (path, "Instant::now(); instant::parse()", &["Instant"]),
            (path, "OffsetDateTime::now_utc()", &["now_utc"]),
            (path, "tracing::info!(\"\")", &["tracing"]),
            (path, "Uuid::now_v7(); rand::random()", &["now_v7", "rand"]),
        ],
    );
    for (path, expected) in [
        ("src/domain/tests/created.rs", true),
        ("src/envelope/mod.rs", true),
        ("src/apply/fold.rs", true),
        ("src/apply/mod.rs", false),
        ("src/worker/settle.rs", true),
        ("src/worker/lane.rs", false),
        ("src/domain/query.sql", false),
    ] {
        assert_eq!(is_pure(path), expected, "{path}");
    }
}
