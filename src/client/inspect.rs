//! Looking at one saga: its row, its definition and the fold of its journal. Owns gathering them; what a
//! state means in words is said by the doors.

use std::sync::Arc;

use uuid::Uuid;

use super::{Client, Error};
use crate::saga::event::Event;
use crate::saga::state::{State, Status};
use crate::saga::{Definition, replay};
use crate::store::{self, JournalRow, SagaRow};

/// One saga as it stands.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its row.
    pub saga: SagaRow,
    /// The definition that it is pinned to.
    pub definition: Arc<Definition>,
    /// The fold of its journal; none before a node has taken it.
    pub state: Option<State>,
    /// How many events its journal holds.
    pub events: usize,
}

impl Client {
    /// Looks at a saga.
    pub async fn inspect(&self, saga: Uuid) -> Result<Inspection, Error> {
        let client = self.clone();
        self.on_work(async move {
            let store = &client.inner.store;
            let row = store.saga(saga).await?.ok_or(store::Error::UnknownSaga(saga))?;
            let definition = client.pinned(saga, &row).await?;
            let unreadable = |why: String| Error::Unreadable(saga, why);
            if row.status == Status::Stuck
                && let Some(aside) = store.unreadable(saga).await?.filter(|aside| aside.died)
            {
                // This process would rather not be the next.
                return Err(unreadable(aside.reason));
            }
            let journal = store.journal(saga).await?;
            let events: Result<Vec<Event>, String> = journal.iter().map(JournalRow::event).collect();
            let events = events.map_err(unreadable)?;
            let state = match events.is_empty() {
                true => None,
                false => Some(replay(&definition, &events).map_err(|error| unreadable(error.to_string()))?),
            };
            Ok(Inspection { saga: row, definition, state, events: events.len() })
        })
        .await
    }

    /// The definition of a saga: as the registry knows it, else as it is stored.
    async fn pinned(&self, saga: Uuid, row: &SagaRow) -> Result<Arc<Definition>, Error> {
        if let Some(pinned) = self.registry().await?.get(row.definition) {
            return Ok(pinned.definition);
        }
        let unreadable = |why: String| Error::Unreadable(saga, format!("definition {}: {why}", row.name));
        let stored = self.inner.store.definition(&row.digest).await?;
        let stored = stored.ok_or_else(|| store::Error::UnknownDefinition(row.digest.clone()))?;
        stored.build().map_err(unreadable)
    }
}
