//! Runs the built-in tools `saga_status`, `saga_cancel` and `saga_list`. A caller reads and cancels only what its
//! grants allow.

use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, JsonObject};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::builtin_tool::BuiltinTool;
use super::caller::Caller;
use super::elicitation::{self, Taken};
use super::phrasing::instant;
use super::report::refusal;
use super::server::Inner;
use crate::client::Error;
use crate::config::mcp as limits;
use crate::saga::event::Request;
use crate::saga::state::Status;
use crate::store::{self, Filter, Keyed, SagaRow};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    saga_id: Uuid,
    #[serde(default)]
    wait_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelArguments {
    saga_id: Uuid,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    tool: Option<String>,
    status: Option<Word>,
    limit: Option<usize>,
    before: Option<Uuid>,
}

/// A status as callers know it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Completed,
    Compensated,
    InProgress,
    Stuck,
    Abandoned,
}

impl Inner {
    /// Runs a call of a built-in tool.
    pub(super) async fn call_builtin(
        &self,
        tool: BuiltinTool,
        arguments: JsonObject,
        caller: &Caller,
    ) -> Result<CallToolResponse, ErrorData> {
        let done = match tool {
            BuiltinTool::Status => match read(arguments) {
                Ok(arguments) => return self.status(arguments, caller).await,
                Err(why) => return Ok(refusal(why).into()),
            },
            BuiltinTool::Cancel => match read(arguments) {
                Ok(arguments) => self.cancel(arguments, caller).await,
                Err(why) => return Ok(refusal(why).into()),
            },
            BuiltinTool::List => match read(arguments) {
                Ok(arguments) => self.list(arguments, caller).await,
                Err(why) => return Ok(refusal(why).into()),
            },
        };
        done.or_else(|error| failed(&error).map(CallToolResponse::from))
    }

    async fn status(&self, arguments: StatusArguments, caller: &Caller) -> Result<CallToolResponse, ErrorData> {
        let (row, _) = match self.seen(arguments.saga_id, caller).await {
            Ok(seen) => seen,
            Err(error) => return failed(&error).map(CallToolResponse::from),
        };
        let taken = self.take(row.id, elicitation::read(&caller.continued.replies)?, caller).await?;
        let wait = Duration::from_secs(arguments.wait_seconds).min(self.config.wait);
        Ok(self.answer(&row.name, row.id, wait, taken, caller).await.response(row.id, None))
    }

    async fn cancel(&self, arguments: CancelArguments, caller: &Caller) -> Result<CallToolResponse, Error> {
        let (row, key) = self.seen(arguments.saga_id, caller).await?;
        if !caller.principal.may_operate(&row.name, key.as_ref()) {
            let (saga, tool) = (row.id, &row.name);
            return Ok(refusal(format!("You may read saga {saga} of {tool}, but not cancel it.")).into());
        }
        let (asker, reason) = (caller.asker(), arguments.reason.trim().to_owned());
        let signal = match self.client.signal_for(&asker, row.id, Request::Cancel { reason }).await {
            Ok(signal) => signal,
            // A saga that has ended is answered with its result.
            Err(Error::Store(store::Error::SagaEnded(_))) => {
                return Ok(self.stands(&row.name, row.id).await.result(None).into());
            }
            Err(error) => return Err(error),
        };
        if let Some(why) = self.refusal_of(row.id, signal).await? {
            let mut result = self.stands(&row.name, row.id).await.result(None);
            result.content.insert(0, ContentBlock::text(format!("The saga was not cancelled: {why}.")));
            return Ok(result.into());
        }
        let told = self.answer(&row.name, row.id, self.config.wait, Taken::default(), caller).await;
        Ok(told.response(row.id, None))
    }

    /// Waits for the saga's decision on a signal, for up to `CANCEL_MS_MAX`. Returns the reason if the signal was
    /// refused; none if it was applied, or if the saga has not decided in time.
    pub(super) async fn refusal_of(&self, saga: Uuid, signal: u64) -> Result<Option<String>, Error> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(limits::CANCEL_MS_MAX) {
            if let Some(fate) = self.client.signal_outcome(saga, signal).await? {
                return Ok(fate.err());
            }
            tokio::time::sleep(Duration::from_millis(limits::START_PAUSE_MS)).await;
        }
        Ok(None)
    }

    async fn list(&self, arguments: ListArguments, caller: &Caller) -> Result<CallToolResponse, Error> {
        let limit = arguments.limit.unwrap_or(limits::LIST_ROWS).clamp(1, limits::LIST_ROWS_MAX);
        let statuses: &[Option<Status>] = match arguments.status {
            None => &[None],
            Some(Word::Completed) => &[Some(Status::Completed)],
            Some(Word::Compensated) => &[Some(Status::Compensated)],
            Some(Word::Stuck) => &[Some(Status::Stuck)],
            Some(Word::Abandoned) => &[Some(Status::Abandoned)],
            Some(Word::InProgress) => {
                &[Some(Status::Queued), Some(Status::Running), Some(Status::Compensating), Some(Status::Paused)]
            }
        };
        let mut rows: Vec<SagaRow> = Vec::new();
        for status in statuses {
            let (definition, before) = (arguments.tool.clone(), arguments.before);
            let visible = caller.principal.visible(&self.tools.names());
            rows.extend(self.client.list(Filter { status: *status, definition, before, limit, visible }).await?);
        }
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
        rows.truncate(limit);
        let sagas: Vec<Value> = rows.iter().map(listed).collect();
        let text = match sagas.as_slice() {
            [] => "There are no such sagas.".to_owned(),
            sagas => sagas.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
        };
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.structured_content = Some(json!({ "sagas": sagas }));
        Ok(result.into())
    }

    /// Returns a saga that the caller may read. To the caller, all other sagas do not exist.
    pub(super) async fn seen(&self, saga: Uuid, caller: &Caller) -> Result<(SagaRow, Option<Keyed>), Error> {
        let found = self.client.saga(saga).await?;
        let seen = found.filter(|(row, key)| caller.principal.may_read(&row.name, key.as_ref()));
        seen.ok_or(Error::Store(store::Error::UnknownSaga(saga)))
    }
}

/// Says why a built-in tool failed: to the model if the model can act on it, else to the host.
fn failed(error: &Error) -> Result<CallToolResult, ErrorData> {
    match error {
        Error::Store(store::Error::UnknownSaga(saga)) => Ok(refusal(format!("There is no saga {saga}."))),
        Error::Store(store::Error::Unavailable(_) | store::Error::Busy(_)) => {
            tracing::warn!(%error, "a built-in tool cannot reach the database");
            Ok(refusal("The database does not answer at the moment. Call again."))
        }
        error => {
            tracing::error!(%error, "a built-in tool failed");
            Err(ErrorData::internal_error("the call failed; see the log of the node", None))
        }
    }
}

/// Reads arguments. The error says what is wrong with them.
fn read<Arguments: for<'a> Deserialize<'a>>(arguments: JsonObject) -> Result<Arguments, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| format!("The arguments are wrong: {error}."))
}

fn listed(row: &SagaRow) -> Value {
    let status = match row.status {
        Status::Queued | Status::Running | Status::Compensating | Status::Paused => "in_progress",
        Status::Stuck => "stuck",
        Status::Completed => "completed",
        Status::Compensated => "compensated",
        Status::Abandoned => "abandoned",
    };
    json!({ "saga_id": row.id, "tool": row.name, "status": status, "started_at": instant(row.started_at) })
}
