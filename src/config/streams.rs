//! `[consumer]`, `[worker]`, `[dead_letters]`, `[outbox]`, `[http]` and `[telemetry]`.

use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::check::Check;
use super::low::Interval;
use super::problem::At;
use super::{DeadLetters, Http, Outbox, Telemetry, Worker, low, names, partitions};

const YEAR: Duration = Duration::from_hours(24 * 365);
/// The shortest window and age that the server accepts.
const SHORTEST: Duration = Duration::from_millis(100);

/// `[consumer]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Name of the stream of events.
    pub stream: String,
    /// Its subjects, each below `user.`; never empty, no two overlap. With partitions none has more than three words.
    pub subjects: Vec<String>,
    /// With partitions, the subjects as they are configured, which the stream has had without; else empty.
    pub former_subjects: Vec<String>,
    /// Name of the durable consumer.
    pub durable: String,
    /// How long the broker waits for an acknowledgement; at least a second.
    pub ack_wait: Duration,
    /// How many deliveries may be unsettled; at least `batch_max`.
    pub max_ack_pending: i64,
    /// Into how many parts the users are divided, each with a consumer of its own; `None` for one consumer for all.
    pub partitions: Option<u16>,
    /// How long the stream recognises a message id; at least 100 ms.
    pub duplicate_window: Duration,
    /// How long the stream keeps a message; zero for ever.
    pub max_age: Duration,
    /// How many bytes the stream keeps; -1 for no limit.
    pub max_bytes: i64,
    /// Largest message that the stream takes, in bytes with headers; -1 for the server's limit.
    pub max_msg_size: i32,
}

/// Checks `[worker]`.
pub(super) fn worker(check: &mut Check<'_>, low: low::Worker) -> Worker {
    let at = |key| At::new("worker", key);
    for key in &low.protected {
        check.text(at("protected"), key, 1..=255);
    }
    Worker {
        lanes: check.number(at("lanes"), low.lanes, 1..=64),
        batch_max: check.number(at("batch_max"), low.batch_max, 1..=10_000),
        linger: check.duration(at("linger"), low.linger, Duration::ZERO..=Duration::from_secs(10)),
        max_attempts: check.number(at("max_attempts"), low.max_attempts, 1..=20),
        kill_switch: check.share(at("kill_switch"), low.kill_switch),
        grace: check.duration(at("grace"), low.grace, Duration::from_secs(1)..=Duration::from_hours(1)),
        max_future: check.duration(at("max_future"), low.max_future, Duration::ZERO..=YEAR),
        max_component_events: check.number(at("max_component_events"), low.max_component_events, 1..=10_000_000),
        max_rows_per_step: check.number(at("max_rows_per_step"), low.max_rows_per_step, 0..=100_000_000_u64),
        ignored_columns: low.ignored_columns,
        protected: low.protected,
        user_id_is_email: low.user_id_is_email,
        on_delete: low.on_delete,
    }
}

/// Checks `[consumer]`, which has to hold a batch of `batch_max` events.
pub(super) fn consumer(check: &mut Check<'_>, low: low::Consumer, batch_max: usize) -> Consumer {
    let at = |key| At::new("consumer", key);
    name(check, at("stream"), &low.stream);
    name(check, at("durable"), &low.durable);
    subjects(check, at("subjects"), &low.subjects);
    let max_ack_pending = check.number(at("max_ack_pending"), low.max_ack_pending, 1..=1_000_000);
    if max_ack_pending < batch_max as i64 {
        let remedy = format!("give at least {batch_max}, better twice that for each lane");
        check.report(
            at("max_ack_pending"),
            "is less than \"batch_max\" in [worker]: no batch could fill",
            remedy,
        );
    }
    let partitions = partitions::partitions(check, &low);
    let max_age = age(check, at("max_age"), low.max_age);
    let window = check.duration(at("duplicate_window"), low.duplicate_window, SHORTEST..=YEAR);
    if !max_age.is_zero() && window > max_age {
        check.report(
            at("duplicate_window"),
            "is longer than \"max_age\"",
            "give a shorter one: the server refuses this",
        );
    }
    let (subjects, former_subjects) = match partitions {
        None => (low.subjects, Vec::new()),
        Some(_) => (partitions::subjects(check, &low.subjects), low.subjects),
    };
    Consumer {
        ack_wait: check.duration(
            at("ack_wait"),
            low.ack_wait,
            Duration::from_secs(1)..=Duration::from_hours(1),
        ),
        max_bytes: check.limit(at("max_bytes"), low.max_bytes, i64::MAX),
        max_msg_size: check.limit(at("max_msg_size"), low.max_msg_size, i32::MAX),
        stream: low.stream,
        subjects,
        former_subjects,
        durable: low.durable,
        max_ack_pending,
        partitions,
        duplicate_window: window,
        max_age,
    }
}

/// Checks `[dead_letters]`, which must not flow back into the consumer.
pub(super) fn dead_letters(check: &mut Check<'_>, low: low::DeadLetters, consumer: &Consumer) -> DeadLetters {
    let at = |key| At::new("dead_letters", key);
    name(check, at("stream"), &low.stream);
    if low.stream == consumer.stream {
        check.report(at("stream"), "is the stream of [consumer] too", "give it another name");
    }
    let prefix = low.subject_prefix.as_str();
    if !names::is_plain_subject(prefix) {
        let remedy = "give a subject without wildcards and blanks, such as \"dead\"";
        check.report(at("subject_prefix"), format_args!("is {prefix:?}"), remedy);
    } else if matches!(prefix.split('.').next(), Some("user" | "_INBOX")) {
        let remedy = "give another first word, such as \"dead\": a dead letter must never look like an event";
        check.report(at("subject_prefix"), format_args!("is {prefix:?}"), remedy);
    }
    DeadLetters {
        max_age: age(check, at("max_age"), low.max_age),
        max_bytes: check.limit(at("max_bytes"), low.max_bytes, i64::MAX),
        stream: low.stream,
        subject_prefix: low.subject_prefix,
    }
}

/// Checks `[outbox]`, whose stream is none of the `others`.
pub(super) fn outbox(check: &mut Check<'_>, low: low::Outbox, others: [&String; 2]) -> Outbox {
    let at = |key| At::new("outbox", key);
    name(check, at("stream"), &low.stream);
    if others.contains(&&low.stream) {
        let remedy = "give it another name than those of [consumer] and [dead_letters]";
        check.report(at("stream"), "is the stream of another section too", remedy);
    }
    check.text(at("source"), &low.source, 1..=255);
    Outbox {
        events: low.events,
        max_age: age(check, at("max_age"), low.max_age),
        max_bytes: check.limit(at("max_bytes"), low.max_bytes, i64::MAX),
        source: low.source,
        stream: low.stream,
        poll: check.duration(
            at("poll"),
            low.poll,
            Duration::from_millis(10)..=Duration::from_hours(1),
        ),
        batch: check.number(at("batch"), low.batch, 1..=10_000),
    }
}

/// Checks `[http]`, which has an address for so many endpoints.
pub(super) fn http(check: &mut Check<'_>, low: &low::Http, endpoints: usize) -> Http {
    let at = |key| At::new("http", key);
    for text in &low.trusted_proxies {
        if text.parse::<std::net::IpAddr>().is_err() {
            let remedy = "give addresses without a port, such as \"10.0.0.7\"";
            check.report(at("trusted_proxies"), format_args!("contains {text:?}"), remedy);
        }
    }
    if low.ingress_listen.is_some() && endpoints == 0 {
        let remedy = "add an [[ingress]], or leave it out";
        check.report(
            at("ingress_listen"),
            "is for webhooks, and no endpoint is configured",
            remedy,
        );
    }
    Http {
        listen: address(check, at("listen"), low.listen.as_deref()),
        ingress_listen: address(check, at("ingress_listen"), low.ingress_listen.as_deref()),
        ingress_connections: check.number(at("ingress_connections"), low.ingress_connections, 1..=100_000),
        trusted_proxies: low
            .trusted_proxies
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
    }
}

fn address(check: &mut Check<'_>, at: At, text: Option<&str>) -> Option<std::net::SocketAddr> {
    let text = text?;
    let address = text.parse().ok();
    if address.is_none() {
        let remedy = "give an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";
        check.report(at, format_args!("is {text:?}"), remedy);
    }
    address
}

/// A filter of what is logged. Values in it are texts and no regular expressions: a filter of 300 bytes can take nine minutes
/// and 700 MB before it is ready.
///
/// # Errors
/// The text is no filter.
pub fn log_filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().with_regex(false).parse(text)
}

/// Checks `[telemetry]`.
pub(super) fn telemetry(check: &mut Check<'_>, low: low::Telemetry) -> Telemetry {
    if low.log.trim().is_empty() || log_filter(&low.log).is_err() {
        let remedy = "give a level, or targets with levels, such as \"info\" or \"warn,rollcall=debug\"";
        check.report(At::new("telemetry", "log"), format_args!("is {:?}", low.log), remedy);
    }
    Telemetry {
        log: low.log,
        format: low.format,
    }
}

fn name(check: &mut Check<'_>, at: At, name: &str) {
    if !names::is_stream_name(name) {
        let remedy = "give 1 to 255 characters without blanks and without . * > / \\";
        check.report(at, format_args!("is {name:?}"), remedy);
    }
}

fn age(check: &mut Check<'_>, at: At, age: Interval) -> Duration {
    if age.0.is_zero() {
        age.0
    } else {
        check.duration(at, age, SHORTEST..=100 * YEAR)
    }
}

fn subjects(check: &mut Check<'_>, at: At, subjects: &[String]) {
    if subjects.is_empty() {
        check.report(at, "is empty", "give at least one, such as \"user.>\"");
    }
    for (index, subject) in subjects.iter().enumerate() {
        if !names::is_subject(subject) || !subject.starts_with("user.") {
            let remedy = "give subjects below \"user.\", with * for one word and > for the rest, such as \"user.>\"";
            check.report(at, format_args!("contains {subject:?}"), remedy);
        }
        if let Some(other) = subjects[..index].iter().find(|other| names::overlap(other, subject)) {
            let remedy = "leave one of them out: the server refuses this";
            check.report(
                at,
                format_args!("contains {other:?} and {subject:?}, which overlap"),
                remedy,
            );
        }
    }
}
