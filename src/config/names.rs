//! The rules of NATS for names and subjects, and those of the databases for identifiers.

/// Whether a stream or a consumer can have this name.
pub(super) fn is_stream_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\'))
}

/// Whether a text is a subject, wildcards allowed: `*` for one token, `>` for all that follow.
pub(super) fn is_subject(subject: &str) -> bool {
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let good = match token {
            "*" => true,
            ">" => tokens.peek().is_none(),
            _ => is_token(token),
        };
        if !good {
            return false;
        }
    }
    true
}

/// Whether a text is a subject without wildcards that is not the server's own.
pub(super) fn is_plain_subject(subject: &str) -> bool {
    subject.split('.').all(is_token) && !subject.starts_with('$')
}

fn is_token(token: &str) -> bool {
    !token.is_empty()
        && !token
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>'))
}

/// Whether some subject matches both patterns.
pub(super) fn overlap(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        match (left.next(), right.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

/// Whether a text is a plain identifier of the application, which PostgreSQL does not cut off.
pub(super) fn is_column_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a text is a plain lower-case identifier of at most `longest` characters, one at least.
pub(super) fn is_identifier(text: &str, longest: usize) -> bool {
    text.len() <= longest
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether a text is the plain name of a table or a column of an application, in whatever case: nothing that would have
/// to be escaped, and nothing that PostgreSQL would cut off.
pub(super) fn is_plain_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
