//! The other side, for trying an endpoint out: what a sender with the first secret would put into its headers.

use super::{Keys, Unusable, Verifier};

/// Headers that vouch for a body.
pub type Signed = Vec<(String, String)>;

impl Verifier {
    /// Signs a body as a message with this id; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// Only the sender can sign, with a private key.
    pub fn sign(&self, id: &str, body: &[u8], now: i64) -> Result<Signed, Unusable> {
        let signed = match &self.keys {
            Keys::Standard(keys) => keys.sign(id, body, now),
            Keys::Digest(keys) => keys.sign(body),
            Keys::Stamped(keys) => keys.sign(body, now),
            Keys::Fixed(keys) => keys.sign(),
            Keys::Jws(keys) => keys.sign(body, now),
        };
        signed.ok_or_else(|| {
            Unusable(
                "only the sender can sign here: its key is private, and what is configured is the public one".into(),
            )
        })
    }
}
