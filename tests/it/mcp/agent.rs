//! A scripted client: raw JSON-RPC over streamable HTTP, so that a test may send what no library would. It
//! speaks one of the two eras.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

/// A client.
pub(super) struct Agent {
    http: reqwest::Client,
    url: String,
    session: Option<String>,
    version: &'static str,
    token: Option<String>,
    next: AtomicU64,
    /// What the client declares that it can do.
    capabilities: Value,
}

/// What an answer consists of.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    /// Notifications and requests that came before the answer.
    pub(super) before: Vec<Value>,
    /// The answer: `result` or `error`.
    pub(super) answer: Value,
}

impl Agent {
    fn new(url: &str, version: &'static str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
            session: None,
            version,
            token: None,
            next: AtomicU64::new(1),
            capabilities: json!({}),
        }
    }

    /// A client that shakes hands and keeps a session.
    pub(super) async fn of_old(url: &str) -> Self {
        Self::new(url, OLD).shaken().await
    }

    /// The same with a token.
    pub(super) async fn of_old_with(url: &str, token: &str) -> Self {
        let mut agent = Self::new(url, OLD);
        agent.token = Some(token.to_owned());
        agent.shaken().await
    }

    /// The same with a person before it, who fills in forms.
    pub(super) async fn of_old_with_person(url: &str) -> Self {
        Self::new(url, OLD).able(json!({ "elicitation": {} })).shaken().await
    }

    /// A client without sessions.
    pub(super) fn of_new(url: &str) -> Self {
        Self::new(url, NEW)
    }

    pub(super) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Calls from another address of this machine.
    pub(super) fn from(mut self, address: &str) -> Self {
        let address: std::net::IpAddr = address.parse().unwrap();
        self.http = reqwest::Client::builder().local_address(address).build().unwrap();
        self
    }

    /// Says that the client can do this.
    pub(super) fn able(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    async fn shaken(mut self) -> Self {
        let client = json!({ "name": "agent", "version": "1" });
        let params = json!({ "protocolVersion": OLD, "capabilities": self.capabilities, "clientInfo": client });
        let heard = self.ask("initialize", params).await;
        assert_eq!(heard.answer["result"]["protocolVersion"], OLD, "{heard:?}");
        self.session = Some(heard.headers["mcp-session-id"].to_str().unwrap().to_owned());
        let done = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(&done, &[]).send().await.unwrap().status(), 202);
        self
    }

    fn post(&self, message: &Value, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut request = self.http.post(&self.url).header("accept", "application/json, text/event-stream");
        if message["method"] != "initialize" {
            request = request.header("mcp-protocol-version", self.version);
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if self.version == NEW {
            request = request.header("mcp-method", message["method"].as_str().unwrap());
            let params = &message["params"];
            if let Some(name) = params["name"].as_str().or(params["taskId"].as_str()) {
                request = request.header("mcp-name", name);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.json(message)
    }

    /// Sends a request with a fresh id.
    pub(super) fn request(&self, method: &str, params: Value) -> reqwest::RequestBuilder {
        self.post(&self.message(method, params), &[])
    }

    fn message(&self, method: &str, mut params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if self.version == NEW {
            let meta = params.as_object_mut().unwrap().entry("_meta").or_insert(json!({}));
            meta["io.modelcontextprotocol/protocolVersion"] = NEW.into();
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "agent", "version": "1" });
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        }
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    /// Asks, and hears the whole answer.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Heard {
        hear(self.request(method, params).send().await.unwrap()).await
    }

    /// Calls a tool; `beside` is put beside its name and arguments.
    pub(super) async fn call_with(&self, tool: &str, arguments: Value, beside: Value) -> Heard {
        let mut params = json!({ "name": tool, "arguments": arguments });
        for (name, value) in beside.as_object().unwrap() {
            params[name] = value.clone();
        }
        self.ask("tools/call", params).await
    }

    /// Calls a tool and returns its result.
    pub(super) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let heard = self.call_with(tool, arguments, json!({})).await;
        assert!(heard.answer["result"].is_object(), "{heard:?}");
        heard.answer["result"].clone()
    }

    /// Calls a tool, and answers what the server asks meanwhile: with a result or an error, or not at all.
    pub(super) async fn call_asked(
        &self,
        tool: &str,
        arguments: Value,
        mut reply: impl AsyncFnMut(&Value) -> Option<Value>,
    ) -> Heard {
        let call = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        let response = call.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (mut events, mut before) = (Events::new(response), Vec::new());
        while let Some(message) = events.next().await {
            if message.get("method").is_none() {
                return Heard { status, headers, before, answer: message };
            }
            if message.get("id").is_some()
                && let Some(mut reply) = reply(&message).await
            {
                reply["jsonrpc"] = "2.0".into();
                reply["id"] = message["id"].clone();
                let sent = self.post(&reply, &[]).send().await.unwrap();
                assert_eq!(sent.status(), 202, "{reply}");
            }
            before.push(message);
        }
        Heard { status, headers, before, answer: Value::Null }
    }

    /// Calls a tool and goes away without an answer.
    pub(super) async fn drop_call(&self, tool: &str, arguments: Value, after: Duration) {
        let request = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        let heard = tokio::time::timeout(after, async { hear(request.send().await.unwrap()).await }).await;
        assert!(heard.is_err(), "it was answered already: {heard:?}");
    }

    /// Calls a tool, loses the stream, and takes it up again after the last event that came.
    pub(super) async fn call_over_a_broken_stream(&self, tool: &str, arguments: Value, after: Duration) -> Heard {
        let request = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        let (mut response, mut text) = (request.send().await.unwrap(), String::new());
        let read = async {
            while let Some(chunk) = response.chunk().await.unwrap() {
                text.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        assert!(tokio::time::timeout(after, read).await.is_err(), "it was answered already: {text}");
        drop(response);
        let last = text.lines().filter_map(|line| line.strip_prefix("id:")).next_back().unwrap().trim().to_owned();
        // The server has noticed.
        tokio::time::sleep(after).await;
        let request = self.http.get(&self.url).header("accept", "text/event-stream").header("last-event-id", last);
        hear(self.within(request).send().await.unwrap()).await
    }

    /// Calls a tool, and cancels the request while the stream stays open.
    pub(super) async fn call_and_cancel(&self, tool: &str, arguments: Value, after: Duration) {
        let call = self.message("tools/call", json!({ "name": tool, "arguments": arguments }));
        let _stream = self.post(&call, &[]).send().await.unwrap();
        tokio::time::sleep(after).await;
        let params = json!({ "requestId": call["id"], "reason": "timed out" });
        let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        assert_eq!(self.post(&cancelled, &[]).send().await.unwrap().status(), 202);
        tokio::time::sleep(after).await;
    }

    /// Asks for the tools under other headers; returns the status and the whole answer.
    pub(super) async fn tools_under(&self, headers: &[(&str, &str)]) -> Heard {
        let message = self.message("tools/list", json!({}));
        hear(self.post(&message, headers).send().await.unwrap()).await
    }

    /// The tools, by name.
    pub(super) async fn tools(&self) -> Vec<Value> {
        let heard = self.ask("tools/list", json!({})).await;
        heard.answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{heard:?}")).clone()
    }

    pub(super) async fn tool_names(&self) -> Vec<String> {
        self.tools().await.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The stream of what the server says by itself: in the old era the session's, in the new one a
    /// subscription.
    pub(super) async fn listen(&self) -> reqwest::Response {
        if self.version == NEW {
            let wanted = json!({ "notifications": { "toolsListChanged": true } });
            return self.request("subscriptions/listen", wanted).send().await.unwrap();
        }
        let request = self.http.get(&self.url).header("accept", "text/event-stream");
        self.within(request).send().await.unwrap()
    }

    /// Names the session to whoever speaks in its place.
    pub(super) fn session(&self) -> &str {
        self.session.as_deref().unwrap_or_default()
    }

    /// Ends the session.
    pub(super) async fn leave(&self) {
        self.within(self.http.delete(&self.url)).send().await.unwrap();
    }

    /// A request of the session that is no message.
    fn within(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = request.header("mcp-protocol-version", OLD);
        let request = request.header("mcp-session-id", self.session.as_ref().unwrap());
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Reads an answer, as JSON or as events.
pub(super) async fn hear(response: reqwest::Response) -> Heard {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let is_stream = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    let mut before = Vec::new();
    if is_stream {
        let mut events = Events::new(response);
        while let Some(message) = events.next().await {
            if message.get("result").is_some() || message.get("error").is_some() {
                return Heard { status, headers, before, answer: message };
            }
            before.push(message);
        }
        return Heard { status, headers, before, answer: Value::Null };
    }
    let text = response.text().await.unwrap_or_default();
    let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Heard { status, headers, before, answer }
}

/// Messages of a stream of events.
pub(super) struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self { response, text: String::new() }
    }

    /// The next message; none at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
                let data: String = lines.map(str::trim_start).collect();
                self.text = rest.to_owned();
                if let Ok(message) = serde_json::from_str(&data) {
                    return Some(message);
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
