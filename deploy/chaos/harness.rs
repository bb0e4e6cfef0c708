//! What the storm shares with the tests: child processes that cannot outlive us, a broker, a proxy that cuts.

#![allow(dead_code, unreachable_pub, reason = "the tests use the rest")]

#[path = "../../tests/it/harness/frames.rs"]
pub mod frames;
#[path = "../../tests/it/harness/nats.rs"]
pub mod nats;
#[path = "../../tests/it/harness/process.rs"]
pub mod process;
#[path = "../../tests/it/harness/proxy.rs"]
pub mod proxy;
#[path = "../../tests/it/harness/wait.rs"]
pub mod wait;

use std::path::PathBuf;

/// What a failing start tells the reader.
pub const HOW_TO_GET: &str = "run ./deploy/chaos.sh, which installs what it needs";

/// The first file of this name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
