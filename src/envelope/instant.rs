//! RFC 3339 instants in nanosecond precision.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::Timestamp;

/// The beginning of the year 0, which an offset can bring a timestamp before.
pub(super) const YEAR_ZERO: i64 = -62_167_219_200;

/// Reads an RFC 3339 timestamp; the offset is removed, what is finer than nanoseconds is cut off.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    // The library would quietly count a leap second as the end of the second before it.
    if text.get(17..19) == Some("60") {
        return Err("a leap second has no place in the order of events".to_owned());
    }
    // The library takes any character between date and time.
    let separated = matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    let upper = text.to_ascii_uppercase();
    let parsed = Some(upper)
        .filter(|_| separated)
        .and_then(|upper| OffsetDateTime::parse(&upper, &Rfc3339).ok())
        .ok_or_else(|| "must be an RFC 3339 timestamp such as 2026-01-31T09:00:00Z".to_owned())?;
    let instant = of(parsed);
    if instant.seconds < YEAR_ZERO {
        return Err("must not lie before the year 0".to_owned());
    }
    Ok(instant)
}

/// The instant of a point in time.
pub(super) fn of(time: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: time.unix_timestamp(),
        nanos: time.nanosecond(),
    }
}

/// Nanoseconds since 1970.
pub(super) fn nanos(time: Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}
