//! Polls for sagas that ended on other nodes and wakes their waiting callers. One round reads the ends of all awaited
//! sagas, `ENDS_READ_MAX` per statement. The callers are listed in `node/waiters.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::actor::node::waiters::Ended;
use crate::config::actor as limits;
use crate::store::Error;

/// Poller for ends on other nodes.
pub(crate) struct CompletionPoller(pub(crate) Arc<Node>);

impl Chore for CompletionPoller {
    const NAME: &'static str = "completions";
    const PLACES: [&'static str; 2] = ["completion_poller: started", "completion_poller: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        let node = &self.0;
        node.wakeups.waiters.come().await;
        for sagas in node.wakeups.waiters.overdue().chunks(limits::ENDS_READ_MAX) {
            match node.store.ended(sagas).await {
                Ok(ends) => ends.into_iter().for_each(|(saga, end)| match end {
                    Some((status, result)) => node.wakeups.waiters.tell(saga, &Ended { status, result }),
                    None => node.wakeups.waiters.release_unknown(saga),
                }),
                Err(error) => tracing::warn!(%error, "could not read the ends of awaited sagas; retrying"),
            }
        }
        Ok(Duration::from_millis(limits::ENDS_POLL_MS))
    }
}
