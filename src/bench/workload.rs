//! What a bench runs: the shapes of its sagas and the handlers behind them. Owns the definitions, and how
//! each kind of work is driven; when it is driven is decided by `mod.rs`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::participant::{Failure, Handlers, StepContext};
use crate::saga::definition::{Call, Draft, Step};
use crate::saga::state::Status;

/// Name of the definition that every bench runs.
pub(super) const DEFINITION: &str = "bench";

/// Name of the event for which sagas of `signals` wait.
pub(super) const EVENT: &str = "go";

/// How long the sagas of `timers` sleep, in milliseconds: longer than a node keeps what waits.
pub(super) const SLEEP_MS: u64 = crate::config::actor::PARK_AFTER_MS + 2_000;

/// Bytes of payload that make an input of about 200 bytes.
const INPUT_BYTES: usize = 186;

/// What is run.
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
    /// Sagas that are parked until a signal comes by SQL from outside.
    Signals,
    /// Sagas that are parked until their time comes.
    Timers,
    /// checkout-3, while an operator's dashboard reads every view once a second.
    AdminViews,
    /// Sagas that wait on a node, all at a time: what one of them costs in memory.
    Resident,
}

/// Who starts the sagas of a workload, and who sees them end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// The node, which waits for each.
    Closed,
    /// SQL from outside.
    Queued,
    /// The node, which lets them go; a signal brings them back.
    Signalled,
    /// The node, which lets them go; a timer brings them back.
    Timed,
    /// The node, which keeps them all waiting for a while.
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

    /// How each of its sagas must end.
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

/// The input of every saga.
pub(super) fn input() -> Value {
    json!({ "payload": "x".repeat(INPUT_BYTES) })
}

/// The functions that the definitions name; `wait` waits for the gate.
pub(super) fn handlers(gate: Arc<Semaphore>) -> Handlers {
    Handlers::new()
        .register("echo", |_: StepContext, input: Value| async move { Ok::<_, Failure>(input) })
        .register("decline", |_: StepContext, _: Value| async move {
            Err::<Value, _>(Failure::permanent("declined", "no such opportunity"))
        })
        .register("wait", move |_: StepContext, _: Value| {
            let gate = gate.clone();
            async move {
                // The gate is opened for as many as are waiting, never closed.
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
