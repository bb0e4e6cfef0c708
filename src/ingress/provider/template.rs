//! Text with holes: `idp://clerk/{/instance_id}`, `{id}:DELETE`.

use super::path::{Path, Scope, text};

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    At(Path),
    Delivery,
    Header(String),
    BodyHash,
    Index,
}

/// What a hole can be filled with beside the body.
#[derive(Debug, Clone, Copy)]
pub(in crate::ingress) struct Around<'a> {
    /// The id of the message, where the signature covers one.
    pub(in crate::ingress) delivery: Option<&'a str>,
    /// Names and values.
    pub(in crate::ingress) headers: &'a [(String, String)],
    /// SHA-256 of the content, in hexadecimal digits.
    pub(in crate::ingress) hash: &'a str,
    /// The number of the event in a batch, from 0.
    pub(in crate::ingress) index: usize,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once('{') {
            let (hole, tail) = tail
                .split_once('}')
                .ok_or_else(|| format!("template {text:?}: a {{ without }}"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match hole {
                "delivery" => Piece::Delivery,
                "index" => Piece::Index,
                "body:sha256" => Piece::BodyHash,
                hole => match hole.strip_prefix("header:") {
                    Some(name) => Piece::Header(name.to_owned()),
                    None => Piece::At(Path::parse(hole)?),
                },
            });
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The text with every hole filled; `None` if one cannot be.
    pub(super) fn fill(&self, scope: Scope<'_>, around: Around<'_>) -> Option<String> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::At(path) => {
                    let value = text(path.find(scope)?.as_ref()).filter(|text| !text.is_empty())?;
                    filled.push_str(&value);
                }
                Piece::Delivery => filled.push_str(around.delivery?),
                Piece::Header(name) => {
                    let mut values = around
                        .headers
                        .iter()
                        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
                    filled.push_str(&values.next().filter(|(_, value)| !value.is_empty())?.1);
                }
                // Half of it is enough to tell bodies apart, and fits beside other parts.
                Piece::BodyHash => filled.push_str(around.hash.get(..32)?),
                Piece::Index => filled.push_str(&around.index.to_string()),
            }
        }
        Some(filled)
    }
}
