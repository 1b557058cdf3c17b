//! Drives a saga to its end from any state, in a world where everything goes well from now on and people do their
//! work. Proves that an end can always be reached, and checks what must hold at every end.

use super::invariants::{Fault, call_of, must};
use super::moves::{Fate, Move, Seen, Verdict};
use super::story::question;
use super::world::World;
use crate::saga::command::Command;
use crate::saga::definition::Effect;
use crate::saga::event::{Direction, Request};
use crate::saga::state::{Activity, End, Phase, StepState};
use crate::saga::{Json, Law, legal_verbs, next_timer, outstanding, passed_deadline};

/// More moves than any saga of the tests needs.
const MOVES_MAX: usize = 400;

impl World {
    /// Drives the saga to its end. Late effects land at once, or never.
    pub(super) fn go_home(&mut self, land: bool, told: &mut Vec<Move>) -> Result<(), Fault> {
        for _ in 0..MOVES_MAX {
            if self.state.end().is_some() {
                return Ok(());
            }
            let one = self.homeward(land)?;
            told.push(one.clone());
            self.apply(&one)?;
        }
        Err(format!("the saga does not end: {}", self.state.status()))
    }

    /// Returns the next move towards the end.
    fn homeward(&self, land: bool) -> Result<Move, Fault> {
        for (step, ledger) in self.ledgers.iter().enumerate() {
            for direction in [Direction::Action, Direction::Compensation] {
                let records = ledger.records(direction);
                if records.may_land() && land {
                    return Ok(Move::Land(step, direction));
                }
                if records.may_land() {
                    let jobs = !records.jobs.is_empty();
                    return Ok(if jobs { Move::Drop(step, direction) } else { Move::Elapse });
                }
            }
        }
        let reason = || "going home".to_owned();
        if self.state.paused {
            return Ok(Move::Ask(Request::Resume { reason: reason() }));
        }
        if self.state.stuck().is_some() {
            return self.unstick();
        }
        if passed_deadline(&self.definition, &self.state, self.now).is_some() {
            return Ok(Move::Fire);
        }
        if let Some(command) = outstanding(&self.state).first() {
            return Ok(self.well_done(*command));
        }
        if self.state.lease_until.is_some() && self.state.turn_back.is_none() {
            let unnoticed = self.state.steps.iter().position(|one| one.phase == Phase::Failed && !one.skipped_by_hand);
            let Some(step) = unnoticed else { return Ok(Move::Ask(Request::Commit)) };
            let step = self.definition.step(&self.state, step).name.clone();
            return Ok(Move::Ask(Request::Skip { step, output: Json::null(), reason: reason() }));
        }
        if let Some(word) = self.tell() {
            return Ok(word);
        }
        must!(next_timer(&self.definition, &self.state).is_some(), "the saga waits for no timer, command or request");
        Ok(Move::Fire)
    }

    fn well_done(&self, command: Command) -> Move {
        match command {
            Command::Decide { step } => Move::Decide(step, Verdict::Run),
            Command::Show { step } => Move::Show(step, true),
            Command::Execute { step, direction, generation, .. } => {
                let cursed = self.ledgers[step].records(direction).cursed == Some(generation);
                Move::End(step, direction, if cursed { Fate::Fails } else { Fate::Ok })
            }
            Command::Probe { step, direction, generation, .. } => {
                let found = self.found(step, direction, generation);
                Move::Answer(step, direction, if found { Seen::Applied } else { Seen::Absent })
            }
        }
    }

    /// Returns what a person does about a stuck step: resolve it with the truth, retry it or skip it. One of the
    /// verbs that help must be legal.
    fn unstick(&self) -> Result<Move, Fault> {
        let (step, direction, reason) = self.state.stuck().ok_or("nothing is stuck")?;
        let name = self.definition.step(&self.state, step).name.clone();
        let verbs = legal_verbs(&self.definition, &self.state, self.now);
        let resolve = self.truth(step, direction).map(|finding| Request::Resolve {
            step: name.clone(),
            finding,
            attempts: Some(self.state.steps[step].tally(direction).attempts),
            reason: "looked".to_owned(),
        });
        let hopeless = self
            .definition
            .planned(&self.state, step)
            .is_some_and(|planned| planned.needs.iter().any(|&need| self.state.steps[need].phase == Phase::Failed));
        // Under law 1 a definite failure gave the next attempt a new key, and a request cannot ask for one.
        let new_key = self.state.law > Law::V1 && self.ledgers[step].records(direction).cursed.is_some();
        let retry = Request::Retry { step: name.clone(), new_key, reason: String::new() };
        let skip = Request::Skip { step: name.clone(), output: Json::null(), reason: "hopeless".to_owned() };
        let resolvable = verbs.iter().any(|verb| verb.starts_with(&format!("resolve {name} absent")));
        must!(
            resolvable || verbs.contains(&format!("retry {name}")),
            "{name:?} is stuck ({}), and no legal verb helps: {verbs:?}",
            reason.as_str()
        );
        match resolve {
            Some(resolve) if resolvable => Ok(Move::Ask(resolve)),
            Some(_) | None if hopeless => Ok(Move::Ask(skip)),
            Some(_) | None => Ok(Move::Ask(retry)),
        }
    }

    /// Returns the request for which a step waits: an event, an approval, or the finding that an accepted call came
    /// to nothing.
    fn tell(&self) -> Option<Move> {
        let waits = |one: &StepState| {
            matches!(one.phase, Phase::Active { activity: Activity::Awaiting { .. } | Activity::Asking { .. }, .. })
        };
        if !self.state.steps.iter().any(waits) {
            return None;
        }
        let verbs = legal_verbs(&self.definition, &self.state, self.now);
        let told = self.requests().into_iter().find(|request| match request {
            Request::Provide { event, .. } => verbs.contains(&format!("provide {event}")),
            Request::Resolve { step, .. } => verbs.contains(&format!("resolve {step} absent")),
            Request::Approve { step, digest, .. } => {
                verbs.contains(&format!("approve {step}")) && *digest == question(step).digest
            }
            _ => false,
        });
        told.map(Move::Ask)
    }

    /// Checks the promise at an end: what the end says is true, and stays true whatever still lands.
    pub(super) fn of_end(&self) -> Result<(), Fault> {
        let end = match self.state.end() {
            None | Some(End::Abandoned) => return Ok(()),
            Some(end) => end,
        };
        let mut later = self.clone();
        for step in 0..later.ledgers.len() {
            for direction in [Direction::Action, Direction::Compensation] {
                while later.ledgers[step].records(direction).may_land() {
                    later.land_late(step, direction)?;
                }
            }
        }
        for (index, one) in self.state.steps.iter().enumerate() {
            let planned = self.definition.step(&self.state, index);
            let now = self.ledgers[index].in_place;
            let then = later.ledgers[index].in_place;
            let name = &planned.name;
            must!(now == then, "{name:?}: an effect landed after the saga ended as {end:?}");
            let reads = call_of(&self.definition, &self.state, index, Direction::Action)
                .is_none_or(|call| call.effect == Effect::ReadOnly);
            let expected = match end {
                End::Completed => u32::from(one.phase == Phase::Done && !one.skipped_by_hand && !reads),
                End::Compensated if planned.irreversible => now,
                End::Compensated | End::Abandoned => 0,
            };
            must!(now == expected, "{name:?}: expected {expected} effects at the end {end:?}, found {now}");
        }
        Ok(())
    }
}
