//! Nodes: one row for each incarnation of a process, kept alive by beats. Owns joining, beating, leaving, and reading
//! the database's clock; `sweep.rs` takes dead nodes out of service.

use super::pool::Params;
use super::{Error, LaneId, Store};
use crate::config::store as limits;
use crate::saga::definition::Millis;

/// One incarnation of a process. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i64);

/// Answer to a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The database's clock.
    pub at: Millis,
    /// An operator told the node to take no more sagas and to hand over those that it has.
    pub draining: bool,
    /// Nodes in service that claim the same definitions.
    pub peers: Peers,
}

/// How many other nodes in service claim the same definitions as this one, `LOOK_PEERS_MAX` at most on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Those that joined before this node.
    pub earlier: u64,
    /// Those that joined after it.
    pub later: u64,
}

/// A stored node.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// Which incarnation.
    pub id: NodeId,
    /// Label for people; may repeat.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// When it joined.
    pub joined_at: Millis,
    /// Its last beat.
    pub beat_at: Millis,
    /// Whether the last beat is younger than the node's time to live.
    pub alive: bool,
}

impl Store {
    /// Registers this process as a node. `name` is only a label. `ttl_ms` is the node's time to live: after that time
    /// without a beat, other nodes may declare it dead.
    pub async fn join(&self, name: &str, version: &str, ttl_ms: Millis) -> Result<NodeId, Error> {
        self.join_after(None, name, version, ttl_ms, 0).await
    }

    /// Registers a process, perhaps again after it was declared dead as node `before`. If that node was draining, the
    /// new one is too. `connections`, the most that the node opens, are for `amends doctor`.
    pub async fn join_after(
        &self,
        before: Option<NodeId>,
        name: &str,
        version: &str,
        ttl_ms: Millis,
        connections: usize,
    ) -> Result<NodeId, Error> {
        let ttl_ms = i64::try_from(ttl_ms)
            .map_err(|_| Error::Invalid(format!("expected a time to live below 2^63 ms, found {ttl_ms} ms")))?;
        let connections = i32::try_from(connections).unwrap_or(i32::MAX);
        let rows = self
            .query_once(
                sql!("node", "join"),
                &[&name, &version, &ttl_ms, &super::SCHEMA_VERSION, &before.map(|node| node.0), &connections],
            )
            .await?;
        Ok(NodeId(rows.first().ok_or_else(super::no_row)?.try_get("id")?))
    }

    /// Keeps the node alive. `sagas`, the number of sagas on it, and `waits`, what waits there as JSON, are for
    /// people. `claims` is a digest of the definitions that the node claims, by which it finds its peers; none if it
    /// claims nothing. [`Error::Fenced`] if the node was declared dead or disowned: drop all actors, then join again
    /// as a new node.
    pub async fn beat(
        &self,
        node: NodeId,
        sagas: usize,
        waits: Option<&str>,
        claims: Option<i64>,
    ) -> Result<Beat, Error> {
        let sagas = i32::try_from(sagas).unwrap_or(i32::MAX);
        let params: Params<'_> = &[&node.0, &sagas, &waits, &claims, &limits::LOOK_PEERS_MAX];
        let rows = self.query(sql!("node", "beat"), params).await?;
        let row = rows.first().ok_or(Error::Fenced)?;
        let peers = Peers { earlier: super::count(&rows, "earlier")?, later: super::count(&rows, "later")? };
        Ok(Beat { at: super::millis(row.try_get("at")?), draining: row.try_get("draining")?, peers })
    }

    /// Announces that the node is about to end. If it is killed before it has ended, its death counts against no
    /// saga.
    pub async fn announce_end(&self, node: NodeId) -> Result<(), Error> {
        self.query(sql!("stop", "announce"), &[&node.0]).await?;
        Ok(())
    }

    /// Takes the node and its lanes out of service at once. The next sweep hands its remaining sagas to other nodes.
    pub async fn leave(&self, node: NodeId) -> Result<(), Error> {
        self.query(sql!("node", "leave"), &[&node.0]).await?;
        Ok(())
    }

    /// Takes one lane of a live node out of service because no worker serves it. The next sweep hands its sagas to
    /// other lanes.
    pub async fn retire(&self, lane: LaneId) -> Result<(), Error> {
        self.query(sql!("lane", "retire"), &[&lane.0]).await?;
        Ok(())
    }

    /// Lists the nodes that are in service.
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, Error> {
        let rows = self.query(sql!("node", "list"), &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(NodeRow {
                    id: NodeId(row.try_get("id")?),
                    name: row.try_get("name")?,
                    version: row.try_get("version")?,
                    joined_at: super::millis(row.try_get("joined_at")?),
                    beat_at: super::millis(row.try_get("beat_at")?),
                    alive: row.try_get("alive")?,
                })
            })
            .collect()
    }

    /// Reads the database's clock.
    pub async fn clock(&self) -> Result<Millis, Error> {
        let rows = self.query(sql!("node", "clock"), &[]).await?;
        Ok(super::millis(rows.first().ok_or_else(super::no_row)?.try_get("at")?))
    }
}
