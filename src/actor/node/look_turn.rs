//! When a node without sagas looks: nodes that claim the same definitions stand in for each other, so they look in turn
//! and each of them more rarely. Owns the arithmetic; `maintenance/lookout.rs` looks, and a beat counts the peers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::actor as limits;
use crate::saga::definition::Millis;
use crate::store::Peers;

/// The turn of this node among its peers.
#[derive(Debug, Default)]
pub struct LookTurn(Mutex<Peers>);

impl LookTurn {
    /// Takes the peers that a beat counted.
    pub(crate) fn told(&self, peers: Peers) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    /// Returns the pause until this node's next turn, at the database's time `now`. `LOOK_MOST_MS` without peers.
    pub(crate) fn pause(&self, now: Millis) -> Duration {
        let peers = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(pause_ms(peers, now))
    }
}

/// The turns follow the database's clock, so that the nodes agree on them without a word. A look that came a little
/// early, since the clock was corrected, does not make the node look twice in its turn.
fn pause_ms(Peers { earlier, later }: Peers, now: Millis) -> Millis {
    if earlier + later == 0 {
        return limits::LOOK_MOST_MS;
    }
    let turns = (earlier + later + 1).min(limits::LOOK_TURNS_MAX);
    let period = turns * limits::LOOK_TURN_MS;
    let until = period - (now + period - earlier % turns * limits::LOOK_TURN_MS) % period;
    if until < limits::LOOK_TURN_MS / 4 { until + period } else { until }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of the looks of `nodes` peers that begin at odd moments, over ten seconds.
    fn looks(nodes: u64) -> Vec<Millis> {
        let mut looks = Vec::new();
        for node in 0..nodes {
            let most = u64::try_from(crate::config::store::LOOK_PEERS_MAX).unwrap();
            let peers = Peers { earlier: node.min(most), later: (nodes - 1 - node).min(most) };
            let mut at = 1_700_000_000_000 + node * 37;
            while at < 1_700_000_010_000 {
                at += pause_ms(peers, at);
                looks.push(at);
                // It looks a little late.
                at += node % 3;
            }
        }
        looks.sort_unstable();
        looks
    }

    #[test]
    fn peers_look_in_turn_and_a_start_waits_no_longer_than_for_one_node() {
        for nodes in [1, 2, 3, 5, 8, 10, 40] {
            let looks = looks(nodes);
            let settled = |at: &&Millis| **at > 1_700_000_002_000 && **at < 1_700_000_010_000;
            let settled: Vec<Millis> = looks.iter().filter(settled).copied().collect();
            let widest = settled.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            let most = if nodes == 1 { limits::LOOK_MOST_MS } else { limits::LOOK_TURN_MS + 5 };
            assert!(widest <= most, "{nodes} nodes: a start waits {widest} ms");
            let each = settled.len() as u64 / nodes;
            let least = limits::LOOK_TURNS_MAX.min(nodes.max(2)) * limits::LOOK_TURN_MS;
            assert!(each <= 8_000 / least + 1, "{nodes} nodes: each looked {each} times in 8 s");
        }
    }

    #[test]
    fn a_node_does_not_look_twice_in_one_turn() {
        let peers = Peers { earlier: 1, later: 2 };
        assert_eq!(pause_ms(peers, 1_000 + 125), 500);
        assert_eq!(pause_ms(peers, 1_000 + 125 - 20), 520, "it looked a little early");
        assert_eq!(pause_ms(peers, 1_000 + 125 + 20), 480);
        assert_eq!(pause_ms(peers, 1_000), 125);
    }
}
