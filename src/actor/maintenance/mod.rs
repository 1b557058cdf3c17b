//! What a node does besides running sagas: it renews its lease, sweeps up after dead nodes, fires timers, grants
//! turns, relays events, begins reruns and polls. One file per chore, each in an actor of its own.

mod bloat;
mod completion_poller;
mod dead_nodes;
mod definition_poller;
mod fleet;
mod heartbeat;
mod idle_watch;
mod listener;
mod lookout;
mod measurement;
mod orphan_finder;
mod outbox_relay;
mod periodic;
mod rerunner;
mod retention;
mod safety_net;
mod timers;
mod turn_granter;

use std::sync::Arc;

use actix::Recipient;

use self::bloat::Compactor;
use self::completion_poller::CompletionPoller;
use self::dead_nodes::{DeadNodes, LeftBehind};
use self::definition_poller::DefinitionPoller;
use self::fleet::Fleet;
use self::heartbeat::Heartbeat;
use self::idle_watch::IdleWatch;
use self::listener::Listener;
use self::lookout::Lookout;
use self::measurement::Measurement;
use self::orphan_finder::OrphanFinder;
use self::outbox_relay::OutboxRelay;
use self::periodic::{Chore, Periodic};
use self::rerunner::Rerunner;
use self::retention::Retention;
use self::safety_net::SafetyNet;
use self::timers::Timers;
use self::turn_granter::TurnGranter;
use crate::actor::dispatch::lane_router::LaneRouter;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::actor::node::supervisor::{Child, Observe};
use crate::config::actor::{IdleSleep, Wake};

/// Starts a chore of the fleet.
fn fleet<C: Chore>(which: FleetChore, chore: C, node: Arc<Node>) -> Recipient<Observe> {
    Periodic::begin(Fleet::new(node, which, chore))
}

/// Returns the chores of a node, for its supervisor. Their names are the label of `amends_actor_restarts_total`.
pub fn chores(node: &Arc<Node>, router: &LaneRouter, wake: Wake, sleep: Option<IdleSleep>) -> Vec<Child> {
    let chore = |name, begin: fn(Arc<Node>, LaneRouter) -> Recipient<Observe>| {
        let (node, router) = (node.clone(), router.clone());
        Child::new(name, move || std::future::ready(Ok(begin(node.clone(), router.clone()))))
    };
    let listener = (wake == Wake::Listen).then(|| chore("listener", |node, _| Periodic::begin(Listener::new(node))));
    let others = vec![
        chore("heart", |node, _| Periodic::begin(Heartbeat(node))),
        chore("lookout", |node, router| Periodic::begin(Lookout::new(node, router))),
        chore("registrar", |node, _| Periodic::begin(DefinitionPoller(node))),
        chore("relay", |node, _| Periodic::begin(OutboxRelay::new(node))),
        chore("rerunner", |node, router| Periodic::begin(Rerunner { node, router })),
        chore("herald", |node, _| Periodic::begin(CompletionPoller(node))),
        chore("usher", |node, router| Periodic::begin(TurnGranter::new(node, router))),
        chore("sweeper", |node, _| Periodic::begin(Timers::new(node))),
        chore("sweeper", |node, router| Periodic::begin_after(OrphanFinder::PAUSE, OrphanFinder { node, router })),
        chore("sweeper", |node, _| fleet(FleetChore::Sweep, DeadNodes(node.clone()), node)),
        chore("sweeper", |node, _| fleet(FleetChore::Orphans, LeftBehind(node.clone()), node)),
        chore("sweeper", |node, _| fleet(FleetChore::Retention, Retention(node.clone()), node)),
        chore("sweeper", |node, _| fleet(FleetChore::Compaction, Compactor::new(node.clone()), node)),
        chore("sweeper", |node, _| Periodic::begin(Measurement::new(node))),
    ];
    let net = {
        // A node that sleeps may never be awake for the whole pause.
        let first = sleep.map_or(SafetyNet::PAUSE, |sleep| SafetyNet::PAUSE.min(sleep.after / 2));
        let node = node.clone();
        let net = move || Fleet::new(node.clone(), FleetChore::SafetyNet, SafetyNet::new(node.clone()));
        Child::new("sweeper", move || std::future::ready(Ok(Periodic::begin_after(first, net()))))
    };
    let watch = sleep.map(|sleep| {
        let node = node.clone();
        Child::new("idle", move || std::future::ready(Ok(Periodic::begin(IdleWatch::new(node.clone(), sleep)))))
    });
    others.into_iter().chain([net]).chain(listener).chain(watch).collect()
}
