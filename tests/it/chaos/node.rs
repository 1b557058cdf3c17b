//! A node process for chaos: this test binary, asked for one test by name. Owns both ends.

use std::process::Child;
use std::time::Duration;

use amends::runtime::Runtime;
use serde::{Deserialize, Serialize};

use super::{HABITS, drafts, http};
use crate::crash::ledger::{self, Ledger};
use crate::harness::{die_with_parent, in_its_own_process};

const ORDER: &str = "AMENDS_CHAOS_NODE";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The way of the node to its database, and that of its participants to their ledger.
    pub(super) url: String,
    pub(super) ledger_url: String,
    /// Where the participants are that are no handlers.
    pub(super) participants_port: u16,
    pub(super) name: String,
    pub(super) lease_ms: u64,
}

/// A node that runs, until it is killed.
pub(super) struct Node {
    child: Child,
    pub(super) name: String,
}

impl Node {
    pub(super) fn start(order: &Order) -> Self {
        let log = std::env::temp_dir().join(format!("amends-chaos-{}.log", std::process::id()));
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = in_its_own_process("chaos::node::child_process_entry");
        command.env(ORDER, serde_json::to_string(order).unwrap());
        let child = command.stderr(log).spawn().unwrap();
        Self { child, name: order.name.clone() }
    }

    /// Sends a signal: SIGSTOP and SIGCONT leave it to go on.
    pub(super) fn signal(&self, signal: libc::c_int) {
        // SAFETY: a plain system call on a child that was not waited for yet.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
    }

    /// Kills it and waits for its end.
    pub(super) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Whether it ended by itself, which it never should.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Not a test but the child, when a test has started this binary for it.
#[test]
fn child_process_entry() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    die_with_parent();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let ledger = Ledger::at(&order.ledger_url, HABITS);
        let _runtime = loop {
            let mut builder = Runtime::builder(&order.url).name(&order.name);
            builder = builder.lease(Duration::from_millis(order.lease_ms)).without_migration();
            builder = builder.participants([http::participant(order.participants_port)]);
            for draft in drafts() {
                builder = builder.definition(draft);
            }
            // A node cannot begin while the database is away; whoever runs it starts it again.
            match builder.handlers(ledger::handlers(&ledger)).begin().await {
                Ok(runtime) => break runtime,
                Err(error) => eprintln!("{}: {error}", order.name),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        std::future::pending::<()>().await;
    });
}
