//! What goes wrong, by chance from one seed: the server is killed, nodes are killed, or stopped for longer than their
//! lease and continued, and their connections are cut, delayed, or fall silent. Owns the processes and the proxies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::node::{Node, Order};
use super::{Way, drafts};
use crate::harness::Cluster;
use crate::proxy::{Fault, Proxy};

const NODES: usize = 3;
const LEASE_MS: u64 = 2_000;
/// Longer than a lease, shorter than a settle window.
const STOPPED: Duration = Duration::from_millis(3_500);
/// How much longer they stay bad while nothing meets them.
const UNMET_MAX: Duration = Duration::from_secs(10);
/// How long a connection is bad.
const BAD: Duration = Duration::from_millis(1_500);

/// What befalls a connection.
const FAULTS: [Fault; 5] = [Fault::Refuse, Fault::LoseAnswer, Fault::Delay, Fault::HalfClose, Fault::Silence];
/// Pause between two deeds, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 400..2_000;

/// What a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// A node and its database.
    Database,
    /// The participants of a node and their ledger.
    Ledger,
    /// A node and its participants.
    Participants,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    KillServer,
    KillNode,
    StopNode,
    Spoil(Between, Fault),
}

impl Deed {
    /// Everything that is done before anything is done again, some of it more than once.
    fn all() -> Vec<Self> {
        let mut all = [Self::KillServer, Self::KillNode, Self::StopNode].repeat(2);
        for between in [Between::Database, Between::Ledger, Between::Participants] {
            all.extend(FAULTS.map(|fault| Self::Spoil(between, fault)));
        }
        all
    }

    /// In words, for people.
    fn words(self) -> String {
        let (between, fault) = match self {
            Self::KillServer => return "the server was killed".to_owned(),
            Self::KillNode => return "a node was killed".to_owned(),
            Self::StopNode => return "a node was stopped for longer than its lease and went on".to_owned(),
            Self::Spoil(between, fault) => (between, fault),
        };
        let what = match fault {
            Fault::None | Fault::LoseRequest => "nothing happened",
            Fault::LoseAnswer => "an answer was lost",
            Fault::Refuse => "connections were cut and refused",
            Fault::Delay => "connections were slow",
            Fault::Silence => "connections fell silent",
            Fault::HalfClose => "a connection was half closed",
        };
        match between {
            Between::Database => format!("{what} before the database"),
            Between::Ledger => format!("{what} before the ledger"),
            Between::Participants => format!("{what} before the participants"),
        }
    }
}

/// Connections that are bad.
#[derive(Clone, Copy)]
struct Bad {
    between: Between,
    fault: Fault,
    /// At least until then, and until something has met it or nothing has for long.
    until: Instant,
}

/// One node with its ways.
struct Place {
    node: Node,
    to_database: Proxy,
    to_ledger: Proxy,
    to_participants: Proxy,
    /// Stopped until then.
    stopped: Option<Instant>,
    bad: Option<Bad>,
}

impl Place {
    fn proxy(&self, between: Between) -> &Proxy {
        match between {
            Between::Database => &self.to_database,
            Between::Ledger => &self.to_ledger,
            Between::Participants => &self.to_participants,
        }
    }
}

pub(super) struct Nemesis {
    chance: StdRng,
    cluster: Cluster,
    places: Vec<Place>,
    started: usize,
    next: Instant,
    /// What is still to come in this round, the next one last.
    deck: Vec<Deed>,
    done: BTreeMap<String, u32>,
}

fn order(ways: [&Proxy; 3], number: usize) -> Order {
    let [database, ledger, participants] = ways.map(|proxy| proxy.port);
    let url = |port| format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    Order {
        url: url(database),
        ledger_url: url(ledger),
        participants_port: participants,
        name: format!("node-{number}"),
        lease_ms: LEASE_MS,
    }
}

impl Nemesis {
    pub(super) async fn new(seed: u64, cluster: Cluster, participants_port: u16) -> Self {
        let mut places = Vec::new();
        for number in 0..NODES {
            let to_database = Proxy::before(cluster.port).await;
            let to_ledger = Proxy::before(cluster.port).await;
            let to_participants = Proxy::before(participants_port).await;
            let node = Node::start(&order([&to_database, &to_ledger, &to_participants], number));
            places.push(Place { node, to_database, to_ledger, to_participants, stopped: None, bad: None });
        }
        let chance = StdRng::seed_from_u64(seed);
        let next = Instant::now() + Duration::from_secs(1);
        let (deck, done) = (Vec::new(), BTreeMap::new());
        Self { chance, cluster, places, started: NODES, next, deck, done }
    }

    /// Waits until a node has registered what it runs.
    pub(super) async fn wait_for_definitions(&self, way: &Way) {
        let (sql, all) = ("select count(*) from amends.current_definition", drafts().len() as i64);
        crate::harness::eventually("the definitions are registered", async || way.count(sql).await == all).await;
    }

    /// What was done, and how often.
    pub(super) fn deeds(&self) -> String {
        let deeds: Vec<String> = self.done.iter().map(|(deed, times)| format!("{times} times {deed}")).collect();
        deeds.join(", ")
    }

    /// What it promises and has not done.
    pub(super) fn undone(&self) -> Vec<String> {
        let mut undone: Vec<String> = Deed::all().into_iter().map(Deed::words).collect();
        undone.sort();
        undone.dedup();
        undone.retain(|deed| !self.done.contains_key(deed));
        undone
    }

    /// Whether each thing that can go wrong has gone wrong.
    pub(super) fn has_done_everything(&self) -> bool {
        self.undone().is_empty()
    }

    /// Does something, if it is time, and ends what has lasted long enough.
    pub(super) async fn next(&mut self) {
        self.mend(false);
        if Instant::now() < self.next {
            return;
        }
        if self.deck.is_empty() {
            self.deck = Deed::all();
            self.deck.shuffle(&mut self.chance);
        }
        let Some(deed) = self.deck.last().copied() else { return };
        if self.begin(deed).await {
            self.deck.pop();
            self.next = Instant::now() + Duration::from_millis(self.chance.random_range(PAUSE_MS));
        }
    }

    /// Begins a deed; not, if there is nobody whom it could befall now. What lasts is counted when it is over.
    async fn begin(&mut self, deed: Deed) -> bool {
        let befalls = |place: &Place| match deed {
            Deed::KillServer => true,
            Deed::KillNode | Deed::StopNode => place.stopped.is_none(),
            Deed::Spoil(..) => place.bad.is_none(),
        };
        let open: Vec<usize> = (0..self.places.len()).filter(|number| befalls(&self.places[*number])).collect();
        if open.is_empty() {
            return false;
        }
        let pick = open[self.chance.random_range(0..open.len())];
        match deed {
            Deed::KillServer => {
                self.kill_server().await;
                self.count(deed);
            }
            Deed::KillNode => {
                self.kill_node(pick);
                self.count(deed);
            }
            Deed::StopNode => {
                let place = &mut self.places[pick];
                place.node.signal(libc::SIGSTOP);
                place.stopped = Some(Instant::now() + STOPPED);
            }
            Deed::Spoil(between, fault) => {
                let place = &mut self.places[pick];
                place.proxy(between).next(fault);
                place.bad = Some(Bad { between, fault, until: Instant::now() + BAD });
            }
        }
        true
    }

    fn count(&mut self, deed: Deed) {
        *self.done.entry(deed.words()).or_default() += 1;
    }

    fn mend(&mut self, at_once: bool) {
        let mut done = Vec::new();
        for place in &mut self.places {
            let is_over = |until: Instant| until <= Instant::now();
            if let Some(until) = place.stopped.filter(|until| at_once || is_over(*until)) {
                place.node.signal(libc::SIGCONT);
                place.stopped = None;
                done.extend(is_over(until).then_some(Deed::StopNode));
            }
            if let Some(Bad { between, fault, until }) = place.bad {
                let was_met = place.proxy(between).was_met();
                if at_once || is_over(until) && (was_met || is_over(until + UNMET_MAX)) {
                    place.proxy(between).next(Fault::None);
                    place.bad = None;
                    done.extend(was_met.then_some(Deed::Spoil(between, fault)));
                }
            }
            assert!(!place.node.has_ended(), "{} ended by itself", place.node.name);
        }
        done.into_iter().for_each(|deed| self.count(deed));
    }

    /// Kills a node; another takes its place.
    fn kill_node(&mut self, pick: usize) {
        let place = &mut self.places[pick];
        place.node.kill();
        place.stopped = None;
        let ways = [&place.to_database, &place.to_ledger, &place.to_participants];
        place.node = Node::start(&order(ways, self.started));
        self.started += 1;
    }

    /// Kills the server with all that it has in memory, and starts it again.
    async fn kill_server(&mut self) {
        self.cluster.kill();
        tokio::time::sleep(Duration::from_millis(self.chance.random_range(50..1_000))).await;
        self.cluster.run_until_it_stays().await;
    }

    /// Ends all misfortune; what had not lasted long enough does not count.
    pub(super) async fn calm(&mut self) {
        self.mend(true);
        drop(self.cluster.ready().await);
    }
}
