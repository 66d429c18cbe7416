//! The binary: an allocator and the commands.

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_to_small_pages();
    counterfoil::cli::run()
}

/// Buffers of a few kilobytes must not each take hold of two megabytes: with huge pages a gateway
/// under load was measured at twice the memory.
#[cfg(target_os = "linux")]
fn keep_to_small_pages() {
    // A kernel without huge pages says no, which is as good.
    let _refused = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(not(target_os = "linux"))]
const fn keep_to_small_pages() {}
