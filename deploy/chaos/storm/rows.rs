//! The checker's part about rows: the profiles and memberships of everybody who must be there.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Check, CustomerRow, ProfileRow, Wrong};
use super::message::instant;
use super::people::{Holder, Person};

/// Names of the twins: the row says which of them was stored first.
const FIRST_TWIN: &str = "First Twin";
const OTHER_TWIN: &str = "Other Twin";

impl Check<'_> {
    /// Every row of `profiles`.
    pub(super) fn profiles(&mut self, rows: Vec<ProfileRow>) {
        let mut found: BTreeMap<(String, String), ProfileRow> = BTreeMap::new();
        for row in rows {
            let name = (row.user_id.clone(), row.profile_type.clone());
            if found.insert(name, row).is_some() {
                self.findings
                    .add(Wrong::Doubled, || "a profile is there twice".to_owned());
            }
        }
        for key in self.everybody() {
            let Some((story, world, person)) = self.standing(&key) else {
                continue;
            };
            for mut must in profiles_of(person) {
                let Some(mut is) = found.remove(&(must.user_id.clone(), must.profile_type.clone())) else {
                    self.findings
                        .add(Wrong::Lost, || format!("{key} has no profile {}", must.profile_type));
                    continue;
                };
                if must.full_name.as_deref() == Some(FIRST_TWIN) && is.full_name.as_deref() == Some(OTHER_TWIN) {
                    self.other_twin.insert(story);
                    must.full_name.clone_from(&is.full_name);
                    OTHER_TWIN.clone_into(&mut must.display_name);
                }
                if world.is_timeless {
                    is.created_at.clone_from(&must.created_at);
                    is.updated_at.clone_from(&must.updated_at);
                }
                if is != must {
                    let wrong = if is.version > must.version {
                        Wrong::Doubled
                    } else {
                        Wrong::Misplaced
                    };
                    self.findings.add(wrong, || format!("profile {is:?} must be {must:?}"));
                }
            }
        }
        for (key, kind) in found.into_keys() {
            self.findings.add(Wrong::Misplaced, || {
                format!("{key} has a profile {kind} and must have none")
            });
        }
    }

    /// Every row of `customers`.
    pub(super) fn customers(&mut self, rows: Vec<CustomerRow>) {
        let mut found: BTreeMap<(String, String), CustomerRow> = BTreeMap::new();
        for row in rows {
            let name = (row.user_id.clone(), row.organization_id.clone());
            if found.insert(name, row).is_some() {
                self.findings
                    .add(Wrong::Doubled, || "a membership is there twice".to_owned());
            }
        }
        for key in self.everybody() {
            let Some((_, _, person)) = self.standing(&key) else {
                continue;
            };
            for must in customers_of(person) {
                match found.remove(&(must.user_id.clone(), must.organization_id.clone())) {
                    Some(is) if is == must => {}
                    Some(is) => self
                        .findings
                        .add(Wrong::Misplaced, || format!("membership {is:?} must be {must:?}")),
                    None => self.findings.add(Wrong::Lost, || {
                        format!("{key} is no member of {}", must.organization_id)
                    }),
                }
            }
        }
        for (key, organization) in found.into_keys() {
            self.findings.add(Wrong::Misplaced, || {
                format!("{key} is a member of {organization} and must not be")
            });
        }
    }

    /// Every key at which somebody must stand.
    fn everybody(&self) -> BTreeSet<String> {
        let keys = self.worlds.iter().flat_map(|world| &world.keys);
        keys.filter(|(_, holder)| matches!(holder, Holder::Active(_)))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

pub(super) fn profiles_of(person: &Person) -> Vec<ProfileRow> {
    let row = |kind: &str, status: &str, since, organization: Option<&String>| ProfileRow {
        user_id: person.key.clone(),
        profile_type: kind.to_owned(),
        status: status.to_owned(),
        is_active: i64::from(person.is_active(status)),
        display_name: person.display_name().to_owned(),
        email: person.email.clone(),
        full_name: person.full_name.clone(),
        phone: person.phone.clone(),
        organization_id: organization.cloned(),
        organization_of_customer: organization.cloned(),
        created_via: if person.is_real { "event" } else { "implicit" }.to_owned(),
        created_at: instant(since),
        updated_at: instant(person.updated),
        version: person.version,
    };
    let client = row(
        "client",
        person.client,
        person.client_since,
        person.organization.as_ref(),
    );
    let player = person.player_since.map(|since| row("player", "draft", since, None));
    std::iter::once(client).chain(player).collect()
}

pub(super) fn customers_of(person: &Person) -> impl Iterator<Item = CustomerRow> {
    person.memberships.iter().map(|(organization, membership)| CustomerRow {
        user_id: person.key.clone(),
        organization_id: organization.clone(),
        user_of_profile: Some(person.key.clone()),
        name: membership.name.clone(),
        email: person.email.clone(),
        created_at: instant(membership.first),
        updated_at: instant(membership.last),
    })
}
