//! What a node that may sleep asks: when the fleet has something to do. Owns the statement.

use std::time::Duration;

use super::{DefinitionId, Error, Store};

impl Store {
    /// Returns the time until something is due that a node of these definitions would do, if no request comes. None:
    /// nothing is due.
    pub async fn next_due(&self, definitions: &[DefinitionId]) -> Result<Option<Duration>, Error> {
        let ids: Vec<i32> = definitions.iter().map(|definition| definition.0).collect();
        let rows = self.query(sql!("node", "next_due"), &[&ids]).await?;
        let due_ms: Option<i64> = rows.first().ok_or_else(super::no_row)?.try_get("due_ms")?;
        Ok(due_ms.map(|due_ms| Duration::from_millis(super::millis(due_ms))))
    }
}
