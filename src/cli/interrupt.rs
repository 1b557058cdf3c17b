//! Catches SIGINT and SIGTERM from the start of a verb, so that no signal is lost before the program waits for one.

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// The signals that stop a program.
#[derive(Debug)]
pub(crate) struct Interrupt {
    terminate: Signal,
    interrupt: Signal,
}

impl Interrupt {
    /// Catches both signals from now on, on this runtime.
    pub(crate) fn catch(runtime: &Runtime) -> Result<Self, Failure> {
        let _context = runtime.enter();
        let cannot = |error| Failure::failed(format!("cannot wait for signals: {error}"));
        let terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt()).map_err(cannot)? })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
