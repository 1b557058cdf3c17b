//! Runs one chore of a node again and again, as a supervised actor. Owns the loop, the start and the stop. Each chore
//! decides what it does and how long it pauses.

use std::time::Duration;

use actix::prelude::*;

use crate::actor::node::supervisor::Observe;
use crate::boundary;
use crate::config::actor as limits;
use crate::store::Error;

/// Work that a node repeats. A failure is logged, and the next round tries again.
pub(crate) trait Chore: Unpin + 'static {
    /// Name in the log.
    const NAME: &'static str;
    /// Crash-test boundaries at which the chore's actor starts and stops.
    const PLACES: [&'static str; 2];

    /// Does the work once; returns the pause before the next round.
    async fn round(&mut self) -> Result<Duration, Error>;
}

/// Actor of a chore; `chore` is none while a round is under way.
pub(crate) struct Periodic<C> {
    chore: Option<C>,
    first: Duration,
}

impl<C: Chore> Periodic<C> {
    /// Starts the actor of a chore on this thread; its first round comes at once.
    pub(crate) fn begin(chore: C) -> Recipient<Observe> {
        Self::begin_after(Duration::ZERO, chore)
    }

    /// Starts the actor with a pause before the first round.
    pub(crate) fn begin_after(first: Duration, chore: C) -> Recipient<Observe> {
        Self { chore: Some(chore), first }.start().recipient()
    }

    fn round(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let Some(mut chore) = self.chore.take() else { return };
        let round = async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let pause = chore.round().await.unwrap_or_else(|error| {
                tracing::warn!(%error, chore = C::NAME, "chore not done; retrying");
                Duration::from_millis(limits::SWEEP_MS)
            });
            (chore, pause)
        };
        ctx.spawn(round.into_actor(self).map(|(chore, pause), act, ctx| {
            act.chore = Some(chore);
            act.round(pause, ctx);
        }));
    }
}

impl<C: Chore> Actor for Periodic<C> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass(C::PLACES[0]);
        self.round(self.first, ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass(C::PLACES[1]);
    }
}

impl<C: Chore> Handler<Observe> for Periodic<C> {
    type Result = ();

    fn handle(&mut self, _: Observe, _: &mut Self::Context) {}
}
