//! Chores of the fleet: which node does the work that one node does for all. Owns the leases.

use std::time::Duration;

use super::{Error, NodeId, Store};

impl Store {
    /// Takes chores for `lease`: those that no node does, and those that this node does already. Returns the chores
    /// that it has now.
    pub async fn take_chores(&self, node: NodeId, chores: &[&str], lease: Duration) -> Result<Vec<String>, Error> {
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let rows = self.query(sql!("chore", "take"), &[&node.0, &chores, &lease_ms]).await?;
        rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
    }
}
