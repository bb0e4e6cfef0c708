//! Two persons become one: the survivor keeps what it has, the other fills gaps only.

use std::collections::BTreeSet;

use super::User;
use super::state::{Number, Person, State};

impl State<'_> {
    /// Takes `other` out of the world and into `survivor`, who then stands at `new_key`; `old_key` and every alias of
    /// both point at the survivor.
    pub(super) fn merge(&mut self, survivor: Number, other: Number, old_key: &str, new_key: &str) {
        let gone = self.people.remove(&other).expect("both persons live");
        self.aliases
            .values_mut()
            .filter(|number| **number == other)
            .for_each(|number| *number = survivor);
        self.clear(new_key);
        self.aliases.insert(old_key.to_owned(), survivor);
        let kept = self.person(survivor);
        new_key.clone_into(&mut kept.key);
        kept.user.degraded = united_marks(&kept.user, &gone.user);
        fill_fields(&mut kept.user, &gone.user);
        unite_profiles(&mut kept.user, &gone.user);
        unite_customers(kept, &gone);
        kept.user.version += gone.user.version;
    }
}

/// The field that holds the value a mark is about; the address and its flag are one unit.
fn unit(name: &str) -> &str {
    if name == "email_verified" { "email" } else { name }
}

/// Per field the marks of the side whose value is kept; of both where neither has a value.
fn united_marks(kept: &User, gone: &User) -> BTreeSet<String> {
    let all = kept.degraded.union(&gone.degraded);
    let holds = |name: &&String| {
        if kept.fields.contains_key(unit(name)) {
            kept.degraded.contains(*name)
        } else if gone.fields.contains_key(unit(name)) {
            gone.degraded.contains(*name)
        } else {
            true
        }
    };
    all.filter(holds).cloned().collect()
}

fn fill_fields(kept: &mut User, gone: &User) {
    let keeps_address = kept.fields.contains_key("email");
    for (name, value) in &gone.fields {
        let taken = if unit(name) == "email" {
            keeps_address
        } else {
            kept.fields.contains_key(name)
        };
        if !taken {
            kept.fields.insert(name.clone(), value.clone());
        }
    }
}

/// Where both have the type, the survivor's stays and only a missing organization is filled.
fn unite_profiles(kept: &mut User, gone: &User) {
    for (name, profile) in &gone.profiles {
        match kept.profiles.get_mut(name) {
            None => drop(kept.profiles.insert(name.clone(), profile.clone())),
            Some(mine) if mine.organization_id.is_none() => {
                mine.organization_id.clone_from(&profile.organization_id);
            }
            Some(_) => {}
        }
    }
}

/// Where both are members, the row with the later join stays; a name it lacks comes from the other.
fn unite_customers(kept: &mut Person, gone: &Person) {
    for (organization, theirs) in &gone.user.customers {
        let joined = gone.joins[organization];
        let Some(mine) = kept.user.customers.get_mut(organization) else {
            kept.user.customers.insert(organization.clone(), theirs.clone());
            kept.joins.insert(organization.clone(), joined);
            continue;
        };
        let name_of_earlier = if joined > kept.joins[organization] {
            kept.joins.insert(organization.clone(), joined);
            std::mem::replace(mine, theirs.clone()).name
        } else {
            theirs.name.clone()
        };
        mine.name = mine.name.take().or(name_of_earlier);
    }
}
