//! Writes this node's throughput, counts live sagas, and sets the gauges of the database.

use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::actor::node::fleet_chores::FleetChore;
use crate::actor::telemetry::database_gauges;
use crate::config::actor as limits;
use crate::store::{Error, Measured};

/// Chore that measures.
pub(crate) struct Measurement(Arc<Node>);

impl Measurement {
    /// Creates the chore of this node.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        node.chores.forget_round(FleetChore::Census);
        Self(node)
    }
}

impl Chore for Measurement {
    const NAME: &'static str = "measurement";
    const PLACES: [&'static str; 2] = ["measurement: started", "measurement: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        database_gauges::set(&measure(&self.0).await?);
        Ok(Duration::from_millis(limits::MEASURE_MS))
    }
}

async fn measure(node: &Node) -> Result<Measured, Error> {
    node.store.close_idle();
    node.record_throughput().await?;
    node.chores.run(FleetChore::Census, node.store.take_census()).await.transpose()?;
    node.store.measure().await
}
