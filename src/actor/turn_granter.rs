//! Gives turns to starts with a concurrency key. Owns when to look, and what is to become of a start that waits
//! when something is asked of it; any node may look at any time, and the statements are the store's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use uuid::Uuid;

use super::lane_router::LaneRouter;
use super::node::Node;
use super::supervisor::{Observe, Observed};
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::saga::event::Request;
use crate::store::{Error, Signal, TurnCursor};

/// Gives turns.
pub struct TurnGranter {
    node: Arc<Node>,
    router: LaneRouter,
    walk: Walk,
    pause: Duration,
}

/// The walk over all turns, for holders that ended without a word.
#[derive(Clone, Default)]
struct Walk {
    cursor: TurnCursor,
    stepped_at: Option<Instant>,
}

impl TurnGranter {
    /// Gives turns on behalf of this node.
    pub fn new(node: Arc<Node>, router: LaneRouter) -> Self {
        Self { node, router, walk: Walk::default(), pause: Duration::from_millis(limits::TURNS_POLL_MOST_MS) }
    }

    /// One look, and the next after a pause or when the bell rings.
    fn round(&mut self, ctx: &mut Context<Self>) {
        let (node, walk) = (self.node.clone(), self.walk.clone());
        let look = async move {
            if node.definitions.any_takes_turns() { look(&node, walk).await } else { Ok((0, walk)) }
        };
        ctx.spawn(look.into_actor(self).map(|looked, act, ctx| {
            let most = Duration::from_millis(limits::TURNS_POLL_MOST_MS);
            match looked {
                Ok((0, walk)) => {
                    act.walk = walk;
                    act.pause = (act.pause * 2).min(most);
                }
                Ok((_, walk)) => {
                    act.walk = walk;
                    act.pause = Duration::from_millis(limits::TURNS_POLL_LEAST_MS);
                    act.router.look();
                }
                Err(error) => {
                    tracing::warn!(%error, "turns not looked at, they are looked at again");
                    act.pause = most;
                }
            }
            let (node, pause) = (act.node.clone(), act.pause);
            let rest = async move { node.wakeups.turns(pause).await };
            ctx.spawn(rest.into_actor(act).map(|(), act, ctx| act.round(ctx)));
        }));
    }
}

/// Looks once; returns how many starts were made ready.
async fn look(node: &Node, walk: Walk) -> Result<(u64, Walk), Error> {
    let mut ended = node.wakeups.take_ended();
    let walk = match step(node, walk, &mut ended).await {
        Ok(walk) => walk,
        Err(error) => return Err(again_later(node, ended, error)),
    };
    let turns = match node.store.give_turns(&ended).await {
        Ok(turns) => turns,
        Err(error) => return Err(again_later(node, ended, error)),
    };
    metrics::TURNS_GIVEN.with([]).increment(turns.given);
    Ok((turns.given + cancel_waiting(node).await?, walk))
}

/// Keeps the hint for the next look.
fn again_later(node: &Node, ended: Vec<Uuid>, error: Error) -> Error {
    ended.into_iter().for_each(|saga| node.wakeups.ended(saga));
    error
}

/// Takes a step of the walk, if it is time for one.
async fn step(node: &Node, walk: Walk, ended: &mut Vec<Uuid>) -> Result<Walk, Error> {
    let interval = Duration::from_millis(limits::TURNS_WALK_MS);
    if walk.stepped_at.is_some_and(|at| at.elapsed() < interval) {
        return Ok(walk);
    }
    let (found, cursor) = node.store.ended_holders(&walk.cursor).await?;
    ended.extend(found);
    Ok(Walk { cursor, stepped_at: Some(Instant::now()) })
}

/// Takes starts out of the queue that shall end before they begin; everything else that was asked of them waits
/// until they have begun.
async fn cancel_waiting(node: &Node) -> Result<u64, Error> {
    let asked = node.store.asked_while_waiting().await?;
    if asked.is_empty() {
        return Ok(0);
    }
    let sagas: HashSet<Uuid> = asked.iter().map(|asked| asked.saga).collect();
    let unseen: Vec<(Uuid, u64)> = sagas.into_iter().map(|saga| (saga, 0)).collect();
    let signals = node.store.signals(&unseen).await?;
    let ends: HashSet<Uuid> =
        signals.iter().filter(|(_, signal)| calls_off(signal)).map(|(saga, _)| *saga).collect();
    let ends: Vec<Uuid> = ends.into_iter().collect();
    let knocks: Vec<i64> = asked.iter().map(|asked| asked.knock).collect();
    node.store.cancel_waiting(&ends, &knocks).await
}

fn calls_off(signal: &Signal) -> bool {
    signal.request.decode::<Request>().is_ok_and(|request| request.calls_off())
}

impl Actor for TurnGranter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("turn_granter: started");
        self.round(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("turn_granter: stopped");
    }
}

impl Handler<Observe> for TurnGranter {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(Observed::default())
    }
}
