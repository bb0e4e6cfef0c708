//! The two kinds of mail as messages: subject, plain text and HTML, with a Message-ID that stays the same for every try.

use std::path::Path;
use std::time::SystemTime;

use lettre::Message;
use lettre::address::AddressError;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::SetupError;
use super::template::{Form, Template, Values};
use crate::domain::{Person, hex};
use crate::store::{MailKind, MailOrder};

/// Longest name in a mail, in characters.
const NAME_MAX: usize = 80;

/// The templates of one kind of mail.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    subject: Template,
    text: Template,
    /// None: the mail is plain text only.
    html: Option<Template>,
}

/// Why no message can be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum LetterError {
    #[error("the address cannot be written to: {0}")]
    Address(#[from] AddressError),
    #[error("the message cannot be made: {0}")]
    Message(#[from] lettre::error::Error),
}

impl Letter {
    /// The templates of a kind: those of the folder, or where it has none those that we bring along.
    pub(super) fn load(kind: MailKind, folder: Option<&Path>) -> Result<Self, SetupError> {
        let (text, html) = match kind {
            MailKind::Welcome => (
                include_str!("templates/welcome.txt"),
                include_str!("templates/welcome.html"),
            ),
            MailKind::PasswordReset => (
                include_str!("templates/password_reset.txt"),
                include_str!("templates/password_reset.html"),
            ),
        };
        let own = |extension: &str| -> Result<Option<String>, SetupError> {
            let Some(folder) = folder else { return Ok(None) };
            let path = folder.join(format!("{}.{extension}", kind.name()));
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(SetupError::Unreadable { path, source }),
            }
        };
        let parse = |text: &str| {
            Template::parse(text).map_err(|source| SetupError::Template {
                kind: kind.name(),
                source,
            })
        };
        let (own_text, own_html) = (own("txt")?, own("html")?);
        // Whoever has a text of their own and no HTML wants no HTML, least of all ours.
        let html = match (&own_text, own_html) {
            (_, Some(html)) => Some(html),
            (Some(_), None) => None,
            (None, None) => Some(html.to_owned()),
        };
        let text = own_text.unwrap_or_else(|| text.to_owned());
        let (first, body) = text.split_once('\n').unwrap_or((&text, ""));
        let subject = first
            .trim_end()
            .strip_prefix("Subject: ")
            .ok_or(SetupError::NoSubject { kind: kind.name() })?;
        let body = body.strip_prefix("\r\n").or(body.strip_prefix('\n')).unwrap_or(body);
        Ok(Self {
            subject: parse(subject)?,
            text: parse(body)?,
            html: html.map(|html| parse(&html)).transpose()?,
        })
    }

    /// The message to an address.
    pub(super) fn message(
        &self,
        order: &MailOrder,
        from: &Mailbox,
        to: &str,
        values: &Values,
        now: OffsetDateTime,
    ) -> Result<Message, LetterError> {
        let identity = identity(order);
        // A line break in a subject would be a header of its own.
        let subject = self.subject.render(values, Form::Text).replace(char::is_control, " ");
        let builder = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to.parse()?))
            .subject(subject)
            .date(SystemTime::from(now))
            .message_id(Some(format!("<{identity}@{}>", from.email.domain())))
            .header(AutoSubmitted);
        let text = self.text.render(values, Form::Text);
        let Some(html) = &self.html else {
            return Ok(builder.header(ContentType::TEXT_PLAIN).body(text)?);
        };
        let parts = MultiPart::alternative()
            .boundary(format!("=_{identity}"))
            .singlepart(SinglePart::plain(text))
            .singlepart(SinglePart::html(html.render(values, Form::Html)));
        Ok(builder.multipart(parts)?)
    }
}

/// The same for every try at a mail, and for no other mail: those who sort out copies go by it.
fn identity(order: &MailOrder) -> String {
    let mut hash = Sha256::new();
    for part in [order.kind.name(), &order.source, &order.event_id] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

/// What a mail may say of its user.
pub(super) fn values(person: &Person, secret: Option<&str>) -> Values {
    let fields = &person.fields;
    let first = person.profiles.values().next();
    let secret: serde_json::Value = secret
        .and_then(|secret| serde_json::from_str(secret).ok())
        .unwrap_or_default();
    let secret = |name: &str| secret[name].as_str().map(str::to_owned);
    [
        ("user_id", Some(person.key.clone())),
        (
            "display_name",
            first
                .map(|profile| profile.display_name.clone())
                .or(fields.full_name.clone())
                .or(Some(person.key.clone())),
        ),
        ("email", fields.email.clone()),
        ("first_name", fields.first_name.clone()),
        ("last_name", fields.last_name.clone()),
        ("full_name", fields.full_name.clone()),
        ("link", secret("link")),
        ("code", secret("code")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, tame(name, value?))))
    .collect()
}

/// What users say of themselves is in a mail that seems to come from us: a name is one line, and too short for a letter of
/// its own. Link and code are the provider's, and checked as they come in.
fn tame(name: &str, value: String) -> String {
    let longest = match name {
        "link" | "code" => return value,
        "display_name" | "first_name" | "last_name" | "full_name" => NAME_MAX,
        _ => usize::MAX,
    };
    // Beside the controls, what breaks a line or turns its direction without being one.
    let odd = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let one_line = value.chars().map(|c| if odd(c) { ' ' } else { c });
    let mut tamed: String = one_line.clone().take(longest).collect();
    if one_line.count() > longest {
        tamed.push('…');
    }
    tamed
}

/// Tells programs not to answer (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_say_of_themselves_is_one_short_line() {
        let long = "x".repeat(200);
        for (name, value, expected) in [
            ("full_name", "Ada King", "Ada King".to_owned()),
            (
                "full_name",
                "Ada\r\n\r\nYour prize: https://x.example",
                "Ada    Your prize: https://x.example".to_owned(),
            ),
            ("first_name", "A\u{2028}B\u{202e}C\u{85}D", "A B C D".to_owned()),
            ("display_name", &long, format!("{}…", &long[..80])),
            ("last_name", &long[..80], long[..80].to_owned()),
            ("user_id", &long, long.clone()),
            ("user_id", "a\nb", "a b".to_owned()),
            ("email", "a@b.example", "a@b.example".to_owned()),
            ("link", &long, long.clone()),
            ("code", "1\n2", "1\n2".to_owned()),
        ] {
            assert_eq!(tame(name, value.to_owned()), expected, "{name}: {value:?}");
        }
    }
}
