//! Grants turns to starts with a concurrency key. Owns when to look, and what a signal does to a start that waits for
//! its turn. Any node may look at any time; the statements are the store's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::periodic::Chore;
use crate::actor::dispatch::lane_router::LaneRouter;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::config::actor as limits;
use crate::metrics;
use crate::saga::event::Request;
use crate::store::{Error, Signal, Sources, TurnCursor};

/// Chore that grants turns.
pub(crate) struct TurnGranter {
    node: Arc<Node>,
    router: LaneRouter,
    walk: Walk,
    pause: Duration,
}

/// Walk over all turns, for holders whose end gave no hint.
#[derive(Default)]
struct Walk {
    cursor: TurnCursor,
    stepped_at: Option<Instant>,
}

impl TurnGranter {
    /// Creates the turn granter of this node.
    pub(crate) fn new(node: Arc<Node>, router: LaneRouter) -> Self {
        node.chores.forget_round(FleetChore::Turns);
        Self { node, router, walk: Walk::default(), pause: Duration::from_millis(limits::TURNS_POLL_MOST_MS) }
    }

    /// Looks once, if any definition has a concurrency key: if this node has the chore, or if a hint asked for it.
    /// Returns how many starts were made ready; none without a look.
    async fn grant(&mut self, asked: bool) -> Result<Option<u64>, Error> {
        if !self.node.definitions.any_takes_turns() {
            return Ok(None);
        }
        let granted = self.node.chores.run(FleetChore::Turns, look(&self.node, &mut self.walk)).await;
        match granted {
            Some(granted) => granted.map(Some),
            None if asked => look(&self.node, &mut self.walk).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Chore for TurnGranter {
    const NAME: &'static str = "turns";
    const PLACES: [&'static str; 2] = ["turn_granter: started", "turn_granter: stopped"];

    /// Looks when a start or an end on this node asks for it. The node that has the chore also looks after each pause.
    async fn round(&mut self) -> Result<Duration, Error> {
        let most = Duration::from_millis(limits::TURNS_POLL_MOST_MS);
        let asked = self.node.wakeups.hints.turns(self.pause).await;
        self.pause = match self.grant(asked).await {
            Ok(None) => most,
            Ok(Some(0)) => (self.pause * 2).min(most),
            Ok(Some(_)) => {
                self.router.look(Sources { ready: true, starts: false });
                Duration::from_millis(limits::TURNS_POLL_LEAST_MS)
            }
            Err(error) => {
                tracing::warn!(%error, "could not look at turns; retrying");
                most
            }
        };
        Ok(Duration::ZERO)
    }
}

/// Grants turns once; returns how many starts were made ready.
async fn look(node: &Node, walk: &mut Walk) -> Result<u64, Error> {
    let mut ended = node.wakeups.hints.take_ended();
    if let Err(error) = step(node, walk, &mut ended).await {
        return Err(again_later(node, ended, error));
    }
    let turns = match node.store.give_turns(&ended).await {
        Ok(turns) => turns,
        Err(error) => return Err(again_later(node, ended, error)),
    };
    metrics::TURNS_GIVEN.with([]).increment(turns.given);
    Ok(turns.given + cancel_waiting(node).await?)
}

/// Keeps the hints for the next look, and returns the error.
fn again_later(node: &Node, ended: Vec<Uuid>, error: Error) -> Error {
    ended.into_iter().for_each(|saga| node.wakeups.hints.ended(saga));
    error
}

/// Takes a step of the walk, if one is due.
async fn step(node: &Node, walk: &mut Walk, ended: &mut Vec<Uuid>) -> Result<(), Error> {
    let interval = Duration::from_millis(limits::TURNS_WALK_MS);
    if !node.chores.holds(FleetChore::Turns) || walk.stepped_at.is_some_and(|at| at.elapsed() < interval) {
        return Ok(());
    }
    let (found, cursor) = node.store.ended_holders(&walk.cursor).await?;
    ended.extend(found);
    *walk = Walk { cursor, stepped_at: Some(Instant::now()) };
    Ok(())
}

/// Takes starts that a signal ends out of the queue, so that any node can end them before they begin anything. Every
/// other signal waits until its start has begun.
async fn cancel_waiting(node: &Node) -> Result<u64, Error> {
    let asked = node.store.asked_while_waiting().await?;
    if asked.is_empty() {
        return Ok(0);
    }
    let sagas: HashSet<Uuid> = asked.iter().map(|asked| asked.saga).collect();
    let unseen: Vec<(Uuid, u64)> = sagas.into_iter().map(|saga| (saga, 0)).collect();
    let signals = node.store.signals(&unseen).await?;
    let ends: HashSet<Uuid> = signals.iter().filter(|(_, signal)| calls_off(signal)).map(|(saga, _)| *saga).collect();
    let ends: Vec<Uuid> = ends.into_iter().collect();
    let knocks: Vec<i64> = asked.iter().map(|asked| asked.knock).collect();
    node.store.cancel_waiting(&ends, &knocks).await
}

fn calls_off(signal: &Signal) -> bool {
    signal.request.decode::<Request>().is_ok_and(|request| request.calls_off())
}
