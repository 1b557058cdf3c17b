//! Raw JSON of calls and answers, which rmcp neither writes nor parses. rmcp makes the message of a call without
//! arguments; a transport inserts them as raw JSON. A transport takes each answer as raw JSON, and rmcp gets an empty
//! result in its place. rmcp keeps ids and sessions.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rmcp::model::{ClientJsonRpcMessage, GetExtensions, RequestId};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::participant::default_rules::DefaultRule as Rule;
use crate::participant::http::Progress;
use crate::participant::reply::Reply;
use crate::saga::Json;

/// A request of ours: its raw arguments, whether it was written, and its answer.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The arguments of a tool.
    arguments: Option<Json>,
    /// The progress of its connection, if it may have to open one.
    progress: Option<Arc<Progress>>,
    stage: AtomicU8,
    via: OnceLock<Via>,
    heard: Mutex<Option<Heard>>,
}

/// The HTTP exchange that carried a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Via {
    /// The status of the answer, unless it is 2xx.
    pub(super) status: Option<u16>,
    /// The pause that the server asks for.
    pub(super) pause: Option<Duration>,
    /// Whether the request named a session.
    pub(super) in_session: bool,
}

/// An answer, and the exchange that carried it.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) said: Said,
    pub(super) via: Via,
}

/// The answer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The `result` of JSON-RPC, as received.
    Result(String),
    /// The `error` of JSON-RPC, as received.
    Error {
        error: String,
        /// Whether it names the request.
        named: bool,
    },
    /// A body that is no message of JSON-RPC.
    Body(String),
    /// An answer that cannot be used: not whole, not what its headers announce, or larger than a message may be.
    Unread(Rule, String),
}

impl Heard {
    /// Whether two answers are the same apart from their digits. Request numbers and times differ.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let alike = |a: &str, b: &str| words(a) == words(b);
        let said = match (&self.said, &other.said) {
            (Said::Error { error: a, .. }, Said::Error { error: b, .. }) => {
                code(a) == code(b) && alike(&message(a), &message(b))
            }
            (Said::Body(a), Said::Body(b)) => alike(a, b),
            (Said::Result(_) | Said::Error { .. } | Said::Body(_) | Said::Unread(..), _) => false,
        };
        said && self.via.status == other.via.status
    }
}

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Slot {
    /// Makes the slot of a call. `progress`: of an attempt that may have to open a connection.
    pub(super) fn of_call(arguments: Json, progress: Option<Arc<Progress>>) -> Self {
        Self { arguments: Some(arguments), progress, ..Self::default() }
    }

    /// Returns a message as one line. The arguments are inserted as raw JSON, so their numbers keep their digits.
    pub(super) fn written(&self, message: &ClientJsonRpcMessage) -> serde_json::Result<String> {
        let text = serde_json::to_string(message)?;
        let Some(arguments) = &self.arguments else { return Ok(text) };
        // A line break in JSON text stands between its parts: strings escape theirs.
        let arguments = RawValue::from_string(arguments.get().replace(['\n', '\r'], " "))?;
        let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(&text)?;
        let mut params: BTreeMap<String, &RawValue> = match fields.get("params") {
            Some(params) => serde_json::from_str(params.get())?,
            None => BTreeMap::new(),
        };
        params.insert("arguments".to_owned(), &arguments);
        let params = serde_json::value::to_raw_value(&params)?;
        fields.insert("params".to_owned(), &params);
        serde_json::to_string(&fields)
    }

    /// Returns the progress of its connection.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    /// Makes the reply for a call whose time ended without an answer.
    pub(super) fn late(&self) -> Reply {
        match &self.progress {
            _ if self.was_sent() => {
                Reply::new(Rule::Timeout, "no answer within the time of an attempt").after(self.pause())
            }
            Some(progress) => progress.unsent(),
            None => {
                let message = "the server took no request within the time of an attempt; nothing was sent";
                Reply::new(Rule::Refused, message)
            }
        }
    }

    /// Records that the request is about to be written. Returns false if its caller has given it up; then it must not
    /// be written.
    pub(super) fn begin(&self) -> bool {
        self.stage.compare_exchange(QUEUED, SENT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Records that not one byte of the request was written after all.
    pub(super) fn unwritten(&self) {
        self.stage.store(WITHDRAWN, Ordering::Release);
    }

    /// Gives the request up. It is not written any more, unless writing has begun.
    pub(super) fn withdraw(&self) {
        let _ = self.stage.compare_exchange(QUEUED, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the server may have seen the request.
    pub(super) fn was_sent(&self) -> bool {
        self.stage.load(Ordering::Acquire) == SENT
    }

    /// Records the exchange that carries the request.
    pub(super) fn carried(&self, via: Via) {
        let _ = self.via.set(via);
    }

    /// Returns the pause that the head of the answer asks for. The body may never come.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.via.get().and_then(|via| via.pause)
    }

    /// Records the answer. Only the first one counts.
    pub(super) fn hear(&self, said: Said) {
        let heard = Heard { said, via: self.via.get().copied().unwrap_or_default() };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(heard);
    }

    /// Takes the answer.
    pub(super) fn take(&self) -> Option<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Returns the id and the slot of a request of ours; none for a message of rmcp's own.
pub(super) fn slot_of(message: &ClientJsonRpcMessage) -> Option<(RequestId, Arc<Slot>)> {
    let ClientJsonRpcMessage::Request(request) = message else { return None };
    let slot = request.request.extensions().get::<Arc<Slot>>()?;
    Some((request.id.clone(), Arc::clone(slot)))
}

/// The requests of one session that wait for their answers.
#[derive(Debug)]
pub(super) struct Waiting {
    slots: Mutex<HashMap<RequestId, Weak<Slot>>>,
    /// Changes with every answer.
    heard: watch::Sender<()>,
}

impl Waiting {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { slots: Mutex::default(), heard: watch::Sender::new(()) })
    }

    /// Returns a receiver that changes with every answer.
    pub(super) fn answers(&self) -> watch::Receiver<()> {
        self.heard.subscribe()
    }

    /// Registers a request that waits for its answer.
    pub(super) fn expect(&self, id: &RequestId, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.insert(id.clone(), Arc::downgrade(slot));
    }

    /// Removes a request. Returns its slot if the caller still has it.
    pub(super) fn forget(&self, id: &RequestId) -> Option<Arc<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(id)?.upgrade()
    }

    /// Hands an answer to its request, and returns the message that rmcp reads in its place. None for any other
    /// message. An error that names no request of ours is for `alone`, the request whose POST was answered.
    pub(super) fn take(&self, text: &str, alone: Option<&RequestId>) -> Option<String> {
        let message = Message::parse(text)?;
        if message.answer.is_some() {
            self.heard.send_replace(());
        }
        let (id, said) = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let named = message.id.clone().filter(|id| slots.contains_key(id));
            let id = match (named, &message.answer) {
                (Some(id), Some(_)) => id,
                // A server that cannot say which request it refuses leaves the id out, or sends another.
                (None, Some(Answer::Error(_))) => alone?.clone(),
                (None, Some(Answer::Result(_))) | (_, None) => return None,
            };
            let said = message.said(&id)?;
            (id, said)
        };
        let slot = self.forget(&id)?;
        slot.hear(said);
        Some(answered(&id))
    }
}

/// The message that tells rmcp that a request was answered.
fn answered(id: &RequestId) -> String {
    serde_json::json!({ "jsonrpc": "2.0", "id": id, "result": {} }).to_string()
}

/// A JSON-RPC message, reduced to what it answers.
pub(super) struct Message<'a> {
    id: Option<RequestId>,
    answer: Option<Answer<'a>>,
}

enum Answer<'a> {
    Result(&'a str),
    Error(&'a str),
}

impl<'a> Message<'a> {
    /// Reads a message; none if the text is no JSON object.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let fields = fields(text)?;
        let given = |name: &str| fields.get(name).map(|raw| raw.get());
        let answer = match (given("result"), given("error").filter(|error| *error != "null")) {
            _ if fields.contains_key("method") => None,
            (_, Some(error)) => Some(Answer::Error(error)),
            (Some(result), None) => Some(Answer::Result(result)),
            (None, None) => None,
        };
        Some(Self { id: given("id").and_then(id), answer })
    }

    /// Returns its answer to a request; none if it has none. An error is an answer even if it does not name the
    /// request.
    pub(super) fn said(&self, to: &RequestId) -> Option<Said> {
        let named = self.id.as_ref() == Some(to);
        match self.answer.as_ref()? {
            Answer::Result(result) => named.then(|| Said::Result((*result).to_owned())),
            Answer::Error(error) => Some(Said::Error { error: (*error).to_owned(), named }),
        }
    }
}

/// Reads the id of an answer. Our ids are numbers. Some servers return them as a string or with a fraction: `"7"`,
/// `7.0`.
fn id(text: &str) -> Option<RequestId> {
    let number = text.trim_matches('"');
    let whole = number.strip_suffix(".0").unwrap_or(number);
    match whole.parse() {
        Ok(number) => Some(RequestId::Number(number)),
        Err(_) => serde_json::from_str::<String>(text).ok().map(|text| RequestId::String(text.into())),
    }
}

/// Returns the raw fields of a JSON object. The last of two fields with one name counts.
pub(super) fn fields(text: &str) -> Option<HashMap<String, &RawValue>> {
    serde_json::from_str(text).ok()
}

/// Returns the code of an `error`, if it has one.
pub(super) fn code(error: &str) -> Option<i64> {
    let fields = fields(error)?;
    let code = fields.get("code")?.get().trim_matches('"');
    code.strip_suffix(".0").unwrap_or(code).parse().ok()
}

/// Returns the message of an `error`; the whole error if it has none.
pub(super) fn message(error: &str) -> String {
    match fields(error).as_ref().and_then(|fields| fields.get("message")) {
        Some(message) => string(message).unwrap_or_else(|| message.get().to_owned()),
        None => error.to_owned(),
    }
}

/// Decodes a JSON string; none for another value. A string with half a surrogate pair keeps its escaped form.
pub(super) fn string(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    Some(serde_json::from_str(text).unwrap_or_else(|_| inner.to_owned()))
}

/// Returns the messages of a text: one, or those of a batch.
pub(super) fn messages(text: &str) -> Vec<&str> {
    let text = text.trim();
    if !text.starts_with('[') {
        return vec![text];
    }
    serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default().into_iter().map(RawValue::get).collect()
}

/// Decodes bytes as text, without a byte order mark. Replaces invalid UTF-8, so that the rest of the answer is not
/// lost.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> (Arc<Waiting>, Arc<Slot>) {
        let (waiting, slot) = (Waiting::new(), Arc::new(Slot::default()));
        waiting.expect(&RequestId::Number(7), &slot);
        (waiting, slot)
    }

    #[test]
    fn an_answer_is_taken_as_it_stands_whatever_its_id_looks_like() {
        for id in ["7", "\"7\"", "7.0"] {
            let (waiting, slot) = waiting();
            let result = r#"{"content":[{"type":"hologram"}],"n":12345678901234567890.10,"n":1}"#;
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result},"extra":[]}}"#);
            assert_eq!(waiting.take(&line, None), Some(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#.into()), "{id}");
            assert_eq!(slot.take().map(|heard| heard.said), Some(Said::Result(result.into())));
            assert_eq!(waiting.take(&line, None), None, "it is answered once");
        }
    }

    #[test]
    fn what_is_no_answer_to_a_request_of_ours_is_left_to_rmcp() {
        let (waiting, slot) = waiting();
        for line in [
            r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}"#,
            r#"{"jsonrpc":"2.0","id":7}"#,
            "no JSON",
        ] {
            assert_eq!(waiting.take(line, None), None, "{line}");
        }
        assert!(slot.take().is_none());
    }

    #[test]
    fn an_error_without_an_id_is_for_the_request_whose_stream_it_is() {
        for id in [r#""id":null,"#, "", r#""id":"server-error","#] {
            let (waiting, slot) = waiting();
            let line = format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32600}}}}"#);
            assert!(waiting.take(&line, Some(&RequestId::Number(7))).is_some());
            let error = r#"{"code":-32600}"#.to_owned();
            assert_eq!(slot.take().map(|heard| heard.said), Some(Said::Error { error, named: false }));
        }
        let (waiting, slot) = waiting();
        let result = r#"{"jsonrpc":"2.0","id":9,"result":{}}"#;
        assert_eq!(waiting.take(result, Some(&RequestId::Number(7))), None, "another's result is not ours");
        assert!(slot.take().is_none());
    }

    #[test]
    fn arguments_are_written_as_they_are_on_one_line() {
        use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest};
        let call = CallToolRequest::new(CallToolRequestParams::new("a"));
        let message = ClientJsonRpcMessage::request(ClientRequest::CallToolRequest(call), RequestId::Number(7));
        let raw = "{\"n\":\r\n123456789012345678901234567890,\n\"c\":49.00,\"e\":1e400,\"t\":\"a\\nb\"}";
        let slot = Slot::of_call(Json::parse(raw).unwrap(), None);
        let written = slot.written(&message).unwrap();
        let line = raw.replace(['\r', '\n'], " ");
        assert!(written.contains(&format!("\"arguments\":{line},\"name\":\"a\"")), "{written}");
        assert!(!written.contains('\n') && written.contains("\"id\":7"), "{written}");
        let plain = Slot::default().written(&message).unwrap();
        assert!(!plain.contains("arguments"), "{plain}");
    }

    #[test]
    fn a_request_that_was_given_up_is_not_written() {
        let slot = Slot::default();
        slot.withdraw();
        assert!(!slot.begin() && !slot.was_sent());
        let slot = Slot::default();
        assert!(slot.begin());
        slot.withdraw();
        assert!(slot.was_sent(), "what was begun may have been seen");
    }

    #[test]
    fn a_batch_is_its_messages() {
        assert_eq!(messages(" {\"id\":1} "), ["{\"id\":1}"]);
        assert_eq!(messages("[{\"id\":1}, {\"id\":2}]"), ["{\"id\":1}", "{\"id\":2}"]);
        assert_eq!(decoded(b"\xEF\xBB\xBF{\"a\":\"\xFF\"}"), "{\"a\":\"\u{fffd}\"}");
    }
}
