//! The caller of a request: its principal, what its client supports, and what a continued call brings.

use rmcp::RoleServer;
use rmcp::model::{CallToolRequestParams, InputResponses, ProtocolVersion, RequestMetaObject};
use rmcp::service::{Peer, RequestContext};

use super::listener::Listener;
use super::principal::{Principal, shown};
use crate::config::mcp::CLIENT_CHARS_MAX;
use crate::trace::{self, TraceParent};

/// The caller of a request, and the answers that its client supports.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) meta: RequestMetaObject,
    pub(super) peer: Peer<RoleServer>,
    pub(super) listener: Listener,
    /// The client accepts a task as an answer.
    pub(super) takes_tasks: bool,
    /// The client shows forms to a person.
    pub(super) elicits: bool,
    /// The client speaks the new era, in which servers send no requests.
    pub(super) is_modern: bool,
    /// What the call brings, if it continues an earlier call.
    pub(super) continued: Continued,
    /// Name that the client gives itself, unchecked.
    client: Option<String>,
}

/// What a call brings if an earlier call was answered with questions.
#[derive(Debug, Default)]
pub(super) struct Continued {
    /// Replies to the questions, by question id.
    pub(super) replies: InputResponses,
    /// The saga's id, from the answer with the questions. A forged id reveals no more than `saga_status` does.
    pub(super) state: Option<String>,
}

impl Continued {
    /// Takes the replies and the state out of a request.
    pub(super) fn take_from(request: &mut CallToolRequestParams) -> Self {
        let replies = request.input_responses.take().unwrap_or_default();
        Self { replies, state: request.request_state.take() }
    }
}

impl Caller {
    /// Creates the caller of a request.
    pub(super) fn new(principal: Principal, context: RequestContext<RoleServer>) -> Self {
        let takes_tasks = takes_tasks(&context);
        let is_modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let elicits = context.client_capabilities().is_some_and(|capabilities| {
            // A client that names no mode means forms.
            capabilities.elicitation.is_some_and(|able| able.form.is_some() || able.url.is_none())
        });
        let listener = Listener::from_context(&context);
        let client = context.client_info().map(|client| client.name);
        let (meta, peer, continued) = (context.meta, context.peer, Continued::default());
        Self { principal, meta, peer, listener, takes_tasks, elicits, is_modern, continued, client }
    }

    /// Returns the caller's name for the journal: the principal, which was proved, and the name that its client
    /// claims.
    pub(super) fn asker(&self) -> String {
        let principal = self.principal.asker();
        match self.client.as_deref().map(claimed).filter(|client| !client.is_empty()) {
            Some(client) => format!("{principal} (client {client:?}, as it claims)"),
            None => principal,
        }
    }

    /// Adds what a continued call brings. In the old era there are no such calls, and nothing is added.
    pub(super) fn continuing(mut self, continued: Continued) -> Self {
        if self.is_modern {
            self.continued = continued;
        }
        self
    }

    /// Returns the caller's position in a trace. As W3C Trace Context says, an invalid position is ignored.
    pub(super) fn trace(&self) -> Option<TraceParent> {
        self.meta.0.get(trace::NAME)?.as_str()?.parse().ok()
    }
}

/// Shortens the name of a client, and replaces characters that Postgres or a terminal cannot take.
fn claimed(name: &str) -> String {
    name.trim().chars().take(CLIENT_CHARS_MAX).map(shown).collect()
}

/// Returns whether a client accepts a task as an answer: it speaks the new era and declares tasks.
fn takes_tasks(context: &RequestContext<RoleServer>) -> bool {
    let modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    modern && context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_name_is_short_and_harmless() {
        assert_eq!(claimed(" claude-code "), "claude-code");
        assert_eq!(claimed("a\0b\u{1b}[2Jc"), "a\u{fffd}b\u{fffd}[2Jc");
        assert_eq!(claimed(&"x".repeat(1_000)).len(), CLIENT_CHARS_MAX);
        assert_eq!(claimed(" \t "), "");
    }
}
