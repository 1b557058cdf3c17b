//! Approvals. Owns the question as it was shown, who may not approve it, and the effect of an answer. A digest binds an
//! approval to the question that was shown, and the step accepts one answer only. Other rooms render and ask the
//! question, and tell whether the asker may be who started the saga.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::definition::{Action, Approver};
use super::event::{ApprovalShown, Direction, Requested, Showing};
use super::outcome::Error;
use super::state::{Activity, Phase, State};
use super::transition::IllegalEvent;
use super::transition_context::TransitionContext;
use super::{Definition, Json};

/// A question as it was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Text of the question.
    pub message: String,
    /// What the person approves.
    pub arguments: Json,
    /// SHA-256 over the step's name, the message and the arguments, in hexadecimal.
    pub digest: String,
}

impl Shown {
    /// Makes the question of a step, with its digest.
    pub fn new(step: &str, message: String, arguments: Json) -> Self {
        let mut hasher = Sha256::new();
        for part in [step, &message, arguments.get()] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        let digest = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { message, arguments, digest }
    }
}

/// A step that asks for an approval now.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking<'a> {
    /// Name of the step.
    pub step: &'a str,
    /// The question.
    pub shown: &'a Shown,
    /// Who may answer.
    pub approver: Approver,
}

/// Returns the steps that ask for an approval now, with their questions.
pub fn asking<'a>(definition: &'a Definition, state: &'a State) -> Vec<Asking<'a>> {
    let steps = state.steps.iter().enumerate();
    let asking = steps.filter_map(|(index, one)| {
        let Phase::Active { activity: Activity::Asking { .. }, .. } = one.phase else { return None };
        let step = definition.step(state, index);
        let Action::Approval { approver, .. } = step.action else { return None };
        Some(Asking { step: &step.name, shown: one.shown.as_ref()?, approver })
    });
    asking.collect()
}

/// Records the question, so that it may be asked. If it could not be rendered, the step fails without a question.
pub(super) fn shown(ctx: &mut TransitionContext<'_>, event: &ApprovalShown) -> Result<(), IllegalEvent> {
    let step = event.step;
    let showing = Phase::Active { direction: Direction::Action, activity: Activity::Showing };
    if ctx.state.steps.get(step).map(|one| &one.phase) != Some(&showing) {
        return Err(IllegalEvent::new(format!("step {step} is not rendering an approval")));
    }
    let at = ctx.at;
    let deadline_ms = match &ctx.definition.step(&ctx.state, step).action {
        Action::Approval { deadline_ms, .. } => *deadline_ms,
        Action::Call(_) | Action::Await { .. } | Action::Sleep { .. } => None,
    };
    let one = ctx.step_mut(step);
    one.action.lost = 0;
    match &event.showing {
        Showing::Shown(shown) => {
            one.shown = Some(Box::new(shown.clone()));
            let until = deadline_ms.map(|deadline| at.saturating_add(deadline));
            ctx.set(step, Direction::Action, Activity::Asking { until });
        }
        Showing::Failed(error) => {
            one.action.error = Some(Box::new(error.clone()));
            ctx.fail(step, Direction::Action);
        }
    }
    Ok(())
}

/// Applies the approval of a person. The digest must be that of the question, and the person another one than who
/// started the saga, unless the definition says otherwise.
pub(super) fn approve(
    ctx: &mut TransitionContext<'_>,
    step: usize,
    event: &Requested,
    digest: &str,
    reason: &str,
) -> Result<(), IllegalEvent> {
    let shown = asked(ctx, step)?;
    if event.by_starter && !takes_starter(ctx, step) {
        let (by, name) = (&event.by, &ctx.definition.step(&ctx.state, step).name);
        return Err(IllegalEvent::new(format!(
            "expected the approval of step {name:?} from another person than who started the saga, found {by}; approve \
             as another role, or let both the start and the approval name their person (--as)"
        )));
    }
    if shown != digest {
        let name = &ctx.definition.step(&ctx.state, step).name;
        return Err(IllegalEvent::new(format!(
            "expected digest {shown} for step {name:?}, found {digest:?}; look at what it shows, then approve that"
        )));
    }
    let output = Json::from(json!({ "approved_by": event.by, "reason": reason }));
    ctx.succeed(step, Direction::Action, output);
    Ok(())
}

/// Applies the denial of a person.
pub(super) fn deny(ctx: &mut TransitionContext<'_>, step: usize, by: &str, reason: &str) -> Result<(), IllegalEvent> {
    asked(ctx, step)?;
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    ctx.step_mut(step).action.error = Some(Box::new(Error::new("denied", format!("{by} denied it{why}"))));
    ctx.fail(step, Direction::Action);
    Ok(())
}

/// Returns whether who started the saga may approve the step.
fn takes_starter(ctx: &TransitionContext<'_>, step: usize) -> bool {
    match ctx.definition.step(&ctx.state, step).action {
        Action::Approval { approver, .. } => approver == Approver::Caller,
        Action::Call(_) | Action::Await { .. } | Action::Sleep { .. } => false,
    }
}

/// Returns the digest of the question that a step asks now.
fn asked(ctx: &TransitionContext<'_>, step: usize) -> Result<String, IllegalEvent> {
    let one = &ctx.state.steps[step];
    match (one.phase, &one.shown) {
        (Phase::Active { activity: Activity::Asking { .. }, .. }, Some(shown)) => Ok(shown.digest.clone()),
        (
            Phase::Active { .. }
            | Phase::Waiting
            | Phase::Deciding
            | Phase::Skipped
            | Phase::Done
            | Phase::Failed
            | Phase::Undone(_)
            | Phase::Stuck { .. },
            _,
        ) => {
            let name = &ctx.definition.step(&ctx.state, step).name;
            Err(IllegalEvent::new(format!("step {name:?} asks for no approval now")))
        }
    }
}
