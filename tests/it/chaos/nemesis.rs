//! What goes wrong, by chance from one seed: the server is killed, nodes are killed, or stopped for longer than their
//! lease and continued, and their connections are cut, delayed, or fall silent. Owns the processes and the proxies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use super::Way;
use super::node::{Node, Order};
use crate::crash::ledger::SAGAS;
use crate::harness::Cluster;
use crate::proxy::{Fault, Proxy};

const NODES: usize = 3;
const LEASE_MS: u64 = 2_000;
/// Longer than a lease, shorter than a settle window.
const STOPPED: Duration = Duration::from_millis(3_500);
/// How long a connection is bad.
const BAD: Duration = Duration::from_millis(1_500);

/// One node with its ways.
struct Place {
    node: Node,
    to_database: Proxy,
    to_ledger: Proxy,
    /// Stopped until then.
    stopped: Option<Instant>,
    /// Its connections are bad until then.
    bad: Option<Instant>,
}

pub(super) struct Nemesis {
    chance: StdRng,
    cluster: Cluster,
    places: Vec<Place>,
    started: usize,
    next: Instant,
    deeds: BTreeMap<&'static str, u32>,
}

fn order(port: u16, ledger_port: u16, number: usize) -> Order {
    let url = |port| format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    Order { url: url(port), ledger_url: url(ledger_port), name: format!("node-{number}"), lease_ms: LEASE_MS }
}

impl Nemesis {
    pub(super) async fn new(seed: u64, cluster: Cluster) -> Self {
        let mut places = Vec::new();
        for number in 0..NODES {
            let to_database = Proxy::before(cluster.port).await;
            let to_ledger = Proxy::before(cluster.port).await;
            let node = Node::start(&order(to_database.port, to_ledger.port, number));
            places.push(Place { node, to_database, to_ledger, stopped: None, bad: None });
        }
        let chance = StdRng::seed_from_u64(seed);
        let next = Instant::now() + Duration::from_secs(3);
        Self { chance, cluster, places, started: NODES, next, deeds: BTreeMap::new() }
    }

    /// Waits until a node has registered what it runs.
    pub(super) async fn wait_for_definitions(&self, way: &Way) {
        let (sql, all) = ("select count(*) from amends.current_definition", SAGAS.len() as i64);
        crate::harness::eventually("the definitions are registered", async || way.count(sql).await == all)
            .await;
    }

    /// What was done, and how often.
    pub(super) fn deeds(&self) -> String {
        let deeds: Vec<String> =
            self.deeds.iter().map(|(deed, times)| format!("{times} times {deed}")).collect();
        deeds.join(", ")
    }

    /// Does something, if it is time, and ends what has lasted long enough.
    pub(super) async fn next(&mut self) {
        self.mend(false);
        if Instant::now() < self.next {
            return;
        }
        let pick = self.chance.random_range(0..self.places.len());
        let deed = match self.chance.random_range(0..100) {
            0..20 => {
                self.kill_server().await;
                "the server was killed"
            }
            20..40 => {
                self.kill_node(pick);
                "a node was killed"
            }
            40..60 => {
                let place = &mut self.places[pick];
                place.node.signal(libc::SIGSTOP);
                place.stopped = Some(Instant::now() + STOPPED);
                "a node was stopped for longer than its lease"
            }
            60..85 => self.spoil(pick, true),
            _ => self.spoil(pick, false),
        };
        *self.deeds.entry(deed).or_default() += 1;
        self.next = Instant::now() + Duration::from_millis(self.chance.random_range(500..2_500));
    }

    fn spoil(&mut self, pick: usize, database: bool) -> &'static str {
        let (fault, deed) = match self.chance.random_range(0..5) {
            0 => (Fault::Refuse, "connections were cut and refused"),
            1 => (Fault::LoseAnswer, "an answer was lost"),
            2 => (Fault::Delay, "connections were slow"),
            3 => (Fault::HalfClose, "a connection was half closed"),
            _ => (Fault::Silence, "connections fell silent"),
        };
        let place = &mut self.places[pick];
        let proxy = if database { &place.to_database } else { &place.to_ledger };
        proxy.next(fault);
        place.bad = Some(Instant::now() + BAD);
        deed
    }

    fn mend(&mut self, at_once: bool) {
        let over = |until: &mut Option<Instant>| match *until {
            Some(time) if at_once || time <= Instant::now() => until.take().is_some(),
            Some(_) | None => false,
        };
        for place in &mut self.places {
            if over(&mut place.stopped) {
                place.node.signal(libc::SIGCONT);
            }
            if over(&mut place.bad) {
                place.to_database.next(Fault::None);
                place.to_ledger.next(Fault::None);
            }
            assert!(!place.node.has_ended(), "{} ended by itself", place.node.name);
        }
    }

    /// Kills a node; another takes its place.
    fn kill_node(&mut self, pick: usize) {
        let place = &mut self.places[pick];
        place.node.kill();
        place.stopped = None;
        place.node = Node::start(&order(place.to_database.port, place.to_ledger.port, self.started));
        self.started += 1;
    }

    /// Kills the server with all that it has in memory, and starts it again.
    async fn kill_server(&mut self) {
        self.cluster.kill();
        tokio::time::sleep(Duration::from_millis(self.chance.random_range(50..1_000))).await;
        self.cluster.run_until_it_stays().await;
    }

    /// Ends all misfortune.
    pub(super) async fn calm(&mut self) {
        self.mend(true);
        drop(self.cluster.ready().await);
    }
}
