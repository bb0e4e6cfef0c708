//! Random histories through the real stores, in random order with duplicates and random cuts, end in the tables that
//! the naive fold says. The fold itself is tested on many more; here the way into the tables and back is.

use std::collections::BTreeMap;

use anyhow::Result;
use rollcall::apply::Givens;
use rollcall::apply::rebuild::Mode;
use rollcall::clock::new_row_id;
use rollcall::config::Config;
use rollcall::domain::{CreateOn, OnDelete, Policy, Spacing, Status};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::histories::{Dice, history, settings};
use crate::naive::{Departed, Settings, User, World, fold};
use crate::world::{Base, Stream, apply, differing, on_both};

/// Histories per database.
const HISTORIES: u64 = 60;
const FIRST_SEED: u64 = 4_000;

on_both!(random_histories_end_in_the_tables_of_the_naive_fold);

async fn random_histories_end_in_the_tables_of_the_naive_fold(mut base: Base) -> Result<()> {
    for seed in FIRST_SEED..FIRST_SEED + HISTORIES {
        let (events, settings) = (history(seed), settings(seed));
        let base = base.another()?;
        // Checkpoints everywhere, so that short histories meet them.
        let spacing = Spacing { every: 1, worth: 0 };
        let applier = base
            .applier_for(policy(&settings), 100_000)
            .await?
            .with_spacing(spacing);
        let mut dice = Dice::new(seed);
        let stream = arrivals(&events, &mut dice);
        let mut rest = &stream.messages[..];
        while !rest.is_empty() {
            let (batch, more) = rest.split_at((1 + dice.below(12)).min(rest.len()));
            apply(&applier, batch).await?;
            rest = more;
        }
        let found = Rows::read(&base).await?;
        found.compare(&Rows::expected(&fold(&events, &settings)), seed);
        let roots = base.select(&["key"], "@keys WHERE key = root").await?;
        let roots: Vec<String> = roots.into_iter().filter_map(|mut row| row.remove(0)).collect();
        let givens = Givens {
            now: crate::world::epoch(),
            mint: &mut new_row_id,
        };
        let wrong = applier.rebuild(&roots, Mode::Repair, givens).await?;
        assert_eq!(
            wrong,
            [],
            "seed {seed}: folded from the beginning, everything is as it was"
        );
    }
    Ok(())
}

/// The events in some order, a quarter of them again somewhere later or earlier.
fn arrivals(events: &[Value], dice: &mut Dice) -> Stream {
    let mut order: Vec<&Value> = events.iter().collect();
    order.extend(events.iter().filter(|_| dice.chance(25)));
    if dice.chance(70) {
        dice.shuffle(&mut order);
    }
    let mut stream = Stream::new();
    for event in order {
        stream.event(event);
    }
    stream
}

/// What configuration makes of the settings of the naive fold.
fn policy(settings: &Settings) -> Policy {
    let shipped = rollcall::wiring::policy(&Config::default());
    let profiles = settings.types.iter().map(|setting| {
        let mut rule = shipped.profiles[0].clone();
        rule.name.clone_from(&setting.name);
        rule.initial = match setting.initial.as_str() {
            "draft" => Status::Draft,
            "active" => Status::Active,
            _ => Status::Archived,
        };
        rule.create_on = if setting.on_activation {
            CreateOn::Activation
        } else {
            CreateOn::Creation
        };
        rule.activation_creates.clone_from(&setting.activation_creates);
        rule
    });
    Policy {
        protected: settings.protected.clone(),
        customer_type: settings
            .customer_type
            .clone()
            .unwrap_or_else(|| settings.types[0].name.clone()),
        on_delete: if settings.archive_on_delete {
            OnDelete::Archive
        } else {
            OnDelete::Delete
        },
        profiles: profiles.collect(),
        ..shipped
    }
}

const PROFILE: [&str; 19] = [
    "user_id",
    "profile_type",
    "status",
    "is_active",
    "created_via",
    "created_at",
    "updated_at",
    "version",
    "deleted_at",
    "degraded",
    "organization_id",
    "display_name",
    "email",
    "username",
    "first_name",
    "last_name",
    "full_name",
    "phone",
    "external_id",
];
const CUSTOMER: [&str; 7] = [
    "user_id",
    "organization_id",
    "created_at",
    "updated_at",
    "deleted_at",
    "email",
    "name",
];
const LEDGER: [&str; 4] = ["source", "event_id", "outcome", "reason"];

/// The public tables, each row a line.
#[derive(Debug, PartialEq)]
struct Rows(BTreeMap<&'static str, Vec<String>>);

impl Rows {
    async fn read(base: &Base) -> Result<Self> {
        Ok(Self(BTreeMap::from([
            ("profiles", base.lines(&PROFILE, "@profiles").await?),
            ("customers", base.lines(&CUSTOMER, "@customers").await?),
            ("ledger", base.lines(&LEDGER, "@ledger").await?),
        ])))
    }

    fn expected(world: &World) -> Self {
        let living = world.users.iter().map(|(key, user)| (key, user, None));
        let departed = world
            .departed
            .iter()
            .map(|Departed { key, deleted_at, user }| (key, user, Some(*deleted_at)));
        let (mut profiles, mut customers) = (Vec::new(), Vec::new());
        for (key, user, deleted_at) in living.chain(departed) {
            profiles.extend(profile_lines(key, user, deleted_at));
            customers.extend(customer_lines(key, user, deleted_at));
        }
        let verdicts = world.verdicts.iter().map(|((source, id), verdict)| {
            let reason = verdict.reason.as_deref().unwrap_or("-");
            format!("{source} {id} {} {reason}", verdict.outcome)
        });
        let mut rows = BTreeMap::from([
            ("profiles", profiles),
            ("customers", customers),
            ("ledger", verdicts.collect()),
        ]);
        for lines in rows.values_mut() {
            lines.sort_unstable();
        }
        Self(rows)
    }

    fn compare(&self, expected: &Self, seed: u64) {
        let mut differences = Vec::new();
        for (table, found) in &self.0 {
            let lines = differing(found, &expected.0[table]);
            differences.extend(lines.into_iter().map(|line| format!("{table} {line}")));
        }
        assert!(
            differences.is_empty() && self == expected,
            "seed {seed}:\n{}",
            differences.join("\n")
        );
    }
}

fn profile_lines<'a>(key: &'a str, user: &'a User, deleted_at: Option<i64>) -> impl Iterator<Item = String> + 'a {
    user.profiles.iter().map(move |(name, profile)| {
        let is_active = i32::from(profile.is_active && deleted_at.is_none()).to_string();
        let mut values = vec![
            key.to_owned(),
            name.clone(),
            profile.status.clone(),
            is_active,
            user.created_via.clone(),
            instant(profile.created_at),
            instant(user.updated_at),
            user.version.to_string(),
            deleted_at.map_or_else(absent, instant),
            json!(user.degraded).to_string(),
            profile.organization_id.clone().unwrap_or_else(absent),
            profile.display_name.clone(),
        ];
        for field in [
            "email",
            "username",
            "first_name",
            "last_name",
            "full_name",
            "phone",
            "external_id",
        ] {
            values.push(
                user.fields
                    .get(field)
                    .and_then(Value::as_str)
                    .map_or_else(absent, str::to_owned),
            );
        }
        values.join(" ")
    })
}

fn customer_lines<'a>(key: &'a str, user: &'a User, deleted_at: Option<i64>) -> impl Iterator<Item = String> + 'a {
    user.customers.iter().map(move |(organization, customer)| {
        let values = [
            key.to_owned(),
            organization.clone(),
            instant(customer.created_at),
            instant(customer.updated_at),
            deleted_at.map_or_else(absent, instant),
            customer.email.clone().unwrap_or_else(absent),
            customer.name.clone().unwrap_or_else(absent),
        ];
        values.join(" ")
    })
}

fn absent() -> String {
    "-".to_owned()
}

fn instant(micros: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).expect("a time");
    let (date, clock) = (time.date(), time.time());
    format!(
        "{date}T{:02}:{:02}:{:02}.{:06}Z",
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.microsecond()
    )
}
