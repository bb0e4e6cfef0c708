//! The optional fields of `created`, `updated` and `renamed`: absent leaves, null clears (in `created` it is as
//! absent), a good value sets, a bad one is dropped and marks the field as degraded until a good one comes.

use serde_json::Value;

use super::User;
use super::event::{Event, Given, Kind};
use super::state::{Number, State};

const TEXTS: [(&str, usize); 6] = [
    ("username", 255),
    ("first_name", 255),
    ("last_name", 255),
    ("full_name", 255),
    ("phone", 64),
    ("external_id", 255),
];

impl State<'_> {
    /// Sets what the event's own fields say; profiles are not added here.
    pub(super) fn patch(&mut self, number: Number, event: &Event) {
        if !event.kind.carries_fields() {
            return;
        }
        let settings = self.settings;
        let user = &mut self.person(number).user;
        for (name, limit) in TEXTS {
            let mut given = event.text(name, limit);
            if name == "username" {
                given = prefer_new(event, event.text("new_username", limit), given);
            }
            put(user, name, in_this(event, given));
        }
        put(user, "metadata", in_this(event, event.object("metadata")));
        put(user, "active", in_this(event, event.flag("active")));
        patch_email(user, event);
        patch_organization(user, event);
        // The list is no value that a person has, so its null clears nothing and is as absent.
        match event.profile_types_given(settings) {
            (_, true) => drop(user.degraded.insert("profile_types".to_owned())),
            (Given::Good(_), false) => drop(user.degraded.remove("profile_types")),
            (Given::Absent | Given::Null | Given::Bad, false) => {}
        }
    }

    /// The profiles that the event names and the person lacks.
    pub(super) fn add_named_profiles(&mut self, number: Number, event: &Event) {
        for name in event.profile_types.clone().unwrap_or_default() {
            self.ensure_profile(number, &name, event);
        }
    }
}

/// In created, null is absent.
fn in_this<T>(event: &Event, given: Given<T>) -> Given<T> {
    match given {
        Given::Null if event.kind == Kind::Created => Given::Absent,
        other => other,
    }
}

/// `new_email` and `new_username` of a rename win over the plain fields; null is absent. A bad one is dropped, so the
/// plain field speaks if it is there; the mark goes to the plain name.
fn prefer_new<T>(event: &Event, new: Given<T>, plain: Given<T>) -> Given<T> {
    match (new, plain) {
        (good @ Given::Good(_), _) if event.kind == Kind::Renamed => good,
        (Given::Bad, Given::Absent) if event.kind == Kind::Renamed => Given::Bad,
        (_, plain) => plain,
    }
}

/// Writes one field and its mark.
pub(super) fn put<T: Into<Value>>(user: &mut User, name: &str, given: Given<T>) {
    match given {
        Given::Absent => {}
        Given::Null => {
            user.fields.remove(name);
            user.degraded.remove(name);
        }
        Given::Good(value) => {
            user.fields.insert(name.to_owned(), value.into());
            user.degraded.remove(name);
        }
        Given::Bad => {
            user.degraded.insert(name.to_owned());
        }
    }
}

/// The address and its flag are one unit: a new address without its own flag resets the flag to unknown, a bad
/// address takes the event's flag with it, and there is no flag without an address.
fn patch_email(user: &mut User, event: &Event) {
    let email = in_this(event, prefer_new(event, event.email("new_email"), event.email("email")));
    let flag = in_this(event, event.flag("email_verified"));
    let before = user.fields.get("email").cloned();
    let bad_address = email == Given::Bad;
    put(user, "email", email);
    if user.fields.get("email") != before.as_ref() {
        user.fields.remove("email_verified");
    }
    if !(bad_address && matches!(flag, Given::Good(_) | Given::Null)) {
        put(user, "email_verified", flag);
    }
    if !user.fields.contains_key("email") {
        user.fields.remove("email_verified");
    }
}

/// The person's default organization, and that of every profile the person has.
fn patch_organization(user: &mut User, event: &Event) {
    let given = in_this(event, event.text("organization_id", 255));
    match &given {
        Given::Good(organization) => {
            user.profiles
                .values_mut()
                .for_each(|profile| profile.organization_id = Some(organization.clone()));
        }
        Given::Null => user
            .profiles
            .values_mut()
            .for_each(|profile| profile.organization_id = None),
        Given::Absent | Given::Bad => {}
    }
    put(user, "organization_id", given);
}
