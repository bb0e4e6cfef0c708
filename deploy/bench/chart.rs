//! The bar chart of a report, as SVG that is readable on a light and on a dark page. Pure: the same report gives the same
//! picture.

use serde_json::Value;
use std::fmt::Write as _;

use super::report::grouped;

const WIDTH: f64 = 760.0;
/// Where the bars begin.
const LEFT: f64 = 290.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 90.0;
const STEP: f64 = 26.0;
const TOP: f64 = 44.0;

/// What is drawn: the name of a row, which side of it, and what a reader calls it.
const BARS: [(&str, Side, &str); 9] = [
    ("created", Side::Yardstick, "INSERT … SELECT of the same rows"),
    ("created", Side::Product, "Rollcall, PostgreSQL"),
    ("sqlite", Side::Product, "Rollcall, SQLite"),
    ("duplicates", Side::Product, "Rollcall, all duplicates"),
    ("late", Side::Product, "Rollcall, all late"),
    ("naive", Side::Yardstick, "a transaction an event, best of 8, 32, 64"),
    ("mixed", Side::Yardstick, "mixed history as an SQL script"),
    ("mixed", Side::Product, "Rollcall, mixed history, five cascades"),
    ("growth", Side::Product, "Rollcall, a million users there already"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Product,
    Yardstick,
}

/// Colours follow the reader's page; where that is not known they are readable on both.
const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #57606a }\n\
    .title { font-weight: 600 }\n\
    .product { fill: #1f883d }\n\
    .yardstick { fill: #8c959f }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #c9d1d9 } .product { fill: #3fb950 } .yardstick { fill: #6e7681 } }";

/// None where the report has none of the figures.
pub(crate) fn svg(report: &Value) -> Option<String> {
    let bars: Vec<(f64, Side, &str)> = BARS
        .into_iter()
        .filter_map(|(name, side, label)| Some((figure(report, name, side)?, side, label)))
        .collect();
    let most = bars.iter().map(|(figure, ..)| *figure).max_by(f64::total_cmp)?;
    let height = TOP + STEP * bars.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Events a second\">\n<style>\n{STYLE}\n</style>\n<text class=\"title\" x=\"8\" y=\"20\">Events a \
         second, end to end; grey: what it is held against</text>\n"
    );
    for (index, (figure, side, label)) in bars.iter().enumerate() {
        let y = TOP + STEP * index as f64;
        let length = (WIDTH - LEFT - RIGHT) * figure / most;
        let class = if *side == Side::Product { "product" } else { "yardstick" };
        let end = LEFT + length + 6.0;
        let shown = grouped(&Value::from(figure.round()));
        let base = y + 13.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{label}</text>\n<rect class=\"{class}\" x=\"{LEFT:.1}\" \
             y=\"{y:.1}\" width=\"{length:.1}\" height=\"17\" rx=\"2\"/>\n<text x=\"{end:.1}\" y=\"{base:.1}\">{shown}</text>",
            LEFT - 8.0,
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn figure(report: &Value, name: &str, side: Side) -> Option<f64> {
    let rows = report["rows"].as_array()?;
    let row = rows.iter().find(|row| row["name"] == name)?;
    match side {
        Side::Product => row["figure"].as_f64(),
        Side::Yardstick => row["yardstick"]["figure"].as_f64(),
    }
}
