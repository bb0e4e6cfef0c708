//! What the worker says over HTTP. Nothing here leaks an id, an address or a value of the data.

pub mod health;
