//! Rollcall keeps application profiles in step with the identity provider.
//!
//! Read it from the two pure parts outwards: [`envelope`] says what happened, [`domain`] what the world should become.
//! [`apply`] does one batch in one transaction of the [`store`]; [`worker`] feeds it from [`jetstream`].

pub mod domain;
pub mod envelope;
pub mod store;
pub mod jetstream;
pub mod dead_letters;
pub mod failure;
pub mod apply;
pub mod worker;
pub mod outbox;
pub mod explain;
pub mod clock;
pub mod config;
pub mod shutdown;
pub mod telemetry;
pub mod wiring;
pub mod cli;
