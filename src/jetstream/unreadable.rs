//! Messages that the client library cannot take: it drops the connection at a header that is not as it
//! expects (bytes that are not UTF-8, a line without colon), and panics at a carriage return in a value.
//!
//! Left alone, one such message stops the consumer for ever, as it comes again after every `ack_wait`.
//! They are therefore looked for after every lost connection, read through the API (which wraps
//! messages in JSON) and handed out as deliveries with a defect.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_nats::jetstream::consumer::Info as ConsumerInfo;
use async_nats::jetstream::{ErrorCode, message};
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Semaphore;

use super::Broker;
use super::delivery::{Acker, Delivery, header_list};
use super::error::BrokerError;
use super::reader::StoredMessage;

/// At least so many messages above the acknowledged ones are looked at. Stuck messages hold that floor
/// down, so that one of them is always near it.
const LEAST_SEARCHED: u64 = 1000;
/// Each message is a question of its own. A worker that died may leave thousands to be looked at before the next one can
/// begin, so they are asked for in parts, several parts at a time.
const PART: usize = 64;
const PARTS_AT_A_TIME: usize = 16;

#[derive(Deserialize)]
struct Answer {
    message: RawMessage,
}

/// As the API has it: header and payload in base64.
#[derive(Deserialize)]
struct RawMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

/// Finds the messages in hand somewhere that no client of this kind could have received.
/// Each one found takes a permit, which is returned when it is settled or dropped.
pub(super) async fn search(
    broker: &Broker,
    stream: &str,
    durable: &str,
    permits: &Arc<Semaphore>,
) -> Result<Vec<Delivery>, BrokerError> {
    let info = broker.consumer_info(stream, durable).await?;
    let mut found = Vec::new();
    if info.num_ack_pending == 0 {
        return Ok(found);
    }
    // Each filter has a search of its own: what lies between its messages belongs to others, and there may be any number.
    for filter in wanted(&info) {
        for (message, defect) in search_filter(broker, stream, &info, &filter).await? {
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                return Ok(found);
            };
            let sequence = message.seq;
            tracing::warn!(stream, sequence, defect, "read a message around the client");
            let reply = ack_subject(stream, durable, &message);
            let inner = message::Acker::new(broker.link.live().context, Some(reply.into()));
            let acker = Acker::holding(inner, sequence, permit);
            found.push(delivery(stream, message, defect, acker));
        }
    }
    Ok(found)
}

/// Those of one filter that the client could not have received, and why.
async fn search_filter(
    broker: &Broker,
    stream: &str,
    info: &ConsumerInfo,
    filter: &str,
) -> Result<Vec<(RawMessage, &'static str)>, BrokerError> {
    let mut found = Vec::new();
    let limit = u64::try_from(info.config.max_ack_pending)
        .unwrap_or(0)
        .max(LEAST_SEARCHED);
    // Where other subjects share the stream, the first message of ours can be far above the floor.
    let floor = info.ack_floor.stream_sequence;
    let Some(first) = stored(broker, stream, floor + 1, filter).await? else {
        return Ok(found);
    };
    let last = info.delivered.stream_sequence.min(first.seq + limit);
    let parts = (first.seq..=last).step_by(PART);
    let searches = parts.map(|begin| search_part(broker, stream, filter, begin..=last.min(begin + PART as u64 - 1)));
    let mut parts = futures_util::stream::iter(searches).buffered(PARTS_AT_A_TIME);
    while let Some(part) = parts.next().await {
        found.extend(part?);
    }
    Ok(found)
}

/// Those of a part that the client could not have received, and why.
async fn search_part(
    broker: &Broker,
    stream: &str,
    filter: &str,
    part: RangeInclusive<u64>,
) -> Result<Vec<(RawMessage, &'static str)>, BrokerError> {
    let mut found = Vec::new();
    let mut next = *part.start();
    while part.contains(&next) {
        let message = stored(broker, stream, next, filter).await?;
        let Some(message) = message.filter(|message| part.contains(&message.seq)) else {
            break;
        };
        next = message.seq + 1;
        if let Err(defect) = as_received(&header(&message)) {
            found.push((message, defect));
        }
    }
    Ok(found)
}

fn header(message: &RawMessage) -> Vec<u8> {
    base64(&message.hdrs).unwrap_or_default()
}

/// The first message at this sequence or after it, whether the client could have received it or not.
pub(super) async fn read_around(
    broker: &Broker,
    stream: &str,
    sequence: u64,
) -> Result<Option<StoredMessage>, BrokerError> {
    let Some(message) = stored(broker, stream, sequence, ">").await? else {
        return Ok(None);
    };
    let header = header(&message);
    let (headers, defect) = match as_received(&header) {
        Ok(headers) => (header_list(&headers), None),
        Err(defect) => {
            tracing::debug!(
                stream,
                sequence = message.seq,
                defect,
                "read a message around the client"
            );
            (legible(&header), Some(defect))
        }
    };
    Ok(Some(StoredMessage {
        headers,
        payload: base64(&message.data).unwrap_or_default().into(),
        sequence: message.seq,
        published: published(&message),
        subject: message.subject,
        defect,
    }))
}

/// The filters of a consumer; one for everything where it has none.
fn wanted(info: &ConsumerInfo) -> Vec<String> {
    let filters = super::filters(&info.config);
    if filters.is_empty() {
        vec![">".to_owned()]
    } else {
        filters
    }
}

/// Number and subject of the first message on such a subject at this sequence or after it.
pub(super) async fn first_on(
    broker: &Broker,
    stream: &str,
    sequence: u64,
    filter: &str,
) -> Result<Option<(u64, String)>, BrokerError> {
    let message = stored(broker, stream, sequence, filter).await?;
    Ok(message.map(|message| (message.seq, message.subject)))
}

/// The first message at this sequence or after it.
async fn stored(broker: &Broker, stream: &str, sequence: u64, filter: &str) -> Result<Option<RawMessage>, BrokerError> {
    let doing = format!("reading a message of stream {stream}");
    let request = json!({ "seq": sequence, "next_by_subj": filter });
    match broker
        .api::<Answer>(&doing, format!("STREAM.MSG.GET.{stream}"), &request)
        .await?
    {
        Ok(answer) => Ok(Some(answer.message)),
        Err(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
        Err(source) => Err(BrokerError::Api { doing, source }),
    }
}

/// What the server puts on a delivery. It looks up the stream sequence only; the rest is for our reading.
fn ack_subject(stream: &str, durable: &str, message: &RawMessage) -> String {
    let nanos = published(message).unix_timestamp_nanos();
    format!("$JS.ACK.{stream}.{durable}.1.{}.1.{nanos}.0", message.seq)
}

fn published(message: &RawMessage) -> OffsetDateTime {
    OffsetDateTime::parse(&message.time, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn delivery(stream: &str, message: RawMessage, defect: &'static str, acker: Acker) -> Delivery {
    Delivery {
        headers: legible(&header(&message)),
        payload: base64(&message.data).unwrap_or_default().into(),
        stream: stream.to_owned(),
        sequence: message.seq,
        published: published(&message),
        subject: message.subject,
        delivered: 1,
        pending: 0,
        defect: Some(defect),
        acker,
    }
}

/// The headers as the client would hand them out, or why it would fail at these bytes: the same steps as its parser's,
/// in the same order.
fn as_received(header: &[u8]) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    if header.is_empty() {
        return Ok(headers);
    }
    let text = std::str::from_utf8(header).map_err(|_| "a header is not valid UTF-8")?;
    let mut lines = text.lines().peekable();
    match lines.next().and_then(|line| line.strip_prefix("NATS/1.0")) {
        None => return Err("the headers do not begin with NATS/1.0"),
        Some(status) if !status.trim().is_empty() => return Err("the headers carry a status"),
        Some(_) => {}
    }
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or("a header has no colon")?;
        let name: HeaderName = name
            .parse()
            .map_err(|_| "a header name holds a character that is not visible ASCII")?;
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        let value: HeaderValue = value
            .trim_end()
            .parse()
            .map_err(|_| "a header value holds a carriage return")?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Whatever of the headers can be shown, for the dead letter.
fn legible(header: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(header);
    let mut map = HeaderMap::new();
    for (name, value) in text.lines().skip(1).filter_map(|line| line.split_once(':')) {
        let value = value.trim().replace(char::is_control, " ");
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            map.append(name, value);
        }
    }
    header_list(&map)
}

/// Standard base64 with padding, as Go writes it. None for anything else.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        match group.len() {
            4 => bytes.extend_from_slice(&bits.to_be_bytes()[1..]),
            3 => bytes.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
            2 => bytes.extend_from_slice(&(bits >> 4).to_be_bytes()[3..]),
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_go_writes() {
        let table = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmFy", "foobar"),
        ];
        for (text, bytes) in table {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64("+/+/").expect("valid"), [0xfb, 0xff, 0xbf]);
        for bad in ["A", "Zm9vY", "Zm-v", "Zm 9"] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn defects_are_those_the_client_fails_at() {
        let good: [&[u8]; 5] = [
            b"",
            b"NATS/1.0\r\n\r\n",
            b"NATS/1.0\r\nA: x\r\nA: y\r\n\r\n",
            b"NATS/1.0\r\nA: x\r\n more\r\n\r\n",
            "NATS/1.0\r\nA: gr\u{fc}n\r\n\r\n".as_bytes(),
        ];
        for header in good {
            assert!(as_received(header).is_ok(), "{}", String::from_utf8_lossy(header));
        }
        let bad: [&[u8]; 7] = [
            b"NATS/1.0\r\nA: \xff\r\n\r\n",
            b"NATS/1.0\r\nA: x\ry\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\nA b: x\r\n\r\n",
            b"NATS/1.0 503\r\nA: x\r\n\r\n",
            b"NATS/2.0\r\nA: x\r\n\r\n",
            b"\r\n",
        ];
        for header in bad {
            assert!(as_received(header).is_err(), "{}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn what_can_be_read_of_the_headers_is_shown() {
        let list = legible(b"NATS/1.0\r\nB: x\ry\r\nA: \xff\r\nnone\r\nB: z\r\n\r\n");
        let shown: Vec<_> = list
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(shown, [("A", "\u{fffd}"), ("B", "x y"), ("B", "z")]);
    }
}
