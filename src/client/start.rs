//! Starts sagas: on a lane of this process if one takes the saga, else through the queue, from which any node takes
//! it.

use std::sync::Arc;

use uuid::{NoContext, Timestamp, Uuid};

use super::{Backend, Client, Error};
use crate::actor::StartOutcome;
use crate::participant::expr;
use crate::saga::{Asker, Bucket, Json, concurrency_key};
use crate::store::{self, StartKey, StartOptions, stored_key};
use crate::trace::TraceParent;

/// The result of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The saga.
    pub id: Uuid,
    /// Whether this request started the saga. Otherwise an earlier request with the same key and the same input did.
    pub created: bool,
}

/// Where a start comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Name of the caller, who is the `principal` of the start. It is recorded: it does not approve what it started,
    /// unless the definition says so. None: the database user of this process, who is recorded only if there is no
    /// node here.
    pub asker: Option<String>,
    /// The caller as the owner of its start keys: `mcp:NAME`. None: the keys are those of an application.
    pub owner: Option<Arc<str>>,
    /// The caller's position in a trace.
    pub trace: Option<TraceParent>,
}

impl Client {
    /// Returns a new id for a start: a UUIDv7 by the database's clock, so that it falls into an existing partition. Its
    /// bucket is that of the start's concurrency key, else of its start key, which is one of `owner` (none: of an
    /// application), else a random one.
    pub async fn new_id(
        &self,
        definition: &str,
        input: &Json,
        owner: Option<&str>,
        key: Option<&str>,
    ) -> Result<Uuid, Error> {
        let key = key.map(|key| stored_key(owner, key)).transpose()?;
        let now_ms = self.now_ms().await?;
        let nanos = u32::try_from(now_ms % 1_000).unwrap_or_default() * 1_000_000;
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, now_ms / 1_000, nanos));
        let turn = self.definition(definition).await?.and_then(|definition| {
            let path = expr::input_path(definition.draft().concurrency.as_ref()?)?;
            concurrency_key(input, &path)
        });
        Ok(turn.as_deref().or(key.as_deref()).map_or(id, |key| Bucket::from_key(key).put_into(id)))
    }

    /// Starts a saga under `id`, or returns the first saga of the same key and the same input.
    ///
    /// With a key, the caller may repeat the start until there is an answer. Without a key, the saga may have started
    /// despite [`Error::StartUnknown`] or a lost database.
    pub async fn start(&self, id: Uuid, definition: &str, input: Json, key: Option<String>) -> Result<Started, Error> {
        self.start_from(Origin::default(), id, definition, input, key).await
    }

    /// Starts a saga as [`Client::start`] does, and says where the start comes from.
    pub async fn start_from(
        &self,
        origin: Origin,
        id: Uuid,
        definition: &str,
        input: Json,
        key: Option<String>,
    ) -> Result<Started, Error> {
        let Origin { asker, owner, trace } = origin;
        let traceparent: Option<Arc<str>> = trace.map(|trace| trace.to_string().into());
        if let Backend::Node(node) = &self.inner.backend
            && let Some((pinned, missing)) = node.definitions().current(definition)
        {
            let (checked, own) = (pinned.clone(), input.clone());
            self.aside(move || checked.check_start(&own)).await?.map_err(Error::Input)?;
            // With a concurrency key the saga must wait for its turn in the database; with a quota it is counted there.
            let draft = pinned.definition.draft();
            let in_database = draft.concurrency.is_some() || draft.quota.is_some();
            if missing.is_empty() && !in_database && !node.definitions().is_paused(pinned.id) {
                let start_key = key.as_deref().map(|key| StartKey::owned(owner.clone(), key, input.clone()));
                let (key, starter) = (start_key.transpose()?, asker.as_deref().map(Asker::new));
                let answer = node.start(id, pinned, input.clone(), key, traceparent.clone(), starter).await;
                if let Some(started) = started_here(id, answer)? {
                    return Ok(started);
                }
            }
        }
        let (client, name) = (self.clone(), definition.to_owned());
        self.on_work(async move {
            if let Some((pinned, _)) = client.registry().await?.current(&name) {
                let own = input.clone();
                client.aside(move || pinned.definition.check_input(&own)).await?.map_err(Error::Input)?;
            }
            let (key, owner) = (key.as_deref(), owner.as_deref());
            let unnamed = matches!(client.inner.backend, Backend::Node(_)).then_some("");
            let (traceparent, asker) = (traceparent.as_deref(), asker.as_deref().or(unnamed));
            let options = StartOptions { id: Some(id), key, owner, traceparent, asker };
            client.start_queued(&name, &input, id, options).await
        })
        .await
    }

    /// Starts a saga through the queue, from which any node takes it.
    async fn start_queued(
        &self,
        name: &str,
        input: &Json,
        id: Uuid,
        options: StartOptions<'_>,
    ) -> Result<Started, Error> {
        let started = self.inner.store.start_with(name, input, options).await;
        let started = started.map_err(|error| match error {
            store::Error::KeyConflict(message) => Error::KeyConflict(message),
            other => Error::Store(other),
        })?;
        if let Backend::Node(node) = &self.inner.backend {
            node.queued();
        }
        Ok(Started { id: started, created: started == id })
    }
}

/// Returns the result of a start on a lane of this node. None if no lane took the saga.
fn started_here(id: Uuid, answer: StartOutcome) -> Result<Option<Started>, Error> {
    match answer {
        StartOutcome::Fresh(saga) => Ok(Some(Started { id: saga, created: true })),
        StartOutcome::Existing(saga) => Ok(Some(Started { id: saga, created: saga == id })),
        StartOutcome::KeyConflict(saga) => {
            Err(Error::KeyConflict(format!("the key was used before with another input, for saga {saga}")))
        }
        StartOutcome::Rejected(message) => {
            Err(Error::Store(store::Error::Rejected { code: "row".to_owned(), message }))
        }
        StartOutcome::NotTaken => Ok(None),
        StartOutcome::Unknown => Err(Error::StartUnknown(id)),
    }
}
