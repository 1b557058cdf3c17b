//! MCP tasks (SEP-2663), for clients that declare them. A task is the saga, and its id is the saga's id. So a task is
//! durable before its answer leaves, any node can read it, and nothing is stored twice.

use std::sync::Arc;

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
    /// Returns the task of a saga.
    pub(super) async fn task(&self, saga: Uuid, caller: &Caller) -> Result<Task, Error> {
        Ok(self.detailed(saga, caller).await?.task)
    }

    /// Returns the state of a task, with its result when it has one.
    pub(super) async fn get_task(&self, id: &str, caller: &Caller) -> Result<GetTaskResult, ErrorData> {
        let saga = self.task_of(id, caller).await?.0;
        let detailed = self.detailed(saga, caller).await.map_err(|error| failed(&error))?;
        Ok(GetTaskResult::new(detailed))
    }

    async fn detailed(&self, saga: Uuid, caller: &Caller) -> Result<DetailedTask, Error> {
        let found = Arc::new(self.client.inspect(saga).await?);
        let questions = self.questions_of(&found, caller).await?;
        let report = Report::for_saga(&self.client, &found).await?;
        Ok(detailed(&found, &questions, &report))
    }

    /// Takes replies to the questions of a task. The client gets only an acknowledgement. A reply to a question that
    /// is no longer asked has no effect.
    pub(super) async fn update_task(
        &self,
        id: &str,
        replies: &InputResponses,
        caller: &Caller,
    ) -> Result<(), ErrorData> {
        let (saga, _) = self.task_of(id, caller).await?;
        let taken = self.take(saga, elicitation::read(replies)?, caller).await?;
        tracing::debug!(saga.id = %saga, ?taken, "replies to a task were passed on");
        Ok(())
    }

    /// Cancels the saga of a task. The client gets only an acknowledgement: the saga decides whether it can be
    /// cancelled.
    pub(super) async fn cancel_task(&self, id: &str, caller: &Caller) -> Result<(), ErrorData> {
        let (saga, may_operate) = self.task_of(id, caller).await?;
        if !may_operate {
            return Err(ErrorData::invalid_params("you may read this task, but not cancel it", None));
        }
        let asker = caller.asker();
        match self.client.signal_for(&asker, saga, Request::Cancel { reason: String::new() }).await {
            Ok(_) | Err(Error::Store(store::Error::SagaEnded(_))) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Returns the saga of a task that the caller may read, and whether the caller may act on it.
    pub(super) async fn task_of(&self, id: &str, caller: &Caller) -> Result<(Uuid, bool), ErrorData> {
        let unknown = || ErrorData::invalid_params(format!("there is no task {id:?}"), None);
        let saga = Uuid::parse_str(id).map_err(|_| unknown())?;
        match self.seen(saga, caller).await {
            Ok((row, key)) => Ok((saga, caller.principal.may_operate(&row.name, key.as_ref()))),
            Err(Error::Store(store::Error::UnknownSaga(_))) => Err(unknown()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &Error) -> ErrorData {
    tracing::warn!(%error, "cannot read or signal the saga of a task");
    ErrorData::internal_error("the task cannot be reached at the moment; try again", None)
}

fn detailed(found: &Inspection, questions: &[Question], report: &Report) -> DetailedTask {
    let payload = match found.saga.status {
        Status::Completed | Status::Abandoned => done(&report.result(None)),
        Status::Compensated if was_cancelled(found) => TaskPayload::Cancelled,
        Status::Compensated => done(&report.result(None)),
        Status::Queued | Status::Running | Status::Compensating | Status::Paused if !questions.is_empty() => {
            TaskPayload::InputRequired { input_requests: question::requests(questions) }
        }
        // A result never changes, and the result of a stuck saga is not known yet.
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

/// Returns whether a cancel made the saga compensate.
fn was_cancelled(found: &Inspection) -> bool {
    let turned_back = found.state.as_ref().and_then(|state| state.turn_back.as_ref());
    matches!(turned_back, Some(TurnBack::Asked { .. }))
}
