//! The rows `renamed`: no key moves, to a free key, to a key in use.

use super::Verdict;
use super::event::Event;
use super::rules::{found_by, ignored, rejected};
use super::state::{Number, Place, State};

impl State<'_> {
    /// The three rows of renames, by what becomes of the key.
    pub(super) fn renamed(&mut self, step: usize, event: &Event) -> Verdict {
        let place = self.resolve(&event.user_id);
        let new_key = event.new_user_id.clone().filter(|new| *new != event.user_id);
        match place {
            Place::Active(number) | Place::Alias(number) => {
                let elsewhere = new_key.clone().filter(|new| *new != self.person(number).key);
                match elsewhere.map(|new| (self.active(&new), new)) {
                    None => self.renamed_no_move(number, place, new_key.as_deref(), event),
                    Some((None, new)) => self.renamed_free(number, place, &new, event),
                    Some((Some(holder), new)) => self.renamed_in_use(number, holder, place, &new, event),
                }
            }
            Place::Tombstone => {
                let row = match &new_key {
                    None => "renamed no move",
                    Some(new) if self.active(new).is_none() => "renamed free",
                    Some(_) => "renamed in use",
                };
                self.visit(row, "tombstone");
                ignored("after_deletion")
            }
            Place::Unknown => self.renamed_unknown(step, new_key.as_deref(), event),
        }
    }

    /// `new_user_id` is absent, the event's `user_id` or the person's current key: patch.
    fn renamed_no_move(&mut self, number: Number, place: Place, new_key: Option<&str>, event: &Event) -> Verdict {
        let column = match (new_key, &event.new_user_id) {
            (Some(_), _) => "current key",
            (None, Some(_)) => "own key",
            (None, None) => "absent",
        };
        self.visit("renamed no move", &format!("{} {column}", found_by(place)));
        self.patch(number, event);
        self.add_named_profiles(number, event);
        self.applied(number, event, None)
    }

    /// The person's current key moves and becomes an alias; patch.
    fn renamed_free(&mut self, number: Number, place: Place, new_key: &str, event: &Event) -> Verdict {
        let freed = match self.resolve(new_key) {
            Place::Alias(owner) if owner == number => "back to own alias",
            Place::Alias(_) => "to alias of another",
            Place::Tombstone => "to tombstone",
            _ => "to unknown",
        };
        self.visit("renamed free", &format!("{} {freed}", found_by(place)));
        self.move_to(number, new_key);
        self.patch(number, event);
        self.add_named_profiles(number, event);
        self.applied(number, event, None)
    }

    /// The new key is another person's: they merge if one is provisional, else rejected.
    fn renamed_in_use(
        &mut self,
        renamed: Number,
        holder: Number,
        place: Place,
        new_key: &str,
        event: &Event,
    ) -> Verdict {
        let provisional = (
            self.person(renamed).user.provisional,
            self.person(holder).user.provisional,
        );
        let (survivor, other, case) = match provisional {
            (false, false) => {
                self.visit("renamed in use", &format!("{} key_taken", found_by(place)));
                return rejected("key_taken");
            }
            (false, true) => (renamed, holder, "renamed survives"),
            (true, false) => (holder, renamed, "holder survives"),
            (true, true) => (renamed, holder, "both provisional"),
        };
        self.visit("renamed in use", &format!("{} {case}", found_by(place)));
        let old_key = self.person(renamed).key.clone();
        self.merge(survivor, other, &old_key, new_key);
        self.patch(survivor, event);
        self.add_named_profiles(survivor, event);
        self.applied(survivor, event, None)
    }

    /// Nobody is known at the old key: an alias to who has the new one, or a provisional user.
    fn renamed_unknown(&mut self, step: usize, new_key: Option<&str>, event: &Event) -> Verdict {
        let Some(new_key) = new_key else {
            self.visit("renamed no move", "unknown");
            let number = self.begin(step, &event.user_id, event, true);
            return self.applied(number, event, None);
        };
        if let Some(holder) = self.active(new_key) {
            self.visit("renamed in use", "unknown");
            self.aliases.insert(event.user_id.clone(), holder);
            return self.applied(holder, event, Some("already_renamed"));
        }
        self.visit("renamed free", "unknown");
        let number = self.begin(step, new_key, event, true);
        self.aliases.insert(event.user_id.clone(), number);
        self.applied(number, event, None)
    }
}
