//! Real servers as children of the test process: started on free ports in temporary folders, ended
//! with the test, whichever way it ends. A missing server fails the test; nothing is skipped silently.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test uses a part; it is a module, not a crate"
)]

pub mod frames;
pub mod nats;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod smtp;
pub mod tls;
pub mod wait;
pub mod worker;

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What a failing start tells the reader.
pub const HOW_TO_GET: &str = "run ./deploy/test.sh, which installs what the tests need and then runs them";

/// A folder of the build directory that survives the test: templates, locks.
pub fn shared_folder() -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The first file of this name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Writes a line that the reader of a passed test sees, too.
pub fn tell(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
