//! Waiting for what others do: the end of a saga, the fate of a signal. Owns the polling and its limits.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::failure::{Exit, Failure};
use crate::config::cli::{POLL_MS_MAX, POLL_MS_MIN};
use crate::saga::state::Status;
use crate::store::{RerunFate, SagaRow, SignalFate, Store};

/// Waits until a saga has ended or needs a person. None: not within `limit`.
pub(super) async fn for_halt(store: &Store, id: Uuid, limit: Option<Duration>) -> Result<Option<SagaRow>, Failure> {
    poll(limit, async || {
        let saga = store.saga(id).await?.ok_or(crate::store::Error::UnknownSaga(id))?;
        Ok((saga.status.is_end() || saga.status == Status::Stuck).then_some(saga))
    })
    .await
}

/// Waits until it is known what became of a signal. None: not within `limit`.
pub(super) async fn for_fate(
    store: &Store,
    id: Uuid,
    signal: u64,
    limit: Duration,
) -> Result<Option<SignalFate>, Failure> {
    poll(Some(limit), async || Ok(store.signal_fate(id, signal).await?)).await
}

/// Waits until a node has decided about a rerun. None: not within `limit`.
pub(super) async fn for_rerun(store: &Store, rerun: Uuid, limit: Duration) -> Result<Option<RerunFate>, Failure> {
    poll(Some(limit), async || Ok(store.rerun_fate(rerun).await?)).await
}

/// Asks again and again, ever more slowly, until there is an answer or the limit is over. A database that is
/// away for a moment is asked again, too.
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
