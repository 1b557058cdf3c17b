//! The lanes of this node that take sagas now. Owns their addresses, which change when a lane is replaced. Leaves
//! sagas to each lane's dispatcher.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::dispatcher::Dispatcher;
use super::messages::{Drain, Hint, Owned, Poke, StartSaga};
use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::actor::residents::arrival::StartOutcome;
use crate::config::actor as limits;
use crate::saga::rerun::Rerun;
use crate::saga::{Asker, Json};
use crate::store::{self, LaneId, NodeId, Sources, StartKey};

/// Router to the lanes at work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LaneRouter {
    node: Arc<Node>,
    places: Arc<RwLock<Vec<Option<Place>>>>,
    turn: Arc<AtomicUsize>,
}

/// Lane at work, and the incarnation of this process that opened it. Once the process has joined again, the lane is
/// of no use.
#[derive(Clone, Debug)]
struct Place {
    member: NodeId,
    lane: LaneId,
    dispatcher: Addr<Dispatcher>,
}

impl LaneRouter {
    /// Creates a router with this many places for lanes, all empty.
    pub fn new(node: Arc<Node>, places: usize) -> Self {
        Self { node, places: Arc::new(RwLock::new(vec![None; places])), turn: Arc::default() }
    }

    pub(crate) fn set(&self, place: usize, member: NodeId, lane: LaneId, dispatcher: Addr<Dispatcher>) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places[place] = Some(Place { member, lane, dispatcher });
    }

    fn is_at_work(&self, place: &Place) -> bool {
        place.member == self.node.lease.membership.id() && place.dispatcher.connected()
    }

    fn working(&self) -> Vec<Place> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        places.iter().flatten().filter(|place| self.is_at_work(place)).cloned().collect()
    }

    /// Returns the lanes at work.
    pub(crate) fn lanes(&self) -> Vec<LaneId> {
        self.working().into_iter().map(|place| place.lane).collect()
    }

    /// Whether any lane takes sagas.
    pub fn is_working(&self) -> bool {
        !self.working().is_empty()
    }

    /// Starts a saga under this id, on the next lane in round-robin order.
    pub async fn start(
        &self,
        id: Uuid,
        pinned: Pinned,
        input: Json,
        key: Option<StartKey>,
        traceparent: Option<Arc<str>>,
        starter: Option<Asker>,
    ) -> StartOutcome {
        self.begin(|answer| StartSaga { id, pinned, input, key, rerun: None, traceparent, starter, answer }).await
    }

    /// Starts a saga under this id that takes over outcomes of an ended saga.
    pub(crate) async fn rerun(
        &self,
        id: Uuid,
        pinned: Pinned,
        input: Json,
        rerun: Rerun,
        starter: Asker,
    ) -> StartOutcome {
        let (key, rerun, traceparent, starter) = (None, Some(Box::new(rerun)), None, Some(starter));
        self.begin(|answer| StartSaga { id, pinned, input, key, rerun, traceparent, starter, answer }).await
    }

    async fn begin(&self, start: impl FnOnce(oneshot::Sender<StartOutcome>) -> StartSaga) -> StartOutcome {
        let dispatcher = {
            let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let mut in_turn = (0..places.len()).map(|offset| &places[(turn + offset) % places.len()]);
            in_turn.find_map(|place| place.clone().filter(|place| self.is_at_work(place)))
        };
        let Some(Place { dispatcher, .. }) = dispatcher else { return StartOutcome::NotTaken };
        let (answer, answered) = oneshot::channel();
        dispatcher.do_send(start(answer));
        answered.await.unwrap_or(StartOutcome::Unknown)
    }

    /// Tells the next lane in round-robin order that there is something to claim.
    pub fn look(&self, claim: Sources) {
        self.tell_next(1, Hint { claim, ..Hint::default() });
    }

    /// Tells all lanes to look at everything.
    pub(crate) fn look_everywhere(&self) {
        self.tell_next(usize::MAX, Hint::EVERYTHING);
    }

    /// Tells the lanes what a look found: ready rows and starts to one lane; to more lanes if there are many, and to
    /// all if the look before found some too (`again`).
    pub(crate) fn tell(&self, look: &store::Look, again: bool) {
        for place in self.working() {
            let inbox = look.woken.contains(&place.lane);
            let check = look.lost.contains(&place.lane);
            if inbox || check {
                place.dispatcher.do_send(Hint { inbox, check, ..Hint::default() });
            }
        }
        let claim = Sources { ready: look.ready > 0, starts: look.starts > 0 };
        if claim.any() {
            let rows = look.ready.max(look.starts);
            let lanes = usize::try_from(1 + rows / limits::LOOK_ROWS_A_LANE).unwrap_or(usize::MAX);
            self.tell_next(if again { usize::MAX } else { lanes }, Hint { claim, ..Hint::default() });
        }
    }

    fn tell_next(&self, lanes: usize, hint: Hint) {
        let working = self.working();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for offset in 0..working.len().min(lanes) {
            working[turn.wrapping_add(offset) % working.len()].dispatcher.do_send(hint);
        }
    }

    /// Tells all lanes that a saga got a signal; the lane that runs it reads the signal.
    pub fn poke(&self, saga: Uuid) {
        for place in self.working() {
            place.dispatcher.do_send(Poke(vec![saga]));
        }
    }

    /// Tells each of these lanes which sagas it owns.
    pub(crate) fn tell_owned(&self, lanes: &[LaneId], owned: &[(LaneId, Uuid)]) {
        for place in self.working().into_iter().filter(|place| lanes.contains(&place.lane)) {
            let own = owned.iter().filter(|(lane, _)| *lane == place.lane).map(|(_, saga)| *saga);
            place.dispatcher.do_send(Owned(own.collect()));
        }
    }

    /// Hands all sagas back; calls in flight may end within `grace`. Returns whether all lanes are empty, at the
    /// latest `DRAIN_MARGIN_MS` after the grace.
    pub async fn drain(&self, grace: Duration) -> bool {
        let waits: Vec<_> = self
            .working()
            .into_iter()
            .map(|place| {
                let (done, drained) = oneshot::channel();
                place.dispatcher.do_send(Drain { grace, done });
                drained
            })
            .collect();
        let all = async {
            let mut clean = true;
            for drained in waits {
                clean &= drained.await.is_ok();
            }
            clean
        };
        let most = grace + Duration::from_millis(limits::DRAIN_MARGIN_MS);
        tokio::time::timeout(most, all).await.unwrap_or(false)
    }
}
