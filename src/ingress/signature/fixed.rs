//! A header that is always the same. It proves who sends, and nothing about the body: only TLS keeps it secret.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::{Encoding, Received, Rejection, Verified};

#[derive(Clone)]
pub(super) struct Fixed {
    header: String,
    /// What the header may be, the first one of each secret as it is sent; hashed, so that not even a length shows.
    expected: Vec<[u8; 32]>,
    sent: Vec<String>,
}

impl Fixed {
    /// A secret is the whole value. In `Authorization` it may also be the token alone, or `name:password`.
    pub(super) fn new<'s>(secrets: impl Iterator<Item = &'s str>, header: &str) -> Self {
        let mut fixed = Self {
            header: header.to_owned(),
            expected: Vec::new(),
            sent: Vec::new(),
        };
        for secret in secrets {
            let mut values = vec![secret.to_owned()];
            if header.eq_ignore_ascii_case("authorization") && !secret.contains(' ') {
                values.push(format!("Bearer {secret}"));
                if secret.contains(':') {
                    values.push(format!("Basic {}", Encoding::Base64.encode(secret.as_bytes())));
                }
            }
            fixed.sent.extend(values.last().cloned());
            fixed.expected.extend(values.iter().map(|value| hash(value)));
        }
        fixed
    }

    pub(super) fn verify<'a>(&self, received: &Received<'a>) -> Result<Verified<'a>, Rejection> {
        let found = hash(received.header(&self.header)?);
        let same = self
            .expected
            .iter()
            .fold(Choice::from(0), |same, expected| same | expected.ct_eq(&found));
        if bool::from(same) {
            Ok(Verified::body(received))
        } else {
            Err(Rejection::WrongValue(self.header.clone()))
        }
    }

    pub(super) fn sign(&self) -> Option<Vec<(String, String)>> {
        Some(vec![(self.header.clone(), self.sent.first()?.clone())])
    }
}

fn hash(value: &str) -> [u8; 32] {
    Sha256::digest(value.as_bytes()).into()
}
