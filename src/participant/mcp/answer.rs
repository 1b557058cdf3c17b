//! Default rules for the answers of MCP servers. Reads raw results and errors so that no shape of theirs loses the
//! answer. `connection.rs` checks doubtful sessions, `tools.rs` doubtful tools.

use serde_json::value::RawValue;

use super::framing;
use super::raw::{Heard, Said, Via, code, fields, message, string};
use crate::participant::config::Limits;
use crate::participant::http;
use crate::participant::reply::{Raw, Reply, excerpt, is_in_part, too_deep};
use crate::participant::rule::DefaultRule as Rule;
use crate::participant::secret::Filter;
use crate::saga::Json;
use crate::saga::definition::Effect;

const PARSE_ERROR: i64 = -32700;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;
const UNSUPPORTED_VERSION: i64 = -32022;
/// Errors that proxies of the TypeScript SDK pass on when they lost the connection, or the patience, behind them.
const CONNECTION_CLOSED: i64 = -32000;
const REQUEST_TIMEOUT: i64 = -32001;

/// Makes a reply of an answer. `keyed`: the call may have an effect and carried a key.
pub(super) fn reply(heard: &Heard, keyed: bool, limits: &Limits, filter: &Filter) -> Reply {
    let Heard { said, via } = heard;
    let reply = match said {
        Said::Result(result) => complete(result, limits, filter),
        Said::Error { error, named } => refused(error, *named, keyed, via, filter),
        Said::Body(text) => match via.status {
            Some(status) => http::judged(status, keyed, via.pause, filter.clean(text.clone())),
            None => Reply::of(Rule::Invalid, no_message(text, filter)),
        },
        Said::Unread(rule, what) => match via.status {
            Some(status) if http::proves_nothing(status) && !is_in_part(*rule) => {
                http::judged(status, keyed, via.pause, String::new())
            }
            Some(status) => Reply::of(*rule, format!("HTTP {status}, {what}")),
            None => Reply::of(*rule, what.as_str()),
        },
    };
    Reply { status: via.status, ..reply.after(via.pause) }
}

fn no_message(text: &str, filter: &Filter) -> String {
    let said = excerpt(&filter.clean(text.to_owned()));
    if said.is_empty() {
        "the answer is empty".into()
    } else {
        format!("the answer is no answer of JSON-RPC to the request: {said}")
    }
}

/// Makes a reply of a JSON-RPC error. Two codes say that the call was not carried out: servers answer with the others
/// when a tool is done as well, to its output that does not fit, or to what it has thrown, "invalid request" among it.
/// An error that does not name the request may be a gateway's, whatever its code.
fn refused(error: &str, named: bool, keyed: bool, via: &Via, filter: &Filter) -> Reply {
    // Before it is quoted: half a secret is not known for one.
    let said = filter.clean(message(error));
    let kind = kind(error);
    if kind.as_deref() == Some(framing::TOO_LONG) {
        return Reply::of(Rule::TooLarge, excerpt(&said));
    }
    // These are the transport's own, or a gateway's.
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
            Reply::of(Rule::KeyConflict, message)
        }
        _ if !named => Reply::of(Rule::ProtocolUnnamed, message),
        Some(PARSE_ERROR | METHOD_NOT_FOUND) => Reply::of(Rule::ProtocolRefusal, message),
        Some(CONNECTION_CLOSED) if lower.contains("closed") => {
            Reply::coded(Rule::Closed, Rule::ProtocolError.word(), message)
        }
        Some(REQUEST_TIMEOUT) if lower.contains("timed out") || lower.contains("timeout") => {
            Reply::coded(Rule::Closed, Rule::ProtocolError.word(), message)
        }
        Some(INTERNAL_ERROR) => Reply::coded(Rule::ProtocolInternal, Rule::ProtocolError.word(), message),
        _ => Reply::of(Rule::ProtocolError, message),
    };
    let result = if too_deep(error) { None } else { Json::parse(error).ok() };
    Reply { result: result.unwrap_or_else(Json::null), text: Some(said), ..reply }
}

/// Returns `data.type` of an error, by which some servers say more.
fn kind(error: &str) -> Option<String> {
    let fields = fields(error)?;
    string(self::fields(fields.get("data")?.get())?.get("type")?)
}

/// Makes a reply of a result.
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
        return Reply::of(Rule::TooLarge, message);
    }
    let fits = |json: &str| json.len() <= most && !too_deep(json);
    if !fits(&json) && !is_error {
        return Reply::of(Rule::Invalid, "the answer nests deeper than expressions can read");
    }
    let reply = if is_error {
        let said = if text.is_empty() { json.clone() } else { text.clone() };
        Reply::of(Rule::ToolError, excerpt(&filter.clean(said)))
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

/// Makes a reply of a result that is not the tool's.
fn incomplete(kind: Option<&RawValue>, task: Option<&RawValue>, has_content: bool) -> Option<Reply> {
    match kind.map(RawValue::get) {
        // The protocol ends the request here: without the input it is not carried out.
        Some("\"input_required\"") => {
            let message = "the tool asks for more input, which a step cannot give";
            Some(Reply::of(Rule::InputRequired, message))
        }
        None if task.is_none() || has_content => None,
        Some("\"complete\"") => None,
        None | Some("\"task\"") => {
            let message = "the server made a task of the call, which was not offered to it";
            Some(Reply::of(Rule::Invalid, message))
        }
        Some(_) => Some(Reply::of(Rule::Invalid, "the answer is of a kind that this version does not know")),
    }
}

/// Returns the texts of an answer's content. Other blocks, and those of no known type, have none.
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

/// Shapes an answer without structured content: a text that is a JSON object or array is that, any other text
/// a string, and an answer without text its content.
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

/// Makes a refusal of a failure to find the tool.
pub(super) fn no_such_tool(judged: Reply) -> Reply {
    let said = judged.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    let refusal = Reply::of(Rule::ProtocolRefusal, format!("{said}; the server lists no such tool"));
    Reply { verdict: refusal.verdict, rule: refusal.rule, error: refusal.error, ..judged }
}

/// Makes a reply of a call whose session the server does not know: the refusal is not of the call. Whoever keeps the
/// sessions has not carried it out, and yet another process may have: a proxy sends a request again that a dying server
/// was given first. So what may not be repeated is in doubt.
pub(super) fn session_lost(heard: &Heard, effect: Effect) -> Reply {
    let rule = match effect {
        Effect::ReadOnly | Effect::Idempotent => Rule::SessionLost,
        Effect::Once | Effect::Transactional => Rule::SessionRefused,
    };
    let message = "the server does not know the session any more; a new one is made";
    Reply { status: heard.via.status, ..Reply::of(rule, message).after(heard.via.pause) }
}

/// What a failure says of the session that the request named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionWord {
    /// Nothing.
    Nothing,
    /// That something is wrong with it, be it since the call was carried out: to be checked.
    Wrong,
    /// Perhaps that there is none: to be checked, and then nothing was carried out.
    Doubtful,
    /// That there is none, as the protocol has it.
    Gone,
}

/// Returns what an answer says of the session. The protocol answers 404 to a session that is over; servers answer 400,
/// 401, 410 or 422 as well, and 200 with words that speak of it, or with an error that names no request. A balancer
/// whose server has died answers 502 for ever. Whatever is no answer of a server that knows the session is looked into.
pub(super) fn of_session(heard: &Heard) -> SessionWord {
    let via = &heard.via;
    // An error that names the request is of a server that has read it, and so may be one that did not arrive whole.
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

/// Whether an answer speaks of the session, or of the version that was agreed upon.
fn speaks_of_session(said: &Said) -> bool {
    let speaks = |text: &str| text.to_ascii_lowercase().contains("session");
    match said {
        Said::Error { error, .. } => code(error) == Some(UNSUPPORTED_VERSION) || speaks(&message(error)),
        Said::Body(text) => speaks(text),
        Said::Result(_) | Said::Unread(..) => false,
    }
}

/// Whether a check was answered as by a server that knows the session, be it by an error: the server may not know the
/// request.
pub(super) fn knows_session(heard: &Heard) -> bool {
    let answers = matches!(heard.said, Said::Result(_) | Said::Error { named: true, .. });
    answers && !speaks_of_session(&heard.said) && !matches!(heard.via.status, Some(500..))
}

/// Whether a failure may say that the server has no such tool. SDKs say it as a protocol error or as a tool's own, and
/// a tool may say the like of what it was asked for: only the server's list tells.
pub(super) fn may_miss_tool(heard: &Heard, reply: &Reply) -> bool {
    let said = match &heard.said {
        // A gateway's word is nothing to ask the list about: its own may have changed since.
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
