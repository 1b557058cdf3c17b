//! Kinds of steps, kinds of answers, and how a saga must end that met one with the other: the rules once more, in the
//! fewest words. Owns the table of kinds and the definition of each; the answers and the ledger are in `matrix.rs` and
//! `handlers.rs`.

use super::stage::End;

/// What the rules make of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Good,
    /// No effect, for good.
    Refusal,
    /// No effect, to be tried again.
    Retryable,
    /// No effect, and the same each time that it is tried again.
    Vain,
    /// It says nothing.
    Unknown,
    /// The tool says that it failed, and nothing of its effect.
    Errored,
    /// The same in words by which clients in between say that they lost the answer.
    Internal,
    /// The server does not know the session: it has not carried the call out, but an earlier delivery may have been.
    Session,
    /// A conflict with what a key stands for: of a call that only reads a refusal.
    Conflict,
    /// Accepted.
    Pending,
}
use Class::{Conflict, Errored, Good, Internal, Pending, Refusal, Retryable, Session, Unknown, Vain};

/// When the effect of the call that errs comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Before,
    After,
    Lands,
}

pub(super) const TRUTHS: [(Truth, &str); 3] =
    [(Truth::Before, "before"), (Truth::After, "after"), (Truth::Lands, "lands")];

/// A kind of step: how its call may be repeated, and how its doubt is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) keyed: bool,
    pub(super) probed: bool,
    /// What else is said of it.
    pub(super) more: More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Compensable,
    Pivot,
    Retriable,
    /// The compensation errs.
    Undo,
    /// The call only reads: `read_only`.
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Nothing,
    Safe,
    Irreversible,
    /// Its errors are refusals: `errors: definite`.
    Definite,
}

const fn kind(name: &'static str, place: Place, keyed: bool, probed: bool, more: More) -> Kind {
    Kind { name, place, keyed, probed, more }
}

pub(super) const KINDS: [Kind; 25] = [
    kind("read", Place::Read, false, false, More::Nothing),
    kind("once", Place::Compensable, false, false, More::Nothing),
    kind("once_probed", Place::Compensable, false, true, More::Nothing),
    kind("once_safe", Place::Compensable, false, false, More::Safe),
    kind("once_safe_probed", Place::Compensable, false, true, More::Safe),
    kind("once_irreversible", Place::Compensable, false, false, More::Irreversible),
    kind("once_definite", Place::Compensable, false, false, More::Definite),
    kind("once_irreversible_probed", Place::Compensable, false, true, More::Irreversible),
    kind("keyed", Place::Compensable, true, false, More::Nothing),
    kind("keyed_irreversible", Place::Compensable, true, false, More::Irreversible),
    kind("keyed_probed", Place::Compensable, true, true, More::Nothing),
    kind("keyed_safe", Place::Compensable, true, false, More::Safe),
    kind("keyed_safe_probed", Place::Compensable, true, true, More::Safe),
    kind("pivot_once", Place::Pivot, false, false, More::Nothing),
    kind("pivot_once_probed", Place::Pivot, false, true, More::Nothing),
    kind("pivot_keyed", Place::Pivot, true, false, More::Nothing),
    kind("pivot_keyed_probed", Place::Pivot, true, true, More::Nothing),
    kind("retriable_keyed", Place::Retriable, true, false, More::Nothing),
    kind("retriable_once_probed", Place::Retriable, false, true, More::Nothing),
    kind("retriable_keyed_probed", Place::Retriable, true, true, More::Nothing),
    kind("undo_once", Place::Undo, false, false, More::Nothing),
    kind("undo_once_definite", Place::Undo, false, false, More::Definite),
    kind("undo_keyed", Place::Undo, true, false, More::Nothing),
    kind("undo_once_probed", Place::Undo, false, true, More::Nothing),
    kind("undo_keyed_probed", Place::Undo, true, true, More::Nothing),
];

/// Who errs, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Http,
    Mcp,
    /// MCP with a session, which the server loses.
    Session,
    /// HTTP to a port without a listener.
    Gone,
    /// HTTP to a name that does not resolve.
    Nowhere,
}

pub(super) const DOORS: [Door; 5] = [Door::Http, Door::Mcp, Door::Session, Door::Gone, Door::Nowhere];

impl Door {
    /// The participant that errs.
    fn errs(self) -> &'static str {
        match self {
            Self::Http => "bank",
            Self::Mcp => "bank_mcp",
            Self::Session => "bank_session",
            Self::Gone => "gone",
            Self::Nowhere => "nowhere",
        }
    }

    fn is_mcp(self) -> bool {
        matches!(self, Self::Mcp | Self::Session)
    }

    /// Whether a call reaches anybody.
    pub(super) fn leads(self) -> bool {
        !matches!(self, Self::Gone | Self::Nowhere)
    }
}

impl Kind {
    /// Over MCP an effect whose errors mean nothing to the definition is refused by `check`.
    pub(super) fn may_be_called_over(&self, door: Door) -> bool {
        let says_more = self.probed || self.more != More::Nothing;
        let repeats = self.keyed && matches!(self.place, Place::Retriable | Place::Undo);
        !door.is_mcp() || says_more || repeats || self.place == Place::Read
    }

    /// How a saga must end whose call got this answer; none where the answer is a lie that the rules believe.
    pub(super) fn end(&self, class: Class, truth: Truth) -> Option<End> {
        let happened = truth != Truth::Before;
        let (forward, undo) = (self.place != Place::Undo, self.place == Place::Undo);
        let (reads, good) = (self.place == Place::Read, if undo { End::Compensated } else { End::Completed });
        let failed = match self.place {
            Place::Compensable | Place::Pivot | Place::Read => End::Compensated,
            Place::Retriable | Place::Undo => End::Stuck("pay"),
        };
        Some(match class {
            // What only reads has no effect that could come, and nothing is accepted of it.
            _ if reads && (happened || class == Pending) => return None,
            Conflict | Errored if reads => failed,
            Unknown | Internal | Session if reads => good,
            Conflict => return self.end(Unknown, truth),
            Internal => return self.end(Errored, truth),
            Session if self.keyed => return self.end(Retryable, truth),
            Session => return self.end(Unknown, truth),
            Good => good,
            // The definition says so, and may be wrong.
            Errored if self.more == More::Definite => return self.end(Refusal, truth),
            Refusal | Vain if happened => return None,
            Refusal | Vain => failed,
            // Under the same key it does not matter what happened.
            Retryable if happened && !self.keyed => return None,
            Retryable => good,
            // Without a probe it waits to be told: of the effect, or that there will be none. Then it is tried again.
            Pending if !self.probed || happened => good,
            Pending => failed,
            Unknown if self.keyed || self.probed => good,
            Errored if self.probed && (happened || !forward || self.place == Place::Retriable) => good,
            Errored if self.probed => failed,
            Errored if self.keyed && matches!(self.place, Place::Retriable | Place::Undo) => good,
            Unknown | Errored => match self.more {
                More::Safe | More::Irreversible => End::Compensated,
                More::Nothing | More::Definite => End::Stuck("pay"),
            },
        })
    }

    /// The event for which a pending call waits if it has no probe.
    pub(super) fn awaited(&self) -> &'static str {
        if self.place == Place::Undo { "pay.compensation" } else { "pay" }
    }

    /// The definition in YAML, in which the call errs that is meant.
    pub(super) fn definition(&self, door: Door) -> String {
        let name = self.saga(door);
        // Where no server is reached, the bank does the rest.
        let others = if door.leads() { door.errs() } else { Door::Http.errs() };
        let call = |errs: bool, verb: &str, arguments: &str, more: &str| {
            let participant = if errs { door.errs() } else { others };
            match door.is_mcp() {
                false => {
                    format!("{{ http: {participant}, path: /{verb}, method: POST, body: {{ {arguments} }}{more} }}")
                }
                true => format!("{{ tool: {participant}/{verb}, arguments: {{ {arguments} }}{more} }}"),
            }
        };
        let effect = match self.place {
            Place::Read => "read_only",
            _ if self.keyed => "idempotent",
            _ => "once",
        };
        let attempts = if door.leads() { 6 } else { 2 };
        let retry = format!("retry: {{ attempts: {attempts}, backoff: 50ms, backoff_max: 200ms }}");
        let fits = ", settle: 800ms, retry: { attempts: 25, backoff: 100ms, backoff_max: 300ms }";
        let states = ", applied: \"${ result.state == 'done' }\", absent: \"${ result.state == 'absent' }\"";
        let pending = match door.is_mcp() {
            false => "classify: [{ when: \"${ status == 202 }\", outcome: pending }]",
            true => "classify: [{ when: \"${ result.state == 'queued' }\", outcome: pending }]",
        };
        let (order, key, of) = ("order: \"${ input.order }\"", "key: \"${ key }\"", "of: \"${ action_key }\"");
        let (find, voided) = (
            call(false, "find", key, &format!("{states}{fits}")),
            call(false, "voided", &format!("{key}, {of}"), &format!("{states}{fits}")),
        );
        let undo = self.place == Place::Undo;
        let way = |errs: bool| if errs { ", way: \"${ input.way }\"" } else { "" };
        let arguments = format!("{order}, {key}, once: {}{}", !undo && !self.keyed, way(!undo));
        let verb = if self.place == Place::Read { "look" } else { "pay" };
        let action = call(!undo, verb, &arguments, "");
        let mut step = format!("saga: {name}\nsteps:\n  - step: pay\n    action: {action}\n");
        if undo {
            step += &format!("    effect: idempotent\n    probe: {find}\n");
        } else {
            step += &format!("    effect: {effect}\n    timeout: 15s\n    {pending}\n    {retry}\n");
            step += &if self.probed { format!("    probe: {find}\n") } else { "    settle: 800ms\n".to_owned() };
        }
        if !undo && self.more == More::Definite {
            step += "    errors: definite\n";
        }
        let mut more = ", effect: idempotent".to_owned();
        if undo {
            let asks = if self.probed { format!("probe: {voided}") } else { "settle: 800ms".to_owned() };
            let errors = if self.more == More::Definite { ", errors: definite" } else { "" };
            more = format!(", effect: {effect}, timeout: 15s, {retry}, {pending}, {asks}{errors}");
        }
        let compensation = call(undo, "void", &format!("{order}, {key}, {of}{}", way(undo)), &more);
        step += &match (self.place, self.more) {
            (Place::Read, _) => String::new(),
            (Place::Compensable, More::Irreversible) => "    irreversible: true\n".to_owned(),
            (Place::Compensable, More::Safe) => {
                format!("    safe_when_absent: true\n    compensation: {compensation}\n")
            }
            (Place::Compensable | Place::Undo, _) => format!("    compensation: {compensation}\n"),
            (Place::Pivot, _) => "    kind: pivot\n".to_owned(),
            (Place::Retriable, _) => "    kind: retriable\n".to_owned(),
        };
        if undo {
            let refuse = call(false, "refuse", "", "");
            step += &format!(
                "  - step: refuse\n    effect: read_only\n    retry: {{ attempts: 1 }}\n    action: {refuse}\n"
            );
        }
        step
    }

    pub(super) fn saga(&self, door: Door) -> String {
        let door = match door {
            Door::Http => "http",
            Door::Mcp => "mcp",
            Door::Session => "session",
            Door::Gone => "gone",
            Door::Nowhere => "nowhere",
        };
        format!("{door}_{}", self.name)
    }
}

/// The rules over a few cells, in words.
#[test]
fn the_rules_of_the_matrix_are_the_documented_ones() {
    let end = |name: &str, class, truth| KINDS.iter().find(|kind| kind.name == name).unwrap().end(class, truth);
    assert_eq!(end("once_probed", Errored, Truth::After), Some(End::Completed));
    assert_eq!(end("once_probed", Errored, Truth::Before), Some(End::Compensated));
    assert_eq!(end("once_safe_probed", Errored, Truth::Before), Some(End::Compensated));
    assert_eq!(end("keyed_safe", Errored, Truth::Lands), Some(End::Compensated));
    assert_eq!(end("undo_keyed", Errored, Truth::After), Some(End::Compensated));
    assert_eq!(end("retriable_once_probed", Errored, Truth::Before), Some(End::Completed));
    assert_eq!(end("once", Unknown, Truth::After), Some(End::Stuck("pay")));
    assert_eq!(end("keyed", Refusal, Truth::After), None);
    assert_eq!(end("once", Pending, Truth::Lands), Some(End::Completed));
    assert_eq!(end("once_probed", Pending, Truth::Before), Some(End::Compensated));
    assert_eq!(end("read", Errored, Truth::Before), Some(End::Compensated));
    assert_eq!(end("read", Internal, Truth::Before), Some(End::Completed));
    assert_eq!(end("keyed", Session, Truth::After), Some(End::Completed));
    assert_eq!(end("once", Session, Truth::Before), Some(End::Stuck("pay")));
    assert_eq!(end("retriable_keyed", Vain, Truth::Before), Some(End::Stuck("pay")));
}
