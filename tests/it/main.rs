//! Tests with real parts: nats-server and PostgreSQL run as children of the tests, on random ports, in temporary folders.

mod broker;
mod harness;
mod topology;
