//! The truth about effects, which the core never sees: what landed, what may still land, what a participant
//! remembers. Owns the model of one step's participant; when something happens is decided by `world.rs`.
//!
//! The model does what a participant may do under the words of the definition, and no more: an idempotent one carries
//! out a key once while it remembers it; an effect without an answer lands before its settle window ends, or never;
//! what was accepted lands whenever it likes, or never. It may answer with an error after its effect: only a refusal
//! that the definition knows for one had none. A key that it has forgotten is unknown to it, whether it is called or
//! asked; then it may also be one that is asked by a name of its own, and finds the effect.

use super::invariants::{Fault, must};
use crate::saga::definition::{Call, Effect, Millis};
use crate::saga::event::Direction;

/// The truth about one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    /// Effects of the action that are in place, net.
    pub(super) in_place: u32,
    /// A person undid it; what the compensation does afterwards is theirs to know.
    pub(super) by_hand: bool,
    action: Records,
    compensation: Records,
}

/// The truth about one call, over all of its attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Records {
    /// Keys that were carried out, with the time: generations.
    pub(super) landed: Vec<(u32, Millis)>,
    /// Attempts without an answer whose effect may still land.
    pub(super) flights: Vec<Flight>,
    /// Generations of calls that were accepted and may still be carried out, at any time.
    pub(super) jobs: Vec<u32>,
    /// The generation for which the participant will repeat an error for ever.
    pub(super) cursed: Option<u32>,
    /// When the attempt in flight began.
    pub(super) begun_at: Millis,
    /// Whether the participant found the effect by its key when the probe in flight was asked.
    pub(super) seen: bool,
    /// Whether an accepted call was open then.
    pub(super) open: bool,
    /// The participant asked to be left alone until then.
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

    /// The generations of what may still land.
    pub(super) fn landing(&self) -> impl Iterator<Item = u32> + '_ {
        self.flights.iter().map(|flight| flight.generation).chain(self.jobs.iter().copied())
    }

    /// No call and no probe comes before the pause that the participant asked for is over.
    pub(super) fn rested(&self, now: Millis) -> Result<(), Fault> {
        let until = self.quiet_until;
        must!(now >= until, "it is called at {now}, and asked to be left alone until {until}");
        Ok(())
    }

    /// Takes what lands next.
    pub(super) fn lands(&mut self) -> Option<u32> {
        match self.flights.is_empty() {
            false => Some(self.flights.remove(0).generation),
            true => (!self.jobs.is_empty()).then(|| self.jobs.remove(0)),
        }
    }
}

impl Ledger {
    pub(super) fn of(&self, direction: Direction) -> &Records {
        match direction {
            Direction::Action => &self.action,
            Direction::Compensation => &self.compensation,
        }
    }

    pub(super) fn of_mut(&mut self, direction: Direction) -> &mut Records {
        match direction {
            Direction::Action => &mut self.action,
            Direction::Compensation => &mut self.compensation,
        }
    }

    /// A call arrives at the participant and is carried out, unless its key is remembered. A compensation undoes what it
    /// finds.
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
        let records = self.of_mut(direction);
        records.landed.push((generation, at));
        if call.effect == Effect::Idempotent {
            records.jobs.retain(|key| *key != generation);
        }
        match direction {
            Direction::Action => {
                self.in_place += 1;
                must!(self.in_place == 1, "the effect is there {} times", self.in_place);
            }
            Direction::Compensation => {
                let absent = self.in_place == 0;
                must!(!absent || safe_when_absent || self.by_hand, "something was undone that is not there");
                self.in_place = self.in_place.saturating_sub(u32::from(finds));
            }
        }
        Ok(())
    }

    /// Whether the participant finds a call by its key: it was carried out, and the key is not forgotten yet.
    pub(super) fn remembers(&self, call: &Call, direction: Direction, generation: u32, at: Millis) -> bool {
        let lives = |first: Millis| call.key_lifetime_ms.is_none_or(|life| at <= first + life);
        self.of(direction).landed.iter().any(|(key, first)| *key == generation && lives(*first))
    }

    /// Whether a call was carried out, even if the participant has forgotten its key.
    pub(super) fn applied(&self, direction: Direction, generation: u32) -> bool {
        self.of(direction).landed.iter().any(|(key, _)| *key == generation)
    }

    /// Whether anything may still land.
    pub(super) fn in_flight(&self) -> bool {
        !self.action.flights.is_empty() || !self.compensation.flights.is_empty()
    }

    /// The same effect, as the saga finds it that has taken it over: its compensation has a key of its own.
    pub(super) fn taken_over(&self) -> Self {
        Self { compensation: Records::default(), ..self.clone() }
    }

    /// What has not landed by now never will.
    pub(super) fn expire(&mut self, now: Millis) {
        self.action.flights.retain(|flight| now < flight.until);
        self.compensation.flights.retain(|flight| now < flight.until);
    }

    /// The earliest end of a window.
    pub(super) fn expires_at(&self) -> Option<Millis> {
        let flights = self.action.flights.iter().chain(&self.compensation.flights);
        flights.map(|flight| flight.until).min()
    }
}
