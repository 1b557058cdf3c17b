//! The `amends` binary: everything is in the library but the choice of an allocator.

use std::process::ExitCode;

/// A saga is many small pieces that are made on one thread and dropped on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    amends::program::main()
}
