//! The HTTP client under rmcp. It sends the POST of each request of ours and reads the answer itself, whatever the
//! status is. rmcp handles sessions, resumed streams and its own requests.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult};
use rmcp::transport::common::http_header::{EVENT_STREAM_MIME_TYPE, HEADER_SESSION_ID, JSON_MIME_TYPE};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use sse_stream::{Sse, SseStream};

use super::raw::{self, Message, Said, Slot, Via, Waiting};
use crate::config::participant::MESSAGE_BYTES_MAX;
use crate::participant::reply::retry_after;

/// The HTTP client of one session.
#[derive(Clone)]
pub(super) struct Posts {
    client: reqwest::Client,
    waiting: Arc<Waiting>,
}

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Failure = StreamableHttpError<reqwest::Error>;

impl Posts {
    pub(super) fn new(client: reqwest::Client, waiting: Arc<Waiting>) -> Self {
        Self { client, waiting }
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
        if !slot.begin() {
            return Ok(answered(id));
        }
        // Before it is sent: its answer may come on another stream of the session, and at once.
        self.waiting.expect(&id, &slot);
        let response = request.json(message).send().await?;
        let status = response.status();
        let pause = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let bad = (!status.is_success()).then_some(status.as_u16());
        slot.carried(Via { status: bad, pause, in_session });
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status.is_success() && is_stream(&response) {
            return Ok(StreamableHttpPostResponse::Sse(self.events(response, id), None));
        }
        let said = match body(response).await {
            Ok(Body { text, whole: true }) => {
                let mut messages = raw::messages(&text).into_iter().filter_map(Message::of);
                let found = messages.find_map(|message| message.said(&id));
                found.unwrap_or(Said::Body(text))
            }
            Ok(Body { .. }) => Said::TooLong(MESSAGE_BYTES_MAX),
            Err(error) => Said::Cut(crate::participant::http::innermost(&error)),
        };
        slot.hear(said);
        Ok(answered(id))
    }

    /// Reads the events of an answer; the answer itself is taken off them.
    fn events(&self, response: Response, id: RequestId) -> Events {
        let chunks = stream::unfold(Some((response, EventSize::default())), |reading| async {
            let (mut response, mut size) = reading?;
            match response.chunk().await {
                Ok(Some(chunk)) if size.admits(&chunk) => Some((Ok(chunk), Some((response, size)))),
                Ok(Some(_)) => Some((Err(io::Error::other("an event is too long")), None)),
                Ok(None) => None,
                Err(error) => Some((Err(io::Error::other(error)), None)),
            }
        });
        self.taken(SseStream::from_bytes_stream(chunks).boxed(), Some(id))
    }

    /// Takes answers off a stream of events.
    fn taken(&self, events: Events, alone: Option<RequestId>) -> Events {
        let waiting = Arc::clone(&self.waiting);
        let take =
            move |event: Sse| match event.data.as_deref().and_then(|data| waiting.take(data, alone.as_ref()))
            {
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
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let Some((id, slot)) = raw::slot_of(&message) else {
            let client = &self.client;
            return client
                .post_message_with_response_limits(uri, message, session_id, auth_header, headers, limits)
                .await;
        };
        let accepted = [JSON_MIME_TYPE, EVENT_STREAM_MIME_TYPE].join(", ");
        let mut request = self.client.post(uri.as_ref()).header(ACCEPT, accepted);
        if let Some(token) = auth_header {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(session) = session_id.as_deref() {
            request = request.header(HEADER_SESSION_ID, session);
        }
        self.ask(id, slot, &message, request, session_id.is_some()).await
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
        self.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, auth_header, headers, most)
            .await
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

/// What rmcp reads in place of an answer.
fn answered(id: RequestId) -> StreamableHttpPostResponse {
    StreamableHttpPostResponse::Json(ServerJsonRpcMessage::response(ServerResult::empty(()), id), None)
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(EVENT_STREAM_MIME_TYPE)
}

/// A body, as far as it was read.
struct Body {
    text: String,
    whole: bool,
}

async fn body(mut response: Response) -> reqwest::Result<Body> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > MESSAGE_BYTES_MAX {
            return Ok(Body { text: String::new(), whole: false });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body { text: raw::decoded(&bytes), whole: true })
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
    /// Whether the event stays within the limit of a message. Comments are not kept, and do not count.
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
