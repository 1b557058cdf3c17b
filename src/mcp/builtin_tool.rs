//! The tools that every server lists: `saga_status`, `saga_cancel`, `saga_list`, with their schemas. Carrying them out
//! is `builtin_calls.rs`.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::json;

use super::schema;
use crate::config::mcp as limits;

/// A tool that every server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuiltinTool {
    Status,
    Cancel,
    List,
}

impl BuiltinTool {
    /// All of them, in the order of the list.
    pub(super) const ALL: [Self; 3] = [Self::Cancel, Self::List, Self::Status];

    /// The tool of this name.
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

    /// The tool as it is listed.
    pub(super) fn tool(self) -> Tool {
        let saga_id = json!({ "type": "string", "format": "uuid", "description": "The saga_id of an earlier answer." });
        let (title, description, properties, required, output) = match self {
            Self::Status => (
                "Saga status",
                "Says how something that was started earlier stands or ended. The saga_id stays valid for as long as \
                 sagas are kept.",
                json!({ "saga_id": saga_id, "wait_seconds": { "type": "integer", "minimum": 0,
                    "description": "How long to wait for its end. Default 0." } }),
                json!(["saga_id"]),
                schema::result(None),
            ),
            Self::Cancel => (
                "Cancel saga",
                "Turns back what is in progress: whatever was done is undone. It is refused past the point of no \
                 return.",
                json!({ "saga_id": saga_id, "reason": { "type": "string", "description": "Why; kept on record." } }),
                json!(["saga_id"]),
                schema::result(None),
            ),
            Self::List => (
                "List sagas",
                "Lists what was started, newest first.",
                json!({
                    "tool": { "type": "string", "description": "Only of this tool." },
                    "status": { "enum": ["completed", "compensated", "in_progress", "stuck", "abandoned"] },
                    "limit": { "type": "integer", "minimum": 1, "maximum": limits::LIST_ROWS_MAX },
                    "before": { "type": "string", "format": "uuid",
                        "description": "Only older ones than this: the last of the page before." },
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
