//! A message in the worker's hands, whether the broker delivered it or it waited in the table `retries`.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use memchr::memmem;
use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;

use crate::apply::Arrival;
use crate::domain::Kind;
use crate::envelope::{self, Envelope, Incoming, Intake, Refusal};
use crate::jetstream::{Acker, Delivery};
use crate::store::{Attempt, Parked};

/// The fields that say who an event is about and who that is from then on, as JSON has them.
const USER_ID: &[u8] = b"\"user_id\"";
const NEW_USER_ID: &[u8] = b"\"new_user_id\"";

/// What is known of a message, and what the decoder made of it once it was asked.
pub(super) struct Message {
    subject: String,
    headers: Vec<(String, String)>,
    payload: Bytes,
    stream: String,
    pub(super) sequence: u64,
    pub(super) published: OffsetDateTime,
    defect: Option<&'static str>,
    decoded: OnceLock<Result<Envelope, Refusal>>,
}

/// Which part of an event is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// A creation with its minimal fields.
    Reduced,
}

/// A delivery with the room it takes up.
pub(super) struct InHand {
    pub(super) message: Arc<Message>,
    pub(super) acker: Acker,
    /// Which delivery it is: beyond the first, it may have been in hand at a death.
    pub(super) delivered: i64,
    /// How many wait behind it.
    pub(super) pending: u64,
    pub(super) _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Message {
    /// Takes a delivery apart.
    pub(super) fn of(delivery: Delivery) -> (Self, Acker) {
        let message = Self {
            subject: delivery.subject,
            headers: delivery.headers,
            payload: delivery.payload,
            stream: delivery.stream,
            sequence: delivery.sequence,
            published: delivery.published,
            defect: delivery.defect,
            decoded: OnceLock::new(),
        };
        (message, delivery.acker)
    }

    /// An event that waited.
    pub(super) fn parked(parked: Parked) -> Self {
        Self {
            subject: parked.subject,
            headers: parked.headers,
            payload: parked.payload.into(),
            stream: parked.stream,
            sequence: parked.sequence,
            published: parked.published,
            defect: None,
            decoded: OnceLock::new(),
        }
    }

    /// What is stored of an event that has to wait.
    pub(super) fn to_park(&self, message_id: String, attempts: Vec<Attempt>, next_at: OffsetDateTime) -> Parked {
        Parked {
            message_id,
            stream: self.stream.clone(),
            sequence: self.sequence,
            published: self.published,
            subject: self.subject.clone(),
            headers: self.headers.clone(),
            payload: self.payload.to_vec(),
            kind: self.kind().map_or("unknown", Kind::name).to_owned(),
            attempts,
            next_at,
        }
    }

    /// As the decoder reads it.
    pub(super) fn incoming(&self) -> Incoming<'_> {
        Incoming {
            subject: &self.subject,
            headers: &self.headers,
            payload: &self.payload,
            stream: &self.stream,
            sequence: self.sequence,
            published: self.published,
        }
    }

    /// What the decoder makes of it; it is asked once.
    pub(super) fn decoded(&self, intake: &Intake) -> &Result<Envelope, Refusal> {
        self.decoded.get_or_init(|| match self.defect {
            Some(defect) => Err(Refusal::broken_headers(defect)),
            None => envelope::decode(&self.incoming(), intake),
        })
    }

    /// What is to be applied; nothing where there is no such form of it.
    pub(super) fn arrival(&self, intake: &Intake, form: Form) -> Option<Arrival<'_>> {
        let decoded = match (self.decoded(intake), form) {
            (decoded, Form::Whole) => Cow::Borrowed(decoded),
            (Ok(envelope), Form::Reduced) => Cow::Owned(Ok(envelope.reduced()?)),
            (Err(_), Form::Reduced) => return None,
        };
        Some(Arrival {
            message: self.incoming(),
            decoded,
        })
    }

    /// The type, where it was decoded.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.envelope().map(|envelope| envelope.event.body.kind())
    }

    /// The id of the user it seems to be about, as it is written there: a guess, before anything is decoded.
    pub(super) fn user(&self) -> Option<&[u8]> {
        self.value_of(USER_ID)
    }

    /// The same of the id that a renamed user has from then on.
    pub(super) fn new_user(&self) -> Option<&[u8]> {
        let is_rename = self.subject.starts_with(Kind::Renamed.name());
        is_rename.then(|| self.value_of(NEW_USER_ID))?
    }

    fn value_of(&self, field: &[u8]) -> Option<&[u8]> {
        let name = memmem::find(&self.payload, field)?;
        let mut rest = self.payload[name + field.len()..].trim_ascii_start();
        rest = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
        Some(&rest[..memchr::memchr(b'"', rest)?])
    }

    /// Source and id, where it was decoded.
    pub(super) fn identity(&self) -> Option<(&str, &str)> {
        self.envelope()
            .map(|envelope| (envelope.event.source.as_str(), envelope.id.as_str()))
    }

    fn envelope(&self) -> Option<&Envelope> {
        self.decoded.get().and_then(|decoded| decoded.as_ref().ok())
    }

    /// Payload and headers in memory, in KiB, at least one.
    pub(super) fn kib(delivery: &Delivery) -> usize {
        delivery.payload.len() / 1024 + 1
    }
}
