//! Several durable consumers for one stream: one for each partition, and one for the rest, which goes on where the only
//! consumer was. Here are the only changes that are made to what exists, in an order in which every message always has
//! a consumer; a start that dies between two of them is finished by the next one.

use serde_json::{Value, json};

use super::difference::Difference;
use super::error::BrokerError;
use super::topology::{
    ConsumerSettings, Manage, StreamSettings, Transform, consumer_object, equal_or_mismatch, stream_object,
};
use super::unreadable::first_on;
use super::{Broker, NO_PARAMETERS};

/// What the consumer of the rest reads: subjects without a partition, plain ones and those stored before there were any.
pub const REST: [&str; 2] = ["user.*", "user.*.*"];
/// What a stream changes into subjects with a partition.
const SOURCE: &str = "user.*.*";
/// Every subject of more words than [`REST`] has.
const LONGER: &str = "user.*.*.>";
/// So many messages are looked at of which nobody knows whether they were divided: others may end a subject as they like.
const MOST_LOOKS: u32 = 1_000;
/// How often a stream is partitioned that others keep changing.
const MOST_ROUNDS: u32 = 20;

/// What the consumer of one partition reads.
pub fn filter_of(partition: u16) -> String {
    format!("user.*.{partition}.>")
}

/// How a stream with so many partitions changes subjects: the last word decides, by the server's hash.
pub fn transform_into(partitions: u16) -> Transform {
    Transform {
        source: SOURCE.to_owned(),
        destination: format!("user.{{{{wildcard(1)}}}}.{{{{partition({partitions},2)}}}}.{{{{wildcard(2)}}}}"),
    }
}

/// Whether a subject is one of those that a filter names.
pub(super) fn matches(filter: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    for pattern in filter.split('.') {
        match (pattern, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (pattern, Some(word)) if pattern == word => {}
            (_, Some(_) | None) => return false,
        }
    }
    words.next().is_none()
}

/// Whether a stream gave this subject its partition: what it divides ends with sixteen hexadecimal digits.
fn is_divided(subject: &str) -> bool {
    let last = subject.rsplit('.').next().unwrap_or_default();
    subject.split('.').count() == 4 && last.len() == 16 && last.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Into which parts a stream divides what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// It never has.
    NoneYet,
    /// Into another number.
    Others,
    /// Into those that it should.
    Wanted,
}

/// What has to be changed of what exists.
struct Changes {
    subjects: bool,
    parts: Parts,
    /// The consumer of the rest still reads everything.
    filters: bool,
    /// Behind this message there may be some that nobody would read.
    after: Option<u64>,
    /// The stream was divided before there was a consumer of ours: what it had taken until then cannot be given back.
    is_late: bool,
}

impl Broker {
    /// Makes stream and consumers where they are missing, and partitions a stream that had one consumer for everything or
    /// another number of partitions, all where that is allowed; then compares them. The first consumer is that of the rest.
    ///
    /// Errors: as of [`Broker::ensure_stream`] and [`Broker::ensure_consumer`]; [`BrokerError::Mismatch`], before anything
    /// is changed, also where messages would be without a consumer.
    pub async fn ensure_partitioned(
        &self,
        stream: &StreamSettings,
        consumers: &[ConsumerSettings],
        manage: Manage,
    ) -> Result<(), BrokerError> {
        let mut rounds = 0;
        loop {
            if manage == Manage::Create
                && let Some((rest, parts)) = consumers.split_first()
                && let Some(changes) = self.changes(stream, rest, parts).await?
            {
                self.partition(stream, rest, parts, &changes).await?;
            }
            rounds += 1;
            match self.ensure_stream(stream, manage).await {
                // A stream is written as a whole: others who begin at the same time put back what they had read before.
                Err(BrokerError::Mismatch { differences, .. })
                    if manage == Manage::Create
                        && rounds < MOST_ROUNDS
                        && differences.iter().all(|difference| difference.lacks_partitions) => {}
                ensured => break ensured?,
            }
        }
        for consumer in consumers {
            self.ensure_consumer(consumer, manage).await?;
        }
        Ok(())
    }

    /// What has to be changed; nothing where the stream is still to be made. Errors where something else differs, so that
    /// nothing is changed then.
    async fn changes(
        &self,
        stream: &StreamSettings,
        rest: &ConsumerSettings,
        parts: &[ConsumerSettings],
    ) -> Result<Option<Changes>, BrokerError> {
        let found = match self.stream_differences(stream).await {
            Err(BrokerError::StreamMissing { .. }) => return Ok(None),
            found => found?,
        };
        // Whatever else differs is somebody's own, for a purpose that we do not know.
        if !found.iter().all(|difference| difference.lacks_partitions) {
            return equal_or_mismatch(stream_object(stream), found).map(|()| None);
        }
        let of = |field: &str| found.iter().find(|difference| difference.field == field);
        let divided = match of("subject_transform") {
            None => Parts::Wanted,
            Some(difference) if difference.found == "none" => Parts::NoneYet,
            Some(_) => Parts::Others,
        };
        for part in parts {
            match self.consumer_differences(part).await {
                Err(BrokerError::ConsumerMissing { .. }) => {}
                found => equal_or_mismatch(consumer_object(part), found?)?,
            }
        }
        let filters = self.reads_everything(rest).await?;
        // A consumer that is made now reads from the start on, but only what its filters name.
        let (after, is_late) = match self.reader(&rest.stream, &rest.durable).await {
            Err(BrokerError::ConsumerMissing { .. }) => (Some(0), divided != Parts::NoneYet),
            reader => (filters.then_some(reader?.reached.acknowledged), false),
        };
        Ok(Some(Changes {
            subjects: of("subjects").is_some(),
            parts: divided,
            filters,
            after,
            is_late,
        }))
    }

    /// Whether the consumer of the rest still reads everything. Errors where it differs otherwise.
    async fn reads_everything(&self, rest: &ConsumerSettings) -> Result<bool, BrokerError> {
        let found = match self.consumer_differences(rest).await {
            Err(BrokerError::ConsumerMissing { .. }) => return Ok(false),
            found => found?,
        };
        match found.as_slice() {
            [only] if only.lacks_partitions => Ok(true),
            _ => equal_or_mismatch(consumer_object(rest), found).map(|()| false),
        }
    }

    /// Changes what has to be. A message is never without a consumer: first nothing may come in that no filter will name,
    /// then subjects change, and only then the consumer of the rest leaves the others their part.
    async fn partition(
        &self,
        stream: &StreamSettings,
        rest: &ConsumerSettings,
        parts: &[ConsumerSettings],
        changes: &Changes,
    ) -> Result<(), BrokerError> {
        self.nothing_longer_waits(stream, parts, changes).await?;
        if changes.subjects {
            let mut former = Value::Null;
            self.update_stream(stream, |config| {
                former = std::mem::replace(&mut config["subjects"], json!(stream.subjects));
            })
            .await?;
            if let Err(found) = self.nothing_longer_waits(stream, parts, changes).await {
                // It came in since the first look. As the stream is now nobody could begin, not without partitions either.
                self.update_stream(stream, |config| config["subjects"] = former).await?;
                return Err(found);
            }
        }
        if let Some(Transform { source, destination }) =
            stream.transform.as_ref().filter(|_| changes.parts != Parts::Wanted)
        {
            let transform = json!({ "src": source, "dest": destination });
            self.update_stream(stream, |config| config["subject_transform"] = transform)
                .await?;
            tracing::info!(stream = stream.name, destination, "stream partitioned");
        }
        if changes.filters {
            self.narrow(rest).await?;
            tracing::info!(
                stream = stream.name,
                consumer = rest.durable,
                "consumer reads what has no partition"
            );
        }
        Ok(())
    }

    /// Fails where a message on a subject of more words lies behind the one that is acknowledged, and no partition reads it:
    /// once the consumer of the rest is narrowed, nobody would. Where the stream divides already what it takes, the first
    /// one that it gave a partition ends the search: since then nothing else came in.
    async fn nothing_longer_waits(
        &self,
        stream: &StreamSettings,
        parts: &[ConsumerSettings],
        changes: &Changes,
    ) -> Result<(), BrokerError> {
        let Some(mut behind) = changes.after else { return Ok(()) };
        let mut looks = 0;
        let last = self.held(&stream.name).await?.last;
        while behind < last
            && let Some((sequence, subject)) = first_on(self, &stream.name, behind + 1, LONGER).await?
        {
            let mut filters = parts.iter().flat_map(|part| &part.filter_subjects);
            if !filters.any(|filter| matches(filter, &subject)) {
                if changes.is_late {
                    tracing::warn!(
                        stream = stream.name,
                        sequence,
                        subject,
                        "no partition reads this message, nor others like it: `rollcall replay` brings them in"
                    );
                    return Ok(());
                }
                return Err(BrokerError::Mismatch {
                    object: stream_object(stream),
                    differences: vec![Difference {
                        field: "messages",
                        wanted: "at most three words in the subjects of what waits".to_owned(),
                        found: format!("{subject} in message {sequence}"),
                        cost: "no partition would read it: work without partitions until it is applied",
                        lacks_partitions: false,
                    }],
                });
            }
            looks += 1;
            if changes.parts != Parts::NoneYet && (is_divided(&subject) || looks >= MOST_LOOKS) {
                break;
            }
            behind = sequence;
        }
        Ok(())
    }

    /// Changes single fields as the server has them, so that what this version does not know stays as it is.
    async fn update_stream(&self, stream: &StreamSettings, change: impl FnOnce(&mut Value)) -> Result<(), BrokerError> {
        let name = &stream.name;
        let doing = format!("changing stream {name}");
        let refused = |source| BrokerError::Api {
            doing: doing.clone(),
            source,
        };
        let mut info = self
            .api::<Value>(&doing, format!("STREAM.INFO.{name}"), &NO_PARAMETERS)
            .await?
            .map_err(refused)?;
        let before = info["config"].clone();
        change(&mut info["config"]);
        if info["config"] == before {
            return Ok(());
        }
        self.api::<Value>(&doing, format!("STREAM.UPDATE.{name}"), &info["config"])
            .await?
            .map_err(refused)?;
        Ok(())
    }

    /// The consumer keeps the place that it has reached.
    async fn narrow(&self, rest: &ConsumerSettings) -> Result<(), BrokerError> {
        let ConsumerSettings { stream, durable, .. } = rest;
        let doing = format!("changing consumer {durable} of stream {stream}");
        let refused = |source| BrokerError::Api {
            doing: doing.clone(),
            source,
        };
        let mut info = self
            .api::<Value>(&doing, format!("CONSUMER.INFO.{stream}.{durable}"), &NO_PARAMETERS)
            .await?
            .map_err(refused)?;
        let config = &mut info["config"];
        config["filter_subject"] = json!("");
        config["filter_subjects"] = json!(rest.filter_subjects);
        let request = json!({ "stream_name": stream, "config": config, "action": "update" });
        self.api::<Value>(&doing, format!("CONSUMER.CREATE.{stream}.{durable}"), &request)
            .await?
            .map_err(refused)?;
        Ok(())
    }
}

/// Whether subjects are changed as partitions change them, whatever their number.
pub(super) fn is_ours(shown: &str) -> bool {
    let pattern = transform_into(0).to_string();
    let Some((before, after)) = pattern.split_once('0') else {
        return false;
    };
    let number = shown.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.is_some_and(|number| number.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_what_the_server_would_give_them() {
        for (filter, subject, expected) in [
            ("user.created", "user.created", true),
            ("user.created", "user.deleted", false),
            ("user.*", "user.created", true),
            ("user.*", "user.created.x", false),
            ("user.*", "user", false),
            ("user.*.3.>", "user.created.3.cafe", true),
            ("user.*.3.>", "user.created.3.a.b", true),
            ("user.*.3.>", "user.created.3", false),
            ("user.*.3.>", "user.created.30.cafe", false),
            (">", "user.created", true),
        ] {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }

    #[test]
    fn no_subject_has_two_readers_and_only_long_ones_may_have_none() {
        let filters: Vec<String> = (0..8).map(filter_of).chain(REST.map(str::to_owned)).collect();
        for (subject, readers) in [
            ("user.created", 1),
            ("user.created.cafe", 1),
            ("user.created.7", 1),
            ("user.created.7.cafe", 1),
            ("user.created.8.cafe", 0),
            ("user.created.eu.cafe", 0),
        ] {
            let found = filters.iter().filter(|filter| matches(filter, subject)).count();
            assert_eq!(found, readers, "{subject}");
        }
    }

    #[test]
    fn what_a_stream_has_divided_ends_with_a_hash() {
        for (subject, divided) in [
            ("user.created.3.00ff00ff00ff00ff", true),
            ("user.created.3.x", false),
            ("user.created.00ff00ff00ff00ff", false),
            ("user.created.3.a.00ff00ff00ff00ff", false),
        ] {
            assert_eq!(is_divided(subject), divided, "{subject}");
        }
    }

    #[test]
    fn a_transform_of_ours_is_known_by_its_form() {
        assert!(is_ours(&transform_into(8).to_string()) && is_ours(&transform_into(64).to_string()));
        for other in [
            "none",
            "user.> → people.>",
            "user.*.* → user.{{wildcard(1)}}.{{partition(x,2)}}.{{wildcard(2)}}",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
