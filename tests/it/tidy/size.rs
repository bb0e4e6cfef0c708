//! What a person has to read is short, and what a test has to wait for is a condition.

use super::source::File;
use super::{catches, extension, holds, is_rust};

/// Most lines of a file that somebody reads.
const LINES_MAX: usize = 400;

/// The places that may let time pass: one asks for a condition in between, one makes a slow network.
const WAITING: [&str; 2] = ["tests/it/harness/wait.rs", "tests/it/harness/proxy.rs"];

/// Code, shell, SQL and documents; not what is generated.
fn is_read(path: &str) -> bool {
    matches!(extension(path), "rs" | "sh" | "sql" | "md" | "toml" | "conf") || path.starts_with(".ci/")
}

fn too_long(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let complaint = format!("{} has {lines} lines, more than {LINES_MAX}", file.path);
    if lines > LINES_MAX { vec![complaint] } else { Vec::new() }
}

/// Tests, wherever they are: those beside the code are in `tests.rs`, in `tests/`, or behind `mod tests`.
fn sleeps(file: &File) -> Vec<String> {
    let tokens = file.tokens();
    let beside = file.path.ends_with("/tests.rs") || file.path.contains("/tests/") || file.path.starts_with("tests/");
    let begin = if beside {
        Some(0)
    } else {
        tokens
            .windows(2)
            .position(|pair| pair[0].1 == "mod" && pair[1].1 == "tests")
    };
    let within = tokens.iter().skip(begin.unwrap_or(tokens.len()));
    within
        .filter(|(_, word)| matches!(word.as_str(), "sleep" | "sleep_ms" | "sleep_until" | "park_timeout"))
        .map(|(line, word)| format!("{}:{line}: {word} in a test: wait for a condition", file.path))
        .collect()
}

/// Work that is put off in a comment is not done; it belongs into an issue.
fn put_off(file: &File) -> Vec<String> {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let lines = (1..).zip(file.text.lines());
    lines
        .filter(|(_, line)| {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            words.any(|word| marks.iter().any(|mark| mark == word))
        })
        .map(|(number, _)| format!("{}:{number}: put off", file.path))
        .collect()
}

#[test]
fn files_are_short() {
    holds(is_read, 150, too_long);
}

#[test]
fn tests_do_not_sleep() {
    holds(|path| is_rust(path) && !WAITING.contains(&path), 150, sleeps);
}

#[test]
fn nothing_is_put_off() {
    holds(|_| true, 150, put_off);
}

#[test]
fn a_long_file_is_caught() {
    let long = "x\n".repeat(401);
    let fits = "x\n".repeat(400);
    catches(
        too_long,
        &[("src/a.rs", &long, &["401 lines"]), ("docs/A.md", &fits, &[])],
    );
    for (path, expected) in [
        ("src/a.rs", true),
        ("deploy/run.sh", true),
        (".ci/run", true),
        ("src/store/a.sql", true),
        ("docs/decisions/0001.md", true),
        ("docs/asyncapi.json", false),
        ("Cargo.lock", false),
    ] {
        assert_eq!(is_read(path), expected, "{path}");
    }
}

#[test]
fn a_sleeping_test_is_caught() {
    catches(
        sleeps,
        &[
            ("tests/it/a.rs", "tokio::time::sleep(x).await;", &["a.rs:1: sleep"]),
            ("src/a/tests.rs", "\nstd::thread::sleep(x)", &["tests.rs:2"]),
            ("src/a/tests/b.rs", "sleep_until(x)", &["sleep_until"]),
            (
                "src/a.rs",
                "fn work() { sleep(x) }\nmod tests {\n sleep(x) }",
                &["a.rs:3"],
            ),
            ("src/a.rs", "fn work() { sleep(x) }", &[]),
            ("tests/it/a.rs", "// no sleep\nfn a() { \"sleep\" }", &[]),
        ],
    );
}

#[test]
fn what_is_put_off_is_caught() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let first = format!("a\n// {}: later", marks[0]);
    let second = format!("# {}(me)", marks[1]);
    catches(
        put_off,
        &[
            ("src/a.rs", &first, &["a.rs:2"]),
            ("deploy/a.sh", &second, &["a.sh:1"]),
            ("src/a.rs", "todo_list", &[]),
        ],
    );
}
