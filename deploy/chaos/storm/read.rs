//! What is there when the dust has settled, read once and given to the checker.

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use serde_json::Value;
use std::collections::BTreeMap;

use super::Order;
use super::check::{Check, CustomerRow, Findings, LedgerRow, ProfileRow, Wrong};
use super::field::rollcall;
use super::journal::Journal;
use super::people::World;
use super::streams::{self, Stored};
use super::tables::Tables;

const PROFILES: &str = "p.user_id, p.profile_type, p.status, CASE WHEN p.is_active THEN 1 ELSE 0 END, p.display_name, \
                        p.email, p.full_name, p.phone, p.organization_id, c.organization_id, p.created_via, \
                        <p.created_at>, <p.updated_at>, p.version";
const CUSTOMERS: &str = "c.user_id, c.organization_id, p.user_id, c.name, c.email, <c.created_at>, <c.updated_at>";

/// Compares everything; the findings, and how many messages the stream has.
pub(super) async fn compare(
    context: &jetstream::Context,
    tables: &mut Tables,
    journal: &Journal,
    worlds: &[World],
) -> Result<(Findings, usize)> {
    let mut check = Check::new(&journal.entries, worlds);
    let stored = Stored::read(context).await?;
    tables
        .each("source, event_id, outcome, reason", "@ledger", |row: LedgerRow| {
            check.ledger(row);
        })
        .await?;
    tables
        .each("source, event_id, n", "effects", |row| check.effect(row))
        .await?;
    check.events(&stored);
    let mut profiles: Vec<ProfileRow> = Vec::new();
    let from = "@profiles p LEFT JOIN @customers c ON c.customer_id = p.customer_id";
    tables.each(PROFILES, from, |row| profiles.push(row)).await?;
    check.profiles(profiles);
    let mut customers: Vec<CustomerRow> = Vec::new();
    let from = "@customers c LEFT JOIN @profiles p ON p.profile_id = c.profile_id";
    tables.each(CUSTOMERS, from, |row| customers.push(row)).await?;
    check.customers(customers);
    let mut keys = BTreeMap::new();
    tables
        .each("key, holder", "@keys WHERE holder <> 0", |(key, holder)| {
            keys.insert(key, holder);
        })
        .await?;
    check.keys(&keys);
    let mut unresolved: BTreeMap<u64, usize> = BTreeMap::new();
    tables
        .each(
            "stream_sequence",
            "@dead_letters WHERE resolved_at IS NULL",
            |[sequence]: [u64; 1]| *unresolved.entry(sequence).or_default() += 1,
        )
        .await?;
    check.letters(&streams::letters(context).await?, &unresolved, &stored);
    Ok((check.findings, stored.messages))
}

/// What `rollcall audit` says of the same; holes are lost messages.
pub(super) async fn audit(order: &Order, findings: &mut Findings) -> Result<Value> {
    let output = rollcall(&order.rollcall, &order.folder, &["audit", "--json"]).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let audit: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| format!("the audit says nothing: {}", String::from_utf8_lossy(&output.stderr)))?;
    let number = |pointer: &str| audit.pointer(pointer).and_then(Value::as_u64).unwrap_or(1);
    for pointer in [
        "/hole_count",
        "/unlocated",
        "/pending/not_delivered",
        "/pending/in_hand",
        "/pending/to_be_judged",
    ] {
        let count = number(pointer);
        if count > 0 {
            findings.add(Wrong::Lost, || format!("the audit finds {pointer} {count}"));
        }
    }
    if !output.status.success() && findings.is_clean() {
        findings.add(Wrong::Lost, || format!("the audit fails: {audit}"));
    }
    Ok(audit)
}
