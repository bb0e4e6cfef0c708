//! What the measurements share with the tests: child processes that cannot outlive us.

#![allow(dead_code, unreachable_pub, reason = "the tests use the rest")]

#[path = "../../tests/it/harness/process.rs"]
pub mod process;
#[path = "../../tests/it/harness/wait.rs"]
pub mod wait;
