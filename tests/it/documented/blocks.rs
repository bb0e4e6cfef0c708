//! What of a document is a command.

/// A fenced block that is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The line it begins in, counted from 1.
    pub(super) line: usize,
    /// `sh`, `console` or `sql`.
    pub(super) language: String,
    pub(super) body: String,
}

/// The blocks that are run.
pub(super) fn read(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, content) in (1..).zip(text.lines()) {
        match (&mut open, content.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    line,
                    language: language.to_owned(),
                    body: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.body.extend([content, "\n"]),
            (None, None) => {}
        }
    }
    blocks.retain(|block| matches!(block.language.as_str(), "sh" | "console" | "sql"));
    blocks
}

/// The commands of a block, each with the output that is shown for it. What comes after two blanks and `#` is for the reader.
pub(super) fn commands(block: &Block) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in block.body.lines() {
        let command = match block.language.as_str() {
            "sh" => Some(line),
            _ => line.strip_prefix("$ "),
        };
        match (command, found.last_mut()) {
            (Some(command), _) => {
                let command = command.split("  # ").next().unwrap_or_default().trim();
                if !command.is_empty() && !command.starts_with('#') {
                    found.push((command.to_owned(), String::new()));
                }
            }
            (None, Some((_, output))) => output.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    found
}

/// Whether what was printed is what is shown, line by line; `…` stands for anything.
pub(super) fn matches(shown: &str, printed: &str) -> bool {
    let fits = |shown: &str, printed: &str| {
        let mut parts = shown.trim_end().split('…');
        let Some(mut rest) = parts.next().and_then(|first| printed.trim_end().strip_prefix(first)) else {
            return false;
        };
        let mut open = false;
        for part in parts {
            open = part.is_empty();
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        open || rest.is_empty()
    };
    let (shown, printed): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), printed.lines().collect());
    shown.len() == printed.len() && shown.iter().zip(printed).all(|(shown, printed)| fits(shown, printed))
}

/// Lines that look like commands and stand in no block that is run: indented ones, or in a block of another kind.
pub(super) fn loose(text: &str) -> Vec<&str> {
    let mut language: Option<&str> = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("```") {
            language = if language.is_some() { None } else { Some(name) };
            continue;
        }
        let run = matches!(language, Some("sh" | "console" | "sql"));
        let code = language.is_some() || line.starts_with("    ");
        let first = line
            .trim_start()
            .trim_start_matches("$ ")
            .split(' ')
            .next()
            .unwrap_or_default();
        let word = first.trim_start_matches("./");
        let looks = ["rollcall", "cargo", "nats", "echo", "export", "psql", "sqlite3"].contains(&word)
            || ["deploy/", "ROLLCALL__"].iter().any(|begin| word.starts_with(begin));
        if code && !run && looks {
            found.push(line.trim());
        }
    }
    found
}

/// Commands in the text, as `` `rollcall dead list --json` ``: the words, and the options.
pub(super) fn inline(text: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        for code in line.split('`').skip(1).step_by(2) {
            let Some(rest) = code.strip_prefix("rollcall ") else {
                continue;
            };
            let is_word =
                |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            let words = rest.split(' ').take_while(is_word).collect();
            let options = rest.split(|c: char| c.is_whitespace() || "[]|".contains(c));
            found.push((words, options.filter(|word| word.starts_with("--")).collect()));
        }
    }
    found
}

#[test]
fn blocks_and_their_commands_are_found() {
    let text = "a\n```sh\nrollcall check   # comment\n# comment\n\necho 'a # b' | rollcall publish -\n```\n\
        ```json\n{}\n```\n```console\n$ rollcall explain u1\nline …\n$ b\n```\n";
    let blocks = read(text);
    let found: Vec<(usize, &str)> = blocks
        .iter()
        .map(|block| (block.line, block.language.as_str()))
        .collect();
    assert_eq!(found, [(2, "sh"), (11, "console")]);
    let shown: Vec<(String, String)> = blocks.iter().flat_map(commands).collect();
    let expected = [
        ("rollcall check", ""),
        ("echo 'a # b' | rollcall publish -", ""),
        ("rollcall explain u1", "line …\n"),
        ("b", ""),
    ];
    assert_eq!(shown, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn output_is_compared() {
    for (shown, printed, expected) in [
        ("a\n", "a\n", true),
        ("a\n", "a\nb\n", false),
        ("a…\n", "abc\n", true),
        ("a…c d\n", "ab c d\n", true),
        ("a…c\n", "abcd\n", false),
        ("…\n", "x\n", true),
        ("b…\n", "ab\n", false),
        ("", "", true),
    ] {
        assert_eq!(matches(shown, printed), expected, "{shown:?} {printed:?}");
    }
}

#[test]
fn commands_outside_of_blocks_are_found() {
    let text = "    rollcall run\n\nrollcall keeps\n\n```\n$ cargo build\n./deploy/run.sh\n```\n```sh\nrollcall run\n```\n\
        \n    webhooks ─► rollcall\n    ROLLCALL__X=1 rollcall run\n";
    assert_eq!(
        loose(text),
        [
            "rollcall run",
            "$ cargo build",
            "./deploy/run.sh",
            "ROLLCALL__X=1 rollcall run"
        ]
    );
    let text = "`rollcall run --drain` and `rollcall dead list`, `rollcall publish FILE` `rollcall schema user.left`\n\
        `rollcall rebuild [--user U | --all]`\n```\n`rollcall x`\n```\n";
    assert_eq!(
        inline(text),
        [
            (vec!["run"], vec!["--drain"]),
            (vec!["dead", "list"], vec![]),
            (vec!["publish"], vec![]),
            (vec!["schema"], vec![]),
            (vec!["rebuild"], vec!["--user", "--all"]),
        ]
    );
}
