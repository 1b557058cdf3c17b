//! Does. Carries out what the core decided, with actix: one supervised actor for each saga on this node, and
//! the few that serve them. A message is a hint: losing it may cost time, never work.
//!
//! ```text
//!   supervisor -- makes anew --> worker (one per lane)      heart   sweeper, usher, relay   registrar
//!                                  |        |                 |           |             |
//!                             dispatcher  committer         clock       store      definitions
//!                                  |        |  ^
//!                                  v        v  | rows, answers
//!                                saga actor ---+
//!                                  |    ^
//!                            calls v    | ends
//!                               participants
//! ```

mod append_check;
mod arrival;
mod attempt;
mod bloat;
mod call_end;
mod claiming;
mod clock;
mod committer;
mod completion_poller;
mod database_gauges;
mod definition_poller;
mod definitions;
mod dispatcher;
mod exit_guard;
mod heartbeat;
mod journal_row;
mod lane_handle;
mod lane_router;
mod lane_worker;
mod messages;
mod node;
mod notification;
mod orphans;
mod outbox_relay;
mod pending_transition;
mod quarantine;
mod recovery;
mod rerunner;
mod saga_actor;
mod saga_metrics;
mod signal_reader;
mod start_check;
mod supervisor;
mod sweeper;
mod throughput;
mod traces;
mod transactional;
mod turn_granter;
mod waiters;
mod waits;
mod wakeups;
mod write_failures;

pub use arrival::StartOutcome;
pub use claiming::Claiming;
pub use clock::Clock;
pub use completion_poller::CompletionPoller;
pub use definition_poller::DefinitionPoller;
pub use definitions::{Definitions, Pinned};
pub use heartbeat::{Heartbeat, Membership};
pub use lane_router::LaneRouter;
pub use lane_worker::LaneWorker;
pub use node::Node;
pub use outbox_relay::OutboxRelay;
pub use quarantine::Quarantine;
pub use rerunner::Rerunner;
pub use supervisor::{Child, Health, Supervisor};
pub use sweeper::Sweeper;
pub use throughput::Throughput;
pub use traces::Traces;
pub use turn_granter::TurnGranter;
pub use waiters::{Ended, Waiters};
pub use waits::Waits;
pub use wakeups::Wakeups;
pub use write_failures::WriteFailures;
