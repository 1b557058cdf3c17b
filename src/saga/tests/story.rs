//! Histories as text, and the `check` functions of the tables. Owns the words for events, states and commands. Graphs
//! are in `notation.rs`.
//!
//! A history is a list of events between `;`. An event happens at the time of the event before it; the first happens
//! at 0. `+N` lets N ms pass, `-N` sets the clock back by N ms.
//!
//! | event | meaning |
//! |---|---|
//! | `a ok`, `a fails`, `a refuses`, `a unknown`, `a pending` | the attempt in flight ends |
//! | `a errors` | the participant answers with an error |
//! | `a declines` | the participant refuses after a look at the key |
//! | `a renews` | the attempt fails, and would fail again under this key |
//! | `a ends` | the handler ended its transaction |
//! | `a fails@N`, `a pending@N` | the participant asks for a pause of N ms |
//! | `a applied`, `a absent`, `a inconclusive` | the probe in flight answers |
//! | `~a ok`, `~a applied`, ... | the same for the compensation |
//! | `a run`, `a leave`, `a breaks` | the condition is decided |
//! | `a shows`, `a blanks` | the question of an approval is on record, or cannot be rendered |
//! | `timer`, `early` | the next timer fires on time; a timer fires now, too early |
//! | `lost` | the owner died |
//! | `convicted` | the owner died; lone trials have convicted this saga |
//! | `handover a b` | the owner hands back the calls of these steps, which it has not begun |
//! | `refused` | a `resume` was refused, since the saga is not paused |
//! | `cancel`, `retry a`, `retry a newly`, `resolve a applied`, `append b<a`, ... | requests; `@N`: made at N |
//! | `resolve a absent #2` | the finding dates from when there were two attempts |
//! | `approve a`, `approve a another`, `deny a` | approves the question shown, approves another one, denies it |
//! | `approve a (starter)` | the same, by who may have started the saga |
//!
//! `?` before an event means that it must be refused. A state is `STATUS NAME:PHASE ... -> COMMANDS`, with the
//! commands of the last event. Steps that wait are left out.

use std::sync::Arc;

use super::invariants;
use super::notation::{Graph, StepSpec};
use crate::saga::command::Command;
use crate::saga::definition::Millis;
use crate::saga::event::{
    ApprovalShown, AttemptEnded, ConditionDecided, Decision, Direction, Event, Finding, OwnerLost, ProbeAnswered,
    Request, RequestRefused, Requested, Showing, Started, TimerFired, Withdrawn,
};
use crate::saga::outcome::{Answer, Error, Outcome, TRANSACTION_ENDED};
use crate::saga::state::{Activity, Phase, State, Undone};
use crate::saga::{Definition, Json, Shown, begin, next_timer, transition};

/// Runs a history and compares the state that it leads to.
#[track_caller]
pub(super) fn check(graph: &str, history: &str, expected: &str) {
    let story = Story::tell(graph, history);
    let found = story.to_string();
    assert!(
        found == expected,
        "\n  graph    {graph}\n  history  {history}\n  expected {expected}\n  found    {found}\n"
    );
}

/// Runs a history and expects this text in the refusal of its last event.
#[track_caller]
pub(super) fn check_refused(graph: &str, history: &str, because: &str) {
    let story = Story::tell(graph, history);
    assert!(
        story.refusal.contains(because),
        "\n  graph    {graph}\n  history  {history}\n  expected a refusal with {because:?}\n  found    {:?}\n",
        story.refusal
    );
}

/// A saga under test and its history.
pub(super) struct Story {
    pub(super) definition: Arc<Definition>,
    pub(super) state: State,
    pub(super) journal: Vec<Event>,
    pub(super) commands: Vec<Command>,
    pub(super) now: Millis,
    refusal: String,
}

impl Story {
    #[track_caller]
    pub(super) fn tell(graph: &str, history: &str) -> Self {
        let parsed = Graph::parse(graph);
        let definition = parsed.build().unwrap_or_else(|faults| panic!("{graph}: {faults:?}"));
        let started = Started { law: parsed.law(), ..Started::new(0, Json::null()) };
        let (state, commands) = begin(&definition, &started);
        let mut story = Self {
            definition,
            state,
            journal: vec![Event::Started(started)],
            commands,
            now: 0,
            refusal: String::new(),
        };
        for words in history.split(';').map(str::trim).filter(|words| !words.is_empty()) {
            story.tell_one(words);
        }
        invariants::of_journal(&story.definition, &story.journal, &story.state)
            .unwrap_or_else(|fault| panic!("{graph}: {history}: {fault}"));
        story
    }

    #[track_caller]
    fn tell_one(&mut self, words: &str) {
        if let Some(ms) = words.strip_prefix('+') {
            self.now += ms.parse::<Millis>().expect("a number of ms");
            return;
        }
        if let Some(ms) = words.strip_prefix('-') {
            self.now -= ms.parse::<Millis>().expect("a number of ms");
            return;
        }
        let (words, legal) = words.strip_prefix('?').map_or((words, true), |words| (words.trim(), false));
        let event = self.event(words);
        match transition(&self.definition, &self.state, &event) {
            Ok((state, commands)) => {
                assert!(legal, "{words:?} was not refused: {self}");
                invariants::of_transition(&self.definition, &self.state, &event, &state, &commands)
                    .unwrap_or_else(|fault| panic!("after {words:?}: {fault}: {self}"));
                (self.state, self.commands) = (state, commands);
                self.journal.push(event);
                self.refusal.clear();
            }
            Err(illegal) => {
                assert!(!legal, "{words:?} was refused: {illegal}: {self}");
                self.refusal = illegal.to_string();
            }
        }
    }

    fn event(&mut self, words: &str) -> Event {
        let parts: Vec<&str> = words.split_whitespace().collect();
        let at = self.now;
        match parts.as_slice() {
            ["timer"] => {
                let due = next_timer(&self.definition, &self.state).expect("a timer");
                self.now = self.now.max(due);
                Event::TimerFired(TimerFired { at: self.now })
            }
            ["early"] => Event::TimerFired(TimerFired { at }),
            ["lost"] => Event::OwnerLost(OwnerLost { at, jitter: 0.0, convicted: false }),
            ["convicted"] => Event::OwnerLost(OwnerLost { at, jitter: 0.0, convicted: true }),
            ["refused"] => {
                let (signal, by, verb, reason) = (self.state.signals_seen + 1, "ada", "resume", "not paused");
                let [by, verb, reason] = [by, verb, reason].map(str::to_owned);
                Event::RequestRefused(RequestRefused { at, signal, by, verb, reason })
            }
            ["handover", steps @ ..] => {
                let steps = steps.iter().map(|step| self.index(step)).collect();
                Event::Withdrawn(Withdrawn { at, steps })
            }
            [verb, ..] if !self.knows(verb) => {
                let made = parts.last().and_then(|last| last.strip_prefix('@'));
                let said = if made.is_some() { &parts[..parts.len() - 1] } else { &parts[..] };
                Event::Requested(Requested {
                    at,
                    asked_at: made.map(|ms| ms.parse().expect("a number of ms")),
                    signal: self.state.signals_seen + 1,
                    by: "ada".to_owned(),
                    by_starter: said.last() == Some(&"(starter)"),
                    request: request(said.strip_suffix(&["(starter)"]).unwrap_or(said)),
                })
            }
            [step, what] => self.step_event(step, what),
            other => panic!("expected an event of the table, found {other:?}"),
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.definition.index_of(&self.state, name.trim_start_matches('~')).is_some()
    }

    fn index(&self, name: &str) -> usize {
        self.definition.index_of(&self.state, name).unwrap_or_else(|| panic!("no step {name:?}"))
    }

    fn step_event(&self, name: &str, what: &str) -> Event {
        let (direction, name) = match name.strip_prefix('~') {
            Some(name) => (Direction::Compensation, name),
            None => (Direction::Action, name),
        };
        let (at, jitter, step) = (self.now, 0.0, self.index(name));
        let tally = self.state.steps[step].tally(direction);
        let (what, pause) = what.split_once('@').unwrap_or((what, ""));
        let retry_after_ms = pause.parse().ok();
        let error = Error::new(what, "told");
        let output = Json::parse("7").expect("JSON");
        let decided = |decision| Event::ConditionDecided(ConditionDecided { at, step, decision });
        let shown = |showing| Event::ApprovalShown(ApprovalShown { at, step, showing });
        let ended = |outcome| {
            let attempt = tally.attempts;
            Event::AttemptEnded(AttemptEnded { at, step, direction, attempt, outcome, decided_by: None, jitter })
        };
        let answered = |answer| {
            let probe = tally.probes;
            Event::ProbeAnswered(ProbeAnswered { at, step, direction, probe, answer, decided_by: None, jitter })
        };
        match what {
            "run" => decided(Decision::Run),
            "leave" => decided(Decision::Skip),
            "breaks" => decided(Decision::Failed(error)),
            "shows" => shown(Showing::Shown(question(name))),
            "blanks" => shown(Showing::Failed(error)),
            "ok" => ended(Outcome::Succeeded { output }),
            "fails" => ended(Outcome::retryable(error, retry_after_ms)),
            "ends" => ended(Outcome::unknown(Error::new(TRANSACTION_ENDED, "told"))),
            "refuses" => ended(Outcome::failed(error)),
            "errors" => ended(Outcome::Errored { error, retry_after_ms }),
            "declines" => ended(refused(error, false, true, false)),
            "renews" => ended(refused(error, true, false, true)),
            "pending" => ended(Outcome::Pending { retry_after_ms }),
            "unknown" => ended(Outcome::Unknown { error, retry_after_ms }),
            "applied" => answered(Answer::Applied { output }),
            "absent" => answered(Answer::Absent),
            "inconclusive" => answered(Answer::Inconclusive { error, retry_after_ms }),
            other => panic!("expected an event of the table, found {other:?}"),
        }
    }
}

fn refused(error: Error, retryable: bool, answers_key: bool, renew_key: bool) -> Outcome {
    Outcome::Failed { error, retryable, retry_after_ms: None, answers_key, renew_key }
}

/// Returns the question of an approval in the tests.
pub(super) fn question(step: &str) -> Shown {
    Shown::new(step, "may it?".to_owned(), Json::null())
}

fn request(parts: &[&str]) -> Request {
    let reason = || "told".to_owned();
    let output = Json::null;
    match parts {
        ["cancel"] => Request::Cancel { reason: reason() },
        ["pause"] => Request::Pause { reason: reason() },
        ["resume"] => Request::Resume { reason: reason() },
        ["abandon"] => Request::Abandon { reason: reason() },
        ["abandon", "silently"] => Request::Abandon { reason: " ".to_owned() },
        ["evict"] => Request::Evict { lane: 1, reason: reason() },
        ["evict", "silently"] => Request::Evict { lane: 1, reason: " ".to_owned() },
        ["commit"] => Request::Commit,
        ["abort"] => Request::Abort { reason: reason() },
        ["touch"] => Request::Touch,
        ["retry", step] => Request::Retry { step: (*step).to_owned(), new_key: false, reason: reason() },
        ["retry", step, "newly"] => Request::Retry { step: (*step).to_owned(), new_key: true, reason: reason() },
        ["skip", step] => Request::Skip { step: (*step).to_owned(), output: output(), reason: reason() },
        ["resolve", step, found, seen @ ..] => Request::Resolve {
            step: (*step).to_owned(),
            finding: match *found {
                "applied" => Finding::Applied { output: output() },
                "absent" => Finding::Absent,
                other => panic!("expected an event of the table, found {other:?}"),
            },
            attempts: seen.first().map(|seen| seen.strip_prefix('#').unwrap().parse().unwrap()),
            reason: reason(),
        },
        ["approve", step] => {
            Request::Approve { step: (*step).to_owned(), digest: question(step).digest, reason: reason() }
        }
        ["approve", step, other] => {
            let digest = Shown::new(step, (*other).to_owned(), output()).digest;
            Request::Approve { step: (*step).to_owned(), digest, reason: reason() }
        }
        ["deny", step] => Request::Deny { step: (*step).to_owned(), reason: reason() },
        ["provide", event] => Request::Provide { event: (*event).to_owned(), payload: output() },
        ["append", spec] => {
            let graph = Graph::parse(spec);
            let step = graph.steps.first().map(StepSpec::step).expect("a step");
            Request::Append { step: Box::new(step) }
        }
        other => panic!("expected an event of the table, found {other:?}"),
    }
}

impl std::fmt::Display for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&state_text(&self.definition, &self.state))?;
        let commands: Vec<String> =
            self.commands.iter().map(|command| command_text(&self.definition, &self.state, *command)).collect();
        if commands.is_empty() { Ok(()) } else { write!(f, " -> {}", commands.join(", ")) }
    }
}

/// Returns a state as one line: `compensating a:~attempting#1 b:failed`.
pub(super) fn state_text(definition: &Definition, state: &State) -> String {
    let mut text = state.status().to_string();
    for (index, one) in state.steps.iter().enumerate() {
        let word = match one.phase {
            Phase::Waiting => continue,
            Phase::Deciding => "deciding".to_owned(),
            Phase::Active { direction, activity } => {
                let tally = one.tally(direction);
                let (attempts, probes) = (tally.attempts, tally.probes);
                let word = match activity {
                    Activity::Attempting => format!("attempting#{attempts}"),
                    Activity::Probing => format!("probing#{probes}"),
                    Activity::BackingOff { until } => format!("backing_off@{until}"),
                    Activity::Settling { until } => format!("settling@{until}"),
                    Activity::Unresolved { until } => format!("unresolved@{until}"),
                    Activity::Awaiting { until: Some(until) } => format!("awaiting@{until}"),
                    Activity::Awaiting { until: None } => "awaiting".to_owned(),
                    Activity::Showing => "showing".to_owned(),
                    Activity::Asking { until: Some(until) } => format!("asking@{until}"),
                    Activity::Asking { until: None } => "asking".to_owned(),
                    Activity::Sleeping { until } => format!("sleeping@{until}"),
                };
                format!("{}{word}", mark(direction))
            }
            Phase::Skipped => "skipped".to_owned(),
            Phase::Done => "done".to_owned(),
            Phase::Failed => "failed".to_owned(),
            Phase::Undone(Undone::Compensated) => "undone".to_owned(),
            Phase::Undone(Undone::Nothing) => "nothing".to_owned(),
            Phase::Undone(Undone::LeftInPlace) => "left".to_owned(),
            Phase::Undone(Undone::ByHand) => "by_hand".to_owned(),
            Phase::Stuck { direction, reason } => format!("{}stuck({})", mark(direction), reason.as_str()),
        };
        text += &format!(" {}:{word}", definition.step(state, index).name);
    }
    text
}

/// Returns a command as text: `b#1`, `~b#2k1` (attempt 2 under the key of generation 1), `probe a#1`, `decide c`.
pub(super) fn command_text(definition: &Definition, state: &State, command: Command) -> String {
    let name = |step: usize| &*definition.step(state, step).name;
    let key = |generation: u32| if generation == 0 { String::new() } else { format!("k{generation}") };
    match command {
        Command::Decide { step } => format!("decide {}", name(step)),
        Command::Show { step } => format!("show {}", name(step)),
        Command::Execute { step, direction, attempt, generation } => {
            format!("{}{}#{attempt}{}", mark(direction), name(step), key(generation))
        }
        Command::Probe { step, direction, probe, generation } => {
            format!("probe {}{}#{probe}{}", mark(direction), name(step), key(generation))
        }
    }
}

pub(super) fn mark(direction: Direction) -> &'static str {
    match direction {
        Direction::Action => "",
        Direction::Compensation => "~",
    }
}
