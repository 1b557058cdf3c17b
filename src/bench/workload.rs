//! Workloads of a bench: the definitions of its sagas and their handlers. Owns the definitions and how each workload
//! is driven. `mod.rs` decides when.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::participant::{Failure, Handlers, StepContext};
use crate::saga::definition::{Call, Draft, Step};
use crate::saga::state::Status;

/// Name of the definition that every bench runs.
pub(super) const DEFINITION: &str = "bench";

/// Event that the sagas of `signals` wait for.
pub(super) const EVENT: &str = "go";

/// Sleep of the sagas of `timers`, in milliseconds: longer than a node keeps a waiting saga.
pub(super) const SLEEP_MS: u64 = crate::config::actor::PARK_AFTER_MS + 2_000;

/// Bytes of payload in an input of about 200 bytes.
const INPUT_BYTES: usize = 186;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Workload {
    /// Three in-process steps in sequence, 200 bytes of JSON in and out, each outcome durable before the next
    /// step begins.
    #[value(name = "checkout-3")]
    Checkout3,
    /// The same; the third step fails for good, so the first two are compensated.
    #[value(name = "checkout-3-comp")]
    Checkout3Comp,
    /// Eight parallel steps, and one that needs them all.
    #[value(name = "fan-out-8")]
    FanOut8,
    /// checkout-3, started by SQL from outside, so that every saga passes through the queue.
    Claim,
    /// Sagas that are parked until a signal by SQL from outside.
    Signals,
    /// Sagas that are parked until their timer is due.
    Timers,
    /// checkout-3, while an operator's dashboard reads every view once a second.
    AdminViews,
    /// Sagas that all wait on a node at the same time: measures the memory of one.
    Resident,
}

/// Driver of a workload: who starts its sagas and waits for their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// The node starts each saga and waits for its end.
    Closed,
    /// SQL from outside starts the sagas.
    Queued,
    /// The node starts the sagas and parks them; a signal wakes them.
    Signalled,
    /// The node starts the sagas and parks them; a timer wakes them.
    Timed,
    /// The node starts the sagas and keeps them all waiting for a while.
    Held,
}

impl Workload {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Checkout3 => "checkout-3",
            Self::Checkout3Comp => "checkout-3-comp",
            Self::FanOut8 => "fan-out-8",
            Self::Claim => "claim",
            Self::Signals => "signals",
            Self::Timers => "timers",
            Self::AdminViews => "admin-views",
            Self::Resident => "resident",
        }
    }

    pub(super) fn drive(self) -> Drive {
        match self {
            Self::Checkout3 | Self::Checkout3Comp | Self::FanOut8 | Self::AdminViews => Drive::Closed,
            Self::Claim => Drive::Queued,
            Self::Signals => Drive::Signalled,
            Self::Timers => Drive::Timed,
            Self::Resident => Drive::Held,
        }
    }

    /// Returns the status in which each saga must end.
    pub(super) fn end(self) -> Status {
        match self {
            Self::Checkout3Comp => Status::Compensated,
            Self::Checkout3
            | Self::FanOut8
            | Self::Claim
            | Self::Signals
            | Self::Timers
            | Self::AdminViews
            | Self::Resident => Status::Completed,
        }
    }

    pub(super) fn draft(self) -> Draft {
        let call = |name: &str, handler: &str| {
            let undo = Call::handler("echo").idempotent();
            Step::new(name, Call::handler(handler).idempotent()).compensation(undo)
        };
        let checkout = |last: &str| {
            Draft::new(DEFINITION)
                .step(call("charge", "echo"))
                .step(call("booking", "echo").needs(["charge"]))
                .step(call("opportunity", last).needs(["booking"]))
        };
        let draft = Draft::new(DEFINITION);
        match self {
            Self::Checkout3 | Self::Claim | Self::AdminViews => checkout("echo"),
            Self::Checkout3Comp => checkout("decline"),
            Self::FanOut8 => {
                let names: Vec<String> = (1..=8).map(|number| format!("part_{number}")).collect();
                let parts = names.iter().fold(draft, |draft, name| draft.step(call(name, "echo")));
                parts.step(call("join", "echo").needs(names))
            }
            Self::Signals => draft.step(Step::awaiting("wait", EVENT, None)),
            Self::Timers => draft.step(Step::sleeping("wait", SLEEP_MS)),
            Self::Resident => draft.step(Step::new("wait", Call::handler("wait").read_only())),
        }
    }
}

/// Returns the input of every saga.
pub(super) fn input() -> Value {
    json!({ "payload": "x".repeat(INPUT_BYTES) })
}

/// Returns the handlers of the definitions; `wait` waits for the gate.
pub(super) fn handlers(gate: Arc<Semaphore>) -> Handlers {
    Handlers::new()
        .register("echo", |_: StepContext, input: Value| async move { Ok::<_, Failure>(input) })
        .register("decline", |_: StepContext, _: Value| async move {
            Err::<Value, _>(Failure::permanent("declined", "no such opportunity"))
        })
        .register("wait", move |_: StepContext, _: Value| {
            let gate = gate.clone();
            async move {
                // The gate gets one permit for each waiting saga, and is never closed.
                let _ = gate.acquire().await.map(tokio::sync::SemaphorePermit::forget);
                Ok::<_, Failure>(Value::Null)
            }
        })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::saga::Definition;

    #[test]
    fn every_workload_is_a_sound_definition_that_its_handlers_can_run() {
        for workload in Workload::value_variants() {
            let definition = Definition::build(workload.draft()).unwrap();
            let known = handlers(Arc::new(Semaphore::new(0)));
            let text = serde_json::to_string(definition.draft()).unwrap();
            for handler in text.split("\"handler\":{\"name\":\"").skip(1) {
                assert!(known.contains(handler.split('"').next().unwrap()), "{}: {text}", workload.name());
            }
            assert!(workload.end().is_end());
        }
    }
}
