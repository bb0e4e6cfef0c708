//! Webhooks in: identity providers feed the stream. A request is verified, translated and published, and answered only
//! when the stream has it.
//!
//! It never touches the store, and it believes nothing before the signature is good. No part of a subject and no header
//! of a message ever comes from a request.

mod answer;
mod edge;
mod endpoint;
mod limit;
mod outgoing;
pub mod provider;
pub mod signature;
mod sink;
mod tally;
pub mod translation;

pub use edge::{EdgeSettings, serve};
pub use endpoint::{Endpoint, EndpointSettings, IngressError};
pub use outgoing::message_id;
pub use sink::Connected;
pub use tally::{Counts, Outcome};
