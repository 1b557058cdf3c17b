//! Looks: whether there is something to do for a node, by one statement that locks and writes nothing. Owns the
//! statement. What a look finds is a hint; the lanes act by fenced statements.

use super::lane::LaneId;
use super::pool::Params;
use super::watermarks::Watermarks;
use super::{DefinitionId, Error, Store};
use crate::config::store as limits;

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Ready rows that the lanes may claim, `LOOK_ROWS_MAX` at most.
    pub ready: u64,
    /// Starts in the queue that the lanes may take, `LOOK_ROWS_MAX` at most.
    pub starts: u64,
    /// Lanes with wakes in their inbox.
    pub woken: Vec<LaneId>,
    /// Lanes that are out of service.
    pub lost: Vec<LaneId>,
    /// Whether a rerun waits for a node.
    pub reruns: bool,
    /// The chores, among those asked about, that no node does.
    pub chores: Vec<String>,
    /// Whether a timer is due; only if asked for `timers`.
    pub timers: bool,
    /// Whether a start waits for a turn to be granted; only if asked for `turns`.
    pub knocks: bool,
    /// The last definition, and the last order of an operator to the fleet. A change says that there is a new one.
    pub newest: (Option<i32>, Option<i64>),
}

impl Store {
    /// Looks for ready rows and starts of these definitions, wakes of these lanes and chores of the fleet; `held` are
    /// chores of this node. Is not repeated after an error, which tells the caller that the connection was lost.
    pub async fn look(
        &self,
        lanes: &[LaneId],
        definitions: &[DefinitionId],
        watermarks: &Watermarks,
        chores: &[&str],
        held: &[&str],
    ) -> Result<Look, Error> {
        let lanes: Vec<i64> = lanes.iter().map(|lane| lane.0).collect();
        let (ready, starts) = (watermarks.ready.for_look(definitions), watermarks.starts.for_look(definitions));
        let params: Params<'_> = &[
            &lanes,
            &ready.definitions,
            &ready.lows,
            &limits::LOOK_ROWS_MAX,
            &chores,
            &ready.highs,
            &held,
            &starts.definitions,
            &starts.lows,
        ];
        let rows = self.query_once(sql!("node", "look"), params).await?;
        let row = rows.first().ok_or_else(super::no_row)?;
        let lanes = |name: &str| -> Result<Vec<LaneId>, Error> {
            Ok(row.try_get::<_, Vec<i64>>(name)?.into_iter().map(LaneId).collect())
        };
        Ok(Look {
            ready: super::count(&rows, "ready")?,
            starts: super::count(&rows, "starts")?,
            woken: lanes("woken")?,
            lost: lanes("lost")?,
            reruns: row.try_get("reruns")?,
            chores: row.try_get("chores")?,
            timers: row.try_get("timers")?,
            knocks: row.try_get("knocks")?,
            newest: (row.try_get("definition")?, row.try_get("fleet_signal")?),
        })
    }
}
