//! Calls that this node could not make, because it had no free file descriptor. Owns the wait and what the saga is
//! told. That is the node's trouble, never an answer of the participant.

use super::call_end::End;
use crate::actor::node::context::Node;
use crate::files;
use crate::metrics;
use crate::participant::DefaultRule;
use crate::place::Ticket;
use crate::saga::Law;

/// For what the node wanted a descriptor.
const WANTED_FOR: &str = "call a participant";

/// Whether a call did not leave this node for want of a file descriptor.
pub(super) fn is_it(end: &End) -> bool {
    let decided_by = match end {
        End::Attempt(_, decided_by) | End::Probe(_, decided_by) => decided_by.as_ref(),
        End::Within(..) | End::NeverBegun | End::NotSent => None,
    };
    decided_by.is_some_and(|by| by.rule == DefaultRule::OutOfFiles.word())
}

/// Takes the call back, and waits until a descriptor is free, with a limit. The core then asks for the call again, as
/// if it had not been asked for: no attempt is used up. Law V1 knows no such word for a call that has begun, so it gets
/// `end`, a failed attempt that is repeated.
pub(super) async fn outlast(node: &Node, law: Law, ticket: &Ticket, end: End) -> End {
    ticket.take_back();
    report();
    node.claim_pause.avert();
    if !files::freed().await {
        report();
    }
    match law {
        Law::V1 => end,
        Law::V2 => End::NotSent,
    }
}

fn report() {
    metrics::FILES_SHORT.with([]).increment(1);
    if files::note(WANTED_FOR) {
        tracing::warn!(
            wanted_for = WANTED_FOR,
            "no free file descriptor: the node claims no sagas for a while and makes its calls later; raise its limit \
             of open files"
        );
    }
}
