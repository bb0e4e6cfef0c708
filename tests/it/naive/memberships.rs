//! The rows `joined` and `left`.

use super::event::{Event, Given};
use super::patch::put;
use super::rules::{found_by, ignored};
use super::state::{Number, Place, State};
use super::{Customer, Verdict};

impl State<'_> {
    /// joined: customer row and the customer profile's organization | ignored | provisional user, then as active.
    pub(super) fn joined(&mut self, step: usize, event: &Event) -> Verdict {
        let place = self.resolve(&event.user_id);
        let number = match place {
            Place::Active(number) | Place::Alias(number) => {
                let again = self.person(number).user.customers.contains_key(&event.organization());
                self.visit(
                    "joined",
                    &format!("{} {}", found_by(place), if again { "again" } else { "first" }),
                );
                number
            }
            Place::Tombstone => {
                self.visit("joined", "tombstone");
                return ignored("after_deletion");
            }
            Place::Unknown => {
                self.visit("joined", "unknown");
                self.begin(step, &event.user_id, event, true)
            }
        };
        self.join(step, number, event);
        self.applied(number, event, None)
    }

    fn join(&mut self, step: usize, number: Number, event: &Event) {
        let organization = event.organization();
        let customer_type = self.customer_type();
        self.ensure_profile(number, &customer_type, event);
        let name = self.note_customer_name(number, event);
        let person = self.person(number);
        person.joins.insert(organization.clone(), step);
        let profile = person
            .user
            .profiles
            .get_mut(&customer_type)
            .expect("made above if missing");
        profile.organization_id = Some(organization.clone());
        let new = Customer {
            name: None,
            email: None,
            created_at: event.micros,
            updated_at: event.micros,
        };
        let customer = person.user.customers.entry(organization).or_insert(new);
        customer.updated_at = event.micros;
        customer.name = name.or(customer.name.take());
    }

    fn customer_type(&self) -> String {
        self.settings
            .customer_type
            .clone()
            .unwrap_or_else(|| self.settings.types[0].name.clone())
    }

    /// The name, if the event gives a good one; a bad one marks the person.
    fn note_customer_name(&mut self, number: Number, event: &Event) -> Option<String> {
        let user = &mut self.person(number).user;
        match event.text("customer_name", 255) {
            Given::Absent | Given::Null => None,
            Given::Good(name) => {
                user.degraded.remove("customer_name");
                Some(name)
            }
            Given::Bad => {
                put(user, "customer_name", Given::<String>::Bad);
                None
            }
        }
    }

    /// left: the row goes, the customer profile falls back | ignored | ignored, no user is made. Its `customer_name`
    /// says nothing: there is no row left to name.
    pub(super) fn left(&mut self, event: &Event) -> Verdict {
        let place = self.resolve(&event.user_id);
        match place {
            Place::Active(number) | Place::Alias(number) => {
                let member = self.person(number).user.customers.contains_key(&event.organization());
                self.visit(
                    "left",
                    &format!("{} {}", found_by(place), if member { "member" } else { "no member" }),
                );
                if !member {
                    return ignored("not_a_member");
                }
                self.leave(number, event);
                self.applied(number, event, None)
            }
            Place::Tombstone => {
                self.visit("left", "tombstone");
                ignored("after_deletion")
            }
            Place::Unknown => {
                self.visit("left", "unknown");
                ignored("not_a_member")
            }
        }
    }

    fn leave(&mut self, number: Number, event: &Event) {
        let organization = event.organization();
        let customer_type = self.customer_type();
        let person = self.person(number);
        person.user.customers.remove(&organization);
        person.joins.remove(&organization);
        let latest = person
            .joins
            .iter()
            .max_by_key(|(_, step)| **step)
            .map(|(organization, _)| organization.clone());
        if let Some(profile) = person.user.profiles.get_mut(&customer_type)
            && profile.organization_id.as_ref() == Some(&organization)
        {
            profile.organization_id = latest;
        }
    }
}
