//! The `amends` binary. It chooses the allocator; everything else is in the library.

use std::process::ExitCode;

/// mimalloc: a saga makes many small allocations on one thread and frees them on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    amends::program::main()
}
