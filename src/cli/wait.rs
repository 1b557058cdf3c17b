//! Waiting for what others do: the end of a saga, the fate of a signal. Owns the polling and its limits.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::failure::{Exit, Failure};
use crate::config::cli::{POLL_MS_MAX, POLL_MS_MIN};
use crate::saga::event::Event;
use crate::saga::state::Status;
use crate::store::{RerunFate, SagaRow, Store};

/// What became of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Applied,
    Refused(String),
}

/// Waits until a saga has ended or needs a person. None: not within `limit`.
pub(super) async fn for_halt(
    store: &Store,
    id: Uuid,
    limit: Option<Duration>,
) -> Result<Option<SagaRow>, Failure> {
    poll(limit, async || {
        let saga = store.saga(id).await?.ok_or(crate::store::Error::UnknownSaga(id))?;
        Ok((saga.status.is_end() || saga.status == Status::Stuck).then_some(saga))
    })
    .await
}

/// Waits until a signal was applied or refused. None: not within `limit`.
pub(super) async fn for_fate(
    store: &Store,
    id: Uuid,
    signal: u64,
    limit: Duration,
) -> Result<Option<Fate>, Failure> {
    poll(Some(limit), async || {
        let signals = store.signals_after(id, signal.saturating_sub(1)).await?;
        let found = signals.into_iter().find(|one| one.n == signal);
        match found.as_ref().and_then(|signal| signal.fate.as_deref()) {
            Some("applied") => return Ok(Some(Fate::Applied)),
            Some(_) => {
                let answer = found.and_then(|signal| signal.answer).unwrap_or_default();
                return Ok(Some(Fate::Refused(answer)));
            }
            None => {}
        }
        // With the end of a saga its open signals become moot.
        let ended = store.saga(id).await?.is_none_or(|saga| saga.status.is_end());
        if !ended {
            return Ok(None);
        }
        let fate = fate_in_journal(store, id, signal).await?;
        Ok(Some(fate.unwrap_or_else(|| Fate::Refused("the saga ended before it was seen".to_owned()))))
    })
    .await
}

/// Waits until a node has decided about a rerun. None: not within `limit`.
pub(super) async fn for_rerun(
    store: &Store,
    rerun: Uuid,
    limit: Duration,
) -> Result<Option<RerunFate>, Failure> {
    poll(Some(limit), async || Ok(store.rerun_fate(rerun).await?)).await
}

async fn fate_in_journal(store: &Store, id: Uuid, signal: u64) -> Result<Option<Fate>, Failure> {
    let journal = store.journal(id).await?;
    let fate =
        journal.iter().filter_map(|row| serde_json::from_str(&row.body).ok()).find_map(|event| match event {
            Event::Requested(event) if event.signal == signal => Some(Fate::Applied),
            Event::RequestRefused(event) if event.signal == signal => Some(Fate::Refused(event.reason)),
            _ => None,
        });
    Ok(fate)
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
