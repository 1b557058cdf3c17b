//! Limits of the demo and the bench.

use std::time::Duration;

/// Most connections of one participant process to its ledger; slow calls hold theirs for as long as they
/// are slow.
pub const LEDGER_CONNECTIONS_MAX: usize = 10;
/// Longest time to open one of them.
pub const LEDGER_CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest wait of a call before it begins; a later one is refused. With the delay of a slow call it
/// bounds how late an effect lands, and the probes' settle windows are longer than both together.
pub const LEDGER_WAIT_MAX: Duration = Duration::from_secs(1);
/// Longest silence in place of a lost answer, if the caller never gives up.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a participant that was told to end lets late effects land.
pub const DRAIN: Duration = Duration::from_secs(3);
/// When a slow call makes its effect after it came in; the definition's time-outs are shorter.
pub const SLOW: Duration = Duration::from_millis(2_500);
/// Pause between two starts of checkouts.
pub const START_INTERVAL: Duration = Duration::from_millis(25);
/// Most checkouts under way for each node; further ones are started as others end.
pub const UNDER_WAY_MAX: usize = 20;
/// Pause between two looks at how far the checkouts are.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time in which no checkout ends before the demo stops waiting.
pub const STILL_MAX: Duration = Duration::from_secs(90);
/// Lease of a node: how soon the others take a killed one for dead.
pub const NODE_LEASE: Duration = Duration::from_secs(3);
/// How long a node that was told to end may take.
pub const NODE_STOP_MAX: Duration = Duration::from_secs(15);
/// Pause before a crashed participant is started again.
pub const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// How long the starts of a participant may fail one after the other; its ledger may be away.
pub const RESTART_MAX: Duration = Duration::from_secs(30);
/// Shortest and longest pause between two troubles of a demo with chaos.
pub const CHAOS_PAUSE: std::ops::Range<Duration> = Duration::from_millis(1_500)..Duration::from_millis(4_000);
/// Longest time in which no checkout ends before chaos does: with each loss of its owner a settle window begins
/// anew, so that what is in doubt may never get through it.
pub const CHAOS_STILL_MAX: Duration = Duration::from_secs(20);
/// How long a demo with chaos stops a node: longer than its lease.
pub const STOPPED: Duration = NODE_LEASE.saturating_add(Duration::from_secs(1));
/// How long a node may take to begin; one that ends meanwhile since the database is away is started again.
pub const NODE_BEGIN_MAX: Duration = Duration::from_secs(15);
/// Most nodes of a demo: with their payments servers they share the embedded Postgres's 200 connections.
pub const NODES_MAX: u32 = 8;
/// Most checkouts of a demo.
pub const SAGAS_MAX: u32 = 100_000;
/// Most broken promises that are printed.
pub const VIOLATIONS_PRINTED_MAX: usize = 50;
