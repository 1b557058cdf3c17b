//! A participant as an MCP server. Owns the wire: the shape of replies, silence, dropped connections and crashes.
//! `service.rs` decides the effect of a call, `participant.rs` where the server listens.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool as McpTool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use super::connection_drop::Cut;
use super::service::{Desk, Rejection, Reply};
use crate::config::demo::SILENCE_MAX;

/// Exit status of a participant whose fault is a crash; the demo restarts it.
pub(super) const CRASH_STATUS: i32 = 86;

/// One participant over MCP. Each session has a clone; all clones share one desk.
#[derive(Clone)]
pub(super) struct Server {
    name: &'static str,
    desk: Arc<Desk>,
}

impl Server {
    /// Creates a server for `desk` under a name.
    pub(super) fn new(name: &'static str, desk: Arc<Desk>) -> Self {
        Self { name, desk }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(self.name, env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.desk.tools().map(|tool| tool.listed()).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<McpTool> {
        self.desk.tools().find(|tool| tool.name == name).map(|tool| tool.listed())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let reply = match Arc::clone(&self.desk).serve(&request.name, arguments).await {
            Ok(reply) => reply,
            Err(rejection) => {
                tracing::warn!(tool = %request.name, %rejection, "call rejected");
                return Err(match rejection {
                    Rejection::UnknownTool(_) | Rejection::BadArguments(_) => {
                        ErrorData::invalid_params(rejection.to_string(), None)
                    }
                    Rejection::Ledger(_) => ErrorData::internal_error(rejection.to_string(), None),
                });
            }
        };
        match reply {
            Reply::Answer(body) => Ok(CallToolResult::structured(body).into()),
            Reply::Refusal { code, message } => {
                Ok(CallToolResult::structured_error(json!({ "code": code, "message": message })).into())
            }
            Reply::Text(text) => Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into()),
            Reply::Failure(text) => Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into()),
            Reply::Status(status) => Err(answer_with(&context, status)),
            Reply::Silence => Err(silence(&context).await),
            Reply::Crash => {
                tracing::warn!(tool = %request.name, "crashing as the fault plan says");
                std::process::exit(CRASH_STATUS)
            }
        }
    }
}

fn cut_of(context: &RequestContext<RoleServer>) -> Option<&Cut> {
    rmcp_actix_web::transport::on_request_extensions(&context.extensions)?.get::<Cut>()
}

/// Answers the caller's HTTP request with this status. The returned error serves a transport without a status.
fn answer_with(context: &RequestContext<RoleServer>, status: u16) -> ErrorData {
    if let Some(cut) = cut_of(context) {
        cut.with(status);
    }
    ErrorData::internal_error(format!("the answer was lost to a status {status}"), None)
}

/// Drops the caller's connection, if the transport has one for each request, and stays silent until the caller gives
/// up.
async fn silence(context: &RequestContext<RoleServer>) -> ErrorData {
    if let Some(cut) = cut_of(context) {
        cut.now();
    }
    let _ = tokio::time::timeout(SILENCE_MAX, context.ct.cancelled()).await;
    // A cancelled request needs no answer. The pause sends ours after the cancellation.
    tokio::time::sleep(Duration::from_millis(10)).await;
    ErrorData::internal_error("the answer was lost", None)
}
