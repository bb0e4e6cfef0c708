//! Names that say nothing are not given: whoever looks for a rule searches for the word of the field.

use super::source::File;
use super::{catches, holds, is_rust};

/// Words that no file, module or type is called by, alone or with others.
const FORBIDDEN: [&str; 8] = [
    "manager", "service", "helper", "util", "utility", "common", "core", "v2",
];
/// The word that is bad as a whole name only: there are profile types.
const ALONE: &str = "type";

/// The words of a name in lower case and singular: `QueueManagers` is `queue` and `manager`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && !before.is_uppercase());
        if begins {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            last.extend(c.to_lowercase());
        }
        before = c;
    }
    let singular = |word: String| word.strip_suffix('s').map_or_else(|| word.clone(), str::to_owned);
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(singular)
        .collect()
}

fn says_nothing(name: &str) -> bool {
    let words = words(name);
    words.iter().any(|word| FORBIDDEN.contains(&word.as_str())) || words == [ALONE]
}

fn rule(file: &File) -> Vec<String> {
    let mut wrong = Vec::new();
    for part in file.path.split('/') {
        let name = part.trim_start_matches('.').split('.').next().unwrap_or_default();
        if says_nothing(name) {
            wrong.push(format!("{}: {name} is no name for a file", file.path));
        }
    }
    if is_rust(&file.path) {
        for pair in file.tokens().windows(2) {
            let [(line, keyword), (_, name)] = pair else { continue };
            let named = matches!(keyword.as_str(), "mod" | "struct" | "enum" | "trait" | "union" | "type");
            if named && says_nothing(name) {
                wrong.push(format!("{}:{line}: {name} is no name for a {keyword}", file.path));
            }
        }
    }
    wrong
}

#[test]
fn every_name_says_something() {
    holds(|_| true, 150, rule);
}

#[test]
fn empty_names_are_caught() {
    catches(
        rule,
        &[
            ("src/utils.rs", "", &["utils is no name for a file"]),
            ("src/common/lane.rs", "", &["common"]),
            ("deploy/helper.sh", "struct Manager", &["helper"]),
            ("docs/core.md", "", &["core"]),
            ("src/types.rs", "", &["types"]),
            ("src/apply_v2.rs", "", &["apply_v2"]),
            ("src/a.rs", "struct QueueManager;", &["QueueManager"]),
            ("src/a.rs", "pub enum Types {}", &["Types"]),
            ("src/a.rs", "trait UserService {}\nmod helpers;", &["a.rs:1", "a.rs:2"]),
            ("src/a.rs", "type ApplierV2 = Applier;", &["ApplierV2"]),
            (
                "src/a.rs",
                "struct ProfileTypes; struct Score; mod encore; enum Utilized {}",
                &[],
            ),
            ("src/a.rs", "/// A struct Manager\nstruct Lane;", &[]),
        ],
    );
}
