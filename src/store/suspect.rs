//! Sagas that are suspected of killing the process that takes them up: so many died in a row that had them and had
//! written no row of them. Owns saying that one is tried, and that it was nothing; deaths are counted where what the
//! dead had is handed back (sweep.rs).

use uuid::Uuid;

use super::lane::LaneId;
use super::{Error, NodeId, Store};

impl Store {
    /// Says that this lane tries a saga alone: if its process dies before a row of it, the saga is put aside. Returns
    /// whether the lane lives and owns it.
    pub async fn try_suspect(&self, lane: LaneId, id: Uuid) -> Result<bool, Error> {
        Ok(!self.query(sql!("saga", "try"), &[&lane.0, &id, &true]).await?.is_empty())
    }

    /// Says that this lane does not try it now.
    pub async fn let_be(&self, lane: LaneId, id: Uuid) -> Result<(), Error> {
        self.query(sql!("saga", "try"), &[&lane.0, &id, &false]).await.map(|_| ())
    }

    /// Says that this process lives, which was that node and was taken for dead. Returns how many sagas were put aside
    /// as if it had died of them; any node may take them now.
    pub async fn exonerate(&self, node: NodeId) -> Result<u64, Error> {
        let rows = self.query_once(sql!("saga", "exonerate"), &[&node.0]).await?;
        super::count(&rows, "sagas")
    }

    /// Says that a saga of this lane was taken up and killed nobody.
    pub async fn acquit(&self, lane: LaneId, id: Uuid) -> Result<(), Error> {
        self.query(sql!("saga", "acquit"), &[&lane.0, &id]).await.map(|_| ())
    }
}
