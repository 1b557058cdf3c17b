//! The threads of a node: one for its own actors and the supervisor, some for the lanes, and a runtime for calls.
//! Owns their start and end. The work on them is left to the actors.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, Arbiter, System};
use tokio::sync::oneshot;

use super::sleep::{self, Slept};
use crate::actor::{Child, Health, LaneRouter, LaneWorker, Node, Supervisor, chores};
use crate::config::actor::{self as limits, IdleSleep, Wake};

/// What the system thread gets.
pub(super) struct Crew {
    pub(super) node: Arc<Node>,
    pub(super) router: LaneRouter,
    pub(super) health: Health,
    pub(super) lanes: usize,
    pub(super) threads: usize,
    pub(super) residents_max: usize,
    pub(super) wake: Wake,
    pub(super) sleep: Option<IdleSleep>,
}

impl Crew {
    /// Runs the actors until told to stop. While the node sleeps, there are none.
    pub(super) fn run(self, mut stopped: oneshot::Receiver<()>) {
        while let (Some(idle), true) = (self.sleep, self.run_awake(&mut stopped)) {
            // A runtime of its own: that for calls may end while the node sleeps.
            if System::new().block_on(sleep::sleep(&self.node, idle, &mut stopped)) == Slept::Stopped {
                break;
            }
        }
        self.node.wakeups.waiters.close();
    }

    /// Runs the actors until told to stop, or until the node falls asleep. Returns whether it does. The supervisor and
    /// the node's own actors live on this thread, the lanes on threads of their own.
    fn run_awake(&self, stopped: &mut oneshot::Receiver<()>) -> bool {
        self.node.telemetry.residents.store(0, Ordering::Relaxed);
        let system = System::new();
        let (sleeps, arbiters) = system.block_on(async {
            let arbiters: Vec<Arbiter> = (0..self.threads).map(|_| Arbiter::new()).collect();
            let slots = self.residents_max.div_ceil(self.lanes);
            let mut children = chores(&self.node, &self.router, self.wake, self.sleep);
            for place in 0..self.lanes {
                let arbiter = arbiters[place % arbiters.len()].handle();
                let (node, router) = (self.node.clone(), self.router.clone());
                children.push(Child::new("worker", move || {
                    LaneWorker::begin(node.clone(), arbiter.clone(), router.clone(), place, slots)
                }));
            }
            Supervisor::new(children, self.health.clone()).start();
            actix::spawn(up(self.node.clone(), self.router.clone()));
            let sleeps = tokio::select! {
                // A message and a dropped sender both mean stop.
                _ = stopped => false,
                () = self.node.idleness.asked_to_sleep() => true,
            };
            if sleeps {
                self.fall_asleep().await;
            }
            for arbiter in &arbiters {
                arbiter.stop();
            }
            System::current().stop();
            (sleeps, arbiters)
        });
        // The actors of this thread are gone with the system, and with them their connections.
        drop(system);
        if sleeps {
            arbiters.into_iter().for_each(|arbiter| {
                // A thread that panicked has ended, too.
                let _ = arbiter.join();
            });
        }
        sleeps
    }

    /// Lets the lanes take nothing more, and hand back what they have.
    async fn fall_asleep(&self) {
        self.node.idleness.falls_asleep().await;
        if !self.router.drain(Duration::ZERO).await {
            tracing::warn!("the lanes did not hand back everything before the node sleeps; its sweep does");
        }
        self.node.chores.leave();
        self.node.chores.show();
    }
}

/// Waits until a lane takes sagas; if the lanes are late, the node is up all the same.
async fn up(node: Arc<Node>, router: LaneRouter) {
    lanes_open(router).await;
    node.idleness.is_up();
}

/// Waits until a lane takes sagas, so that the first start need not go through the queue. If the lanes are late, the
/// node starts all the same.
pub(super) async fn lanes_open(router: LaneRouter) {
    for _ in 0..limits::LANES_OPEN_LOOKS_MAX {
        if router.is_working() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(limits::LANES_OPEN_LOOK_MS)).await;
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
