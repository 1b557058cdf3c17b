//! Relays each event of the outbox until it is received, and never gives one up. Owns the rhythm and how many events
//! are delivered at once. `residents/notification.rs` delivers an event; the statements are the store's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::actor::residents::notification;
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::participant::NotReceived;
use crate::saga::definition::{Millis, NOTICE_TIMEOUT_MS_MAX};
use crate::store::{Error, NodeId, Relaying};

/// Chore that relays events.
pub(crate) struct OutboxRelay {
    node: Arc<Node>,
    telling: Arc<AtomicUsize>,
    chores_at: Option<Instant>,
}

impl OutboxRelay {
    /// Creates the relay of this node.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        node.chores.forget_round(FleetChore::Outbox);
        Self { node, telling: Arc::default(), chores_at: None }
    }

    /// Takes as many events as there is room to deliver, up to `RELAYS_MAX` at once; returns whether there may be
    /// more.
    async fn take(&mut self) -> bool {
        let room = limits::RELAYS_MAX.saturating_sub(self.telling.load(Ordering::Relaxed));
        let interval = Duration::from_millis(limits::RELAY_CHORES_MS);
        if self.chores_at.is_none_or(|at| at.elapsed() >= interval)
            && let Some(done) = self.node.chores.run(FleetChore::Outbox, count(&self.node)).await
        {
            self.chores_at = Some(Instant::now());
            if let Err(error) = done {
                tracing::warn!(%error, "could not count the outbox; retrying");
            }
        }
        let passed_on = Duration::from_millis(limits::CHORE_HUNG_MS);
        if self.chores_at.is_some_and(|at| at.elapsed() >= passed_on) {
            // Another node counts since then.
            self.chores_at = None;
            metrics::OUTBOX_EVENTS.with([]).set(0.0);
            metrics::OUTBOX_AGE.with([]).set(0.0);
        }
        match look(&self.node, room).await {
            Ok((member, events)) => {
                let more = !events.is_empty() && events.len() == room;
                events.into_iter().for_each(|event| self.tell(member, event));
                more
            }
            Err(error) => {
                tracing::warn!(%error, "could not read the outbox; retrying");
                false
            }
        }
    }

    /// Delivers one event in a task of its own, where user code may run.
    fn tell(&self, member: NodeId, event: Relaying) {
        self.telling.fetch_add(1, Ordering::Relaxed);
        let (node, telling, awake) = (self.node.clone(), self.telling.clone(), self.node.idleness.hold());
        let told = node.work.spawn(deliver(node.clone(), member, event));
        actix::spawn(async move {
            // If the task dies, its event is due again at the end of the event's lease.
            if let Err(error) = told.await {
                tracing::error!(%error, "the task that relays an event died; retrying");
            }
            drop(awake);
            telling.fetch_sub(1, Ordering::Relaxed);
            node.wakeups.hints.ring_for_events();
        });
    }
}

impl Chore for OutboxRelay {
    const NAME: &'static str = "outbox";
    const PLACES: [&'static str; 2] = ["outbox_relay: started", "outbox_relay: stopped"];

    /// Looks once; the next look comes after a pause, or when an event was written.
    async fn round(&mut self) -> Result<Duration, Error> {
        let pause = match self.take().await {
            true => 1,
            false if self.node.definitions.telling().is_empty() => limits::RELAY_CHORES_MS,
            false => limits::RELAY_POLL_MS,
        };
        self.node.wakeups.hints.events(Duration::from_millis(pause)).await;
        Ok(Duration::ZERO)
    }
}

/// Frees events that dead nodes had taken, and measures the outbox.
async fn count(node: &Node) -> Result<(), Error> {
    node.store.free_events().await?;
    let (events, age_ms) = node.store.outbox_depth().await?;
    metrics::OUTBOX_EVENTS.with([]).set(events as f64);
    metrics::OUTBOX_AGE.with([]).set(age_ms as f64 / 1_000.0);
    Ok(())
}

/// Takes events of definitions that this node can run.
async fn look(node: &Node, room: usize) -> Result<(NodeId, Vec<Relaying>), Error> {
    let member = node.lease.membership.id();
    let definitions = node.definitions.telling();
    if definitions.is_empty() || room == 0 {
        return Ok((member, Vec::new()));
    }
    let lease = Duration::from_millis(NOTICE_TIMEOUT_MS_MAX + limits::RELAY_MARGIN_MS);
    Ok((member, node.store.take_events(member, room, &definitions, lease).await?))
}

/// Delivers one event and records the result.
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
            tracing::warn!(saga.id = %event.saga, occasion, attempts, %error, "event not received; retrying");
            // Not earlier than the receiver asks for.
            let pause_ms = pause_ms(attempts).max(retry_after_ms.unwrap_or(0));
            node.store.event_failed(n, member, pause_ms, &error.to_string()).await
        }
    };
    if let Err(error) = recorded {
        tracing::warn!(saga.id = %event.saga, %error, "could not record the result of an event; sending it again");
    }
}

/// Returns the pause after this many attempts: doubles up to `RELAY_PAUSE_MAX_MS`, with jitter between half and all
/// of it.
fn pause_ms(attempts: u32) -> Millis {
    let doubled = limits::RELAY_PAUSE_MS.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let pause = doubled.min(limits::RELAY_PAUSE_MAX_MS);
    pause / 2 + rand::random_range(0..=pause / 2)
}
