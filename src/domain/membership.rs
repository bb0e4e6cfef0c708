//! Memberships: one customer row per user and organization, and the profile that stands for the latest of them.

use super::event::Event;
use super::linking::new_customer;
use super::person::Customer;
use super::policy::Policy;
use super::position::hex;
use super::verdict::{Effects, Reason, Verdict};
use super::world::{PersonId, Ruling, World};

impl World {
    pub(super) fn joined(
        &mut self,
        id: PersonId,
        event: &Event,
        organization_id: &str,
        customer_name: Option<&str>,
        policy: &Policy,
        mut effects: Effects,
    ) -> Ruling {
        let before = self.naming(id);
        let found = self.row_of_membership(id, event, organization_id, policy);
        let person = self.person_mut(id);
        let made = person.make_profiles(std::iter::once(policy.customer_type.as_str()), event, policy);
        effects.profiles_made.extend(made);
        if let Some(profile) = person.profiles.get_mut(&policy.customer_type) {
            profile.organization_id = Some(organization_id.to_owned());
        }
        let customer = person
            .customers
            .entry(organization_id.to_owned())
            .or_insert_with(|| Customer {
                found,
                ..new_customer(event, policy)
            });
        customer.joined = hex(event.position.as_bytes());
        customer.updated_at = event.time.micros();
        customer.profile_type.clone_from(&policy.customer_type);
        if let Some(name) = customer_name {
            customer.name = Some(name.to_owned());
            person.degraded.remove("customer_name");
        }
        person.degraded.extend(event.degraded.iter().cloned());
        effects.joined = Some(organization_id.to_owned());
        self.finish(id, event, policy, &before, &mut effects);
        (Verdict::applied(effects), Some(id))
    }

    pub(super) fn left(&mut self, id: PersonId, event: &Event, organization_id: &str, policy: &Policy) -> Ruling {
        let before = self.naming(id);
        let person = self.person_mut(id);
        let Some(customer) = person.customers.remove(organization_id) else {
            return (Verdict::ignored(Reason::NotAMember), None);
        };
        person.unlink(&customer);
        let latest = person
            .customers
            .iter()
            // A row that was found by its address may stand for no organization.
            .filter(|(name, _)| !name.is_empty())
            .max_by_key(|(_, customer)| &customer.joined)
            .map(|(name, _)| name.clone());
        if let Some(profile) = person.profiles.get_mut(&customer.profile_type)
            && profile.organization_id.as_deref() == Some(organization_id)
        {
            profile.organization_id = latest;
        }
        let mut effects = Effects {
            left: Some(organization_id.to_owned()),
            ..Effects::default()
        };
        self.finish(id, event, policy, &before, &mut effects);
        (Verdict::applied(effects), Some(id))
    }
}
