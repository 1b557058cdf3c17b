//! One call of a saga's tool: key, input, start, wait, answer. If the caller goes away, its saga stops only where the
//! definition says so (`on_disconnect`). A call that brings replies to its saga's questions continues that saga.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResponse, CallToolResult, ContentBlock, CreateTaskResult, InputRequiredResult, JsonObject, MetaObject,
};
use serde_json::Value;
use uuid::Uuid;

use super::caller::Caller;
use super::elicitation::{self, Asked, Asking, Taken};
use super::key::{self, Key};
use super::progress;
use super::question::{self, Question};
use super::report::{self, Report, refusal};
use super::server::Inner;
use super::tools::SagaTool;
use super::{normalize, schema};
use crate::client::{Error, Origin, Started};
use crate::config::mcp as limits;
use crate::saga::Json;
use crate::saga::definition::OnDisconnect;
use crate::saga::event::Request;
use crate::store;

/// Answer of a call that has waited.
#[derive(Debug)]
pub(super) enum CallAnswer {
    /// State of the saga, and further messages to the caller.
    Report(Box<Report>, Vec<String>),
    /// Questions of the saga.
    Questions(Vec<Question>),
}

/// Stored key of a start.
#[derive(Debug)]
enum StoredKey {
    /// The start goes ahead under this key.
    New(String),
    /// Equal arguments have started this saga within the window.
    Used(Uuid),
}

impl Inner {
    /// Starts the saga of a call, waits for it, and answers.
    pub(super) async fn call(
        &self,
        offer: &SagaTool,
        arguments: JsonObject,
        caller: &Caller,
    ) -> Result<CallToolResponse, ErrorData> {
        let (mut input, argument) = schema::unpack(offer.shape, arguments);
        normalize::settle(&mut input);
        let key = match Key::from_call(&caller.meta, argument) {
            Ok(key) => key,
            Err(key::Fault::Host(why)) => return Err(ErrorData::invalid_params(why, None)),
            Err(key::Fault::Model(why)) => return Ok(refusal(format!("Nothing was started. {why}")).into()),
        };
        let replies = elicitation::read(&caller.continued.replies)?;
        let begun = self.begun(offer, caller).await?;
        let continues = begun.is_some();
        let started = match self.start(offer, input, &key, begun, caller).await {
            Ok(started) => started,
            Err(error) => return refused(offer, &key, error).map(CallToolResponse::from),
        };
        let taken = self.take(started.id, replies, caller).await?;
        let meta = report::meta(key.text(), !started.created && !continues);
        let wait = match caller.takes_tasks {
            true => self.config.wait.min(Duration::from_millis(limits::TASK_AFTER_MS)),
            false => self.config.wait,
        };
        let answered = self.answer(&offer.tool.name, started.id, wait, taken, caller);
        let told = match offer.definition.draft().on_disconnect {
            OnDisconnect::Continue => answered.await,
            OnDisconnect::Abort => tokio::select! {
                biased;
                () = caller.listener.gone() => {
                    self.abort(started.id, caller).await;
                    CallAnswer::Report(Box::new(self.stands(&offer.tool.name, started.id).await), Vec::new())
                }
                told = answered => told,
            },
        };
        let goes_on = match &told {
            CallAnswer::Report(report, _) => report.is_in_progress(),
            CallAnswer::Questions(_) => true,
        };
        if caller.takes_tasks
            && goes_on
            && let Ok(task) = self.task(started.id, caller).await
        {
            let mut created = CreateTaskResult::new(task);
            created.meta = meta;
            return Ok(created.into());
        }
        Ok(told.response(started.id, meta))
    }

    /// Returns the stored key of the saga that this call continues; none if the call continues no saga. Fails unless
    /// this caller started that saga, and with this tool.
    async fn begun(&self, offer: &SagaTool, caller: &Caller) -> Result<Option<String>, ErrorData> {
        let Some(state) = &caller.continued.state else { return Ok(None) };
        let none = || ErrorData::invalid_params("expected the requestState of an answer to this tool", None);
        let saga = Uuid::parse_str(state).map_err(|_| none())?;
        let found = self.client.saga(saga).await.map_err(|error| {
            tracing::warn!(%error, "cannot read the saga that a call continues");
            ErrorData::internal_error("the saga cannot be read at the moment; call again", None)
        })?;
        let (row, key) = found.ok_or_else(none)?;
        let key = key.filter(|key| caller.principal.has_started(Some(key)));
        match key {
            Some(key) if row.name == offer.definition.name() => Ok(Some(key.key)),
            Some(_) | None => Err(none()),
        }
    }

    /// Starts a saga under the key of a call. Every start has a stored key, so that it can be repeated while the
    /// database is away, for up to `START_MS_MAX`.
    async fn start(
        &self,
        offer: &SagaTool,
        input: Value,
        key: &Key,
        stored: Option<String>,
        caller: &Caller,
    ) -> Result<Started, Error> {
        let principal = &caller.principal;
        let owner = principal.owner();
        let origin = Origin { asker: Some(principal.asker()), owner: Some(owner.clone()), trace: caller.trace() };
        let begun = Instant::now();
        let name = offer.definition.name();
        let json = Json::from(&input);
        let call = Uuid::new_v4();
        // The key and the id of this call. A repeat uses both again, so that no window that ends meanwhile makes it a
        // second start.
        let mut first: Option<(String, Uuid)> = None;
        loop {
            let answer = async {
                let (stored, id) = match &first {
                    Some(first) => first.clone(),
                    None => {
                        let stored =
                            match self.stored_key(name, &input, key, stored.as_deref(), call, owner.clone()).await? {
                                StoredKey::New(stored) => stored,
                                StoredKey::Used(id) => return Ok(Started { id, created: false }),
                            };
                        let id = self.client.new_id(name, &json, Some(&owner), Some(&stored)).await?;
                        first.insert((stored, id)).clone()
                    }
                };
                self.client.start_from(origin.clone(), id, name, json.clone(), Some(stored)).await
            };
            match answer.await {
                Err(error) if is_passing(&error) && begun.elapsed() < Duration::from_millis(limits::START_MS_MAX) => {
                    tokio::time::sleep(Duration::from_millis(limits::START_PAUSE_MS)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Returns the stored key of a start. `stored`: the key of the saga that the call continues; `call`: the call's
    /// random number.
    async fn stored_key(
        &self,
        name: &str,
        input: &Value,
        key: &Key,
        stored: Option<&str>,
        call: Uuid,
        owner: Arc<str>,
    ) -> Result<StoredKey, Error> {
        Ok(StoredKey::New(match (key.text(), stored, self.config.dedupe) {
            (Some(key), _, _) => key::named(key),
            (None, Some(stored), _) => stored.to_owned(),
            (None, None, None) => key::unnamed(call),
            (None, None, Some(window)) => {
                let now_ms = self.client.now_ms().await?;
                let [this, before] = key::by_arguments(input, window, now_ms);
                match self.client.started_by(name, Some(owner), &before, window).await? {
                    Some(id) => return Ok(StoredKey::Used(id)),
                    None => this,
                }
            }
        }))
    }

    /// Cancels the saga of a caller that went away.
    async fn abort(&self, saga: Uuid, caller: &Caller) {
        let asker = caller.asker();
        let reason = "the caller went away before the answer (on_disconnect: abort)".to_owned();
        let begun = Instant::now();
        loop {
            match self.client.signal_for(&asker, saga, Request::Cancel { reason: reason.clone() }).await {
                Ok(_) | Err(Error::Store(store::Error::SagaEnded(_))) => return,
                Err(error) if is_passing(&error) && begun.elapsed() < Duration::from_millis(limits::START_MS_MAX) => {
                    tokio::time::sleep(Duration::from_millis(limits::START_PAUSE_MS)).await;
                }
                Err(error) => {
                    tracing::warn!(saga.id = %saga, %error, "could not cancel the saga of a caller that went away");
                    return;
                }
            }
        }
    }

    /// Waits for a saga and reports its state. Meanwhile asks the person at the client the saga's questions.
    pub(super) async fn answer(
        &self,
        tool: &str,
        saga: Uuid,
        wait: Duration,
        taken: Taken,
        caller: &Caller,
    ) -> CallAnswer {
        let mut asking = Asking::new(self, caller, saga, taken);
        let asked = tokio::select! {
            halted = self.client.halt(saga, wait) => {
                if let Err(error) = halted {
                    tracing::warn!(saga.id = %saga, %error, "a call cannot wait for its saga");
                }
                None
            }
            asked = asking.run(), if !wait.is_zero() => Some(asked),
            never = progress::tell(&self.client, saga, caller) => match never {},
            () = self.stopping.cancelled() => None,
            // No client can get the answer any more.
            () = caller.listener.gone_for_good() => None,
        };
        let said = asking.end().await;
        match asked {
            Some(Asked::Open(questions)) => CallAnswer::Questions(questions),
            Some(Asked::Dismissed) | None => CallAnswer::Report(Box::new(self.stands(tool, saga).await), said),
        }
    }

    /// Reports the state of a saga.
    pub(super) async fn stands(&self, tool: &str, saga: Uuid) -> Report {
        let reported = async {
            let found = Arc::new(self.client.inspect(saga).await?);
            Report::for_saga(&self.client, &found).await
        };
        reported.await.unwrap_or_else(|error: Error| {
            tracing::warn!(saga.id = %saga, %error, "a call cannot read the state of its saga");
            Report::unseen(tool, saga, "its state cannot be read at the moment".to_owned())
        })
    }
}

impl CallAnswer {
    /// Returns the answer in the form of the protocol.
    pub(super) fn response(self, saga: Uuid, meta: Option<MetaObject>) -> CallToolResponse {
        match self {
            Self::Report(report, said) => {
                let mut result = report.result(meta);
                result.content.splice(0..0, said.into_iter().map(ContentBlock::text));
                result.into()
            }
            Self::Questions(questions) => {
                let requests = question::requests(&questions);
                let mut asked = InputRequiredResult::new(Some(requests), Some(saga.to_string()));
                asked.meta = meta;
                asked.into()
            }
        }
    }
}

/// Returns whether the same request may succeed a moment later.
fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::StartUnknown(_)
            | Error::Store(store::Error::Unavailable(_) | store::Error::Busy(_) | store::Error::Fenced)
    )
}

/// Says why nothing was started: to the model if the model can act on it, else to the host.
fn refused(offer: &SagaTool, key: &Key, error: Error) -> Result<CallToolResult, ErrorData> {
    let tool = offer.definition.name();
    match error {
        Error::Input(faults) => Ok(refusal(format!(
            "Nothing was started: the arguments do not fit {tool}. Correct them and call again.\n{}",
            faults.join("\n")
        ))),
        Error::KeyConflict(message) => match key {
            Key::Model(_) => Ok(refusal(format!(
                "Nothing was started: idempotency_key_conflict: {message}. A repeat needs the same key and the same \
                 arguments. A new intention needs a new key."
            ))),
            Key::Host(_) | Key::None => Err(key::conflict(&message)),
        },
        Error::Store(store::Error::Invalid(message) | store::Error::QuotaExceeded(message)) => {
            Ok(refusal(format!("Nothing was started: {message}.")))
        }
        error if is_passing(&error) => {
            tracing::warn!(%error, tool, "a call could not start its saga");
            let safe = match key {
                Key::None => "It may or may not have started; saga_list shows it if it has.",
                Key::Host(_) | Key::Model(_) => "Call again with the same idempotency_key; nothing happens twice.",
            };
            Ok(refusal(format!("The database of {tool} does not answer at the moment. {safe}")))
        }
        error => {
            tracing::error!(%error, tool, "a call failed");
            Err(ErrorData::internal_error("the call could not be started; see the log of the node", None))
        }
    }
}
