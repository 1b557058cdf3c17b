//! The handler around our session: it offers what the suite expects of a server besides sagas, and passes on the rest.
//! Owns who answers what.

use std::sync::Arc;

use amends::mcp::Session;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CompleteRequestParams, CompleteResult,
    CompletionInfo, ContentBlock, CustomRequest, CustomResult, DiscoverResult, GetPromptRequestParams,
    GetPromptResponse, GetTaskParams, GetTaskResult, InitializeRequestParams, InitializeResult, InputResponses,
    JsonObject, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, SetLevelRequestMethod, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use tokio::sync::watch;

use super::asking::{self, Asked, Asker};
use super::content::{self, written};
use super::{jobs, sagas};

/// Tools besides those of sagas, with their arguments.
const TOOLS: [(&str, &[&str]); 28] = [
    ("confirm_delete", &["filename"]),
    ("failing_job", &[]),
    ("greet", &["name"]),
    ("multi_input", &[]),
    ("protocol_error_job", &[]),
    ("test_audio_content", &[]),
    ("test_elicitation_sep1034_defaults", &[]),
    ("test_elicitation_sep1330_enums", &[]),
    ("test_embedded_resource", &[]),
    ("test_image_content", &[]),
    ("test_input_required_result_capabilities", &[]),
    ("test_input_required_result_elicitation", &[]),
    ("test_input_required_result_list_roots", &[]),
    ("test_input_required_result_multi_round", &[]),
    ("test_input_required_result_multiple_inputs", &[]),
    ("test_input_required_result_request_state", &[]),
    ("test_input_required_result_sampling", &[]),
    ("test_input_required_result_tampered_state", &[]),
    ("test_logging_tool", &[]),
    ("test_missing_capability", &[]),
    ("test_multiple_content_types", &[]),
    ("test_sampling", &["prompt"]),
    ("test_streaming_elicitation", &[]),
    ("test_tool_with_logging", &[]),
    ("test_tool_with_task", &[]),
    ("test_trigger_prompt_change", &[]),
    ("test_trigger_tool_change", &[]),
    (APPEARING, &[]),
];
/// The tool that `test_trigger_tool_change` lets appear and disappear.
const APPEARING: &str = "test_appearing";

/// What all sessions share.
#[derive(Clone)]
pub(super) struct Shared {
    asker: Asker,
    tasks: TaskManager,
    appeared: Arc<Appeared>,
}

/// Whether what may appear has appeared.
struct Appeared {
    tool: watch::Sender<bool>,
    prompt: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new() -> Self {
        let appeared = Appeared { tool: watch::Sender::new(false), prompt: watch::Sender::new(false) };
        Self { asker: Asker::new(), tasks: TaskManager::new(), appeared: Arc::new(appeared) }
    }
}

pub(super) struct Fixture {
    session: Session,
    shared: Shared,
}

impl Fixture {
    pub(super) fn around(session: Session, shared: Shared) -> Self {
        Self { session, shared }
    }

    fn tools(&self) -> impl Iterator<Item = Tool> {
        let has_appeared = *self.shared.appeared.tool.borrow();
        let listed = TOOLS.iter().filter(move |(name, _)| *name != APPEARING || has_appeared);
        listed.map(|(name, arguments)| {
            let properties: JsonObject =
                arguments.iter().map(|&name| (name.to_owned(), json!({ "type": "string" }))).collect();
            written(json!({ "name": name, "description": "A tool of the suite.",
                "inputSchema": { "type": "object", "properties": properties } }))
        })
    }

    fn with_ours(mut capabilities: ServerCapabilities) -> ServerCapabilities {
        let ours: ServerCapabilities =
            written(json!({ "prompts": { "listChanged": true }, "resources": { "subscribe": true },
                "completions": {}, "logging": {} }));
        capabilities.prompts = ours.prompts;
        capabilities.resources = ours.resources;
        capabilities.completions = ours.completions;
        capabilities.logging = ours.logging;
        capabilities
    }

    /// Goes on where all that was to be asked is answered.
    async fn answered(
        &self,
        tool: &str,
        answers: &InputResponses,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if tool == "test_tool_with_task" {
            let name = answers["user_name"]["content"]["name"].clone();
            let arguments = JsonObject::from_iter([("name".to_owned(), name)]);
            let call = CallToolRequestParams::new(sagas::GREETING).with_arguments(arguments);
            return self.session.call_tool(call, context).await;
        }
        let said = serde_json::to_string(answers).unwrap();
        Ok(CallToolResult::success(vec![ContentBlock::text(format!("The client says {said}"))]).into())
    }
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Whether a caller hears the log: in the new era each request says so.
fn wants_log(context: &RequestContext<RoleServer>) -> bool {
    !is_modern(context) || context.meta.log_level().is_some()
}

fn done() -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text("Done.")])
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.session.get_info();
        info.capabilities = Self::with_ours(info.capabilities);
        info
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut answer = self.session.initialize(request, context).await?;
        answer.capabilities = Self::with_ours(answer.capabilities);
        Ok(answer)
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let mut answer = self.session.discover(context).await?;
        answer.capabilities = Self::with_ours(answer.capabilities);
        Ok(answer)
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.session.list_tools(page, context).await?;
        list.tools.extend(self.tools());
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.session.get_tool(name).or_else(|| self.tools().find(|tool| tool.name == name))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.tools().any(|tool| tool.name == request.name) {
            return self.session.call_tool(request, context).await;
        }
        let (tool, arguments) = (request.name, request.arguments.unwrap_or_default());
        if let Some(result) = content::result(&tool, &arguments) {
            return Ok(result.into());
        }
        if let Some(begun) = jobs::begin(&self.shared.tasks, &tool, &context) {
            return Ok(begun?.into());
        }
        if let Some(asked) = asking::direct(&tool, &arguments) {
            return Ok(asking::relay(&context.peer, asked).await.into());
        }
        let state = request.request_state.as_deref();
        match self.shared.asker.next(&tool, request.input_responses, state, &context).transpose()? {
            Some(Asked::Further(questions)) => return Ok(questions.into()),
            Some(Asked::Out(answers)) => return self.answered(&tool, &answers, context).await,
            None => {}
        }
        match &*tool {
            "test_tool_with_logging" | "test_logging_tool" if wants_log(&context) => {
                asking::log(&context.peer).await;
            }
            "test_missing_capability" => {
                let able = context.client_capabilities().unwrap_or_default();
                if able.sampling.is_none() {
                    let needed = written(json!({ "sampling": {} }));
                    return Err(ErrorData::missing_required_client_capability(needed));
                }
            }
            "test_trigger_prompt_change" => self.shared.appeared.prompt.send_modify(|has| *has = !*has),
            "test_trigger_tool_change" => self.shared.appeared.tool.send_modify(|has| *has = !*has),
            _ => {}
        }
        Ok(done().into())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        match self.shared.tasks.get_task(&request.task_id) {
            Ok(task) => Ok(GetTaskResult::new(task)),
            Err(_) => self.session.get_task(request, context).await,
        }
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        match self.shared.tasks.get_task(&request.task_id) {
            Ok(_) => self.shared.tasks.update_task(&request.task_id, request.input_responses),
            Err(_) => self.session.update_task(request, context).await,
        }
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        match self.shared.tasks.get_task(&request.task_id) {
            Ok(_) => self.shared.tasks.cancel_task(&request.task_id),
            Err(_) => self.session.cancel_task(request, context).await,
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(content::prompts(*self.shared.appeared.prompt.borrow()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let state = request.request_state.as_deref();
        let asked = self.shared.asker.next(&request.name, request.input_responses, state, &context).transpose()?;
        let name = match asked {
            Some(Asked::Further(questions)) => return Ok(questions.into()),
            Some(Asked::Out(_)) => "test_simple_prompt",
            None => &request.name,
        };
        let prompt = content::prompt(name, &request.arguments.unwrap_or_default());
        prompt.map(Into::into).ok_or_else(|| ErrorData::invalid_params(format!("there is no prompt {name:?}"), None))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(content::resources())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(content::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let unknown =
            || ErrorData::resource_not_found("there is no such resource", Some(json!({ "uri": request.uri })));
        content::resource(&request.uri).map(Into::into).ok_or_else(unknown)
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        // Nothing ever changes, so that nobody need be remembered.
        let unknown = || ErrorData::resource_not_found("there is no such resource", None);
        content::resource(&request.uri).map(drop).ok_or_else(unknown)
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let begun = &request.argument.value;
        let values = ["Paris", "Porto", "test"].into_iter().filter(|word| word.starts_with(begun.as_str()));
        CompletionInfo::new(values.map(str::to_owned).collect())
            .map(CompleteResult::new)
            .map_err(|why| ErrorData::internal_error(why, None))
    }

    #[expect(deprecated, reason = "clients of the old era have it")]
    async fn set_level(
        &self,
        _: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        // The new era has no such method, and rmcp leaves it to us to say so.
        if is_modern(&context) { Err(ErrorData::method_not_found::<SetLevelRequestMethod>()) } else { Ok(()) }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.session.on_custom_request(request, context).await
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.session.on_initialized(context).await;
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.session.accepted_subscription_filter(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let sink = context.sink().clone();
        let (mut tool, mut prompt) = (self.shared.appeared.tool.subscribe(), self.shared.appeared.prompt.subscribe());
        let tell = async {
            loop {
                // Whoever has not asked for it does not hear of it.
                let _ = tokio::select! {
                    _ = tool.changed() => sink.notify_tool_list_changed().await,
                    _ = prompt.changed() => sink.notify_prompt_list_changed().await,
                };
            }
        };
        tokio::select! {
            ended = self.session.listen(context) => ended,
            never = tell => never,
        }
    }
}
