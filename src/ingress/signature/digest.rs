//! HMAC of the body in a header. There is no timestamp: a replay is recognised by the identity of the event alone.

use ring::hmac;
use serde::Deserialize;

use super::listed::signed_by;
use super::{Encoding, Received, Rejection, Verified};

/// A hash function under HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1, which is still sound under HMAC, for senders that know nothing else.
    Sha1,
}

impl Hash {
    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }
}

#[derive(Clone)]
pub(super) struct Digest {
    header: String,
    encoding: Encoding,
    prefix: String,
    keys: Vec<hmac::Key>,
}

impl Digest {
    pub(super) fn new<'s>(
        secrets: impl Iterator<Item = &'s str>,
        header: &str,
        encoding: Encoding,
        algorithms: &[Hash],
        prefix: &str,
    ) -> Self {
        let keys = secrets.flat_map(|secret| {
            let key = |hash: &Hash| hmac::Key::new(hash.algorithm(), secret.as_bytes());
            algorithms.iter().map(key).collect::<Vec<_>>()
        });
        Self {
            header: header.to_owned(),
            encoding,
            prefix: prefix.to_owned(),
            keys: keys.collect(),
        }
    }

    pub(super) fn verify<'a>(&self, received: &Received<'a>) -> Result<Verified<'a>, Rejection> {
        let text = received.header(&self.header)?.trim();
        let signature = text
            .strip_prefix(self.prefix.as_str())
            .and_then(|text| self.encoding.decode(text))
            .ok_or_else(|| Rejection::Malformed(format!("header {} holds no signature", self.header)))?;
        // Which hash it is follows from the length; the others need not be computed.
        let length = signature.len();
        let fits = |key: &&hmac::Key| key.algorithm().digest_algorithm().output_len() == length;
        if signed_by(self.keys.iter().filter(fits), &[received.body], &[signature]) {
            Ok(Verified::body(received))
        } else {
            Err(Rejection::WrongSignature)
        }
    }

    pub(super) fn sign(&self, body: &[u8]) -> Option<Vec<(String, String)>> {
        let tag = hmac::sign(self.keys.first()?, body);
        let value = format!("{}{}", self.prefix, self.encoding.encode(tag.as_ref()));
        Some(vec![(self.header.clone(), value)])
    }
}
