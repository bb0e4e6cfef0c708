//! What `[consumer] partitions` means for streams, consumers and subjects.

use crate::config::Config;
use crate::envelope::Subjects;
use crate::jetstream::{ConsumerSettings, REST, Transform, filter_of, transform_into};

/// How the stream of events changes subjects.
pub(super) fn transform(config: &Config) -> Option<Transform> {
    config.consumer.partitions.map(transform_into)
}

/// What the subjects of events say that we publish ourselves. Without partitions nobody needs to know whose they are, and
/// every subject costs the broker memory.
pub fn subjects(config: &Config) -> Subjects {
    match config.consumer.partitions {
        None => Subjects::ByType,
        Some(_) => Subjects::ByUser,
    }
}

/// The consumers of the workers: the one that reads everything, or with partitions the rest, then one for each partition.
/// The first keeps its name and its place whether there are partitions or not, and the others theirs whatever their number.
pub fn consumers(config: &Config) -> Vec<ConsumerSettings> {
    let consumer = &config.consumer;
    let of = |durable: String, filter_subjects: Vec<String>| ConsumerSettings {
        stream: consumer.stream.clone(),
        durable,
        filter_subjects,
        ack_wait: consumer.ack_wait,
        max_ack_pending: consumer.max_ack_pending,
    };
    let durable = consumer.durable.clone();
    let Some(partitions) = consumer.partitions else {
        return vec![of(durable, Vec::new())];
    };
    let parts = (0..partitions).map(|number| of(format!("{durable}-p{number}"), vec![filter_of(number)]));
    let rest = of(durable.clone(), REST.map(str::to_owned).to_vec());
    std::iter::once(rest).chain(parts).collect()
}

/// Those of these consumers that are named like consumers of partitions beyond the configured ones, each with what it would
/// read: somebody else may have chosen such a name.
pub fn leftovers(config: &Config, names: Vec<String>) -> Vec<(String, String)> {
    let begins = format!("{}-p", config.consumer.durable);
    let partitions = config.consumer.partitions.unwrap_or(0);
    let number = |name: &str| {
        let number: u16 = name.strip_prefix(&begins)?.parse().ok()?;
        (format!("{begins}{number}") == name).then_some(number)
    };
    let left = |name: String| {
        let number = number(&name).filter(|number| *number >= partitions)?;
        Some((name, filter_of(number)))
    };
    names.into_iter().filter_map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(partitions: &str) -> Config {
        let text = format!("[consumer]\n{partitions}");
        Config::parse("config.toml", &text, std::iter::empty()).expect("a good configuration")
    }

    #[test]
    fn none_and_one_are_a_consumer_for_everything() {
        for text in ["", "partitions = 0", "partitions = 1"] {
            let config = config(text);
            let consumers = consumers(&config);
            let [only] = consumers.as_slice() else {
                panic!("{text}: {consumers:?}")
            };
            assert_eq!((only.durable.as_str(), only.filter_subjects.len()), ("rollcall", 0));
            assert_eq!((transform(&config), subjects(&config)), (None, Subjects::ByType));
            assert_eq!(config.consumer.subjects, ["user.>"]);
        }
    }

    #[test]
    fn each_partition_has_a_consumer_and_one_is_for_the_rest() {
        let config = config("partitions = 3");
        let found: Vec<(String, String)> = consumers(&config)
            .into_iter()
            .map(|consumer| (consumer.durable, consumer.filter_subjects.join(" ")))
            .collect();
        let expected = [
            ("rollcall", "user.* user.*.*"),
            ("rollcall-p0", "user.*.0.>"),
            ("rollcall-p1", "user.*.1.>"),
            ("rollcall-p2", "user.*.2.>"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, filters)| (name.to_owned(), filters.to_owned()))
        );
        assert_eq!(config.consumer.subjects, ["user.*", "user.*.*"]);
        let transform = transform(&config).expect("a transform");
        assert_eq!(
            transform.to_string(),
            "user.*.* → user.{{wildcard(1)}}.{{partition(3,2)}}.{{wildcard(2)}}"
        );
    }

    #[test]
    fn what_belongs_to_more_partitions_than_there_are_is_left_over() {
        let names = [
            "rollcall",
            "rollcall-p1",
            "rollcall-p2",
            "rollcall-p17",
            "rollcall-px",
            "rollcall-p05",
            "rollcall-p+5",
            "other-p9",
        ];
        let left = leftovers(&config("partitions = 2"), names.map(str::to_owned).to_vec());
        let expected = [("rollcall-p2", "user.*.2.>"), ("rollcall-p17", "user.*.17.>")];
        assert_eq!(
            left,
            expected.map(|(name, filter)| (name.to_owned(), filter.to_owned()))
        );
    }
}
