//! What the actors of a node count and report: metrics of sagas, throughput, traces, gauges and write failures. Uses
//! no other room of the actors.

pub(super) mod database_gauges;
pub(super) mod saga_metrics;
pub(super) mod throughput;
pub(super) mod traces;
pub(super) mod write_failures;
