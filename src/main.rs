//! The `lastseen` program: everything is in the library.

use std::process::ExitCode;

// The figures for memory per connection are taken with it.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    lastseen::cli::main()
}
