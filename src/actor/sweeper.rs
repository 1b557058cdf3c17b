//! Fires the timers of parked sagas, sweeps up after dead nodes and measures. Owns the rhythm; any node may do this at
//! any time, and the statements are the store's.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use uuid::Uuid;

use super::bloat::Bloat;
use super::database_gauges;
use super::node::Node;
use super::supervisor::{Observe, Observed};
use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::{Compacted, DefinitionId, Error, NetCursor, Rows, Swept};

/// The pause after a chore that took that long: at least `least`, and so long that the chore takes a small share of
/// the time. What walks over dead rows takes long while somebody's snapshot keeps them from vacuum.
pub(super) fn seldom(least: Duration, took: Duration) -> Duration {
    least.max(took * limits::SELDOM)
}

/// Sweeps.
pub struct Sweeper {
    node: Arc<Node>,
    net: NetCursor,
    bloat: Bloat,
    crowded: Vec<String>,
}

impl Sweeper {
    /// Sweeps on behalf of this node.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, net: NetCursor::default(), bloat: Bloat::default(), crowded: Vec::new() }
    }

    /// Runs a chore, folds its answer in, and comes again after the pause that this gives.
    fn chore<T: 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        what: &'static str,
        work: impl Future<Output = Result<T, Error>> + 'static,
        fold: impl FnOnce(&mut Self, T) -> Duration + 'static,
        again: fn(&mut Self, &mut Context<Self>),
    ) {
        ctx.spawn(work.into_actor(self).map(move |answer, act, ctx| {
            let pause = match answer {
                Ok(answer) => fold(act, answer),
                Err(error) => {
                    tracing::warn!(%error, chore = what, "chore not done, it is done again");
                    Duration::from_millis(limits::SWEEP_MS)
                }
            };
            ctx.run_later(pause, again);
        }));
    }

    fn fire(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let work = async move { node.store.fire_timers(limits::TIMERS_MAX).await };
        let fold = |_: &mut Self, fired: u64| {
            metrics::TIMERS_FIRED.with([]).increment(fired);
            let more = usize::try_from(fired).is_ok_and(|fired| fired >= limits::TIMERS_MAX);
            if more { Duration::ZERO } else { Duration::from_millis(limits::TIMERS_POLL_MS) }
        };
        self.chore(ctx, "timers", work, fold, Self::fire);
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let work = async move {
            for lost in node.store.enforce_evictions().await? {
                tracing::warn!(node = lost.0, "a node did not let go of a saga, it counts for dead");
            }
            node.store.sweep_dead(node.membership.id()).await
        };
        let fold = |act: &mut Self, swept: Swept| {
            metrics::SWEEPS.with([]).increment(1);
            metrics::LANES_SWEPT.with([]).increment(swept.lanes);
            if swept.lanes + swept.sagas + swept.wakes > 0 {
                let (lanes, sagas, wakes) = (swept.lanes, swept.sagas, swept.wakes);
                tracing::info!(lanes, sagas, wakes, "swept up after a node that is gone");
            }
            act.tell_of(&swept.aside);
            Duration::from_millis(limits::SWEEP_MS)
        };
        self.chore(ctx, "sweep", work, fold, Self::sweep);
    }

    /// Tells of sagas that were put aside since one process after the other died of them.
    fn tell_of(&self, aside: &[(Uuid, DefinitionId)]) {
        for (saga, definition) in aside {
            tracing::error!(saga.id = %saga, "each process died that took this saga up: it is stuck");
            if let Some(pinned) = self.node.definitions.get(*definition) {
                pinned.counts.became_stuck();
            }
        }
    }

    fn sweep_orphans(&mut self, ctx: &mut Context<Self>) {
        let (node, began) = (self.node.clone(), Instant::now());
        let work = async move { node.store.sweep_orphans().await };
        let fold = move |act: &mut Self, swept: Swept| {
            if swept.sagas > 0 {
                tracing::info!(sagas = swept.sagas, "handed back what a sweep before had left");
            }
            act.tell_of(&swept.aside);
            seldom(Duration::from_millis(limits::SWEEP_MS), began.elapsed())
        };
        self.chore(ctx, "orphans", work, fold, Self::sweep_orphans);
    }

    fn tidy(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let work = async move { node.store.tidy().await };
        let fold = |_: &mut Self, orphans: u64| {
            if orphans > 0 {
                tracing::error!(
                    rows = orphans,
                    "rows in a default partition: are the partitions made ahead?"
                );
            }
            Duration::from_millis(limits::TIDY_MS)
        };
        self.chore(ctx, "tidy", work, fold, Self::tidy);
    }

    fn bloat(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let work = async move { node.store.count_rows().await };
        let fold = |act: &mut Self, rows: Vec<Rows>| {
            for one in &rows {
                metrics::COMPACTIONS.with([one.table.clone().into()]).increment(0);
            }
            act.crowded = act.bloat.look(rows);
            if act.crowded.is_empty() {
                Duration::from_millis(limits::CROWDED_LOOK_MS)
            } else {
                Duration::ZERO
            }
        };
        self.chore(ctx, "crowding", work, fold, Self::compact);
    }

    /// Writes the crowded tables anew, one after the other, and then looks again.
    fn compact(&mut self, ctx: &mut Context<Self>) {
        let Some(table) = self.crowded.pop() else {
            return self.bloat(ctx);
        };
        let node = self.node.clone();
        // A failure counts as a try, and keeps no other table from its own.
        self.bloat.tried(&table, false);
        let work = async move { Ok((node.store.compact(&table).await?, table)) };
        let fold = |act: &mut Self, (done, table): (Option<Compacted>, String)| {
            if let Some(done) = done {
                act.bloat.tried(&table, true);
                tracing::info!(table, bytes = done.before, "written anew, as vacuum could not empty it");
                metrics::COMPACTIONS.with([table.into()]).increment(1);
            }
            let pause = if act.crowded.is_empty() { limits::CROWDED_LOOK_MS } else { 0 };
            Duration::from_millis(pause)
        };
        self.chore(ctx, "compact", work, fold, Self::compact);
    }

    fn measure(&mut self, ctx: &mut Context<Self>) {
        let node = self.node.clone();
        let work = async move {
            let passed = node.throughput.take();
            if let Err(error) = node.store.record_passage(node.membership.id(), &passed).await {
                node.throughput.give_back(passed);
                return Err(error);
            }
            node.store.take_census().await?;
            node.store.measure().await
        };
        let fold = |_: &mut Self, measured: crate::store::Measured| {
            database_gauges::set(&measured);
            Duration::from_millis(limits::MEASURE_MS)
        };
        self.chore(ctx, "measure", work, fold, Self::measure);
    }

    fn net(&mut self, ctx: &mut Context<Self>) {
        let (node, cursor) = (self.node.clone(), self.net);
        let work = async move { node.store.safety_net(cursor).await };
        let fold = |act: &mut Self, (lost, cursor): (u64, NetCursor)| {
            act.net = cursor;
            metrics::LOST_WAKES.with([]).increment(lost);
            if lost > 0 {
                tracing::error!(
                    sagas = lost,
                    "sagas that nobody would have woken; this is a defect, please report it"
                );
            }
            Duration::from_millis(limits::SAFETY_NET_MS)
        };
        self.chore(ctx, "safety net", work, fold, Self::net);
    }
}

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("sweeper: started");
        self.fire(ctx);
        self.sweep(ctx);
        self.sweep_orphans(ctx);
        self.tidy(ctx);
        self.bloat(ctx);
        self.measure(ctx);
        ctx.run_later(Duration::from_millis(limits::SAFETY_NET_MS), Self::net);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("sweeper: stopped");
    }
}

impl Handler<Observe> for Sweeper {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(Observed::default())
    }
}
