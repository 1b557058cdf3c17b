//! Takes sagas for one lane, up to its free slots, and keeps those that are here alive. Owns the table of
//! residents: what is lost with it is taken up again from the journal. Notifications are hints; it decides
//! itself how much to take and when.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::messages::{Drain, Look, Poke, StartSaga};
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
use crate::store::{Claimed, Error, LaneId};

/// One round: claim, and look into the inbox.
#[derive(Message)]
#[rtype(result = "()")]
struct Poll;

/// The dispatcher of one lane.
pub(crate) struct Dispatcher {
    node: Arc<Node>,
    lane: LaneId,
    committer: Addr<Committer>,
    handle: Arc<LaneHandle>,
    slots: Slots<Addr<SagaActor>>,
    orphans: Orphans,
    /// The last answer about wakes was lost, and they may be gone with it.
    wakes_lost: bool,
    pause: Duration,
    /// The next round, while none is under way.
    next: Option<SpawnHandle>,
    /// An operator drains the node: calls that are under way are given up after this.
    grace: Option<SpawnHandle>,
    draining: Option<oneshot::Sender<()>>,
    stopping: bool,
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
            pause: Duration::from_millis(limits::POLL_LEAST_MS),
            next: None,
            grace: None,
            draining: None,
            stopping: false,
        }
    }

    fn spawn_saga(&mut self, id: Uuid, pinned: Pinned, arrival: Arrival, ctx: &mut Context<Self>) {
        boundary::pass("saga: arrived");
        let left = ctx.address().recipient();
        let saga = SagaActor::new(id, pinned, self.handle.clone(), left, arrival).start();
        self.slots.arrive(id, saga);
        self.node.telemetry.residents.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks for as much as there is room for, and for the wakes of residents.
    fn poll(&mut self, ctx: &mut Context<Self>) {
        if self.draining.is_some() || self.stopping {
            return;
        }
        self.apply_drain(ctx);
        let (answer, claimed) = oneshot::channel();
        let limit = if self.node.claiming.claims() { self.slots.free().min(limits::CLAIM_MAX) } else { 0 };
        self.slots.reserve(limit);
        self.committer.do_send(Claim { limit, definitions: self.node.definitions.runnable(), answer });
        let (node, lane, lost) = (self.node.clone(), self.lane, self.wakes_lost);
        let round = async move {
            let claimed = claimed.await.unwrap_or_default();
            (claimed, orphans::wakes(&node, lane, lost).await)
        };
        ctx.spawn(round.into_actor(self).map(move |(claimed, wakes), act, ctx| {
            let busy = !claimed.is_empty();
            metrics::SAGAS_CLAIMED.with([]).increment(claimed.len() as u64);
            act.slots.reserve(0);
            act.take(claimed, ctx);
            act.wake(wakes);
            act.schedule_poll(busy, ctx);
        }));
    }

    /// Hands everything over when an operator drains the node, and takes sagas again when that is undone.
    fn apply_drain(&mut self, ctx: &mut Context<Self>) {
        match (self.node.claiming.is_draining(), self.grace.take()) {
            (true, Some(grace)) => self.grace = Some(grace),
            (true, None) => self.grace = Some(self.hand_over(Duration::from_millis(limits::GRACE_MS), ctx)),
            (false, Some(grace)) => {
                ctx.cancel_future(grace);
            }
            (false, None) => {}
        }
    }

    /// Hands back what is here: what is in flight may end within the grace.
    fn hand_over(&self, grace: Duration, ctx: &mut Context<Self>) -> SpawnHandle {
        for saga in self.slots.residents() {
            saga.do_send(HandBack);
        }
        ctx.run_later(grace, |act, _| {
            for saga in act.slots.residents() {
                saga.do_send(AbortCalls);
            }
        })
    }

    /// Polls soon after a round that brought something, and ever later after those that did not.
    fn schedule_poll(&mut self, busy: bool, ctx: &mut Context<Self>) {
        let least = Duration::from_millis(limits::POLL_LEAST_MS);
        let most = Duration::from_millis(limits::POLL_MOST_MS);
        self.pause = if busy { least } else { (self.pause * 2).min(most) };
        let jitter = 0.75 + rand::random::<f64>() / 2.0;
        self.next = Some(ctx.notify_later(Poll, self.pause.mul_f64(jitter)));
    }

    /// Takes up what was claimed. One that is here already is woken, unless the claim says that it had left:
    /// then its actor is about to go, and it comes back when it has.
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

    /// Reads journals in a later statement than the claim's; of suspects one at a time.
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
                tracing::error!(saga.id = %id, reason, "the saga's journal cannot be read: it is stuck");
                self.slots.leave(id);
            }
            Read::Later(id, reason) => {
                tracing::error!(saga.id = %id, reason, "saga not taken up yet, it is tried again");
                self.restart_later(id, ctx);
            }
        }
    }

    fn wake(&mut self, wakes: Result<Vec<Uuid>, Error>) {
        self.wakes_lost = wakes.is_err();
        match wakes {
            // A wake of a saga that is not here any more was seen before it left.
            Ok(wakes) => wakes.into_iter().for_each(|id| self.tell(id, Wake)),
            Err(error) => tracing::warn!(%error, "inbox not read"),
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

    /// Takes a saga up again whose actor died: after all its rows are settled, and each time later.
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
                // Without a committer the lane is gone, and the saga with it.
                Err(_) => Read::NotOurs(id),
            }
        };
        self.receive(async move { vec![load.await] }, ctx);
    }

    /// Looks from time to time for sagas that this lane owns and nobody runs, and takes them up.
    fn look_for_orphans(&mut self, ctx: &mut Context<Self>) {
        let (node, lane, began) = (self.node.clone(), self.lane, Instant::now());
        let look = async move { node.store.owned_by(lane).await };
        ctx.spawn(look.into_actor(self).map(move |owned, act, ctx| {
            let is_here = |id: &Uuid| act.slots.contains(id);
            match owned {
                Ok(_) if act.draining.is_some() || act.stopping => {}
                Ok(owned) => {
                    for id in act.orphans.confirm(owned, is_here) {
                        tracing::warn!(saga.id = %id, "nobody runs this saga of ours, it is taken up");
                        act.restart_later(id, ctx);
                    }
                }
                Err(error) => tracing::warn!(%error, "strays not looked for"),
            }
            let pause = pacing::in_proportion(Duration::from_millis(limits::STRAYS_LOOK_MS), began.elapsed());
            ctx.run_later(pause, Self::look_for_orphans);
        }));
    }

    fn finish_drain(&mut self) {
        if !self.slots.is_empty() {
            return;
        }
        if let Some(done) = self.draining.take() {
            self.stopping = true;
            // Who waits for the drain may have given up.
            let _ = done.send(());
        }
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("dispatcher: started");
        ctx.notify(Poll);
        ctx.run_later(Duration::from_millis(limits::STRAYS_LOOK_MS), Self::look_for_orphans);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("dispatcher: stopped");
    }
}

impl Handler<Poll> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Poll, ctx: &mut Self::Context) {
        self.next = None;
        self.poll(ctx);
    }
}

impl Handler<Look> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        match self.next.take() {
            Some(next) => {
                ctx.cancel_future(next);
                self.poll(ctx);
            }
            // The round under way may have looked already; the one after it comes soon.
            None => self.pause = Duration::from_millis(limits::POLL_LEAST_MS) / 2,
        }
    }
}

impl Handler<StartSaga> for Dispatcher {
    type Result = ();

    fn handle(&mut self, start: StartSaga, ctx: &mut Self::Context) {
        if self.slots.free() == 0 || self.draining.is_some() || self.stopping || self.node.claiming.is_draining() {
            // Who asked may have gone.
            let _ = start.answer.send(StartOutcome::NotTaken);
            return;
        }
        let StartSaga { id, pinned, input, key, rerun, traceparent, answer } = start;
        let started = Started { rerun, traceparent, ..Started::new(self.node.lease.clock.now_ms(), input) };
        let arrival = Arrival::start(&pinned.definition, started, key, answer);
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
            tracing::error!(saga.id = %saga, "the saga's actor died, it is taken up again from its journal");
            metrics::ACTOR_RESTARTS.with(["saga".into()]).increment(1);
            self.restart_later(saga, ctx);
        } else if let Some(again) = self.slots.leave(saga) {
            self.slots.load(saga);
            self.fetch(vec![again], ctx);
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
