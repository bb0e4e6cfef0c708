//! `t=…,v1=…[,v1=…]`: the hexadecimal HMAC-SHA256 of timestamp, a dot and the body.

use ring::hmac;
use serde::Deserialize;

use super::listed::{few, signed_by};
use super::{Received, Rejection, Verified, timestamp, unhex, within};
use crate::domain::hex;

/// What a timestamp counts since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
}

#[derive(Clone)]
pub(super) struct Stamped {
    header: String,
    unit: Unit,
    tolerance: i64,
    keys: Vec<hmac::Key>,
}

impl Stamped {
    pub(super) fn new<'s>(secrets: impl Iterator<Item = &'s str>, header: &str, unit: Unit, tolerance: i64) -> Self {
        let keys = secrets.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        Self {
            header: header.to_owned(),
            unit,
            tolerance,
            keys: keys.collect(),
        }
    }

    pub(super) fn verify<'a>(&self, received: &Received<'a>, now: i64) -> Result<Verified<'a>, Rejection> {
        let parts: Vec<(&str, &str)> = received
            .header(&self.header)?
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .collect();
        let mut stamps = parts.iter().filter(|(name, _)| *name == "t");
        let (Some((_, stamp)), None) = (stamps.next(), stamps.next()) else {
            return Err(Rejection::Malformed(format!(
                "header {} has no timestamp t",
                self.header
            )));
        };
        // Before anything that costs time: what is old costs a stranger nothing, either.
        let count = timestamp(stamp)?;
        match self.unit {
            Unit::Seconds => within(count, now.div_euclid(1000), self.tolerance)?,
            // To the millisecond, and said in seconds.
            Unit::Milliseconds => within(count, now, self.tolerance * 1000).map_err(|rejection| match rejection {
                Rejection::TooOld(age) => Rejection::TooOld(age / 1000),
                Rejection::InFuture(ahead) => Rejection::InFuture(ahead / 1000),
                other => other,
            })?,
        }
        let signatures = few(parts.iter().filter(|(name, _)| *name == "v1").collect())?;
        let decoded = signatures.into_iter().filter_map(|(_, text)| unhex(text));
        let signatures: Vec<Vec<u8>> = decoded.filter(|signature| signature.len() == 32).collect();
        let head = format!("{stamp}.");
        if !signed_by(self.keys.iter(), &[head.as_bytes(), received.body], &signatures) {
            return Err(Rejection::WrongSignature);
        }
        Ok(Verified::body(received))
    }

    pub(super) fn sign(&self, body: &[u8], now: i64) -> Option<Vec<(String, String)>> {
        let stamp = match self.unit {
            Unit::Seconds => now.div_euclid(1000),
            Unit::Milliseconds => now,
        };
        let tag = hmac::sign(self.keys.first()?, &[format!("{stamp}.").as_bytes(), body].concat());
        Some(vec![(
            self.header.clone(),
            format!("t={stamp},v1={}", hex(tag.as_ref())),
        )])
    }
}
