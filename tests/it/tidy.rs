//! The rules of the house as tests: who may know whom, what stays pure, how long a file may be, and that no document
//! names a thing that is not there.
//!
//! Every rule is a function from a path and its text to complaints, with a table beside it that shows what it catches.

mod edges;
mod names;
mod paths;
mod pure;
mod size;
mod source;
mod top_level;

use source::File;

/// Fails with every complaint of a rule about the files that it concerns; `least` of them there must be, so that a rule
/// cannot come to look at nothing.
#[track_caller]
fn holds(concerns: impl Fn(&str) -> bool, least: usize, rule: impl Fn(&File) -> Vec<String>) {
    let files: Vec<File> = source::tree().into_iter().filter(|file| concerns(&file.path)).collect();
    assert!(files.len() >= least, "only {} files are looked at", files.len());
    let wrong: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "{} complaints\n{}", wrong.len(), wrong.join("\n"));
}

/// Each row: a path, a text, and the parts that the complaints must contain, one each; none for a text that is fine.
#[track_caller]
fn catches(rule: impl Fn(&File) -> Vec<String>, table: &[(&str, &str, &[&str])]) {
    for (path, text, expected) in table {
        let found = rule(&File::new(path, text));
        assert_eq!(found.len(), expected.len(), "{path}: {text}\n{found:?}");
        for (complaint, part) in found.iter().zip(*expected) {
            assert!(
                complaint.contains(part),
                "{path}: {text}\n{complaint} does not say {part}"
            );
        }
    }
}

fn is_rust(path: &str) -> bool {
    extension(path) == "rs"
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}
