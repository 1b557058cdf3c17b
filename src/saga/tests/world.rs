//! A saga in a world that knows the truth. Owns the clock and carries out moves. Checks the properties that need the
//! truth; `invariants.rs` checks those that need only the state. Participants are in `ledger.rs`, possible moves in
//! `moves.rs`.

use std::sync::Arc;

use super::invariants::{self, Fault, call_of, descendants, must};
use super::ledger::{Flight, Ledger};
use super::moves::{Fate, Move, Seen, Trace, Verdict};
use super::notation::asked_pause;
use super::story::question;
use crate::saga::command::Command;
use crate::saga::definition::{Call, Kind, Millis};
use crate::saga::event::{
    ApprovalShown, AttemptEnded, ConditionDecided, Decision, Direction, Event, OwnerLost, ProbeAnswered, Request,
    RequestRefused, Requested, Showing, Started, TimerFired, Withdrawn,
};
use crate::saga::outcome::{Answer, Error, Outcome, TRANSACTION_ENDED};
use crate::saga::state::{Phase, State};
use crate::saga::{Definition, Json, LOST_MAX, Law, begin, deaths_in_a_row, next_timer, outstanding, transition};

/// A saga, its participants and its clock.
#[derive(Clone)]
pub(super) struct World {
    pub(super) definition: Arc<Definition>,
    pub(super) state: State,
    pub(super) ledgers: Vec<Ledger>,
    pub(super) now: Millis,
    pub(super) journal: Vec<Event>,
    /// Whether the world keeps its journal. Explorations do not, since they can run a history again.
    pub(super) keeps: bool,
    /// Jitter of the next event, 0 to 1.
    pub(super) chance: f64,
}

impl World {
    pub(super) fn new(definition: &Arc<Definition>, law: Law, keeps: bool) -> Result<Self, Fault> {
        let started = Started { law, ..Started::new(0, Json::null()) };
        let (state, commands) = begin(definition, &started);
        let mut world = Self {
            definition: Arc::clone(definition),
            ledgers: vec![Ledger::default(); state.steps.len()],
            state,
            now: started.at,
            journal: if keeps { vec![Event::Started(started)] } else { Vec::new() },
            keeps,
            chance: 0.0,
        };
        world.dispatched(&commands)?;
        Ok(world)
    }

    /// Starts a saga that takes over outcomes of another, in the world that the other left behind. Steps that are
    /// done again have new keys, which no participant has seen.
    pub(super) fn rerun(old: &Self, started: Started) -> Result<Self, Fault> {
        let (state, commands) = begin(&old.definition, &started);
        invariants::of_state(&old.definition, &state)?;
        let ledger = |(index, one): (usize, &Ledger)| match state.steps[index].origin {
            Some(_) => one.taken_over(),
            None => Ledger::default(),
        };
        let ledgers = old.ledgers.iter().enumerate().map(ledger).collect();
        let journal = vec![Event::Started(started)];
        let mut world = Self { ledgers, state, journal, keeps: true, chance: 0.0, ..old.clone() };
        world.dispatched(&commands)?;
        Ok(world)
    }

    pub(super) fn call(&self, step: usize, direction: Direction) -> &Call {
        call_of(&self.definition, &self.state, step, direction).expect("a call that is in flight exists")
    }

    /// Carries out a move. A move that is not open does nothing, so any part of a history can be carried out.
    pub(super) fn apply(&mut self, one: &Move) -> Result<(), Fault> {
        match one {
            Move::Decide(step, verdict) => self.decide(*step, *verdict),
            Move::Show(step, rendered) => self.show(*step, *rendered),
            Move::End(step, direction, fate) => self.end(*step, *direction, *fate),
            Move::Answer(step, direction, seen) => self.answer(*step, *direction, *seen),
            Move::Fire => {
                let Some(due) = next_timer(&self.definition, &self.state) else { return Ok(()) };
                self.pass_to(self.now.max(due));
                self.happen(Event::TimerFired(TimerFired { at: self.now }))
            }
            Move::Pass(ms) => {
                self.pass_to(self.now + ms);
                Ok(())
            }
            Move::Elapse => {
                let Some(until) = self.ledgers.iter().filter_map(Ledger::expires_at).min() else {
                    return Ok(());
                };
                self.pass_to(if self.now + 1 < until { until - 1 } else { until });
                Ok(())
            }
            Move::Land(step, direction) => self.land_late(*step, *direction),
            Move::Drop(step, direction) => {
                let jobs = self.ledgers.get_mut(*step).map(|ledger| &mut ledger.records_mut(*direction).jobs);
                if let Some(jobs) = jobs {
                    jobs.pop();
                }
                Ok(())
            }
            Move::Lose(trace) => self.lose(*trace),
            Move::HandOver => self.hand_over(),
            Move::Ask(request) => self.ask(request.clone()),
            Move::Append(spec) => self.ask(Request::Append { step: Box::new(spec.step()) }),
        }
    }

    fn pass_to(&mut self, time: Millis) {
        self.now = time;
        self.ledgers.iter_mut().for_each(|ledger| ledger.expire(time));
    }

    /// Applies an event by the law, and checks everything that must hold afterwards.
    fn happen(&mut self, event: Event) -> Result<(), Fault> {
        let followed = transition(&self.definition, &self.state, &event)
            .map_err(|illegal| format!("{event:?} was refused: {illegal}"))?;
        self.follow(event, followed)
    }

    fn follow(&mut self, event: Event, (state, commands): (State, Vec<Command>)) -> Result<(), Fault> {
        invariants::of_transition(&self.definition, &self.state, &event, &state, &commands)?;
        self.state = state;
        if self.keeps {
            self.journal.push(event);
        }
        self.ledgers.resize(self.state.steps.len(), Ledger::default());
        self.dispatched(&commands)?;
        self.of_end()
    }

    /// Checks what must be true when commands are sent, and records them in the ledgers.
    fn dispatched(&mut self, commands: &[Command]) -> Result<(), Fault> {
        for command in commands {
            match *command {
                Command::Decide { .. } | Command::Show { .. } => {}
                Command::Execute { step, direction, .. } => {
                    if direction == Direction::Compensation {
                        self.of_compensation(step)?;
                    }
                    self.ledgers[step].records(direction).rested(self.now)?;
                    self.ledgers[step].records_mut(direction).begun_at = self.now;
                }
                Command::Probe { step, direction, generation, .. } => {
                    self.ledgers[step].records(direction).rested(self.now)?;
                    let seen = self.found(step, direction, generation);
                    let records = self.ledgers[step].records_mut(direction);
                    (records.seen, records.open) = (seen, !records.jobs.is_empty());
                }
            }
        }
        Ok(())
    }

    /// Returns the pause that the participant asks for. Called when the participant does not carry out a call, or
    /// does not say so.
    fn pause(&mut self, step: usize, direction: Direction) -> Option<Millis> {
        let pause_ms = asked_pause(self.call(step, direction))?;
        if self.state.law == Law::NEWEST {
            self.ledgers[step].records_mut(direction).quiet_until = self.now + pause_ms;
        }
        Some(pause_ms)
    }

    /// Checks a compensation that begins: its action had an effect or may have had one, all later steps are undone,
    /// and the point of no return is not passed.
    fn of_compensation(&self, step: usize) -> Result<(), Fault> {
        let planned = self.definition.step(&self.state, step);
        let ledger = &self.ledgers[step];
        let undoing = ledger.records(Direction::Compensation);
        let had = ledger.in_place > 0 || !undoing.landed.is_empty();
        must!(had || planned.safe_when_absent, "{:?} is undone without an effect", planned.name);
        let may_be = |index: usize| {
            let stays = self.definition.step(&self.state, index).irreversible;
            !stays && (self.ledgers[index].in_place > 0 || self.may_land(index))
        };
        for later in descendants(&self.definition, &self.state, step) {
            must!(!may_be(later), "{:?} is undone before the later step {later}", planned.name);
        }
        for index in 0..self.state.steps.len() {
            let pivot = self.definition.step(&self.state, index).kind != Kind::Compensable;
            must!(!pivot || !may_be(index), "{:?} is undone although step {index} passed the pivot", planned.name);
        }
        Ok(())
    }

    /// Whether an action without an answer may still have a new effect.
    pub(super) fn may_land(&self, step: usize) -> bool {
        let ledger = &self.ledgers[step];
        let mut landing = ledger.records(Direction::Action).landing();
        landing.any(|generation| !ledger.applied(Direction::Action, generation))
    }

    fn decide(&mut self, step: usize, verdict: Verdict) -> Result<(), Fault> {
        if !outstanding(&self.state).contains(&Command::Decide { step }) {
            return Ok(());
        }
        let decision = match verdict {
            Verdict::Run => Decision::Run,
            Verdict::Leave => Decision::Skip,
            Verdict::Break => Decision::Failed(Error::new("expression", "model")),
        };
        self.happen(Event::ConditionDecided(ConditionDecided { at: self.now, step, decision }))
    }

    fn show(&mut self, step: usize, rendered: bool) -> Result<(), Fault> {
        if !outstanding(&self.state).contains(&Command::Show { step }) {
            return Ok(());
        }
        let showing = match rendered {
            true => Showing::Shown(question(&self.definition.step(&self.state, step).name)),
            false => Showing::Failed(Error::new("expression", "model")),
        };
        self.happen(Event::ApprovalShown(ApprovalShown { at: self.now, step, showing }))
    }

    /// Returns the number and the generation of the attempt in flight.
    fn in_flight(&self, step: usize, direction: Direction) -> Option<(u32, u32)> {
        outstanding(&self.state).into_iter().find_map(|command| match command {
            Command::Execute { step: found, direction: way, attempt, generation } => {
                (found == step && way == direction).then_some((attempt, generation))
            }
            Command::Decide { .. } | Command::Show { .. } | Command::Probe { .. } => None,
        })
    }

    fn end(&mut self, step: usize, direction: Direction, fate: Fate) -> Result<(), Fault> {
        let Some((attempt, generation)) = self.in_flight(step, direction) else { return Ok(()) };
        let ended_at = self.now.min(self.times_out_at(step, direction));
        let error = Error::new("model", "told");
        let outcome = match fate {
            Fate::Ok => {
                self.land(step, direction, generation, ended_at)?;
                Outcome::Succeeded { output: Json::null() }
            }
            Fate::Fails => Outcome::retryable(error, self.pause(step, direction)),
            Fate::Refuses => Outcome::failed(error),
            Fate::Curses => {
                self.ledgers[step].records_mut(direction).cursed = Some(generation);
                Outcome::retryable(error, self.pause(step, direction))
            }
            Fate::Renews => Outcome::Failed {
                error,
                retryable: true,
                retry_after_ms: self.pause(step, direction),
                answers_key: false,
                renew_key: true,
            },
            Fate::Declines => {
                Outcome::Failed { error, retryable: false, retry_after_ms: None, answers_key: true, renew_key: false }
            }
            Fate::Errors(trace) => {
                self.trace(step, direction, generation, trace, ended_at)?;
                Outcome::Errored { error, retry_after_ms: self.pause(step, direction) }
            }
            Fate::Unknown(trace) => {
                self.trace(step, direction, generation, trace, ended_at)?;
                Outcome::Unknown { error, retry_after_ms: self.pause(step, direction) }
            }
            Fate::Ends(trace) => {
                if trace == Trace::Landed {
                    self.land(step, direction, generation, self.now)?;
                }
                Outcome::unknown(Error::new(TRANSACTION_ENDED, "told"))
            }
            Fate::Pending(Trace::Flying) if self.state.law == Law::NEWEST => {
                // The call lands at any time, or never. A call that was carried out under this key is not accepted
                // again.
                if !self.ledgers[step].applied(direction, generation) {
                    self.ledgers[step].records_mut(direction).jobs.push(generation);
                }
                Outcome::Pending { retry_after_ms: self.pause(step, direction) }
            }
            Fate::Pending(trace) => {
                self.trace(step, direction, generation, trace, ended_at)?;
                Outcome::Pending { retry_after_ms: self.pause(step, direction) }
            }
        };
        let (at, jitter) = (self.now, self.chance);
        self.happen(Event::AttemptEnded(AttemptEnded {
            at,
            step,
            direction,
            attempt,
            outcome,
            decided_by: None,
            jitter,
        }))
    }

    /// Records the truth about an attempt that ends by `ended_at` without an answer.
    fn trace(
        &mut self,
        step: usize,
        direction: Direction,
        generation: u32,
        trace: Trace,
        ended_at: Millis,
    ) -> Result<(), Fault> {
        let sure = self.call(step, direction).effect.is_never_in_doubt();
        match trace {
            Trace::None => Ok(()),
            Trace::Landed | Trace::Flying if sure => Ok(()),
            Trace::Landed => self.land(step, direction, generation, self.now.min(ended_at)),
            Trace::Flying => {
                let until = ended_at + self.call(step, direction).settle_ms;
                if self.now < until {
                    self.ledgers[step].records_mut(direction).flights.push(Flight { generation, until });
                }
                Ok(())
            }
        }
    }

    /// Returns when the process of the attempt in flight stops waiting for the answer.
    pub(super) fn times_out_at(&self, step: usize, direction: Direction) -> Millis {
        self.ledgers[step].records(direction).begun_at + self.call(step, direction).timeout_ms
    }

    fn land(&mut self, step: usize, direction: Direction, generation: u32, at: Millis) -> Result<(), Fault> {
        let planned = self.definition.step(&self.state, step);
        let call = call_of(&self.definition, &self.state, step, direction).expect("a call");
        let finds = direction == Direction::Action || self.compensation_finds(step, at);
        self.ledgers[step]
            .land(call, direction, generation, at, planned.safe_when_absent, finds)
            .map_err(|fault| format!("{}{}: {fault}", super::story::mark(direction), planned.name))
    }

    /// Whether a compensation finds the effect. It knows the answer of an action that is done, but only the key of an
    /// action in doubt. Law 1 trusts that it finds the effect for ever.
    fn compensation_finds(&self, step: usize, at: Millis) -> bool {
        let tally = &self.state.steps[step].action;
        let by_key = self.state.law >= Law::V2 && tally.evidence().doubt_at.is_some();
        let action = self.call(step, Direction::Action);
        !by_key || self.ledgers[step].remembers(action, Direction::Action, tally.generation, at)
    }

    pub(super) fn land_late(&mut self, step: usize, direction: Direction) -> Result<(), Fault> {
        let Some(ledger) = self.ledgers.get_mut(step) else { return Ok(()) };
        let Some(generation) = ledger.records_mut(direction).lands() else { return Ok(()) };
        self.land(step, direction, generation, self.now)
    }

    fn answer(&mut self, step: usize, direction: Direction, seen: Seen) -> Result<(), Fault> {
        let asked = outstanding(&self.state).into_iter().find_map(|command| match command {
            Command::Probe { step: found, direction: way, probe, generation } => {
                (found == step && way == direction).then_some((probe, generation))
            }
            Command::Decide { .. } | Command::Show { .. } | Command::Execute { .. } => None,
        });
        let Some((probe, generation)) = asked else { return Ok(()) };
        let ledger = &self.ledgers[step];
        let answer = match seen {
            Seen::Applied if ledger.applied(direction, generation) => Answer::Applied { output: Json::null() },
            // The participant may have looked it up at any time until now.
            Seen::Absent if !(ledger.records(direction).seen && self.found(step, direction, generation)) => {
                let probe = self.call(step, direction).probe.as_ref();
                let sure = probe.is_some_and(|probe| probe.absent.is_some());
                match sure && ledger.records(direction).open {
                    false => Answer::Absent,
                    true => self.tells_nothing(step, direction),
                }
            }
            Seen::Applied | Seen::Absent | Seen::Nothing => self.tells_nothing(step, direction),
        };
        let (at, jitter) = (self.now, self.chance);
        self.happen(Event::ProbeAnswered(ProbeAnswered {
            at,
            step,
            direction,
            probe,
            answer,
            decided_by: None,
            jitter,
        }))
    }

    /// Whether a look-up by the key finds the effect now. Law 1 trusts that it does for ever.
    pub(super) fn found(&self, step: usize, direction: Direction, generation: u32) -> bool {
        let ledger = &self.ledgers[step];
        match self.state.law {
            Law::V1 => ledger.applied(direction, generation),
            Law::V2 => ledger.remembers(self.call(step, direction), direction, generation, self.now),
        }
    }

    /// Returns the answer of a probe that cannot tell; its participant may ask for a pause.
    fn tells_nothing(&mut self, step: usize, direction: Direction) -> Answer {
        let retry_after_ms = self.pause(step, direction);
        Answer::Inconclusive { error: Error::new("model", "told"), retry_after_ms }
    }

    /// Gives up the owner. The owner may live on, cut off, until its attempts time out.
    fn lose(&mut self, trace: Trace) -> Result<(), Fault> {
        let commands = outstanding(&self.state);
        if commands.is_empty() {
            return Ok(());
        }
        for command in commands {
            let Command::Execute { step, direction, generation, .. } = command else { continue };
            let cursed = self.ledgers[step].records(direction).cursed == Some(generation);
            let ended_at = self.times_out_at(step, direction);
            let trace = if cursed { Trace::None } else { trace };
            self.trace(step, direction, generation, trace, ended_at)?;
        }
        // The worst case: the saga is convicted as early as possible.
        let convicted = deaths_in_a_row(&self.state) + 1 >= LOST_MAX;
        self.happen(Event::OwnerLost(OwnerLost { at: self.now, jitter: self.chance, convicted }))
    }

    fn hand_over(&mut self) -> Result<(), Fault> {
        let unbegun = |command| match command {
            Command::Decide { .. } | Command::Show { .. } => None,
            Command::Execute { step, .. } | Command::Probe { step, .. } => Some(step),
        };
        let steps: Vec<usize> = outstanding(&self.state).into_iter().filter_map(unbegun).collect();
        if steps.is_empty() {
            return Ok(());
        }
        self.happen(Event::Withdrawn(Withdrawn { at: self.now, steps }))
    }

    /// Returns a request as an event.
    pub(super) fn asked(&self, request: Request) -> Event {
        let (at, signal, by) = (self.now, self.state.signals_seen + 1, "ada".to_owned());
        Event::Requested(Requested { at, asked_at: None, signal, by, by_starter: false, request })
    }

    /// Makes a request. A refused request is recorded as such, as the runtime does.
    fn ask(&mut self, request: Request) -> Result<(), Fault> {
        if self.state.end().is_some() {
            return Ok(());
        }
        let event = self.asked(request.clone());
        match transition(&self.definition, &self.state, &event) {
            Ok(followed) => {
                self.done_by_hand(&request)?;
                self.hurried(&request);
                self.follow(event, followed)
            }
            Err(illegal) => {
                let (at, signal, by) = (self.now, self.state.signals_seen + 1, "ada".to_owned());
                let (verb, reason) = (request.verb().to_owned(), illegal.to_string());
                self.happen(Event::RequestRefused(RequestRefused { at, signal, by, verb, reason }))
            }
        }
    }

    /// Lifts the participant's pause after a retry: an operator's retry does not wait for it.
    fn hurried(&mut self, request: &Request) {
        let Request::Retry { step, .. } = request else { return };
        let step = self.definition.index_of(&self.state, step).expect("the step that was accepted exists");
        for direction in [Direction::Action, Direction::Compensation] {
            self.ledgers[step].records_mut(direction).quiet_until = 0;
        }
    }

    /// Records a skip. An operator who skips a compensation has undone the effect. An operator who skips an action
    /// must have found no effect of it.
    fn done_by_hand(&mut self, request: &Request) -> Result<(), Fault> {
        let Request::Skip { step: name, .. } = request else { return Ok(()) };
        let step = self.definition.index_of(&self.state, name).expect("the step that was accepted exists");
        let undone = matches!(self.state.steps[step].phase, Phase::Stuck { direction: Direction::Compensation, .. });
        let may_be = self.ledgers[step].in_place > 0 || self.may_land(step);
        must!(undone || !may_be, "{name:?} was skipped although it may have an effect");
        if undone {
            self.ledgers[step].in_place = 0;
            self.ledgers[step].by_hand = true;
        }
        Ok(())
    }
}
