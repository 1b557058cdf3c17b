//! The sleep of a node that has nothing to do. Owns its order: the lanes hand back what they have, the actors stop,
//! the node leaves, asks when something is due, and closes its connections; it joins again when it wakes. A node that
//! sleeps is no node of the fleet, so no other node waits for its beats.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::actor::Node;
use crate::config::actor::{self as limits, IdleSleep};
use crate::metrics;
use crate::store::Error;

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slept {
    /// The node has joined again.
    Woken,
    /// The node was told to stop.
    Stopped,
}

/// Sleeps until something is due, a caller in this process needs the node, or the node is told to stop. The actors are
/// gone.
pub(super) async fn sleep(node: &Arc<Node>, sleep: IdleSleep, stopped: &mut oneshot::Receiver<()>) -> Slept {
    let due = match leave(node).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "could not leave to sleep; joining again");
            Some(Duration::ZERO)
        }
    };
    let lead = Duration::from_millis(limits::SLEEP_LEAD_MS);
    let most = due.map_or(sleep.most, |due| due.saturating_sub(lead).min(sleep.most));
    if !most.is_zero() {
        tracing::info!(seconds = most.as_secs(), "nothing to do: closing all connections and sleeping");
        metrics::ASLEEP.with([]).set(1.0);
        let told_to_stop = rest(node, most, stopped).await;
        metrics::ASLEEP.with([]).set(0.0);
        if told_to_stop {
            return Slept::Stopped;
        }
        tracing::info!("awake: joining again");
    }
    tokio::select! {
        biased;
        _ = stopped => Slept::Stopped,
        () = join(node) => Slept::Woken,
    }
}

/// Leaves as a node that stops does. Returns when something is due: what came in while the lanes were drained is due
/// now.
async fn leave(node: &Node) -> Result<Option<Duration>, Error> {
    node.record_throughput().await?;
    node.leave().await?;
    node.lease.clock.distrust();
    metrics::LEASE_TRUSTED.with([]).set(0.0);
    metrics::LISTENING.with([]).set(0.0);
    node.store.next_due(&node.definitions.runnable()).await
}

/// Waits without a connection; returns whether the node was told to stop. A caller that reads the store meanwhile opens
/// a connection, which is closed when it is no longer used.
async fn rest(node: &Node, most: Duration, stopped: &mut oneshot::Receiver<()>) -> bool {
    node.store.close_all();
    let close = async {
        loop {
            tokio::time::sleep(Duration::from_millis(limits::CONNECTIONS_LOOK_MS)).await;
            node.store.close_idle();
        }
    };
    tokio::select! {
        biased;
        // A message and a dropped sender both mean stop.
        _ = stopped => true,
        () = node.idleness.woken() => false,
        () = tokio::time::sleep(most) => false,
        () = close => false,
    }
}

/// Joins again as another incarnation; repeats that until it succeeds.
async fn join(node: &Node) {
    let mut pause = Duration::from_millis(limits::RESEND_PAUSE_MS);
    loop {
        match node.lease.membership.rejoin(&node.store).await {
            Ok((sent, beat)) => {
                node.confirmed(sent, &beat);
                node.chores.join();
                node.idleness.has_joined();
                return;
            }
            Err(error) => tracing::warn!(%error, "could not join again; retrying"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(limits::RESEND_PAUSE_MAX_MS));
    }
}
