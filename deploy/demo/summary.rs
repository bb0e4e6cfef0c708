//! The summary: a page for a person, an object for a script, both from the tables and streams.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::books::{Books, Row};
use crate::found::Found;
use crate::story;

/// What is counted, in the order in which it is shown.
struct Counts {
    profiles: BTreeMap<String, BTreeMap<String, usize>>,
    applied: usize,
    ignored: BTreeMap<String, usize>,
    rejected: BTreeMap<String, usize>,
}

impl Counts {
    fn of(found: &Found) -> Self {
        let mut profiles: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for row in &found.profiles {
            *profiles
                .entry(text(row, "profile_type"))
                .or_default()
                .entry(text(row, "status"))
                .or_default() += 1;
        }
        let mut ignored = by_reason(found, "ignored");
        if found.unknown_type > 0 {
            ignored.insert("unknown_type".to_owned(), found.unknown_type);
        }
        let applied = found
            .ledger
            .iter()
            .filter(|row| text(row, "outcome") == "applied")
            .count();
        Self {
            profiles,
            applied,
            ignored,
            rejected: by_reason(found, "rejected"),
        }
    }
}

fn by_reason(found: &Found, outcome: &str) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for row in found.ledger.iter().filter(|row| text(row, "outcome") == outcome) {
        *reasons.entry(text(row, "reason")).or_default() += 1;
    }
    reasons
}

fn text(row: &Row, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or("none").to_owned()
}

fn events_per_second(found: &Found) -> f64 {
    (found.messages as f64 / found.played.seconds.max(0.001)).round()
}

/// One JSON object.
pub(crate) fn object(books: &Books, found: &Found, differences: &[String]) -> Value {
    let counts = Counts::of(found);
    let dead: BTreeMap<_, _> = found
        .dead
        .iter()
        .map(|(reason, dead)| (reason, json!({"count": dead.count, "remedy": dead.remedy})))
        .collect();
    json!({
        "ok": differences.is_empty(),
        "seed": books.seed,
        "store": found.database,
        "users": found.users().len(),
        "profiles": counts.profiles,
        "customers": found.customers.len(),
        "outcomes": {
            "applied": counts.applied, "duplicate": found.duplicates(),
            "ignored": counts.ignored, "rejected": counts.rejected,
        },
        "dead_letters": dead,
        "late": found.late(),
        "messages": found.messages,
        "dropped_by_broker": found.played.dropped,
        "seconds": (found.played.seconds * 1000.0).round() / 1000.0,
        "events_per_second": events_per_second(found),
        "story": {"user_id": found.hero, "lines": story::lines(&found.story)},
        "differences": differences,
    })
}

/// A page of at most one screen.
pub(crate) fn page(
    books: &Books,
    found: &Found,
    differences: &[String],
    paint: Paint,
) -> Result<String, std::fmt::Error> {
    let counts = Counts::of(found);
    let mut page = String::new();
    let title = format!("A small company's year, seed {}, in {}", books.seed, found.database);
    writeln!(page, "\n  {}\n", paint.bold(&title))?;
    writeln!(
        page,
        "  {} events about {} people from two sources came as {} messages:\n  {} of them copies, {} later than what happened after them.\n",
        number(books.ledger.len()),
        books.mail.people,
        number(books.mail.published),
        books.mail.copies + books.mail.dropped,
        books.mail.out_of_order,
    )?;
    line(&mut page, "users", found.users().len(), "")?;
    for (kind, statuses) in &counts.profiles {
        line(
            &mut page,
            "profiles",
            statuses.values().sum(),
            &format!("{kind}: {}", listed(statuses)),
        )?;
    }
    line(&mut page, "customers", found.customers.len(), "")?;
    page.push('\n');
    line(
        &mut page,
        "applied",
        counts.applied,
        &format!(
            "{} of them late: their users' histories were folded again",
            found.late()
        ),
    )?;
    let dropped = format!("and {} that the broker dropped", found.played.dropped);
    line(&mut page, "duplicate", found.duplicates(), &dropped)?;
    line(
        &mut page,
        "ignored",
        counts.ignored.values().sum(),
        &listed(&counts.ignored),
    )?;
    line(
        &mut page,
        "rejected",
        counts.rejected.values().sum(),
        &listed(&counts.rejected),
    )?;
    page.push('\n');
    line(
        &mut page,
        "dead letters",
        found.dead.values().map(|dead| dead.count).sum(),
        "",
    )?;
    for (reason, dead) in &found.dead {
        writeln!(
            page,
            "{:>21}  {reason}\n{:25}{}",
            dead.count,
            "",
            paint.dim(&dead.remedy)
        )?;
    }
    let speed = format!(
        "a second: {} messages in {:.2} s, published, applied and settled",
        number(found.messages),
        found.played.seconds
    );
    page.push('\n');
    line(&mut page, "events", events_per_second(found) as usize, &speed)?;
    writeln!(page, "\n  {}\n", paint.bold(&format!("The story of {}", found.hero)))?;
    page.push_str(&story::timeline(&found.story, paint));
    page.push_str(&verdict(books, found, differences, paint)?);
    Ok(page)
}

fn line(page: &mut String, name: &str, count: usize, remark: &str) -> std::fmt::Result {
    let line = format!("  {name:<12}{:>7}  {remark}", number(count));
    writeln!(page, "{}", line.trim_end())
}

fn verdict(books: &Books, found: &Found, differences: &[String], paint: Paint) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    if differences.is_empty() {
        let said = format!(
            "Tables and books agree: {} users, {} profiles, {} customers, {} events, {} dead letters.",
            books.users().len(),
            found.profiles.len(),
            found.customers.len(),
            number(found.ledger.len()),
            books.dead.values().sum::<usize>(),
        );
        writeln!(page, "\n  {}\n", paint.good(&said))?;
        return Ok(page);
    }
    writeln!(
        page,
        "\n  {}\n",
        paint.bad(&format!(
            "Tables and books differ in {} places:",
            number(differences.len())
        ))
    )?;
    for difference in differences.iter().take(30) {
        writeln!(page, "    {difference}")?;
    }
    if differences.len() > 30 {
        writeln!(page, "    and {} more: --json has them all", differences.len() - 30)?;
    }
    page.push('\n');
    Ok(page)
}

fn listed(counts: &BTreeMap<String, usize>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
    counts
        .iter()
        .map(|(name, count)| format!("{name} {}", number(**count)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// With a comma between thousands.
fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Colour, where the page goes to a terminal and the reader did not refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Colour,
    Plain,
}

impl Paint {
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}
