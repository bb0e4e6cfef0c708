//! Documents name things that are there: paths, links, functions; and every document can be found from the README.

use std::collections::BTreeSet;

use super::source::{File, tree};
use super::{catches, extension, holds};

/// Folders whose files are named by their whole path; other paths are the reader's own.
const FOLDERS: [&str; 7] = ["src/", "tests/", "deploy/", "docs/", "benches/", ".ci/", ".config/"];

fn is_document(path: &str) -> bool {
    extension(path) == "md"
}

/// Every path of ours that a text names, with its line: `src/apply/mod.rs`, `deploy/run.sh`, also
/// `src/apply/mod.rs::Applier`, which says what is in it, and `docs/schemas/<type>.json`.
fn named(text: &str) -> Vec<(usize, String)> {
    let part_of_path = |c: char| c.is_ascii_alphanumeric() || "_-./:<>".contains(c);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for word in line.split(|c| !part_of_path(c)) {
            let word = word.strip_prefix("./").unwrap_or(word);
            let word = word.trim_end_matches(['.', ':']);
            if FOLDERS.iter().any(|folder| word.starts_with(folder)) {
                found.push((number, word.to_owned()));
            }
        }
    }
    found
}

/// Whether a path stands for a file or a folder; what is in angle brackets may be anything but a `/`.
fn exists(path: &str, files: &[File]) -> bool {
    let path = path.trim_end_matches('/');
    let Some((before, rest)) = path.split_once('<') else {
        return files.iter().any(|file| {
            let rest = file.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    };
    let after = rest.split_once('>').map_or("", |(_, after)| after);
    files.iter().any(|file| {
        let between = file.path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        between.is_some_and(|between| !between.contains('/'))
    })
}

/// Whether a file has a function, a type or a constant of this name.
fn defines(file: &File, name: &str) -> bool {
    let keyword = |word: &str| {
        matches!(
            word,
            "fn" | "struct" | "enum" | "const" | "macro_rules" | "trait" | "type"
        )
    };
    let tokens = file.tokens();
    tokens.windows(2).any(|pair| keyword(&pair[0].1) && pair[1].1 == name)
}

fn paths_exist(document: &File, files: &[File]) -> Vec<String> {
    let wrong = named(&document.text).into_iter().filter(|(_, path)| {
        let (path, names) = path.split_once("::").unwrap_or((path, ""));
        let within = |name: &str| files.iter().any(|file| file.path == path && defines(file, name));
        !exists(path, files) || !names.split("::").filter(|name| !name.is_empty()).all(within)
    });
    wrong
        .map(|(line, path)| format!("{}:{line}: there is no {path}", document.path))
        .collect()
}

/// The targets of the links of a document, made into paths from the top; what is elsewhere in the world is left out.
fn links(document: &File) -> Vec<String> {
    let targets = document
        .text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    targets
        .map(|(target, _)| target)
        .filter(|target| !target.contains("://"))
        .map(|target| {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let anchor = if anchor.is_empty() {
                String::new()
            } else {
                format!("#{anchor}")
            };
            if path.is_empty() {
                return format!("{}{anchor}", document.path);
            }
            let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
            for part in path.split('/').filter(|part| !matches!(*part, "." | "")) {
                if part == ".." {
                    parts.pop();
                } else {
                    parts.push(part);
                }
            }
            format!("{}{anchor}", parts.join("/"))
        })
        .collect()
}

/// A heading as links name it: lower case, blanks as hyphens, other signs left out.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn links_lead_somewhere(document: &File, files: &[File]) -> Vec<String> {
    let dead = links(document).into_iter().filter(|link| {
        let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
        let Some(target) = files.iter().find(|file| file.path == path) else {
            return wanted.is_empty() && !exists(path, files);
        };
        let mut headings = target.text.lines().filter(|line| line.starts_with('#'));
        !wanted.is_empty() && !headings.any(|line| anchor(line) == wanted)
    });
    dead.map(|link| format!("{}: the link to {link} leads nowhere", document.path))
        .collect()
}

/// Files of `docs/` that no chain of links from the README reaches.
fn unreachable(files: &[File]) -> Vec<&str> {
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut open = vec!["README.md".to_owned()];
    while let Some(path) = open.pop() {
        for document in files.iter().filter(|file| file.path == path && is_document(&file.path)) {
            for link in links(document) {
                let target = link.split('#').next().unwrap_or_default().to_owned();
                if reached.insert(target.clone()) {
                    open.push(target);
                }
            }
        }
    }
    let docs = files
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| path.starts_with("docs/"));
    docs.filter(|path| !reached.contains(*path)).collect()
}

#[test]
fn every_path_in_a_document_exists() {
    let files = tree();
    holds(is_document, 8, |document| paths_exist(document, &files));
    let all: usize = files
        .iter()
        .filter(|file| is_document(&file.path))
        .map(|file| named(&file.text).len())
        .sum();
    assert!(all > 30, "only {all} paths are found in the documents");
}

#[test]
fn every_link_leads_somewhere() {
    let files = tree();
    holds(is_document, 8, |document| links_lead_somewhere(document, &files));
}

#[test]
fn every_document_can_be_found() {
    let files = tree();
    assert_eq!(unreachable(&files), Vec::<&str>::new(), "nothing links there");
}

#[test]
fn a_path_that_is_not_there_is_caught() {
    let files = [
        File::new(
            "src/apply/mod.rs",
            "pub struct Applier;\nimpl Applier { async fn apply() {} }\n// fn gone",
        ),
        File::new("docs/schemas/user.created.json", ""),
        File::new("deploy/run.sh", ""),
    ];
    catches(
        |document| paths_exist(document, &files),
        &[
            (
                "README.md",
                "`src/apply/mod.rs`, ./deploy/run.sh. docs/schemas/<type>.json, src/apply/",
                &[],
            ),
            (
                "README.md",
                "the file\nsrc/apply.rs.",
                &["README.md:2: there is no src/apply.rs"],
            ),
            ("README.md", "`src/apply/mod.rs::Applier::apply`", &[]),
            ("README.md", "`src/apply/mod.rs::gone`", &["src/apply/mod.rs::gone"]),
            (
                "README.md",
                "(deploy/run) `docs/<type>.json`",
                &["deploy/run", "docs/<type>.json"],
            ),
            ("README.md", "/etc/rollcall/src, my/src/x.rs", &[]),
        ],
    );
}

#[test]
fn a_dead_link_is_caught() {
    let files = [
        File::new("README.md", "## Use it, now"),
        File::new("docs/A.md", ""),
        File::new("docs/sub/b.json", ""),
    ];
    catches(
        |document| links_lead_somewhere(document, &files),
        &[
            (
                "README.md",
                "[a](docs/A.md) [b](#use-it-now) [c](https://example.org/x)",
                &[],
            ),
            ("README.md", "[a](docs/B.md) [b](#use)", &["docs/B.md", "README.md#use"]),
            (
                "docs/A.md",
                "[a](../README.md#use-it-now) [b](sub/b.json) [c](sub)",
                &[],
            ),
            ("docs/A.md", "[a](README.md)", &["docs/README.md"]),
        ],
    );
}

#[test]
fn a_lost_document_is_caught() {
    let files = [
        File::new("README.md", "[a](docs/A.md)"),
        File::new("docs/A.md", "[b](b.json) [home](../README.md)"),
        File::new("docs/b.json", ""),
        File::new("docs/lost.md", "[a](A.md)"),
    ];
    assert_eq!(unreachable(&files), ["docs/lost.md"]);
}
