//! Orphans: sagas that a lane owns and that have no actor here. An orphan is missing at two looks in a row; a saga
//! that is just coming or leaving is missing only once. Also decides which residents are woken after wakes were lost.
//!
//! Orphans come from a statement that the server runs late: its connection was given up long before, and the lane has
//! already asked what it owns. A late claim gives the lane sagas that no actor knows of. A late park releases a saga
//! without its actor knowing; the actor then loses its place to the next owner's actor. The model of the protocol
//! (`tests/it/model`) shows both.

use std::collections::HashSet;

use uuid::Uuid;

use crate::actor::node::context::Node;
use crate::store::{Error, LaneId};

/// Takes the wakes of residents from the inbox. If the previous answer was lost, its wakes may be gone: then also
/// returns every saga of the lane that ever got a signal.
pub(crate) async fn wakes(node: &Node, lane: LaneId, lost: bool) -> Result<Vec<Uuid>, Error> {
    let mut wakes = node.store.drain_inbox(&[lane]).await?;
    if lost {
        wakes.extend(node.store.signalled(lane).await?);
    }
    Ok(wakes)
}

/// Result of the last look.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    suspects: HashSet<Uuid>,
}

impl Orphans {
    /// Returns the owned sagas that were missing at this look and at the one before.
    pub(crate) fn confirm(&mut self, owned: Vec<Uuid>, is_here: impl Fn(&Uuid) -> bool) -> Vec<Uuid> {
        let absent: HashSet<Uuid> = owned.into_iter().filter(|id| !is_here(id)).collect();
        let confirmed = absent.intersection(&self.suspects).copied().collect();
        self.suspects = absent;
        confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_is_absent_twice_in_a_row() {
        let [a, b] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let mut orphans = Orphans::default();
        assert!(orphans.confirm(vec![a, b], |_| false).is_empty(), "one look proves nothing");
        assert_eq!(orphans.confirm(vec![a, b], |id| *id == b), [a]);
        assert!(orphans.confirm(vec![b], |_| false).is_empty(), "it was here the last time");
        assert_eq!(orphans.confirm(vec![b], |_| false), [b]);
    }
}
