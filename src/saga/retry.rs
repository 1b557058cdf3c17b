//! When the next attempt may be made: backoff, budgets, key lifetimes. Owns the arithmetic; what follows when none may be made
//! is decided in `doubt.rs` and `transition.rs`.

use super::definition::{Call, Effect, Millis, Retry};
use super::state::Tally;

/// Returns the pause after attempt number `done` (from 1), with `chance` (0 to 1) deciding the jittered share.
pub(super) fn pause_ms(retry: &Retry, done: u32, chance: f64) -> Millis {
    let growth = retry.multiplier.powi(i32::try_from(done.saturating_sub(1)).unwrap_or(i32::MAX));
    let whole = (retry.backoff_ms as f64 * growth).min(retry.backoff_max_ms as f64);
    let share = 1.0 - retry.jitter * chance.clamp(0.0, 1.0);
    (whole * share) as Millis
}

/// Whether another attempt of the call may begin at `at`.
pub(super) fn budget_left(call: &Call, tally: &Tally, at: Millis) -> bool {
    let used = tally.attempts - tally.attempts_forgiven;
    let in_time = match (call.deadline_ms, tally.first_at) {
        (Some(deadline), Some(first)) => at < first.saturating_add(deadline),
        (None, _) | (_, None) => true,
    };
    used < call.retry.attempts && in_time
}

/// Whether a repeat at `at` under the same key is safe although an earlier attempt may have had its effect.
pub(super) fn repeatable(call: &Call, tally: &Tally, at: Millis) -> bool {
    match (call.effect, call.key_lifetime_ms, tally.generation_at) {
        (Effect::Once, _, _) => false,
        (Effect::ReadOnly, _, _) | (Effect::Idempotent, None, _) | (Effect::Idempotent, _, None) => true,
        (Effect::Idempotent, Some(lifetime), Some(first)) => at < first.saturating_add(lifetime),
    }
}

/// Whether the call's probe may be asked once more about the present doubt.
pub(super) fn probe_left(call: &Call, tally: &Tally) -> bool {
    let used = tally.probes - tally.probes_forgiven;
    call.probe.as_ref().is_some_and(|probe| used < probe.retry.attempts)
}
