//! The files of the repository, and their text without what is no code.

use std::path::Path;

/// A text file of the repository.
pub(super) struct File {
    /// From the top, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The words of the code with their lines, counted from 1: identifiers, and `::`, `{`, `}`, `,` and other signs one by one.
    pub(super) fn tokens(&self) -> Vec<(usize, String)> {
        let code = code(&self.text);
        let mut tokens: Vec<(usize, String)> = Vec::new();
        for (number, line) in (1..).zip(code.lines()) {
            let mut rest = line.trim_start();
            while let Some(first) = rest.chars().next() {
                let length = if is_word(first) {
                    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
                } else if rest.starts_with("::") {
                    2
                } else {
                    first.len_utf8()
                };
                tokens.push((number, rest[..length].to_owned()));
                rest = rest[length..].trim_start();
            }
        }
        tokens
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The top of the repository.
pub(super) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that could be committed, in the order of its path.
pub(super) fn tree() -> Vec<File> {
    let ignored = std::fs::read_to_string(top().join(".gitignore")).expect(".gitignore is there");
    let mut files = Vec::new();
    walk(top(), &|path| is_ignored(path, &ignored), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(folder: &Path, ignored: &dyn Fn(&str) -> bool, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        let name = path
            .strip_prefix(top())
            .expect("it is inside")
            .to_string_lossy()
            .replace('\\', "/");
        if ignored(&name) {
            continue;
        }
        if path.is_dir() {
            walk(&path, ignored, files);
        } else {
            // What another test writes and takes away again is not our matter, nor is what is no text.
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            files.push(File { path: name, text });
        }
    }
}

/// Lines of `.gitignore` are `/name` or `/beginning*`: no other kind is understood, or needed.
fn is_ignored(path: &str, ignored: &str) -> bool {
    path == ".git"
        || ignored.lines().any(|line| {
            let pattern = line.strip_prefix('/').expect("a line of .gitignore begins with /");
            match pattern.strip_suffix('*') {
                Some(beginning) => path.starts_with(beginning),
                None => path == pattern,
            }
        })
}

/// The text with comments and the contents of string and character literals blanked out, line by line as it was.
pub(super) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = literal(rest, out.chars().next_back());
        let length = skipped.unwrap_or(first.len_utf8());
        match skipped {
            Some(_) => out.extend(rest[..length].chars().map(|c| if c == '\n' { c } else { ' ' })),
            None => out.push(first),
        }
        rest = &rest[length..];
    }
    out
}

/// How long the comment or literal is that begins here, if one does.
fn literal(rest: &str, before: Option<char>) -> Option<usize> {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until("*/", 2));
    }
    let after_word = before.is_some_and(is_word);
    if !after_word && (rest.starts_with("r\"") || rest.starts_with("r#")) {
        let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            return Some(until(&format!("\"{}", "#".repeat(hashes)), hashes + 2));
        }
    }
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 1),
            // A lifetime has no end.
            _ if quote == '\'' && at > 1 && !rest[1..].starts_with('\\') => return None,
            _ => {}
        }
    }
    (quote == '"').then_some(rest.len())
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, expected) in [
        ("a // async\nb", "a\nb"),
        ("a /* tokio\n */ b", "a\nb"),
        (r#"f("sleep \" tokio") x"#, "f ( ) x"),
        ("r#\"sleep \" \"# x", "x"),
        (r"'\'' x 'y' z '\u{1}' &'static str", "x z & ' static str"),
        ("for x in y", "for x in y"),
        ("b'\"' b\"async\" c", "b b c"),
        ("\"open\nend\" x", "x"),
    ] {
        let words = |lines: Vec<(usize, String)>| lines.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ");
        let found = words(File::new("a.rs", text).tokens());
        assert_eq!(found, expected.replace('\n', " ").trim(), "{text}");
        assert_eq!(code(text).lines().count(), text.lines().count(), "{text}");
    }
}

#[test]
fn what_git_ignores_is_not_looked_at() {
    let ignored = "/target\n/rollcall.db*";
    for (path, expected) in [
        (".git", true),
        ("target", true),
        ("rollcall.db-wal", true),
        ("src/target", false),
        (".gitignore", false),
    ] {
        assert_eq!(is_ignored(path, ignored), expected, "{path}");
    }
    let paths: Vec<String> = tree().into_iter().map(|file| file.path).collect();
    for path in ["src/lib.rs", "README.md", ".ci/run", "tests/it/tidy/source.rs"] {
        assert!(paths.iter().any(|found| found == path), "{path} is not found");
    }
}
