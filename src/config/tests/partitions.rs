//! `[consumer] partitions` and what it means for the keys beside it.

use super::rules::assert_rules;
use super::*;

#[test]
fn rules_of_partitions() {
    assert_rules(
        "[consumer]",
        &[
            ("partitions = -1", "\"partitions\" in [consumer] is -1: give 0 to 64"),
            ("partitions = 65", "\"partitions\" in [consumer] is 65: give 0 to 64"),
            (
                "partitions = 2\nsubjects = [\"user.created.eu.>\"]",
                "\"subjects\" in [consumer] contains \"user.created.eu.>\", which has more than three words",
            ),
            (
                "partitions = 2\nsubjects = [\"user.created\", \"user.*.eu\"]",
                "takes \"user.*.eu\", which partitions need, and \"user.created.*\": leave out \"user.created.*\"",
            ),
        ],
    );
}

#[test]
fn partitions_need_room_behind_the_name_of_the_durable() {
    for (length, good) in [(250, true), (251, false)] {
        let text = format!("[consumer]\npartitions = 2\ndurable = \"{}\"", "d".repeat(length));
        let loaded = load(&text, &[]);
        assert_eq!(loaded.is_ok(), good, "{length}");
    }
}

#[test]
fn with_partitions_the_stream_takes_nothing_that_nobody_would_read() {
    for (subjects, taken) in [
        ("[\"user.>\"]", vec!["user.*", "user.*.*"]),
        ("[\"user.*\"]", vec!["user.*", "user.*.*"]),
        ("[\"user.created\"]", vec!["user.created", "user.created.*"]),
        ("[\"user.created.>\"]", vec!["user.created.*"]),
        ("[\"user.*.*\", \"user.*\"]", vec!["user.*", "user.*.*"]),
    ] {
        let text = format!("[consumer]\npartitions = 2\nsubjects = {subjects}");
        let config = load(&text, &[]).expect(subjects);
        assert_eq!(
            (config.consumer.partitions, config.consumer.subjects),
            (Some(2), owned(&taken))
        );
        let config = load(&text.replace("= 2", "= 1"), &[]).expect(subjects);
        assert_eq!(config.consumer.partitions, None);
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
