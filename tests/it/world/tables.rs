//! The public tables as texts that can be compared.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Base;

/// The columns of `profiles` that every fold must agree on.
const PROFILE: [&str; 20] = [
    "user_id",
    "profile_type",
    "status",
    "is_active",
    "display_name",
    "email",
    "username",
    "first_name",
    "last_name",
    "full_name",
    "phone",
    "external_id",
    "organization_id",
    "attributes",
    "degraded",
    "created_via",
    "created_at",
    "updated_at",
    "version",
    "deleted_at",
];
/// The columns of `customers` that every fold must agree on.
const CUSTOMER: [&str; 7] = [
    "user_id",
    "organization_id",
    "name",
    "email",
    "created_at",
    "updated_at",
    "deleted_at",
];
/// The columns of `ledger` that every fold must agree on.
const LEDGER: [&str; 9] = [
    "user_id", "source", "event_id", "type", "time", "outcome", "reason", "data", "effects",
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
            profiles: base.lines(&PROFILE, "@profiles").await?,
            customers: base.lines(&CUSTOMER, "@customers").await?,
            links: base.lines(&linked, links).await?,
            ledger: base.lines(&LEDGER, "@ledger").await?,
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
