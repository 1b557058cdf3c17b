//! Checks what must hold after every event, as far as the state itself can tell. What needs the truth about effects
//! is checked in `world.rs`.

use crate::saga::advance::{is_clear, limits};
use crate::saga::agenda::{Agenda, dependents_clear};
use crate::saga::command::Command;
use crate::saga::definition::{Action, Call, Effect, Kind};
use crate::saga::event::{
    ApprovalShown, AttemptEnded, ConditionDecided, Decision, Direction, Event, Finding, OwnerLost, ProbeAnswered,
    Request, Requested, Showing, Started, TimerFired, Withdrawn,
};
use crate::saga::outcome::{Answer, Error, Outcome};
use crate::saga::plan;
use crate::saga::state::{Activity, Course, End, Phase, State, Status, StepState, StuckReason};
use crate::saga::transition::transition_with;
use crate::saga::{Definition, Json, Law, legal_verbs, next_timer, outstanding, passed_deadline, replay, transition};

/// A property that does not hold, as a sentence.
pub(super) type Fault = String;

macro_rules! must {
    ($holds:expr, $($sentence:tt)+) => {
        if !$holds {
            return Err(format!($($sentence)+));
        }
    };
}
pub(super) use must;

/// Checks one transition.
pub(super) fn of_transition(
    definition: &Definition,
    old: &State,
    event: &Event,
    new: &State,
    commands: &[Command],
) -> Result<(), Fault> {
    must!(new.at >= old.at, "the saga's time went back from {} to {}", old.at, new.at);
    let every = transition_with(definition, old, event, |_, _, _| Agenda::Every);
    let same = every.is_ok_and(|(state, asked)| state == *new && asked == commands);
    must!(same, "a look at every step leads elsewhere");
    must!(new.steps.is_summed_up(), "the summaries of the steps are wrong");
    for step in 0..new.steps.len() {
        let clear = dependents_clear(definition, new, step);
        must!(clear == is_last(definition, new, step), "step {step} is found to be the last in place: {clear}");
    }
    of_commands(old, event, new, commands)?;
    of_approvals(definition, old, event, new)?;
    for command in commands {
        of_begun(definition, old, new, *command)?;
    }
    of_state(definition, new)?;
    let due = next_timer(definition, new);
    let handed_over = matches!(event, Event::Withdrawn(_));
    // Only its timer ends a wait, and requests that were made in time are heard before it.
    let heard_first = new.law >= Law::V2 && !matches!(event, Event::TimerFired(_));
    let waits = heard_first && passed_deadline(definition, new, new.at).is_some();
    must!(handed_over || waits || due.is_none_or(|due| due > new.at), "expected a timer in the future, found {due:?}");
    let late = limits(definition, new).into_iter().flatten().any(|limit| limit <= new.at);
    let forward = |command: &Command| {
        matches!(command, Command::Execute { direction: Direction::Action, .. } | Command::Decide { .. })
    };
    must!(!late || !commands.iter().any(forward) || matches!(event, Event::OwnerLost(_)), "something began too late");
    Ok(())
}

/// Returns whether no step that depends on this one is in place, by a look at every step.
fn is_last(definition: &Definition, state: &State, step: usize) -> bool {
    let needs = |index: usize| definition.planned(state, index).map_or(&[][..], |planned| &planned.needs);
    (0..state.steps.len())
        .filter(|&index| needs(index).contains(&step))
        .all(|index| is_clear(&state.steps[index].phase) && is_last(definition, state, index))
}

/// Checks approvals. Only a yes to the question that is in the journal completes an approval. A question never
/// changes while a person is asked.
fn of_approvals(definition: &Definition, old: &State, event: &Event, new: &State) -> Result<(), Fault> {
    for (index, (was, is)) in old.steps.iter().zip(new.steps.iter()).enumerate() {
        let planned = definition.step(new, index);
        if !matches!(planned.action, Action::Approval { .. }) {
            continue;
        }
        let asks = |one: &StepState| matches!(one.phase, Phase::Active { activity: Activity::Asking { .. }, .. });
        must!(!asks(is) || is.shown.is_some(), "{:?} asks without a recorded question", planned.name);
        must!(!(asks(was) && asks(is)) || was.shown == is.shown, "{:?} changed its question", planned.name);
        if is.phase == Phase::Done && was.phase != Phase::Done {
            let approved = match event {
                Event::Requested(Requested { request: Request::Approve { step, digest, .. }, .. }) => {
                    *step == planned.name && was.shown.as_ref().is_some_and(|shown| shown.digest == *digest)
                }
                _ => false,
            };
            must!(asks(was) && approved, "{:?} is done without an approval of its question", planned.name);
        }
    }
    Ok(())
}

/// Checks commands. The new commands are those that the new state asks for and the old one did not. No attempt in
/// flight is forgotten.
fn of_commands(old: &State, event: &Event, new: &State, commands: &[Command]) -> Result<(), Fault> {
    let (before, after) = (outstanding(old), outstanding(new));
    let lost = matches!(event, Event::OwnerLost(_));
    let expected: Vec<Command> = after.iter().filter(|command| lost || !before.contains(command)).copied().collect();
    must!(commands == expected, "expected the commands {expected:?}, found {commands:?}");
    if new.end().is_some() {
        return Ok(());
    }
    for command in before {
        let Command::Execute { step, .. } = command else { continue };
        let ended = match event {
            Event::AttemptEnded(event) => event.step == step,
            Event::Withdrawn(event) => event.steps.contains(&step),
            Event::OwnerLost(_) => true,
            _ => false,
        };
        must!(ended || after.contains(&command), "{command:?} is in flight and was forgotten");
    }
    Ok(())
}

/// Checks what must hold when a call begins.
fn of_begun(definition: &Definition, old: &State, new: &State, command: Command) -> Result<(), Fault> {
    let Command::Execute { step, direction, .. } = command else { return Ok(()) };
    let planned = definition.planned(new, step).expect("a step that begins exists");
    let phase = |index: usize| new.steps[index].phase;
    let call = call_of(definition, new, step, direction).expect("a call that begins is one that the step has");
    let in_doubt = new.steps[step].tally(direction).evidence().doubt_at.is_some();
    must!(call.effect != Effect::Once || !in_doubt, "a `once` call in doubt was sent again: {command:?}");
    must!(!new.paused, "{command:?} began while the saga is paused");
    let still_stuck = old.stuck().is_some() && old.stuck() == new.stuck();
    must!(!still_stuck, "{command:?} began while a step is stuck");
    match direction {
        Direction::Action => {
            must!(
                planned.needs.iter().all(|&need| matches!(phase(need), Phase::Done | Phase::Skipped)),
                "step {step} begins before its needs are met"
            );
        }
        Direction::Compensation => {
            for later in descendants(definition, new, step) {
                must!(is_gone(phase(later)), "step {step} is undone before the later step {later}");
            }
        }
    }
    Ok(())
}

/// Checks what must hold of every state.
pub(super) fn of_state(definition: &Definition, state: &State) -> Result<(), Fault> {
    of_status(state)?;
    for (index, one) in state.steps.iter().enumerate() {
        for direction in [Direction::Action, Direction::Compensation] {
            let tally = one.tally(direction);
            must!(
                tally.attempts_forgiven <= tally.attempts && tally.probes_forgiven <= tally.probes,
                "step {index} was forgiven more calls than it made: {tally:?}"
            );
        }
    }
    let undoing = state.steps.iter().position(|one| {
        matches!(
            one.phase,
            Phase::Undone(_)
                | Phase::Active { direction: Direction::Compensation, .. }
                | Phase::Stuck { direction: Direction::Compensation, .. }
        )
    });
    let passed = state.steps.iter().enumerate().find(|(index, one)| match definition.step(state, *index).kind {
        Kind::Compensable => false,
        Kind::Pivot => one.phase == Phase::Done,
        Kind::Retriable => one.action.attempts > 0,
    });
    if let (Some(undone), Some((pivot, _))) = (undoing, passed) {
        return Err(format!("step {undone} is undone although step {pivot} passed the point of no return"));
    }
    if let Some(end) = state.end() {
        return of_end(definition, state, end);
    }
    of_barriers(definition, state)?;
    let halted = state.paused || state.stuck().is_some();
    let told = state.steps.iter().any(|one| {
        let activity = match one.phase {
            Phase::Active { activity, .. } => Some(activity),
            _ => None,
        };
        matches!(activity, Some(Activity::Awaiting { .. } | Activity::Asking { .. }))
    });
    let moves = !outstanding(state).is_empty() || next_timer(definition, state).is_some();
    must!(halted || told || moves, "the saga waits for no timer, command or request");
    of_stuck(definition, state)
}

/// Checks that on the way forward no step begins or is done before the steps that its kind waits for.
fn of_barriers(definition: &Definition, state: &State) -> Result<(), Fault> {
    if state.course != Course::Forward {
        return Ok(());
    }
    let kind = |index: usize| definition.step(state, index).kind;
    for (later, one) in state.steps.iter().enumerate() {
        if !matches!(one.phase, Phase::Active { .. } | Phase::Done) {
            continue;
        }
        for (earlier, other) in state.steps.iter().enumerate() {
            let settled = matches!(other.phase, Phase::Done | Phase::Skipped)
                || other.phase == Phase::Failed && other.skipped_by_hand;
            let before = plan::waits_for(kind(later), kind(earlier));
            must!(!before || settled, "step {later} passed the barrier before step {earlier}");
        }
    }
    Ok(())
}

/// Checks that the status agrees with the rest of the state.
fn of_status(state: &State) -> Result<(), Fault> {
    let stuck = state.steps.iter().any(|one| matches!(one.phase, Phase::Stuck { .. }));
    let expected = match (&state.course, stuck, state.paused) {
        (Course::Ended(End::Completed), _, _) => Status::Completed,
        (Course::Ended(End::Compensated), _, _) => Status::Compensated,
        (Course::Ended(End::Abandoned), _, _) => Status::Abandoned,
        (Course::Forward | Course::Backward, true, _) => Status::Stuck,
        (Course::Forward | Course::Backward, false, true) => Status::Paused,
        (Course::Forward, false, false) => Status::Running,
        (Course::Backward, false, false) => Status::Compensating,
    };
    must!(state.status() == expected, "expected the status {expected}, found {}", state.status());
    must!(expected.is_end() == state.end().is_some(), "the status {expected} and the end disagree");
    Ok(())
}

/// Checks that an ended saga asks for nothing and accepts nothing.
fn of_end(definition: &Definition, state: &State, end: End) -> Result<(), Fault> {
    must!(outstanding(state).is_empty(), "an ended saga asks for {:?}", outstanding(state));
    must!(next_timer(definition, state).is_none(), "an ended saga waits for a timer");
    must!(legal_verbs(definition, state, state.at).is_empty(), "an ended saga takes requests");
    let timer = Event::TimerFired(TimerFired { at: state.at });
    must!(transition(definition, state, &timer).is_err(), "an ended saga goes on");
    for (index, one) in state.steps.iter().enumerate() {
        let whole = match end {
            End::Completed => match one.phase {
                Phase::Done | Phase::Skipped => true,
                Phase::Failed => one.skipped_by_hand,
                _ => false,
            },
            End::Compensated => is_gone(one.phase),
            End::Abandoned => true,
        };
        must!(whole, "the saga ended as {end:?} with step {index} {:?}", one.phase);
    }
    Ok(())
}

/// Checks that a step is stuck only when no declared means is left.
fn of_stuck(definition: &Definition, state: &State) -> Result<(), Fault> {
    let Some((step, direction, reason)) = state.stuck() else { return Ok(()) };
    let tally = state.steps[step].tally(direction);
    let Some(call) = call_of(definition, state, step, direction) else {
        must!(reason != StuckReason::InDoubt, "step {step} makes no call and is in doubt");
        return Ok(());
    };
    if reason != StuckReason::InDoubt {
        return Ok(());
    }
    must!(tally.evidence().doubt_at.is_some(), "step {step} is stuck in doubt without a doubt");
    let probes = call.probe.as_ref().map_or(0, |probe| probe.retry.attempts);
    must!(tally.probes - tally.probes_forgiven >= probes, "step {step} is stuck with probes left");
    let settled_at = tally.evidence().doubt_at.unwrap_or(0) + call.settle_ms;
    let asked = tally.evidence().probed_at.is_some_and(|asked_at| asked_at >= settled_at);
    must!(
        asked || call.probe.is_none() || state.law == Law::V1,
        "step {step} is stuck without a probe after its settle window"
    );
    let tried = tally.attempts - tally.attempts_forgiven >= call.retry.attempts;
    // A compensation of an action in doubt finds the effect by the action's key only.
    let acts_by_key = direction == Direction::Compensation && state.steps[step].action.evidence().doubt_at.is_some();
    let action = call_of(definition, state, step, Direction::Action).filter(|_| acts_by_key);
    let forgets = [Some(call), action].into_iter().flatten().any(|call| call.key_lifetime_ms.is_some());
    let limited = call.deadline_ms.is_some() || forgets;
    // A repeat after an error would meet the same error. An accepted call is carried out without a repeat. A handler
    // that ended its transaction gets no other transaction.
    let goes_on = direction == Direction::Compensation || definition.step(state, step).kind == Kind::Retriable;
    let barred =
        tally.evidence().pending || tally.evidence().errored && !goes_on || call.effect == Effect::Transactional;
    must!(
        call.effect == Effect::Once || tried || limited || barred,
        "step {step} is stuck in doubt although a repeat is safe"
    );
    Ok(())
}

/// Checks that the saga accepts exactly the operator's verbs that it offers.
pub(super) fn of_verbs(definition: &Definition, state: &State) -> Result<(), Fault> {
    let reason = || "test".to_owned();
    let mut all = vec![
        ("cancel".to_owned(), Request::Cancel { reason: reason() }),
        ("pause".to_owned(), Request::Pause { reason: reason() }),
        ("resume".to_owned(), Request::Resume { reason: reason() }),
        ("abandon".to_owned(), Request::Abandon { reason: reason() }),
    ];
    let resolve =
        |step: &String, finding| Request::Resolve { step: step.clone(), finding, attempts: None, reason: reason() };
    for index in 0..state.steps.len() {
        let planned = definition.step(state, index);
        let name = &planned.name;
        let output = Json::null;
        all.push((format!("retry {name}"), Request::Retry { step: name.clone(), new_key: false, reason: reason() }));
        let skip = Request::Skip { step: name.clone(), output: output(), reason: reason() };
        all.push((format!("skip {name}"), skip));
        let digest = state.steps[index].shown.as_ref().map_or_else(String::new, |shown| shown.digest.clone());
        let approve = |digest| Request::Approve { step: name.clone(), digest, reason: reason() };
        all.push((format!("approve {name}"), approve(digest)));
        all.push((format!("approve {name} another"), approve("another".to_owned())));
        all.push((format!("deny {name}"), Request::Deny { step: name.clone(), reason: reason() }));
        let applied = Finding::Applied { output: output() };
        all.push((format!("resolve {name} applied"), resolve(name, applied)));
        all.push((format!("resolve {name} absent"), resolve(name, Finding::Absent)));
        let mut events = vec![name.clone(), format!("{name}.compensation")];
        if let Action::Await { event, .. } = &planned.action {
            events.push(event.clone());
        }
        if state.lease_until.is_none() {
            all.extend(
                events
                    .into_iter()
                    .map(|event| (format!("provide {event}"), Request::Provide { event, payload: output() })),
            );
        }
    }
    let offered = legal_verbs(definition, state, state.at);
    for (verb, request) in all {
        let signal = state.signals_seen + 1;
        let event = Event::Requested(Requested {
            at: state.at,
            asked_at: None,
            signal,
            by: String::new(),
            by_starter: false,
            request,
        });
        let accepted = transition(definition, state, &event).is_ok();
        let word = if accepted { "accepted" } else { "refused" };
        must!(accepted == offered.contains(&verb), "{verb:?} is {word}; offered are {offered:?}");
    }
    Ok(())
}

/// Checks that the saga refuses answers that it did not ask for, timers that are not due, and the loss of an owner
/// with nothing in flight.
pub(super) fn of_strangers(definition: &Definition, state: &State) -> Result<(), Fault> {
    let (at, jitter) = (state.at, 0.0);
    let input = Json::null();
    let mut strangers = vec![Event::Started(Started::new(at, input))];
    let asked = outstanding(state);
    for step in 0..=state.steps.len() {
        if !asked.contains(&Command::Decide { step }) {
            let decision = Decision::Run;
            strangers.push(Event::ConditionDecided(ConditionDecided { at, step, decision }));
        }
        if !asked.contains(&Command::Show { step }) {
            let showing = Showing::Failed(Error::new("model", "told"));
            strangers.push(Event::ApprovalShown(ApprovalShown { at, step, showing }));
        }
        let begun = asked.iter().any(|command| match command {
            Command::Execute { step: found, .. } | Command::Probe { step: found, .. } => *found == step,
            Command::Decide { .. } | Command::Show { .. } => false,
        });
        if !begun {
            strangers.push(Event::Withdrawn(Withdrawn { at, steps: vec![step] }));
        }
        for direction in [Direction::Action, Direction::Compensation] {
            let tally = state.steps.get(step).unwrap_or(&StepState::WAITING).tally(direction);
            for number in [tally.attempts.wrapping_sub(1), tally.attempts, tally.attempts + 1] {
                let in_flight = asked.iter().any(|command| {
                    matches!(command, Command::Execute { step: found, direction: way, attempt, .. }
                        if (*found, *way, *attempt) == (step, direction, number))
                });
                let outcome = Outcome::Succeeded { output: Json::null() };
                let ended = AttemptEnded { at, step, direction, attempt: number, outcome, decided_by: None, jitter };
                strangers.extend((!in_flight).then_some(Event::AttemptEnded(ended)));
            }
            for number in [tally.probes.wrapping_sub(1), tally.probes, tally.probes + 1] {
                let in_flight = asked.iter().any(|command| {
                    matches!(command, Command::Probe { step: found, direction: way, probe, .. }
                        if (*found, *way, *probe) == (step, direction, number))
                });
                let answer = Answer::Absent;
                let answered = ProbeAnswered { at, step, direction, probe: number, answer, decided_by: None, jitter };
                strangers.extend((!in_flight).then_some(Event::ProbeAnswered(answered)));
            }
        }
    }
    if asked.is_empty() {
        strangers.push(Event::OwnerLost(OwnerLost { at, jitter, convicted: true }));
    }
    if next_timer(definition, state).is_none_or(|due| due > at) {
        strangers.push(Event::TimerFired(TimerFired { at }));
    }
    for event in strangers {
        must!(transition(definition, state, &event).is_err(), "{event:?} was accepted");
    }
    Ok(())
}

/// Checks that the journal, read back from its JSON, leads to the same state, and that it is bounded.
pub(super) fn of_journal(definition: &Definition, journal: &[Event], state: &State) -> Result<(), Fault> {
    let mut read = Vec::with_capacity(journal.len());
    for event in journal {
        let text = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let again: Event = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        must!(again == *event, "the event {event:?} came back from its JSON as {again:?}");
        read.push(again);
    }
    let replayed = replay(definition, &read).map_err(|illegal| format!("the journal is illegal: {illegal}"))?;
    must!(replayed == *state, "the journal leads to {replayed:?}, and the saga is {state:?}");
    let (rows, most) = (journal.len(), rows_max(definition, state, journal));
    must!(rows <= most, "the journal has {rows} rows, more than {most}");
    Ok(())
}

/// Returns the most rows that a journal can have. Without disturbances: one row for the start, one for the saga's
/// deadline and one for the driver's lease; for each step one for its condition, one for what it shows, one for its
/// own wait, and the rows of its calls. Each request, lost owner or handover repeats all of that at worst.
fn rows_max(definition: &Definition, state: &State, journal: &[Event]) -> usize {
    let calls = |step: usize| {
        [Direction::Action, Direction::Compensation]
            .iter()
            .filter_map(|direction| call_of(definition, state, step, *direction))
            .map(rows_of_call)
            .sum::<usize>()
    };
    let undisturbed = 3 + (0..state.steps.len()).map(|step| 3 + calls(step)).sum::<usize>();
    let disturbances = journal.iter().filter(|event| {
        matches!(event, Event::Requested(_) | Event::RequestRefused(_) | Event::OwnerLost(_) | Event::Withdrawn(_))
    });
    undisturbed * (1 + disturbances.count())
}

/// Returns the most rows of a call. Each of its `a` attempts ends and may wait: 2 rows. Each attempt may leave a
/// doubt of its own, with `p` probes, one more when absence proved nothing yet, and one more when the call was
/// pending: 2 rows for each probe. One more row when the compensation waits for the window.
fn rows_of_call(call: &Call) -> usize {
    let attempts = call.retry.attempts as usize;
    let probes = call.probe.as_ref().map_or(0, |probe| probe.retry.attempts as usize + 2);
    1 + 2 * attempts * (1 + probes)
}

/// Returns the call of a step in one direction.
pub(super) fn call_of<'a>(
    definition: &'a Definition,
    state: &'a State,
    step: usize,
    direction: Direction,
) -> Option<&'a Call> {
    let planned = definition.step(state, step);
    match (direction, &planned.action) {
        (Direction::Compensation, _) => planned.compensation.as_ref(),
        (Direction::Action, Action::Call(call)) => Some(call),
        (Direction::Action, Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. }) => None,
    }
}

/// Returns all steps that come after a step, directly or not.
pub(super) fn descendants(definition: &Definition, state: &State, step: usize) -> Vec<usize> {
    let mut found = vec![step];
    let mut next = 0;
    while let Some(&one) = found.get(next) {
        for later in 0..state.steps.len() {
            let needs = definition.planned(state, later).is_some_and(|planned| planned.needs.contains(&one));
            if needs && !found.contains(&later) {
                found.push(later);
            }
        }
        next += 1;
    }
    found.remove(0);
    found
}

fn is_gone(phase: Phase) -> bool {
    matches!(phase, Phase::Waiting | Phase::Skipped | Phase::Failed | Phase::Undone(_))
}
