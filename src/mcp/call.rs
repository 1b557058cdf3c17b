//! One call of a tool that is a definition. Owns its course: key, input, start, wait, answer. A caller that
//! goes away stops its saga only where the definition says so.

use std::time::{Duration, Instant};

use rmcp::model::{CallToolResponse, CallToolResult, CreateTaskResult, JsonObject, RequestMetaObject};
use rmcp::service::{Peer, RequestContext};
use rmcp::{ErrorData, RoleServer};
use serde_json::Value;
use uuid::Uuid;

use super::door::Inner;
use super::key::{self, Key};
use super::listener::Listener;
use super::principal::Principal;
use super::progress;
use super::report::{self, Report, refusal};
use super::tools::Offer;
use super::{number, schema, tasks};
use crate::client::{Error, Halt, Started};
use crate::config::mcp as limits;
use crate::saga::Json;
use crate::saga::definition::OnDisconnect;
use crate::saga::event::Request;
use crate::store;

/// Whom a call comes from, and how it wants to be answered.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) meta: RequestMetaObject,
    pub(super) peer: Peer<RoleServer>,
    pub(super) listener: Listener,
    /// It takes a task for an answer.
    pub(super) takes_tasks: bool,
}

impl Caller {
    /// The caller of a request.
    pub(super) fn of(principal: Principal, context: RequestContext<RoleServer>) -> Self {
        let takes_tasks = tasks::taken_by(&context);
        let listener = Listener::of(&context);
        Self { principal, meta: context.meta, peer: context.peer, listener, takes_tasks }
    }
}

impl Inner {
    /// Starts the saga of a call, waits for it, and answers.
    pub(super) async fn call(
        &self,
        offer: &Offer,
        arguments: JsonObject,
        caller: &Caller,
    ) -> Result<CallToolResponse, ErrorData> {
        let (mut input, argument) = schema::unpack(offer.shape, arguments);
        number::settle(&mut input);
        let key = match Key::of(&caller.meta, argument) {
            Ok(key) => key,
            Err(key::Fault::Host(why)) => return Err(ErrorData::invalid_params(why, None)),
            Err(key::Fault::Model(why)) => return Ok(refusal(format!("Nothing was started. {why}")).into()),
        };
        let started = match self.start(offer, input, &key, &caller.principal).await {
            Ok(started) => started,
            Err(error) => return refused(offer, &key, error).map(CallToolResponse::from),
        };
        let meta = report::meta(key.text(), !started.fresh);
        let wait = match caller.takes_tasks {
            true => self.config.wait.min(Duration::from_millis(limits::TASK_AFTER_MS)),
            false => self.config.wait,
        };
        let answered = self.answer(&offer.tool.name, started.id, wait, caller);
        let report = match offer.definition.draft().on_disconnect {
            OnDisconnect::Continue => answered.await,
            OnDisconnect::Abort => tokio::select! {
                biased;
                () = caller.listener.gone() => {
                    self.abort(started.id, caller).await;
                    self.answer(&offer.tool.name, started.id, Duration::ZERO, caller).await
                }
                report = answered => report,
            },
        };
        if caller.takes_tasks
            && report.is_in_progress()
            && let Ok(task) = self.task(started.id).await
        {
            let mut created = CreateTaskResult::new(task);
            created.meta = meta;
            return Ok(created.into());
        }
        Ok(report.result(meta).into())
    }

    /// Starts a saga under the key of a call. Every start has a key of its own at least, so that it can be
    /// repeated until the database has answered.
    async fn start(
        &self,
        offer: &Offer,
        input: Value,
        key: &Key,
        principal: &Principal,
    ) -> Result<Started, Error> {
        let begun = Instant::now();
        let name = offer.definition.name();
        let json = Json::from(&input);
        let mut id = None;
        loop {
            let answer = async {
                let id = match id {
                    Some(id) => id,
                    None => *id.insert(self.client.fresh_id().await?),
                };
                let stored = match (key.text(), self.config.dedupe) {
                    (Some(key), _) => key::named(principal, key),
                    (None, None) => key::unnamed(principal, id),
                    (None, Some(window)) => {
                        let now_ms = self.client.now_ms().await?;
                        let [this, before] = key::by_arguments(principal, &input, window, now_ms);
                        if let Some(id) = self.client.started_by(name, &before, window).await? {
                            return Ok(Started { id, fresh: false });
                        }
                        this
                    }
                };
                self.client.start(id, name, json.clone(), Some(stored)).await
            };
            match answer.await {
                Err(error)
                    if is_passing(&error)
                        && begun.elapsed() < Duration::from_millis(limits::START_MS_MAX) =>
                {
                    tokio::time::sleep(Duration::from_millis(limits::START_PAUSE_MS)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Cancels the saga of a caller that has gone away.
    async fn abort(&self, saga: Uuid, caller: &Caller) {
        let name = caller.principal.name();
        let reason = format!("{name} went away before the answer (on_disconnect: abort)");
        let begun = Instant::now();
        loop {
            match self.client.signal(saga, Request::Cancel { reason: reason.clone() }).await {
                Ok(_) | Err(Error::Store(store::Error::SagaEnded(_))) => return,
                Err(error)
                    if is_passing(&error)
                        && begun.elapsed() < Duration::from_millis(limits::START_MS_MAX) =>
                {
                    tokio::time::sleep(Duration::from_millis(limits::START_PAUSE_MS)).await;
                }
                Err(error) => {
                    tracing::warn!(saga.id = %saga, %error, "a saga without a caller was not cancelled");
                    return;
                }
            }
        }
    }

    /// Waits for a saga and says how it stands then.
    pub(super) async fn answer(&self, tool: &str, saga: Uuid, wait: Duration, caller: &Caller) -> Report {
        let halted = tokio::select! {
            halted = self.client.halt(saga, wait) => halted,
            never = progress::tell(&self.client, saga, caller) => match never {},
            () = self.stopping.cancelled() => Ok(Halt::Unfinished),
            // Whoever is gone hears no answer.
            () = caller.listener.gone() => Ok(Halt::Unfinished),
        };
        let found = match halted {
            Ok(_) => self.client.inspect(saga).await,
            Err(error) => Err(error),
        };
        found.map(|found| Report::of(&found)).unwrap_or_else(|error| {
            tracing::warn!(saga.id = %saga, %error, "a call cannot say how its saga stands");
            Report::unseen(tool, saga, "its state cannot be read at the moment".to_owned())
        })
    }
}

/// Whether the same start may come to something a moment later.
fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::StartUnknown(_)
            | Error::Store(store::Error::Unavailable(_) | store::Error::Busy(_) | store::Error::Fenced)
    )
}

/// Says why nothing was started, to whoever can do something about it.
fn refused(offer: &Offer, key: &Key, error: Error) -> Result<CallToolResult, ErrorData> {
    let tool = offer.definition.name();
    match error {
        Error::Input(faults) => Ok(refusal(format!(
            "Nothing was started: the arguments do not fit {tool}. Correct them and call again.\n{}",
            faults.join("\n")
        ))),
        Error::KeyConflict(message) => match key {
            Key::Model(_) => Ok(refusal(format!(
                "Nothing was started: idempotency_key_conflict: {message}. The same key is for a repeat with the same \
                 arguments; what is meant anew needs a new key."
            ))),
            Key::Host(_) | Key::None => Err(key::conflict(&message)),
        },
        Error::Store(store::Error::Invalid(message)) => {
            Ok(refusal(format!("Nothing was started: {message}.")))
        }
        error if is_passing(&error) => {
            tracing::warn!(%error, tool, "a call was not started");
            let safe = match key {
                Key::None => "It may or may not have started; saga_list shows it if it has.",
                Key::Host(_) | Key::Model(_) => {
                    "Call again with the same idempotency_key; nothing happens twice."
                }
            };
            Ok(refusal(format!("The database of {tool} does not answer at the moment. {safe}")))
        }
        error => {
            tracing::error!(%error, tool, "a call failed");
            Err(ErrorData::internal_error("the call could not be started; see the log of the node", None))
        }
    }
}
