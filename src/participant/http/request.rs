//! Builds requests from the settings, the definition and the call. Every request stays below the base URL. Headers of
//! the settings override those of a definition.

use std::sync::Arc;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::participant::config::Secrets;
use crate::participant::expr::leads_elsewhere;
use crate::saga::{Json, reserved_header};
use crate::trace;

/// Name of the header with the idempotency key.
const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// A rendered request.
pub(in crate::participant) struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub(in crate::participant) method: String,
    /// Path below the base URL; values in it are encoded.
    pub(in crate::participant) path: String,
    /// Query parameters.
    pub(in crate::participant) query: Vec<(String, String)>,
    /// Headers of the definition. Those of the participant and our own override them.
    pub(in crate::participant) headers: Vec<(String, String)>,
    /// JSON body.
    pub(in crate::participant) body: Option<Json>,
    /// The idempotency key; none for a probe.
    pub(in crate::participant) key: Option<String>,
    /// The W3C `traceparent` of the call.
    pub(in crate::participant) traceparent: Option<Arc<str>>,
}

/// Reads a base URL. The error never contains the URL itself.
pub(in crate::participant) fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected an http or https URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(format!("expected an http or https URL, found the scheme {:?}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected a URL without a user or a password; put them into an `Authorization` header".into());
    }
    Ok(url)
}

/// Reads the headers of the settings. An error names the header, never its value.
pub(in crate::participant) fn header_map(headers: &Secrets) -> Result<HeaderMap, Vec<(String, String)>> {
    let mut map = HeaderMap::new();
    let mut faults = Vec::new();
    for (name, value) in headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "this is not the name of a header");
        let value = HeaderValue::from_str(value.expose()).map_err(|_| "the value has characters that are not allowed");
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

/// The base URL of a participant, and the headers that its settings add to every request.
pub(super) struct Address {
    pub(super) base: Url,
    pub(super) headers: HeaderMap,
}

impl Address {
    /// Builds the request of a call.
    pub(super) fn build(&self, request: Request) -> Result<reqwest::Request, String> {
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
        // Without this header a server may choose any coding. Some servers compress all the same; `body.rs` decodes
        // the codings that it knows.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if request.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &request.headers {
            let wrong = |what| format!("the {what} of the header {name:?} has characters that are not allowed");
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?;
            if let Some(why) = reserved_header(name) {
                return Err(format!("a definition cannot set the header {name:?}: {why}"));
            }
            headers.insert(parsed, HeaderValue::from_str(value).map_err(|_| wrong("value"))?);
        }
        // Headers of the settings, and then our own, are set last. So they win.
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(key) = &request.key {
            let key = HeaderValue::from_str(key).map_err(|_| "the key has characters that are not allowed")?;
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

    /// Puts a path below the base URL. The path cannot leave it.
    fn url(&self, path: &str, query: &[(String, String)]) -> Result<Url, String> {
        if path.contains(|c: char| matches!(c, '?' | '#' | '\\') || c.is_control()) {
            let expected = "expected a path without `?`, `#`, `\\` and control characters";
            return Err(format!("{expected}, found {path:?}; use `query`"));
        }
        if let Some(segment) = path.split('/').find(|segment| leads_elsewhere(segment)) {
            return Err(format!("the path {path:?} has the segment {segment:?}, which leads elsewhere"));
        }
        let mut url = self.base.clone();
        let below = path.strip_prefix('/').unwrap_or(path);
        url.set_path(&format!("{}/{below}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_base() {
        let base = base_url("http://host/api/v1?k=1").unwrap();
        let http = Address { base, headers: HeaderMap::new() };
        let at = |path: &str| http.url(path, &[]).map(|url| url.to_string());
        assert_eq!(at("/charges/a%2Fb"), Ok("http://host/api/v1/charges/a%2Fb?k=1".into()));
        assert_eq!(at("charges"), Ok("http://host/api/v1/charges?k=1".into()));
        for path in
            ["/../admin", "/a/%2e%2E/b", "/./a", "/a?x=1", "/a#b", "/a\\..\\b", "/a/.\t./b", "/a/..%2Fb", "/%252e./b"]
        {
            assert!(at(path).is_err(), "{path}");
        }
        let query = [("a b".to_owned(), "&=".to_owned())];
        assert_eq!(http.url("/c", &query).unwrap().as_str(), "http://host/api/v1/c?k=1&a+b=%26%3D");
    }
}
