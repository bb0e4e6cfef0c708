//! The words that stand for values in the databases are read back as they were written.

use super::*;
use crate::domain::cascade::Field;

#[test]
fn every_word_that_is_stored_is_read_back() {
    for via in [Via::Implicit, Via::Event, Via::Backfill] {
        assert_eq!(Via::from_name(via.name()), Some(via));
    }
    for status in [Status::Draft, Status::Active, Status::Archived] {
        assert_eq!(Status::from_name(status.name()), Some(status));
    }
    for outcome in [Outcome::Applied, Outcome::Ignored, Outcome::Rejected] {
        assert_eq!(Outcome::from_name(outcome.name()), Some(outcome));
    }
    for reason in Reason::ALL {
        assert_eq!(Reason::from_name(reason.name()), Some(reason));
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
    }
    for (name, field) in Field::ALL {
        assert_eq!(Field::from_name(name), Some(field));
    }
}

#[test]
fn no_other_word_is_read() {
    for word in ["", "Event", "drafts", "apply", "user", "created"] {
        assert_eq!(Via::from_name(word), None, "{word}");
        assert_eq!(Status::from_name(word), None, "{word}");
        assert_eq!(Outcome::from_name(word), None, "{word}");
        assert_eq!(Reason::from_name(word), None, "{word}");
        assert_eq!(Kind::from_name(word), None, "{word}");
        assert_eq!(Field::from_name(word), None, "{word}");
    }
}

#[test]
fn every_reason_has_a_meaning_and_a_remedy_of_its_own() {
    let sentences: BTreeSet<&str> = Reason::ALL
        .into_iter()
        .flat_map(|reason| [reason.meaning(), reason.remedy()])
        .collect();
    assert_eq!(sentences.len(), 2 * Reason::ALL.len());
    assert!(sentences.iter().all(|sentence| sentence.split_whitespace().count() > 3));
}

#[test]
fn a_reference_is_32_hexadecimal_digits_everywhere() {
    let mut bytes = [0; 16];
    (bytes[0], bytes[15]) = (0x0a, 0xf1);
    let reference = EventRef(bytes);
    let digits = "0a0000000000000000000000000000f1";
    assert_eq!(format!("{reference:?}"), digits);
    assert_eq!(json!(reference), json!(digits));
    let read: EventRef = serde_json::from_value(json!(digits)).expect("32 digits");
    assert_eq!(read, reference);
    assert!(serde_json::from_value::<EventRef>(json!("0x0a")).is_err());
}
