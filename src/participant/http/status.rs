//! Applies the default rules to HTTP statuses and bodies. `body.rs` checks a body against its headers.
//! `definition_rules.rs` applies the rules of a definition, which win.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER, SET_COOKIE};

use super::body::{Arrived, Flaw};
use super::key_conflict;
use crate::participant::default_rules::DefaultRule as Rule;
use crate::participant::reply::{Reply, excerpt, is_in_part, retry_after, retry_after_at};
use crate::participant::secret::Filter;
use crate::saga::Json;

/// How a participant's answers are read.
pub(super) struct Reading {
    /// Removes the participant's secrets.
    pub(super) filter: Filter,
    /// Statuses by which the participant turns a request away before it works on it, according to the settings.
    pub(super) busy: Vec<u16>,
    /// Largest answer, in bytes.
    pub(super) bytes_max: usize,
}

/// What must be known of a request to read its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Whether the request may have an effect and carried a key.
    pub(super) keyed: bool,
    /// Whether the request asked for a part of a resource.
    pub(super) in_part: bool,
}

impl Reading {
    /// Makes the reply for an answer.
    pub(super) fn reply(&self, arrived: &Arrived, asked: Asked) -> Reply {
        let status = arrived.status.as_u16();
        let pause = pause(&arrived.headers);
        let reply = match arrived.content(self.bytes_max, asked.in_part) {
            Ok(content) if arrived.status.is_success() => {
                let done = Reply::succeeded(Rule::Http2xx, Json::null());
                Reply { result: content.result, text: content.text, ..done }
            }
            Ok(content) => {
                // The filter runs before the text is cut: it would not find half a secret.
                let text = content.text.map(|text| self.filter.clean(text));
                let said = text.as_deref().unwrap_or("");
                let json = content.is_json.then_some(&content.result);
                let reply = Status { status, busy: &self.busy, pause }.read(asked.keyed, said, json);
                Reply { result: content.result, text, ..reply }
            }
            Err(flaw) => self.flawed(arrived, pause, flaw),
        };
        Reply { status: Some(status), headers: recorded(&arrived.headers), ..reply.after(pause) }.cleaned(&self.filter)
    }

    /// Makes the reply for an answer whose body has a flaw. It proves nothing, whatever its status.
    fn flawed(&self, arrived: &Arrived, pause: Option<Duration>, flaw: Flaw) -> Reply {
        let status = arrived.status.as_u16();
        let text = self.filter.clean_beginning(flaw.text);
        let by_status = Status { status, busy: &self.busy, pause };
        let reply = if proves_nothing(status) && !self.busy.contains(&status) && !is_in_part(flaw.rule) {
            by_status.read(false, &text, None)
        } else {
            let said = if flaw.rule == Rule::TooLarge { String::new() } else { excerpt(&text) };
            let said = if said.is_empty() { said } else { format!(": {said}") };
            let found = if arrived.status.is_success() { String::new() } else { format!("HTTP {status}, ") };
            Reply::new(flaw.rule, format!("{found}{}{said}", flaw.what))
        };
        Reply { text: Some(text), ..reply }
    }
}

/// Returns the pause that an answer asks for.
pub(in crate::participant) fn pause(headers: &HeaderMap) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = header(RETRY_AFTER)?;
    // A date is read by the server's clock if the answer has a `Date` header.
    retry_after_at(asked, header(DATE)).or_else(|| retry_after(asked))
}

/// Returns the headers of an answer as text, without cookies.
fn recorded(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| **name != SET_COOKIE)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// A status that is no success.
#[derive(Clone, Copy)]
struct Status<'a> {
    status: u16,
    busy: &'a [u16],
    pause: Option<Duration>,
}

/// Whether a status leaves the effect in doubt, whatever the body says.
pub(in crate::participant) fn proves_nothing(status: u16) -> bool {
    !matches!(status, 200..=299 | 307 | 308 | 400..=407 | 409..=499)
}

impl Status<'_> {
    /// Makes the reply for the status. `text` is the body for people, `json` the body for programs.
    fn read(self, keyed: bool, text: &str, json: Option<&Json>) -> Reply {
        let status = self.status;
        let code = format!("http_{status}");
        let said = excerpt(text);
        let message = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        match status {
            status if self.busy.contains(&status) => Reply::coded(Rule::HttpVouched, "busy", message),
            // The participant turned the request away before it worked on it.
            425 | 429 => Reply::new(Rule::HttpBusy, message),
            // GitHub's secondary rate limits, and a body that is too large only for now.
            403 | 413 if self.pause.is_some() => Reply::new(Rule::HttpBusy, message),
            // The server, or a proxy before it, gave up waiting and does not say for what.
            408 => Reply::coded(Rule::Http408, &code, message),
            // A conflict over our own key means that an attempt of ours is under way, or was. It proves no absence.
            400 | 409 | 422 if keyed => match key_conflict::found(status, self.pause.is_some(), json) {
                Some(why) => Reply::new(Rule::KeyConflict, format!("{message} ({why})")),
                None => Reply::coded(Rule::Http4xx, &code, message),
            },
            400..=499 => Reply::coded(Rule::Http4xx, &code, message),
            // Both statuses ask for the same request at another URL, so it had no effect here.
            307 | 308 => Reply::coded(
                Rule::HttpRedirect,
                &code,
                format!("{message}; redirects are not followed, correct the URL"),
            ),
            300..=399 => Reply::coded(Rule::Http3xx, &code, message),
            _ => Reply::coded(Rule::Http5xx, &code, message),
        }
    }
}

/// Makes the reply for an HTTP status of an MCP server, whose body is only text. `keyed`: the call may have an effect
/// and carried a key.
pub(in crate::participant) fn judged(status: u16, keyed: bool, pause: Option<Duration>, text: String) -> Reply {
    let json = Json::parse(text.trim()).ok();
    let reply = Status { status, busy: &[], pause }.read(keyed, &text, json.as_ref()).after(pause);
    let result = match json {
        _ if crate::participant::reply::too_deep(&text) => return reply,
        Some(json) => json,
        None if text.trim().is_empty() => Json::null(),
        None => Json::from(serde_json::Value::from(text.as_str())),
    };
    Reply { result, text: Some(text), ..reply }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::definition::Verdict;

    #[test]
    fn statuses_follow_the_rules() {
        let verdict = |status, pause: Option<u64>, text: &str| {
            judged(status, true, pause.map(Duration::from_secs), text.into()).verdict
        };
        assert_eq!(verdict(400, None, ""), Verdict::Failed);
        assert_eq!(verdict(404, None, ""), Verdict::Failed);
        assert_eq!(verdict(408, None, ""), Verdict::Unknown);
        assert_eq!(verdict(403, None, ""), Verdict::Failed);
        assert_eq!(verdict(403, Some(3), ""), Verdict::Retryable);
        assert_eq!(verdict(413, Some(3), ""), Verdict::Retryable);
        assert_eq!(verdict(404, Some(3), ""), Verdict::Failed);
        assert_eq!(verdict(425, None, ""), Verdict::Retryable);
        assert_eq!(verdict(429, None, ""), Verdict::Retryable);
        assert_eq!(verdict(500, None, ""), Verdict::Unknown);
        assert_eq!(verdict(503, None, ""), Verdict::Unknown);
        assert_eq!(verdict(503, Some(2), ""), Verdict::Unknown);
        assert_eq!(verdict(302, None, ""), Verdict::Unknown);
        assert_eq!(verdict(307, None, ""), Verdict::Failed);
        for status in [101, 199, 302, 408, 500, 503, 599, 700] {
            assert!(proves_nothing(status), "{status}");
            assert_eq!(verdict(status, None, ""), Verdict::Unknown, "{status}");
        }
    }
}
