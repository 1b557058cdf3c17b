//! The default rules: what an answer, or the want of one, means where the definition says nothing else. One
//! table: the calls are classified by it, and the guide's table of outcomes is printed from it. Leaves the
//! rules of a definition to `classify.rs`.

use crate::saga::definition::{Call, Effect, Target, Verdict};
use crate::saga::outcome::DecidedBy;

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
    ProcessDied "process_died" Unknown "the node's process died before the answer was on record",
    Lost "call_lost" Unknown "the node gave the call up before the answer: it stopped, or lost its lease",
    Timeout "timeout" Unknown "no answer within `timeout`",
    Closed "closed" Unknown
        "the connection ended before the answer; the JSON-RPC errors -32000 and -32001 by which an SDK says so",
    Incomplete "answer_incomplete" Unknown
        "the answer did not arrive whole, whatever its status: cut off, or a part that was not asked for",
    Invalid "answer_invalid" Unknown
        "the answer is not what its headers announce, or is unreadable: coding, charset, JSON, a member named twice",
    TooLarge "answer_too_large" Unknown "the answer is larger than `answer_max`, whatever its status",
    Http2xx "http_2xx" Succeeded "HTTP 200 to 299",
    HttpRedirect "http_redirect" Failed "HTTP 307 or 308; redirects are not followed",
    Http3xx "http_3xx" Unknown "another HTTP 3xx",
    Http408 "http_408" Unknown "HTTP 408",
    HttpVouched "busy_by_settings" Retryable "an HTTP status that the settings name in `busy`",
    HttpBusy "busy" Retryable
        "HTTP 425 or 429, 403 or 413 with `Retry-After`",
    KeyConflict "key_conflict" Unknown
        "to a call that may have an effect: HTTP 400, 409 or 422 whose code, type or title speaks of the key, 409 with \
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
    ProtocolInternal "protocol_internal" Errored "the JSON-RPC error -32603 (internal error)",
    ProtocolError "protocol_error" Errored "another JSON-RPC error",
    Handler "handler" Succeeded "a Rust handler's result",
    HandlerPermanent "handler_permanent" Failed "`Failure::permanent` of a Rust handler",
    HandlerRetryable "handler_retryable" Retryable "`Failure::retryable` of a Rust handler",
    HandlerPending "handler_pending" Pending "`Failure::pending` of a Rust handler",
    HandlerUnknown "handler_unknown" Unknown
        "`Failure::unknown` of a Rust handler, or an error that it passes on with `?`",
    Panic "panic" Unknown "a panic of a Rust handler",
    NoTransaction "no_transaction" Retryable
        "the node could begin no transaction for a transactional handler, which was not called",
    Rejected "rejected" Failed
        "the database refuses a statement of a transactional handler, or its commit, as it would each time: a \
         constraint, a privilege",
    NotCommitted "not_committed" Retryable
        "the transaction of a transactional handler was not committed, for another reason",
    HandlerBrokeTransaction "handler_broke_transaction" Failed
        "a transactional handler kept its transaction beyond its end",
    TransactionEnded "transaction_ended" Unknown
        "a transactional handler ended its transaction by itself, or tried to",
}

impl DefaultRule {
    /// Whether it takes an answer for a refusal by HTTP's convention, which `errors: unknown` withdraws.
    pub(super) fn is_convention(self) -> bool {
        matches!(self, Self::HttpRedirect | Self::HttpBusy | Self::Http4xx)
    }

    /// Whether such a call can meet such an answer.
    pub fn is_for(self, call: &Call) -> bool {
        let [handler, tool, http] = match self {
            Self::Expression
            | Self::Arguments
            | Self::Missing
            | Self::ProcessDied
            | Self::Lost
            | Self::Timeout
            | Self::Invalid
            | Self::TooLarge => [true; 3],
            Self::Handler
            | Self::HandlerPermanent
            | Self::HandlerRetryable
            | Self::HandlerPending
            | Self::HandlerUnknown
            | Self::Panic => [true, false, false],
            Self::NoTransaction
            | Self::Rejected
            | Self::NotCommitted
            | Self::HandlerBrokeTransaction
            | Self::TransactionEnded => [call.is_transactional(), false, false],
            Self::SessionLost => [false, matches!(call.effect, Effect::ReadOnly | Effect::Idempotent), false],
            Self::SessionRefused => [false, call.effect == Effect::Once, false],
            Self::ToolResult
            | Self::ToolError
            | Self::InputRequired
            | Self::ProtocolRefusal
            | Self::ProtocolUnnamed
            | Self::ProtocolInternal
            | Self::ProtocolError => [false, true, false],
            Self::Refused
            | Self::Unresolved
            | Self::Closed
            | Self::Incomplete
            // Of MCP over HTTP, whose statuses mean the same.
            | Self::HttpRedirect
            | Self::Http3xx
            | Self::Http408
            | Self::HttpBusy
            | Self::Http4xx
            | Self::Http5xx => [false, true, true],
            // What only reads has no earlier attempt that could be in doubt.
            Self::KeyConflict => {
                let has_effect = call.effect != Effect::ReadOnly;
                [false, has_effect, has_effect]
            }
            Self::Http2xx | Self::HttpVouched => [false, false, true],
        };
        match &call.target {
            Target::Handler { .. } => handler,
            Target::Tool { .. } => tool,
            Target::Http { .. } => http,
        }
    }

    /// Returns what is recorded where this rule decided, and no status was seen.
    pub fn decided(self) -> DecidedBy {
        DecidedBy::new(self.word(), None)
    }

    /// Returns the rule of a plain success of such a call: none is recorded for it. None for HTTP, whose statuses are.
    pub fn of_plain_success(target: &Target) -> Option<Self> {
        match target {
            Target::Handler { .. } => Some(Self::Handler),
            Target::Tool { .. } => Some(Self::ToolResult),
            Target::Http { .. } => None,
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
