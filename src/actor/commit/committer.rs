//! The committer of one lane: gathers the transitions that arrive while a batch is being written, and writes them in
//! the next batch. Owns the order in which the lane is used; the statements are the store's.
//!
//! Batches need no timer: an idle lane has the latency of one commit, and a busy lane writes hundreds of rows per
//! commit.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::Instrument as _;
use uuid::Uuid;

use super::messages::{Claim, Commit, Committed, Flush, LaneLost, Park, Release, Released};
use crate::actor::node::context::Node;
use crate::boundary::{self, Aim};
use crate::config::actor as limits;
use crate::config::store::BATCH_ROWS_MAX;
use crate::metrics;
use crate::store::{Error, Lane, LaneId, Parking, Transition, Written};

/// Crash-test label of a row, and the recipient of its answer.
type Sender = (Aim, Recipient<Committed>);

/// The committer of one lane.
pub(crate) struct Committer {
    node: Arc<Node>,
    id: LaneId,
    /// None while a statement is under way, and during a pause after a failure.
    lane: Option<Lane>,
    rows: VecDeque<Commit>,
    parks: Vec<Park>,
    releases: Vec<Release>,
    claim: Option<Claim>,
    flushes: Vec<Flush>,
    /// Sagas with a row in the batch under way.
    writing: HashSet<Uuid>,
    /// Set if the lane was last used for a batch: other waiting work goes first now.
    wrote: bool,
    pause: Duration,
    fenced: bool,
}

impl Committer {
    pub(crate) fn new(node: Arc<Node>, lane: Lane) -> Self {
        Self {
            node,
            id: lane.id(),
            lane: Some(lane),
            rows: VecDeque::new(),
            parks: Vec::new(),
            releases: Vec::new(),
            claim: None,
            flushes: Vec::new(),
            writing: HashSet::new(),
            wrote: false,
            pause: Duration::ZERO,
            fenced: false,
        }
    }

    /// Uses the lane if it is free. Batches and all other work take turns, so that neither waits for long.
    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.lane.is_none() || self.fenced {
            return;
        }
        self.answer_flushes();
        let others = !self.parks.is_empty() || !self.releases.is_empty() || self.claim.is_some();
        let my_turn = !others || !self.wrote;
        if my_turn && !self.rows.is_empty() {
            self.wrote = true;
            let size = self.rows.len().min(BATCH_ROWS_MAX);
            let batch = self.rows.drain(..size).collect();
            return self.write(batch, ctx);
        }
        self.wrote = false;
        if !self.parks.is_empty() {
            self.park(ctx);
        } else if !self.releases.is_empty() {
            self.release(ctx);
        } else if let Some(claim) = self.claim.take() {
            // No claim while rows cannot be written. The dispatcher gets no answer, and asks again later.
            if self.rows.is_empty() || self.pause.is_zero() {
                self.claim(claim, ctx);
            }
        }
    }

    /// Ends the pause: a statement has succeeded, so the database takes rows again.
    fn recovered(&mut self) {
        if !self.pause.is_zero() {
            self.pause = Duration::ZERO;
            self.node.telemetry.write_failures.is_over(self.id);
        }
    }

    fn answer_flushes(&mut self) {
        let (rows, writing) = (&self.rows, &self.writing);
        let under_way = |saga: Uuid| writing.contains(&saga) || rows.iter().any(|commit| commit.row.id == saga);
        for flush in self.flushes.extract_if(.., |flush| !under_way(flush.saga)) {
            // The asker may have stopped waiting.
            let _ = flush.settled.send(());
        }
    }

    fn write(&mut self, batch: Vec<Commit>, ctx: &mut Context<Self>) {
        let Some(mut lane) = self.lane.take() else { return };
        let aims: Vec<Aim> = batch.iter().map(|commit| commit.aim.clone()).collect();
        let (rows, from): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|commit| (commit.row, (commit.aim, commit.from))).unzip();
        self.writing = rows.iter().map(|row: &Transition| row.id).collect();
        let (began, transitions) = (Instant::now(), rows.len());
        let sent = async move {
            aims.iter().for_each(|aim| boundary::pass_for("batch: sending", aim));
            let written = lane.commit(&rows).await;
            aims.iter().for_each(|aim| boundary::pass_for("batch: answered", aim));
            (lane, rows, written)
        };
        let sent = sent.instrument(tracing::debug_span!("commit batch", lane = self.id.0, transitions));
        ctx.spawn(sent.into_actor(self).map(move |(lane, rows, written), act, ctx| {
            act.lane = Some(lane);
            act.writing.clear();
            metrics::COMMIT_SECONDS.with([]).record(began.elapsed());
            metrics::COMMIT_TRANSITIONS.with([]).record(rows.len() as f64);
            if let Some(traces) = &act.node.telemetry.traces {
                traces.batch(act.id, rows.len(), began.elapsed());
            }
            match written {
                Ok(written) => act.answer(rows, from, written),
                Err(error) => act.failed(error, rows, from, ctx),
            }
            act.next(ctx);
        }));
    }

    /// Tells each saga what became of its row. A row that was kept out by a lock goes into a later batch.
    fn answer(&mut self, rows: Vec<Transition>, from: Vec<Sender>, written: Vec<Written>) {
        self.recovered();
        for ((row, (aim, from)), written) in rows.into_iter().zip(from).zip(written) {
            match written {
                Written::Busy => {
                    metrics::COMMITS_REPEATED.with(["busy".into()]).increment(1);
                    self.rows.push_back(Commit { row, aim, from });
                }
                Written::Refused => {
                    metrics::TRANSITIONS_REFUSED.with([]).increment(1);
                    from.do_send(Committed(written));
                }
                Written::Accepted
                | Written::Duplicate { .. }
                | Written::KeyConflict { .. }
                | Written::Rejected { .. } => from.do_send(Committed(written)),
            }
        }
    }

    /// Handles a failed batch. Its outcome is unknown while the database does not answer, so the same rows are sent
    /// again, before any other.
    fn failed(&mut self, error: Error, rows: Vec<Transition>, from: Vec<Sender>, ctx: &mut Context<Self>) {
        if matches!(error, Error::Fenced) {
            return self.fence(ctx, from);
        }
        metrics::COMMITS_REPEATED.with(["unavailable".into()]).increment(1);
        self.node.telemetry.write_failures.begins(self.id, &error);
        tracing::warn!(%error, rows = rows.len(), "batch not committed; sending it again");
        for (row, (aim, from)) in rows.into_iter().zip(from).rev() {
            self.rows.push_front(Commit { row, aim, from });
        }
        self.wait(ctx);
    }

    /// Stops the committer of a dead lane. Each saga with an unwritten row is told that its row was refused.
    fn fence(&mut self, ctx: &mut Context<Self>, writing: Vec<Sender>) {
        self.fenced = true;
        metrics::FENCED.with([]).increment(1);
        let writing = writing.into_iter().map(|(_, from)| from);
        let queued = self.rows.drain(..).map(|commit| commit.from);
        for saga in writing.chain(queued) {
            saga.do_send(Committed(Written::Refused));
        }
        ctx.stop();
    }

    /// Pauses the lane: first for `RESEND_PAUSE_MS`, then twice as long each time, up to `RESEND_PAUSE_MAX_MS`.
    fn wait(&mut self, ctx: &mut Context<Self>) {
        let least = Duration::from_millis(limits::RESEND_PAUSE_MS);
        self.pause = (self.pause * 2).clamp(least, Duration::from_millis(limits::RESEND_PAUSE_MAX_MS));
        let Some(lane) = self.lane.take() else { return };
        let paused = tokio::time::sleep(self.pause);
        ctx.spawn(paused.into_actor(self).map(move |(), act, ctx| {
            act.lane = Some(lane);
            act.next(ctx);
        }));
    }

    fn park(&mut self, ctx: &mut Context<Self>) {
        let Some(mut lane) = self.lane.take() else { return };
        let parks: Vec<Park> = self.parks.drain(..).collect();
        let sent = async move {
            let parkings: Vec<Parking> = parks.iter().map(|park| park.parking).collect();
            let gone = lane.park(&parkings).await;
            let parked = gone.as_ref().map_or(0, Vec::len);
            metrics::SAGAS_PARKED.with([]).increment(parked as u64);
            (lane, parks.into_iter().map(|park| (park.parking.id, park.from)).collect(), gone)
        };
        ctx.spawn(sent.into_actor(self).map(|(lane, asked, gone), act, ctx| act.let_go(lane, asked, gone, ctx)));
    }

    fn release(&mut self, ctx: &mut Context<Self>) {
        let Some(mut lane) = self.lane.take() else { return };
        let asked: Vec<_> = self.releases.drain(..).map(|release| (release.saga, release.from)).collect();
        let sent = async move {
            let sagas: Vec<Uuid> = asked.iter().map(|(saga, _)| *saga).collect();
            let gone = lane.release(&sagas).await;
            (lane, asked, gone)
        };
        ctx.spawn(sent.into_actor(self).map(|(lane, asked, gone), act, ctx| act.let_go(lane, asked, gone, ctx)));
    }

    fn let_go(
        &mut self,
        lane: Lane,
        asked: Vec<(Uuid, Recipient<Released>)>,
        gone: Result<Vec<Uuid>, Error>,
        ctx: &mut Context<Self>,
    ) {
        self.lane = Some(lane);
        match gone {
            Ok(gone) => {
                for (saga, from) in asked {
                    from.do_send(if gone.contains(&saga) { Released::Yes } else { Released::No });
                }
            }
            Err(Error::Fenced) => {
                asked.iter().for_each(|(_, from)| from.do_send(Released::Fenced));
                self.fence(ctx, Vec::new());
            }
            Err(error) => {
                tracing::warn!(%error, sagas = asked.len(), "sagas not released; they will ask again");
                for (_, from) in asked {
                    from.do_send(Released::No);
                }
                self.wait(ctx);
            }
        }
        self.next(ctx);
    }

    fn claim(&mut self, claim: Claim, ctx: &mut Context<Self>) {
        let Some(mut lane) = self.lane.take() else { return };
        let Claim { limit, sources, definitions, check, answer } = claim;
        let asks = check || limit > 0;
        // A claim also tells whether the lane is in service.
        let check = check && (limit == 0 || definitions.is_empty());
        let sent = async move {
            let claimed = async {
                if check {
                    lane.check().await?;
                }
                lane.claim(sources, limit, &definitions).await
            };
            let claimed = claimed.await;
            (lane, claimed)
        };
        ctx.spawn(sent.into_actor(self).map(move |(lane, claimed), act, ctx| {
            act.lane = Some(lane);
            match claimed {
                Ok(claimed) => {
                    // The dispatcher is gone only if the lane is given up. Then the sweep requeues the claimed sagas.
                    let _ = answer.send(claimed);
                    // A claim of nothing asks the database nothing.
                    if asks {
                        act.recovered();
                    }
                }
                Err(Error::Fenced) => act.fence(ctx, Vec::new()),
                Err(error) => {
                    act.node.telemetry.write_failures.begins(act.id, &error);
                    tracing::warn!(%error, "claim failed");
                    act.wait(ctx);
                }
            }
            act.next(ctx);
        }));
    }
}

impl Actor for Committer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("committer: started");
        ctx.run_interval(Duration::from_millis(limits::CONNECTIONS_LOOK_MS), |act, _| {
            // The result of a call in flight must not depend on a new connection.
            let is_empty = act.node.telemetry.residents.load(Ordering::Relaxed) == 0;
            if let Some(lane) = act.lane.as_mut().filter(|_| is_empty) {
                lane.close_idle();
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("committer: stopped");
        self.node.telemetry.write_failures.is_over(self.id);
    }
}

impl Handler<Commit> for Committer {
    type Result = ();

    fn handle(&mut self, commit: Commit, ctx: &mut Self::Context) {
        self.rows.push_back(commit);
        // The batch is cut after this actor has read its mailbox: rows that arrive together are written together.
        if self.lane.is_some() && self.rows.len() == 1 {
            ctx.notify(CutBatch);
        }
    }
}

/// Message to self: use the lane now.
#[derive(Message)]
#[rtype(result = "()")]
struct CutBatch;

impl Handler<CutBatch> for Committer {
    type Result = ();

    fn handle(&mut self, _: CutBatch, ctx: &mut Self::Context) {
        self.next(ctx);
    }
}

impl Handler<Park> for Committer {
    type Result = ();

    fn handle(&mut self, park: Park, ctx: &mut Self::Context) {
        self.parks.push(park);
        ctx.notify(CutBatch);
    }
}

impl Handler<Release> for Committer {
    type Result = ();

    fn handle(&mut self, release: Release, ctx: &mut Self::Context) {
        self.releases.push(release);
        ctx.notify(CutBatch);
    }
}

impl Handler<Claim> for Committer {
    type Result = ();

    fn handle(&mut self, claim: Claim, ctx: &mut Self::Context) {
        self.claim = Some(claim);
        ctx.notify(CutBatch);
    }
}

impl Handler<Flush> for Committer {
    type Result = ();

    fn handle(&mut self, flush: Flush, ctx: &mut Self::Context) {
        self.flushes.push(flush);
        ctx.notify(CutBatch);
    }
}

impl Handler<LaneLost> for Committer {
    type Result = ();

    fn handle(&mut self, _: LaneLost, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
