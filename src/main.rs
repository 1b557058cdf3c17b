//! The `amends` binary.

use clap::Parser;

/// For the tests of the demo's participants until the command line proper is here.
#[derive(Parser)]
enum Command {
    #[command(hide = true)]
    DemoParticipant(amends::cli::demo::ParticipantArgs),
}

fn main() -> std::process::ExitCode {
    match Command::parse() {
        Command::DemoParticipant(args) => amends::cli::demo::participant(args),
    }
}
