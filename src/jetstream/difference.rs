//! The comparison of what is configured with what the broker has: pure, field by field.
//!
//! Every field that a promise rests on is listed here with what a difference costs. Fields that only
//! concern operations (description, metadata, replicas, placement) may differ.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Config as ConsumerConfig, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType, SubjectTransform,
};

use super::partitions::{REST, is_ours};
use super::topology::{ConsumerSettings, Removal, StreamSettings, Transform, WhenFull};

/// One field in which the broker differs from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The broker's name of the field, as `nats stream info --json` shows it.
    pub field: &'static str,
    /// The value the configuration asks for.
    pub wanted: String,
    /// The value the broker has.
    pub found: String,
    /// What goes wrong if it stays so.
    pub cost: &'static str,
    /// Whether it is only that the stream is not partitioned yet, or into another number: what a worker changes that may.
    /// Somebody's own subjects, transform or filters never are.
    pub lacks_partitions: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            wanted,
            found,
            cost,
            ..
        } = self;
        write!(f, "{field}: wanted {wanted}, found {found} ({cost})")
    }
}

/// What a stream of these settings looks like to the broker.
pub(super) fn stream_config(settings: &StreamSettings) -> StreamConfig {
    let denied = settings.removal == Removal::Denied;
    StreamConfig {
        name: settings.name.clone(),
        subjects: settings.subjects.clone(),
        description: Some(settings.description.clone()).filter(|text| !text.is_empty()),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: discard_policy(settings.when_full),
        max_age: settings.max_age,
        max_bytes: unlimited(settings.max_bytes),
        max_message_size: i32::try_from(unlimited(i64::from(settings.max_msg_size))).unwrap_or(-1),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        num_replicas: 1,
        duplicate_window: settings.duplicate_window,
        deny_delete: denied,
        deny_purge: denied,
        subject_transform: settings.transform.as_ref().map(|transform| SubjectTransform {
            source: transform.source.clone(),
            destination: transform.destination.clone(),
        }),
        ..StreamConfig::default()
    }
}

/// What a consumer of these settings looks like to the broker.
pub(super) fn consumer_config(settings: &ConsumerSettings) -> async_nats::jetstream::consumer::pull::Config {
    // A single filter goes into the old field: its subject then stands in the API call and can be permitted by it.
    let (filter_subject, filter_subjects) = match settings.filter_subjects.as_slice() {
        [one] => (one.clone(), Vec::new()),
        many => (String::new(), many.to_vec()),
    };
    async_nats::jetstream::consumer::pull::Config {
        durable_name: Some(settings.durable.clone()),
        name: Some(settings.durable.clone()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_deliver: -1,
        filter_subject,
        filter_subjects,
        replay_policy: ReplayPolicy::Instant,
        max_ack_pending: settings.max_ack_pending,
        ..Default::default()
    }
}

/// Compares a stream with its settings; empty where nothing matters.
pub(super) fn stream_differences(settings: &StreamSettings, found: &StreamConfig) -> Vec<Difference> {
    let wanted = stream_config(settings);
    let mut list = Differences::default();
    list.compare("subjects", set(&wanted.subjects), set(&found.subjects));
    list.compare("retention", Word(wanted.retention), Word(found.retention));
    list.compare("storage", Word(wanted.storage), Word(found.storage));
    list.compare("discard", Word(wanted.discard), Word(found.discard));
    list.compare("max_age", Age(wanted.max_age), Age(found.max_age));
    list.compare("max_bytes", wanted.max_bytes, unlimited(found.max_bytes));
    list.compare("max_msgs", -1, unlimited(found.max_messages));
    list.compare("max_msgs_per_subject", -1, unlimited(found.max_messages_per_subject));
    list.compare(
        "max_msg_size",
        wanted.max_message_size,
        i32_unlimited(found.max_message_size),
    );
    list.compare(
        "duplicate_window",
        Span(wanted.duplicate_window),
        Span(found.duplicate_window),
    );
    list.compare("deny_delete", wanted.deny_delete, found.deny_delete);
    list.compare("deny_purge", wanted.deny_purge, found.deny_purge);
    list.compare("no_ack", false, found.no_ack);
    list.compare("sealed", false, found.sealed);
    list.compare("mirror", "none", present(found.mirror.is_some()));
    list.compare("subject_transform", transform(&wanted), transform(found));
    list.compare("persist_mode", "default", persist_mode(found));
    let former = set(&settings.former_subjects).to_string();
    let lacks_partitions = |field, found: &str| match (field, &settings.transform) {
        ("subjects", Some(_)) => found == former,
        ("subject_transform", Some(_)) => found == "none" || is_ours(found),
        _ => false,
    };
    list.judged(|field| stream_cost(settings, field), lacks_partitions)
}

/// Compares a consumer with its settings; empty where nothing matters.
pub(super) fn consumer_differences(settings: &ConsumerSettings, found: &ConsumerConfig) -> Vec<Difference> {
    let mut list = Differences::default();
    let found_filters: BTreeSet<&str> = found
        .filter_subjects
        .iter()
        .map(String::as_str)
        .chain(Some(found.filter_subject.as_str()))
        .filter(|filter| !filter.is_empty())
        .collect();
    list.compare(
        "deliver_subject",
        "none",
        found.deliver_subject.as_deref().unwrap_or("none"),
    );
    list.compare("ack_policy", Word(AckPolicy::Explicit), Word(found.ack_policy));
    list.compare("deliver_policy", Word(DeliverPolicy::All), Word(found.deliver_policy));
    list.compare("replay_policy", Word(ReplayPolicy::Instant), Word(found.replay_policy));
    list.compare("ack_wait", Span(settings.ack_wait), Span(found.ack_wait));
    list.compare("max_deliver", -1, unlimited(found.max_deliver));
    list.compare("filter_subjects", set(&settings.filter_subjects), Set(found_filters));
    list.compare("max_ack_pending", settings.max_ack_pending, found.max_ack_pending);
    list.compare("backoff", "none", present(!found.backoff.is_empty()));
    list.compare("headers_only", false, found.headers_only);
    list.compare("max_batch", 0, found.max_batch);
    list.compare("max_bytes", 0, found.max_bytes);
    list.compare("max_expires", Span(Duration::ZERO), Span(found.max_expires));
    list.compare("rate_limit_bps", 0, found.rate_limit);
    list.compare(
        "inactive_threshold",
        Span(Duration::ZERO),
        Span(found.inactive_threshold),
    );
    list.compare("mem_storage", false, found.memory_storage);
    list.compare("priority_groups", "none", present(!found.priority_groups.is_empty()));
    list.compare("pause_until", "none", present(found.pause_until.is_some()));
    let is_of_the_rest = settings.filter_subjects == REST;
    let lacks_partitions =
        |field, found: &str| is_of_the_rest && field == "filter_subjects" && matches!(found, "all subjects" | "user.>");
    list.judged(consumer_cost, lacks_partitions)
}

fn stream_cost(settings: &StreamSettings, field: &str) -> &'static str {
    match field {
        "subjects" => "events on other subjects are lost, or foreign ones come in",
        "retention" => "acknowledged messages are deleted: no replay, no audit, no second reader",
        "storage" => "a restart of the broker loses every event",
        "discard" => discard_cost(settings.when_full),
        "max_age" => "events are dropped earlier, or data is kept longer, than configured",
        "max_bytes" => "the stream fills up sooner, or the disk does",
        "max_msgs" => "the number of messages is limited: the stream fills up sooner",
        "max_msgs_per_subject" => "older events of the same type are dropped or refused",
        "max_msg_size" => "large events are refused, or ones that cannot be dead-lettered come in",
        "duplicate_window" => "repeated publishes are stored again, or ids are kept in memory longer",
        "deny_delete" | "deny_purge" => removal_cost(settings.removal),
        "no_ack" => "publishes are not acknowledged: events are lost unnoticed",
        "sealed" => "nothing can be published",
        "mirror" => "the stream only copies another one",
        "subject_transform" if settings.transform.is_some() => "events reach other partitions than are read, or none",
        "subject_transform" => {
            "events are stored under other subjects, so that their types are read wrongly; if partitions made it, set \
             them in [consumer]"
        }
        "persist_mode" => "acknowledged messages are not yet on disk",
        _ => "",
    }
}

fn consumer_cost(field: &str) -> &'static str {
    match field {
        "deliver_subject" => "it pushes; this worker pulls",
        "ack_policy" => "events count as done before they are committed",
        "deliver_policy" => "older events are never seen",
        "replay_policy" => "a backlog is delivered at its original pace",
        "ack_wait" => "events are delivered again while still in hand, or late after a crash",
        "max_deliver" => "events are silently skipped after that many deliveries",
        "filter_subjects" => "events are missed, or foreign ones come in",
        "max_ack_pending" => "throughput is throttled, or more is in flight than memory is meant for",
        "backoff" => "it replaces ack_wait: events are delivered again while still in hand",
        "headers_only" => "payloads are missing: every event is undecodable",
        "max_batch" | "max_bytes" => "pulls larger than this are refused",
        "max_expires" => "pulls that wait longer than this are refused",
        "rate_limit_bps" => "delivery is throttled",
        "inactive_threshold" => "the consumer vanishes while the worker is away, and with it the place it had reached",
        "mem_storage" => "a restart of the broker forgets what was acknowledged",
        "priority_groups" => "pulls without a group are refused",
        "pause_until" => "delivery is paused: `nats consumer resume` ends that",
        _ => "",
    }
}

#[derive(Default)]
struct Differences(Vec<(&'static str, String, String)>);

impl Differences {
    fn compare(&mut self, field: &'static str, wanted: impl fmt::Display, found: impl fmt::Display) {
        let (wanted, found) = (wanted.to_string(), found.to_string());
        if wanted != found {
            self.0.push((field, wanted, found));
        }
    }

    fn judged(
        self,
        cost: impl Fn(&'static str) -> &'static str,
        lacks_partitions: impl Fn(&'static str, &str) -> bool,
    ) -> Vec<Difference> {
        let judge = |(field, wanted, found): (&'static str, String, String)| Difference {
            cost: cost(field),
            lacks_partitions: lacks_partitions(field, &found),
            field,
            wanted,
            found,
        };
        self.0.into_iter().map(judge).collect()
    }
}

/// Zero and every negative number mean "no limit" to the broker, which answers -1.
fn unlimited(limit: i64) -> i64 {
    if limit <= 0 { -1 } else { limit }
}

fn i32_unlimited(limit: i32) -> i32 {
    if limit <= 0 { -1 } else { limit }
}

fn present(is_there: bool) -> &'static str {
    if is_there { "some" } else { "none" }
}

fn transform(config: &StreamConfig) -> String {
    let of = |transform: &SubjectTransform| Transform {
        source: transform.source.clone(),
        destination: transform.destination.clone(),
    };
    config
        .subject_transform
        .as_ref()
        .map_or_else(|| "none".to_owned(), |transform| of(transform).to_string())
}

fn persist_mode(found: &StreamConfig) -> String {
    found
        .persist_mode
        .map_or_else(|| "default".to_owned(), |mode| Word(mode).to_string())
}

fn discard_policy(when_full: WhenFull) -> DiscardPolicy {
    match when_full {
        WhenFull::RefuseNew => DiscardPolicy::New,
        WhenFull::DropOldest => DiscardPolicy::Old,
    }
}

fn discard_cost(when_full: WhenFull) -> &'static str {
    match when_full {
        WhenFull::RefuseNew => "a full stream silently drops its oldest events instead of refusing new ones",
        WhenFull::DropOldest => "a full stream refuses new messages instead of dropping the oldest",
    }
}

fn removal_cost(removal: Removal) -> &'static str {
    match removal {
        Removal::Allowed => "single messages cannot be removed once they are dealt with",
        Removal::Denied => "events can be removed before they are applied, and the audit shows a gap",
    }
}

struct Set<'a>(BTreeSet<&'a str>);

fn set(subjects: &[String]) -> Set<'_> {
    Set(subjects.iter().map(String::as_str).collect())
}

impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.0.iter().copied().collect();
        if all.is_empty() {
            f.write_str("all subjects")
        } else {
            f.write_str(&all.join(", "))
        }
    }
}

/// An enum of the client library by its lower-cased name.
struct Word<T>(T);

impl<T: fmt::Debug> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{:?}", self.0).to_lowercase())
    }
}

struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// An age of zero is no limit.
struct Age(Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            f.write_str("unlimited")
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}
