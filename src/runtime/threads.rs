//! The threads of a node: one for its own actors and the supervisor, some for the lanes, and a runtime for calls.
//! Owns their start and end. The work on them is left to the actors.

use std::sync::Arc;

use actix::{Actor, Arbiter, System};
use tokio::sync::oneshot;

use crate::actor::{Child, Health, LaneRouter, LaneWorker, Node, Supervisor, chores};
use crate::config::actor::Wake;

/// What the system thread gets.
pub(super) struct Crew {
    pub(super) node: Arc<Node>,
    pub(super) router: LaneRouter,
    pub(super) health: Health,
    pub(super) lanes: usize,
    pub(super) threads: usize,
    pub(super) residents_max: usize,
    pub(super) wake: Wake,
}

impl Crew {
    /// Runs the actors until told to stop. The supervisor and the node's own actors live on this thread, the lanes on
    /// threads of their own.
    pub(super) fn run(self, stopped: oneshot::Receiver<()>) {
        let system = System::new();
        system.block_on(async move {
            let arbiters: Vec<Arbiter> = (0..self.threads).map(|_| Arbiter::new()).collect();
            let slots = self.residents_max.div_ceil(self.lanes);
            let mut children = chores(&self.node, &self.router, self.wake);
            for place in 0..self.lanes {
                let arbiter = arbiters[place % arbiters.len()].handle();
                let (node, router) = (self.node.clone(), self.router.clone());
                children.push(Child::new("worker", move || {
                    LaneWorker::begin(node.clone(), arbiter.clone(), router.clone(), place, slots)
                }));
            }
            Supervisor::new(children, self.health).start();
            // A message and a dropped sender both mean stop.
            let _ = stopped.await;
            for arbiter in arbiters {
                arbiter.stop();
            }
            self.node.wakeups.waiters.close();
            System::current().stop();
        });
    }
}

/// The runtime for calls. Its last owner may drop it in async code, where a drop that waits for the runtime panics.
pub(super) struct Threads(pub(super) Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
