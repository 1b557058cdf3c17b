//! The HTTP client under rmcp. Sends each POST and reads its answer, whatever the status. It takes the answer to a
//! request of ours before rmcp sees it. From the answers to rmcp's own messages it records what rmcp does not report.
//! rmcp handles sessions and resumed streams.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http_body::{Frame, SizeHint};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Body, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, RequestId, ServerJsonRpcMessage, ServerResult};
use rmcp::transport::common::http_header::{
    EVENT_STREAM_MIME_TYPE, HEADER_LAST_EVENT_ID, HEADER_SESSION_ID, JSON_MIME_TYPE,
};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::{Sse, SseStream};
use tokio::time::Instant;

use super::raw::{self, Message, Said, Slot, Via, Waiting};
use crate::config::participant::{ANSWER_BYTES_INLINE_MAX, MESSAGE_BYTES_MAX};
use crate::participant::default_rules::DefaultRule as Rule;
use crate::participant::http::{self, Arrived, Progress};
use crate::participant::reply::Reply;

/// The HTTP client of one session.
#[derive(Clone)]
pub(super) struct Posts {
    client: reqwest::Client,
    waiting: Arc<Waiting>,
    greeting: Arc<Greeting>,
}

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Failure = StreamableHttpError<reqwest::Error>;

impl Posts {
    pub(super) fn new(client: reqwest::Client, waiting: Arc<Waiting>, greeting: Arc<Greeting>) -> Self {
        Self { client, waiting, greeting }
    }

    /// Sends a message of rmcp's own and returns the answer. For a request the answer is a message, otherwise only
    /// that the server accepted it.
    async fn pass_on(
        &self,
        message: ClientJsonRpcMessage,
        request: reqwest::RequestBuilder,
        in_session: bool,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let sending = request.body(serde_json::to_string(&message)?).send();
        let response = match &message {
            ClientJsonRpcMessage::Request(_) => self.greeting.watch(sending).await?,
            _ => sending.await?,
        };
        let status = response.status();
        if !status.is_success() {
            self.greeting.refused(&response);
        }
        if status == StatusCode::NOT_FOUND && in_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        let ClientJsonRpcMessage::Request(asked) = message else {
            return match status.is_success() {
                true => Ok(StreamableHttpPostResponse::Accepted),
                false => Err(StreamableHttpError::UnexpectedServerResponse(format!("HTTP {status}").into())),
            };
        };
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = response.headers().get(HEADER_SESSION_ID);
        let session = session.and_then(|id| id.to_str().ok()).map(str::to_owned);
        if status.is_success() && is_stream(&response) {
            return match http::flaw_of_stream(response.headers()) {
                Some(flaw) => Err(StreamableHttpError::UnexpectedServerResponse(flaw.what.into())),
                None => Ok(StreamableHttpPostResponse::Sse(self.events(response, None), session)),
            };
        }
        let text = Arrived::read(response, MESSAGE_BYTES_MAX).await.text(MESSAGE_BYTES_MAX);
        let text = text.map(Option::unwrap_or_default);
        // Under these statuses a gateway answers, so an error in the body is not the server's.
        let is_gateways = matches!(status.as_u16(), 401 | 403 | 429);
        match text.as_deref().ok().and_then(|text| serde_json::from_str(text).ok()) {
            Some(ServerJsonRpcMessage::Error(mut error)) if !is_gateways => {
                // A server that cannot read the request refuses it under another id, or under none.
                if matches!(asked.request, ClientRequest::DiscoverRequest(_)) {
                    error.id = Some(asked.id);
                }
                Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(error), session))
            }
            Some(message) if status.is_success() => Ok(StreamableHttpPostResponse::Json(message, session)),
            _ => {
                let said = text.unwrap_or_else(|flaw| flaw.what);
                Err(StreamableHttpError::UnexpectedServerResponse(format!("HTTP {status}: {said}").into()))
            }
        }
    }

    /// Sends a request and reads its answer. An error means that there was none.
    async fn ask(
        &self,
        id: RequestId,
        slot: Arc<Slot>,
        message: &ClientJsonRpcMessage,
        request: reqwest::RequestBuilder,
        in_session: bool,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let text = slot.written(message).map_err(io::Error::from)?;
        // Registered before it is sent: its answer may come at once, and on another stream of the session.
        self.waiting.expect(&id, &slot);
        let sending = request.body(Body::wrap(Sending::new(text, &slot))).send();
        let response = match slot.progress() {
            Some(progress) => progress.record(sending).await?,
            None => sending.await?,
        };
        let status = response.status();
        let pause = http::pause(response.headers());
        let bad = (!status.is_success()).then_some(status.as_u16());
        slot.carried(Via { status: bad, pause, in_session });
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status.is_success() && is_stream(&response) {
            match http::flaw_of_stream(response.headers()) {
                Some(flaw) => slot.hear(Said::Unread(flaw.rule, flaw.what)),
                None => return Ok(StreamableHttpPostResponse::Sse(self.events(response, Some(id)), None)),
            }
        } else {
            slot.hear(heard(Arrived::read(response, MESSAGE_BYTES_MAX).await, id.clone()).await);
        }
        Ok(answered(id))
    }

    /// Reads the events of an answer, and takes the answer to a request of ours out of them.
    fn events(&self, response: Response, id: Option<RequestId>) -> Events {
        let chunks = stream::unfold(Some((response, EventSize::default())), |reading| async {
            let (mut response, mut size) = reading?;
            match response.chunk().await {
                Ok(Some(chunk)) if size.admits(&chunk) => Some((Ok(chunk), Some((response, size)))),
                Ok(Some(_)) => Some((Err(io::Error::other("an event is too long")), None)),
                Ok(None) => None,
                Err(error) => Some((Err(io::Error::other(error)), None)),
            }
        });
        self.taken(SseStream::from_bytes_stream(chunks).boxed(), id)
    }

    /// Takes the answers to our requests out of a stream of events.
    fn taken(&self, events: Events, alone: Option<RequestId>) -> Events {
        let waiting = Arc::clone(&self.waiting);
        let take = move |event: Sse| match event.data.as_deref().and_then(|data| waiting.take(data, alone.as_ref())) {
            Some(answered) => Sse { data: Some(answered), ..event },
            None => event,
        };
        events.map(move |event| event.map(&take)).boxed()
    }
}

impl StreamableHttpClient for Posts {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session_id, auth_header, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        headers: Headers,
        _: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let slot = raw::slot_of(&message);
        // If the settings name one of the protocol's own headers, the handshake is refused.
        let is_reserved = |name: &&HeaderName| {
            let reserved = [ACCEPT.as_str(), HEADER_SESSION_ID, HEADER_LAST_EVENT_ID];
            reserved.iter().any(|other| name.as_str().eq_ignore_ascii_case(other))
        };
        if let Some(name) = headers.keys().find(is_reserved).filter(|_| slot.is_none()) {
            return Err(StreamableHttpError::ReservedHeaderConflict(name.to_string()));
        }
        let accepted = [JSON_MIME_TYPE, EVENT_STREAM_MIME_TYPE].join(", ");
        let mut request = self.client.post(uri.as_ref()).header(ACCEPT, accepted);
        // Without this header a server may choose any coding. The coding of a body is removed all the same.
        request = request.header(ACCEPT_ENCODING, "identity").header(CONTENT_TYPE, JSON_MIME_TYPE);
        if let Some(token) = auth_header {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(session) = session_id.as_deref() {
            request = request.header(HEADER_SESSION_ID, session);
        }
        match slot {
            Some((id, slot)) => self.ask(id, slot, &message, request, session_id.is_some()).await,
            None => self.pass_on(message, request, session_id.is_some()).await,
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        self.client.delete_session(uri, session_id, auth_header, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failure> {
        let most = MESSAGE_BYTES_MAX;
        self.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, auth_header, headers, most).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        headers: Headers,
        most: usize,
    ) -> Result<Events, Failure> {
        let client = &self.client;
        let events = client
            .get_stream_with_max_sse_event_size(uri, session_id, last_event_id, auth_header, headers, most)
            .await?;
        Ok(self.taken(events, None))
    }
}

/// Facts about a handshake that rmcp does not report if it fails.
#[derive(Debug)]
pub(super) struct Greeting {
    progress: Arc<Progress>,
    is_unresolved: AtomicBool,
    /// The pause that the last refusal asks for.
    pause: Mutex<Option<Duration>>,
}

impl Greeting {
    pub(super) fn until(deadline: Instant) -> Arc<Self> {
        let progress = Progress::until(deadline);
        Arc::new(Self { progress, is_unresolved: AtomicBool::new(false), pause: Mutex::new(None) })
    }

    async fn watch(&self, sending: impl Future<Output = reqwest::Result<Response>>) -> reqwest::Result<Response> {
        let sent = Arc::clone(&self.progress).record(sending).await;
        self.is_unresolved.store(sent.as_ref().is_err_and(reqwest::Error::is_dns), Ordering::Relaxed);
        sent
    }

    fn refused(&self, response: &Response) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = http::pause(response.headers());
    }

    /// Makes the reply for a call that got no session: nothing was sent.
    pub(super) fn failed(&self, message: String) -> Reply {
        let is_unresolved = self.is_unresolved.load(Ordering::Relaxed);
        let rule = if is_unresolved { Rule::Unresolved } else { Rule::Refused };
        let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        Reply::new(rule, message).after(pause)
    }

    /// Makes the reply for a call whose time ended during the handshake; none unless the name is being looked up.
    pub(super) fn unresolved(&self) -> Option<Reply> {
        self.progress.is_resolving().then(|| self.progress.unsent())
    }
}

/// Makes the empty result that rmcp reads in place of an answer.
fn answered(id: RequestId) -> StreamableHttpPostResponse {
    StreamableHttpPostResponse::Json(ServerJsonRpcMessage::response(ServerResult::empty(()), id), None)
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(EVENT_STREAM_MIME_TYPE)
}

/// Reads a body. A large one is read on another thread, because other calls share this one.
async fn heard(arrived: Arrived, id: RequestId) -> Said {
    if arrived.length() <= ANSWER_BYTES_INLINE_MAX {
        return said(&arrived, &id);
    }
    let read = tokio::task::spawn_blocking(move || said(&arrived, &id)).await;
    read.unwrap_or_else(|error| Said::Unread(Rule::Invalid, format!("the answer was not read: {error}")))
}

/// Returns the message that answers the request, else the plain body or what is wrong with it.
fn said(arrived: &Arrived, id: &RequestId) -> Said {
    let message = |text: String| {
        let mut messages = raw::messages(&text).into_iter().filter_map(Message::parse);
        messages.find_map(|message| message.said(id))
    };
    if let Some(said) = arrived.text(MESSAGE_BYTES_MAX).ok().flatten().and_then(message) {
        return said;
    }
    match arrived.content(MESSAGE_BYTES_MAX, false) {
        Ok(content) => Said::Body(content.text.unwrap_or_default()),
        Err(flaw) => Said::Unread(flaw.rule, flaw.what),
    }
}

/// The body of a request. The connection asks for it when it begins to write the request, and not before. From that
/// moment on the server may see the request. A request that was given up before is not written.
struct Sending {
    text: Body,
    slot: Arc<Slot>,
    begun: bool,
}

impl Sending {
    fn new(text: String, slot: &Arc<Slot>) -> Self {
        Self { text: text.into(), slot: Arc::clone(slot), begun: false }
    }
}

impl http_body::Body for Sending {
    type Data = <Body as http_body::Body>::Data;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if !self.begun {
            if !self.slot.begin() {
                return Poll::Ready(Some(Err("the request was given up before it was sent".into())));
            }
            self.begun = true;
        }
        Pin::new(&mut self.text).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.text.size_hint()
    }
}

/// The size of the event that is being read.
#[derive(Default)]
struct EventSize {
    bytes: usize,
    line_bytes: usize,
    is_comment: bool,
    after_return: bool,
}

impl EventSize {
    /// Whether the event stays within the limit of a message. Comments are not kept and do not count, unless one line
    /// of them is longer than the limit.
    fn admits(&mut self, chunk: &[u8]) -> bool {
        for byte in chunk {
            let ends_already = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if ends_already => {}
                b'\n' | b'\r' if self.line_bytes == 0 => self.bytes = 0,
                b'\n' | b'\r' => {
                    self.bytes = if self.is_comment { self.bytes } else { self.bytes + self.line_bytes };
                    self.line_bytes = 0;
                }
                _ => {
                    self.is_comment = if self.line_bytes == 0 { *byte == b':' } else { self.is_comment };
                    self.line_bytes += 1;
                }
            }
            if self.bytes + self.line_bytes > MESSAGE_BYTES_MAX {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_limited_and_its_end_begins_another() {
        let half = format!("data: {}", "x".repeat(MESSAGE_BYTES_MAX / 2));
        let mut size = EventSize::default();
        assert!(size.admits(half.as_bytes()) && size.admits(b"\n\n") && size.admits(half.as_bytes()));
        assert!(size.admits(b"\r\n") && !size.admits(half.as_bytes()));
        let mut size = EventSize::default();
        for _ in 0..5 {
            assert!(size.admits(format!(":{}\n", &half).as_bytes()), "comments do not count");
        }
    }
}
