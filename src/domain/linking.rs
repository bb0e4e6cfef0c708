//! Links between people and the customers of the application, and what an activation requires of them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Event, Kind};
use super::inputs::{Asked, Found, Question};
use super::person::{Customer, Fields, Person};
use super::policy::{CustomerPlace, LookupRule, Policy};
use super::position::hex;
use super::profile;
use super::verdict::Effects;
use super::world::{PersonId, Subject, World};

/// The customer that a person was linked to, once and for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Id of the customer.
    pub customer: String,
    /// Whether the person has left its organization since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

impl Person {
    /// The customer that the person is linked to.
    pub fn linked_customer(&self) -> Option<&str> {
        let link = self.link.as_ref().filter(|link| !link.ended)?;
        Some(&link.customer)
    }

    /// Notes that the person has no part any more in what was found for them.
    pub(super) fn unlink(&mut self, customer: &Customer) {
        if let (Some(link), Some(found)) = (&mut self.link, customer.found)
            && link.customer == found.to_string()
        {
            link.ended = true;
        }
    }
}

impl World {
    /// Links a person who is not linked yet to the customer with their address, when they are created and when the
    /// address becomes one to rely on. Runs at the end of every event that was applied to somebody.
    pub(super) fn link(
        &mut self,
        id: PersonId,
        event: &Event,
        policy: &Policy,
        before: &Fields,
        effects: &mut Effects,
    ) {
        let Some(rule) = &policy.lookup else { return };
        let person = self.person(id);
        let Some(address) = reliable(&person.fields, rule).filter(|_| person.link.is_none()) else {
            return;
        };
        let is_created = effects.became_real || (effects.began.is_some() && !person.provisional);
        if !is_created && reliable(before, rule) == Some(address) {
            return;
        }
        let folded = address.to_lowercase();
        match event.inputs.customers.get(&folded) {
            None => {
                let user = asked(person, address, policy);
                self.questions.push(Question::Customer { address: folded, user });
            }
            Some(None) => {}
            Some(Some(found)) => {
                let found = found.clone();
                if rule.place == CustomerPlace::Application || self.adopt(id, event, policy, &found) {
                    self.person_mut(id).link = Some(Link {
                        customer: found.id.clone(),
                        ended: false,
                    });
                    effects.linked = Some(found.id);
                    effects.customer_made = found.made;
                }
            }
        }
    }

    /// Takes a row of `customers` for the person's membership, unless it is taken or they have one there.
    fn adopt(&mut self, id: PersonId, event: &Event, policy: &Policy, found: &Found) -> bool {
        let Some(row) = self.free_row(found) else { return false };
        let organization = found.organization_id.as_str();
        let person = self.person_mut(id);
        if person.customers.contains_key(organization) {
            return false;
        }
        let customer = Customer {
            found: Some(row),
            ..new_customer(event, policy)
        };
        person.customers.insert(organization.to_owned(), customer);
        if let Some(profile) = person.profiles.get_mut(&policy.customer_type)
            && profile.organization_id.is_none()
            && !organization.is_empty()
        {
            profile.organization_id = Some(organization.to_owned());
        }
        true
    }

    /// The row of a customer that nobody here has.
    fn free_row(&self, found: &Found) -> Option<Uuid> {
        let row = Uuid::parse_str(&found.id).ok()?;
        let held = |person: &Person| person.customers.values().any(|customer| customer.found == Some(row));
        (!self.people().any(held)).then_some(row)
    }

    /// The application's own row of a membership that begins, where configuration has us look for one.
    pub(super) fn row_of_membership(
        &mut self,
        id: PersonId,
        event: &Event,
        organization_id: &str,
        policy: &Policy,
    ) -> Option<Uuid> {
        let rule = policy.lookup.as_ref()?;
        if rule.place != CustomerPlace::Own || self.person(id).customers.contains_key(organization_id) {
            return None;
        }
        if let Some(found) = event.inputs.rows.get(organization_id) {
            return self.free_row(found.as_ref()?);
        }
        let user_id = self.person(id).key.clone();
        self.questions.push(Question::Row {
            user_id,
            organization_id: organization_id.to_owned(),
        });
        None
    }

    /// Whether an activation that would be legal lacks what its profile type requires of the linked customer.
    pub(super) fn lacks(&mut self, event: &Event, policy: &Policy, subject: Subject, profile_type: &str) -> bool {
        let Some(rule) = policy.rule(profile_type).filter(|rule| !rule.requires.is_empty()) else {
            return false;
        };
        let person = match subject {
            Subject::Active(id) => self.find(id),
            Subject::Tombstone | Subject::Unknown => None,
        };
        let profile = person.and_then(|person| person.profiles.get(profile_type));
        let status = profile.map_or(rule.initial, |profile| profile.status);
        if event.inputs.met || event.body.kind() != Kind::Activated || status.after(Kind::Activated).is_none() {
            return false;
        }
        let Some(customer) = person.and_then(Person::linked_customer) else {
            return true;
        };
        if let Some(unfilled) = event.inputs.unfilled.get(customer) {
            return !unfilled.is_empty();
        }
        let question = Question::Unfilled {
            customer: customer.to_owned(),
            columns: rule.requires.clone(),
        };
        self.questions.push(question);
        true
    }
}

/// A membership that begins with this event.
pub(super) fn new_customer(event: &Event, policy: &Policy) -> Customer {
    Customer {
        name: None,
        profile_type: policy.customer_type.clone(),
        joined: hex(event.position.as_bytes()),
        created_at: event.time.micros(),
        updated_at: event.time.micros(),
        made_by: event.reference,
        found: None,
        row: None,
    }
}

/// The address by which a customer may be looked for. One that the provider says is not verified never is: anybody
/// could claim a stranger's record by signing up with their address.
fn reliable<'a>(fields: &'a Fields, rule: &LookupRule) -> Option<&'a str> {
    let said = match fields.email_verified {
        Some(verified) => verified,
        None => !rule.require_verified,
    };
    fields.email.as_deref().filter(|_| said)
}

fn asked(person: &Person, address: &str, policy: &Policy) -> Asked {
    let display_name = policy.rule(&policy.customer_type).map_or_else(
        || person.key.clone(),
        |rule| profile::display_name(rule, &person.key, &person.fields),
    );
    Asked {
        user_id: person.key.clone(),
        email: address.to_owned(),
        display_name,
    }
}
