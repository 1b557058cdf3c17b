//! An MCP server for these tests, over standard input and output or over HTTP. As a child process it is this
//! very test binary, started to run one test.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, JsonObject, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ServerHandler, ServiceExt};
use serde_json::{Value, json};

/// Set for a child that shall be a server; its value chooses how it behaves at its start.
pub(crate) const ROLE: &str = "AMENDS_TEST_MCP_SERVER";

/// Full name of the test that is the server.
pub(crate) const SERVER_TEST: &str = "participant::server::serves_mcp_on_stdio";

/// A server when it is started as one, and nothing otherwise.
#[test]
fn serves_mcp_on_stdio() {
    let Ok(role) = std::env::var(ROLE) else { return };
    if role == "dies" {
        eprintln!("cannot open the ledger of {}", std::env::var("LEDGER").unwrap_or_default());
        std::process::exit(3);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let service = TestServer.serve(rmcp::transport::stdio()).await.unwrap();
        let _ = service.waiting().await;
    });
    std::process::exit(0);
}

/// Calls that went on when nobody waited for them any more, and calls that stopped then.
static DONE: AtomicU32 = AtomicU32::new(0);
static STOPPED: AtomicU32 = AtomicU32::new(0);

/// Tools that succeed, fail and misbehave.
#[derive(Clone)]
pub(super) struct TestServer;

impl ServerHandler for TestServer {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::default();
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match std::env::var(ROLE).as_deref() {
            Ok("modern") => Cow::Borrowed(&[ProtocolVersion::LATEST]),
            _ => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str| Tool::new(name, "a tool", Arc::new(JsonObject::new()));
        Ok(ListToolsResult::with_all_items(vec![tool("echo")]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let text = |text: String| CallToolResult::success(vec![ContentBlock::text(text)]);
        let result = match &*request.name {
            "echo" => CallToolResult::structured(json!({
                "arguments": arguments, "meta": context.meta.0.0, "pid": std::process::id(),
            })),
            "text" => text("Failed to create a charge".into()),
            "json_text" => text(json!({"id": "ch_1"}).to_string()),
            "nothing" => CallToolResult::success(Vec::new()),
            "tool_error" => CallToolResult::error(vec![ContentBlock::text("no such room")]),
            "protocol_error" => return Err(ErrorData::invalid_params("unknown tool", None)),
            "internal_error" => return Err(ErrorData::internal_error("oh no", None)),
            "slow" => {
                tokio::time::sleep(Duration::from_millis(arguments["ms"].as_u64().unwrap_or(0))).await;
                text("slept".into())
            }
            "big" => text("x".repeat(usize::try_from(arguments["bytes"].as_u64().unwrap_or(0)).unwrap())),
            "environment" => {
                let names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
                CallToolResult::structured(json!(names))
            }
            "values" => {
                let values: Vec<_> = std::env::vars().map(|(_, value)| value).collect();
                CallToolResult::structured(json!(values))
            }
            "denies" => {
                let token = std::env::var("TOKEN").unwrap_or_default();
                CallToolResult::error(vec![ContentBlock::text(format!("{token} is no good"))])
            }
            "until_cancelled" => {
                context.ct.cancelled().await;
                let does = arguments["does"] == true;
                let count = if does { &DONE } else { &STOPPED };
                count.fetch_add(1, Ordering::SeqCst);
                text("too late".into())
            }
            "counts" => CallToolResult::structured(json!({
                "done": DONE.load(Ordering::SeqCst), "stopped": STOPPED.load(Ordering::SeqCst),
            })),
            "exit" => {
                eprintln!("killed by the test; the token is {}", std::env::var("TOKEN").unwrap_or_default());
                tokio::time::sleep(Duration::from_millis(50)).await;
                std::process::exit(7)
            }
            "freeze" => {
                // SAFETY: a signal to ourselves; nothing is shared.
                unsafe { libc::raise(libc::SIGSTOP) };
                text("thawed".into())
            }
            _ => return Err(ErrorData::invalid_params("unknown tool", None)),
        };
        Ok(result.into())
    }
}
