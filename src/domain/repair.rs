//! From the rows as they really are to the rows as the fold would write them: what a rebuild changes.
//!
//! Every column of the worker is set right. What belongs to the application stays: attributes that are not
//! synchronised, and display names where configuration leaves them to it.

use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use super::diff::{Difference, found_rows};
use super::policy::{DisplayOwner, Policy};
use super::rows::{CustomerChange, CustomerRow, ProfileChange, ProfileRow, customer_rows, profile_rows};
use super::world::World;

/// The public rows of some people as they are stored.
#[derive(Debug, Default)]
pub struct Actual {
    /// Rows of `profiles`.
    pub profiles: Vec<ActualProfile>,
    /// Rows of `customers`.
    pub customers: Vec<CustomerRow>,
}

/// A row of `profiles` as it is stored; `attributes` are all it has, `synchronised` is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct ActualProfile {
    /// Its columns.
    pub row: ProfileRow,
    /// Bit n is set when column n of [`super::PROFILE_COLUMNS`] holds what no fold would write.
    pub odd: u32,
}

/// Rows that somebody removed and made again under another id are taken for what they stand for.
pub fn adopt(world: &mut World, actual: &Actual) {
    let there: BTreeSet<_> = actual.profiles.iter().map(|profile| profile.row.profile_id).collect();
    let mut free: BTreeMap<(&str, &str), _> = actual
        .profiles
        .iter()
        .filter(|profile| profile.row.deleted_at.is_none())
        .map(|profile| {
            (
                (profile.row.user_id.as_str(), profile.row.profile_type.as_str()),
                profile.row.profile_id,
            )
        })
        .collect();
    let customers_there: BTreeSet<_> = actual.customers.iter().map(|customer| customer.customer_id).collect();
    let mut free_customers: BTreeMap<(&str, &str), _> = actual
        .customers
        .iter()
        .filter(|customer| customer.deleted_at.is_none())
        .map(|customer| {
            (
                (customer.user_id.as_str(), customer.organization_id.as_str()),
                customer.customer_id,
            )
        })
        .collect();
    let named: BTreeSet<_> = world
        .persons
        .values()
        .flat_map(|person| {
            let profiles = person.profiles.values().filter_map(|profile| profile.row);
            profiles.chain(person.customers.values().filter_map(|customer| customer.row))
        })
        .collect();
    for person in world.persons.values_mut().filter(|person| person.deleted_at.is_none()) {
        let key = person.key.as_str();
        for (name, profile) in &mut person.profiles {
            if profile.row.is_none_or(|row| !there.contains(&row))
                && let Some(row) = free.remove(&(key, name.as_str())).filter(|row| !named.contains(row))
            {
                profile.row = Some(row);
            }
        }
        for (name, customer) in &mut person.customers {
            if customer.row.is_none_or(|row| !customers_there.contains(&row))
                && let Some(row) = free_customers
                    .remove(&(key, name.as_str()))
                    .filter(|row| !named.contains(row))
            {
                customer.row = Some(row);
            }
        }
    }
}

/// Replaces what a difference says of public rows by what has to be done to the rows as they are.
///
/// Rows in `foreign` belong to people elsewhere, under a wrong user: they step aside and are put right with their person.
pub fn repair(difference: &mut Difference, actual: &Actual, new: &World, policy: &Policy, foreign: &BTreeSet<Uuid>) {
    let mut profiles: BTreeMap<_, &ActualProfile> = actual
        .profiles
        .iter()
        .map(|profile| (profile.row.profile_id, profile))
        .collect();
    difference.new_profiles.clear();
    difference.profiles.clear();
    difference.gone_profiles.clear();
    difference.lost_profiles.clear();
    for row in profile_rows(new) {
        match profiles
            .get(&row.profile_id)
            .filter(|was| was.row.profile_type == row.profile_type)
        {
            Some(was) => {
                difference.profiles.extend(profile_repair(was, row.clone(), policy));
                profiles.remove(&row.profile_id);
            }
            None => difference.new_profiles.push(row),
        }
    }
    for (id, was) in profiles {
        if foreign.contains(&id) {
            difference.profiles.push(aside(was));
        } else {
            difference.gone_profiles.push(id);
            difference.lost_profiles.push(was.row.clone());
        }
    }
    let mut customers: BTreeMap<_, &CustomerRow> = actual
        .customers
        .iter()
        .map(|customer| (customer.customer_id, customer))
        .collect();
    let found = found_rows(new);
    difference.new_customers.clear();
    difference.customers.clear();
    difference.gone_customers.clear();
    for row in customer_rows(new) {
        match customers
            .get(&row.customer_id)
            .filter(|was| was.organization_id == row.organization_id)
        {
            Some(was) => {
                let row = if found.contains(&row.customer_id) {
                    of_application(was, &row)
                } else {
                    row
                };
                let id = row.customer_id;
                difference.customers.extend(CustomerChange::between(was, row));
                customers.remove(&id);
            }
            // The application removed its own row: that is its business.
            None if found.contains(&row.customer_id) => {}
            None => difference.new_customers.push(row),
        }
    }
    for (id, was) in customers {
        if foreign.contains(&id) {
            let mut row = was.clone();
            row.user_id = out_of_the_way(&was.user_id, id);
            difference.customers.extend(CustomerChange::between(was, row));
        } else if was.made_by_worker {
            difference.gone_customers.push(id);
        }
    }
}

/// What a row of the application says stays, but whose it is.
fn of_application(was: &CustomerRow, row: &CustomerRow) -> CustomerRow {
    CustomerRow {
        user_id: row.user_id.clone(),
        profile_id: row.profile_id,
        deleted_at: row.deleted_at,
        ..was.clone()
    }
}

fn aside(was: &ActualProfile) -> ProfileChange {
    let mut row = was.row.clone();
    row.user_id = out_of_the_way(&row.user_id, row.profile_id);
    ProfileChange {
        old_user_id: was.row.user_id.clone(),
        old_departed: was.row.deleted_at.is_some(),
        old_status: was.row.status,
        old_display_name: was.row.display_name.clone(),
        keeps_edited_name: false,
        row,
        // Only the user.
        changed: 1,
        unset: Vec::new(),
        set: serde_json::Map::new(),
    }
}

/// As the store moves rows aside that stand where another wants to go.
fn out_of_the_way(user: &str, id: Uuid) -> String {
    format!("{user} {id}")
}

fn profile_repair(was: &ActualProfile, mut row: ProfileRow, policy: &Policy) -> Option<ProfileChange> {
    let rule = policy.rule(&row.profile_type);
    let mut stored = was.row.clone();
    stored.synchronised = std::mem::take(&mut stored.attributes);
    stored
        .synchronised
        .retain(|name, _| rule.is_some_and(|rule| rule.synchronised.contains(name)));
    if rule.is_some_and(|rule| rule.display_owner == DisplayOwner::Application) {
        row.display_name.clone_from(&stored.display_name);
    }
    let good = ProfileChange {
        old_user_id: stored.user_id.clone(),
        old_departed: stored.deleted_at.is_some(),
        old_status: stored.status,
        old_display_name: stored.display_name.clone(),
        keeps_edited_name: false,
        row: row.clone(),
        changed: 0,
        unset: Vec::new(),
        set: serde_json::Map::new(),
    };
    let mut change = ProfileChange::between(&stored, row).unwrap_or(good);
    change.changed |= was.odd;
    let differs = change.changed != 0 || !change.unset.is_empty() || !change.set.is_empty();
    differs.then_some(change)
}
