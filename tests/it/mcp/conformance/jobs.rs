//! Tasks of the suite that no saga can be: they ask, or end in errors. Owns what they do; they live in this process,
//! beside the tasks of sagas.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ClientCapabilities, ContentBlock, CreateTaskResult, InputRequest};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::task_manager::{TaskContext, TaskExit, TaskFuture, TaskManager, TaskOptions};
use serde_json::json;

use super::content::written;

/// Begins a job; none if the tool is no such.
pub(super) fn begin(
    tasks: &TaskManager,
    tool: &str,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CreateTaskResult, ErrorData>> {
    let job: fn(TaskContext) -> TaskFuture = match tool {
        "failing_job" => |_| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(CallToolResult::error(vec![ContentBlock::text("The job failed.")]))
            })
        },
        "protocol_error_job" => {
            |_| Box::pin(async { Err(TaskExit::Error(ErrorData::internal_error("the job broke", None))) })
        }
        "confirm_delete" => |task| {
            Box::pin(async move {
                let said = task.request_input("confirm", form("confirm", "boolean")).await?;
                Ok(CallToolResult::success(vec![ContentBlock::text(format!("They say {said}"))]))
            })
        },
        "multi_input" => |task| {
            Box::pin(async move {
                let (name, confirmed) = tokio::try_join!(
                    task.request_input("name", form("name", "string")),
                    task.request_input("confirm", form("confirm", "boolean")),
                )?;
                Ok(CallToolResult::success(vec![ContentBlock::text(format!("They say {name} and {confirmed}"))]))
            })
        },
        _ => return None,
    };
    let able = context.client_capabilities().unwrap_or_default();
    if !able.supports_tasks() {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Some(Err(ErrorData::missing_required_client_capability(needed)));
    }
    Some(Ok(CreateTaskResult::new(tasks.spawn(TaskOptions::new(), job))))
}

fn form(field: &str, kind: &str) -> InputRequest {
    let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    written(json!({ "method": "elicitation/create",
        "params": { "mode": "form", "message": "Go on?", "requestedSchema": schema } }))
}
