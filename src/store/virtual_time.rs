//! Virtual times of definitions whose starts have fairness keys: how far nodes have taken them. Owns telling the
//! database what the claims of a node came to.

use super::watermarks::Watermarks;
use super::{Error, Store};

impl Store {
    /// Tells the database the virtual times that claims with these watermarks came to; does nothing if they took no
    /// start with a fairness key. A lost answer does no harm: the next claims raise the times again.
    pub async fn raise_virtual_times(&self, watermarks: &Watermarks) -> Result<(), Error> {
        let times = watermarks.ready.take_times();
        if times.is_empty() {
            return Ok(());
        }
        let definitions: Vec<i32> = times.iter().map(|time| time.definition.0).collect();
        let priorities: Vec<i16> = times.iter().map(|time| time.class as i16 - 1).collect();
        let tags: Vec<i64> = times.iter().map(|time| time.tag).collect();
        self.query_once(sql!("virtual_time", "raise"), &[&definitions, &priorities, &tags]).await?;
        Ok(())
    }
}
