//! Everything that can happen next to a saga in its world. Owns the moves: which are open, what each costs an
//! exploration, and how it reads. `world.rs` carries them out.

use super::notation::{Graph, StepSpec};
use super::story::{mark, question};
use super::world::World;
use crate::saga::command::Command;
use crate::saga::definition::{Effect, Kind, Millis};
use crate::saga::event::{Direction, Finding, Request};
use crate::saga::retry::forgotten;
use crate::saga::state::{Activity, Phase};
use crate::saga::{Json, Law, next_timer, outstanding};

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Move {
    /// A condition is decided.
    Decide(usize, Verdict),
    /// The question of an approval is rendered, or rendering fails.
    Show(usize, bool),
    /// The attempt in flight ends.
    End(usize, Direction, Fate),
    /// The probe in flight answers.
    Answer(usize, Direction, Seen),
    /// The next timer fires, on time or late.
    Fire,
    /// Time passes.
    Pass(Millis),
    /// Time passes until a late effect is about to miss its window, or just misses it.
    Elapse,
    /// A late effect lands.
    Land(usize, Direction),
    /// An accepted call comes to nothing.
    Drop(usize, Direction),
    /// The owner dies. The trace says what its attempts in flight did.
    Lose(Trace),
    /// The owner hands back every call that it has not begun.
    HandOver,
    /// A request is made.
    Ask(Request),
    /// A driver appends this step.
    Append(StepSpec),
}

/// The result of a condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Run,
    Leave,
    Break,
}

/// How an attempt ends, together with the truth about its effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    Ok,
    Fails,
    Refuses,
    /// Fails, and the participant repeats the error under this key for ever.
    Curses,
    /// Fails, and the definition says that the participant repeats the error under this key.
    Renews,
    /// Refuses after a look at the key: no attempt under the key has been carried out.
    Declines,
    /// Answers with an error, which may come after the effect.
    Errors(Trace),
    Unknown(Trace),
    /// The handler ended the transaction that should have recorded the attempt.
    Ends(Trace),
    Pending(Trace),
}

/// The truth about an attempt with an unknown effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trace {
    /// It had no effect.
    None,
    /// It had its effect.
    Landed,
    /// Its effect may land within the settle window.
    Flying,
}

/// The answer of a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    Applied,
    Absent,
    Nothing,
}

const TRACES: [Trace; 3] = [Trace::None, Trace::Landed, Trace::Flying];

impl World {
    /// Returns all open moves of the world, each with its cost: 0 if it goes well, 1 if it is a fault. Requests are
    /// in [`World::requests`].
    pub(super) fn moves(&self) -> Vec<(Move, u32)> {
        let mut moves = Vec::new();
        let commands = outstanding(&self.state);
        for command in &commands {
            match *command {
                Command::Decide { step } => {
                    let verdicts = [(Verdict::Run, 0), (Verdict::Leave, 0), (Verdict::Break, 1)];
                    moves.extend(verdicts.map(|(verdict, cost)| (Move::Decide(step, verdict), cost)));
                }
                Command::Show { step } => {
                    moves.extend([(Move::Show(step, true), 0), (Move::Show(step, false), 1)]);
                }
                Command::Execute { step, direction, generation, .. } => {
                    self.fates(&mut moves, step, direction, generation);
                }
                Command::Probe { step, direction, generation, .. } => {
                    let applied = self.ledgers[step].applied(direction, generation);
                    let records = self.ledgers[step].records(direction);
                    let probe = self.call(step, direction).probe.as_ref();
                    let sure = probe.is_some_and(|probe| probe.absent.is_some());
                    let mut answer = |seen, cost| moves.push((Move::Answer(step, direction, seen), cost));
                    if applied {
                        answer(Seen::Applied, 0);
                    }
                    // Without an `absent` of its own, a probe answers "absent" even if the effect is only not there
                    // yet.
                    let found = records.seen && self.found(step, direction, generation);
                    if !(found || sure && records.open) {
                        // Such an answer, and one about a forgotten key, gets the saga nowhere. So it costs a fault.
                        let tally = self.state.steps[step].tally(direction);
                        let old = forgotten(self.call(step, direction), tally, self.now);
                        answer(Seen::Absent, u32::from(tally.evidence().pending && !sure || old));
                    }
                    answer(Seen::Nothing, 1);
                }
            }
        }
        if next_timer(&self.definition, &self.state).is_some() {
            moves.push((Move::Fire, 0));
        }
        for (step, ledger) in self.ledgers.iter().enumerate() {
            for direction in [Direction::Action, Direction::Compensation] {
                if ledger.records(direction).may_land() {
                    moves.push((Move::Land(step, direction), 0));
                }
                if !ledger.records(direction).jobs.is_empty() {
                    moves.push((Move::Drop(step, direction), 0));
                }
            }
        }
        if self.ledgers.iter().any(|ledger| ledger.in_flight()) {
            moves.push((Move::Elapse, 0));
        }
        if !commands.is_empty() {
            moves.extend(TRACES.map(|trace| (Move::Lose(trace), 1)));
            let outside = |command: &Command| !matches!(command, Command::Decide { .. } | Command::Show { .. });
            if commands.iter().any(outside) {
                moves.push((Move::HandOver, 1));
            }
        }
        moves
    }

    fn fates(&self, moves: &mut Vec<(Move, u32)>, step: usize, direction: Direction, generation: u32) {
        let records = self.ledgers[step].records(direction);
        let call = self.call(step, direction);
        let cursed = records.cursed == Some(generation);
        let applied = self.ledgers[step].applied(direction, generation);
        let mut end = |fate, cost| moves.push((Move::End(step, direction, fate), cost));
        let newest = self.state.law == Law::NEWEST;
        if cursed {
            end(Fate::Fails, 0);
            if newest {
                end(Fate::Renews, 0);
            }
            end(Fate::Unknown(Trace::None), 1);
            return;
        }
        end(Fate::Ok, 0);
        end(Fate::Fails, 1);
        end(Fate::Refuses, 1);
        let flying = records.may_land();
        if call.effect == Effect::Idempotent && !applied && !flying {
            end(Fate::Curses, 1);
        }
        let looked_up_at = self.now.min(self.times_out_at(step, direction));
        let known = self.ledgers[step].remembers(call, direction, generation, looked_up_at);
        if call.effect == Effect::Idempotent && !known && newest {
            end(Fate::Declines, 1);
        }
        if call.effect == Effect::Transactional && newest {
            end(Fate::Ends(Trace::None), 1);
            end(Fate::Ends(Trace::Landed), 1);
        }
        for trace in TRACES {
            if trace == Trace::None || !call.effect.is_never_in_doubt() {
                end(Fate::Unknown(trace), 1);
                end(Fate::Pending(trace), 1);
                if newest {
                    end(Fate::Errors(trace), 1);
                }
            }
        }
    }

    /// Returns every request that operators and drivers could rightly make. No request claims `applied` or `absent`
    /// against the truth.
    pub(super) fn requests(&self) -> Vec<Request> {
        let reason = || "model".to_owned();
        let mut all = vec![
            Request::Cancel { reason: reason() },
            Request::Pause { reason: reason() },
            Request::Resume { reason: reason() },
            Request::Evict { lane: 1, reason: reason() },
        ];
        if self.definition.lease_ms().is_some() {
            all.extend([Request::Commit, Request::Abort { reason: reason() }, Request::Touch]);
        }
        for (index, one) in self.state.steps.iter().enumerate() {
            let step = self.definition.step(&self.state, index).name.clone();
            let retry = |new_key| Request::Retry { step: step.clone(), new_key, reason: reason() };
            all.extend([retry(false), retry(true)]);
            all.push(Request::Skip { step: step.clone(), output: Json::null(), reason: reason() });
            let direction = match one.phase {
                Phase::Active { direction, .. } | Phase::Stuck { direction, .. } => direction,
                _ => Direction::Action,
            };
            if let Some(finding) = self.truth(index, direction) {
                all.push(Request::Resolve { step: step.clone(), finding, attempts: None, reason: reason() });
            }
            all.extend(self.answers(index));
            all.extend(self.word(index).map(|event| Request::Provide { event, payload: Json::null() }));
        }
        all
    }

    /// Returns the possible answers to an approval: yes to the question shown, yes to another question, and no. They
    /// stay possible after a first answer.
    fn answers(&self, step: usize) -> Vec<Request> {
        use crate::saga::definition::Action;
        let planned = self.definition.step(&self.state, step);
        if !matches!(planned.action, Action::Approval { .. }) {
            return Vec::new();
        }
        let (name, reason) = (&planned.name, || "model".to_owned());
        let approve = |digest| Request::Approve { step: name.clone(), digest, reason: reason() };
        let deny = Request::Deny { step: name.clone(), reason: reason() };
        vec![approve(question(name).digest), approve("another".to_owned()), deny]
    }

    /// Returns what a person finds out about a call. None while something may still land.
    pub(super) fn truth(&self, step: usize, direction: Direction) -> Option<Finding> {
        let ledger = &self.ledgers[step];
        let generation = self.state.steps[step].tally(direction).generation;
        if ledger.applied(direction, generation) {
            return Some(Finding::Applied { output: Json::null() });
        }
        (!ledger.records(direction).may_land()).then_some(Finding::Absent)
    }

    /// Returns the event that may rightly be provided for a step: the event that it awaits, or the success of an
    /// accepted call that was carried out.
    fn word(&self, step: usize) -> Option<String> {
        use crate::saga::definition::Action;
        let planned = self.definition.step(&self.state, step);
        let one = &self.state.steps[step];
        if let Action::Await { event, .. } = &planned.action {
            return Some(event.clone());
        }
        let Phase::Active { direction, activity: Activity::Awaiting { .. } } = one.phase else { return None };
        let applied = self.ledgers[step].applied(direction, one.tally(direction).generation);
        match direction {
            Direction::Action => applied.then(|| planned.name.clone()),
            Direction::Compensation => applied.then(|| format!("{}.compensation", planned.name)),
        }
    }

    /// Returns a move as text.
    pub(super) fn describe(&self, one: &Move) -> String {
        let name = |step: usize| self.definition.step(&self.state, step).name.clone();
        match one {
            Move::Decide(step, Verdict::Run) => format!("{} run", name(*step)),
            Move::Decide(step, Verdict::Leave) => format!("{} leave", name(*step)),
            Move::Decide(step, Verdict::Break) => format!("{} breaks", name(*step)),
            Move::Show(step, true) => format!("{} shows", name(*step)),
            Move::Show(step, false) => format!("{} blanks", name(*step)),
            Move::End(step, direction, fate) => {
                let fate = match fate {
                    Fate::Ok => "ok",
                    Fate::Fails => "fails",
                    Fate::Refuses => "refuses",
                    Fate::Curses => "fails (and will under this key for ever)",
                    Fate::Renews => "fails (and says that it will under this key for ever)",
                    Fate::Declines => "declines (after a look at the key)",
                    Fate::Errors(Trace::None) => "errors (had no effect)",
                    Fate::Errors(Trace::Landed) => "errors (had its effect)",
                    Fate::Errors(Trace::Flying) => "errors (may land late)",
                    Fate::Ends(Trace::Landed) => "ends its transaction (had its effect)",
                    Fate::Ends(_) => "ends its transaction (had no effect)",
                    Fate::Unknown(Trace::None) => "unknown (had no effect)",
                    Fate::Unknown(Trace::Landed) => "unknown (had its effect)",
                    Fate::Unknown(Trace::Flying) => "unknown (may land late)",
                    Fate::Pending(Trace::None) => "pending (comes to nothing)",
                    Fate::Pending(Trace::Landed) => "pending (had its effect)",
                    Fate::Pending(Trace::Flying) => "pending (may land late)",
                };
                format!("{}{} {fate}", mark(*direction), name(*step))
            }
            Move::Answer(step, direction, seen) => {
                let seen = match seen {
                    Seen::Applied => "applied",
                    Seen::Absent => "absent",
                    Seen::Nothing => "inconclusive",
                };
                format!("{}{} {seen}", mark(*direction), name(*step))
            }
            Move::Fire => "timer".to_owned(),
            Move::Pass(ms) => format!("+{ms}"),
            Move::Elapse => "+... (a late effect's window)".to_owned(),
            Move::Land(step, direction) => format!("({}{} lands late)", mark(*direction), name(*step)),
            Move::Drop(step, direction) => format!("({}{} comes to nothing)", mark(*direction), name(*step)),
            Move::Lose(Trace::None) => "lost (what was in flight had no effect)".to_owned(),
            Move::Lose(Trace::Landed) => "lost (what was in flight had its effect)".to_owned(),
            Move::Lose(Trace::Flying) => "lost (what was in flight may land late)".to_owned(),
            Move::HandOver => "handover".to_owned(),
            Move::Ask(request) => ask_text(request),
            Move::Append(spec) => format!("append {spec}"),
        }
    }
}

fn ask_text(request: &Request) -> String {
    let verb = request.verb();
    assert!(Request::VERBS.contains(&verb), "{verb} is not in the list of verbs");
    match request {
        Request::Retry { step, new_key: true, .. } => format!("{verb} {step} newly"),
        Request::Retry { step, .. } | Request::Skip { step, .. } => format!("{verb} {step}"),
        Request::Approve { step, digest, .. } if *digest == question(step).digest => format!("{verb} {step}"),
        Request::Approve { step, .. } => format!("{verb} {step} another"),
        Request::Deny { step, .. } => format!("{verb} {step}"),
        Request::Resolve { step, finding: Finding::Applied { .. }, .. } => format!("{verb} {step} applied"),
        Request::Resolve { step, finding: Finding::Absent, .. } => format!("{verb} {step} absent"),
        Request::Provide { event, .. } => format!("{verb} {event}"),
        _ => verb.to_owned(),
    }
}

/// Makes any graph valid: every step after a pivot or a retriable step becomes retriable.
pub(super) fn put_in_order(graph: &mut Graph) {
    for index in 0..graph.steps.len() {
        let (before, rest) = graph.steps.split_at_mut(index);
        let after_pivot = rest[0]
            .needs
            .iter()
            .any(|need| before.iter().any(|step| step.name == *need && step.kind != Kind::Compensable));
        if after_pivot {
            rest[0].kind = Kind::Retriable;
        }
        rest[0].tidy();
    }
}
