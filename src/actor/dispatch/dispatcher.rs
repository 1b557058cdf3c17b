//! The dispatcher of one lane: claims sagas up to the lane's free slots, starts their actors and restarts those that
//! crash. Owns the table of residents; if the table is lost, its sagas are loaded again from their journals. It begins
//! a round when a hint says that there is something to do, most often a look of the node, and goes on while it finds
//! something. It decides itself how much to claim.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::messages::{Drain, Hint, Owned, Poke, StartSaga};
use super::orphans::{self, Orphans};
use super::recovery::{self, Read};
use super::slots::{Slots, Taken};
use crate::actor::commit::committer::Committer;
use crate::actor::commit::lane_handle::LaneHandle;
use crate::actor::commit::messages::{Claim, Flush, LaneLost};
use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::actor::node::pacing;
use crate::actor::residents::arrival::{Arrival, StartOutcome};
use crate::actor::residents::messages::{AbortCalls, ExitReason, HandBack, Left, Wake};
use crate::actor::residents::quarantine;
use crate::actor::residents::saga_actor::SagaActor;
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::saga::event::Started;
use crate::store::{Claimed, Error, LaneId, Sources};

/// Dispatcher of one lane.
pub(crate) struct Dispatcher {
    node: Arc<Node>,
    lane: LaneId,
    committer: Addr<Committer>,
    handle: Arc<LaneHandle>,
    slots: Slots<Addr<SagaActor>>,
    orphans: Orphans,
    /// Set if the last answer to an inbox read was lost: its wakes may be gone.
    wakes_lost: bool,
    /// What the next round does.
    wanted: Hint,
    /// What there was no room for: ready sagas, or starts.
    full: Sources,
    rounds: Rounds,
    /// Pause before a round that repeats what had no answer.
    pause: Duration,
    /// Timer of an operator's drain, after which calls in flight are given up; none unless the node drains.
    grace: Option<SpawnHandle>,
    draining: Option<oneshot::Sender<()>>,
    stopping: bool,
}

/// Rounds of a dispatcher.
enum Rounds {
    /// No round is under way, and none is planned.
    None,
    /// The next round begins with this timer.
    Planned(SpawnHandle),
    UnderWay,
}

impl Dispatcher {
    pub(crate) fn new(handle: Arc<LaneHandle>, slots: usize) -> Self {
        Self {
            node: handle.node.clone(),
            lane: handle.id,
            committer: handle.committer.clone(),
            handle,
            slots: Slots::new(slots),
            orphans: Orphans::default(),
            wakes_lost: false,
            wanted: Hint::default(),
            full: Sources::default(),
            rounds: Rounds::None,
            pause: Duration::from_millis(limits::POLL_LEAST_MS),
            grace: None,
            draining: None,
            stopping: false,
        }
    }

    fn spawn_saga(&mut self, id: Uuid, pinned: Pinned, arrival: Arrival, ctx: &mut Context<Self>) {
        boundary::pass("saga: arrived");
        self.node.idleness.note();
        let left = ctx.address().recipient();
        let saga = SagaActor::new(id, pinned, self.handle.clone(), left, arrival).start();
        if self.slots.arrive(id, saga.clone()) {
            saga.do_send(Wake);
        }
        self.node.telemetry.residents.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs one round: claims as many sagas as there is room for, and takes the wakes of residents, as far as that is
    /// wanted.
    fn round(&mut self, ctx: &mut Context<Self>) {
        if let Rounds::Planned(timer) = std::mem::replace(&mut self.rounds, Rounds::UnderWay) {
            ctx.cancel_future(timer);
        }
        if self.draining.is_some() || self.stopping {
            return;
        }
        self.apply_drain(ctx);
        let wanted = std::mem::take(&mut self.wanted);
        let claims = wanted.claim.any() && self.node.claim_pause.claims();
        let limit = if claims { self.slots.free().min(limits::CLAIM_MAX) } else { 0 };
        if wanted.claim.any() {
            self.full = match claims && limit == 0 {
                true => self.full.and(wanted.claim),
                false => self.full.without(wanted.claim),
            };
        }
        self.slots.reserve(limit);
        let (answer, claimed) = oneshot::channel();
        let definitions = self.node.definitions.runnable();
        self.committer.do_send(Claim { limit, sources: wanted.claim, definitions, check: wanted.check, answer });
        let (node, lane, lost) = (self.node.clone(), self.lane, self.wakes_lost);
        let round = async move {
            let claimed = claimed.await;
            let wakes = if wanted.inbox || lost { orphans::wakes(&node, lane, lost).await } else { Ok(Vec::new()) };
            (claimed, wakes)
        };
        ctx.spawn(round.into_actor(self).map(move |(claimed, wakes), act, ctx| {
            act.slots.reserve(0);
            let failed = if claimed.is_err() { Sources::ALL } else { Sources::default() };
            let unanswered = Hint { claim: failed, inbox: wakes.is_err(), check: failed.any() };
            let found = claimed.unwrap_or_default();
            metrics::SAGAS_CLAIMED.with([]).increment(found.sagas.len() as u64);
            let more = Hint { claim: found.sources, ..Hint::default() };
            if !found.sagas.is_empty() || wakes.as_ref().is_ok_and(|wakes| !wakes.is_empty()) {
                act.node.wakeups.hints.found();
            }
            act.take(found.sagas, ctx);
            act.wake(wakes);
            act.plan(more, unanswered, ctx);
        }));
    }

    /// Plans the next round, if there is something to do: soon, or after a pause if all it does is to repeat what had
    /// no answer.
    fn plan(&mut self, more: Hint, unanswered: Hint, ctx: &mut Context<Self>) {
        let least = Duration::from_millis(limits::POLL_LEAST_MS);
        let at_once = !self.wanted.and(more).is_empty();
        self.pause = match unanswered.is_empty() {
            true => least,
            false => (self.pause * 2).min(Duration::from_millis(limits::POLL_MOST_MS)),
        };
        self.wanted = self.wanted.and(more).and(unanswered);
        self.rounds = match self.wanted.is_empty() {
            true => Rounds::None,
            false => {
                let pause = if at_once { least } else { self.pause };
                Rounds::Planned(ctx.run_later(pacing::jittered(pause), Self::round))
            }
        };
    }

    /// Begins a round, or leaves the hint to the next one.
    fn hint(&mut self, hint: Hint, ctx: &mut Context<Self>) {
        self.wanted = self.wanted.and(hint);
        match self.rounds {
            Rounds::UnderWay => {}
            Rounds::None | Rounds::Planned(_) => self.round(ctx),
        }
    }

    /// Hands all sagas back when an operator drains the node. When the drain is undone, calls still in flight are not
    /// given up, and the lane claims again.
    fn apply_drain(&mut self, ctx: &mut Context<Self>) {
        match (self.node.claim_pause.is_draining(), self.grace.take()) {
            (true, Some(grace)) => self.grace = Some(grace),
            (true, None) => self.grace = Some(self.hand_over(Duration::from_millis(limits::GRACE_MS), ctx)),
            (false, Some(grace)) => {
                ctx.cancel_future(grace);
            }
            (false, None) => {}
        }
    }

    /// Hands back all residents. Gives up their calls that have not ended within the grace.
    fn hand_over(&self, grace: Duration, ctx: &mut Context<Self>) -> SpawnHandle {
        for saga in self.slots.residents() {
            saga.do_send(HandBack);
        }
        ctx.run_later(grace, |act, _| {
            // The drain may have been undone since the last round.
            if act.draining.is_some() || act.node.claim_pause.is_draining() {
                act.slots.residents().for_each(|saga| saga.do_send(AbortCalls));
            }
        })
    }

    /// Loads the claimed sagas. Wakes one that is resident already, unless the claim says that this lane did not own
    /// it: then its actor is about to stop, and the saga is loaded afterwards.
    fn take(&mut self, claimed: Vec<Claimed>, ctx: &mut Context<Self>) {
        let mut fetch = Vec::with_capacity(claimed.len());
        if claimed.iter().any(|saga| saga.adopted) {
            let wait = metrics::CLAIM_WAIT.with([]);
            claimed.iter().filter(|saga| saga.adopted).for_each(|saga| wait.record(saga.waited_ms as f64 / 1_000.0));
        }
        for saga in claimed {
            match self.slots.take(saga) {
                Taken::Load(saga) => fetch.push(saga),
                Taken::Wake(resident) => resident.do_send(Wake),
                Taken::Wait => {}
            }
        }
        self.fetch(fetch, ctx);
    }

    /// Reads journals in a later statement than the claim. Suspects are read one at a time.
    fn fetch(&mut self, claimed: Vec<Claimed>, ctx: &mut Context<Self>) {
        if claimed.is_empty() {
            return;
        }
        let (suspects, others): (Vec<_>, Vec<_>) = claimed.into_iter().partition(quarantine::is_suspect);
        for suspect in suspects {
            let (node, lane) = (self.node.clone(), self.lane);
            self.receive(async move { vec![recovery::try_alone(&node, lane, suspect).await] }, ctx);
        }
        if !others.is_empty() {
            let (node, lane) = (self.node.clone(), self.lane);
            self.receive(async move { recovery::load(&node, lane, others).await }, ctx);
        }
    }

    fn receive(&self, load: impl Future<Output = Vec<Read>> + 'static, ctx: &mut Context<Self>) {
        ctx.spawn(load.into_actor(self).map(|read, act, ctx| {
            for one in read {
                act.arrive(one, ctx);
            }
            act.finish_drain();
        }));
    }

    fn arrive(&mut self, read: Read, ctx: &mut Context<Self>) {
        match read {
            _ if self.stopping => {}
            Read::Ready(id, pinned, arrival) => {
                self.spawn_saga(id, pinned, *arrival, ctx);
                if self.draining.is_some() || self.grace.is_some() {
                    self.tell(id, HandBack);
                }
            }
            Read::NotOurs(id) => {
                self.slots.leave(id);
            }
            Read::Unreadable(id, reason) => {
                tracing::error!(saga.id = %id, reason, "the saga's journal cannot be read; the saga is stuck");
                self.slots.leave(id);
            }
            Read::Later(id, reason) => {
                tracing::error!(saga.id = %id, reason, "could not load the saga; retrying");
                self.restart_later(id, ctx);
            }
        }
    }

    fn wake(&mut self, wakes: Result<Vec<Uuid>, Error>) {
        self.wakes_lost = wakes.is_err();
        match wakes {
            Ok(wakes) => {
                for saga in wakes.into_iter().filter_map(|id| self.slots.wake(id)) {
                    saga.do_send(Wake);
                }
            }
            Err(error) => tracing::warn!(%error, "could not read the inbox; retrying"),
        }
    }

    fn tell<M>(&self, id: Uuid, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        SagaActor: Handler<M>,
    {
        if let Some(saga) = self.slots.resident(id) {
            saga.do_send(message);
        }
    }

    /// Loads a saga again after a pause, for example because its actor died. The pause doubles each time. The load
    /// waits until no row of the saga is under way.
    fn restart_later(&mut self, id: Uuid, ctx: &mut Context<Self>) {
        let crashes = self.slots.back_off(id);
        let pause = Duration::from_millis(limits::REVIVE_PAUSE_MS) * 2_u32.saturating_pow((crashes - 1).min(16));
        let pause = pause.min(Duration::from_millis(limits::REVIVE_PAUSE_MAX_MS));
        ctx.run_later(pause, move |act, ctx| act.restart(id, ctx));
    }

    fn restart(&mut self, id: Uuid, ctx: &mut Context<Self>) {
        self.slots.load(id);
        let (settled, rows_settled) = oneshot::channel();
        self.committer.do_send(Flush { saga: id, settled });
        let (node, lane) = (self.node.clone(), self.lane);
        let load = async move {
            match rows_settled.await {
                Ok(()) => recovery::again(&node, lane, id).await,
                // Without a committer the lane is gone, and its sagas with it.
                Err(_) => Read::NotOurs(id),
            }
        };
        self.receive(async move { vec![load.await] }, ctx);
    }

    /// Whether ready sagas wait for a slot of this lane, or a claim may just be taking some.
    fn others_wait(&self) -> bool {
        self.full.any() || self.wanted.claim.any() || matches!(self.rounds, Rounds::UnderWay)
    }

    fn finish_drain(&mut self) {
        if !self.slots.is_empty() {
            return;
        }
        if let Some(done) = self.draining.take() {
            self.stopping = true;
            // The caller may have stopped waiting for the drain.
            let _ = done.send(());
        }
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        boundary::pass("dispatcher: started");
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("dispatcher: stopped");
    }
}

impl Handler<Hint> for Dispatcher {
    type Result = ();

    fn handle(&mut self, hint: Hint, ctx: &mut Self::Context) {
        self.hint(hint, ctx);
    }
}

impl Handler<StartSaga> for Dispatcher {
    type Result = ();

    fn handle(&mut self, start: StartSaga, ctx: &mut Self::Context) {
        let closed = self.draining.is_some() || self.stopping || self.node.claim_pause.is_draining();
        let overtakes = start.pinned.definition.draft().orders_starts() && self.others_wait();
        if self.slots.free() == 0 || closed || overtakes {
            // The caller may have gone.
            let _ = start.answer.send(StartOutcome::NotTaken);
            return;
        }
        let StartSaga { id, pinned, input, key, rerun, traceparent, starter, answer } = start;
        let started = Started::new(self.node.lease.clock.now_ms(), input).by(starter);
        let started = Started { rerun, traceparent, ..started };
        let arrival = Arrival::start(&pinned.definition, started, key, answer, &self.node.chaining);
        self.spawn_saga(id, pinned, arrival, ctx);
    }
}

impl Handler<Left> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Left { saga, reason }: Left, ctx: &mut Self::Context) {
        if self.slots.resident(saga).is_some() {
            self.node.telemetry.residents.fetch_sub(1, Ordering::Relaxed);
        }
        if reason == ExitReason::Crashed && !self.stopping {
            tracing::error!(saga.id = %saga, "the saga's actor died; loading it again from its journal");
            metrics::ACTOR_RESTARTS.with(["saga".into()]).increment(1);
            self.restart_later(saga, ctx);
        } else if let Some(again) = self.slots.leave(saga) {
            self.fetch(vec![again], ctx);
        }
        if self.full.any() && self.slots.free() > 0 {
            self.wanted.claim = self.wanted.claim.and(std::mem::take(&mut self.full));
            if matches!(self.rounds, Rounds::None) {
                self.plan(Hint::default(), Hint::default(), ctx);
            }
        }
        self.finish_drain();
    }
}

impl Handler<Poke> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Poke(sagas): Poke, _: &mut Self::Context) {
        self.wake(Ok(sagas));
    }
}

impl Handler<Owned> for Dispatcher {
    type Result = ();

    /// Loads the orphans among the sagas that this lane owns.
    fn handle(&mut self, Owned(owned): Owned, ctx: &mut Self::Context) {
        if self.draining.is_some() || self.stopping {
            return;
        }
        let slots = &self.slots;
        for id in self.orphans.confirm(owned, |id| slots.contains(id)) {
            tracing::warn!(saga.id = %id, "orphaned saga: the lane owns it but does not run it; loading");
            self.restart_later(id, ctx);
        }
    }
}

impl Handler<Drain> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Drain { grace, done }: Drain, ctx: &mut Self::Context) {
        boundary::pass("dispatcher: draining");
        self.draining = Some(done);
        self.hand_over(grace, ctx);
        self.finish_drain();
    }
}

impl Handler<LaneLost> for Dispatcher {
    type Result = ();

    fn handle(&mut self, lost: LaneLost, ctx: &mut Self::Context) {
        self.stopping = true;
        for saga in self.slots.clear() {
            saga.do_send(lost);
            self.node.telemetry.residents.fetch_sub(1, Ordering::Relaxed);
        }
        ctx.stop();
    }
}
