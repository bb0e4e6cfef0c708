//! Events that wait: whose they are while they are tried, what looks like a death, and what a held type costs.

use anyhow::{Context as _, Result};
use rollcall::store::{Attempt, Claimed, Lease, Parked, Store};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::harness::wait::wait_for;
use crate::world::{Base, Which, on_both};

on_both!(
    only_who_does_not_say_a_word_for_a_whole_lease_is_dead,
    a_worker_gives_back_only_what_is_its_own,
    events_of_a_held_type_are_not_due,
);

const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

/// A lease of ten seconds.
fn lease(life: Uuid, now: i64) -> Lease {
    Lease {
        life,
        until: at(now + 10),
    }
}

fn parked(id: &str, judged: usize) -> Parked {
    let attempt = Attempt {
        at: "then".to_owned(),
        error: "refused".to_owned(),
        code: None,
    };
    Parked {
        message_id: id.to_owned(),
        stream: "USERS".to_owned(),
        sequence: 1,
        published: at(0),
        subject: "user.updated".to_owned(),
        headers: Vec::new(),
        payload: b"{}".to_vec(),
        kind: "user.updated".to_owned(),
        attempts: vec![attempt; judged],
        next_at: at(0),
    }
}

async fn claim(store: &Store, life: Uuid, now: i64) -> Result<Option<Claimed>> {
    Ok(store.claim(at(now), lease(life, now)).await?)
}

async fn only_who_does_not_say_a_word_for_a_whole_lease_is_dead(base: Base) -> Result<()> {
    let store = base.store().await?;
    store.park(&[parked("m", 1)]).await?;
    let claimed = claim(&store, A, 0).await?.context("it is due")?;
    assert_eq!(claimed.deaths, 0);
    assert_eq!(claim(&store, B, 9).await?, None, "it is A's");
    // The lease ran out, but A may only be slow: A says a word, and keeps it.
    assert_eq!(claim(&store, B, 11).await?, None);
    store.renew("m", lease(A, 12)).await?;
    assert_eq!(claim(&store, B, 21).await?, None);
    // Its own is no death of its own.
    let again = claim(&store, A, 23).await?.context("it is due")?;
    assert_eq!(again.deaths, 0);
    // No word for a lease and another one.
    assert_eq!(claim(&store, B, 34).await?, None);
    assert_eq!(claim(&store, B, 43).await?, None);
    let orphan = claim(&store, B, 45).await?.context("it is due")?;
    assert_eq!(orphan.deaths, 1);
    // A comes back from wherever it was, too late.
    store.renew("m", lease(A, 1000)).await?;
    assert_eq!(base.line(&["life"], "@retries").await?, B.to_string());
    // It was tried, and nobody died of it.
    store.failed_again(&parked("m", 2)).await?;
    assert_eq!(claim(&store, A, 60).await?.context("it is due")?.deaths, 0);
    Ok(())
}

async fn a_worker_gives_back_only_what_is_its_own(base: Base) -> Result<()> {
    let store = base.store().await?;
    store.park(&[parked("m", 0)]).await?;
    claim(&store, A, 0).await?.context("it is due")?;
    store.give_back("m", Lease { life: B, until: at(0) }).await?;
    assert_eq!(claim(&store, B, 5).await?, None, "it is A's still");
    store.give_back("m", Lease { life: A, until: at(5) }).await?;
    assert!(store.take_up("m", lease(B, 5)).await?, "it was nobody's");
    assert!(!store.take_up("m", lease(A, 5)).await?, "B was faster");
    Ok(())
}

async fn events_of_a_held_type_are_not_due(base: Base) -> Result<()> {
    let store = base.store().await?;
    let kind = "user.updated";
    store.park(&[parked("before", 1), parked("untried", 0)]).await?;
    store.hold(kind, at(60)).await?;
    store.park(&[parked("after", 1)]).await?;
    assert_eq!(
        base.lines(&["message_id"], "@retries WHERE held").await?,
        ["after", "before"]
    );
    // What was never tried is due; refused, it is held like the others.
    assert_eq!(
        claim(&store, A, 1).await?.context("it is due")?.parked.message_id,
        "untried"
    );
    store.failed_again(&parked("untried", 1)).await?;
    assert!(!store.duties(at(1000)).await?.retry);
    assert_eq!(claim(&store, A, 1000).await?, None);
    assert_eq!((store.waiting().await?.tries, store.waiting().await?.held), (0, 3));
    // The probe takes one after the other, and none that somebody has in hand.
    for expected in [1, 2, 3] {
        let claimed = store.claim_held(kind, at(1000), lease(A, 1000)).await?;
        assert!(claimed.is_some(), "number {expected}");
    }
    assert_eq!(store.claim_held(kind, at(1001), lease(B, 1001)).await?, None);
    assert!(store.holds_back(kind).await?, "others have them in hand");
    for id in ["before", "after", "untried"] {
        store.give_back(id, lease(A, 5000)).await?;
    }
    store.free(kind, at(1002)).await?;
    assert!(!store.holds_back(kind).await?);
    assert!(claim(&store, B, 1002).await?.is_some(), "everything of it is due");
    Ok(())
}

/// `SQLite` has one writer at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_parked_while_its_type_is_held_back_is_held() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    let store = base.store().await?;
    store.park(&[parked("early", 1)]).await?;
    // Of a worker that knew of no hold, and has not committed.
    let mut other = sqlx::PgConnection::connect(&base.url).await?;
    let retries = base.table("retries");
    let copied = "stream, stream_sequence, published_nanos, message, payload, type, attempts, judged, next_at, held";
    let insert = format!("BEGIN; INSERT INTO {retries} (message_id, {copied}) SELECT 'late', {copied} FROM {retries}");
    other.execute(sqlx::raw_sql(AssertSqlSafe(insert))).await?;
    let holding = tokio::spawn({
        let store = store.clone();
        async move { store.hold("user.updated", at(60)).await }
    });
    let waiting = "pg_stat_activity WHERE application_name = 'rollcall' AND wait_event_type = 'Lock'";
    wait_for(
        "the hold to wait for it",
        std::time::Duration::from_secs(20),
        async || (base.number("count(*)", waiting).await.ok()? == 1).then_some(()),
    )
    .await?;
    other.execute("COMMIT").await?;
    holding.await??;
    assert_eq!(
        base.lines(&["message_id"], "@retries WHERE held").await?,
        ["early", "late"]
    );
    Ok(())
}
