//! The table of errors, each code made by the real server, or the real SQLite: what class it has, and that nothing of the
//! data gets out, although the server quotes it.

mod broker;
mod contention;
mod logins;
mod outages;
mod postgres;
mod room;
mod sqlite;
mod sweep;

use std::fmt::Debug;

use anyhow::Result;
use rollcall::apply::Applier;
use rollcall::failure::{Class, Fault, fault};
use rollcall::store::StoreError;
use serde_json::json;

pub(crate) use contention::waiting_backend;

use crate::world::{Base, Message, Stream, apply, said};

/// What must never be told: a key, an address and a name.
const SECRETS: [&str; 3] = ["key-of-ada", "ada@secret", "Lovelace"];

/// The creation of user number n, all of whom share an address and a name.
fn creation(n: usize) -> Message {
    let mut stream = Stream::new();
    let user = format!("key-of-ada-{n}");
    let data = json!({"user_id": user, "email": "ada@secret.example", "full_name": "Ada Lovelace"});
    stream.say("created", &format!("{n}"), n as i64, data);
    stream.messages.remove(0)
}

/// A change of user number n, about which nothing else is known.
fn change(n: usize, id: &str) -> Message {
    let mut stream = Stream::new();
    let data = json!({"user_id": format!("key-of-ada-{n}"), "full_name": format!("Lovelace {id}")});
    stream.say("updated", id, 1_000, data);
    stream.messages.remove(0)
}

/// A batch that must fail, and how it did.
async fn refused(applier: &Applier, messages: &[Message]) -> StoreError {
    match apply(applier, messages).await {
        Ok(settled) => panic!("applied: {:?}", said(&settled)),
        Err(error) => error,
    }
}

/// A batch that must be applied.
async fn applied(applier: &Applier, message: &Message) -> Result<()> {
    assert_eq!(said(&apply(applier, std::slice::from_ref(message)).await?), ["applied"]);
    Ok(())
}

/// Fails unless the error has this code and class, in a batch and alone, and says nothing of the data.
#[track_caller]
fn is(error: &StoreError, code: &str, class: Class, alone: Class) -> Fault {
    let fault = fault(error);
    assert_eq!(
        (fault.code.as_str(), fault.class, fault.alone),
        (code, class, alone),
        "{error}"
    );
    is_silent(error);
    is_silent(&fault);
    fault
}

/// Fails if the error tells a secret in any of the ways in which it can be printed.
#[track_caller]
fn is_silent(error: &(impl Debug + std::fmt::Display)) {
    let told = format!("{error} {error:?} {error:#?}");
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

/// Nothing was kept of what failed.
async fn nothing_is_left(base: &Base) -> Result<()> {
    for table in ["@keys", "@ledger", "@profiles", "@dead_letters", "@outbox"] {
        assert_eq!(base.number("count(*)", table).await?, 0, "{table}");
    }
    Ok(())
}
