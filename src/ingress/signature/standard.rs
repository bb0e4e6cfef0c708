//! Standard Webhooks 1.0, under the names `webhook-*` and `svix-*`.

use ring::{hmac, signature};

use super::listed::{few, signed_by};
use super::{Received, Rejection, Unusable, Verified, timestamp, unbase64, within};

/// The two families of header names.
const FAMILIES: [&str; 2] = ["webhook", "svix"];
/// Longest id of a message.
const ID_MAX: usize = 255;
/// Most signatures with a private key that are looked at: each costs a pass over the content.
const ASYMMETRIC: usize = 2;

#[derive(Clone)]
pub(super) struct Standard {
    keys: Vec<Key>,
    tolerance: i64,
}

#[derive(Clone)]
enum Key {
    Hmac(hmac::Key),
    Ed25519(Vec<u8>),
}

/// Whether a secret says of itself that it belongs to this scheme.
pub(super) fn is_marked(secret: &str) -> bool {
    let secret = bare(secret);
    secret.starts_with("whsec_") || secret.starts_with("whpk_")
}

/// Supabase shows the version before the secret.
fn bare(secret: &str) -> &str {
    let secret = secret.trim();
    secret.strip_prefix("v1,").unwrap_or(secret)
}

impl Key {
    fn read(secret: &str) -> Result<Self, Unusable> {
        let secret = bare(secret);
        if secret.starts_with("whsk_") {
            return Err(Unusable(
                "a private key (whsk_…) belongs to the sender: give the public one (whpk_…)".to_owned(),
            ));
        }
        if let Some(public) = secret.strip_prefix("whpk_") {
            let key = unbase64(public).filter(|key| key.len() == 32);
            return key
                .map(Self::Ed25519)
                .ok_or_else(|| Unusable("the public key is not base64 of 32 bytes".to_owned()));
        }
        let key = unbase64(secret.strip_prefix("whsec_").unwrap_or(secret)).filter(|key| !key.is_empty());
        key.map(|key| Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, &key)))
            .ok_or_else(|| Unusable("the secret is not base64, with or without whsec_ before it".to_owned()))
    }
}

impl Standard {
    pub(super) fn new<'s>(secrets: impl Iterator<Item = &'s str>, tolerance: i64) -> Result<Self, Unusable> {
        let keys = secrets.map(Key::read).collect::<Result<_, _>>()?;
        Ok(Self { keys, tolerance })
    }

    pub(super) fn verify<'a>(&self, received: &Received<'a>, now: i64) -> Result<Verified<'a>, Rejection> {
        // One family altogether: an id that the signature does not cover would be an identity of anybody's choice.
        let family = FAMILIES.into_iter().find(|family| {
            let names = ["id", "timestamp", "signature"].map(|part| format!("{family}-{part}"));
            names.iter().any(|name| received.values(name).next().is_some())
        });
        let family = family.unwrap_or(FAMILIES[0]);
        let id = received.header(&format!("{family}-id"))?;
        let stamp = received.header(&format!("{family}-timestamp"))?;
        let signatures = received.header(&format!("{family}-signature"))?;
        // A dot in the id would let the borders of the signed text be moved.
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
        if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(plain) {
            return Err(Rejection::Malformed(format!("header {family}-id is not an id")));
        }
        // Before anything that costs time: what is old costs a stranger nothing, either.
        within(timestamp(stamp)?, now.div_euclid(1000), self.tolerance)?;
        let listed = few(listed(signatures))?;
        let of = |version: &str, length: usize| -> Vec<Vec<u8>> {
            let of_version = listed.iter().filter(|(other, _)| *other == version);
            let decoded = of_version.filter_map(|(_, signature)| unbase64(signature));
            decoded.filter(|signature| signature.len() == length).collect()
        };
        if !self.is_signed([id, stamp], received.body, &of("v1", 32), &of("v1a", 64)) {
            return Err(Rejection::WrongSignature);
        }
        Ok(Verified {
            delivery: Some(id.to_owned()),
            ..Verified::body(received)
        })
    }

    fn is_signed(&self, [id, stamp]: [&str; 2], body: &[u8], tags: &[Vec<u8>], signatures: &[Vec<u8>]) -> bool {
        let symmetric = self.keys.iter().filter_map(|key| match key {
            Key::Hmac(key) => Some(key),
            Key::Ed25519(_) => None,
        });
        let head = format!("{id}.{stamp}.");
        if signed_by(symmetric, &[head.as_bytes(), body], tags) {
            return true;
        }
        let public = self.keys.iter().filter_map(|key| match key {
            Key::Hmac(_) => None,
            Key::Ed25519(key) => Some(signature::UnparsedPublicKey::new(&signature::ED25519, key)),
        });
        let public: Vec<_> = public.collect();
        let signatures = &signatures[..signatures.len().min(ASYMMETRIC)];
        if public.is_empty() || signatures.is_empty() {
            return false;
        }
        let content = [head.as_bytes(), body].concat();
        let fits = |signature: &Vec<u8>| public.iter().any(|key| key.verify(&content, signature).is_ok());
        signatures.iter().any(fits)
    }

    /// The headers of a message, with the first secret; none without a key that can sign.
    pub(super) fn sign(&self, id: &str, body: &[u8], now: i64) -> Option<Vec<(String, String)>> {
        let key = self.keys.iter().find_map(|key| match key {
            Key::Hmac(key) => Some(key),
            Key::Ed25519(_) => None,
        })?;
        let stamp = now.div_euclid(1000).to_string();
        let tag = hmac::sign(key, &[format!("{id}.{stamp}.").as_bytes(), body].concat());
        let signature = format!("v1,{}", super::Encoding::Base64.encode(tag.as_ref()));
        Some(vec![
            ("webhook-id".to_owned(), id.to_owned()),
            ("webhook-timestamp".to_owned(), stamp),
            ("webhook-signature".to_owned(), signature),
        ])
    }
}

/// Versions with their signatures. Between two of them stands a blank, or a comma and a blank: Supabase joins them as
/// other headers are joined, and the official libraries then refuse good requests.
fn listed(header: &str) -> Vec<(&str, &str)> {
    let words = header.split([' ', ',']).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let pairs = words.windows(2).filter(|pair| is_version(pair[0]));
    pairs.map(|pair| (pair[0], pair[1])).collect()
}

fn is_version(word: &str) -> bool {
    let digits = word
        .strip_prefix('v')
        .map(|rest| rest.strip_suffix('a').unwrap_or(rest))
        .unwrap_or_default();
    !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
}
