//! Tools of MCP servers as participants. Owns one call: its arguments, its time and what the default rules
//! make of its end; the connection under it is `link.rs`'s business.

mod child;
mod lines;
mod link;
mod session;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceError;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode, ErrorData, JsonObject,
    MetaObject, RequestMetaObject,
};
use rmcp::transport::streamable_http_client::StreamableHttpError;
use tokio::time::{Instant, timeout, timeout_at};

pub(super) use child::Program;
pub(super) use link::Link;
pub(super) use session::Server;
use session::Session;

use super::config::Limits;
use super::http;
use super::reply::{Reply, excerpt, retry_after, too_deep};
use super::rule::DefaultRule as Rule;
use super::secret::Filter;
use crate::saga::Json;
use crate::trace;

/// Name under which the idempotency key travels in `_meta`, for servers that know it.
pub const KEY_META: &str = "amends/idempotency_key";

/// What goes with a call besides its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    /// The idempotency key, for all but probes.
    pub(super) key: Option<&'a str>,
    /// The position in a trace.
    pub(super) traceparent: Option<&'a str>,
}

impl Sent<'_> {
    fn meta(self) -> Option<RequestMetaObject> {
        let named = [(KEY_META, self.key), (trace::NAME, self.traceparent)];
        let fields = named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
        let meta = JsonObject::from_iter(fields);
        (!meta.is_empty()).then(|| RequestMetaObject(MetaObject(meta)))
    }
}

/// How long a broken call waits for the reason.
const ENDING_WAIT: Duration = Duration::from_millis(300);

/// A participant that speaks MCP.
pub(super) struct McpParticipant {
    link: Arc<Link>,
    limits: Limits,
}

impl McpParticipant {
    pub(super) fn new(link: Arc<Link>, limits: Limits) -> Self {
        Self { link, limits }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Ends the connection, and the child process if there is one.
    pub(super) async fn shutdown(&self) {
        self.link.shutdown().await;
    }

    /// Calls a tool and waits for its answer until `deadline`.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        sent: Sent<'_>,
        deadline: Instant,
    ) -> Reply {
        let session = match timeout_at(deadline, self.link.session()).await {
            Ok(Ok(session)) => session,
            Ok(Err(reply)) => return reply.cleaned(self.link.filter()),
            Err(_) => {
                let message = "the server was not ready within the time of an attempt; nothing was sent";
                return Reply::of(Rule::Refused, message);
            }
        };
        let mut params = CallToolRequestParams::new(Cow::Owned(tool.to_owned())).with_arguments(arguments);
        params.meta = sent.meta();
        // Dropping the call tells the server that nobody waits any more.
        let reply = match timeout_at(deadline, session.peer().call_tool_once(params)).await {
            Ok(Ok(response)) => {
                session.note_answer();
                self.answered(response)
            }
            Ok(Err(ServiceError::McpError(mut error))) => {
                session.note_answer();
                // Before it is quoted: half a secret is not known for one.
                error.message = Cow::Owned(self.link.filter().clean(error.message.into_owned()));
                refused(&error)
            }
            Ok(Err(error)) => self.broken(&session, &error).await,
            Err(_) => {
                self.link.suspect(&session);
                Reply::of(Rule::Timeout, "no answer within the time of an attempt")
            }
        };
        reply.cleaned(self.link.filter())
    }

    /// Makes a reply of a call whose connection failed, and lets go of the connection if it is no use any
    /// more.
    async fn broken(&self, session: &Arc<Session>, error: &ServiceError) -> Reply {
        if let Some(error) = http_cause(error) {
            if !is_answer(error) {
                self.link.retire(session);
            }
            return over_http(error, self.link.filter());
        }
        // A child's end says more than its closed pipe; it is known at once or not at all.
        let how = timeout(ENDING_WAIT, session.ending()).await.ok().flatten();
        self.link.retire(session);
        closed(error, how)
    }

    fn answered(&self, response: CallToolResponse) -> Reply {
        match response {
            CallToolResponse::Complete(result) => self.complete(result),
            // The protocol ends the request here: without the input it is not carried out.
            CallToolResponse::InputRequired(_) => {
                Reply::of(Rule::InputRequired, "the tool asks for more input, which a step cannot give")
            }
            CallToolResponse::Task(_) => {
                Reply::of(Rule::Invalid, "the server made a task of the call, which was not offered to it")
            }
            _ => Reply::of(Rule::Invalid, "the answer is of a kind that this version does not know"),
        }
    }

    fn complete(&self, result: CallToolResult) -> Reply {
        let is_error = result.is_error == Some(true);
        let text = texts(&result.content);
        let json = match &result.structured_content {
            Some(structured) => serde_json::to_string(structured),
            None => shaped(&text, &result.content),
        };
        let Ok(json) = json else {
            return Reply::of(Rule::Invalid, "the answer cannot be written as JSON");
        };
        let most = self.limits.answer_bytes_max;
        if json.len().max(text.len()) > most && !is_error {
            let message = format!("the answer is larger than the limit of {most} bytes (`answer_bytes_max`)");
            return Reply::of(Rule::TooLarge, message);
        }
        let fits = json.len() <= most && !too_deep(&json);
        if !fits && !is_error {
            return Reply::of(Rule::Invalid, "the answer nests deeper than expressions can read");
        }
        let reply = if is_error {
            let said = if text.is_empty() { json.clone() } else { text.clone() };
            Reply::of(Rule::ToolError, excerpt(&self.link.filter().clean(said)))
        } else {
            Reply::succeeded(Rule::ToolResult, Json::null())
        };
        let result = if fits { Json::parse(&json).unwrap_or_else(|_| Json::null()) } else { Json::null() };
        Reply { result, text: Some(text), ..reply }
    }
}

/// Returns the texts of an answer, one per line.
fn texts(content: &[ContentBlock]) -> String {
    let texts: Vec<&str> = content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n")
}

/// Shapes an answer without structured content: a text that is a JSON object or array is that, any other text
/// a string, and an answer without text its content blocks.
fn shaped(text: &str, content: &[ContentBlock]) -> serde_json::Result<String> {
    let trimmed = text.trim();
    if trimmed.starts_with(['{', '[']) && Json::parse(trimmed).is_ok() {
        return Ok(trimmed.to_owned());
    }
    match (text, content) {
        ("", []) => Ok("null".into()),
        ("", blocks) => serde_json::to_string(blocks),
        (text, _) => serde_json::to_string(text),
    }
}

/// Makes a reply of a JSON-RPC error: the server turned the request away, with few exceptions.
fn refused(error: &ErrorData) -> Reply {
    let message = format!("JSON-RPC error {}: {}", error.code.0, excerpt(&error.message));
    let kind = error.data.as_ref().and_then(|data| data.get("type")).and_then(|kind| kind.as_str());
    if matches!(kind, Some("idempotency_key_in_progress" | "idempotency_key_conflict")) {
        return Reply::of(Rule::KeyConflict, message);
    }
    if kind == Some(lines::TOO_LONG) {
        return Reply::of(Rule::TooLarge, excerpt(&error.message));
    }
    // Errors that proxies of the TypeScript SDK pass on when they lost the connection, or the patience,
    // behind them.
    const CONNECTION_CLOSED: ErrorCode = ErrorCode(-32000);
    const REQUEST_TIMEOUT: ErrorCode = ErrorCode(-32001);
    let said = error.message.to_ascii_lowercase();
    let behind = match error.code {
        CONNECTION_CLOSED => said.contains("closed"),
        REQUEST_TIMEOUT => said.contains("timed out") || said.contains("timeout"),
        // Also how rmcp reports that a session was made anew before the answer came.
        code => code == ErrorCode::INTERNAL_ERROR,
    };
    let result = serde_json::to_value(error).map_or_else(|_| Json::null(), Json::from);
    let reply = if behind {
        Reply::coded(Rule::Closed, "protocol_error", message)
    } else {
        Reply::of(Rule::ProtocolError, message)
    };
    Reply { result, ..reply }
}

/// Makes a reply of a call whose connection ended.
fn closed(error: &ServiceError, how: Option<String>) -> Reply {
    let never_sent = causes(error).any(|cause| {
        let error = cause.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::NotConnected)
    });
    if never_sent {
        return Reply::of(Rule::Refused, "the connection was closed already; nothing was sent");
    }
    let how = how.unwrap_or_else(|| error.to_string());
    Reply::of(Rule::Closed, format!("the connection ended before the answer: {how}"))
}

/// Returns an error's causes, the error of the transport first.
fn causes(error: &ServiceError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: Option<&(dyn std::error::Error + 'static)> = match error {
        ServiceError::TransportSend(sent) => Some(sent.error.as_ref()),
        _ => None,
    };
    std::iter::successors(first, |cause| cause.source())
}

/// Returns the failed POST under an error, if there is one.
fn http_cause(error: &ServiceError) -> Option<&StreamableHttpError<reqwest::Error>> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// Whether a failed POST was answered: then the session is as good as before.
fn is_answer(error: &StreamableHttpError<reqwest::Error>) -> bool {
    matches!(
        error,
        StreamableHttpError::HttpStatus(_)
            | StreamableHttpError::UnexpectedServerResponse(_)
            | StreamableHttpError::UnexpectedContentType(_)
            | StreamableHttpError::ResponseBodyTooLarge { .. }
            | StreamableHttpError::AuthRequired(_)
            | StreamableHttpError::InsufficientScope(_)
    )
}

/// Makes a reply of a failed POST.
fn over_http(error: &StreamableHttpError<reqwest::Error>, filter: &Filter) -> Reply {
    match error {
        StreamableHttpError::Client(error) => http::lost(error),
        StreamableHttpError::HttpStatus(error) => {
            let pause = error.retry_after.as_deref().and_then(retry_after);
            Reply { status: Some(error.status), ..http::judged(error.status, &[], pause, String::new()) }
        }
        StreamableHttpError::SessionExpired => {
            Reply::of(Rule::SessionLost, "the server does not know the session any more; a new one is made")
        }
        StreamableHttpError::AuthRequired(_) => {
            Reply { status: Some(401), ..http::judged(401, &[], None, String::new()) }
        }
        StreamableHttpError::InsufficientScope(_) => {
            Reply { status: Some(403), ..http::judged(403, &[], None, String::new()) }
        }
        StreamableHttpError::ResponseBodyTooLarge { max_size } => {
            Reply::of(Rule::TooLarge, format!("the answer is larger than {max_size} bytes"))
        }
        StreamableHttpError::UnexpectedServerResponse(said) => match status_in(said) {
            Some((status, body)) => {
                let body = filter.clean_beginning(body.to_owned());
                Reply { status: Some(status), ..http::judged(status, &[], None, body) }
            }
            None => Reply::of(Rule::Invalid, excerpt(&filter.clean_beginning(said.to_string()))),
        },
        other => {
            let said = filter.clean(other.to_string());
            Reply::of(Rule::Closed, format!("the exchange failed: {}", excerpt(&said)))
        }
    }
}

/// Reads the status out of rmcp's `HTTP 404 Not Found: body`.
fn status_in(said: &str) -> Option<(u16, &str)> {
    let rest = said.strip_prefix("HTTP ")?;
    let (status, rest) = (rest.get(..3)?.parse().ok()?, rest.get(3..)?);
    Some((status, rest.split_once(": ").map_or("", |(_, body)| body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::definition::Verdict;

    #[test]
    fn protocol_errors_are_definite_but_for_a_few() {
        let verdict = |code, message: &'static str, data| {
            refused(&ErrorData::new(ErrorCode(code), message, data)).verdict
        };
        assert_eq!(verdict(-32602, "unknown tool", None), Verdict::Errored);
        assert_eq!(verdict(-32000, "no such customer", None), Verdict::Errored);
        assert_eq!(verdict(-32603, "internal", None), Verdict::Unknown);
        assert_eq!(verdict(-32000, "Connection closed", None), Verdict::Unknown);
        assert_eq!(verdict(-32001, "Request timed out", None), Verdict::Unknown);
        let data = serde_json::json!({"type": "idempotency_key_in_progress"});
        assert_eq!(verdict(-32602, "busy", Some(data)), Verdict::Unknown);
    }

    #[test]
    fn key_and_position_travel_beside_the_arguments() {
        let meta = |key, traceparent| {
            Sent { key, traceparent }.meta().map(|meta| serde_json::to_value(meta).unwrap())
        };
        assert_eq!(meta(None, None), None);
        let both = serde_json::json!({ "amends/idempotency_key": "k", "traceparent": "00-1-2-01" });
        assert_eq!(meta(Some("k"), Some("00-1-2-01")), Some(both));
    }

    #[test]
    fn reads_the_status_out_of_rmcps_words() {
        assert_eq!(status_in("HTTP 404 Not Found: gone: away"), Some((404, "gone: away")));
        assert_eq!(status_in("could not parse JSON response"), None);
    }
}
