//! Sentences for events and states.
//!
//! Leaves the order to `timeline.rs` and the layout to `render.rs`.

use crate::cli::output::Tone;
use crate::cli::time::span;
use crate::participant::DefaultRule;
use crate::saga::definition::{Action, Millis};
use crate::saga::event::{AttemptEnded, Decision, Direction, Event, Finding, Request, Showing};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use crate::saga::rerun::Rerun;
use crate::saga::state::{Activity, End, Phase, State, StepState, StuckReason, TurnBack, Undone};
use crate::saga::{Definition, Law};

/// Text of one event.
pub(super) struct Said {
    /// Index of the step of the event.
    pub(super) step: Option<usize>,
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) error: Option<Error>,
}

impl Said {
    fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { step: None, text: text.into(), tone, error: None }
    }

    fn about(self, step: usize) -> Self {
        Self { step: Some(step), ..self }
    }

    fn by(self, by: Option<&DecidedBy>) -> Self {
        let Some(DecidedBy { rule, status }) = by else { return self };
        let status = status.map(|status| format!(", HTTP {status}")).unwrap_or_default();
        Self { text: format!("{} (by {rule}{status})", self.text), ..self }
    }

    fn because(self, error: &Error) -> Self {
        Self { error: Some(error.clone()), ..self }
    }
}

/// Describes an event. `before` is the state before the event; `by` is the rule that decided the outcome of a call.
pub(super) fn event(definition: &Definition, before: &State, event: &Event, by: Option<&DecidedBy>) -> Said {
    match event {
        Event::Started(event) => match &event.rerun {
            None => match (&event.by, &event.claims) {
                (None, _) => Said::new("started", Tone::Plain),
                (Some(by), None) => Said::new(format!("started (asked by {by})"), Tone::Plain),
                (Some(by), Some(claims)) => Said::new(format!("started (asked by {by}, claims {claims})"), Tone::Plain),
            },
            Some(rerun) => {
                let Rerun { of, from, by, reason, .. } = &**rerun;
                let text = format!("started, goes on from {from} of saga {of}: {reason} (asked by {by})");
                Said::new(text, Tone::Warning)
            }
        },
        Event::ConditionDecided(event) => decided(&event.decision).about(event.step),
        Event::ApprovalShown(event) => showed(&event.showing).about(event.step),
        Event::AttemptEnded(event) => attempted(event).by(by).about(event.step),
        Event::ProbeAnswered(event) => probed(event.direction, event.probe, &event.answer).by(by).about(event.step),
        Event::TimerFired(_) => Said::new("woken by a timer", Tone::Quiet),
        Event::OwnerLost(event) => {
            let (lost, died) = (under_way(definition, before).join(", "), DefaultRule::ProcessDied.word());
            let lost = match (lost.is_empty(), event.convicted) {
                (true, _) => "nothing was under way".to_owned(),
                (false, false) => format!("lost: {lost} (by {died})"),
                (false, true) => format!("lost in every lone trial: {lost} (by {died})"),
            };
            Said::new(format!("taken over from a node that died; {lost}"), Tone::Warning)
        }
        Event::Withdrawn(_) => Said::new("what had not begun was taken back; nothing was sent", Tone::Quiet),
        Event::Requested(event) => {
            let (step, text) = request(definition, before, &event.request);
            let said = Said::new(format!("{text} (asked by {})", event.by), Tone::Warning);
            Said { step, ..said }
        }
        Event::RequestRefused(event) => {
            let text = format!("{} by {} was refused: {}", event.verb, event.by, event.reason);
            Said::new(text, Tone::Quiet)
        }
    }
}

fn decided(decision: &Decision) -> Said {
    match decision {
        Decision::Run => Said::new("`when` is true", Tone::Quiet),
        Decision::Skip => Said::new("skipped: `when` is false", Tone::Quiet),
        Decision::Failed(error) => Said::new("`when` failed, before any call", Tone::Bad).because(error),
    }
}

fn showed(showing: &Showing) -> Said {
    match showing {
        Showing::Shown(shown) => {
            let text = format!("asks: {}\n  {}\n  digest {}", shown.message, shown.arguments.get(), shown.digest);
            Said::new(text, Tone::Warning)
        }
        Showing::Failed(error) => {
            Said::new("what is to be approved cannot be shown; no approver was asked", Tone::Bad).because(error)
        }
    }
}

/// Returns the prefix for a direction at the start of a sentence.
fn call(direction: Direction) -> &'static str {
    match direction {
        Direction::Action => "",
        Direction::Compensation => "compensation ",
    }
}

fn attempted(event: &AttemptEnded) -> Said {
    let what = format!("{}attempt {}", call(event.direction), event.attempt);
    ended(&what, &event.outcome)
}

fn ended(what: &str, outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Succeeded { .. } => Said::new(format!("{what} succeeded"), Tone::Good),
        Outcome::Failed { error, retryable: true, .. } => {
            let text = format!("{what} failed without effect of its own, may be repeated");
            Said::new(text, Tone::Warning).because(error)
        }
        Outcome::Failed { error, retryable: false, .. } => {
            Said::new(format!("{what} failed without effect of its own"), Tone::Bad).because(error)
        }
        Outcome::Pending { .. } => Said::new(format!("{what} was accepted, effect pending"), Tone::Plain),
        Outcome::Errored { error, .. } => {
            Said::new(format!("{what} was answered with an error, effect unknown"), Tone::Warning).because(error)
        }
        Outcome::Unknown { error, .. } => {
            Said::new(format!("{what} ended, effect unknown"), Tone::Warning).because(error)
        }
    }
}

fn probed(direction: Direction, probe: u32, answer: &Answer) -> Said {
    let what = format!("{}probe {probe}", call(direction));
    match answer {
        Answer::Applied { .. } => Said::new(format!("{what} found the effect in place"), Tone::Good),
        Answer::Absent => Said::new(format!("{what} found no effect"), Tone::Plain),
        Answer::Inconclusive { error, .. } => Said::new(format!("{what} could not tell"), Tone::Warning).because(error),
    }
}

fn request(definition: &Definition, state: &State, request: &Request) -> (Option<usize>, String) {
    let index = |name: &str| definition.index_of(state, name);
    let why = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match request {
        Request::Cancel { reason } => (None, format!("cancel{}", why(reason))),
        Request::Retry { step, new_key, reason } => {
            let key = if *new_key { " under a new key" } else { "" };
            (index(step), format!("retry{key}{}", why(reason)))
        }
        Request::Skip { step, reason, .. } => (index(step), format!("skip{}", why(reason))),
        Request::Resolve { step, finding, reason, .. } => {
            let found = match finding {
                Finding::Applied { .. } => "applied",
                Finding::Absent => "absent",
            };
            (index(step), format!("resolve as {found}{}", why(reason)))
        }
        Request::Pause { reason } => (None, format!("pause{}", why(reason))),
        Request::Resume { reason } => (None, format!("resume{}", why(reason))),
        Request::Abandon { reason } => (None, format!("abandon{}", why(reason))),
        Request::Evict { reason, .. } => (None, format!("evict{}", why(reason))),
        Request::Append { step } => (None, format!("append step {}", step.name)),
        Request::Commit => (None, "commit".to_owned()),
        Request::Abort { reason } => (None, format!("abort{}", why(reason))),
        Request::Touch => (None, "driver is alive".to_owned()),
        Request::Approve { step, reason, .. } => (index(step), format!("approve{}", why(reason))),
        Request::Deny { step, reason } => (index(step), format!("deny{}", why(reason))),
        Request::Provide { event, .. } => (None, format!("provide event {event}")),
    }
}

/// Describes the consequences of an event. `about` is the step of the event; its own end is not repeated.
pub(super) fn consequences(
    definition: &Definition,
    before: &State,
    after: &State,
    at: Millis,
    about: Option<usize>,
) -> Vec<String> {
    let mut said = Vec::new();
    for (index, step) in after.steps.iter().enumerate() {
        if before.steps.get(index).is_some_and(|old| old.phase == step.phase) {
            continue;
        }
        let by_itself = match step.phase {
            Phase::Done if about != Some(index) => Some("done".to_owned()),
            Phase::Skipped if about != Some(index) => Some("skipped".to_owned()),
            _ => None,
        };
        if let Some(text) = by_itself.or_else(|| consequence(definition, before, after, index, at)) {
            said.push(format!("{}: {text}", name(definition, after, index)));
        }
    }
    if before.turn_back.is_none()
        && let Some(why) = &after.turn_back
    {
        said.push(format!("the saga turns back: {}", turn_back(definition, after, why)));
    }
    if let (None, Some(end)) = (before.end(), after.end()) {
        said.push(match end {
            End::Completed => "the saga is completed".to_owned(),
            End::Compensated => "the saga is compensated: no net effect".to_owned(),
            End::Abandoned => "the saga is abandoned, as it is".to_owned(),
        });
    }
    said
}

fn consequence(definition: &Definition, before: &State, state: &State, index: usize, at: Millis) -> Option<String> {
    let doubt = |direction| {
        let in_doubt = |state: &State| {
            state.steps.get(index).is_some_and(|step| step.tally(direction).evidence().doubt_at.is_some())
        };
        if in_doubt(before) && in_doubt(state) { "the doubt about an earlier attempt stays; " } else { "" }
    };
    let in_time = |until: Millis| span(until.saturating_sub(at));
    match &state.steps[index].phase {
        Phase::Active { direction, activity } => match activity {
            Activity::Attempting | Activity::Probing | Activity::Showing => None,
            Activity::Asking { until } => {
                let limit = until.map(|until| format!(" for {} at most", in_time(until)));
                Some(format!("waits for an approval{}", limit.unwrap_or_default()))
            }
            Activity::BackingOff { until } => {
                let (doubt, call) = (doubt(*direction), call(*direction));
                Some(format!("{doubt}next {call}attempt in {}", in_time(*until)))
            }
            Activity::Settling { until } if *until > at => {
                let (doubt, call) = (doubt(*direction), call(*direction));
                Some(format!("{doubt}next {call}probe in {}", in_time(*until)))
            }
            Activity::Settling { .. } => None,
            Activity::Unresolved { .. } => Some("left open, its compensation is safe either way".to_owned()),
            Activity::Awaiting { until } => {
                let limit = until.map(|until| format!(" for {} at most", in_time(until)));
                let event = awaited(definition, state, index);
                Some(format!("waits for event {event}{}", limit.unwrap_or_default()))
            }
            Activity::Sleeping { until } => Some(format!("sleeps for {}", in_time(*until))),
        },
        Phase::Stuck { direction, reason } => Some(stuck(state, index, *direction, *reason)),
        Phase::Failed => Some("failed for good".to_owned()),
        Phase::Undone(Undone::LeftInPlace) => Some("its effect stays, it is irreversible".to_owned()),
        Phase::Undone(Undone::ByHand) => Some("undone by hand".to_owned()),
        Phase::Undone(Undone::Compensated | Undone::Nothing)
        | Phase::Waiting
        | Phase::Deciding
        | Phase::Skipped
        | Phase::Done => None,
    }
}

/// Describes why a step is stuck.
fn stuck(state: &State, index: usize, direction: Direction, reason: StuckReason) -> String {
    let what = match direction {
        Direction::Action => "the action",
        Direction::Compensation => "the compensation",
    };
    match reason {
        StuckReason::InDoubt => {
            format!("stuck: nobody knows whether {what} took effect, and no declared means is left to find out")
        }
        StuckReason::Failed => {
            let retry = match state.law {
                // The participant has received no key.
                _ if state.steps[index].tally(direction).attempts == 0 => "",
                Law::V1 => "; a retry takes a new key",
                Law::V2 => {
                    "; a retry keeps the key, under which the participant may repeat a saved refusal (--new-key takes \
                     another)"
                }
            };
            format!("stuck: {what} failed for good where the saga cannot turn back{retry}")
        }
        StuckReason::ProcessDied => format!("stuck: the process died too often during {what}"),
    }
}

fn turn_back(definition: &Definition, state: &State, why: &TurnBack) -> String {
    match why {
        TurnBack::StepFailed { step, error } => {
            format!("step {} failed ({error})", name(definition, state, *step))
        }
        TurnBack::Asked { by, reason } => format!("asked by {by}: {reason}"),
        TurnBack::Deadline => "its deadline passed".to_owned(),
        TurnBack::DriverLost => "its driver was not heard from in time".to_owned(),
    }
}

/// Describes the state of a step after the last event.
pub(super) fn phase(definition: &Definition, state: &State, index: usize) -> (String, Tone) {
    let step = &state.steps[index];
    match &step.phase {
        Phase::Waiting => ("waiting".to_owned(), Tone::Quiet),
        Phase::Deciding => ("evaluating `when`".to_owned(), Tone::Plain),
        Phase::Active { direction, activity } => {
            (activity_words(definition, state, index, *direction, *activity), Tone::Plain)
        }
        Phase::Skipped => ("skipped".to_owned(), Tone::Quiet),
        Phase::Done if step.skipped_by_hand => ("done by hand".to_owned(), Tone::Good),
        Phase::Done => ("done".to_owned(), Tone::Good),
        Phase::Failed => ("failed, no effect".to_owned(), Tone::Bad),
        Phase::Undone(Undone::Compensated) => ("compensated".to_owned(), Tone::Plain),
        Phase::Undone(Undone::Nothing) => ("nothing to undo".to_owned(), Tone::Quiet),
        Phase::Undone(Undone::LeftInPlace) => ("left in place".to_owned(), Tone::Warning),
        Phase::Undone(Undone::ByHand) => ("undone by hand".to_owned(), Tone::Plain),
        Phase::Stuck { direction, reason } => (stuck(state, index, *direction, *reason), Tone::Bad),
    }
}

fn activity_words(
    definition: &Definition,
    state: &State,
    index: usize,
    direction: Direction,
    activity: Activity,
) -> String {
    let tally = state.steps[index].tally(direction);
    let call = call(direction);
    match activity {
        Activity::Attempting => format!("{call}attempt {} under way", tally.attempts),
        Activity::BackingOff { .. } => format!("waiting for {call}attempt {}", tally.attempts + 1),
        Activity::Probing => format!("in doubt, {call}probe {} under way", tally.probes),
        Activity::Settling { .. } => format!("in doubt, waiting for {call}probe {}", tally.probes + 1),
        Activity::Unresolved { .. } => "in doubt, left open".to_owned(),
        Activity::Awaiting { .. } => format!("waiting for event {}", awaited(definition, state, index)),
        Activity::Showing | Activity::Asking { .. } => match &state.steps[index].shown {
            Some(shown) => format!("waiting for approval of {}", shown.digest),
            None => "about to ask for approval".to_owned(),
        },
        Activity::Sleeping { .. } => "sleeping".to_owned(),
    }
}

/// Returns the name of the event that a step waits for.
fn awaited(definition: &Definition, state: &State, index: usize) -> String {
    match &definition.step(state, index).action {
        Action::Await { event, .. } => event.clone(),
        Action::Call(_) | Action::Sleep { .. } | Action::Approval { .. } => name(definition, state, index),
    }
}

/// Lists the calls in progress.
pub(super) fn under_way(definition: &Definition, state: &State) -> Vec<String> {
    let words = |(index, step): (usize, &StepState)| match &step.phase {
        Phase::Active { direction, activity: activity @ (Activity::Attempting | Activity::Probing) } => {
            let tally = step.tally(*direction);
            let (what, number) = match activity {
                Activity::Probing => ("probe", tally.probes),
                _ => ("attempt", tally.attempts),
            };
            Some(format!("{}{what} {number} of {}", call(*direction), name(definition, state, index)))
        }
        _ => None,
    };
    state.steps.iter().enumerate().filter_map(words).collect()
}

/// Returns the name of a step, or its index if the definition does not have it.
pub(super) fn name(definition: &Definition, state: &State, index: usize) -> String {
    definition.planned(state, index).map_or_else(|| format!("#{index}"), |planned| planned.step.name.clone())
}
