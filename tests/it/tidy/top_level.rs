//! What lies at the top of the repository is a closed list: a newcomer sees all of it at once.

use std::collections::BTreeSet;

use super::source::tree;

/// The program, its tests, its documents, how it is run; then what the tools insist on having there.
const TOP: [&str; 19] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "tests",
    "benches",
    "deploy",
    "config.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs",
    ".ci",
    ".config",
    ".gitignore",
    ".gitattributes",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
];

fn strangers<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let tops = paths.filter_map(|path| path.split('/').next());
    tops.filter(|top| !TOP.contains(top)).collect()
}

#[test]
fn the_top_is_a_closed_list() {
    let files = tree();
    let found = strangers(files.iter().map(|file| file.path.as_str()));
    assert!(found.is_empty(), "not at the top of the repository: {found:?}");
}

#[test]
fn a_stranger_is_caught() {
    let paths = ["src/main.rs", "scripts/run.sh", "notes.md", "README.md"];
    assert_eq!(strangers(paths.into_iter()), BTreeSet::from(["scripts", "notes.md"]));
}
