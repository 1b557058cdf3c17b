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

mod admission;
mod append;
mod arrival;
mod attempt;
mod bell;
mod bidding;
mod clock;
mod committer;
mod counting;
mod crowding;
mod definitions;
mod dispatcher;
mod duty;
mod ending;
mod gauges;
mod heart;
mod herald;
mod isolation;
mod node;
mod notice;
mod passage;
mod post;
mod presence;
mod proposal;
mod registrar;
mod relay;
mod rerunner;
mod roster;
mod row;
mod saga_actor;
mod signals;
mod strays;
mod supervisor;
mod sweeper;
mod takeup;
mod traces;
mod trouble;
mod usher;
mod waiters;
mod waits;
mod within;
mod worker;

pub use arrival::StartAnswer;
pub use bell::Bell;
pub use clock::Clock;
pub use definitions::{Definitions, Pinned};
pub use duty::Duty;
pub use heart::{Heart, Membership};
pub use herald::Herald;
pub use isolation::Isolation;
pub use node::Node;
pub use passage::Passage;
pub use registrar::Registrar;
pub use relay::Relay;
pub use rerunner::Rerunner;
pub use roster::Roster;
pub use supervisor::{Child, Health, Supervisor};
pub use sweeper::Sweeper;
pub use traces::Traces;
pub use trouble::Trouble;
pub use usher::Usher;
pub use waiters::{Ended, Waiters};
pub use waits::Waits;
pub use worker::Worker;
