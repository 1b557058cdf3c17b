//! The sweep: dead nodes out of service, their sagas and wakes to where any node may take them. Any node may
//! sweep at any time. Owns that and the safety net and the partitions ahead; when to sweep is left to the
//! actors.

use uuid::Uuid;

use super::lane::LaneId;
use super::pool::Params;
use super::quarantine::trial_pauses;
use super::{DefinitionId, Error, NodeId, Store};
use crate::config::store as limits;

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Lanes that were taken out of service.
    pub lanes: u64,
    /// Sagas of dead or missing lanes that were handed back.
    pub sagas: u64,
    /// Those of them that were put aside: one process after the other died that read them alone.
    pub aside: Vec<(Uuid, DefinitionId)>,
    /// Wakes that lay in the inboxes of dead or missing lanes.
    pub wakes: u64,
}

/// Where the safety net stands in its walk over all live sagas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCursor(Uuid);

impl Store {
    /// Sweeps once and whole, on behalf of `node`.
    pub async fn sweep(&self, node: NodeId) -> Result<Swept, Error> {
        let mut swept = self.sweep_dead(node).await?;
        let left = self.sweep_orphans().await?;
        swept.sagas += left.sagas;
        swept.aside.extend(left.aside);
        Ok(swept)
    }

    /// Takes dead nodes out of service, on behalf of `node`, and hands back what they had. Each part is its own
    /// commit: lanes die first, so that their last batch is either before all of it or nowhere. A node that was
    /// cut off itself, or whose beats are late, calls nobody dead. Costs the same whatever the tables hold.
    pub async fn sweep_dead(&self, node: NodeId) -> Result<Swept, Error> {
        let buried = self.query(sql!("sweep", "fence_dead_nodes"), &[&node.0]).await?;
        let mut swept = Swept { lanes: buried.len() as u64, ..Swept::default() };
        for lane in &buried {
            self.rehome(LaneId(lane.try_get("id")?), &mut swept).await?;
        }
        let moved = self.query_once(sql!("sweep", "forward"), &[]).await?;
        swept.wakes = super::count(&moved, "wakes")?;
        Ok(swept)
    }

    /// Hands back what lanes have that are dead for longer, or missing: whoever took them out of service died before
    /// it was done. Walks over the dead rows of every lane while somebody's snapshot keeps them from vacuum.
    pub async fn sweep_orphans(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        for lane in self.orphaned_lanes().await? {
            self.rehome(lane, &mut swept).await?;
        }
        Ok(swept)
    }

    /// Forgets lanes and nodes that are gone for long and sagas whose retention has passed, and makes
    /// partitions ahead. Returns how many rows lie
    /// in a default partition, which there should be none.
    pub async fn tidy(&self) -> Result<u64, Error> {
        self.query(sql!("sweep", "forget"), &[&limits::GONE_KEPT_MS]).await?;
        self.query(sql!("sweep", "forget_nodes"), &[&limits::GONE_KEPT_MS]).await?;
        self.forget_suspects().await?;
        let sql = sql!("measure", "forget_throughput");
        self.query(sql, &[&limits::PASSAGE_KEPT_MS]).await?;
        self.ensure_partitions().await?;
        self.expire().await?;
        let strays = self.query(sql!("partition", "default_rows"), &[]).await?;
        super::count(&strays, "strays")
    }

    /// Lets go of ended sagas whose retention has passed, by whole partitions; returns the names of those.
    pub async fn expire(&self) -> Result<Vec<String>, Error> {
        let sql = sql!("partition", "expire");
        let rows = self.query(sql, &[&limits::RETENTION_MS]).await?;
        rows.iter().map(|row| Ok(row.try_get("part")?)).collect()
    }

    /// Makes the partitions of the next weeks; returns how many are new.
    pub async fn ensure_partitions(&self) -> Result<i32, Error> {
        let rows =
            self.query(sql!("partition", "ensure"), &[&limits::JOURNAL_WEEKS_AHEAD, &limits::DONE_DAYS_AHEAD]).await?;
        Ok(rows.first().ok_or_else(super::no_row)?.try_get("made")?)
    }

    /// Takes one bounded step of the walk that makes lost sagas ready again. Returns how many it found, which
    /// must be none: count it as a metric, and log it as an error. The cursor starts over at the end.
    pub async fn safety_net(&self, cursor: NetCursor) -> Result<(u64, NetCursor), Error> {
        let rows = self.query_once(sql!("saga", "lost"), &[&cursor.0, &limits::SAFETY_NET_ROWS_MAX]).await?;
        let last: Option<Uuid> = rows.first().ok_or_else(super::no_row)?.try_get("last")?;
        Ok((super::count(&rows, "lost")?, NetCursor(last.unwrap_or_default())))
    }

    /// Sees to evictions: forgets those that have come to pass, and lets the beats of nodes count for nothing that
    /// have not let go of a saga in time. Returns these nodes: they are buried as if they had died.
    pub async fn enforce_evictions(&self) -> Result<Vec<NodeId>, Error> {
        self.query(sql!("sweep", "evicted"), &[]).await?;
        let sql = sql!("sweep", "disown");
        let rows = self.query(sql, &[&limits::EVICTION_MS]).await?;
        rows.iter().map(|row| Ok(NodeId(row.try_get("id")?))).collect()
    }

    async fn orphaned_lanes(&self) -> Result<Vec<LaneId>, Error> {
        let rows = self.query(sql!("sweep", "orphaned_lanes"), &[]).await?;
        rows.iter().map(|row| Ok(LaneId(row.try_get("lane")?))).collect()
    }

    async fn rehome(&self, lane: LaneId, swept: &mut Swept) -> Result<(), Error> {
        let (deaths, trials, pauses) = (limits::SILENT_DEATHS_MAX, limits::TRIALS_MAX, trial_pauses());
        let (rows_max, beside) = (limits::REHOME_ROWS_MAX, limits::DEATHS_BESIDE_MS);
        for _ in 0..limits::REHOME_CHUNKS_MAX {
            let params: Params<'_> = &[&lane.0, &rows_max, &deaths, &trials, &pauses, &beside];
            let rows = self.query_once(sql!("sweep", "requeue"), params).await?;
            let found = super::count(&rows, "sagas")?;
            if found == 0 {
                break;
            }
            swept.sagas += found;
            let row = rows.first().ok_or_else(super::no_row)?;
            let aside: Vec<Uuid> = row.try_get("aside")?;
            let definitions: Vec<i32> = row.try_get("aside_definition")?;
            swept.aside.extend(aside.into_iter().zip(definitions.into_iter().map(DefinitionId)));
        }
        Ok(())
    }
}
