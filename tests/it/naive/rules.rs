//! The table of section 3, a function per row, a match arm per column; its renames and memberships are in the
//! modules of these names.

use super::event::{Event, Kind};
use super::state::{Number, Place, State, derive_user, made_by};
use super::{Departed, Verdict};

fn verdict(outcome: &str, reason: Option<&str>) -> Verdict {
    Verdict {
        outcome: outcome.to_owned(),
        reason: reason.map(str::to_owned),
    }
}

pub(super) fn ignored(reason: &str) -> Verdict {
    verdict("ignored", Some(reason))
}

pub(super) fn rejected(reason: &str) -> Verdict {
    verdict("rejected", Some(reason))
}

/// The table's column of a person found by key or by alias.
pub(super) fn found_by(place: Place) -> &'static str {
    if matches!(place, Place::Alias(_)) {
        "alias"
    } else {
        "key"
    }
}

impl State<'_> {
    /// Applies one event. `ignored` and `rejected` leave everything as it was.
    pub(super) fn apply(&mut self, step: usize, event: &Event) -> Verdict {
        if let Some(verdict) = self.refuse(event) {
            return verdict;
        }
        match event.kind {
            Kind::Created => self.created(step, event),
            Kind::Updated => self.updated(step, event),
            Kind::Renamed => self.renamed(step, event),
            Kind::Deleted => self.deleted(event),
            Kind::Joined => self.joined(step, event),
            Kind::Left => self.left(event),
            Kind::Activated | Kind::Archived | Kind::Reactivated => self.transition(step, event),
        }
    }

    /// What is refused whatever the world looks like, or because of the key that the person has now.
    fn refuse(&mut self, event: &Event) -> Option<Verdict> {
        let configured = self
            .settings
            .types
            .iter()
            .any(|setting| setting.name == event.profile_type);
        if event.kind.is_transition() && !configured {
            self.visit("unknown_profile_type", event.kind.name());
            return Some(rejected("unknown_profile_type"));
        }
        if !matches!(event.kind, Kind::Deleted | Kind::Renamed) {
            return None;
        }
        let place = self.resolve(&event.user_id);
        let current = match place {
            Place::Active(number) | Place::Alias(number) => Some(self.person(number).key.clone()),
            Place::Tombstone | Place::Unknown => None,
        };
        let from = self.protects(&event.user_id) || current.is_some_and(|key| self.protects(&key));
        let to = event.new_user_id.as_ref().is_some_and(|key| self.protects(key));
        if !from && !to {
            return None;
        }
        let known = if place == Place::Unknown { "unknown" } else { "known" };
        let what = if from { "from" } else { "to" };
        self.visit("protected", &format!("{} {what} {known}", event.kind.name()));
        Some(rejected("protected_user"))
    }

    fn protects(&self, key: &str) -> bool {
        self.settings
            .protected
            .iter()
            .any(|protected| protected.to_lowercase() == key.to_lowercase())
    }

    /// An applied event of this person.
    pub(super) fn applied(&mut self, number: Number, event: &Event, reason: Option<&str>) -> Verdict {
        self.count(number, event);
        verdict("applied", reason)
    }

    /// created: patch, a provisional user becomes real | a new person begins at this key | new user.
    fn created(&mut self, step: usize, event: &Event) -> Verdict {
        let place = self.resolve(&event.user_id);
        let number = match place {
            Place::Active(number) | Place::Alias(number) if self.person(number).user.provisional => {
                self.visit("created", &format!("{} provisional", found_by(place)));
                self.patch(number, event);
                let user = &mut self.person(number).user;
                user.provisional = false;
                made_by(event).clone_into(&mut user.created_via);
                self.add_profiles_of_creation(number, event);
                number
            }
            Place::Active(number) => {
                self.visit("created", "key real");
                self.patch(number, event);
                self.add_named_profiles(number, event);
                number
            }
            Place::Alias(_) | Place::Tombstone | Place::Unknown => {
                let column = match place {
                    Place::Alias(_) => "alias real",
                    Place::Tombstone => "tombstone",
                    _ => "unknown",
                };
                self.visit("created", column);
                self.begin(step, &event.user_id, event, false)
            }
        };
        self.applied(number, event, None)
    }

    /// updated: patch | ignored | provisional user with what is known.
    fn updated(&mut self, step: usize, event: &Event) -> Verdict {
        let place = self.resolve(&event.user_id);
        let number = match place {
            Place::Active(number) | Place::Alias(number) => {
                self.visit("updated", found_by(place));
                self.patch(number, event);
                self.add_named_profiles(number, event);
                number
            }
            Place::Tombstone => {
                self.visit("updated", "tombstone");
                return ignored("after_deletion");
            }
            Place::Unknown => {
                self.visit("updated", "unknown");
                self.begin(step, &event.user_id, event, true)
            }
        };
        self.applied(number, event, None)
    }

    /// deleted: tombstones, profiles gone or archived | ignored | tombstone.
    fn deleted(&mut self, event: &Event) -> Verdict {
        let place = self.resolve(&event.user_id);
        match place {
            Place::Active(number) | Place::Alias(number) => {
                self.visit("deleted", found_by(place));
                let verdict = self.applied(number, event, None);
                let person = self.people.remove(&number).expect("found by its key");
                let aliases = self.aliases.iter().filter(|(_, owner)| **owner == number);
                let keys: Vec<String> = aliases
                    .map(|(key, _)| key.clone())
                    .chain([person.key.clone()])
                    .collect();
                self.aliases.retain(|_, owner| *owner != number);
                self.tombstones.extend(keys);
                if self.settings.archive_on_delete {
                    let mut user = person.user;
                    derive_user(&person.key, &mut user);
                    user.profiles.values_mut().for_each(|profile| profile.is_active = false);
                    self.departed.push(Departed {
                        key: person.key,
                        deleted_at: event.micros,
                        user,
                    });
                }
                verdict
            }
            Place::Tombstone => {
                self.visit("deleted", "tombstone");
                ignored("already_deleted")
            }
            Place::Unknown => {
                self.visit("deleted", "unknown");
                self.tombstones.insert(event.user_id.clone());
                verdict("applied", None)
            }
        }
    }

    /// activated / archived / reactivated: the transition, if legal | ignored | provisional user, then as active.
    fn transition(&mut self, step: usize, event: &Event) -> Verdict {
        let place = self.resolve(&event.user_id);
        let (number, begun) = match place {
            Place::Active(number) | Place::Alias(number) => (number, false),
            Place::Tombstone => {
                self.visit(event.kind.name(), "tombstone");
                return ignored("after_deletion");
            }
            Place::Unknown => (self.begin(step, &event.user_id, event, true), true),
        };
        let made = self.ensure_profile(number, &event.profile_type, event);
        let (from, to) = match event.kind {
            Kind::Activated => ("draft", "active"),
            Kind::Archived => ("active", "archived"),
            _ => ("archived", "active"),
        };
        let profiles = &mut self.person(number).user.profiles;
        let profile = profiles.get_mut(&event.profile_type).expect("made above if missing");
        let legal = profile.status == from;
        if legal {
            to.clone_into(&mut profile.status);
        }
        let column = if begun { "unknown" } else { found_by(place) };
        self.visit(
            event.kind.name(),
            &format!("{column} {}", if legal { "legal" } else { "illegal" }),
        );
        if !legal && !made && !begun {
            return ignored("illegal_transition");
        }
        if legal && event.kind == Kind::Activated {
            let setting = self
                .settings
                .types
                .iter()
                .find(|setting| setting.name == event.profile_type);
            for name in setting
                .map(|setting| setting.activation_creates.clone())
                .unwrap_or_default()
            {
                self.ensure_profile(number, &name, event);
            }
        }
        self.applied(number, event, if legal { None } else { Some("illegal_transition") })
    }
}
