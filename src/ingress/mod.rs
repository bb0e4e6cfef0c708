//! Webhooks in: identity providers feed the stream. A request is verified, translated and published, and answered only
//! when the stream has it.
//!
//! It never touches the store, and it believes nothing before the signature is good. No part of a subject and no header
//! of a message ever comes from a request.

pub mod provider;
pub mod signature;
pub mod translation;
