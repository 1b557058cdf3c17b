//! The demo: a hotel checkout over two participants that fail on purpose, on several nodes of which one is killed, and the
//! audit of what is left. Owns the command lines; the participants (`participant`, `server`, `desk`, `ledger`) are other
//! programs that happen to ship in this binary, and share nothing with amends but MCP.

mod audit;
mod cut;
mod desk;
mod effect;
mod evidence;
mod fault;
mod ledger;
mod participant;
mod server;
mod tool;

use std::process::ExitCode;

pub use fault::Fault;
pub use participant::{DeskArgs, ParticipantArgs, Role};

/// Runs one of the demo's participants until its caller is gone; see [`Role`].
pub fn participant(args: ParticipantArgs) -> ExitCode {
    // actix-web wants one thread per event loop; the other work of a participant is a few short transactions.
    let ended = actix_web::rt::System::new().block_on(participant::run(args));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("amends demo-participant: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads a share between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err(format!("expected a number from 0 to 1, found {text:?}")),
    }
}
