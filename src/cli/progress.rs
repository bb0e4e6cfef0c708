//! The progress bar of the commands that take long: on standard error, and only where somebody looks at it.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that begins with what is being done; without a total it shows only how much was done.
pub(super) fn bar(doing: &str, total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            format!("{doing} {{bar:30}} {{pos}}/{{len}}  {{per_sec}}  {{eta}} left"),
        ),
        None => (
            ProgressBar::no_length(),
            format!("{doing} {{spinner}} {{pos}}  {{per_sec}}"),
        ),
    };
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
