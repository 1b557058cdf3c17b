//! Waits until a node has acted: a saga has ended, or a signal or a rerun is decided. Owns the polling and its
//! limits.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::failure::{Exit, Failure};
use crate::config::cli::{POLL_MS_MAX, POLL_MS_MIN};
use crate::saga::state::Status;
use crate::store::{RerunFate, SagaRow, SignalFate, Store};

/// Waits until a saga has ended or is stuck. Returns `None` after `limit`.
pub(super) async fn for_halt(store: &Store, id: Uuid, limit: Option<Duration>) -> Result<Option<SagaRow>, Failure> {
    poll(limit, async || {
        let saga = store.saga(id).await?.ok_or(crate::store::Error::UnknownSaga(id))?;
        Ok((saga.status.is_end() || saga.status == Status::Stuck).then_some(saga))
    })
    .await
}

/// Waits until a signal is decided. Returns `None` after `limit`.
pub(super) async fn for_fate(
    store: &Store,
    id: Uuid,
    signal: u64,
    limit: Duration,
) -> Result<Option<SignalFate>, Failure> {
    poll(Some(limit), async || Ok(store.signal_fate(id, signal).await?)).await
}

/// Waits until a node has decided a rerun. Returns `None` after `limit`.
pub(super) async fn for_rerun(store: &Store, rerun: Uuid, limit: Duration) -> Result<Option<RerunFate>, Failure> {
    poll(Some(limit), async || Ok(store.rerun_fate(rerun).await?)).await
}

/// Polls with growing pauses until there is an answer or the limit is over. Polls again after `store::Error::Busy`.
/// Every other failure ends the wait.
async fn poll<T>(
    limit: Option<Duration>,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(POLL_MS_MIN);
    loop {
        match ask().await {
            Ok(None) => {}
            Err(failure) if failure.exit == Exit::Unanswered => {}
            answer => return answer,
        }
        let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        tokio::time::sleep(left.unwrap_or(pause).min(pause)).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(POLL_MS_MAX));
    }
}
