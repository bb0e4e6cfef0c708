//! The public tables as texts that can be compared.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Base;

/// They name rows; who is linked to whom is compared as `links`.
const NOT_OF_PROFILES: [&str; 2] = ["profile_id", "customer_id"];
const NOT_OF_CUSTOMERS: [&str; 2] = ["customer_id", "profile_id"];
/// Where and when this database met the event, how the event was written, and what was asked of the application's tables:
/// what the person had by then, which depends on the batches.
const NOT_OF_LEDGER: [&str; 14] = [
    "inputs",
    "policy_id",
    "late",
    "subject",
    "stream_sequence",
    "published_at",
    "applied_at",
    "key",
    "new_key",
    "states_time",
    "sequence",
    "position",
    "backfill",
    "content",
];

/// All public tables without what differs from run to run: surrogate ids and times of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    pub profiles: Vec<String>,
    pub customers: Vec<String>,
    pub links: Vec<String>,
    pub ledger: Vec<String>,
    pub keys: Vec<String>,
}

impl Tables {
    /// As they are now.
    pub async fn read(base: &Base) -> Result<Self> {
        let links = "@profiles p JOIN @customers c ON c.customer_id = p.customer_id OR c.profile_id = p.profile_id";
        let direction = "CASE WHEN c.customer_id = p.customer_id THEN 'both' ELSE 'back' END";
        let linked = [
            "p.user_id",
            "p.profile_type",
            "c.user_id",
            "c.organization_id",
            direction,
        ];
        Ok(Self {
            profiles: base.lines_but(&NOT_OF_PROFILES, "profiles").await?,
            customers: base.lines_but(&NOT_OF_CUSTOMERS, "customers").await?,
            links: base.lines(&linked, links).await?,
            ledger: base.lines_but(&NOT_OF_LEDGER, "ledger").await?,
            keys: base.lines(&["k.key", "k.holder", "p.key"], HOLDERS).await?,
        })
    }

    /// Fails with the lines that are only here (-) or only there (+).
    pub fn assert_same(&self, expected: &Self, context: &str) {
        let mut lines = Vec::new();
        for (found, wanted) in [
            (&self.profiles, &expected.profiles),
            (&self.customers, &expected.customers),
            (&self.links, &expected.links),
            (&self.ledger, &expected.ledger),
            (&self.keys, &expected.keys),
        ] {
            lines.extend(differing(found, wanted));
        }
        assert!(lines.is_empty() && self == expected, "{context}:\n{}", lines.join("\n"));
    }
}

/// The lines that are only wanted (-) or only found (+).
pub fn differing(found: &[String], wanted: &[String]) -> Vec<String> {
    let (found, wanted): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), wanted.iter().collect());
    let missing = wanted.difference(&found).map(|line| format!("- {line}"));
    let surplus = found.difference(&wanted).map(|line| format!("+ {line}"));
    missing.chain(surplus).collect()
}

/// Keys with the current key of the person they stand for.
const HOLDERS: &str = "@keys k LEFT JOIN @keys p ON p.person = k.person AND p.holder = 1";
