//! The reply to one call: one shape for the answers of handlers, tools and HTTP, with the verdict of the default
//! rules. `definition_rules.rs` applies the rules of a definition to it.

use std::time::Duration;

use super::default_rules::DefaultRule as Rule;
use super::secret::Filter;
use crate::config::participant::{ANSWER_DEPTH_MAX, RETRY_AFTER_MAX};
use crate::saga::Json;
use crate::saga::definition::{Millis, Verdict};
use crate::saga::outcome::Error;

/// The reply to one call.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// The verdict of the default rules.
    pub(super) verdict: Verdict,
    /// The default rule that applied.
    pub(super) rule: Rule,
    /// Why the call is no success; always set unless the verdict is succeeded or pending.
    pub(super) error: Option<Error>,
    /// The pause that the participant asked for.
    pub(super) retry_after_ms: Option<Millis>,
    /// The answer as JSON; null if there is none.
    pub(super) result: Json,
    /// The answer as text, if it came as text.
    pub(super) text: Option<String>,
    /// Other parts of a tool's result.
    pub(super) raw: Option<Box<Raw>>,
    /// The HTTP status, if there is one.
    pub(super) status: Option<u16>,
    /// Headers of an HTTP answer, names in lower case.
    pub(super) headers: Vec<(String, String)>,
}

/// Parts of a tool's result, as received.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    /// The content blocks.
    pub(super) content: Option<Json>,
    /// The `_meta` field.
    pub(super) meta: Option<Json>,
}

impl Reply {
    /// Makes the reply of a rule. Its error has the rule's word as code.
    pub(super) fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self::coded(rule, rule.word(), message)
    }

    /// Makes the reply of a rule, with another error code.
    pub(super) fn coded(rule: Rule, code: &str, message: impl Into<String>) -> Self {
        let reply = Self::succeeded(rule, Json::null());
        Self { verdict: rule.verdict(), error: Some(recorded(code, message)), ..reply }
    }

    /// Makes the reply of a success.
    pub(super) fn succeeded(rule: Rule, result: Json) -> Self {
        Self {
            verdict: Verdict::Succeeded,
            rule,
            error: None,
            retry_after_ms: None,
            result,
            text: None,
            raw: None,
            status: None,
            headers: Vec::new(),
        }
    }

    /// Adds the pause that the participant asked for, at most `RETRY_AFTER_MAX`.
    pub(super) fn after(self, pause: Option<Duration>) -> Self {
        let ms = |pause: Duration| Millis::try_from(pause.min(RETRY_AFTER_MAX).as_millis()).unwrap_or(Millis::MAX);
        Self { retry_after_ms: pause.map(ms), ..self }
    }

    /// Removes secrets from everything that came from outside.
    pub(super) fn cleaned(self, filter: &Filter) -> Self {
        if filter.is_empty() {
            return self;
        }
        let json = |json: Json| match filter.clean_json(json.get()) {
            Some(text) => Json::parse(&text).unwrap_or_else(|_| Json::null()),
            None => json,
        };
        Self {
            error: self.error.map(|error| Error { message: filter.clean(error.message), ..error }),
            result: json(self.result),
            text: self.text.map(|text| filter.clean(text)),
            raw: self.raw.map(|raw| Box::new(Raw { content: raw.content.map(json), meta: raw.meta.map(json) })),
            headers: self.headers.into_iter().map(|(name, value)| (name, filter.clean(value))).collect(),
            ..self
        }
    }

    /// Returns the answer as text; empty if it did not come as text.
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or("")
    }

    /// Returns the content blocks of a tool's result as JSON text; null if it has none.
    pub(super) fn content(&self) -> &str {
        self.raw.as_ref().and_then(|raw| raw.content.as_ref()).map_or("null", Json::get)
    }

    /// Returns the `_meta` of a tool's result as JSON text; null if it has none.
    pub(super) fn meta(&self) -> &str {
        self.raw.as_ref().and_then(|raw| raw.meta.as_ref()).map_or("null", Json::get)
    }

    /// Returns the verdict's word.
    pub(super) fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Succeeded => "succeeded",
            Verdict::Failed => "failed",
            Verdict::Retryable => "retryable",
            Verdict::Pending => "pending",
            Verdict::Errored => "errored",
            Verdict::Unknown => "unknown",
        }
    }

    /// Returns the error as JSON text: code and message, or null.
    pub(super) fn error_json(&self) -> String {
        serde_json::to_string(&self.error).unwrap_or_else(|_| "null".into())
    }

    /// Returns the headers as a JSON object.
    pub(super) fn headers_json(&self) -> String {
        let headers: serde_json::Map<String, serde_json::Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        serde_json::Value::Object(headers).to_string()
    }
}

/// Whether a rule is for answers that arrived only in part. The rules of a definition do not see such an answer.
pub(super) fn is_in_part(rule: Rule) -> bool {
    matches!(rule, Rule::Incomplete | Rule::TooLarge)
}

/// Reads the pause from a `Retry-After`, which is a number of seconds or a date. At most `RETRY_AFTER_MAX`.
pub(super) fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    Some(between(jiff::Timestamp::now(), http_date(text)?))
}

/// Reads the pause from a `Retry-After` date by the server's own clock, which its `Date` header shows. None without
/// that header, or if `Retry-After` is no date.
pub(super) fn retry_after_at(text: &str, date: Option<&str>) -> Option<Duration> {
    Some(between(http_date(date?)?, http_date(text)?))
}

fn http_date(text: &str) -> Option<jiff::Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp())
}

fn between(now: jiff::Timestamp, then: jiff::Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default().min(RETRY_AFTER_MAX)
}

/// Whether JSON text nests deeper than an answer may.
pub(super) fn too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > ANSWER_DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Makes an error for the journal. Its message is one line without control characters, whatever it quotes: logs and
/// terminals show it.
pub(super) fn recorded(code: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(code, one_line(message.into()))
}

/// Escapes every character that could break a line, colour a terminal or reverse the direction of the text. A line
/// break or a tab becomes a space.
pub(super) fn one_line(text: String) -> String {
    let plain = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if text.chars().all(plain) {
        return text;
    }
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if plain(c) => line.push(c),
            '\n' | '\r' | '\t' => line.push(' '),
            _ => line.extend(c.escape_unicode()),
        }
    }
    line
}

/// Returns the first 500 characters of a text as one line, for an error's message.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(CHARS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_retry_after_within_bounds() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
        let date = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        let soon = retry_after_at("Wed, 21 Oct 2015 07:28:03 GMT", date);
        assert_eq!(soon, Some(Duration::from_secs(3)), "by the server's clock");
        assert_eq!(retry_after_at("Wed, 21 Oct 2015 07:27:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(retry_after_at("3", date), None);
    }

    #[test]
    fn recorded_errors_are_one_clean_line() {
        let error = recorded("x", "a\nb\u{1b}[31m\u{202e}c");
        assert_eq!(error.message, "a b\\u{1b}[31m\\u{202e}c");
        assert_eq!(one_line("plain é €".into()), "plain é €");
    }

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert!(!too_deep(&format!("\"{}\"", "[".repeat(500))));
        assert!(!too_deep(&format!("\"\\\"{}\"", "[".repeat(500))));
        assert!(!too_deep(&"[]".repeat(500)));
        assert!(too_deep(&"[".repeat(101)));
    }
}
