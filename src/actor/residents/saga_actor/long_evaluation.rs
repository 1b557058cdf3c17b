//! Evaluations that would hold up the other sagas of the actor's thread: they run on a thread of their own, and the
//! saga waits for them. An evaluation has no effect, so one that is lost is made again by the next owner.

use actix::prelude::*;

use super::super::journal_row;
use super::super::messages::{EventOccurred, ExitReason};
use super::super::start_check::Refusal;
use super::SagaActor;
use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::evaluation::shortly;
use crate::saga::Json;
use crate::saga::event::Event;
use crate::saga::state::{End, State};

/// The output of a saga that is about to complete.
#[derive(Default)]
pub(super) enum Output {
    #[default]
    Unknown,
    /// Another thread renders it; nothing is decided meanwhile.
    UnderWay,
    /// It was rendered for the row after this one.
    Known(i32, Json),
}

impl Output {
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self, Self::UnderWay)
    }

    /// Takes the output out for the row after `seq`.
    pub(super) fn take(&mut self, seq: i32) -> Option<Json> {
        match std::mem::take(self) {
            Self::Known(of, output) if of == seq => Some(output),
            Self::Known(..) | Self::Unknown | Self::UnderWay => None,
        }
    }
}

impl SagaActor {
    /// Makes an evaluation on another thread, and decides its event then.
    pub(super) fn evaluate(&mut self, evaluation: Box<dyn FnOnce() -> Event + Send>, ctx: &mut Context<Self>) {
        self.run_aside(evaluation, ctx, |act, event| act.events.push_back(EventOccurred::from(event)));
    }

    /// Whether the output of this next state is known, or there is none to render. Otherwise begins to render it.
    pub(super) fn has_output(&mut self, next: &State, ctx: &mut Context<Self>) -> bool {
        let renders = next.end() == Some(End::Completed) && self.pinned.definition.draft().output.is_some();
        let seq = self.seq;
        if !renders || matches!(&self.output, Output::Known(of, _) if *of == seq) {
            return true;
        }
        let saga = self.id;
        if let Some(output) = shortly(|| journal_row::output(saga, &self.pinned.definition, next)) {
            self.output = Output::Known(seq, output);
            return true;
        }
        let (pinned, next) = (self.pinned.clone(), next.clone());
        self.output = Output::UnderWay;
        let rendering = move || journal_row::output(saga, &pinned.definition, &next);
        self.run_aside(rendering, ctx, move |act, output| act.output = Output::Known(seq, output));
        false
    }

    /// Checks whether the saga may begin, and goes on with the result. A check that takes long is made on another
    /// thread; the actor does nothing else meanwhile.
    pub(super) fn check_start(
        &mut self,
        check: fn(&Pinned, &Node, &State, i32) -> Refusal,
        ctx: &mut Context<Self>,
        then: fn(&mut Self, Refusal, &mut Context<Self>),
    ) {
        if let Some(refusal) = shortly(|| check(&self.pinned, &self.node, &self.state, self.seq)) {
            return then(self, refusal, ctx);
        }
        let (pinned, node, state, seq) = (self.pinned.clone(), self.node.clone(), self.state.clone(), self.seq);
        ctx.wait(self.aside(move || check(&pinned, &node, &state, seq), then));
    }

    /// Makes an evaluation on another thread, takes its result, and decides what follows.
    fn run_aside<T: Send + 'static>(
        &self,
        evaluation: impl FnOnce() -> T + Send + 'static,
        ctx: &mut Context<Self>,
        take: impl FnOnce(&mut Self, T) + 'static,
    ) {
        ctx.spawn(self.aside(evaluation, |act, result, ctx| {
            take(act, result);
            act.decide(ctx);
        }));
    }

    /// Returns the future of an evaluation on another thread; `take` gets the result.
    fn aside<T, Evaluate, Take>(
        &self,
        evaluate: Evaluate,
        take: Take,
    ) -> impl ActorFuture<Self, Output = ()> + use<T, Evaluate, Take>
    where
        T: Send + 'static,
        Evaluate: FnOnce() -> T + Send + 'static,
        Take: FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    {
        self.node.work.spawn_blocking(evaluate).into_actor(self).map(|evaluated, act, ctx| match evaluated {
            Ok(result) => take(act, result, ctx),
            // Its thread was lost; the saga is loaded again.
            Err(_) => act.part(ExitReason::Crashed, ctx),
        })
    }
}
