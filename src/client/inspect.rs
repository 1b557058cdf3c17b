//! Inspects one saga: gathers its row, its definition and the state that its journal folds to. The doors put the
//! state into words.

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
    /// The row of the saga.
    pub saga: SagaRow,
    /// The definition that the saga is pinned to.
    pub definition: Arc<Definition>,
    /// The state that the journal folds to. None before a node has taken the saga.
    pub state: Option<State>,
    /// Number of events in the journal.
    pub events: usize,
}

impl Client {
    /// Reads a saga. Does not read a journal that was set aside because it crashed every process that read it.
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
                // Reading the journal could crash this process too.
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

    /// Returns the definition of a saga: from the registry, else from the store.
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
