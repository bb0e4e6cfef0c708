//! The three forms of an event on NATS: structured, binary, bare.

use serde_json::Value;
use serde_json::value::RawValue;

use super::contract::{IDENTITY_MAX, SEQUENCE_MAX};
use super::{Attributes, Incoming, Refusal, instant, json, undecodable};
use crate::domain::{Kind, Timestamp};

pub(super) fn read(message: &Incoming<'_>) -> Result<Attributes, Refusal> {
    let content_type = single(message, "content-type")?.map(str::to_ascii_lowercase);
    let media_type = content_type
        .as_deref()
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    match media_type {
        Some("application/cloudevents+json") => structured(message),
        Some(batch) if batch.starts_with("application/cloudevents-batch") => Err(undecodable(
            "batched CloudEvents are not accepted: publish one event per message",
        )),
        Some(other) if other.starts_with("application/cloudevents") => Err(undecodable(
            "of the structured forms only application/cloudevents+json is accepted",
        )),
        _ if message
            .headers
            .iter()
            .any(|(name, _)| name.to_ascii_lowercase().starts_with("ce-")) =>
        {
            binary(message, media_type)
        }
        _ => bare(message),
    }
}

/// The value of a header that must not come twice.
fn single<'a>(message: &Incoming<'a>, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = message
        .headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let first = values.next().map(|(_, value)| value.as_str());
    if values.next().is_some() {
        return Err(undecodable(format!("header {name} is there more than once")));
    }
    Ok(first)
}

/// A type that is none of ours is ignored, whatever its data looks like.
fn ours(name: &str) -> Result<(), Refusal> {
    match Kind::from_name(name) {
        None if !name.is_empty() => Err(Refusal::UnknownType(name.to_owned())),
        _ => Ok(()),
    }
}

fn structured(message: &Incoming<'_>) -> Result<Attributes, Refusal> {
    #[derive(serde::Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let mut document = json::parse(message.payload, "the event")?;
    let Some(event) = document.as_object_mut() else {
        return Err(undecodable("the event must be a JSON object"));
    };
    if let Some(Value::String(name)) = event.get("type") {
        ours(name)?;
    }
    if event.contains_key("data_base64") {
        return Err(undecodable("data_base64 is not accepted: data must be a JSON object"));
    }
    let value = event
        .remove("data")
        .ok_or_else(|| undecodable("attribute data is missing"))?;
    let raw: Data<'_> = serde_json::from_slice(message.payload)
        .map_err(|error| undecodable(format!("the event is not valid JSON: {error}")))?;
    // Each is asked for once.
    let attribute = |name: &str| match event.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) if name == "sequence" && !number.is_f64() => Ok(Some(number.to_string())),
        Some(_) => Err(undecodable(format!("attribute {name} must be a string"))),
    };
    let data = raw.data.map(|data| data.get().to_owned()).unwrap_or_default();
    from_attributes(attribute, data, value)
}

fn binary(message: &Incoming<'_>, media_type: Option<&str>) -> Result<Attributes, Refusal> {
    if let Some(name) = single(message, "ce-type")?.and_then(percent_decoded) {
        ours(&name)?;
    }
    if media_type.is_some_and(|name| name != "application/json" && !name.ends_with("+json")) {
        return Err(undecodable(
            "header content-type must be application/json: data must be JSON",
        ));
    }
    let value = json::parse(message.payload, "the payload")?;
    let data = String::from_utf8_lossy(message.payload).into_owned();
    let attribute = |name: &str| match single(message, &format!("ce-{name}"))? {
        None => Ok(None),
        Some(text) => percent_decoded(text)
            .map(Some)
            .ok_or_else(|| undecodable(format!("header ce-{name} is not percent-encoded UTF-8"))),
    };
    from_attributes(attribute, data, value)
}

fn bare(message: &Incoming<'_>) -> Result<Attributes, Refusal> {
    let kind: Vec<&str> = message.subject.split('.').take(2).collect();
    ours(&kind.join("."))?;
    let value = json::parse(message.payload, "the payload")?;
    let source = format!("nats://{}", message.stream);
    // The broker takes an empty message id for none.
    let id = single(message, "nats-msg-id")?.filter(|id| !id.is_empty()).map_or_else(
        || {
            format!(
                "{}:{}:{}",
                message.stream,
                message.sequence,
                message.published.unix_timestamp_nanos()
            )
        },
        str::to_owned,
    );
    Ok(Attributes {
        kind: kind.join("."),
        source,
        id: identity("the message id", id)?,
        time: None,
        sequence: String::new(),
        backfill: false,
        data: String::from_utf8_lossy(message.payload).into_owned(),
        value,
    })
}

fn from_attributes(
    mut attribute: impl FnMut(&str) -> Result<Option<String>, Refusal>,
    data: String,
    value: Value,
) -> Result<Attributes, Refusal> {
    let version = required(&mut attribute, "specversion")?;
    if version != "1.0" {
        return Err(undecodable("attribute specversion must be 1.0"));
    }
    if let Some(media_type) = attribute("datacontenttype")? {
        let media_type = media_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if media_type != "application/json" && !media_type.ends_with("+json") {
            return Err(undecodable("attribute datacontenttype must be application/json"));
        }
    }
    Ok(Attributes {
        kind: required(&mut attribute, "type")?,
        source: identity("attribute source", required(&mut attribute, "source")?)?,
        id: identity("attribute id", required(&mut attribute, "id")?)?,
        time: attribute("time")?.map(|text| time(&text)).transpose()?,
        sequence: sequence(attribute("sequence")?.unwrap_or_default())?,
        backfill: attribute("createdvia")?.as_deref() == Some("backfill"),
        data,
        value,
    })
}

fn required(
    attribute: &mut impl FnMut(&str) -> Result<Option<String>, Refusal>,
    name: &str,
) -> Result<String, Refusal> {
    attribute(name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| undecodable(format!("attribute {name} is missing or empty")))
}

fn time(text: &str) -> Result<Timestamp, Refusal> {
    instant::parse(text).map_err(|rule| undecodable(format!("attribute time: {rule}")))
}

fn identity(what: &str, text: String) -> Result<String, Refusal> {
    if text.len() > IDENTITY_MAX {
        return Err(undecodable(format!("{what} is longer than {IDENTITY_MAX} bytes")));
    }
    if text.contains('\0') {
        return Err(undecodable(format!("{what} contains U+0000")));
    }
    Ok(text)
}

fn sequence(text: String) -> Result<String, Refusal> {
    if text.len() > SEQUENCE_MAX {
        return Err(undecodable(format!(
            "attribute sequence is longer than {SEQUENCE_MAX} bytes"
        )));
    }
    if text.contains('\0') {
        return Err(undecodable("attribute sequence contains U+0000"));
    }
    Ok(text)
}

/// Decodes `%XX` once; anything else stands for itself.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|two| std::str::from_utf8(two).ok());
        let decoded = digits
            .filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        if let Some(byte) = decoded {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}
