//! On which subject an event of ours is published. Others may publish on the plain type: what an event means never depends
//! on further words of its subject, only which consumer reads it does.

use sha2::{Digest as _, Sha256};

use crate::domain::hex;

/// How many words stand in the subject of an event of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subjects {
    /// Its type, such as `user.created`.
    #[default]
    ByType,
    /// Its type and its user, so that the broker can keep the events of a user together: `user.created.` and 16 digits.
    ByUser,
}

impl Subjects {
    /// The subject of an event of this type about this user. A type of more words than two stays as it is, and so does
    /// that of an event without a user.
    pub fn of(self, kind: &str, user_id: Option<&str>) -> String {
        match (self, user_id) {
            (Self::ByUser, Some(user_id)) if kind.split('.').count() == 2 => {
                format!("{kind}.{}", word_of(user_id))
            }
            (Self::ByUser | Self::ByType, _) => kind.to_owned(),
        }
    }
}

/// A user as a word of a subject: 16 hexadecimal digits of the SHA-256 of the `user_id`, as the event has it.
pub fn word_of(user_id: &str) -> String {
    hex(&Sha256::digest(user_id)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_says_whose_event_it_is_only_where_that_is_wanted() {
        // printf ada | sha256sum
        let ada = "user.created.fdee430d40bd57de";
        for (subjects, kind, user, expected) in [
            (Subjects::ByType, "user.created", Some("ada"), "user.created"),
            (Subjects::ByUser, "user.created", Some("ada"), ada),
            (Subjects::ByUser, "user.created", None, "user.created"),
            (Subjects::ByUser, "user.created.eu", Some("ada"), "user.created.eu"),
        ] {
            assert_eq!(subjects.of(kind, user), expected, "{subjects:?} {kind} {user:?}");
        }
    }

    #[test]
    fn nothing_of_a_user_id_gets_into_the_subject() {
        for user in ["", "a.b", "*", ">", "a b", "ada@example.com", "\r\n"] {
            let word = word_of(user);
            assert!(
                word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit()),
                "{user:?} {word}"
            );
        }
    }
}
