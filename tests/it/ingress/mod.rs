//! Webhooks: pure translation and signatures by the fixtures, then the edge with real servers and real clients.

mod answers;
mod attacks;
mod clients;
mod commands;
mod golden;
mod outages;
mod serving;
mod vectors;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// The providers whose fixtures lie in `tests/fixtures/idp/`.
const PROVIDERS: [&str; 14] = [
    "auth0",
    "clerk",
    "frappe",
    "fusionauth",
    "keycloak",
    "logto",
    "okta",
    "risc-ssf",
    "standard-webhooks",
    "stytch",
    "supabase",
    "svix",
    "workos",
    "zitadel",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/idp")
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// The names of the samples that have a golden translation.
fn samples(provider: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(fixtures().join(provider).join("expected"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A sample as a sender would send it: without the blanks that are there for people.
fn compact(text: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        if quoted || !c.is_whitespace() {
            out.push(c);
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            '\\' if quoted => {
                escaped = !escaped;
                continue;
            }
            _ => {}
        }
        escaped = false;
    }
    out
}
