//! Sagas that a lane owns and that nobody here runs. Owns how they are told from those that just come or go: by two
//! looks, some time apart; and which residents are woken when wakes were lost.
//!
//! They come of a statement that the server carries out late, long after its connection was given up and the lane has
//! asked what it owns: a claim that owns what nobody was told of, or a park behind the back of an actor which then
//! loses its place to the next owner's. The model of the protocol (`tests/it/model`) shows both.

use std::collections::HashSet;

use uuid::Uuid;

use crate::actor::node::context::Node;
use crate::store::{Error, LaneId};

/// Takes the wakes of residents. When the answer before was lost, its wakes may be gone from the inbox; then all that
/// ever got a signal are woken, too.
pub(crate) async fn wakes(node: &Node, lane: LaneId, lost: bool) -> Result<Vec<Uuid>, Error> {
    let mut wakes = node.store.drain_inbox(&[lane]).await?;
    if lost {
        wakes.extend(node.store.signalled(lane).await?);
    }
    Ok(wakes)
}

/// What the last look found.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    suspects: HashSet<Uuid>,
}

impl Orphans {
    /// Returns those of the owned sagas that were not here at this look, nor at the one before.
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
        assert!(orphans.confirm(vec![a, b], |_| false).is_empty(), "once is no proof");
        assert_eq!(orphans.confirm(vec![a, b], |id| *id == b), [a]);
        assert!(orphans.confirm(vec![b], |_| false).is_empty(), "it was here the last time");
        assert_eq!(orphans.confirm(vec![b], |_| false), [b]);
    }
}
