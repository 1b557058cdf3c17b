//! The sagas on this node, one actor each. The actor feeds events to the core, has each transition written, then
//! carries it out. Also the parts of that: calls, signals, journal rows, notifications and the quarantine.

pub(super) mod append_check;
pub(super) mod arrival;
pub(super) mod attempt;
pub(super) mod call_end;
pub(super) mod exit_guard;
pub(super) mod journal_row;
pub(super) mod messages;
pub(super) mod notification;
pub(super) mod pending_transition;
pub(super) mod quarantine;
pub(super) mod saga_actor;
pub(super) mod scope;
pub(super) mod shortage;
pub(super) mod signal_reader;
pub(super) mod start_check;
pub(super) mod stuck_log;
pub(super) mod transactional;
