//! The default rules: what an answer, or the want of one, means where the definition says nothing else. One
//! table: the calls are classified by it, and the guide's table of outcomes is printed from it. Leaves the
//! rules of a definition to `classify.rs`.

use crate::saga::definition::{Target, Verdict};

/// Declares the rules with what there is to know of each.
macro_rules! rules {
    ($($name:ident $word:literal $verdict:ident $answer:literal,)*) => {
        /// A default rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DefaultRule {
            $(#[doc = $answer] $name,)*
        }

        impl DefaultRule {
            /// All of them, in the order of the guide.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the rule's word: in the journal, in `show`, and the code of the error unless the
            /// answer has a code of its own.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Returns what the rule makes of an answer.
            pub fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)* }
            }

            /// Returns which answers the rule is for, in words.
            pub fn answer(self) -> &'static str {
                match self { $(Self::$name => $answer,)* }
            }
        }
    };
}

rules! {
    Expression "expression" Failed "an expression of the arguments fails; nothing was sent",
    Arguments "arguments" Failed "the arguments are too large or of a wrong type; nothing was sent",
    Missing "missing" Retryable "this node does not know the participant or the handler; nothing was sent",
    Refused "refused" Retryable "no connection within `timeout` or 10 s; nothing was sent",
    Unresolved "unresolved" Retryable
        "the participant's name does not resolve within `timeout` or 5 s; nothing was sent",
    SessionLost "session_lost" Retryable
        "the MCP server does not know the session, to a call with `read_only` or `idempotent`; it was not carried out",
    SessionRefused "session_refused" Unknown
        "the MCP server does not know the session, to a call with `once`, which an earlier delivery may have carried \
         out",
    Timeout "timeout" Unknown "no answer within `timeout`",
    Closed "closed" Unknown
        "the connection ended before the answer; the JSON-RPC errors -32000 and -32001 by which an SDK says so",
    Incomplete "answer_incomplete" Unknown
        "the answer did not arrive whole, whatever its status: cut off, or a part that was not asked for",
    Invalid "answer_invalid" Unknown
        "the answer is not what its headers announce, or is unreadable: coding, charset, JSON, a member named twice",
    TooLarge "answer_too_large" Unknown "the answer is larger than `answer_max`",
    Http2xx "http_2xx" Succeeded "HTTP 200 to 299",
    HttpRedirect "http_redirect" Failed "HTTP 307 or 308; redirects are not followed",
    Http3xx "http_3xx" Unknown "another HTTP 3xx",
    Http408 "http_408" Unknown "HTTP 408",
    HttpVouched "busy_by_settings" Retryable "an HTTP status that the settings name in `busy`",
    HttpBusy "busy" Retryable
        "HTTP 425 or 429, 403 or 413 with `Retry-After`",
    KeyConflict "key_conflict" Unknown
        "to a call with a key: HTTP 400, 409 or 422 whose code, type or title speaks of the key, 409 with \
         `Retry-After`, 409 whose body names no error; a JSON-RPC error about the key",
    Http4xx "http_4xx" Failed "another HTTP 4xx",
    Http5xx "http_5xx" Unknown "HTTP 500 to 599, or a status outside of 200 to 599",
    ToolResult "tool_result" Succeeded "a tool's result",
    ToolError "tool_error" Errored "a tool's result with `isError`",
    InputRequired "input_required" Failed "a tool that asks for more input; it was not carried out",
    ProtocolRefusal "protocol_refusal" Failed
        "a JSON-RPC error before execution: -32700 (parse error), -32601 (unknown method), or a tool that the server \
         does not list",
    ProtocolUnnamed "protocol_unnamed" Unknown "a JSON-RPC error that does not name the request",
    ProtocolError "protocol_error" Errored "another JSON-RPC error",
    Handler "handler" Succeeded "a Rust handler's result; its `Failure` says by itself what it proves",
    Panic "panic" Unknown "a panic of a Rust handler",
}

impl DefaultRule {
    /// Whether it takes an answer for a refusal by HTTP's convention, which `errors: unknown` withdraws.
    pub(super) fn is_convention(self) -> bool {
        matches!(self, Self::HttpRedirect | Self::HttpBusy | Self::Http4xx)
    }

    /// Whether calls of this target can meet such an answer.
    pub fn is_for(self, target: &Target) -> bool {
        let [handler, tool, http] = match self {
            Self::Expression | Self::Arguments | Self::Missing | Self::Timeout | Self::TooLarge => [true; 3],
            Self::Handler | Self::Panic => [true, false, false],
            Self::SessionLost
            | Self::SessionRefused
            | Self::ToolResult
            | Self::ToolError
            | Self::InputRequired
            | Self::ProtocolRefusal
            | Self::ProtocolUnnamed
            | Self::ProtocolError => [false, true, false],
            Self::Refused
            | Self::Unresolved
            | Self::Closed
            | Self::Incomplete
            | Self::Invalid
            | Self::KeyConflict
            // Of MCP over HTTP, whose statuses mean the same.
            | Self::HttpRedirect
            | Self::Http3xx
            | Self::Http408
            | Self::HttpBusy
            | Self::Http4xx
            | Self::Http5xx => [false, true, true],
            Self::Http2xx | Self::HttpVouched => [false, false, true],
        };
        match target {
            Target::Handler { .. } => handler,
            Target::Tool { .. } => tool,
            Target::Http { .. } => http,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique() {
        let mut words: Vec<_> = DefaultRule::ALL.iter().map(|rule| rule.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), DefaultRule::ALL.len());
    }
}
