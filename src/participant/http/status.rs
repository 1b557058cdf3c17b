//! Applies the default rules to statuses and bodies. `body.rs` checks what was announced; `classify.rs`
//! applies the rules of a definition, which win.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER, SET_COOKIE};

use super::body::{Arrived, Flaw};
use super::key_conflict;
use crate::participant::reply::{Reply, excerpt, is_in_part, retry_after, retry_after_at};
use crate::participant::rule::DefaultRule as Rule;
use crate::participant::secret::Filter;
use crate::saga::Json;

/// How a participant's answers are read.
pub(super) struct Reading {
    /// Cuts its secrets out of them.
    pub(super) filter: Filter,
    /// Statuses that the settings vouch for: the request was turned away before it was worked on.
    pub(super) busy: Vec<u16>,
    /// Largest answer, in bytes.
    pub(super) bytes_max: usize,
}

/// What there is to know of a request when its answer is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// It may have an effect and carried a key.
    pub(super) keyed: bool,
    /// It asked for a part of a resource.
    pub(super) in_part: bool,
}

impl Reading {
    /// Makes a reply of an answer.
    pub(super) fn reply(&self, arrived: &Arrived, asked: Asked) -> Reply {
        let status = arrived.status.as_u16();
        let pause = pause(&arrived.headers);
        let reply = match arrived.content(self.bytes_max, asked.in_part) {
            Ok(content) if arrived.status.is_success() => {
                let done = Reply::succeeded(Rule::Http2xx, Json::null());
                Reply { result: content.result, text: content.text, ..done }
            }
            Ok(content) => {
                // Before it is quoted: half a secret is not known for one.
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

    /// An answer that is not what was announced proves nothing, whatever its status.
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
            Reply::of(flaw.rule, format!("{found}{}{said}", flaw.what))
        };
        Reply { text: Some(text), ..reply }
    }
}

/// Returns the pause that an answer asks for.
pub(in crate::participant) fn pause(headers: &HeaderMap) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = header(RETRY_AFTER)?;
    // By the server's clock, where it says what that shows.
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

/// Whether no body makes more of a status than doubt.
pub(in crate::participant) fn proves_nothing(status: u16) -> bool {
    !matches!(status, 200..=299 | 307 | 308 | 400..=407 | 409..=499)
}

impl Status<'_> {
    /// Makes a reply of it. `text` is the body for people, `json` for programs.
    fn read(self, keyed: bool, text: &str, json: Option<&Json>) -> Reply {
        let status = self.status;
        let code = format!("http_{status}");
        let said = excerpt(text);
        let message = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        match status {
            status if self.busy.contains(&status) => Reply::coded(Rule::HttpVouched, "busy", message),
            // The request was turned away before it was worked on.
            425 | 429 => Reply::of(Rule::HttpBusy, message),
            // GitHub's secondary limits, and a body that is too large only now.
            403 | 413 if self.pause.is_some() => Reply::of(Rule::HttpBusy, message),
            // The server, or something before it, gave up waiting, and does not say for what.
            408 => Reply::coded(Rule::Http408, &code, message),
            // A conflict over our own key means that an attempt of ours is under way, or was: that proves no
            // absence.
            400 | 409 | 422 if keyed => match key_conflict::found(status, self.pause.is_some(), json) {
                Some(why) => Reply::of(Rule::KeyConflict, format!("{message} ({why})")),
                None => Reply::coded(Rule::Http4xx, &code, message),
            },
            400..=499 => Reply::coded(Rule::Http4xx, &code, message),
            // These two ask for the same request elsewhere, so it had no effect here.
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

/// Makes a reply of a status of MCP over HTTP, whose body is only text. `keyed`: the call may have an effect and
/// carried a key.
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
