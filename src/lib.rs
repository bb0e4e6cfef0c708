//! Rollcall keeps application profiles in step with the identity provider.
//!
//! Read it from the two pure parts outwards: [`envelope`] says what happened, [`domain`] what the world should become.
//! [`apply`] does one batch in one transaction of the [`store`]; [`worker`] feeds it from [`jetstream`].

pub mod announcements;
pub mod apply;
pub mod audit;
pub mod backfill;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dead_letters;
pub mod domain;
pub mod envelope;
pub mod explain;
pub mod failpoint;
pub mod failure;
pub mod http;
pub mod ingress;
pub mod jetstream;
pub mod mail;
pub mod outbox;
pub mod reading;
pub mod rebuild;
pub mod redrive;
pub mod replay;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod wiring;
pub mod worker;
