//! Owns the defaults of a definition's file that depend on the place: what holds for a field that its author left out.

use crate::saga::definition::{Action, Effect, Kind, Millis, Retry};

/// Limit of an attempt or a probe.
pub(in crate::catalog) const TIMEOUT_MS: Millis = 30_000;
/// How long an effect can land after its call.
pub(in crate::catalog) const SETTLE_MS: Millis = 10_000;
/// HTTP method of an action or a compensation.
pub(in crate::catalog) const METHOD: &str = "POST";
/// HTTP method of a probe, which only reads.
pub(in crate::catalog) const PROBE_METHOD: &str = "GET";

/// Attempts of a retriable step: nothing else can be done than going on.
const RETRIABLE_ATTEMPTS: u32 = 20;
/// Attempts of a compensation: when it fails for good, a person is needed.
const COMPENSATION_ATTEMPTS: u32 = 10;
/// Probes of an outcome that stays inconclusive.
const PROBE_ATTEMPTS: u32 = 10;

/// What holds for a call's fields that were left out.
#[derive(Clone, Debug)]
pub(in crate::catalog) struct CallDefaults {
    pub(in crate::catalog) effect: Effect,
    /// Holds only together with the effect.
    pub(in crate::catalog) key_lifetime_ms: Option<Millis>,
    pub(in crate::catalog) retry: Retry,
    pub(in crate::catalog) timeout_ms: Millis,
}

/// Returns the defaults of a step's action.
pub(in crate::catalog) fn action(kind: Kind) -> CallDefaults {
    let attempts = match kind {
        Kind::Compensable | Kind::Pivot => Retry::default().attempts,
        Kind::Retriable => RETRIABLE_ATTEMPTS,
    };
    CallDefaults {
        effect: Effect::default(),
        key_lifetime_ms: None,
        retry: Retry { attempts, ..Retry::default() },
        timeout_ms: TIMEOUT_MS,
    }
}

/// Returns the defaults of a compensation: its step's, except for attempts, which are more unless the step
/// asks for more still.
pub(in crate::catalog) fn compensation(of: &Action) -> CallDefaults {
    let own = CallDefaults { retry: retry_of(COMPENSATION_ATTEMPTS), ..action(Kind::Compensable) };
    match of {
        Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => own,
        Action::Call(call) => CallDefaults {
            effect: call.effect,
            key_lifetime_ms: call.key_lifetime_ms,
            retry: Retry { attempts: call.retry.attempts.max(COMPENSATION_ATTEMPTS), ..call.retry.clone() },
            timeout_ms: call.timeout_ms,
        },
    }
}

/// Returns the defaults of a probe's retry.
pub(in crate::catalog) fn probe_retry() -> Retry {
    retry_of(PROBE_ATTEMPTS)
}

fn retry_of(attempts: u32) -> Retry {
    Retry { attempts, ..Retry::default() }
}
