//! The default rules: what an answer, or a missing answer, means unless the definition says otherwise. Calls are
//! classified by one table, and the guide's table of outcomes is printed from it. Leaves the rules of a definition to
//! `definition_rules.rs`.

use crate::saga::definition::{Call, Effect, Target, Verdict};
use crate::saga::outcome::DecidedBy;

/// Declares each rule with its word, its verdict and a description of its answers.
macro_rules! rules {
    ($($name:ident $word:literal $verdict:ident $answer:literal,)*) => {
        /// A default rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DefaultRule {
            $(#[doc = $answer] $name,)*
        }

        impl DefaultRule {
            /// All rules, in the order of the guide.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the rule's word. The journal and `amends show` use it, and it is the code of the error unless
            /// the answer has a code of its own.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Returns the rule's verdict on an answer.
            pub fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)* }
            }

            /// Describes the answers that the rule is for.
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
    OutOfFiles "out_of_files" Retryable
        "this node has no free file descriptor; nothing was sent. The attempt does not count, and no rule sees it",
    SessionLost "session_lost" Retryable
        "the MCP server does not know the session of a `read_only` or `idempotent` call; it did not carry the call out",
    SessionRefused "session_refused" Unknown
        "the MCP server does not know the session of a `once` call; an earlier delivery may have carried the call out",
    ProcessDied "process_died" Unknown "the node's process died before the answer was on record",
    Lost "call_lost" Unknown "the node gave the call up before the answer: it stopped, or lost its lease",
    Timeout "timeout" Unknown "no answer within `timeout`",
    Closed "closed" Unknown
        "the connection ended before the answer, or an SDK says so by the JSON-RPC error -32000 or -32001",
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
        "a call that may have an effect gets HTTP 400, 409 or 422 whose code, type or title speaks of the key, 409 \
         with `Retry-After`, 409 whose body names no error, or a JSON-RPC error about the key",
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
        "the node could not begin a transaction; the transactional handler was not called",
    Rejected "rejected" Failed
        "the database refuses a statement or the commit of a transactional handler, and would do so each time: a \
         constraint, a privilege",
    NotCommitted "not_committed" Retryable
        "the transaction of a transactional handler was not committed, for another reason",
    HandlerBrokeTransaction "handler_broke_transaction" Failed
        "a transactional handler kept its transaction after it returned",
    TransactionEnded "transaction_ended" Unknown
        "a transactional handler ended its transaction by itself, or tried to",
}

impl DefaultRule {
    /// Whether the rule reads an answer as a refusal by HTTP's convention. `errors: unknown` withdraws that
    /// convention.
    pub(super) fn is_convention(self) -> bool {
        matches!(self, Self::HttpRedirect | Self::HttpBusy | Self::Http4xx)
    }

    /// Whether this call can get an answer that the rule is for.
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
            | Self::OutOfFiles
            | Self::Closed
            | Self::Incomplete
            // MCP over HTTP has the same statuses, with the same meaning.
            | Self::HttpRedirect
            | Self::Http3xx
            | Self::Http408
            | Self::HttpBusy
            | Self::Http4xx
            | Self::Http5xx => [false, true, true],
            // A `read_only` call has no earlier attempt that could be in doubt.
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

    /// Returns the record of a decision by this rule without an HTTP status.
    pub fn decided(self) -> DecidedBy {
        DecidedBy::new(self.word(), None)
    }

    /// Returns the rule of a plain success. This rule is not recorded. None for HTTP: its rule is recorded with the
    /// status.
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
