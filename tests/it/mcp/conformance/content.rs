//! What the suite expects and no saga has: fixed content of every kind, prompts, resources. Owns the content; each is
//! written as it goes over the wire.

use rmcp::model::{
    CallToolResult, GetPromptResult, JsonObject, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ReadResourceResult,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A picture of one transparent pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// A sound of no length.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// A value of rmcp's as it is written on the wire.
pub(super) fn written<Read: DeserializeOwned>(value: Value) -> Read {
    serde_json::from_value(value).unwrap()
}

/// The result of a tool that always answers the same.
pub(super) fn result(tool: &str, arguments: &JsonObject) -> Option<CallToolResult> {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let (image, audio) = (image(), json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" }));
    let resource = |uri: &str, kind: &str, text: &str| {
        let resource = json!({ "uri": uri, "mimeType": kind, "text": text });
        json!({ "type": "resource", "resource": resource })
    };
    let content = match tool {
        "greet" => {
            let name = arguments.get("name").and_then(Value::as_str).unwrap_or("nobody");
            vec![text(&format!("Hello, {name}!"))]
        }
        "test_image_content" => vec![image],
        "test_audio_content" => vec![audio],
        "test_embedded_resource" => vec![resource("test://embedded", "text/plain", "Embedded.")],
        "test_multiple_content_types" => {
            vec![text("Some of each:"), image, resource("test://mixed", "application/json", "{\"mixed\":true}")]
        }
        _ => return None,
    };
    Some(written(json!({ "resultType": "complete", "content": content })))
}

fn image() -> Value {
    json!({ "type": "image", "data": PNG, "mimeType": "image/png" })
}

/// The prompts; one of them comes and goes.
pub(super) fn prompts(has_appeared: bool) -> ListPromptsResult {
    let argument = |name: &str| json!({ "name": name, "description": "What it is about.", "required": true });
    let prompt = |name: &str, arguments: &[&str]| {
        let arguments: Vec<Value> = arguments.iter().map(|name| argument(name)).collect();
        json!({ "name": name, "description": "A prompt of the suite.", "arguments": arguments })
    };
    let mut all = vec![
        prompt("test_simple_prompt", &[]),
        prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
        prompt("test_prompt_with_image", &[]),
        prompt("test_input_required_result_prompt", &[]),
    ];
    if has_appeared {
        all.push(prompt("test_appearing", &[]));
    }
    ListPromptsResult::with_all_items(written(all.into()))
}

pub(super) fn prompt(name: &str, arguments: &JsonObject) -> Option<GetPromptResult> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let text = |text: String| json!({ "role": "user", "content": { "type": "text", "text": text } });
    let messages = match name {
        "test_simple_prompt" => vec![text("A simple prompt.".to_owned())],
        "test_prompt_with_arguments" => {
            vec![text(format!("Of arg1 = {} and arg2 = {}.", argument("arg1"), argument("arg2")))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({ "uri": argument("resourceUri"), "mimeType": "text/plain", "text": "Embedded." });
            let embedded = json!({ "role": "user", "content": { "type": "resource", "resource": resource } });
            vec![embedded, text("Read the resource above.".to_owned())]
        }
        "test_prompt_with_image" => {
            vec![json!({ "role": "user", "content": image() }), text("Look at the image above.".to_owned())]
        }
        _ => return None,
    };
    Some(written(json!({ "resultType": "complete", "messages": messages })))
}

pub(super) fn resources() -> ListResourcesResult {
    let resource = |uri: &str, name: &str, kind: &str| {
        let mut resource = json!({ "uri": uri, "name": name, "mimeType": kind });
        resource["description"] = "A resource of the suite.".into();
        resource
    };
    ListResourcesResult::with_all_items(written(json!([
        resource("test://static-text", "text", "text/plain"),
        resource("test://static-binary", "picture", "image/png"),
        resource("test://watched-resource", "watched", "text/plain"),
    ])))
}

pub(super) fn templates() -> ListResourceTemplatesResult {
    ListResourceTemplatesResult::with_all_items(written(json!([{ "uriTemplate": "test://template/{id}/data",
        "name": "by id", "description": "A resource for each id.", "mimeType": "application/json" }])))
}

pub(super) fn resource(uri: &str) -> Option<ReadResourceResult> {
    let mut contents = match uri {
        "test://static-text" => json!({ "mimeType": "text/plain", "text": "Always the same." }),
        "test://static-binary" => json!({ "mimeType": "image/png", "blob": PNG }),
        "test://watched-resource" => json!({ "mimeType": "text/plain", "text": "Watch it." }),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            json!({ "mimeType": "application/json", "text": json!({ "id": id }).to_string() })
        }
    };
    contents["uri"] = uri.into();
    Some(written(json!({ "resultType": "complete", "contents": [contents] })))
}
