//! Limits of the demo and the bench.

use std::time::Duration;

/// Most connections of one participant process to its ledger. A slow call holds its connection as long as it is slow.
pub const LEDGER_CONNECTIONS_MAX: usize = 10;
/// Longest time to open such a connection.
pub const LEDGER_CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest wait of a call for its ledger connection; after it the call is refused. This wait and the delay of a slow
/// call limit how late an effect lands. The settle windows of the probes are longer than both together.
pub const LEDGER_WAIT_MAX: Duration = Duration::from_secs(1);
/// Longest silence of a participant that withholds its answer, if the caller never gives up.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a participant that was told to stop waits for late effects to land.
pub const DRAIN: Duration = Duration::from_secs(3);
/// Time from the arrival of a slow call to its effect. The time-outs of the definition are shorter.
pub const SLOW: Duration = Duration::from_millis(2_500);
/// Pause between two starts of checkouts.
pub const START_INTERVAL: Duration = Duration::from_millis(25);
/// Most checkouts under way per node. Further ones start as others end.
pub const UNDER_WAY_MAX: usize = 20;
/// Pause between two polls of the checkouts' progress.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time without progress of any checkout before the demo stops waiting.
pub const STILL_MAX: Duration = Duration::from_secs(90);
/// Lease of a node: the time after which other nodes declare a killed node dead.
pub const NODE_LEASE: Duration = Duration::from_secs(3);
/// How long a node that was told to stop may take.
pub const NODE_STOP_MAX: Duration = Duration::from_secs(15);
/// Pause before a crashed participant is started again.
pub const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// How long the restarts of a participant may fail in a row; its ledger may be away.
pub const RESTART_MAX: Duration = Duration::from_secs(30);
/// Shortest and longest pause between two disturbances of a demo with chaos.
pub const CHAOS_PAUSE: std::ops::Range<Duration> = Duration::from_millis(1_500)..Duration::from_millis(4_000);
/// Longest time without progress of any checkout before chaos ends. Under chaos a settle window may never close,
/// since each loss of the saga's owner restarts it.
pub const CHAOS_STILL_MAX: Duration = Duration::from_secs(20);
/// How long chaos stops a node: longer than its lease.
pub const STOPPED: Duration = NODE_LEASE.saturating_add(Duration::from_secs(1));
/// How long a node may take to start. A node that exits within this time because the database is away is started
/// again.
pub const NODE_BEGIN_MAX: Duration = Duration::from_secs(15);
/// Most nodes of a demo. The nodes and their payments servers share the 200 connections of the embedded Postgres.
pub const NODES_MAX: u32 = 8;
/// Most checkouts of a demo.
pub const SAGAS_MAX: u32 = 100_000;
/// Most broken promises that are printed.
pub const VIOLATIONS_PRINTED_MAX: usize = 50;
