//! Carries out the decisions of the core with actix: one supervised actor for each saga on this node, and a few actors
//! that serve them. A message is a hint: losing one may cost time, but it loses no work.
//!
//! The rooms are layers; each uses only the rooms below it.
//!
//! ```text
//!   maintenance   one actor per chore: heartbeat, sweeps, timers, turns, outbox, reruns, polls
//!   dispatch      lane worker -> dispatcher: claims, loads, starts, restarts
//!   residents     saga actor <- events <- calls of participants
//!                     | rows            ^ answers
//!   commit        committer: batches rows of many sagas into one statement
//!   node          context: clock, membership, registry, lists; supervisor
//!   telemetry     metrics, throughput, traces, gauges
//! ```

mod commit;
mod dispatch;
mod local_node;
mod maintenance;
mod node;
mod residents;
mod telemetry;

pub use dispatch::lane_router::LaneRouter;
pub use dispatch::lane_worker::LaneWorker;
pub use local_node::LocalNode;
pub use maintenance::chores;
pub use node::claim_pause::ClaimPause;
pub use node::context::{Lease, Node, Telemetry};
pub use node::definitions::{Definitions, Pinned};
pub use node::fleet_chores::FleetChores;
pub use node::idleness::Idleness;
pub use node::lease_clock::LeaseClock;
pub use node::look_turn::LookTurn;
pub use node::membership::Membership;
pub use node::supervisor::{Child, Health, Supervisor};
pub use node::trial_permit::TrialPermit;
pub use node::waiters::Ended;
pub use node::waits::Waits;
pub use node::wakeups::Wakeups;
pub use residents::arrival::StartOutcome;
pub use telemetry::traces::Traces;
