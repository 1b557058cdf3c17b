//! The threads of a node: one for its own actors and the supervisor, some for lanes, and a runtime for calls.
//! Owns their start and end; what the actors do is theirs.

use std::sync::Arc;

use actix::{Actor, Arbiter, System};
use tokio::sync::oneshot;

use crate::actor::{
    Child, CompletionPoller, DefinitionPoller, Health, Heartbeat, LaneRouter, LaneWorker, Node, OutboxRelay,
    Rerunner, Supervisor, Sweeper, TurnGranter,
};

/// What the system thread is given.
pub(super) struct Crew {
    pub(super) node: Arc<Node>,
    pub(super) router: LaneRouter,
    pub(super) health: Health,
    pub(super) lanes: usize,
    pub(super) threads: usize,
    pub(super) residents_max: usize,
}

impl Crew {
    /// Runs the actors until told to stop. The supervisor and the node's own actors live on this thread, the
    /// lanes on theirs.
    pub(super) fn run(self, stopped: oneshot::Receiver<()>) {
        let system = System::new();
        system.block_on(async move {
            let arbiters: Vec<Arbiter> = (0..self.threads).map(|_| Arbiter::new()).collect();
            let slots = self.residents_max.div_ceil(self.lanes);
            let mut children = self.keepers();
            for place in 0..self.lanes {
                let arbiter = arbiters[place % arbiters.len()].handle();
                let (node, router) = (self.node.clone(), self.router.clone());
                children.push(Child::new("worker", move || {
                    LaneWorker::begin(node.clone(), arbiter.clone(), router.clone(), place, slots)
                }));
            }
            Supervisor::new(children, self.health).start();
            // The handle is gone or says so: both mean stop.
            let _ = stopped.await;
            for arbiter in arbiters {
                arbiter.stop();
            }
            self.node.waiters.close();
            System::current().stop();
        });
    }

    fn keepers(&self) -> Vec<Child> {
        let (heart, registrar, sweeper) = (self.node.clone(), self.node.clone(), self.node.clone());
        let (usher, router, relay) = (self.node.clone(), self.router.clone(), self.node.clone());
        let (rerunner, lanes) = (self.node.clone(), self.router.clone());
        let herald = self.node.clone();
        vec![
            Child::new("heart", move || {
                let node = heart.clone();
                async move { Ok(Heartbeat::new(node).start().recipient()) }
            }),
            Child::new("registrar", move || {
                let node = registrar.clone();
                async move { Ok(DefinitionPoller::new(node).start().recipient()) }
            }),
            Child::new("sweeper", move || {
                let node = sweeper.clone();
                async move { Ok(Sweeper::new(node).start().recipient()) }
            }),
            Child::new("relay", move || {
                let node = relay.clone();
                async move { Ok(OutboxRelay::new(node).start().recipient()) }
            }),
            Child::new("rerunner", move || {
                let (node, router) = (rerunner.clone(), lanes.clone());
                async move { Ok(Rerunner::new(node, router).start().recipient()) }
            }),
            Child::new("herald", move || {
                let node = herald.clone();
                async move { Ok(CompletionPoller::new(node).start().recipient()) }
            }),
            Child::new("usher", move || {
                let (node, router) = (usher.clone(), router.clone());
                async move { Ok(TurnGranter::new(node, router).start().recipient()) }
            }),
        ]
    }
}

/// The runtime for calls; its last owner may itself be asynchronous, where a runtime must not be dropped by
/// waiting.
pub(super) struct Threads(pub(super) Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
