//! Which module of the crate may know which: the arrows of `docs/ARCHITECTURE.md`, and they all point down.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{File, tree};
use super::{catches, holds, is_rust};

/// From the bottom up: a module, and those below it that it may use. Nothing may use what stands further up.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("jetstream", &[]),
    ("config", &[]),
    ("clock", &[]),
    ("shutdown", &[]),
    ("failpoint", &[]),
    ("envelope", &["domain"]),
    ("ingress", &["domain", "jetstream", "clock", "envelope"]),
    ("store", &["domain", "failpoint"]),
    ("telemetry", &["config"]),
    ("failure", &["jetstream", "store"]),
    ("dead_letters", &["domain", "envelope", "store"]),
    ("announcements", &["domain", "store"]),
    ("mail", &["domain", "clock", "envelope", "store", "failure"]),
    (
        "apply",
        &[
            "domain",
            "failpoint",
            "envelope",
            "store",
            "failure",
            "dead_letters",
            "announcements",
            "mail",
        ],
    ),
    (
        "outbox",
        &["domain", "jetstream", "failpoint", "store", "failure", "announcements"],
    ),
    ("explain", &["domain", "store", "apply"]),
    (
        "worker",
        &[
            "domain",
            "jetstream",
            "clock",
            "shutdown",
            "failpoint",
            "envelope",
            "store",
            "failure",
            "apply",
        ],
    ),
    ("http", &["jetstream", "worker"]),
    ("reading", &["jetstream", "shutdown", "envelope", "store"]),
    (
        "replay",
        &[
            "jetstream",
            "clock",
            "shutdown",
            "envelope",
            "store",
            "failure",
            "apply",
            "worker",
            "reading",
        ],
    ),
    (
        "rebuild",
        &[
            "domain",
            "jetstream",
            "clock",
            "shutdown",
            "store",
            "failure",
            "apply",
            "reading",
        ],
    ),
    ("backfill", &["domain", "jetstream", "shutdown", "envelope", "store"]),
    (
        "audit",
        &[
            "domain",
            "jetstream",
            "shutdown",
            "envelope",
            "store",
            "dead_letters",
            "reading",
        ],
    ),
    (
        "redrive",
        &["domain", "jetstream", "shutdown", "envelope", "store", "dead_letters"],
    ),
    ("wiring", EVERYTHING),
    ("cli", EVERYTHING),
    ("main", &["cli"]),
];

/// The edge of the program, where configuration becomes parts and parts become commands.
const EVERYTHING: &[&str] = &["*"];

fn allowed(from: &str, to: &str) -> bool {
    let place = |name: &str| LAYERS.iter().position(|(module, _)| *module == name);
    let (Some(above), Some(below)) = (place(from), place(to)) else {
        return false;
    };
    let listed = LAYERS[above].1;
    from == to || (below < above && (listed == EVERYTHING || listed.contains(&to)))
}

/// The modules of a file: `["store", "postgres", "read"]`.
fn module(path: &str) -> Vec<&str> {
    let inner = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    inner.split('/').filter(|name| *name != "lib").collect()
}

/// Every top-level module that a file names, with the line: behind `crate::`, behind enough `super::`, and for the
/// program behind `rollcall::`.
fn used(file: &File) -> Vec<(usize, String)> {
    let path = module(&file.path);
    let tokens = file.tokens();
    let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word.as_str());
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let mut next = at;
        let in_main = path == ["main"] && word(at) == "rollcall";
        if word(at) == "crate" || in_main {
            next += 1;
        } else if word(at) == "super" && word(at.wrapping_sub(2)) != "super" {
            while word(next) == "super" && word(next + 1) == "::" {
                next += 2;
            }
            if (next - at) / 2 < path.len() {
                continue;
            }
            next -= 1;
        } else {
            continue;
        }
        if word(next) != "::" {
            continue;
        }
        let known = |name: &str| LAYERS.iter().any(|(module, _)| *module == name);
        for name in heads(&tokens, next + 1) {
            // Behind `super` it may be an item of the parent, where the tests of a file are inside it.
            if word(at) != "super" || known(&name.1) {
                found.push(name);
            }
        }
    }
    found
}

/// The first names of a path or of a group `{a, b::c}`.
fn heads(tokens: &[(usize, String)], at: usize) -> Vec<(usize, String)> {
    let Some((line, first)) = tokens.get(at) else {
        return Vec::new();
    };
    if first != "{" {
        return vec![(*line, first.clone())];
    }
    let mut depth = 0;
    let mut names = Vec::new();
    for pair in tokens[at..].windows(2) {
        match pair[0].1.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0].1.as_str(), "{" | ",") && pair[1].1 != "}" {
            names.push(pair[1].clone());
        }
    }
    names
}

fn rule(file: &File) -> Vec<String> {
    let from = module(&file.path).first().map_or("lib", |name| name).to_owned();
    let wrong = used(file).into_iter().filter(|(_, to)| !allowed(&from, to));
    wrong
        .map(|(line, to)| {
            format!(
                "{}:{line}: {from} must not know {to}; see tests/it/tidy/edges.rs",
                file.path
            )
        })
        .collect()
}

#[test]
fn modules_know_only_what_is_below_them() {
    holds(|path| path.starts_with("src/") && is_rust(path), 80, rule);
}

#[test]
fn an_arrow_that_points_up_is_caught() {
    catches(
        rule,
        &[
            ("src/store/mod.rs", "use crate::domain::Event;", &[]),
            (
                "src/store/mod.rs",
                "use crate::jetstream::Broker;",
                &["store must not know jetstream"],
            ),
            (
                "src/jetstream/mod.rs",
                "x::<crate::store::Store>()",
                &["must not know store"],
            ),
            (
                "src/domain/world.rs",
                "use crate::{clock, domain::Event};",
                &["domain must not know clock"],
            ),
            (
                "src/domain/world.rs",
                "use crate::{domain::{clock, x}, store};",
                &["know store"],
            ),
            (
                "src/store/postgres/read.rs",
                "use super::super::super::{apply, cli};",
                &["apply", "cli"],
            ),
            ("src/store/postgres/read.rs", "use super::super::{cli, Known};", &[]),
            (
                "src/outbox.rs",
                "mod tests { use super::*; use super::apply; }",
                &["know apply"],
            ),
            (
                "src/outbox.rs",
                "mod tests { use super::outgoing; use super::super::apply; }",
                &["know apply"],
            ),
            (
                "src/envelope/mod.rs",
                "// crate::store\n\nuse crate::nothing;",
                &["mod.rs:3: envelope must not know nothing"],
            ),
            ("src/apply/fold.rs", "pub(in crate::apply) fn x() {}", &[]),
            ("src/cli/run.rs", "use crate::{worker, main};", &["main"]),
            (
                "src/main.rs",
                "rollcall::cli::main(); rollcall::store::x()",
                &["main must not know store"],
            ),
            (
                "src/newcomer.rs",
                "use crate::domain::Event;",
                &["newcomer must not know domain"],
            ),
            ("src/lib.rs", "use crate::domain::Event;", &["lib must not know domain"]),
        ],
    );
}

/// Every pair of modules of which one knows the other.
fn arrows() -> BTreeSet<(String, String)> {
    let files = tree()
        .into_iter()
        .filter(|file| file.path.starts_with("src/") && is_rust(&file.path));
    files
        .flat_map(|file| {
            let from = module(&file.path).first().map_or("lib", |name| name).to_owned();
            used(&file)
                .into_iter()
                .map(move |(_, to)| (from.clone(), to))
                .collect::<Vec<_>>()
        })
        .filter(|(from, to)| from != to)
        .collect()
}

#[test]
fn the_table_has_every_module_and_no_arrow_that_nobody_uses() {
    let files = tree();
    let tops: BTreeSet<&str> = files
        .iter()
        .filter(|file| file.path.starts_with("src/") && is_rust(&file.path))
        .filter_map(|file| module(&file.path).first().copied())
        .collect();
    assert_eq!(tops, LAYERS.iter().map(|(module, _)| *module).collect());
    let arrows = arrows();
    for (from, list) in LAYERS.iter().filter(|(_, list)| *list != EVERYTHING) {
        for to in *list {
            assert!(allowed(from, to), "{from} → {to} points up");
            assert!(
                arrows.contains(&((*from).to_owned(), (*to).to_owned())),
                "{from} does not use {to} any more"
            );
        }
    }
}

/// The table of the document: `` | `module` | … | `a` `b` | ``, the last column being what it uses.
fn documented(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let names = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = text.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        (names(cells[0]), names(cells[cells.len() - 1]))
    });
    rows.flat_map(|(modules, uses)| modules.into_iter().map(move |module| (module, uses.clone())))
        .collect()
}

#[test]
fn the_document_has_the_same_arrows() {
    let files = tree();
    let document = files
        .iter()
        .find(|file| file.path == "docs/ARCHITECTURE.md")
        .expect("the document is there");
    let (_, section) = document.text.split_once("## The arrows").expect("it has the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let expected: BTreeMap<String, BTreeSet<String>> = LAYERS
        .iter()
        .filter(|(module, _)| *module != "main")
        .map(|(module, list)| {
            let uses = list.iter().filter(|name| **name != "*").map(|name| (*name).to_owned());
            ((*module).to_owned(), uses.collect())
        })
        .collect();
    assert_eq!(documented(section), expected);
}
