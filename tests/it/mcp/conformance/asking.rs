//! Tools of the suite that ask the client something. Owns the questions and how they are asked: in rounds of input
//! that the call still requires in the new era, by requests to the client in the old one.

use std::time::Duration;

use ring::hmac;
use rmcp::model::{
    CallToolResult, ClientCapabilities, ContentBlock, InputRequiredResult, InputResponses, JsonObject,
    ServerNotification, ServerRequest,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, Peer, RoleServer};
use serde_json::{Map, Value, json};

use super::content::written;

/// A question, by its key.
fn question(key: &str) -> Value {
    let form = |message: &str, field: &str, kind: &str| {
        json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": {
            "type": "object", "properties": { field: { "type": kind } }, "required": [field] } } })
    };
    match key {
        "user_name" => form("What is your name?", "name", "string"),
        "confirm" => form("Is that right?", "ok", "boolean"),
        "user_context" => form("In which context?", "context", "string"),
        "step1" => form("First: what is your name?", "name", "string"),
        "step2" => form("Then: which colour?", "color", "string"),
        "client_roots" => json!({ "method": "roots/list", "params": {} }),
        _ => sampling(key),
    }
}

fn sampling(prompt: &str) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": 100 } })
}

/// Whether a client can be asked this, and whether what it says can be an answer to it.
fn check(key: &str, able: &ClientCapabilities, answer: Option<&Value>) -> (bool, bool) {
    let (can_be_asked, field) = match question(key)["method"].as_str() {
        Some("elicitation/create") => (able.elicitation.is_some(), "action"),
        Some("roots/list") => (able.roots.is_some(), "roots"),
        _ => (able.sampling.is_some(), "role"),
    };
    (can_be_asked, answer.is_some_and(|answer| answer.get(field).is_some()))
}

/// Rounds of questions, each under keys of its own.
type Rounds = &'static [&'static [&'static str]];

/// What a tool or a prompt asks, and whether it seals how far it has come.
fn course(name: &str) -> Option<(Rounds, bool)> {
    Some(match name {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" | "test_tool_with_task" => {
            (&[&["user_name"]], false)
        }
        "test_input_required_result_sampling" => (&[&["capital_question"]], false),
        "test_input_required_result_list_roots" => (&[&["client_roots"]], false),
        "test_input_required_result_capabilities" => (&[&["user_name", "capital_question"]], false),
        "test_input_required_result_prompt" => (&[&["user_context"]], false),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            (&[&["confirm"]], true)
        }
        "test_input_required_result_multiple_inputs" => (&[&["user_name", "greeting", "client_roots"]], true),
        "test_input_required_result_multi_round" => (&[&["step1"], &["step2"]], true),
        _ => return None,
    })
}

/// How a call that asks goes on.
pub(super) enum Asked {
    Further(InputRequiredResult),
    /// It has all its answers.
    Out(InputResponses),
}

/// Asks in rounds. Cheap to clone.
#[derive(Clone)]
pub(super) struct Asker(hmac::Key);

impl Asker {
    pub(super) fn new() -> Self {
        Self(hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).unwrap())
    }

    /// How a call goes on with these answers; none if it asks nothing.
    pub(super) fn next(
        &self,
        name: &str,
        answers: Option<InputResponses>,
        state: Option<&str>,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<Asked, ErrorData>> {
        let (rounds, sealed) = course(name)?;
        let round = match state {
            Some(state) if sealed => {
                let Some(round) = (0..rounds.len()).find(|round| self.seal(name, *round) == state) else {
                    return Some(Err(ErrorData::invalid_params("the requestState is not one of ours", None)));
                };
                Some(round)
            }
            _ => (!sealed).then_some(0),
        };
        let (able, answers) = (context.client_capabilities().unwrap_or_default(), answers.unwrap_or_default());
        let missing = |round: usize| -> Vec<&str> {
            let open = rounds[round].iter().filter(|key| check(key, &able, answers.get(**key)) == (true, false));
            open.copied().collect()
        };
        let asked = match round {
            None => 0,
            Some(round) if !missing(round).is_empty() => round,
            Some(round) if round + 1 < rounds.len() => round + 1,
            Some(_) => return Some(Ok(Asked::Out(answers))),
        };
        let questions: Map<String, Value> =
            missing(asked).into_iter().map(|key| (key.to_owned(), question(key))).collect();
        let state = sealed.then(|| self.seal(name, asked));
        Some(Ok(Asked::Further(InputRequiredResult::new(Some(written(questions.into())), state))))
    }

    fn seal(&self, name: &str, round: usize) -> String {
        let text = format!("{name}:{round}");
        let tag = hmac::sign(&self.0, text.as_bytes());
        tag.as_ref().iter().fold(text + ":", |sealed, byte| format!("{sealed}{byte:02x}"))
    }
}

/// What a tool asks a client of the old era while it runs.
pub(super) fn direct(tool: &str, arguments: &JsonObject) -> Option<Value> {
    let (message, properties) = match tool {
        "test_sampling" => {
            return Some(sampling(arguments.get("prompt").and_then(Value::as_str).unwrap_or("")));
        }
        "test_elicitation_sep1034_defaults" => ("Everything has a default.", defaults()),
        "test_elicitation_sep1330_enums" => ("Choose.", choices()),
        _ => return None,
    };
    let schema = json!({ "type": "object", "properties": properties });
    Some(json!({ "method": "elicitation/create",
        "params": { "mode": "form", "message": message, "requestedSchema": schema } }))
}

fn defaults() -> Value {
    json!({
        "name": { "type": "string", "default": "John Doe" },
        "age": { "type": "integer", "default": 30 },
        "score": { "type": "number", "default": 95.5 },
        "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
        "verified": { "type": "boolean", "default": true },
    })
}

fn choices() -> Value {
    let options = json!(["option1", "option2", "option3"]);
    let titled = |texts: [&str; 3]| -> Vec<Value> {
        let numbered = texts.iter().enumerate();
        numbered.map(|(n, title)| json!({ "const": format!("value{}", n + 1), "title": title })).collect()
    };
    let titles = titled(["One", "Two", "Three"]);
    json!({
        "untitledSingle": { "type": "string", "enum": options },
        "titledSingle": { "type": "string", "oneOf": titles },
        "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"] },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
        "titledMulti": { "type": "array", "items": { "anyOf": titles } },
    })
}

/// Sends the client a request, and answers with what it says.
pub(super) async fn relay(peer: &Peer<RoleServer>, request: Value) -> CallToolResult {
    match peer.send_request(written::<ServerRequest>(request)).await {
        Ok(said) => {
            let said = serde_json::to_string(&said).unwrap();
            CallToolResult::success(vec![ContentBlock::text(format!("The client says {said}"))])
        }
        Err(error) => CallToolResult::error(vec![ContentBlock::text(format!("The client was not asked: {error}"))]),
    }
}

/// Sends the client three messages of the log.
pub(super) async fn log(peer: &Peer<RoleServer>) {
    for message in ["begun", "half done", "done"] {
        let params = json!({ "level": "info", "logger": "conformance", "data": message });
        let notification = json!({ "method": "notifications/message", "params": params });
        // Whoever is gone needs no log.
        let _ = peer.send_notification(written::<ServerNotification>(notification)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
