//! When the next attempt may begin: backoff, budgets, key lifetimes. Owns the arithmetic. `doubt.rs` and
//! `transition_context.rs` decide what follows when no attempt may begin.

use super::definition::{Call, Effect, Millis, Retry};
use super::tally::Tally;

/// Longest pause that a participant may ask for: one day.
pub(super) const RETRY_AFTER_MS_MAX: Millis = 24 * 3_600_000;

/// Returns the pause after attempt number `done` (from 1). `chance` (0 to 1) sets the jittered share. The result is
/// the same on every machine, because a journal may be replayed on another one. So the pause is multiplied step by
/// step: multiplication is exact across machines, powers are not.
pub(super) fn pause_ms(retry: &Retry, done: u32, chance: f64) -> Millis {
    let longest = retry.backoff_max_ms as f64;
    let mut whole = retry.backoff_ms as f64;
    for _ in 1..done {
        if whole >= longest {
            break;
        }
        whole *= retry.multiplier;
    }
    let share = 1.0 - retry.jitter * chance.clamp(0.0, 1.0);
    (whole.min(longest) * share) as Millis
}

/// Returns the pause that a participant asked for, at most [`RETRY_AFTER_MS_MAX`].
pub(super) fn asked_pause_ms(retry_after_ms: Option<Millis>) -> Option<Millis> {
    retry_after_ms.map(|pause| pause.min(RETRY_AFTER_MS_MAX))
}

/// Returns whether another attempt of the call may begin at `at`.
pub(super) fn budget_left(call: &Call, tally: &Tally, at: Millis) -> bool {
    let used = tally.attempts - tally.attempts_forgiven;
    used < call.retry.attempts && in_time(call, tally, at)
}

/// Returns whether the step's deadline is later than `at`. It is if no attempt has begun, because the deadline counts
/// from the first attempt.
pub(super) fn in_time(call: &Call, tally: &Tally, at: Millis) -> bool {
    deadline(call, tally).is_none_or(|deadline| at < deadline)
}

fn deadline(call: &Call, tally: &Tally) -> Option<Millis> {
    call.deadline_ms.zip(tally.first_at).map(|(deadline, first)| first.saturating_add(deadline))
}

/// Returns whether a repeat at `at` under the same key is safe although an earlier attempt may have had its effect.
/// For an idempotent call the repeat must land while the participant still remembers the key.
pub(super) fn repeatable(call: &Call, tally: &Tally, at: Millis) -> bool {
    match call.effect {
        Effect::Once => false,
        Effect::ReadOnly | Effect::Transactional => true,
        Effect::Idempotent => !forgotten(call, tally, at.saturating_add(landing_ms(call))),
    }
}

/// Returns the time from which the attempt under way must not begin any more, however long it has waited. From then
/// on the step's deadline is over, or a repeat could land after the participant has forgotten the key of an earlier
/// attempt.
pub(super) fn begins_before(call: &Call, tally: &Tally) -> Option<Millis> {
    let repeats = tally.attempt_at != tally.generation_at;
    let lands_before = lands_before(call, tally, call).filter(|_| repeats);
    deadline(call, tally).into_iter().chain(lands_before).min()
}

/// Returns the time from which an attempt of `later` may land after the participant has forgotten the key of `call`.
pub(super) fn lands_before(call: &Call, tally: &Tally, later: &Call) -> Option<Millis> {
    forgotten_at(call, tally).map(|forgotten_at| forgotten_at.saturating_sub(landing_ms(later)))
}

/// Returns whether the participant may have forgotten the present key by `at`.
pub(super) fn forgotten(call: &Call, tally: &Tally, at: Millis) -> bool {
    forgotten_at(call, tally).is_some_and(|forgotten_at| at >= forgotten_at)
}

/// Returns when the participant may forget the present key, counted from the first attempt under it. None if it never
/// does, or if no attempt has begun under the key.
fn forgotten_at(call: &Call, tally: &Tally) -> Option<Millis> {
    call.key_lifetime_ms.zip(tally.generation_at).map(|(lifetime, first)| first.saturating_add(lifetime))
}

/// Returns how long after the start of an attempt its effect can land.
pub(super) fn landing_ms(call: &Call) -> Millis {
    call.timeout_ms.saturating_add(call.settle_ms)
}

/// Returns whether the call's probe may be asked once more about the present doubt.
pub(super) fn probe_left(call: &Call, tally: &Tally) -> bool {
    let used = tally.probes - tally.probes_forgiven;
    call.probe.as_ref().is_some_and(|probe| used < probe.retry.attempts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_jitter_shortens_them() {
        let retry = Retry { attempts: 9, backoff_ms: 500, multiplier: 2.0, backoff_max_ms: 3_000, jitter: 0.5 };
        let whole: Vec<Millis> = (1..6).map(|done| pause_ms(&retry, done, 0.0)).collect();
        assert_eq!(whole, [500, 1_000, 2_000, 3_000, 3_000]);
        assert_eq!((pause_ms(&retry, 1, 0.5), pause_ms(&retry, 1, 1.0)), (375, 250));
        // `chance` comes from a journal. The pause stays within bounds for every value.
        assert_eq!((pause_ms(&retry, 1, 7.0), pause_ms(&retry, 1, -7.0)), (250, 500));
        assert_eq!(pause_ms(&retry, 0, 0.0), 500);
    }

    #[test]
    fn no_pause_stays_none_and_the_largest_numbers_overflow_nowhere() {
        let none = Retry { attempts: 1_000, backoff_ms: 0, multiplier: 100.0, ..Retry::default() };
        assert_eq!(pause_ms(&none, 1_000, 0.0), 0);
        let long = Retry { backoff_ms: Millis::MAX, backoff_max_ms: Millis::MAX, ..none };
        assert_eq!(pause_ms(&long, u32::MAX, 0.0), Millis::MAX);
        assert_eq!(asked_pause_ms(Some(Millis::MAX)), Some(RETRY_AFTER_MS_MAX));
    }
}
