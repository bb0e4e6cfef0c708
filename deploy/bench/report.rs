//! What was measured, for people and for scripts. Pure: the same figures give the same report.

use serde_json::{Value, json};
use std::fmt::Write as _;

/// What a figure should be, as a ratio to its yardstick or, without one, by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// One line of the report.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What scripts find it by.
    pub(crate) name: &'static str,
    /// What was measured.
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// Each measurement; the median counts.
    pub(crate) runs: Vec<f64>,
    /// What it is held against, with its own measurements in the same unit.
    pub(crate) beside: Option<(String, Vec<f64>)>,
    pub(crate) goal: Option<Goal>,
    /// What else a reader wants to know.
    pub(crate) more: Value,
}

/// Whether the times mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judge {
    Goals,
    /// A smoke run shows that everything can be measured, and no more.
    Nothing,
}

/// The middle one, or the mean of the two in the middle; 0 for none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

impl Row {
    pub(crate) fn figure(&self) -> f64 {
        median(&self.runs)
    }

    pub(crate) fn ratio(&self) -> Option<f64> {
        let (_, runs) = self.beside.as_ref()?;
        Some(self.figure() / median(runs))
    }

    /// None where there is no goal.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let judged = self.ratio().unwrap_or_else(|| self.figure());
        self.goal.map(|goal| match goal {
            Goal::AtLeast(least) => judged >= least,
            Goal::AtMost(most) => judged <= most,
        })
    }

    fn object(&self, judge: Judge) -> Value {
        let beside = self.beside.as_ref().map(|(what, runs)| {
            json!({"what": what, "figure": rounded(median(runs)), "runs": runs.iter().copied().map(rounded).collect::<Vec<_>>()})
        });
        let goal = self.goal.map(|goal| match goal {
            Goal::AtLeast(least) => json!({"at_least": least}),
            Goal::AtMost(most) => json!({"at_most": most}),
        });
        json!({
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "figure": rounded(self.figure()),
            "runs": self.runs.iter().copied().map(rounded).collect::<Vec<_>>(),
            "yardstick": beside,
            "ratio": self.ratio().map(rounded),
            "goal": goal,
            "met": if judge == Judge::Goals { self.is_met() } else { None },
            "more": self.more,
        })
    }
}

/// One JSON object: the rows, and the names of those that missed their goal.
pub(crate) fn object(rows: &[Row], judge: Judge, circumstances: &Value) -> Value {
    let missed = rows
        .iter()
        .filter(|row| judge == Judge::Goals && row.is_met() == Some(false));
    json!({
        "rows": rows.iter().map(|row| row.object(judge)).collect::<Vec<_>>(),
        "goals_missed": missed.map(|row| row.name).collect::<Vec<_>>(),
        "circumstances": circumstances,
    })
}

/// A table; what is made of the object, so that both say the same.
pub(crate) fn page(report: &Value) -> String {
    let mut page = format!(
        "{:<58} {:>12} {:<9} {:>12} {:>7}  {}\n",
        "figure", "measured", "", "yardstick", "ratio", "goal"
    );
    for row in report["rows"].as_array().into_iter().flatten() {
        let goal = match (&row["goal"]["at_least"], &row["goal"]["at_most"]) {
            (Value::Number(least), _) => format!("≥ {least}"),
            (_, Value::Number(most)) => format!("≤ {most}"),
            _ => "reported".to_owned(),
        };
        let verdict = match row["met"].as_bool() {
            Some(true) => " met",
            Some(false) => " MISSED",
            None => "",
        };
        let _ = writeln!(
            page,
            "{:<58} {:>12} {:<9} {:>12} {:>7}  {goal}{verdict}",
            text(&row["what"]),
            grouped(&row["figure"]),
            text(&row["unit"]),
            grouped(&row["yardstick"]["figure"]),
            row["ratio"]
                .as_f64()
                .map(|ratio| format!("{ratio:.2}"))
                .unwrap_or_default(),
        );
        if let Some(beside) = row["yardstick"]["what"].as_str() {
            let _ = writeln!(page, "    beside {beside}");
        }
        for (name, value) in row["more"].as_object().into_iter().flatten() {
            let _ = writeln!(page, "    {}: {value}", name.replace('_', " "));
        }
    }
    let missed: Vec<&str> = report["goals_missed"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !missed.is_empty() {
        let _ = writeln!(page, "goals missed: {}", missed.join(", "));
    }
    page
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// 48,123, or 3.14 where whole numbers say too little.
pub(crate) fn grouped(value: &Value) -> String {
    let Some(number) = value.as_f64() else {
        return String::new();
    };
    if number.abs() < 100.0 {
        return format!("{number:.2}");
    }
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// To four digits after the point: more would pretend to know more.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}
