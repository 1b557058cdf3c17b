//! Starting sagas. Owns the choice of the way: a lane of this process where there is one, else the queue for
//! whichever node takes it.

use uuid::Uuid;

use super::{Client, Error, Side};
use crate::actor::{Pinned, Roster, StartAnswer};
use crate::saga::Json;
use crate::store::{self, StartKey};

/// What a start came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The saga.
    pub id: Uuid,
    /// It was started by this request; otherwise one before, with the same key and the same input, has.
    pub fresh: bool,
}

impl Client {
    /// Starts a saga under `id`, or returns the first saga of the same key and the same input.
    ///
    /// With a key this may be repeated until there is an answer. Without one, [`Error::StartUnknown`] and a
    /// lost database may hide a start.
    pub async fn start(
        &self,
        id: Uuid,
        definition: &str,
        input: Json,
        key: Option<String>,
    ) -> Result<Started, Error> {
        let (client, name) = (self.clone(), definition.to_owned());
        self.on_work(async move {
            let known = client.registry().await?.current(&name);
            if let Some((pinned, _)) = &known {
                pinned.definition.check_input(&input).map_err(Error::Input)?;
            }
            let paused = match &known {
                Some((pinned, _)) => client.registry().await?.is_paused(pinned.id),
                None => false,
            };
            // With a concurrency key the database says whose turn it is.
            if let (Side::Node { roster, .. }, Some((pinned, missing))) = (&client.inner.side, known)
                && missing.is_empty()
                && !paused
                && pinned.definition.draft().concurrency.is_none()
            {
                let start_key = key.clone().map(|key| StartKey::new(key, input.clone())).transpose()?;
                if let Some(started) = start_here(roster, id, pinned, input.clone(), start_key).await? {
                    return Ok(started);
                }
            }
            client.start_queued(id, &name, &input, key.as_deref()).await
        })
        .await
    }

    /// Starts through the queue, for whichever node takes it.
    async fn start_queued(
        &self,
        id: Uuid,
        name: &str,
        input: &Json,
        key: Option<&str>,
    ) -> Result<Started, Error> {
        let started = self.inner.store.start_as(id, name, input, key).await.map_err(|error| match error {
            store::Error::KeyConflict(message) => Error::KeyConflict(message),
            other => Error::Store(other),
        })?;
        if let Side::Node { node, roster } = &self.inner.side {
            node.bell.ring_for_turns();
            roster.look();
        }
        Ok(Started { id: started, fresh: started == id })
    }
}

/// Starts on a lane of this node; none when no lane takes it.
async fn start_here(
    roster: &Roster,
    id: Uuid,
    pinned: Pinned,
    input: Json,
    key: Option<StartKey>,
) -> Result<Option<Started>, Error> {
    match roster.start(id, pinned, input, key).await {
        StartAnswer::Fresh(saga) => Ok(Some(Started { id: saga, fresh: true })),
        StartAnswer::Existing(saga) => Ok(Some(Started { id: saga, fresh: saga == id })),
        StartAnswer::KeyConflict(saga) => {
            Err(Error::KeyConflict(format!("the key was used before with another input, for saga {saga}")))
        }
        StartAnswer::Rejected(message) => {
            Err(Error::Store(store::Error::Rejected { code: "row".to_owned(), message }))
        }
        StartAnswer::NotTaken => Ok(None),
        StartAnswer::Unknown => Err(Error::StartUnknown(id)),
    }
}
