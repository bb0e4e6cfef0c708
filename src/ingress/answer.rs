//! One request, in the order that costs an attacker most and us least: where to, how often, how long, from whom, and only
//! then what it says. A good one is answered when the stream has what it became.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use secrecy::SecretString;
use time::UtcOffset;

use super::endpoint::{Endpoint, EndpointSettings, IngressError};
use super::limit::Allowances;
use super::outgoing;
use super::provider::Provider;
use super::signature::{Credentials, Received};
use super::sink::{Away, Sink};
use super::tally::{Outcome, Tally};
use super::translation::{Letter, Translation};
use crate::clock;
use crate::envelope::Subjects;

/// What a path begins with.
const PREFIX: &str = "/webhooks/";
/// Longest value that a handshake is answered with.
const CHALLENGE_MAX: usize = 512;
/// Under which number requests to no endpoint are limited.
const NOBODY: usize = usize::MAX;

pub(super) type Answer = Response<Full<Bytes>>;

/// What requests are answered with.
pub(super) struct Desk {
    endpoints: Vec<Endpoint>,
    /// Takes the place of an endpoint that does not exist: the limits of the most generous one, and never a good signature.
    decoy: Endpoint,
    sink: Sink,
    allowances: Mutex<Allowances>,
    pub(super) tally: Tally,
    trusted: Vec<IpAddr>,
    dead_prefix: String,
    subjects: Subjects,
}

impl Desk {
    pub(super) fn new(
        endpoints: Vec<Endpoint>,
        sink: Sink,
        trusted: Vec<IpAddr>,
        dead_prefix: &str,
        subjects: Subjects,
    ) -> Result<Self, IngressError> {
        Ok(Self {
            decoy: decoy(&endpoints)?,
            endpoints,
            sink,
            allowances: Mutex::default(),
            tally: Tally::default(),
            trusted,
            dead_prefix: dead_prefix.to_owned(),
            subjects,
        })
    }

    /// Answers one request; `verified` is called as soon as it is known from whom it is.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        verified: impl FnOnce(),
    ) -> Answer {
        let Some(name) = request.uri().path().strip_prefix(PREFIX) else {
            return self.health(&request);
        };
        let found = self
            .endpoints
            .iter()
            .position(|endpoint| endpoint.settings.name == name);
        let (number, endpoint) = match found {
            Some(number) => (number, &self.endpoints[number]),
            None => (NOBODY, &self.decoy),
        };
        let settings = &endpoint.settings;
        let address = self.address(peer.ip(), request.headers());
        if !self.may(number, address, settings.rate) {
            return self.refuse(settings, Outcome::Limited);
        }
        if request.method() == Method::GET
            && let Some(answer) = handshake(settings, request.headers())
        {
            return answer;
        }
        if request.method() != Method::POST {
            return self.refuse(settings, Outcome::NotForUs);
        }
        let (head, body) = request.into_parts();
        let body = match collected(body, settings.body_max, settings.body_timeout).await {
            Ok(body) => body,
            Err(outcome) => return self.refuse(settings, outcome),
        };
        let headers = listed(&head.headers);
        let received = Received {
            headers: &headers,
            body: &body,
        };
        let now = (clock::now().unix_timestamp_nanos() / 1_000_000) as i64;
        match endpoint.judge(&received, now) {
            Ok(translation) => {
                verified();
                self.accept(settings, translation).await
            }
            Err(rejection) => {
                if self.tally.is_time_to_tell(&settings.name, clock::monotonic()) {
                    tracing::warn!(endpoint = settings.name, %rejection, "a request is refused; said once a minute");
                }
                self.refuse(settings, Outcome::Rejected)
            }
        }
    }

    async fn accept(&self, settings: &EndpointSettings, translation: Translation) -> Answer {
        let name = &settings.name;
        let Ok(letters) = self.hand_over(name, &translation).await else {
            return self.refuse(settings, Outcome::Unavailable);
        };
        for unknown in &translation.unknown {
            if self.tally.unknown(name, unknown) {
                tracing::info!(
                    endpoint = name,
                    event = unknown,
                    "an event that no rule is for; from now on only counted"
                );
            }
        }
        self.tally.with(name, |counts| {
            *counts.requests.entry(Outcome::Accepted).or_default() += 1;
            counts.events += translation.events.len() as u64;
            counts.ignored += translation.ignored as u64;
            counts.letters += letters;
        });
        status(StatusCode::from_u16(settings.provider.answer).unwrap_or(StatusCode::NO_CONTENT))
    }

    /// Events and letters into their streams; how many letters there are. What is too large for its stream becomes a
    /// letter, and a letter that is too large goes without its body: nothing that was verified is lost.
    async fn hand_over(&self, name: &str, translation: &Translation) -> Result<u64, Away> {
        let bury = |wrong: &[String], content: Vec<u8>| {
            outgoing::letter(&self.dead_prefix, name, wrong, content, clock::now())
        };
        let deadline = Sink::deadline();
        let events: Vec<_> = translation
            .events
            .iter()
            .map(|event| outgoing::event(event, self.subjects))
            .collect();
        let never = self.sink.publish(&events, deadline).await?;
        let wrong = ["the stream does not take it: it is too large".to_owned()];
        let refused = never
            .into_iter()
            .map(|number| bury(&wrong, events[number].payload.to_vec()));
        let malformed = translation.letter.as_ref().map(|letter| match letter {
            Letter::Body(body) => bury(&translation.malformed, body.clone()),
            Letter::Unread(body) => {
                let why = "it could not be read, and may hold what must not be forwarded";
                outgoing::reduced(bury(&translation.malformed, body.clone()), why)
            }
        });
        let letters: Vec<_> = refused.chain(malformed).collect();
        let never = self.sink.publish(&letters, deadline).await?;
        let reduced = never
            .into_iter()
            .map(|number| outgoing::reduced(letters[number].clone(), "it is too large"));
        let never = self.sink.publish(&reduced.collect::<Vec<_>>(), deadline).await?;
        if never.is_empty() {
            Ok(letters.len() as u64)
        } else {
            Err(Away)
        }
    }

    /// What is not a success never says why.
    fn refuse(&self, settings: &EndpointSettings, outcome: Outcome) -> Answer {
        self.tally.count(&settings.name, outcome);
        match outcome {
            Outcome::Accepted => status(StatusCode::NO_CONTENT),
            Outcome::Rejected => status(StatusCode::UNAUTHORIZED),
            Outcome::NotForUs => status(StatusCode::METHOD_NOT_ALLOWED),
            Outcome::TooLarge => closing(status(StatusCode::PAYLOAD_TOO_LARGE)),
            Outcome::TooSlow => closing(status(StatusCode::REQUEST_TIMEOUT)),
            // Never 4xx: for half of the providers that means "never again", and the event would be lost.
            Outcome::Limited | Outcome::Unavailable => {
                let mut answer = status(StatusCode::SERVICE_UNAVAILABLE);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
        }
    }

    fn may(&self, number: usize, address: IpAddr, rate: u32) -> bool {
        let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
        allowances.take(number, address, rate, clock::monotonic())
    }

    /// Who asks: a proxy that is trusted says for whom it speaks, the last one first.
    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusted.contains(&peer.to_canonical()) {
            return peer;
        }
        let chain: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let mut named = chain.iter().rev().map_while(|text| text.trim().parse::<IpAddr>().ok());
        named.find(|address| !self.trusted.contains(address)).unwrap_or(peer)
    }

    /// Enough for whoever starts and watches us; nothing here asks the broker.
    fn health(&self, request: &Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return status(StatusCode::NOT_FOUND);
        }
        match request.uri().path() {
            "/healthz" => status(StatusCode::OK),
            "/readyz" if self.sink.is_open() => status(StatusCode::OK),
            "/readyz" => status(StatusCode::SERVICE_UNAVAILABLE),
            _ => status(StatusCode::NOT_FOUND),
        }
    }
}

fn decoy(endpoints: &[Endpoint]) -> Result<Endpoint, IngressError> {
    let settings = || endpoints.iter().map(|endpoint| &endpoint.settings);
    let secret = format!("whsec_{}", clock::new_row_id().simple());
    let provider = Provider::embedded("standard-webhooks").map_err(|source| IngressError::Provider {
        endpoint: String::new(),
        source,
    })?;
    Endpoint::new(EndpointSettings {
        name: String::new(),
        provider,
        credentials: Credentials {
            secrets: vec![SecretString::from(secret)],
            ..Credentials::default()
        },
        offset: UtcOffset::UTC,
        source: None,
        body_max: settings().map(|endpoint| endpoint.body_max).max().unwrap_or_default(),
        body_timeout: settings()
            .map(|endpoint| endpoint.body_timeout)
            .max()
            .unwrap_or_default(),
        rate: settings().map(|endpoint| endpoint.rate).max().unwrap_or_default(),
    })
}

/// The body, as long as it may be and within its time.
async fn collected(body: Incoming, most: usize, time: Duration) -> Result<Bytes, Outcome> {
    if body.size_hint().lower() > most as u64 {
        return Err(Outcome::TooLarge);
    }
    match tokio::time::timeout(time, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Outcome::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Outcome::TooSlow),
    }
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), Cow::into_owned(value))
    };
    headers.iter().map(text).collect()
}

/// Some providers ask once whether anybody is there who can read a header.
fn handshake(settings: &EndpointSettings, headers: &HeaderMap) -> Option<Answer> {
    let handshake = settings.provider.handshake.as_ref()?;
    let value = headers.get(handshake.header.as_str())?.to_str().ok()?;
    if value.len() > CHALLENGE_MAX {
        return None;
    }
    let body = serde_json::json!({ handshake.member.as_str(): value }).to_string();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(answer)
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// What is left of the body is not waited for.
fn closing(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
