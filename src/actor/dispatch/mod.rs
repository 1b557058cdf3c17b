//! Dispatchers: each claims sagas for its lane, reads their journals, starts their actors and restarts those that
//! crash.

pub(super) mod dispatcher;
pub(super) mod lane_router;
pub(super) mod lane_worker;
pub(super) mod messages;
pub(super) mod orphans;
pub(super) mod recovery;
pub(super) mod slots;
