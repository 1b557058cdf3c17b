//! Defaults for the fields that a definition file leaves out, where the default depends on the place of the field.

use crate::saga::definition::{Action, Effect, Kind, Millis, Retry};

/// `timeout` of an attempt or a probe.
pub(in crate::catalog) const TIMEOUT_MS: Millis = 30_000;
/// `settle`: how long an effect can still land after its call ended.
pub(in crate::catalog) const SETTLE_MS: Millis = 10_000;
/// HTTP method of an action or a compensation.
pub(in crate::catalog) const METHOD: &str = "POST";
/// HTTP method of a probe, which only reads.
pub(in crate::catalog) const PROBE_METHOD: &str = "GET";

/// Attempts of a retriable step. The number is high because such a step can only go forward.
const RETRIABLE_ATTEMPTS: u32 = 20;
/// Attempts of a compensation. A compensation that fails for good needs an operator.
const COMPENSATION_ATTEMPTS: u32 = 10;
/// Probes of a call while the answers stay inconclusive.
const PROBE_ATTEMPTS: u32 = 10;

/// Defaults for the fields of a call.
#[derive(Clone, Debug)]
pub(in crate::catalog) struct CallDefaults {
    pub(in crate::catalog) effect: Effect,
    /// Applies only if the default effect applies too.
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

/// Returns the defaults of a compensation: the values of its step's call, with at least 10 attempts. If the step has
/// no call, the defaults are those of a compensable action, with 10 attempts.
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
