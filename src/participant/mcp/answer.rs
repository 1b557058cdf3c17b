//! Applies the default rules to the answers of MCP servers. Reads raw results and errors, so that no unusual shape
//! loses an answer. `connection.rs` checks doubtful sessions, `tools.rs` checks for missing tools.

use serde_json::value::RawValue;

use super::framing;
use super::raw::{Heard, Said, Via, code, fields, message, string};
use crate::participant::config::Limits;
use crate::participant::default_rules::DefaultRule as Rule;
use crate::participant::http;
use crate::participant::reply::{Raw, Reply, excerpt, is_in_part, too_deep};
use crate::participant::secret::Filter;
use crate::saga::Json;
use crate::saga::definition::Effect;

const PARSE_ERROR: i64 = -32700;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;
const UNSUPPORTED_VERSION: i64 = -32022;
/// Errors of the TypeScript SDK. A proxy built on it sends them when its connection to the server behind it closed or
/// timed out.
const CONNECTION_CLOSED: i64 = -32000;
const REQUEST_TIMEOUT: i64 = -32001;

/// Makes the reply for an answer. `keyed`: the call may have an effect and carried a key.
pub(super) fn reply(heard: &Heard, keyed: bool, limits: &Limits, filter: &Filter) -> Reply {
    let Heard { said, via } = heard;
    let reply = match said {
        Said::Result(result) => complete(result, limits, filter),
        Said::Error { error, named } => refused(error, *named, keyed, via, filter),
        Said::Body(text) => match via.status {
            Some(status) => http::judged(status, keyed, via.pause, filter.clean(text.clone())),
            None => Reply::new(Rule::Invalid, no_message(text, filter)),
        },
        Said::Unread(rule, what) => match via.status {
            Some(status) if http::proves_nothing(status) && !is_in_part(*rule) => {
                http::judged(status, keyed, via.pause, String::new())
            }
            Some(status) => Reply::new(*rule, format!("HTTP {status}, {what}")),
            None => Reply::new(*rule, what.as_str()),
        },
    };
    Reply { status: via.status, ..reply.after(via.pause) }
}

fn no_message(text: &str, filter: &Filter) -> String {
    let said = excerpt(&filter.clean(text.to_owned()));
    if said.is_empty() {
        "the answer is empty".into()
    } else {
        format!("expected a JSON-RPC answer to the request, found: {said}")
    }
}

/// Makes the reply for a JSON-RPC error. Two codes prove that the call was not carried out: -32700 and -32601.
/// Servers send every other code, "invalid request" (-32600) among them, also after a tool has run: because its
/// output does not fit, or because it threw that error. An error that does not name the request may come from a
/// gateway, whatever its code.
fn refused(error: &str, named: bool, keyed: bool, via: &Via, filter: &Filter) -> Reply {
    // The filter runs before the text is cut: it would not find half a secret.
    let said = filter.clean(message(error));
    let kind = kind(error);
    if kind.as_deref() == Some(framing::TOO_LONG) {
        return Reply::new(Rule::TooLarge, excerpt(&said));
    }
    // Errors under these statuses come from the transport or a gateway.
    if let Some(status @ (401 | 403 | 405 | 406 | 408 | 413 | 415 | 425 | 429 | ..=399 | 500..)) = via.status {
        return http::judged(status, keyed, via.pause, said);
    }
    let code = code(error);
    let of = code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
    let message = format!("JSON-RPC error {of}: {}", excerpt(&said));
    let lower = said.to_ascii_lowercase();
    let data = || fields(error).and_then(|fields| Json::parse(fields.get("data")?.get()).ok());
    let reply = match code {
        _ if keyed && data().is_some_and(|data| http::speaks_of_own_key(&data)) => {
            Reply::new(Rule::KeyConflict, message)
        }
        _ if !named => Reply::new(Rule::ProtocolUnnamed, message),
        Some(PARSE_ERROR | METHOD_NOT_FOUND) => Reply::new(Rule::ProtocolRefusal, message),
        Some(CONNECTION_CLOSED) if lower.contains("closed") => {
            Reply::coded(Rule::Closed, Rule::ProtocolError.word(), message)
        }
        Some(REQUEST_TIMEOUT) if lower.contains("timed out") || lower.contains("timeout") => {
            Reply::coded(Rule::Closed, Rule::ProtocolError.word(), message)
        }
        Some(INTERNAL_ERROR) => Reply::coded(Rule::ProtocolInternal, Rule::ProtocolError.word(), message),
        _ => Reply::new(Rule::ProtocolError, message),
    };
    let result = if too_deep(error) { None } else { Json::parse(error).ok() };
    Reply { result: result.unwrap_or_else(Json::null), text: Some(said), ..reply }
}

/// Returns `data.type` of an error, by which some servers and `framing.rs` name its kind.
fn kind(error: &str) -> Option<String> {
    let fields = fields(error)?;
    string(self::fields(fields.get("data")?.get())?.get("type")?)
}

/// Makes the reply for a result.
fn complete(result: &str, limits: &Limits, filter: &Filter) -> Reply {
    let fields = fields(result);
    let given = |name: &str| fields.as_ref()?.get(name).copied().filter(|raw| raw.get() != "null");
    if let Some(refusal) = incomplete(given("resultType"), given("task"), given("content").is_some()) {
        return refusal;
    }
    let content = given("content");
    let text = content.map(|content| texts(content).join("\n")).unwrap_or_default();
    let json = match (&fields, given("structuredContent")) {
        (None, _) => result.to_owned(),
        (Some(_), Some(structured)) => structured.get().to_owned(),
        (Some(_), None) => shaped(&text, content),
    };
    let is_error = given("isError").is_some_and(|flag| !matches!(flag.get(), "false" | "0" | "\"false\""));
    let most = limits.answer_bytes_max;
    if json.len().max(text.len()) > most && !is_error {
        let message = format!("the answer is larger than the limit of {most} bytes (`answer_bytes_max`)");
        return Reply::new(Rule::TooLarge, message);
    }
    let fits = |json: &str| json.len() <= most && !too_deep(json);
    if !fits(&json) && !is_error {
        return Reply::new(Rule::Invalid, "the answer nests deeper than expressions can read");
    }
    let reply = if is_error {
        let said = if text.is_empty() { json.clone() } else { text.clone() };
        Reply::new(Rule::ToolError, excerpt(&filter.clean(said)))
    } else {
        Reply::succeeded(Rule::ToolResult, Json::null())
    };
    let kept = |json: &str| Some(json).filter(|json| fits(json)).and_then(|json| Json::parse(json).ok());
    let raw = Raw {
        content: content.and_then(|content| kept(content.get())),
        meta: given("_meta").and_then(|meta| kept(meta.get())),
    };
    let result = kept(&json).unwrap_or_else(Json::null);
    Reply { result, text: Some(text), raw: Some(Box::new(raw)), ..reply }
}

/// Makes the reply for a result that is not the tool's own; none if it is.
fn incomplete(kind: Option<&RawValue>, task: Option<&RawValue>, has_content: bool) -> Option<Reply> {
    match kind.map(RawValue::get) {
        // The protocol ends the request here. Without the input the tool was not carried out.
        Some("\"input_required\"") => {
            let message = "the tool asks for more input, which a step cannot give";
            Some(Reply::new(Rule::InputRequired, message))
        }
        None if task.is_none() || has_content => None,
        Some("\"complete\"") => None,
        None | Some("\"task\"") => {
            let message = "the server made a task of the call, which the call did not offer";
            Some(Reply::new(Rule::Invalid, message))
        }
        Some(_) => Some(Reply::new(Rule::Invalid, "the answer has a `resultType` that this version does not know")),
    }
}

/// Returns the texts in the content of an answer. A block without a type counts as text; a block of another type has
/// none.
fn texts(content: &RawValue) -> Vec<String> {
    let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(content.get()) else {
        return block_text(content).or_else(|| string(content)).into_iter().collect();
    };
    blocks.into_iter().filter_map(|block| block_text(block).or_else(|| string(block))).collect()
}

fn block_text(block: &RawValue) -> Option<String> {
    let fields = fields(block.get())?;
    let is_text = fields.get("type").is_none_or(|kind| kind.get() == "\"text\"");
    string(fields.get("text").filter(|_| is_text)?)
}

/// Returns the JSON of an answer without structured content. A text that is a JSON object or array is taken as JSON,
/// any other text as a string. Without a text it is the content, or null if there is none.
fn shaped(text: &str, content: Option<&RawValue>) -> String {
    let trimmed = text.trim();
    if trimmed.starts_with(['{', '[']) && Json::parse(trimmed).is_ok() {
        return trimmed.to_owned();
    }
    match content.map(RawValue::get) {
        Some(content) if text.is_empty() && content != "[]" => content.to_owned(),
        Some(_) | None if text.is_empty() => "null".into(),
        Some(_) | None => serde_json::Value::from(text).to_string(),
    }
}

/// Makes a refusal of a failed call, because the server does not list the tool.
pub(super) fn no_such_tool(judged: Reply) -> Reply {
    let said = judged.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    let refusal = Reply::new(Rule::ProtocolRefusal, format!("{said}; the server lists no such tool"));
    Reply { verdict: refusal.verdict, rule: refusal.rule, error: refusal.error, ..judged }
}

/// Makes the reply for a call whose session the server does not know: it refused the session, not the call. This
/// server has not carried the call out, but another process may have. A proxy sends a request again if the first
/// server dies with it. So a call that must not be repeated is in doubt.
pub(super) fn session_lost(heard: &Heard, effect: Effect) -> Reply {
    let rule = match effect {
        Effect::ReadOnly | Effect::Idempotent => Rule::SessionLost,
        Effect::Once | Effect::Transactional => Rule::SessionRefused,
    };
    let message = "the server does not know the session any more; a new one is made";
    Reply { status: heard.via.status, ..Reply::new(rule, message).after(heard.via.pause) }
}

/// What an answer says about the session that the request named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionWord {
    /// Nothing.
    Nothing,
    /// Something is wrong with the session, and the call may have been carried out. The session needs a check.
    Wrong,
    /// The server may not know the session. If a check confirms it, nothing was carried out.
    Doubtful,
    /// The server does not know the session: it says so as the protocol demands.
    Gone,
}

/// Returns what an answer says about the session. By the protocol, a server answers 404 if the session is over.
/// Servers also answer 400, 401, 410 or 422, or 200 with a text about the session, or with an error that names no
/// request. A load balancer whose server has died answers 502 for ever. So the session is checked unless a server
/// that knows it has answered, or the status is 425 or 429.
pub(super) fn of_session(heard: &Heard) -> SessionWord {
    let via = &heard.via;
    // A server that names the request in its error has read the request. So may a server whose answer did not arrive
    // whole.
    let (reads, word) = match &heard.said {
        Said::Result(_) => return SessionWord::Nothing,
        said if speaks_of_session(said) => (matches!(said, Said::Error { named: true, .. }), SessionWord::Doubtful),
        Said::Error { named: true, .. } => (true, SessionWord::Nothing),
        Said::Error { named: false, .. } => (false, SessionWord::Wrong),
        Said::Body(_) | Said::Unread(..) if !via.in_session => return SessionWord::Nothing,
        Said::Body(_) => (false, SessionWord::Wrong),
        Said::Unread(..) => (true, SessionWord::Wrong),
    };
    match via.status {
        Some(425 | 429) => SessionWord::Nothing,
        Some(404) if via.in_session && !reads => SessionWord::Gone,
        Some(408 | ..=399 | 500..) => SessionWord::Wrong,
        Some(400..=499) if via.in_session => SessionWord::Doubtful,
        Some(_) | None => word,
    }
}

/// Whether an answer is about the session, or about the agreed protocol version.
fn speaks_of_session(said: &Said) -> bool {
    let speaks = |text: &str| text.to_ascii_lowercase().contains("session");
    match said {
        Said::Error { error, .. } => code(error) == Some(UNSUPPORTED_VERSION) || speaks(&message(error)),
        Said::Body(text) => speaks(text),
        Said::Result(_) | Said::Unread(..) => false,
    }
}

/// Whether the answer to a check shows that the server knows the session. An error that names the request shows it,
/// too: the server may not support the request.
pub(super) fn knows_session(heard: &Heard) -> bool {
    let answers = matches!(heard.said, Said::Result(_) | Said::Error { named: true, .. });
    answers && !speaks_of_session(&heard.said) && !matches!(heard.via.status, Some(500..))
}

/// Whether a failure may mean that the server has no such tool. SDKs report it as a protocol error or as an error of
/// the tool. A tool may use similar words about its own subject. Only the server's list decides.
pub(super) fn may_miss_tool(heard: &Heard, reply: &Reply) -> bool {
    let said = match &heard.said {
        // A gateway's error is not checked against the list: the gateway's tools may have changed since.
        Said::Error { error, .. } if code(error) == Some(INVALID_PARAMS) => reply.rule == Rule::ProtocolError,
        Said::Result(_) => reply.rule == Rule::ToolError,
        Said::Error { .. } | Said::Body(_) | Said::Unread(..) => false,
    };
    const MISSING: [&str; 7] =
        ["unknown", "not found", "no such", "not exist", "not registered", "unrecognized", "not available"];
    let lower = reply.text().to_ascii_lowercase();
    said && lower.contains("tool") && MISSING.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests;
