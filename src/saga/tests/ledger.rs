//! The truth about effects, which the core never sees: what landed, what may still land, what a participant
//! remembers. Owns the model of one step's participant. `world.rs` decides when something happens.
//!
//! The model does everything that the definition allows a participant, and no more. An idempotent participant carries
//! out a key once while it remembers the key. An effect without an answer lands before its settle window ends, or
//! never. An accepted call lands at any time, or never. A participant may answer with an error after its effect: only
//! a refusal that the definition declares had no effect.
//!
//! A call or a probe does not find a key that the participant has forgotten. The participant may also look the effect
//! up by a name of its own. Then a probe finds the effect even after the key is forgotten.

use super::invariants::{Fault, must};
use crate::saga::definition::{Call, Effect, Millis};
use crate::saga::event::Direction;

/// The truth about one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    /// Net number of effects of the action that are in place.
    pub(super) in_place: u32,
    /// A person undid the effect. Then it is up to that person what a later compensation finds.
    pub(super) by_hand: bool,
    action: Records,
    compensation: Records,
}

/// The truth about one call, over all of its attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Records {
    /// Keys that were carried out: their generations, each with its time.
    pub(super) landed: Vec<(u32, Millis)>,
    /// Attempts without an answer whose effect may still land.
    pub(super) flights: Vec<Flight>,
    /// Generations of accepted calls that may still be carried out, at any time.
    pub(super) jobs: Vec<u32>,
    /// The generation under which the participant will repeat an error for ever.
    pub(super) cursed: Option<u32>,
    /// When the attempt in flight began.
    pub(super) begun_at: Millis,
    /// Whether the participant could find the effect by its key when the probe in flight was sent.
    pub(super) seen: bool,
    /// Whether an accepted call was open when the probe in flight was sent.
    pub(super) open: bool,
    /// End of the pause that the participant asked for.
    pub(super) quiet_until: Millis,
}

/// An attempt whose effect may land before `until`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    pub(super) generation: u32,
    pub(super) until: Millis,
}

impl Records {
    /// Whether an effect may still land.
    pub(super) fn may_land(&self) -> bool {
        !self.flights.is_empty() || !self.jobs.is_empty()
    }

    /// Returns the generations of the effects that may still land.
    pub(super) fn landing(&self) -> impl Iterator<Item = u32> + '_ {
        self.flights.iter().map(|flight| flight.generation).chain(self.jobs.iter().copied())
    }

    /// Checks that no call and no probe comes before the pause of the participant is over.
    pub(super) fn rested(&self, now: Millis) -> Result<(), Fault> {
        let until = self.quiet_until;
        must!(now >= until, "expected no call before {until}, found one at {now}");
        Ok(())
    }

    /// Removes the next effect to land, and returns its generation.
    pub(super) fn lands(&mut self) -> Option<u32> {
        match self.flights.is_empty() {
            false => Some(self.flights.remove(0).generation),
            true => (!self.jobs.is_empty()).then(|| self.jobs.remove(0)),
        }
    }
}

impl Ledger {
    pub(super) fn records(&self, direction: Direction) -> &Records {
        match direction {
            Direction::Action => &self.action,
            Direction::Compensation => &self.compensation,
        }
    }

    pub(super) fn records_mut(&mut self, direction: Direction) -> &mut Records {
        match direction {
            Direction::Action => &mut self.action,
            Direction::Compensation => &mut self.compensation,
        }
    }

    /// Carries out a call that arrives at the participant, unless the participant remembers its key. `finds`: whether
    /// a compensation finds the effect.
    pub(super) fn land(
        &mut self,
        call: &Call,
        direction: Direction,
        generation: u32,
        at: Millis,
        safe_when_absent: bool,
        finds: bool,
    ) -> Result<(), Fault> {
        if call.effect == Effect::ReadOnly {
            return Ok(());
        }
        if call.effect == Effect::Idempotent && self.remembers(call, direction, generation, at) {
            return Ok(());
        }
        let records = self.records_mut(direction);
        records.landed.push((generation, at));
        if call.effect == Effect::Idempotent {
            records.jobs.retain(|key| *key != generation);
        }
        match direction {
            Direction::Action => {
                self.in_place += 1;
                must!(self.in_place == 1, "expected one effect, found {}", self.in_place);
            }
            Direction::Compensation => {
                let absent = self.in_place == 0;
                must!(!absent || safe_when_absent || self.by_hand, "an effect was undone that is not in place");
                self.in_place = self.in_place.saturating_sub(u32::from(finds));
            }
        }
        Ok(())
    }

    /// Whether the participant finds a call by its key: the call was carried out, and the key is not forgotten yet.
    pub(super) fn remembers(&self, call: &Call, direction: Direction, generation: u32, at: Millis) -> bool {
        let lives = |first: Millis| call.key_lifetime_ms.is_none_or(|life| at <= first + life);
        self.records(direction).landed.iter().any(|(key, first)| *key == generation && lives(*first))
    }

    /// Whether a call was carried out, even if the participant has forgotten its key.
    pub(super) fn applied(&self, direction: Direction, generation: u32) -> bool {
        self.records(direction).landed.iter().any(|(key, _)| *key == generation)
    }

    /// Whether an attempt without an answer may still land.
    pub(super) fn in_flight(&self) -> bool {
        !self.action.flights.is_empty() || !self.compensation.flights.is_empty()
    }

    /// Returns the same effect for a saga that takes it over. The compensation of that saga has a key of its own.
    pub(super) fn taken_over(&self) -> Self {
        Self { compensation: Records::default(), ..self.clone() }
    }

    /// Removes attempts whose window has ended: their effect never lands.
    pub(super) fn expire(&mut self, now: Millis) {
        self.action.flights.retain(|flight| now < flight.until);
        self.compensation.flights.retain(|flight| now < flight.until);
    }

    /// Returns the earliest end of a window.
    pub(super) fn expires_at(&self) -> Option<Millis> {
        let flights = self.action.flights.iter().chain(&self.compensation.flights);
        flights.map(|flight| flight.until).min()
    }
}
