//! The `swivel` program: hands the command line to the library.

use std::process::ExitCode;

/// Returns freed pages to the system sooner than glibc's, and has no per-thread arenas that grow with load.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    swivel::app::cli::main()
}
