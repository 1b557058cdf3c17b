//! Where a call comes from: the principal, what its client is able to do, and what a continued call brings.

use rmcp::RoleServer;
use rmcp::model::{CallToolRequestParams, InputResponses, ProtocolVersion, RequestMetaObject};
use rmcp::service::{Peer, RequestContext};

use super::listener::Listener;
use super::principal::Principal;
use crate::trace::{self, TraceParent};

/// Whom a call comes from, and how it wants to be answered.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) meta: RequestMetaObject,
    pub(super) peer: Peer<RoleServer>,
    pub(super) listener: Listener,
    /// It takes a task for an answer.
    pub(super) takes_tasks: bool,
    /// It shows forms to a person.
    pub(super) elicits: bool,
    /// It speaks the new era, in which servers ask nothing by themselves.
    pub(super) is_modern: bool,
    /// What it brings from the call before, of which this is the continuation.
    pub(super) continued: Continued,
}

/// What a call brings that was answered with questions before.
#[derive(Debug, Default)]
pub(super) struct Continued {
    /// Replies to the questions, by their ids.
    pub(super) replies: InputResponses,
    /// What the answer gave along: the saga's id. Whoever makes one up gets no more than `saga_status` tells.
    pub(super) state: Option<String>,
}

impl Continued {
    /// Takes them out of a request.
    pub(super) fn take_from(request: &mut CallToolRequestParams) -> Self {
        let replies = request.input_responses.take().unwrap_or_default();
        Self { replies, state: request.request_state.take() }
    }
}

impl Caller {
    /// The caller of a request.
    pub(super) fn new(principal: Principal, context: RequestContext<RoleServer>) -> Self {
        let takes_tasks = takes_tasks(&context);
        let is_modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let elicits = context.client_capabilities().is_some_and(|capabilities| {
            // Whoever names no mode means forms.
            capabilities.elicitation.is_some_and(|able| able.form.is_some() || able.url.is_none())
        });
        let listener = Listener::of(&context);
        let (meta, peer, continued) = (context.meta, context.peer, Continued::default());
        Self { principal, meta, peer, listener, takes_tasks, elicits, is_modern, continued }
    }

    /// The same, with what the request brings from the call before. The old era knows no such thing.
    pub(super) fn continuing(mut self, continued: Continued) -> Self {
        if self.is_modern {
            self.continued = continued;
        }
        self
    }

    /// Where in a trace it calls. What is no position is left out, as W3C says.
    pub(super) fn trace(&self) -> Option<TraceParent> {
        self.meta.0.get(trace::NAME)?.as_str()?.parse().ok()
    }
}

/// Whether a client takes a task for an answer: it speaks the new era, and says that it knows them.
fn takes_tasks(context: &RequestContext<RoleServer>) -> bool {
    let modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    modern && context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks())
}
