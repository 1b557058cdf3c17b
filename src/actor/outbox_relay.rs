//! Relays the events of the outbox until each was received, and never gives one up. Owns the rhythm and how many
//! are told at a time; what is told is `notification.rs`, and the statements are the store's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::node::Node;
use super::notification;
use super::supervisor::{Observe, Observed};
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::participant::NotReceived;
use crate::saga::definition::{Millis, NOTICE_TIMEOUT_MS_MAX};
use crate::store::{Error, NodeId, Relaying};

/// Relays.
pub struct OutboxRelay {
    node: Arc<Node>,
    telling: usize,
    chores_at: Option<Instant>,
}

impl OutboxRelay {
    /// Relays on behalf of this node.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, telling: 0, chores_at: None }
    }

    /// Takes as many events as may be told at a time, and comes again when the bell rings or after a while.
    fn round(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let room = limits::RELAYS_MAX.saturating_sub(self.telling);
        let interval = Duration::from_millis(limits::RELAY_CHORES_MS);
        let chores = self.chores_at.is_none_or(|at| at.elapsed() >= interval);
        if chores {
            self.chores_at = Some(Instant::now());
        }
        let look = async move { look(&node, room, chores).await };
        ctx.spawn(look.into_actor(self).map(move |taken, act, ctx| {
            let more = match taken {
                Ok((member, events)) => {
                    let more = !events.is_empty() && events.len() == room;
                    events.into_iter().for_each(|event| act.tell(member, event, ctx));
                    more
                }
                Err(error) => {
                    tracing::warn!(%error, "outbox not read, it is read again");
                    false
                }
            };
            let pause = Duration::from_millis(if more { 1 } else { limits::RELAY_POLL_MS });
            let node = act.node.clone();
            let rest = async move { node.wakeups.events(pause).await };
            ctx.spawn(rest.into_actor(act).map(|(), act, ctx| act.round(ctx)));
        }));
    }

    /// Tells one event in a task of its own, where user code may run.
    fn tell(&mut self, member: NodeId, event: Relaying, ctx: &mut Context<Self>) {
        self.telling += 1;
        let told = self.node.work.spawn(deliver(self.node.clone(), member, event));
        ctx.spawn(told.into_actor(self).map(|told, act, _| {
            // A task that died leaves its event to the end of the lease.
            if let Err(error) = told {
                tracing::error!(%error, "relaying an event died, it is relayed again");
            }
            act.telling -= 1;
            act.node.wakeups.ring_for_events();
        }));
    }
}

/// Looks after what dead nodes left behind and how much there is, now and then; and takes events.
async fn look(node: &Node, room: usize, chores: bool) -> Result<(NodeId, Vec<Relaying>), Error> {
    let member = node.membership.id();
    let definitions = node.definitions.telling();
    if definitions.is_empty() {
        return Ok((member, Vec::new()));
    }
    if chores {
        node.store.free_events().await?;
        let (events, age_ms) = node.store.outbox_depth().await?;
        metrics::OUTBOX_EVENTS.with([]).set(events as f64);
        metrics::OUTBOX_AGE.with([]).set(age_ms as f64 / 1_000.0);
    }
    if room == 0 {
        return Ok((member, Vec::new()));
    }
    let lease = Duration::from_millis(NOTICE_TIMEOUT_MS_MAX + limits::RELAY_MARGIN_MS);
    Ok((member, node.store.take_events(member, room, &definitions, lease).await?))
}

/// Tells one event and records what became of it.
async fn deliver(node: Arc<Node>, member: NodeId, event: Relaying) {
    let n = event.n;
    boundary::pass("notification: sending");
    let told = notification::tell(&node, &event).await;
    boundary::pass("notification: answered");
    let recorded = match told {
        Ok(occasion) => {
            fail::fail_point!("relay::told");
            metrics::EVENTS_RELAYED.with([occasion.as_str().into()]).increment(1);
            node.store.event_relayed(n).await
        }
        Err(NotReceived { error, retry_after_ms }) => {
            let occasion =
                event.body.decode::<notification::Telling>().map_or("unreadable", |told| told.event.as_str());
            metrics::EVENTS_FAILED.with([occasion.into()]).increment(1);
            let attempts = event.attempts;
            tracing::warn!(saga.id = %event.saga, occasion, attempts, %error, "event not received, it is told again");
            // Not earlier than the receiver asks for.
            let pause_ms = pause_ms(attempts).max(retry_after_ms.unwrap_or(0));
            node.store.event_failed(n, member, pause_ms, &error.to_string()).await
        }
    };
    if let Err(error) = recorded {
        tracing::warn!(saga.id = %event.saga, %error, "what became of an event is not recorded, it is told again");
    }
}

/// The pause after so many attempts: doubles, with a little chance, up to the longest.
fn pause_ms(attempts: u32) -> Millis {
    let doubled = limits::RELAY_PAUSE_MS.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let pause = doubled.min(limits::RELAY_PAUSE_MAX_MS);
    pause / 2 + rand::random_range(0..=pause / 2)
}

impl Actor for OutboxRelay {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("outbox_relay: started");
        self.round(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("outbox_relay: stopped");
    }
}

impl Handler<Observe> for OutboxRelay {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(Observed { waiting: self.telling, resident: 0 })
    }
}
