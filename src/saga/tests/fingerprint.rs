//! Fingerprint of a world: two worlds with the same future have the same hash. It covers what a later event can
//! depend on. Times enter only as distances from now.

use std::hash::{Hash, Hasher};

use super::invariants::call_of;
use super::world::World;
use crate::saga::definition::Millis;
use crate::saga::event::Direction;
use crate::saga::state::{Activity, Course, Phase, StepState};

/// Distances beyond this into the past count as equal. It is longer than any window of the tests.
const PAST_MS: i64 = 5_000;

/// A fast hasher: the standard one takes a fifth of the time of an exploration.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }
    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }
    fn finish(&self) -> u64 {
        let folded = (self.0 ^ self.0 >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        folded ^ folded >> 32
    }
}

/// Returns the same number for worlds with the same future.
pub(super) fn fingerprint(world: &World) -> u64 {
    let mut hasher = Mixer(0);
    let state = &world.state;
    let away = |time: Millis| (time as i64 - world.now as i64).max(-PAST_MS);
    match &state.course {
        Course::Forward => 0.hash(&mut hasher),
        Course::Backward => 1.hash(&mut hasher),
        Course::Ended(end) => end.hash(&mut hasher),
    }
    (state.paused, state.turn_back.is_some(), state.lease_until.map(away)).hash(&mut hasher);
    if world.definition.draft().deadline_ms.is_some() {
        away(state.started_at).hash(&mut hasher);
    }
    state.mailbox.keys().for_each(|event| event.hash(&mut hasher));
    for (index, one) in state.steps.iter().enumerate() {
        phase(&mut hasher, one, away);
        one.skipped_by_hand.hash(&mut hasher);
        one.shown.is_some().hash(&mut hasher);
        if call_of(&world.definition, state, index, Direction::Action).is_none() {
            one.action.lost.hash(&mut hasher);
        }
        let ledger = &world.ledgers[index];
        (ledger.in_place, ledger.by_hand).hash(&mut hasher);
        for direction in [Direction::Action, Direction::Compensation] {
            let Some(call) = call_of(&world.definition, state, index, direction) else { continue };
            let (tally, records) = (one.tally(direction), ledger.records(direction));
            let attempting = one.phase == Phase::Active { direction, activity: Activity::Attempting };
            let probing = one.phase == Phase::Active { direction, activity: Activity::Probing };
            let evidence = tally.evidence();
            evidence.not_before.map_or(0, |until| until.saturating_sub(world.now)).hash(&mut hasher);
            tally.generation_at.is_none().hash(&mut hasher);
            (tally.attempts - tally.attempts_forgiven, tally.attempts > 0).hash(&mut hasher);
            (tally.probes - tally.probes_forgiven, tally.lost, tally.probes_lost, tally.generation).hash(&mut hasher);
            (evidence.doubt_at.map(away), evidence.final_failure, evidence.pending, evidence.errored).hash(&mut hasher);
            (records.cursed, &records.jobs).hash(&mut hasher);
            if attempting {
                (tally.attempt_at.map(away), away(records.begun_at)).hash(&mut hasher);
            }
            if probing {
                (evidence.probed_at.map(away), records.seen, records.open).hash(&mut hasher);
            }
            if call.deadline_ms.is_some() {
                tally.first_at.map(away).hash(&mut hasher);
            }
            let lives = call.key_lifetime_ms.is_some();
            if lives {
                tally.generation_at.map(away).hash(&mut hasher);
            }
            for (key, at) in &records.landed {
                (key, lives.then(|| away(*at))).hash(&mut hasher);
            }
            for flight in &records.flights {
                (flight.generation, away(flight.until)).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

fn phase(hasher: &mut Mixer, one: &StepState, away: impl Fn(Millis) -> i64) {
    std::mem::discriminant(&one.phase).hash(hasher);
    match one.phase {
        Phase::Active { direction, activity } => {
            (direction, std::mem::discriminant(&activity)).hash(hasher);
            match activity {
                Activity::Attempting | Activity::Probing | Activity::Showing => {}
                Activity::BackingOff { until }
                | Activity::Settling { until }
                | Activity::Unresolved { until }
                | Activity::Sleeping { until } => away(until).hash(hasher),
                Activity::Awaiting { until } | Activity::Asking { until } => until.map(&away).hash(hasher),
            }
        }
        Phase::Undone(undone) => std::mem::discriminant(&undone).hash(hasher),
        Phase::Stuck { direction, reason } => (direction, reason).hash(hasher),
        Phase::Waiting | Phase::Deciding | Phase::Skipped | Phase::Done | Phase::Failed => {}
    }
}
