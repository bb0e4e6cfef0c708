//! The `rollcall` command.

/// A batch is many small pieces that live for milliseconds, and are often freed by another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Small pieces gain nothing from huge pages, which are mapped as a whole when one byte of them is used. Where we may not
    // say so, the process is larger.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    rollcall::cli::main()
}
