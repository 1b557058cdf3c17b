//! The tools that every server lists: `saga_status`, `saga_cancel` and `saga_list`, with their schemas.
//! `builtin_calls.rs` runs them.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::json;

use super::schema;
use crate::config::mcp as limits;

/// A built-in tool. Every server lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuiltinTool {
    Status,
    Cancel,
    List,
}

impl BuiltinTool {
    /// All built-in tools, in the order of the list.
    pub(super) const ALL: [Self; 3] = [Self::Cancel, Self::List, Self::Status];

    /// Returns the tool with this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Status => "saga_status",
            Self::Cancel => "saga_cancel",
            Self::List => "saga_list",
        }
    }

    /// Returns the tool as `tools/list` shows it.
    pub(super) fn tool(self) -> Tool {
        let saga_id = json!({ "type": "string", "format": "uuid", "description": "The saga_id of an earlier answer." });
        let (title, description, properties, required, output) = match self {
            Self::Status => (
                "Saga status",
                "Returns the state or the result of a saga that an earlier call started. The saga_id stays valid for \
                 as long as sagas are kept.",
                json!({ "saga_id": saga_id, "wait_seconds": { "type": "integer", "minimum": 0,
                    "description": "How long to wait for its end, in seconds. Default 0." } }),
                json!(["saga_id"]),
                schema::result(None),
            ),
            Self::Cancel => (
                "Cancel saga",
                "Cancels a saga in progress and undoes what it has done. It is refused past the point of no return.",
                json!({ "saga_id": saga_id, "reason": { "type": "string", "description": "Reason, kept on record." } }),
                json!(["saga_id"]),
                schema::result(None),
            ),
            Self::List => (
                "List sagas",
                "Lists sagas, newest first.",
                json!({
                    "tool": { "type": "string", "description": "Only sagas of this tool." },
                    "status": { "enum": ["completed", "compensated", "in_progress", "stuck", "abandoned"] },
                    "limit": { "type": "integer", "minimum": 1, "maximum": limits::LIST_ROWS_MAX },
                    "before": { "type": "string", "format": "uuid",
                        "description": "Only sagas older than this one: the last of the previous page." },
                }),
                json!([]),
                list_schema(),
            ),
        };
        let arguments = json!({ "type": "object", "properties": properties, "required": required,
            "additionalProperties": false });
        let hints = ToolAnnotations::new()
            .read_only(self != Self::Cancel)
            .destructive(self == Self::Cancel)
            .idempotent(true)
            .open_world(self == Self::Cancel);
        Tool::new(self.name(), description, Arc::new(arguments.as_object().cloned().unwrap_or_default()))
            .with_title(title)
            .with_raw_output_schema(Arc::new(output))
            .with_annotations(hints)
    }
}

fn list_schema() -> JsonObject {
    let text = json!({ "type": "string" });
    let row = json!({ "type": "object", "required": ["saga_id", "tool", "status", "started_at"],
        "properties": { "saga_id": text, "tool": text, "status": text, "started_at": text } });
    let schema = json!({ "type": "object", "required": ["sagas"],
        "properties": { "sagas": { "type": "array", "items": row } } });
    schema.as_object().cloned().unwrap_or_default()
}
