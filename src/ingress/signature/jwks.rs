//! Sets of public keys (RFC 7517). Each key is for one algorithm: a token cannot choose.

use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

use super::{Unusable, unbase64_url};

/// Public keys that tokens may be signed with.
#[derive(Debug, Clone)]
pub struct Jwks {
    keys: Vec<PublicKey>,
}

#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: &'static str,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Point(Vec<u8>),
}

#[derive(Deserialize)]
struct Listed {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    /// Reads a set; keys of other kinds and for other purposes are left out.
    ///
    /// # Errors
    /// It is no set, or no key of it can be used.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let set: Set = serde_json::from_str(text)
            .map_err(|_| Unusable("the public keys are no JSON Web Key Set: an object with \"keys\"".to_owned()))?;
        let listed = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<PublicKey> = listed.filter_map(|key| public(&key)).collect();
        if keys.is_empty() {
            return Err(Unusable(
                "no key of the set can be used: RS256, RS384, RS512, ES256, ES384 and EdDSA can".to_owned(),
            ));
        }
        Ok(Self { keys })
    }

    /// Whether a text looks like a set rather than like a secret.
    pub fn is_one(text: &str) -> bool {
        serde_json::from_str::<Set>(text).is_ok()
    }

    pub(super) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }
}

fn public(key: &Listed) -> Option<PublicKey> {
    if key.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let bytes = |text: &Option<String>| unbase64_url(text.as_deref()?);
    let point = |length: usize| {
        let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
        (x.len() == length && y.len() == length).then(|| Material::Point([vec![4], x, y].concat()))
    };
    let (algorithm, material) = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => {
            let algorithm = match key.alg.as_deref() {
                None | Some("RS256") => "RS256",
                Some("RS384") => "RS384",
                Some("RS512") => "RS512",
                Some(_) => return None,
            };
            let (n, e) = (bytes(&key.n)?, bytes(&key.e)?);
            (algorithm, Material::Rsa { n, e })
        }
        ("EC", Some("P-256")) => ("ES256", point(32)?),
        ("EC", Some("P-384")) => ("ES384", point(48)?),
        ("OKP", Some("Ed25519")) => ("EdDSA", Material::Point(bytes(&key.x)?)),
        _ => return None,
    };
    let agreed = key.alg.as_deref().is_none_or(|alg| alg == algorithm);
    agreed.then(|| PublicKey {
        id: key.kid.clone(),
        algorithm,
        material,
    })
}

impl PublicKey {
    pub(super) fn fits(&self, content: &[u8], signature: &[u8]) -> bool {
        let verified = match (&self.material, self.algorithm) {
            (Material::Rsa { n, e }, algorithm) => {
                let parameters = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, content, signature)
            }
            (Material::Point(point), "ES256") => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(content, signature)
            }
            (Material::Point(point), "ES384") => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(content, signature)
            }
            (Material::Point(point), _) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(content, signature)
            }
        };
        verified.is_ok()
    }
}
