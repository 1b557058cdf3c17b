//! The tools of the demo's two participants, as data: their arguments, their effect and their faults. Owns the tables
//! and schemas. `service.rs` carries calls out.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool as McpTool, ToolAnnotations};
use serde_json::{Value, json};

use super::effect::Kind;
use super::fault::{Fault, Menu};

/// A tool of a participant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    /// Name over MCP.
    pub(super) name: &'static str,
    /// One sentence for people and models.
    pub(super) description: &'static str,
    /// Its effect.
    pub(super) deed: Deed,
    /// Its arguments besides `booking`, all required.
    pub(super) arguments: &'static [Argument],
    /// Its faults.
    pub(super) faults: Menu,
}

/// Effect of a tool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Deed {
    /// Makes an effect once per key: a repeat under the same key gets the first answer.
    Keyed(Kind),
    /// Makes an effect at every call, whatever the key.
    Unkeyed(Kind),
    /// Undoes an effect once per key. Refuses if there is nothing to undo.
    Undo(Kind),
    /// Undoes an effect once per key. If there is nothing to undo, succeeds and blocks the effect from then on.
    UndoOrForestall(Kind),
    /// Looks for an effect by its key. The kind is the one named by the argument `change`, or else the first of
    /// these.
    Find(&'static [Kind]),
}

/// An argument of a tool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    /// Name.
    pub(super) name: &'static str,
    /// Type and meaning.
    pub(super) form: Form,
}

/// The form of an argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A string that is not empty.
    Text,
    /// A positive number of cents.
    Cents,
    /// One of these kinds of effect, for a probe.
    Change(&'static [Kind]),
}

const fn text(name: &'static str) -> Argument {
    Argument { name, form: Form::Text }
}

const KEY: Argument = text("idempotency_key");
const BOOKING_CHANGES: &[Kind] = &[Kind::BookingClosed, Kind::BookingReopened];
const ROOM_CHANGES: &[Kind] = &[Kind::RoomReleased, Kind::RoomOccupied];
/// Weights of fault kinds. Crashes are rare: each takes down all other calls of its process.
const OFTEN: u64 = 6;
const USUAL: u64 = 4;
const RARE: u64 = 1;

const fn usual(faults: &'static [(Fault, u64)]) -> Menu {
    Menu { faults, strain: 1.0 }
}

/// Compensations are few but must be tested: their faults are three times as likely.
const fn strained(faults: &'static [(Fault, u64)]) -> Menu {
    Menu { faults, strain: 3.0 }
}

const PROBE_FAULTS: Menu = usual(&[(Fault::Busy, USUAL), (Fault::LostAnswer, USUAL)]);
const UNDO_FAULTS: Menu = strained(&[
    (Fault::FailsTwice, OFTEN),
    (Fault::LostAnswer, USUAL),
    (Fault::Slow, USUAL),
    (Fault::ErrorAfter, USUAL),
    (Fault::UnavailableAfter, USUAL),
    (Fault::ConflictCut, USUAL),
    (Fault::Crash, RARE),
]);
/// Faults of undos that have a probe. A cached error looks like a lost effect and blocks every repeat under its key,
/// so the undo needs a probe. So does an accepted call.
const PROBED_UNDO_FAULTS: Menu = strained(&[
    (Fault::FailsTwice, OFTEN),
    (Fault::CachedError, USUAL),
    (Fault::LostAnswer, USUAL),
    (Fault::Slow, USUAL),
    (Fault::ErrorAfter, USUAL),
    (Fault::UnavailableAfter, USUAL),
    (Fault::ConflictCut, USUAL),
    (Fault::Accepted, USUAL),
    (Fault::Crash, RARE),
]);
/// Faults without HTTP statuses: the payments server speaks stdio.
const REFUND_FAULTS: Menu = strained(&[
    (Fault::FailsTwice, OFTEN),
    (Fault::CachedError, USUAL),
    (Fault::LostAnswer, USUAL),
    (Fault::Slow, USUAL),
    (Fault::ErrorAfter, USUAL),
    (Fault::Accepted, USUAL),
    (Fault::Crash, RARE),
]);

/// The tools of the payments server.
pub(super) const PAYMENTS: &[Tool] = &[
    Tool {
        name: "create_charge",
        description: "Charges a guest. The same idempotency key again returns the first charge.",
        deed: Deed::Keyed(Kind::Charge),
        arguments: &[text("customer"), Argument { name: "amount_cents", form: Form::Cents }, KEY],
        faults: usual(&[
            (Fault::Refused, OFTEN),
            (Fault::Busy, USUAL),
            (Fault::CachedError, USUAL),
            (Fault::FailureAsText, OFTEN),
            (Fault::LostAnswer, USUAL),
            (Fault::Crash, RARE),
            (Fault::Slow, USUAL),
            (Fault::ErrorAfter, USUAL),
            (Fault::Accepted, USUAL),
        ]),
    },
    Tool {
        name: "find_charge",
        description: "Looks for the charge made under an idempotency key.",
        deed: Deed::Find(&[Kind::Charge]),
        arguments: &[KEY],
        faults: PROBE_FAULTS,
    },
    Tool {
        name: "refund_charge",
        description: "Refunds a charge in full. The same idempotency key again returns the first refund.",
        deed: Deed::Undo(Kind::Refund),
        arguments: &[text("charge"), KEY],
        faults: REFUND_FAULTS,
    },
    Tool {
        name: "find_refund",
        description: "Looks for the refund made under an idempotency key.",
        deed: Deed::Find(&[Kind::Refund]),
        arguments: &[KEY],
        faults: PROBE_FAULTS,
    },
];

/// The tools of the CRM.
pub(super) const CRM: &[Tool] = &[
    Tool {
        name: "close_booking",
        description: "Closes a booking and issues its folio. NOT idempotent: each call issues a folio.",
        deed: Deed::Unkeyed(Kind::BookingClosed),
        arguments: &[text("request")],
        faults: usual(&[
            (Fault::Refused, OFTEN),
            (Fault::Busy, USUAL),
            (Fault::LostAnswer, USUAL),
            (Fault::Crash, RARE),
            (Fault::Slow, USUAL),
            (Fault::ErrorAfter, USUAL),
            (Fault::UnavailableAfter, USUAL),
            (Fault::ConflictCut, USUAL),
            (Fault::Accepted, USUAL),
        ]),
    },
    Tool {
        name: "reopen_booking",
        description: "Opens a closed booking again and voids its folio, once per idempotency key.",
        deed: Deed::Undo(Kind::BookingReopened),
        arguments: &[KEY],
        faults: PROBED_UNDO_FAULTS,
    },
    Tool {
        name: "find_booking_change",
        description: "Looks for the change of a booking made by a request or under an idempotency key.",
        deed: Deed::Find(BOOKING_CHANGES),
        arguments: &[Argument { name: "change", form: Form::Change(BOOKING_CHANGES) }, KEY],
        faults: PROBE_FAULTS,
    },
    Tool {
        name: "release_room",
        description: "Releases the room of a booking, once per idempotency key.",
        deed: Deed::Keyed(Kind::RoomReleased),
        arguments: &[text("room"), KEY],
        faults: usual(&[
            (Fault::Busy, USUAL),
            (Fault::LostAnswer, USUAL),
            (Fault::Crash, RARE),
            (Fault::Slow, USUAL),
            (Fault::ErrorAfter, USUAL),
            (Fault::UnavailableAfter, USUAL),
            (Fault::ConflictCut, USUAL),
        ]),
    },
    Tool {
        name: "occupy_room",
        description: "Occupies a released room again, once per idempotency key.",
        deed: Deed::Undo(Kind::RoomOccupied),
        arguments: &[text("room"), KEY],
        faults: UNDO_FAULTS,
    },
    Tool {
        name: "find_room_change",
        description: "Looks for the change of a room made under an idempotency key.",
        deed: Deed::Find(ROOM_CHANGES),
        arguments: &[Argument { name: "change", form: Form::Change(ROOM_CHANGES) }, KEY],
        faults: PROBE_FAULTS,
    },
    Tool {
        name: "advance_opportunity",
        description: "Advances the sales opportunity of a booking, once per idempotency key. Refused after a revert.",
        deed: Deed::Keyed(Kind::OpportunityAdvanced),
        arguments: &[text("stage"), KEY],
        faults: usual(&[
            (Fault::Refused, OFTEN),
            (Fault::CachedError, USUAL),
            (Fault::FailureAsText, OFTEN),
            (Fault::LostAnswer, USUAL),
            (Fault::Crash, RARE),
            (Fault::Slow, USUAL),
            (Fault::ErrorAfter, USUAL),
            (Fault::UnavailableAfter, USUAL),
            (Fault::ConflictCut, USUAL),
        ]),
    },
    Tool {
        name: "revert_opportunity",
        description: "Reverts an opportunity, once per idempotency key. Safe to call if it never was advanced.",
        deed: Deed::UndoOrForestall(Kind::OpportunityReverted),
        arguments: &[KEY],
        faults: UNDO_FAULTS,
    },
    Tool {
        name: "email_receipt",
        description: "Mails the receipt of a charge, once per idempotency key.",
        deed: Deed::Keyed(Kind::ReceiptSent),
        arguments: &[text("to"), text("charge"), KEY],
        faults: usual(&[
            (Fault::Busy, USUAL),
            (Fault::LostAnswer, USUAL),
            (Fault::Crash, RARE),
            (Fault::Slow, USUAL),
            (Fault::ErrorAfter, USUAL),
            (Fault::UnavailableAfter, USUAL),
            (Fault::ConflictCut, USUAL),
        ]),
    },
];

impl Tool {
    /// Returns the JSON Schema of the arguments.
    pub(super) fn input_schema(&self) -> Value {
        let mut properties = serde_json::Map::new();
        properties.insert("booking".into(), json!({ "type": "string", "minLength": 1, "maxLength": TEXT_MAX }));
        for argument in self.arguments {
            properties.insert(argument.name.into(), argument.form.schema());
        }
        let required: Vec<_> = properties.keys().cloned().collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// Returns the tool as MCP lists it.
    pub(super) fn listed(&self) -> McpTool {
        let schema = match self.input_schema() {
            Value::Object(schema) => schema,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => JsonObject::new(),
        };
        let hints = match self.deed {
            Deed::Find(_) => ToolAnnotations::new().read_only(true),
            Deed::Unkeyed(_) => ToolAnnotations::new().destructive(true).idempotent(false),
            Deed::Keyed(_) | Deed::Undo(_) | Deed::UndoOrForestall(_) => {
                ToolAnnotations::new().destructive(true).idempotent(true)
            }
        };
        McpTool::new(self.name, self.description, Arc::new(schema)).with_annotations(hints.open_world(false))
    }
}

impl Form {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string", "minLength": 1, "maxLength": TEXT_MAX }),
            Self::Cents => json!({ "type": "integer", "minimum": 1, "maximum": CENTS_MAX }),
            Self::Change(kinds) => {
                json!({ "enum": kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>() })
            }
        }
    }
}

/// Longest text argument, in characters.
const TEXT_MAX: u32 = 500;
/// Largest charge.
const CENTS_MAX: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_schemas_compile() {
        let tools: Vec<_> = PAYMENTS.iter().chain(CRM).collect();
        for (index, tool) in tools.iter().enumerate() {
            assert!(tools[..index].iter().all(|other| other.name != tool.name), "{} twice", tool.name);
            let schema = jsonschema::validator_for(&tool.input_schema()).unwrap();
            assert!(!schema.is_valid(&json!({})), "{}", tool.name);
            assert!(!tool.listed().input_schema.is_empty());
        }
    }

    fn makes(tool: &Tool) -> Option<Kind> {
        match tool.deed {
            Deed::Keyed(kind) | Deed::Unkeyed(kind) | Deed::Undo(kind) | Deed::UndoOrForestall(kind) => Some(kind),
            Deed::Find(_) => None,
        }
    }

    #[test]
    fn every_deed_has_its_tool_and_every_undo_its_own() {
        for kind in Kind::ALL {
            let makers: Vec<_> = PAYMENTS.iter().chain(CRM).filter(|tool| makes(tool) == Some(kind)).collect();
            assert_eq!(makers.len(), 1, "{kind} is made by {makers:?}");
        }
    }
}
