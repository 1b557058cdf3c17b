//! What the actors of a node count and report: metrics of sagas, throughput, traces, gauges and write failures. Names
//! no other room of actors.

pub(super) mod database_gauges;
pub(super) mod saga_metrics;
pub(super) mod throughput;
pub(super) mod traces;
pub(super) mod write_failures;
