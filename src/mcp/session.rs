//! One MCP session, in both eras: dispatches the requests of a client. rmcp owns the protocol.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CustomRequest, CustomResult, ErrorCode, GetTaskParams,
    GetTaskResult, Implementation, InitializeRequestParams, InitializeResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use std::sync::Arc;
use std::time::Duration;

use super::builtin_tool::BuiltinTool;
use super::caller::{Caller, Continued};
use super::principal::Principal;
use super::server::Inner;
use crate::config::mcp as limits;

/// Instructions to the model for all tools.
const INSTRUCTIONS: &str = "\
Each tool runs a multi-step saga completely or not at all. An answer is final and true: completed, compensated \
(nothing of it is left), stuck (a person is looking at it) or abandoned (a person has closed it). Do not retry by \
yourself: recovery is done here. If you or your host may call twice for one intention, give both calls the same \
idempotency_key. If the answer is in_progress, call saga_status with its saga_id.";

/// Handles the requests of one client's session, or one request of a client without sessions. A [`Door`](super::Door)
/// creates it.
#[derive(Clone, Debug)]
pub struct Session {
    door: Arc<Inner>,
    /// The principal at the other end of a pipe; none over HTTP, where each request carries its own.
    principal: Option<Principal>,
}

impl Session {
    /// Creates a session over HTTP.
    pub(super) fn over_http(door: Arc<Inner>) -> Self {
        Self { door, principal: None }
    }

    /// Creates a session over a pipe.
    pub(super) fn over_pipe(door: Arc<Inner>, principal: Principal) -> Self {
        Self { door, principal: Some(principal) }
    }

    fn principal(&self, context: &RequestContext<RoleServer>) -> Result<Principal, ErrorData> {
        let given = rmcp_actix_web::transport::on_request_extensions(&context.extensions)
            .and_then(|extensions| extensions.get::<Principal>());
        let principal = self.principal.as_ref().or(given).cloned();
        principal.ok_or_else(|| ErrorData::internal_error("the request has no principal", None))
    }
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_tool_list_changed().enable_tasks().build();
        let implementation = Implementation::new("amends", env!("CARGO_PKG_VERSION")).with_title("amends");
        ServerConfig::new(capabilities).with_server_info(implementation).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.door.tools.list(&self.principal(&context)?)))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.door.tools.tool(name)
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let _under_way = self.door.calls.token();
        let principal = self.principal(&context)?;
        let continued = Continued::take_from(&mut request);
        let arguments = request.arguments.unwrap_or_default();
        let caller = Caller::new(principal, context).continuing(continued);
        if let Some(tool) = BuiltinTool::from_name(&request.name) {
            return self.door.call_builtin(tool, arguments, &caller).await;
        }
        let Some(offer) = self.door.tools.offer(&request.name, &caller.principal) else {
            let message = format!("expected the name of a tool from tools/list, found {:?}", request.name);
            return Err(ErrorData::invalid_params(message, None));
        };
        self.door.call(&offer, arguments, &caller).await
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut answer = self.negotiate_initialize(&request)?;
        // Hides the tasks extension: it belongs to the new era, and `initialize` to the old one.
        answer.capabilities.extensions = None;
        context.peer.set_peer_info(request);
        Ok(answer)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        // If the params of a method do not fit, rmcp reports its request as a custom one.
        let is_ours = match &*method {
            "tools/call" | "tools/list" => true,
            "subscriptions/listen" | "tasks/cancel" | "tasks/get" | "tasks/update" => {
                context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
            }
            _ => false,
        };
        Err(match is_ours {
            true => ErrorData::invalid_params(format!("the params do not fit the method {method}"), None),
            false => {
                let named: String = method.chars().take(limits::METHOD_CHARS_MAX).collect();
                ErrorData::new(ErrorCode::METHOD_NOT_FOUND, named, None)
            }
        })
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let caller = Caller::new(self.principal(&context)?, context);
        self.door.get_task(&request.task_id, &caller).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = Caller::new(self.principal(&context)?, context);
        self.door.update_task(&request.task_id, &request.input_responses, &caller).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = Caller::new(self.principal(&context)?, context);
        self.door.cancel_task(&request.task_id, &caller).await
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let (door, peer) = (self.door.clone(), context.peer);
        let mut changes = door.tools.changes();
        tokio::spawn(async move {
            let look = Duration::from_millis(limits::SESSION_LOOK_MS);
            while !peer.is_transport_closed() {
                tokio::select! {
                    () = door.stopping.cancelled() => return,
                    () = tokio::time::sleep(look) => continue,
                    changed = changes.changed() => if changed.is_err() { return },
                }
                if peer.notify_tool_list_changed().await.is_err() {
                    return;
                }
            }
        });
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        // rmcp keeps the part that the capabilities advertise.
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let hears_of_tools = context.accepted().tools_list_changed == Some(true);
        let mut changes = self.door.tools.changes();
        loop {
            tokio::select! {
                () = self.door.stopping.cancelled() => return Ok(()),
                () = context.cancelled() => return Ok(()),
                changed = changes.changed(), if hears_of_tools => if changed.is_err() { return Ok(()) },
            }
            if context.sink().notify_tool_list_changed().await.is_err() {
                return Ok(());
            }
        }
    }
}
