//! The sweep: takes dead nodes out of service and hands their sagas and wakes to nodes that live. Any node may sweep
//! at any time. Also owns evictions, the safety net, retention and the partitions ahead. The actors decide when each
//! runs.

use uuid::Uuid;

use super::lane::LaneId;
use super::pool::Params;
use super::quarantine::trial_pauses;
use super::{DefinitionId, Error, NodeId, Store};
use crate::config::store as limits;

/// Result of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Lanes taken out of service.
    pub lanes: u64,
    /// Sagas taken from dead or missing lanes.
    pub sagas: u64,
    /// The sagas among them that were set aside: processes died in a row while each tried the saga alone, the last
    /// one before it wrote a row.
    pub aside: Vec<(Uuid, DefinitionId)>,
    /// Wakes removed from the inboxes of dead or missing lanes.
    pub wakes: u64,
}

/// Position of the safety net in its walk over all live sagas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCursor(Uuid);

impl Store {
    /// Runs one full sweep on behalf of `node`: dead nodes first, then orphans.
    pub async fn sweep(&self, node: NodeId) -> Result<Swept, Error> {
        let mut swept = self.sweep_dead(node).await?;
        let left = self.sweep_orphans().await?;
        swept.sagas += left.sagas;
        swept.aside.extend(left.aside);
        Ok(swept)
    }

    /// Takes dead nodes out of service on behalf of `node`, and hands back their sagas and wakes. Each part is its
    /// own commit. Lanes die first, so the last batch of a lane is either committed before everything else or never.
    /// A node that was cut off itself, or whose beats are late, declares no other node dead. The cost does not grow
    /// with the tables.
    pub async fn sweep_dead(&self, node: NodeId) -> Result<Swept, Error> {
        let fenced = self.query(sql!("sweep", "fence_dead_nodes"), &[&node.0]).await?;
        let mut swept = Swept { lanes: fenced.len() as u64, ..Swept::default() };
        for lane in &fenced {
            self.requeue(LaneId(lane.try_get("id")?), &mut swept).await?;
        }
        let moved = self.query_once(sql!("sweep", "forward"), &[]).await?;
        swept.wakes = super::count(&moved, "wakes")?;
        Ok(swept)
    }

    /// Hands back the sagas of lanes that died earlier or are missing. Such sagas are left when a sweeping node dies
    /// before it is done. While an old snapshot holds back vacuum, this walks over the dead rows of every lane.
    pub async fn sweep_orphans(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        for lane in self.orphaned_lanes().await? {
            self.requeue(lane, &mut swept).await?;
        }
        Ok(swept)
    }

    /// Deletes what is past its time: lanes and nodes gone for `GONE_KEPT_MS`, ended suspects, throughput older than
    /// `PASSAGE_KEPT_MS`, and sagas past their retention. Notes plain definitions. Creates partitions ahead. Returns
    /// how many rows lie in a default partition; there should be none.
    pub async fn tidy(&self) -> Result<u64, Error> {
        self.query(sql!("sweep", "forget"), &[&limits::GONE_KEPT_MS]).await?;
        self.query(sql!("sweep", "forget_nodes"), &[&limits::GONE_KEPT_MS]).await?;
        self.forget_suspects().await?;
        self.query(sql!("quota_use", "forget"), &[&limits::QUOTA_FORGET_ROWS_MAX]).await?;
        self.note_plain_definitions().await?;
        let sql = sql!("measure", "forget_throughput");
        self.query(sql, &[&limits::PASSAGE_KEPT_MS]).await?;
        self.ensure_partitions().await?;
        self.expire().await?;
        let strays = self.query(sql!("partition", "default_rows"), &[]).await?;
        super::count(&strays, "strays")
    }

    /// Drops whole partitions whose sagas are past their retention; returns the names of the dropped partitions.
    pub async fn expire(&self) -> Result<Vec<String>, Error> {
        let sql = sql!("partition", "expire");
        let rows = self.query(sql, &[&limits::RETENTION_MS]).await?;
        rows.iter().map(|row| Ok(row.try_get("part")?)).collect()
    }

    /// Creates the partitions of the next weeks and days; returns how many are new.
    pub async fn ensure_partitions(&self) -> Result<i32, Error> {
        let rows =
            self.query(sql!("partition", "ensure"), &[&limits::JOURNAL_WEEKS_AHEAD, &limits::DONE_DAYS_AHEAD]).await?;
        Ok(rows.first().ok_or_else(super::no_row)?.try_get("made")?)
    }

    /// Takes one bounded step of the walk that makes lost sagas ready again. Returns how many it found. There must be
    /// none, so the caller counts them as a metric and logs them as an error. At the end of the walk the cursor
    /// starts over.
    pub async fn safety_net(&self, cursor: NetCursor) -> Result<(u64, NetCursor), Error> {
        let rows = self.query_once(sql!("saga", "lost"), &[&cursor.0, &limits::SAFETY_NET_ROWS_MAX]).await?;
        let last: Option<Uuid> = rows.first().ok_or_else(super::no_row)?.try_get("last")?;
        Ok((super::count(&rows, "lost")?, NetCursor(last.unwrap_or_default())))
    }

    /// Enforces evictions: forgets those that are done, and disowns nodes that did not let go of a saga within
    /// `EVICTION_MS`. Beats of a disowned node no longer count. Returns the disowned nodes; a sweep then takes them
    /// out of service as if they had died.
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

    async fn requeue(&self, lane: LaneId, swept: &mut Swept) -> Result<(), Error> {
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
