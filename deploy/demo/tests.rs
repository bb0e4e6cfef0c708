//! The demo checks Rollcall; these check the demo: every seed makes a year with all that is promised of one.

use std::collections::{BTreeMap, BTreeSet};

use crate::ada;
use crate::books::Books;
use crate::event::Message;
use crate::post::Post;
use crate::year::Year;

const SEEDS: u64 = 12;

#[test]
fn a_seed_makes_one_year_only() {
    let (books, post) = Books::of(7);
    let (again, post_again) = Books::of(7);
    let (other, _) = Books::of(8);
    assert_eq!(books, again);
    assert_eq!(post.messages, post_again.messages);
    assert_ne!(books.ledger, other.ledger);
}

#[test]
fn every_year_has_what_is_promised() {
    for seed in 0..SEEDS {
        let (books, post) = Books::of(seed);
        let events = books.ledger.len();
        assert!(events >= 1_000, "seed {seed}: {events} events");
        assert!(
            (280..=340).contains(&books.mail.people),
            "seed {seed}: {} people",
            books.mail.people
        );
        let share = |count: usize| 100 * count / events;
        assert!(
            (7..=13).contains(&share(post.copies)),
            "seed {seed}: {} copies",
            post.copies
        );
        assert!(
            (7..=13).contains(&share(post.out_of_order)),
            "seed {seed}: {} out of order",
            post.out_of_order
        );
        assert_eq!((post.undecodable, post.in_future), (5, 1));
        assert_eq!(books.dead["protected_user"], 1, "seed {seed}");
        assert!(books.dead["key_taken"] >= 3, "seed {seed}: Ada twice and one more");
        let reasons: BTreeSet<_> = books.ledger.iter().filter_map(|row| row["reason"].as_str()).collect();
        for reason in [
            "after_deletion",
            "already_deleted",
            "already_renamed",
            "illegal_transition",
            "not_a_member",
        ] {
            assert!(reasons.contains(reason), "seed {seed}: nothing is {reason}");
        }
    }
}

#[test]
fn the_year_is_over_before_the_walk_ins_come() {
    for seed in 0..SEEDS {
        let year = Year::of(seed);
        let times: Vec<_> = year
            .happenings
            .iter()
            .map_while(|happening| happening.event.time)
            .collect();
        assert!(times.is_sorted(), "seed {seed}");
        assert!(
            times.last().is_some_and(|last| last.year() == 2025),
            "seed {seed} ends in {:?}",
            times.last()
        );
        let without = year.happenings.iter().skip(times.len());
        assert!(without.clone().count() >= 6 && without.clone().all(|happening| happening.event.time.is_none()));
    }
}

#[test]
fn every_message_id_stands_for_one_message() {
    for seed in 0..SEEDS {
        let (books, post) = Books::of(seed);
        let mut known: BTreeMap<&str, &Message> = BTreeMap::new();
        let same = post.messages.iter().filter(|message| {
            known
                .insert(&message.id, message)
                .is_some_and(|first| first == *message)
        });
        assert_eq!(same.count(), post.dropped, "seed {seed}");
        assert_eq!(known.len() + post.dropped, books.mail.published, "seed {seed}");
    }
}

#[test]
fn the_three_arrive_backwards() {
    for seed in 0..SEEDS {
        let year = Year::of(seed);
        let (_, post) = Books::of(seed);
        let place = |index: usize| arrival(&post, &year, index);
        let [created, updated, renamed] = year.backwards.expect("every year has this scene").map(place);
        assert!(
            renamed < updated && updated < created,
            "seed {seed}: {renamed} {updated} {created}"
        );
    }
}

fn arrival(post: &Post, year: &Year, index: usize) -> usize {
    let id = year.happenings[index].event.message().id;
    post.messages
        .iter()
        .position(|message| message.id == id)
        .expect("every event is sent")
}

#[test]
fn ada_is_the_most_eventful() {
    for seed in 0..SEEDS {
        let (books, _) = Books::of(seed);
        let row = books
            .profiles
            .iter()
            .max_by_key(|row| row["version"].as_u64())
            .expect("there are profiles");
        assert_eq!(row["user_id"], ada::FINALLY, "seed {seed}");
        assert_eq!(row["display_name"], "Ada Lindholm");
        assert_eq!(row["organization_id"], "tall-pines");
    }
}

#[test]
fn keys_mean_one_thing() {
    for seed in 0..SEEDS {
        let book = Year::of(seed).book;
        let aliases: BTreeSet<_> = book.aliases.keys().collect();
        assert!(
            aliases
                .iter()
                .all(|key| !book.active.contains_key(*key) && !book.tombstones.contains(*key))
        );
        assert!(book.active.keys().all(|key| !book.tombstones.contains(key)));
        assert!(book.active.iter().all(|(key, id)| book.people[*id].key == *key));
        assert!(
            book.aliases
                .values()
                .all(|id| book.active.values().any(|active| active == id)),
            "seed {seed}"
        );
    }
}
