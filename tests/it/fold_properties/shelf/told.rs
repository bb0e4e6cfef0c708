//! The tables in memory, told in the words of the naive fold.

use std::collections::{BTreeMap, BTreeSet};

use rollcall::domain::{Person, ProfileRow, StoredHolder, Verdict};
use serde_json::Value;

use super::Shelf;
use crate::naive;

impl Shelf {
    /// The tables in the words of the naive fold.
    pub(super) fn world(&self) -> Result<naive::World, String> {
        let mut world = naive::World {
            users: BTreeMap::new(),
            aliases: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            verdicts: self
                .ledger
                .iter()
                .map(|(id, (_, verdict))| (self.names[id].clone(), said(verdict)))
                .collect(),
            visits: BTreeMap::new(),
            departed: Vec::new(),
        };
        let mut current = BTreeMap::new();
        for row in self.keys.values() {
            if let StoredHolder::Active(person) = &row.holder {
                current.insert(person.row, row.key.clone());
                world.users.insert(row.key.clone(), self.user(person)?);
            }
        }
        for row in self.keys.values() {
            match &row.holder {
                StoredHolder::Alias(person) => {
                    let key = current.get(&Some(*person)).ok_or("an alias of nobody")?;
                    world.aliases.insert(row.key.clone(), key.clone());
                }
                StoredHolder::Tombstone => drop(world.tombstones.insert(row.key.clone())),
                StoredHolder::Active(_) | StoredHolder::Unknown => {}
            }
        }
        for person in self.departed.values() {
            let deleted_at = person.deleted_at.ok_or("a departed person without a time")?;
            world.departed.push(naive::Departed {
                key: person.key.clone(),
                deleted_at,
                user: self.user(person)?,
            });
        }
        let rows: usize = self
            .people()
            .map(|person| person.profiles.len() + person.customers.len())
            .sum();
        if rows != self.profiles.len() + self.customers.len() {
            return Err("rows are left of people who are gone".to_owned());
        }
        Ok(world)
    }

    fn people(&self) -> impl Iterator<Item = &Person> {
        let present = self.keys.values().filter_map(|row| match &row.holder {
            StoredHolder::Active(person) => Some(&**person),
            _ => None,
        });
        present.chain(self.departed.values())
    }

    /// A person, with the rows as the public tables have them.
    fn user(&self, person: &Person) -> Result<naive::User, String> {
        let (began, _) = self.ledger.get(&person.began).ok_or("a person begun by nothing")?;
        let fields = serde_json::to_value(&person.fields).map_err(|error| error.to_string())?;
        let mut user = naive::User {
            provisional: person.provisional,
            fields: fields
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            degraded: person.degraded.clone(),
            profiles: BTreeMap::new(),
            customers: BTreeMap::new(),
            version: person.version,
            created_at: began.event.time.micros(),
            updated_at: person.updated_at,
            created_via: person.via.name().to_owned(),
        };
        for (name, profile) in &person.profiles {
            let row = profile
                .row
                .and_then(|row| self.profiles.get(&row))
                .ok_or("a profile without its row")?;
            agrees(row, person, &user, name)?;
            let profile = naive::Profile {
                status: row.status.name().to_owned(),
                organization_id: row.organization_id.clone(),
                display_name: row.display_name.clone(),
                created_at: row.created_at,
                is_active: row.is_active,
            };
            user.profiles.insert(name.clone(), profile);
        }
        for (organization, customer) in &person.customers {
            let row = customer
                .row
                .and_then(|row| self.customers.get(&row))
                .ok_or("a customer without its row")?;
            let profile = person
                .profiles
                .get(&customer.profile_type)
                .and_then(|profile| profile.row);
            let mine = (&row.user_id, &row.organization_id, row.profile_id, row.deleted_at);
            if mine != (&person.key, organization, profile, person.deleted_at) || profile.is_none() {
                return Err(format!("a customer row is not its person's: {row:?}, {person:?}"));
            }
            let customer = naive::Customer {
                name: row.name.clone(),
                email: row.email.clone(),
                created_at: row.created_at,
                updated_at: row.updated_at,
            };
            user.customers.insert(organization.clone(), customer);
        }
        Ok(user)
    }
}

/// Whether a profile row says of its person what the person is.
fn agrees(row: &ProfileRow, person: &Person, user: &naive::User, name: &str) -> Result<(), String> {
    let field = |name: &str| user.fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let texts = [
        (&row.email, field("email")),
        (&row.username, field("username")),
        (&row.first_name, field("first_name")),
        (&row.last_name, field("last_name")),
        (&row.full_name, field("full_name")),
        (&row.phone, field("phone")),
        (&row.external_id, field("external_id")),
    ];
    let place = (row.user_id.as_str(), row.profile_type.as_str(), row.deleted_at);
    let books = (
        row.version,
        row.updated_at,
        row.created_via,
        row.degraded.iter().cloned().collect(),
    );
    let same = place == (person.key.as_str(), name, person.deleted_at)
        && books == (user.version, user.updated_at, person.via.name(), user.degraded.clone())
        && texts.iter().all(|(column, field)| *column == field);
    if same {
        Ok(())
    } else {
        Err(format!("a profile row is not its person's: {row:?}, {person:?}"))
    }
}

fn said(verdict: &Verdict) -> naive::Verdict {
    naive::Verdict {
        outcome: verdict.outcome.name().to_owned(),
        reason: verdict.reason.map(|reason| reason.name().to_owned()),
    }
}
