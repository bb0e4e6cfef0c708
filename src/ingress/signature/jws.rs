//! Tokens (RFC 7515) that vouch for a body, or that are one (RFC 8417). The algorithm is the key's, never the token's:
//! `none` does not exist, and a public key is never taken for the secret of an HMAC.

use std::borrow::Cow;

use ring::hmac;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::jwks::PublicKey;
use super::{Credentials, Encoding, Received, Rejection, Unusable, Verified, unbase64_url};

/// How far ahead a token may be issued, in seconds.
const AHEAD: i64 = 300;

#[derive(Clone)]
pub(super) struct Jws {
    place: Place,
    secrets: Vec<hmac::Key>,
    public: Vec<PublicKey>,
    issuer: Option<String>,
    audience: Option<String>,
}

#[derive(Clone)]
enum Place {
    /// In a header, with a claim that holds the hash of the body.
    Header {
        name: String,
        claim: String,
        encoding: Encoding,
    },
    /// The body itself, of this type.
    Body { typ: Option<String> },
}

impl Jws {
    fn new<'s>(place: Place, secrets: impl Iterator<Item = &'s str>, credentials: &Credentials) -> Self {
        let secrets = secrets.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        let public = credentials.jwks.as_ref().map(|set| set.keys().to_vec());
        Self {
            place,
            secrets: secrets.collect(),
            public: public.unwrap_or_default(),
            issuer: credentials.issuer.clone(),
            audience: credentials.audience.clone(),
        }
    }

    pub(super) fn over_body<'s>(
        secrets: impl Iterator<Item = &'s str>,
        credentials: &Credentials,
        header: &str,
        claim: &str,
        encoding: Encoding,
    ) -> Self {
        let place = Place::Header {
            name: header.to_owned(),
            claim: claim.to_owned(),
            encoding,
        };
        Self::new(place, secrets, credentials)
    }

    pub(super) fn as_body<'s>(
        secrets: impl Iterator<Item = &'s str>,
        credentials: &Credentials,
        typ: Option<&str>,
    ) -> Result<Self, Unusable> {
        if credentials.issuer.is_none() || credentials.audience.is_none() {
            return Err(Unusable(
                "security event tokens need issuer and audience: any other token of this issuer would be taken for one"
                    .to_owned(),
            ));
        }
        let typ = typ.map(str::to_owned);
        Ok(Self::new(Place::Body { typ }, secrets, credentials))
    }

    pub(super) fn verify<'a>(&self, received: &Received<'a>, now: i64) -> Result<Verified<'a>, Rejection> {
        let now = now.div_euclid(1000);
        match &self.place {
            Place::Header { name, claim, encoding } => {
                let token = received.header(name)?.trim();
                let (_, claims) = self.opened(token.strip_prefix("Bearer ").unwrap_or(token), None)?;
                self.judge(&claims, now)?;
                let expected = claims[claim.as_str()].as_str().and_then(|text| encoding.decode(text));
                let found: [u8; 32] = Sha256::digest(received.body).into();
                let same = expected.is_some_and(|expected| bool::from(expected.ct_eq(&found)));
                if same {
                    Ok(Verified::body(received))
                } else {
                    Err(Rejection::Claim(
                        "with the hash of the body",
                        "is missing, or is that of another body",
                    ))
                }
            }
            Place::Body { typ } => {
                let token = std::str::from_utf8(received.body).map(str::trim);
                let token = token.map_err(|_| Rejection::Malformed("the body is no token".to_owned()))?;
                let (content, claims) = self.opened(token, typ.as_deref())?;
                self.judge(&claims, now)?;
                Ok(Verified {
                    content: Cow::Owned(content),
                    delivery: None,
                })
            }
        }
    }

    /// The claims of a token with a good signature, as bytes and as JSON.
    fn opened(&self, token: &str, typ: Option<&str>) -> Result<(Vec<u8>, Value), Rejection> {
        let malformed = || Rejection::Malformed("there is no token of three parts".to_owned());
        let parts: Vec<&str> = token.split('.').collect();
        let [head, claims, signature] = parts.as_slice() else {
            return Err(malformed());
        };
        let signed = &token[..head.len() + 1 + claims.len()];
        let signature = unbase64_url(signature).ok_or_else(malformed)?;
        let head = unbase64_url(head).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let head = head.filter(Value::is_object).ok_or_else(malformed)?;
        if head.get("crit").is_some() {
            return Err(Rejection::Token(
                "header has critical extensions, of which none is known",
            ));
        }
        let named = head["typ"].as_str().unwrap_or_default();
        if typ.is_some_and(|typ| !same_type(typ, named)) {
            return Err(Rejection::Token("type is not that of a security event"));
        }
        let algorithm = head["alg"].as_str().unwrap_or_default();
        self.signed(algorithm, head["kid"].as_str(), signed.as_bytes(), &signature)?;
        let bytes = unbase64_url(claims).ok_or_else(malformed)?;
        let claims = serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object);
        Ok((bytes, claims.ok_or_else(malformed)?))
    }

    fn signed(&self, algorithm: &str, id: Option<&str>, content: &[u8], signature: &[u8]) -> Result<(), Rejection> {
        let known = self.public.iter().any(|key| key.algorithm == algorithm);
        let symmetric = algorithm == "HS256" && !self.secrets.is_empty();
        if !known && !symmetric {
            return Err(Rejection::Token("algorithm is not that of a configured key"));
        }
        let named = |key: &&PublicKey| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        let mut candidates = self
            .public
            .iter()
            .filter(|key| key.algorithm == algorithm)
            .filter(named);
        let good = (symmetric
            && self
                .secrets
                .iter()
                .any(|key| hmac::verify(key, content, signature).is_ok()))
            || candidates.any(|key| key.fits(content, signature));
        if good { Ok(()) } else { Err(Rejection::WrongSignature) }
    }

    fn judge(&self, claims: &Value, now: i64) -> Result<(), Rejection> {
        let time = |name: &str| claims[name].as_f64().map(|seconds| seconds as i64);
        if claims.get("exp").is_some() && time("exp").is_none_or(|exp| exp <= now) {
            return Err(Rejection::Claim("exp", "says that the token has expired"));
        }
        if claims.get("nbf").is_some() && time("nbf").is_none_or(|nbf| nbf > now + AHEAD) {
            return Err(Rejection::Claim("nbf", "says that the token is not valid yet"));
        }
        if time("iat").is_some_and(|iat| iat > now + AHEAD) {
            return Err(Rejection::Claim("iat", "lies in the future"));
        }
        if self.issuer.is_some() && claims["iss"].as_str() != self.issuer.as_deref() {
            return Err(Rejection::Claim("iss", "names another issuer"));
        }
        let ours = |value: &Value| value.as_str() == self.audience.as_deref();
        let meant = match &claims["aud"] {
            Value::Array(list) => list.iter().any(ours),
            one => ours(one),
        };
        if self.audience.is_some() && !meant {
            return Err(Rejection::Claim("aud", "names another audience"));
        }
        Ok(())
    }

    /// Only with a secret; a private key is the sender's.
    pub(super) fn sign(&self, body: &[u8], now: i64) -> Option<Vec<(String, String)>> {
        let Place::Header { name, claim, encoding } = &self.place else {
            return None;
        };
        let encode = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        let mut claims = serde_json::json!({ claim.as_str(): encoding.encode(&Sha256::digest(body)) });
        if let (Some(issuer), Some(audience)) = (&self.issuer, &self.audience) {
            claims["iss"] = issuer.as_str().into();
            claims["aud"] = audience.as_str().into();
            claims["iat"] = now.div_euclid(1000).into();
        }
        let content = format!(
            "{}.{}",
            encode(br#"{"alg":"HS256","typ":"JWT"}"#),
            encode(claims.to_string().as_bytes())
        );
        let tag = hmac::sign(self.secrets.first()?, content.as_bytes());
        let bearer = if name.eq_ignore_ascii_case("authorization") {
            "Bearer "
        } else {
            ""
        };
        Some(vec![(
            name.clone(),
            format!("{bearer}{content}.{}", encode(tag.as_ref())),
        )])
    }
}

/// `application/` may be left out (RFC 7515, 4.1.9).
fn same_type(expected: &str, found: &str) -> bool {
    let found = found.to_ascii_lowercase();
    found.strip_prefix("application/").unwrap_or(&found) == expected
}
