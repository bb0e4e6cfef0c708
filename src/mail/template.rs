//! The texts of mails: `{{name}}` stands for a value, what is between `{{#name}}` and `{{/name}}` is there only where the
//! value is not empty. Pure; nothing else can be said in a template, so that it can do nothing.

use std::collections::BTreeMap;

/// Every name that a template may use.
pub const NAMES: [&str; 8] = [
    "user_id",
    "display_name",
    "email",
    "first_name",
    "last_name",
    "full_name",
    "link",
    "code",
];

/// What the names stand for; a missing one is empty.
pub type Values = BTreeMap<&'static str, String>;

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(&'static str),
    Begin(&'static str),
    End(&'static str),
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Text,
    /// With what HTML would take for its own replaced.
    Html,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A name that no mail has.
    #[error("unknown name {{{{{0}}}}}: there are {names}", names = NAMES.join(", "))]
    Unknown(String),
    /// `{{` without `}}`.
    #[error("{{{{ without }}}}")]
    Open,
    /// A section that does not end, or another one ends.
    #[error("{{{{#{0}}}}} and {{{{/…}}}} do not match")]
    Section(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut open: Option<&'static str> = None;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inner, behind) = after.split_once("}}").ok_or(TemplateError::Open)?;
            let (mark, name) = match inner.trim() {
                inner if inner.starts_with(['#', '/']) => inner.split_at(1),
                inner => ("", inner),
            };
            let known = NAMES.iter().find(|known| **known == name.trim());
            let name = *known.ok_or_else(|| TemplateError::Unknown(name.trim().to_owned()))?;
            parts.push(Part::Text(before.to_owned()));
            rest = behind;
            match mark {
                "#" if open.is_none() => {
                    open = Some(name);
                    parts.push(Part::Begin(name));
                }
                "/" if open == Some(name) => {
                    open = None;
                    parts.push(Part::End(name));
                }
                "" => {
                    parts.push(Part::Value(name));
                    continue;
                }
                _ => return Err(TemplateError::Section(name.to_owned())),
            }
            // The line of a section's mark is not a line of the mail.
            rest = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')).unwrap_or(rest);
        }
        if let Some(name) = open {
            return Err(TemplateError::Section(name.to_owned()));
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The text with these values.
    pub fn render(&self, values: &Values, form: Form) -> String {
        let value = |name: &str| values.get(name).map_or("", String::as_str);
        let mut text = String::new();
        let mut left_out = false;
        for part in &self.0 {
            match part {
                Part::Begin(name) => left_out = value(name).is_empty(),
                Part::End(_) => left_out = false,
                _ if left_out => {}
                Part::Text(part) => text.push_str(part),
                Part::Value(name) => match form {
                    Form::Text => text.push_str(value(name)),
                    Form::Html => push_html(&mut text, value(name)),
                },
            }
        }
        text
    }
}

fn push_html(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, values: &[(&'static str, &str)], form: Form) -> String {
        let values = values
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        Template::parse(template).expect("a template").render(&values, form)
    }

    #[test]
    fn values_stand_where_their_names_are() {
        let values = [("display_name", "Ada <b>"), ("link", "https://x.example/?a=1&b='2'")];
        assert_eq!(
            rendered("Hello {{display_name}}, {{ email }}!", &values, Form::Text),
            "Hello Ada <b>, !"
        );
        assert_eq!(
            rendered("<a href=\"{{link}}\">{{display_name}}</a>", &values, Form::Html),
            "<a href=\"https://x.example/?a=1&amp;b=&#39;2&#39;\">Ada &lt;b&gt;</a>"
        );
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        assert_eq!(
            rendered("{{display_name}}", &[("display_name", "{{code}}")], Form::Text),
            "{{code}}"
        );
    }

    #[test]
    fn sections_are_there_where_their_value_is() {
        let template = "a\n{{#code}}\ncode {{code}}\n{{/code}}\nb\n";
        assert_eq!(rendered(template, &[("code", "7")], Form::Text), "a\ncode 7\nb\n");
        assert_eq!(rendered(template, &[], Form::Text), "a\nb\n");
    }

    #[test]
    fn what_is_no_template_is_refused_with_what_is_wrong() {
        for (template, expected) in [
            ("{{nmae}}", "unknown name {{nmae}}: there are user_id,"),
            ("{{code", "{{ without }}"),
            ("{{#code}}", "{{#code}} and {{/…}} do not match"),
            ("{{#code}}{{/link}}", "do not match"),
            ("{{#code}}{{#link}}", "do not match"),
            ("{{/code}}", "do not match"),
        ] {
            let error = Template::parse(template).expect_err(template).to_string();
            assert!(error.contains(expected), "{template}: {error}");
        }
    }
}
