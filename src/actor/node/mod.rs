//! What all actors of a node share: the context with its clock, membership, registry and lists; and the supervisor.

pub(super) mod claim_pause;
pub(super) mod context;
pub(super) mod definitions;
pub(super) mod fleet_chores;
pub(super) mod idleness;
pub(super) mod lease_clock;
pub(super) mod look_turn;
pub(super) mod membership;
pub(super) mod pacing;
pub(super) mod supervisor;
pub(super) mod trial_permit;
pub(super) mod waiters;
pub(super) mod waits;
pub(super) mod wakeups;
