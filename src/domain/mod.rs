//! What should the world become? The fold and everything it needs: events, their order, people,
//! their profiles and customers, and the policy an event is judged by.
//!
//! Pure: value types only. No clock, no I/O, no async, no logging, nothing else of the crate.

pub mod cascade;
pub mod checkpoint;
pub mod component;
pub mod diff;
pub mod event;
pub mod inputs;
pub mod keys;
mod linking;
mod membership;
pub mod person;
pub mod policy;
pub mod position;
pub mod profile;
pub mod refold;
mod rename;
pub mod repair;
pub mod rows;
pub mod story;
mod transition;
pub mod verdict;
pub mod world;

pub use checkpoint::{Checkpoint, Spacing, redundant};
pub use component::{Plan, Planned, Stored, plan};
pub use diff::{Difference, difference, name_rows};
pub use event::{Body, Change, Event, EventRef, Kind, Patch};
pub use inputs::{Answer, Asked, Found, Inputs, Question};
pub use keys::{KeyRow, StoredHolder};
pub use linking::Link;
pub use person::{Customer, Fields, Person, Via};
pub use policy::{CreateOn, CustomerPlace, DisplayOwner, LookupRule, OnDelete, Policy, ProfileRule, SourceRule};
pub use position::{Position, Timestamp, hex};
pub use profile::{Profile, Status};
pub use refold::{Entry, Refolded, rebuild, refold};
pub use repair::{Actual, ActualProfile};
pub use rows::{
    CUSTOMER_COLUMNS, CustomerChange, CustomerRow, PROFILE_COLUMNS, PROFILE_DETAILS, ProfileChange, ProfileRow,
};
pub use story::{Story, story};
pub use verdict::{Effects, Outcome, Reason, Verdict};
pub use world::{Holder, PersonId, World};

#[cfg(test)]
mod tests;
