//! What a provider calls things, and where they are: declarative files, embedded for the known ones, the same format for
//! anybody's own. Pure: a file is text that is handed in.
//!
//! Only what a file names is ever forwarded, so a new secret in a payload stays where it is.

mod condition;
mod file;
mod path;
mod rule;
mod template;

#[cfg(test)]
mod tests;

use super::signature::Scheme;
pub use file::Handshake;
use path::Path;
pub(super) use path::{Scope, text};
pub(super) use rule::Rule;
pub(super) use template::Around;

/// The embedded files by the name that `provider` takes.
const EMBEDDED: &[(&str, &str)] = &[
    ("auth0", include_str!("../providers/auth0.toml")),
    ("clerk", include_str!("../providers/clerk.toml")),
    ("frappe", include_str!("../providers/frappe.toml")),
    ("frappe-renames", include_str!("../providers/frappe-renames.toml")),
    ("fusionauth", include_str!("../providers/fusionauth.toml")),
    ("keycloak", include_str!("../providers/keycloak.toml")),
    ("logto", include_str!("../providers/logto.toml")),
    ("okta", include_str!("../providers/okta.toml")),
    ("risc-ssf", include_str!("../providers/risc-ssf.toml")),
    ("standard-webhooks", include_str!("../providers/standard-webhooks.toml")),
    ("stytch", include_str!("../providers/stytch.toml")),
    ("supabase", include_str!("../providers/supabase.toml")),
    ("svix", include_str!("../providers/svix.toml")),
    ("workos", include_str!("../providers/workos.toml")),
    ("zitadel", include_str!("../providers/zitadel.toml")),
];

/// Why a provider cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// There is no embedded one of this name.
    #[error("there is no provider {name:?}; there are {}, and any file of your own", names().collect::<Vec<_>>().join(", "))]
    Unknown {
        /// As it was asked for.
        name: String,
    },
    /// The text is not a provider's file.
    #[error("provider {name}: {what}")]
    Invalid {
        /// Its name, or its path.
        name: String,
        /// What is wrong with it.
        what: String,
    },
}

/// The names of the embedded ones.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// How one kind of sender is understood.
#[derive(Debug, Clone)]
pub struct Provider {
    /// `clerk`, or the path of a file.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// The status of a good request.
    pub answer: u16,
    /// How its requests may be signed.
    pub schemes: Vec<Scheme>,
    /// Whether it asks first if anybody is there.
    pub handshake: Option<Handshake>,
    pub(super) never_forward: Vec<Path>,
    pub(super) event_name: Vec<Path>,
    pub(super) rules: Vec<Rule>,
}

impl Provider {
    /// An embedded one.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn embedded(name: &str) -> Result<Self, ProviderError> {
        Self::parse(name, text_of(name)?)
    }

    /// One from the text of a file; `name` is for messages.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProviderError> {
        let invalid = |what: String| ProviderError::Invalid {
            name: name.to_owned(),
            what,
        };
        let file = read(text).map_err(invalid)?;
        let file = match &file.extends {
            None => file,
            Some(base) => {
                let base = read(text_of(base)?).map_err(invalid)?;
                if base.extends.is_some() {
                    return Err(invalid("\"extends\" names a provider that extends another".to_owned()));
                }
                over(file, base)
            }
        };
        compile(name, &file).map_err(invalid)
    }
}

fn text_of(name: &str) -> Result<&'static str, ProviderError> {
    let found = EMBEDDED.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, text)| *text)
        .ok_or_else(|| ProviderError::Unknown { name: name.to_owned() })
}

fn read(text: &str) -> Result<file::File, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())
}

/// The rules of the file come first; what it does not say is what the base says.
fn over(file: file::File, base: file::File) -> file::File {
    file::File {
        about: file.about,
        extends: None,
        answer: file.answer.or(base.answer),
        signature: if file.signature.is_empty() {
            base.signature
        } else {
            file.signature
        },
        handshake: file.handshake.or(base.handshake),
        never_forward: [base.never_forward, file.never_forward].concat(),
        name: file.name.or(base.name),
        defaults: file.defaults.over(base.defaults),
        event: [file.event, base.event].concat(),
    }
}

fn compile(name: &str, file: &file::File) -> Result<Provider, String> {
    let answer = file.answer.unwrap_or(204);
    if !(200..300).contains(&answer) {
        return Err(format!("answer is {answer}: give a status from 200 to 299"));
    }
    if file.signature.is_empty() {
        return Err("there is no [[signature]]: nobody could be believed".to_owned());
    }
    if file.event.is_empty() {
        return Err("there is no [[event]]: nothing would be forwarded".to_owned());
    }
    let removable = |path: &String| Path::removable(path).map_err(|what| format!("never_forward: {what}"));
    let event_name = file.name.as_ref().map(file::OneOrMore::list).unwrap_or_default();
    Ok(Provider {
        name: name.to_owned(),
        about: file.about.clone(),
        answer,
        schemes: file.signature.clone(),
        handshake: file.handshake.clone(),
        never_forward: file.never_forward.iter().map(removable).collect::<Result<_, _>>()?,
        event_name: event_name
            .iter()
            .map(|path| Path::parse(path))
            .collect::<Result<_, _>>()?,
        rules: (1..)
            .zip(&file.event)
            .map(|(number, event)| {
                Rule::compile(event, &file.defaults).map_err(|what| format!("[[event]] {number}: {what}"))
            })
            .collect::<Result<_, _>>()?,
    })
}
