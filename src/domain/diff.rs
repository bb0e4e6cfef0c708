//! From two worlds to the rows that have to change. A public column is written only when its folded value changed, so
//! what the application edits stands until the next event about that very column.

use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use super::component::Plan;
use super::keys::{KeyRow, changed_keys};
use super::person::Person;
use super::policy::{DisplayOwner, Policy};
use super::rows::{CustomerChange, CustomerRow, ProfileChange, ProfileRow, customer_rows, profile_rows};
use super::world::World;

/// Everything that has to be written to get from the stored world to the new one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    /// Keys that are new or stand for something else.
    pub keys: Vec<KeyRow>,
    /// Departed people whose rows are kept.
    pub departed: Vec<Person>,
    /// Departed people who came back: row names.
    pub returned: Vec<Uuid>,
    /// Rows of `profiles` to be made.
    pub new_profiles: Vec<ProfileRow>,
    /// Rows of `profiles` to be changed.
    pub profiles: Vec<ProfileChange>,
    /// Rows of `profiles` to go.
    pub gone_profiles: Vec<Uuid>,
    /// The same rows as they were, for those who are told.
    pub lost_profiles: Vec<ProfileRow>,
    /// Rows of `customers` to be made.
    pub new_customers: Vec<CustomerRow>,
    /// Rows of `customers` to be changed.
    pub customers: Vec<CustomerChange>,
    /// Rows of `customers` to go; those of the application lose only their user.
    pub gone_customers: Vec<Uuid>,
}

impl Difference {
    /// A late event can change the name that a profile began with. Where names are the application's, that is written only
    /// over what the worker wrote itself: what people edited stands.
    pub fn leave_edited_names(&mut self, policy: &Policy) {
        let is_theirs = |name: &str| {
            let rule = policy.rule(name);
            rule.is_some_and(|rule| rule.display_owner == DisplayOwner::Application)
        };
        for change in &mut self.profiles {
            change.keeps_edited_name = is_theirs(&change.row.profile_type);
        }
    }
}

/// Gives every person, profile and customer without a stored row the name of a new one.
pub fn name_rows(world: &mut World, mint: &mut dyn FnMut() -> Uuid) {
    for person in world.persons.values_mut() {
        person.row.get_or_insert_with(&mut *mint);
        for profile in person.profiles.values_mut() {
            profile.row.get_or_insert_with(&mut *mint);
        }
        for customer in person.customers.values_mut() {
            let found = customer.found;
            customer.row.get_or_insert_with(|| found.unwrap_or_else(&mut *mint));
        }
    }
}

/// What has to be written. `rows` are the stored keys, `old` the world they make, `new` the world as it should be, with
/// every row named; `plan` says how components changed.
pub fn difference(rows: &BTreeMap<String, KeyRow>, old: &World, new: World, plan: &Plan) -> Difference {
    let mut difference = Difference::default();
    let were: BTreeMap<Uuid, &Person> = old.people().filter_map(|person| Some((person.row?, person))).collect();
    for person in new.persons.values() {
        let was = person.row.and_then(|row| were.get(&row)).copied();
        if person.deleted_at.is_some() {
            let stripped = person.stripped();
            if was.is_none_or(|was| was.stripped() != stripped) {
                difference.departed.push(stripped);
            }
        } else if was.is_some_and(|was| was.deleted_at.is_some()) {
            difference.returned.extend(person.row);
        }
    }
    let are: BTreeSet<Uuid> = new.persons.values().filter_map(|person| person.row).collect();
    let vanished = were
        .values()
        .filter(|person| person.deleted_at.is_some())
        .filter_map(|person| person.row);
    difference.returned.extend(vanished.filter(|row| !are.contains(row)));
    profile_changes(old, &new, &mut difference);
    customer_changes(old, &new, &mut difference);
    // Last, because the people go with their keys.
    difference.keys = changed_keys(rows, new, plan);
    difference
}

fn profile_changes(old: &World, new: &World, difference: &mut Difference) {
    let mut were: BTreeMap<Uuid, ProfileRow> = profile_rows(old).map(|row| (row.profile_id, row)).collect();
    for row in profile_rows(new) {
        match were.remove(&row.profile_id) {
            None => difference.new_profiles.push(row),
            Some(was) => difference.profiles.extend(ProfileChange::between(&was, row)),
        }
    }
    (difference.gone_profiles, difference.lost_profiles) = were.into_iter().unzip();
}

fn customer_changes(old: &World, new: &World, difference: &mut Difference) {
    let found = found_rows(new);
    let mut were: BTreeMap<Uuid, CustomerRow> = customer_rows(old).map(|row| (row.customer_id, row)).collect();
    for row in customer_rows(new) {
        match were.remove(&row.customer_id) {
            None if found.contains(&row.customer_id) => difference.customers.push(CustomerChange::adoption(row)),
            None => difference.new_customers.push(row),
            Some(was) => difference.customers.extend(CustomerChange::between(&was, row)),
        }
    }
    difference.gone_customers = were.into_keys().collect();
}

/// The rows of `customers` that were the application's before they were anybody's.
pub(super) fn found_rows(world: &World) -> BTreeSet<Uuid> {
    let customers = world.persons.values().flat_map(|person| person.customers.values());
    customers.filter_map(|customer| customer.found).collect()
}
