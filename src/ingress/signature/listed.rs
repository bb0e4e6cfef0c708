//! Signatures of which a header lists several: how many are looked at, and what that costs.

use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::Rejection;

/// Most signatures of one request. Senders write one for each of two keys; whoever writes more has something else in mind.
const SIGNATURES: usize = 16;

/// The signatures of a header, if there are not too many to look at.
pub(super) fn few<T>(signatures: Vec<T>) -> Result<Vec<T>, Rejection> {
    if signatures.len() > SIGNATURES {
        return Err(Rejection::Malformed(format!(
            "there are more than {SIGNATURES} signatures"
        )));
    }
    Ok(signatures)
}

/// Whether one of the signatures is that of one of the keys over the parts, one after the other. Each key signs once,
/// however many signatures a stranger lists: the content is long, and a signature is not.
pub(super) fn signed_by<'k>(
    mut keys: impl Iterator<Item = &'k hmac::Key>,
    parts: &[&[u8]],
    signatures: &[Vec<u8>],
) -> bool {
    !signatures.is_empty()
        && keys.any(|key| {
            let mut context = hmac::Context::with_key(key);
            for part in parts {
                context.update(part);
            }
            let tag = context.sign();
            signatures
                .iter()
                .any(|signature| bool::from(tag.as_ref().ct_eq(signature)))
        })
}
