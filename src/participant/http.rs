//! Plain HTTP requests as participants. Owns the client, the pinned base URL and the default rules over
//! statuses: refused is not sent, 4xx is a definite failure, a lost answer and 5xx are unknown.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use reqwest::{Method, Response, Url};
use tokio::time::{Instant, timeout_at};

use super::config::{Limits, Secrets};
use super::reply::{Reply, excerpt, retry_after, too_deep};
use super::rule::DefaultRule as Rule;
use super::secret::Filter;
use crate::config::participant::{CONNECT_TIMEOUT, CONNECTION_IDLE_MAX, ERROR_BODY_BYTES_MAX};
use crate::saga::{Json, reserved_header};
use crate::trace;

/// Name of the header with the idempotency key.
const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// A participant that speaks HTTP.
pub(super) struct HttpParticipant {
    base: Url,
    headers: HeaderMap,
    client: reqwest::Client,
    filter: Filter,
    limits: Limits,
    /// Statuses that the settings vouch for: the request was turned away before it was worked on.
    busy: Vec<u16>,
}

/// A request, rendered.
pub(super) struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub(super) method: String,
    /// Path below the base URL; values in it are encoded.
    pub(super) path: String,
    /// Query parameters.
    pub(super) query: Vec<(String, String)>,
    /// Headers of the definition; those of the participant and our own are stronger.
    pub(super) headers: Vec<(String, String)>,
    /// JSON body.
    pub(super) body: Option<Json>,
    /// The idempotency key, for all but probes.
    pub(super) key: Option<String>,
    /// The position in a trace.
    pub(super) traceparent: Option<Arc<str>>,
}

/// Makes a client that does nothing on its own: no redirects, which would leave the base URL, no retries, which are the
/// journal's, and no proxy that the environment names, which would see secrets.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    builder().build()
}

/// The same with a connection for each request. An answer of HTTP does not say to which request it is: one that a
/// server sends twice, or too late, would be taken for the answer to the next call on its connection. Those of MCP
/// say it.
pub(super) fn client_of_single_calls() -> reqwest::Result<reqwest::Client> {
    builder().pool_max_idle_per_host(0).build()
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(CONNECTION_IDLE_MAX)
        .user_agent(concat!("amends/", env!("CARGO_PKG_VERSION")))
}

/// Reads a base URL. The message never holds the URL itself.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected an http or https URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(format!("expected an http or https URL, found the scheme {:?}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user or a password; put them into an `Authorization` header".into());
    }
    Ok(url)
}

/// Reads the headers of the settings. Messages name the header, never its value.
pub(super) fn header_map(headers: &Secrets) -> Result<HeaderMap, Vec<(String, String)>> {
    let mut map = HeaderMap::new();
    let mut faults = Vec::new();
    for (name, value) in headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "this is no name of a header");
        let value =
            HeaderValue::from_str(value.expose()).map_err(|_| "the value has characters no header may have");
        match (parsed, value) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                map.insert(name, value);
            }
            (Err(message), _) | (_, Err(message)) => faults.push((name.clone(), message.to_owned())),
        }
    }
    if faults.is_empty() { Ok(map) } else { Err(faults) }
}

impl HttpParticipant {
    pub(super) fn new(
        base: Url,
        headers: HeaderMap,
        filter: Filter,
        limits: Limits,
        busy: Vec<u16>,
        client: reqwest::Client,
    ) -> Self {
        Self { base, headers, client, filter, limits, busy }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sends a request and waits for its answer until `deadline`.
    pub(super) async fn call(&self, request: Request, deadline: Instant) -> Reply {
        let built = match self.build(request) {
            Ok(built) => built,
            Err(message) => return Reply::of(Rule::Arguments, message),
        };
        let reply = match timeout_at(deadline, self.exchange(built)).await {
            Ok(reply) => reply,
            Err(_) => Reply::of(Rule::Timeout, "no answer within the time of an attempt"),
        };
        self.cleaned(reply)
    }

    fn build(&self, request: Request) -> Result<reqwest::Request, String> {
        let method = match request.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            other => return Err(format!("expected GET, POST, PUT, PATCH or DELETE, found {other:?}")),
        };
        let mut built = reqwest::Request::new(method, self.url(&request.path, &request.query)?);
        let headers = built.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if request.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &request.headers {
            let wrong = |what| format!("the {what} of the header {name:?} has characters it may not have");
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?;
            if let Some(why) = reserved_header(name) {
                return Err(format!("a definition cannot set the header {name:?}: {why}"));
            }
            headers.insert(parsed, HeaderValue::from_str(value).map_err(|_| wrong("value"))?);
        }
        // What the settings say, and what we say ourselves, comes later, and wins.
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(key) = &request.key {
            let key = HeaderValue::from_str(key).map_err(|_| "the key has characters no header may have")?;
            headers.insert(KEY_HEADER, key);
        }
        if let Some(Ok(position)) = request.traceparent.as_deref().map(HeaderValue::from_str) {
            headers.insert(trace::NAME, position);
        }
        if let Some(body) = request.body {
            *built.body_mut() = Some(body.get().to_owned().into());
        }
        Ok(built)
    }

    /// Puts a path below the base URL. It cannot leave it.
    fn url(&self, path: &str, query: &[(String, String)]) -> Result<Url, String> {
        if path.contains(['?', '#', '\\']) {
            return Err(format!(
                "the path {path:?} has a character of `?`, `#`, `\\`; parameters go to `query`"
            ));
        }
        for segment in path.split('/') {
            let plain = percent_decode_str(segment).decode_utf8_lossy();
            if plain == "." || plain == ".." {
                return Err(format!("the path {path:?} has the segment {segment:?}, which leads elsewhere"));
            }
        }
        let mut url = self.base.clone();
        let below = path.strip_prefix('/').unwrap_or(path);
        url.set_path(&format!("{}/{below}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn exchange(&self, request: reqwest::Request) -> Reply {
        let response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) => return lost(&error),
        };
        let status = response.status().as_u16();
        let pause =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
        let headers = recorded(response.headers());
        let good = response.status().is_success();
        let bytes_max = if good { self.limits.answer_bytes_max } else { ERROR_BODY_BYTES_MAX };
        let reply = match body(response, bytes_max).await {
            Ok(Body { text, whole: true }) if good => answered(text).after(pause),
            Ok(Body { .. }) if good => Reply::of(
                Rule::TooLarge,
                format!("the answer is larger than the limit of {bytes_max} bytes (`answer_bytes_max`)"),
            ),
            Ok(Body { text, whole }) => {
                // Before it is quoted: half a secret is not known for one.
                let text = if whole { self.filter.clean(text) } else { self.filter.clean_beginning(text) };
                judged(status, &self.busy, pause, text)
            }
            Err(error) if good => lost(&error),
            Err(_) => judged(status, &self.busy, pause, String::new()),
        };
        Reply { status: Some(status), headers, ..reply }
    }

    /// Cuts the participant's own secrets out of its answer.
    fn cleaned(&self, reply: Reply) -> Reply {
        reply.cleaned(&self.filter)
    }
}

/// A body, as far as it was read.
struct Body {
    text: String,
    whole: bool,
}

async fn body(mut response: Response, bytes_max: usize) -> reqwest::Result<Body> {
    let mut bytes = Vec::new();
    let mut whole = true;
    while let Some(chunk) = response.chunk().await? {
        let room = bytes_max - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            whole = false;
            break;
        }
    }
    Ok(Body { text: String::from_utf8_lossy(&bytes).into_owned(), whole })
}

/// Returns the headers of an answer as text; cookies are nobody's business.
fn recorded(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| **name != SET_COOKIE)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// Returns what an error's innermost cause says: what happened. The outer ones repeat the URL.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Makes a reply of an exchange that ended without an answer.
pub(super) fn lost(error: &reqwest::Error) -> Reply {
    let cause = innermost(error);
    if error.is_connect() {
        return Reply::of(Rule::Refused, format!("no connection, nothing was sent: {cause}"));
    }
    Reply::of(Rule::Closed, format!("the connection ended before the answer: {cause}"))
}

/// Makes a reply of an answer with a good status.
fn answered(text: String) -> Reply {
    if too_deep(&text) {
        return Reply::of(Rule::Invalid, "the answer nests deeper than expressions can read");
    }
    Reply { result: shaped(&text), text: Some(text), ..Reply::succeeded(Rule::Http2xx, Json::null()) }
}

/// Returns a body as JSON: null if it is empty, a string if it is no JSON.
fn shaped(text: &str) -> Json {
    if text.trim().is_empty() {
        return Json::null();
    }
    Json::parse(text.trim()).unwrap_or_else(|_| Json::from(serde_json::Value::from(text)))
}

/// Makes a reply of an answer with a bad status. Shared with MCP over HTTP.
pub(super) fn judged(status: u16, busy: &[u16], pause: Option<Duration>, text: String) -> Reply {
    let code = format!("http_{status}");
    let said = excerpt(&text);
    let message = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
    let reply = match status {
        // The request was turned away before it was worked on.
        425 | 429 => Reply::of(Rule::HttpBusy, message),
        status if busy.contains(&status) => Reply::of(Rule::HttpBusy, message),
        // The server, or somebody before it, gave up waiting: for what, nobody knows.
        408 => Reply::coded(Rule::Http408, &code, message),
        // A conflict over our own key means that an attempt of ours is under way, or was: that proves no
        // absence.
        400 | 409 | 422 if speaks_of_key(status, pause, &text) => Reply::of(Rule::KeyConflict, message),
        400..=499 => Reply::coded(Rule::Http4xx, &code, message),
        // These two ask for the same request elsewhere, so it had no effect here.
        307 | 308 => Reply::coded(
            Rule::HttpRedirect,
            &code,
            format!("{message}; redirects are not followed, correct the URL"),
        ),
        300..=399 => Reply::coded(Rule::Http3xx, &code, message),
        _ => Reply::coded(Rule::Http5xx, &code, message),
    };
    let reply = reply.after(pause);
    if too_deep(&text) { reply } else { Reply { result: shaped(&text), text: Some(text), ..reply } }
}

/// Whether a failure is about the idempotency key: another request with it is in flight, or came before with
/// other content.
///
/// The IETF draft on the header answers 409 to the first and 422 to the second, Stripe 409 and 400. A status
/// alone is too little (409 is also "this booking is closed"), so the body must say so, or ask for patience
/// by `Retry-After`.
fn speaks_of_key(status: u16, pause: Option<Duration>, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let about_key = text.contains("idempot");
    match status {
        409 => about_key || pause.is_some(),
        _ => {
            const USED: [&str; 8] =
                ["same", "different", "mismatch", "reuse", "already", "in use", "in progress", "conflict"];
            about_key && USED.iter().any(|word| text.contains(word))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::definition::Verdict;

    fn participant(base: &str) -> HttpParticipant {
        HttpParticipant::new(
            base_url(base).unwrap(),
            HeaderMap::new(),
            Filter::default(),
            Limits::default(),
            Vec::new(),
            client().unwrap(),
        )
    }

    #[test]
    fn paths_stay_below_the_base() {
        crate::participant::config::install_crypto();
        let http = participant("http://host/api/v1?k=1");
        let at = |path: &str| http.url(path, &[]).map(|url| url.to_string());
        assert_eq!(at("/charges/a%2Fb"), Ok("http://host/api/v1/charges/a%2Fb?k=1".into()));
        assert_eq!(at("charges"), Ok("http://host/api/v1/charges?k=1".into()));
        for path in ["/../admin", "/a/%2e%2E/b", "/./a", "/a?x=1", "/a#b", "/a\\..\\b"] {
            assert!(at(path).is_err(), "{path}");
        }
        let query = [("a b".to_owned(), "&=".to_owned())];
        assert_eq!(http.url("/c", &query).unwrap().as_str(), "http://host/api/v1/c?k=1&a+b=%26%3D");
    }

    #[test]
    fn statuses_follow_the_rules() {
        let verdict = |status, pause: Option<u64>, text: &str| {
            judged(status, &[], pause.map(Duration::from_secs), text.into()).verdict
        };
        assert_eq!(verdict(400, None, ""), Verdict::Failed);
        assert_eq!(verdict(404, None, ""), Verdict::Failed);
        assert_eq!(verdict(408, None, ""), Verdict::Unknown);
        assert_eq!(verdict(409, None, "the booking is closed"), Verdict::Failed);
        assert_eq!(verdict(409, None, r#"{"code":"idempotency_key_in_use"}"#), Verdict::Unknown);
        assert_eq!(verdict(409, Some(1), ""), Verdict::Unknown);
        assert_eq!(verdict(422, None, "Idempotency-Key is already used"), Verdict::Unknown);
        assert_eq!(verdict(400, None, "Idempotency-Key is missing"), Verdict::Failed);
        assert_eq!(verdict(425, None, ""), Verdict::Retryable);
        assert_eq!(verdict(429, None, ""), Verdict::Retryable);
        assert_eq!(verdict(500, None, ""), Verdict::Unknown);
        assert_eq!(verdict(503, None, ""), Verdict::Unknown);
        assert_eq!(verdict(503, Some(2), ""), Verdict::Unknown);
        assert_eq!(verdict(302, None, ""), Verdict::Unknown);
        assert_eq!(verdict(307, None, ""), Verdict::Failed);
    }
}
