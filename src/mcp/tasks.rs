//! MCP tasks (SEP-2663) for clients that declare them. Owns how a saga looks as a task: the task is the saga,
//! its id the handle, so a task is durable before its answer leaves and can be read on any node, and nothing
//! is kept twice.

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResult, DetailedTask, GetTaskResult, InputResponses, JsonObject, Task, TaskPayload, TaskStatus,
};
use serde_json::Value;
use uuid::Uuid;

use super::caller::Caller;
use super::elicitation;
use super::phrasing::instant;
use super::question::{self, Question};
use super::report::Report;
use super::server::Inner;
use crate::client::{Error, Inspection};
use crate::config::mcp::TASK_POLL_MS;
use crate::saga::event::Request;
use crate::saga::state::{Status, TurnBack};
use crate::store;

impl Inner {
    /// The task that a saga is.
    pub(super) async fn task(&self, saga: Uuid, caller: &Caller) -> Result<Task, Error> {
        let found = self.client.inspect(saga).await?;
        let questions = self.questions_of(&found, caller).await?;
        Ok(detailed(&found, &questions).task)
    }

    /// Says how a task stands, with its result when it has one.
    pub(super) async fn get_task(&self, id: &str, caller: &Caller) -> Result<GetTaskResult, ErrorData> {
        let saga = self.task_of(id, caller).await?.0;
        let found = self.client.inspect(saga).await.map_err(|error| failed(&error))?;
        let questions = self.questions_of(&found, caller).await.map_err(|error| failed(&error))?;
        Ok(GetTaskResult::new(detailed(&found, &questions)))
    }

    /// Takes replies to what a task asks. It is only acknowledged; what is not asked any more is nobody's.
    pub(super) async fn update_task(
        &self,
        id: &str,
        replies: &InputResponses,
        caller: &Caller,
    ) -> Result<(), ErrorData> {
        let (saga, _) = self.task_of(id, caller).await?;
        let taken = self.take(saga, elicitation::read(replies)?, caller).await?;
        tracing::debug!(saga.id = %saga, ?taken, "a task was told");
        Ok(())
    }

    /// Turns a task's saga back. It is only acknowledged: whether the saga may turn back is its own to say.
    pub(super) async fn cancel_task(&self, id: &str, caller: &Caller) -> Result<(), ErrorData> {
        let (saga, may_operate) = self.task_of(id, caller).await?;
        if !may_operate {
            return Err(ErrorData::invalid_params("you may see this task, and not cancel it", None));
        }
        let asker = caller.principal.asker();
        match self.client.signal_for(&asker, saga, Request::Cancel { reason: String::new() }).await {
            Ok(_) | Err(Error::Store(store::Error::SagaEnded(_))) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The saga of a task that the caller may see, and whether it may act on it.
    pub(super) async fn task_of(&self, id: &str, caller: &Caller) -> Result<(Uuid, bool), ErrorData> {
        let unknown = || ErrorData::invalid_params(format!("there is no task {id:?}"), None);
        let saga = Uuid::parse_str(id).map_err(|_| unknown())?;
        match self.seen(saga, caller).await {
            Ok((row, key)) => Ok((saga, caller.principal.may_operate(&row.name, key.as_deref()))),
            Err(Error::Store(store::Error::UnknownSaga(_))) => Err(unknown()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &Error) -> ErrorData {
    tracing::warn!(%error, "a task could not be asked about");
    ErrorData::internal_error("the task cannot be asked about at the moment", None)
}

fn detailed(found: &Inspection, questions: &[Question]) -> DetailedTask {
    let report = Report::of(found);
    let payload = match found.saga.status {
        Status::Completed | Status::Abandoned => done(&report.result(None)),
        Status::Compensated if was_cancelled(found) => TaskPayload::Cancelled,
        Status::Compensated => done(&report.result(None)),
        Status::Queued | Status::Running | Status::Compensating | Status::Paused if !questions.is_empty() => {
            TaskPayload::InputRequired { input_requests: question::requests(questions) }
        }
        // A result never changes; what a stuck saga comes to is not known yet.
        Status::Queued | Status::Running | Status::Compensating | Status::Paused | Status::Stuck => {
            TaskPayload::Working
        }
    };
    let (created_at, ended_at) = (instant(found.saga.started_at), found.saga.ended_at.map(instant));
    let moved_at = ended_at.or_else(|| found.state.as_ref().map(|state| instant(state.at)));
    let updated_at = moved_at.unwrap_or_else(|| created_at.clone());
    let mut task = Task::new(found.saga.id.to_string(), TaskStatus::Working, created_at, updated_at)
        .with_poll_interval_ms(TASK_POLL_MS);
    if !matches!(payload, TaskPayload::Completed { .. }) {
        task = task.with_status_message(report.text());
    }
    DetailedTask::new(task, payload)
}

fn done(result: &CallToolResult) -> TaskPayload {
    let value = serde_json::to_value(result).unwrap_or_default();
    let result: JsonObject = match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    };
    TaskPayload::Completed { result }
}

/// Whether somebody asked for it to be turned back.
fn was_cancelled(found: &Inspection) -> bool {
    let turned_back = found.state.as_ref().and_then(|state| state.turn_back.as_ref());
    matches!(turned_back, Some(TurnBack::Asked { .. }))
}
