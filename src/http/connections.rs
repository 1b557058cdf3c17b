//! All connections of one HTTP server: how many there may be in total and of one address, and which one makes room for
//! a new one. A connection whose request is being answered never does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::connection::{Connection, Phase};
use crate::config::http::{CONNECTIONS_MAX, CONNECTIONS_PART_OF_ADDRESS, CONNECTIONS_PART_OF_FILES};
use crate::files;
use crate::metrics;
use crate::peer::Peer;

/// The connections of one server, in the order in which they came.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    most_of_peer: usize,
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, Rc<Connection>>>,
    gauge: ::metrics::Gauge,
}

impl Connections {
    /// Creates the registry, for as many connections as the process's limit of open files allows.
    pub(super) fn within_limits() -> Self {
        let files = files::limit().map_or(usize::MAX, |limit| usize::try_from(limit.soft).unwrap_or(usize::MAX));
        Self::new((files / CONNECTIONS_PART_OF_FILES).clamp(2, CONNECTIONS_MAX))
    }

    fn new(most: usize) -> Self {
        let most_of_peer = (most / CONNECTIONS_PART_OF_ADDRESS).max(1);
        let gauge = metrics::CONNECTIONS.with([]);
        Self { most, most_of_peer, next: Cell::new(0), open: RefCell::default(), gauge }
    }

    /// Returns how many connections there may be.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Takes a new connection; none if there is no room for it. Another connection of the same address, or of the
    /// address that has most of them, makes room if nothing is owed to it.
    pub(super) fn admit(&self, peer: Peer) -> Option<(u64, Rc<Connection>)> {
        let (total, of_peer) = {
            let open = self.open.borrow();
            (open.len(), open.values().filter(|one| one.peer == peer).count())
        };
        let has_room = if of_peer >= self.most_of_peer {
            self.evict(Some(peer))
        } else {
            total < self.most || self.evict(self.greediest())
        };
        if !has_room {
            metrics::CONNECTIONS_CLOSED.with(["refused".into()]).increment(1);
            return None;
        }
        let id = self.next.get();
        self.next.set(id + 1);
        let connection = Rc::new(Connection::new(peer));
        self.open.borrow_mut().insert(id, Rc::clone(&connection));
        self.gauge.increment(1.0);
        Some((id, connection))
    }

    /// Forgets a connection that has ended.
    pub(super) fn ended(&self, id: u64) {
        if self.open.borrow_mut().remove(&id).is_some() {
            self.gauge.decrement(1.0);
        }
    }

    /// Closes the connection of this peer, or of any, to which the least is owed: one that is closed soon anyhow, else
    /// the one that has been idle longest, else the one that has been sending its request longest. Returns whether
    /// there is one.
    pub(super) fn evict(&self, peer: Option<Peer>) -> bool {
        let victim = {
            let open = self.open.borrow();
            let of_peer = open.iter().filter(|(_, one)| peer.is_none_or(|peer| one.peer == peer));
            let idle = of_peer.filter(|(_, one)| one.phase() != Phase::Answering);
            idle.min_by_key(|(_, one)| one.phase()).map(|(id, one)| (*id, Rc::clone(one)))
        };
        let Some((id, connection)) = victim else { return false };
        connection.over.notify_one();
        self.ended(id);
        metrics::CONNECTIONS_CLOSED.with(["evicted".into()]).increment(1);
        true
    }

    /// Closes all connections to which nothing is owed, and returns how many are left.
    pub(super) fn close_idle(&self) -> usize {
        while self.evict(None) {}
        self.open.borrow().len()
    }

    /// Returns the address with the most connections to which nothing is owed.
    fn greediest(&self) -> Option<Peer> {
        let open = self.open.borrow();
        let mut counts: HashMap<Peer, usize> = HashMap::new();
        for one in open.values().filter(|one| one.phase() != Phase::Answering) {
            *counts.entry(one.peer).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(peer, _)| peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> Peer {
        Peer::new([192, 0, 2, number].into())
    }

    #[test]
    fn an_address_gets_its_part_and_its_oldest_idle_connection_makes_room() {
        let all = Connections::new(8);
        let first: Vec<_> = (0..4).map(|_| all.admit(peer(1)).unwrap()).collect();
        first[0].1.head_arrived(false);
        let fifth = all.admit(peer(1)).unwrap();
        let ids: Vec<u64> = all.open.borrow().keys().copied().collect();
        assert_eq!(ids, [0, 2, 3, 4], "the first is being answered, so the second made room");
        // Once all of them are owed an answer, the address gets no further connection, and others do.
        [&first[2].1, &first[3].1, &fifth.1].into_iter().for_each(|one| one.head_arrived(false));
        assert!(all.admit(peer(1)).is_none() && all.admit(peer(2)).is_some());
    }

    #[test]
    fn of_a_full_server_the_address_with_most_connections_makes_room() {
        let all = Connections::new(4);
        for number in [1, 2, 2, 3] {
            all.admit(peer(number)).unwrap();
        }
        assert!(all.admit(peer(4)).is_some());
        let peers: Vec<Peer> = all.open.borrow().values().map(|one| one.peer).collect();
        assert_eq!(peers, [peer(1), peer(2), peer(3), peer(4)]);
        assert_eq!(all.close_idle(), 0);
    }
}
