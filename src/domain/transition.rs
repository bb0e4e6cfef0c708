//! The workflow of one profile of a person.

use super::event::Event;
use super::policy::Policy;
use super::verdict::{Reason, Verdict};
use super::world::{Ruling, Subject, World, transition_type};

impl World {
    pub(super) fn transition(&mut self, event: &Event, policy: &Policy, subject: Subject) -> Ruling {
        let Some(name) = transition_type(event, policy) else {
            return (Verdict::rejected(Reason::UnknownProfileType), None);
        };
        if self.lacks(event, policy, subject, name) {
            return (Verdict::rejected(Reason::RequirementsMissing), None);
        }
        let (id, mut effects) = self.somebody(event, policy, subject);
        let before = self.naming(id);
        let person = self.person_mut(id);
        effects
            .profiles_made
            .extend(person.make_profiles(std::iter::once(name), event, policy));
        let legal = person.profiles.get_mut(name).and_then(|profile| {
            let from = profile.status;
            let next = from.after(event.body.kind())?;
            profile.status = next;
            Some((name.to_owned(), from.name().to_owned(), next.name().to_owned()))
        });
        if legal.is_none() && effects.began.is_none() && effects.profiles_made.is_empty() {
            return (Verdict::ignored(Reason::IllegalTransition), Some(id));
        }
        if legal.is_some() && event.body.kind() == super::event::Kind::Activated {
            let creates = policy
                .rule(name)
                .map(|rule| rule.activation_creates.as_slice())
                .unwrap_or_default();
            let made = person.make_profiles(creates.iter().map(String::as_str), event, policy);
            effects.profiles_made.extend(made);
        }
        let illegal = legal.is_none();
        effects.transition = legal;
        person.degraded.extend(event.degraded.iter().cloned());
        self.finish(id, event, policy, &before, &mut effects);
        let verdict = if illegal {
            Verdict::noted(effects, Reason::IllegalTransition)
        } else {
            Verdict::applied(effects)
        };
        (verdict, Some(id))
    }
}
