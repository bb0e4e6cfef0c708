//! What a column of an audit row says: text with placeholders in braces.

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `{old_user_id}`: the key before.
    OldUserId,
    /// `{new_user_id}`: the key after; nothing when the person went.
    NewUserId,
    /// `{email}`: the address after, or the last one.
    Email,
    /// `{username}`: the user name after, or the last one.
    Username,
    /// `{event_id}`.
    EventId,
    /// `{event_source}`.
    EventSource,
    /// `{event_type}`: `user.renamed`, say.
    EventType,
    /// `{action}`: `renamed` or `deleted`.
    Action,
    /// `{time}`: of the event, RFC 3339 in UTC.
    Time,
    /// `{change}`: all of it as a JSON object.
    Change,
}

/// Text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// What the placeholder stands for.
    Field(Field),
}

impl Field {
    /// Every placeholder with its name.
    pub const ALL: [(&'static str, Self); 10] = [
        ("old_user_id", Self::OldUserId),
        ("new_user_id", Self::NewUserId),
        ("email", Self::Email),
        ("username", Self::Username),
        ("event_id", Self::EventId),
        ("event_source", Self::EventSource),
        ("event_type", Self::EventType),
        ("action", Self::Action),
        ("time", Self::Time),
        ("change", Self::Change),
    ];

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, field)| field)
    }
}

impl Template {
    /// The text with everything in its place; nothing where it is only placeholders and none of them has a value.
    pub fn render(&self, value: impl Fn(Field) -> Option<String>) -> Option<String> {
        let mut text = String::new();
        let mut is_something = self.0.is_empty();
        for piece in &self.0 {
            let part = match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Field(field) => value(*field),
            };
            is_something |= part.is_some();
            text.push_str(&part.unwrap_or_default());
        }
        is_something.then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_as_they_are_and_what_has_none_is_null() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let value = |field| match field {
            Field::OldUserId => Some("a'{time}".to_owned()),
            _ => None,
        };
        for (pieces, expected) in [
            (vec![text("x: "), Piece::Field(Field::OldUserId)], Some("x: a'{time}")),
            (vec![Piece::Field(Field::NewUserId)], None),
            (vec![Piece::Field(Field::NewUserId), Piece::Field(Field::Email)], None),
            (vec![text("→"), Piece::Field(Field::NewUserId)], Some("→")),
            (vec![text("")], Some("")),
            (vec![], Some("")),
        ] {
            assert_eq!(
                Template(pieces.clone()).render(value).as_deref(),
                expected,
                "{pieces:?}"
            );
        }
    }
}
