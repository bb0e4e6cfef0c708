//! Tests with real parts: nats-server and PostgreSQL run as children of the tests, on random ports, in temporary folders.

mod announcements;
mod audit;
mod backfill;
mod broker;
mod commands;
mod contract;
mod crashes;
mod deployment;
mod documented;
mod end_to_end;
mod errors;
mod failures;
mod fixtures;
mod fold_properties;
mod harness;
mod histories;
mod naive;
mod outcomes;
mod plans;
mod random_histories;
mod replay;
mod store_conformance;
mod tidy;
mod topology;
mod workers;
mod world;
