//! Failure injection of `amends demo --chaos`, at random from the seed of the run. Owns the order of the failures,
//! their counts, and cutting connections. `processes.rs` kills and stops nodes; `Embedded` kills
//! Postgres.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::ledger::{self, LedgerError};
use super::node_url::NODE;
use super::processes::{Stage, StageError};
use crate::config::demo::{CHAOS_PAUSE, STOPPED};
use crate::postgres::Embedded;

/// A kind of injected failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Kills a node and starts another in its place.
    Kill,
    /// Stops a node for longer than its lease, then continues it.
    Stop,
    /// Cuts all connections between nodes and database.
    Cut,
    /// Kills Postgres with all of its processes; it is started again.
    Crash,
}

/// A planned failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dealt {
    trouble: Trouble,
    /// Selects the node among those that run.
    pick: u64,
    /// Time until the next failure.
    pause: Duration,
}

/// Counts of injected failures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Troubles {
    /// Nodes killed.
    pub(super) nodes_killed: u32,
    /// Nodes stopped for longer than their lease, then continued.
    pub(super) nodes_stopped: u32,
    /// Connections of nodes that were cut.
    pub(super) connections_cut: u64,
    /// How often Postgres was killed.
    pub(super) postgres_killed: u32,
}

impl Troubles {
    /// Returns whether a call under way may have lost its caller or its ledger.
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}

/// Injects failures.
pub(super) struct Chaos<'a> {
    chance: StdRng,
    /// Failures left of this round, the next one last. Each kind comes once a round.
    deck: Vec<Dealt>,
    /// The Postgres that may be killed, if it is the demo's own.
    server: Option<&'a Embedded>,
    due: Instant,
}

impl<'a> Chaos<'a> {
    pub(super) fn begin(seed: u64, server: Option<&'a Embedded>) -> Self {
        let mut chaos = Self { chance: StdRng::seed_from_u64(seed), deck: Vec::new(), server, due: Instant::now() };
        chaos.due = Instant::now() + chaos.pause();
        chaos
    }

    /// Continues nodes that were stopped for long enough, and injects a failure if one is due. Returns its
    /// description for the terminal. A failure stays due if it is not possible now: the database is away, or no node
    /// runs.
    pub(super) async fn next(
        &mut self,
        made: &mut Troubles,
        stage: &mut Stage,
        database_url: &str,
    ) -> Result<Option<String>, StageError> {
        made.nodes_stopped += stage.continue_nodes(STOPPED);
        if Instant::now() < self.due {
            return Ok(None);
        }
        let Some(dealt) = self.top() else { return Ok(None) };
        let done = match dealt.trouble {
            Trouble::Kill => {
                let killed = stage.kill_node(dealt.pick).await?;
                if killed.is_some() {
                    made.nodes_killed += 1;
                    stage.add_node(database_url)?;
                }
                killed.map(|name| format!("{name} was killed"))
            }
            Trouble::Stop => {
                stage.stop_node(dealt.pick).map(|name| format!("{name} is stopped for {} s", STOPPED.as_secs()))
            }
            Trouble::Cut => cut(database_url).await.ok().filter(|cut| *cut > 0).map(|cut| {
                made.connections_cut += cut;
                format!("{cut} connections to the database were cut")
            }),
            Trouble::Crash => self.server.filter(|server| server.crash()).map(|_| {
                made.postgres_killed += 1;
                "Postgres was killed".to_owned()
            }),
        };
        if done.is_some() {
            self.deck.pop();
            self.due = Instant::now() + dealt.pause;
        }
        Ok(done)
    }

    /// Returns how many of `checkouts` may have been started by now. The starts are spread over the first round, so
    /// that no run ends before each kind of failure has occurred.
    pub(super) fn share(&self, made: Troubles, checkouts: usize) -> usize {
        let nodes = [made.nodes_killed > 0, made.nodes_stopped > 0, made.connections_cut > 0];
        let kinds = nodes.into_iter().chain(self.server.map(|_| made.postgres_killed > 0));
        let (all, had) = kinds.fold((0, 0), |(all, had), was| (all + 1, had + usize::from(was)));
        if had == all { checkouts } else { (checkouts * (had + 1)).div_ceil(all + 1) }
    }

    /// Returns the next failure; plans another round if none is left.
    fn top(&mut self) -> Option<Dealt> {
        if self.deck.is_empty() {
            let mut troubles = vec![Trouble::Kill, Trouble::Stop, Trouble::Cut];
            troubles.extend(self.server.map(|_| Trouble::Crash));
            troubles.shuffle(&mut self.chance);
            for trouble in troubles {
                let dealt = Dealt { trouble, pick: self.chance.random(), pause: self.pause() };
                self.deck.push(dealt);
            }
        }
        self.deck.last().copied()
    }

    fn pause(&mut self) -> Duration {
        self.chance.random_range(CHAOS_PAUSE)
    }
}

/// Cuts the connections of all nodes, except those younger than 2 s. Returns their number.
async fn cut(database_url: &str) -> Result<u64, LedgerError> {
    let (config, tls) = ledger::config(database_url)?.into_parts();
    let (client, connection) = config.connect(tls).await?;
    let connection = tokio::spawn(connection);
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and application_name = $1
                 and backend_start < now() - interval '2 s'";
    let row = client.query_one(sql, &[&NODE]).await?;
    drop(client);
    // The connection ends with its client; its result does not matter.
    let _ = connection.await;
    Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkouts_are_spread_over_the_first_round() {
        let chaos = Chaos::begin(7, None);
        let mut made = Troubles::default();
        assert_eq!(chaos.share(made, 100), 25);
        made.connections_cut = 6;
        made.nodes_killed = 2;
        assert_eq!(chaos.share(made, 100), 75);
        made.nodes_stopped = 1;
        assert_eq!(chaos.share(made, 100), 100);
        assert_eq!(chaos.share(Troubles::default(), 1), 1);
    }

    fn rounds(seed: u64) -> Vec<Dealt> {
        let mut chaos = Chaos::begin(seed, None);
        let mut deal = || {
            let dealt = chaos.top().unwrap();
            chaos.deck.pop();
            dealt
        };
        (0..30).map(|_| deal()).collect()
    }

    #[test]
    fn the_seed_alone_decides_and_each_trouble_has_its_turn() {
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
        for round in rounds(7).chunks(3) {
            for trouble in [Trouble::Kill, Trouble::Stop, Trouble::Cut] {
                assert!(round.iter().any(|dealt| dealt.trouble == trouble), "{trouble:?} in {round:?}");
            }
            // A Postgres that is not the demo's own is never killed.
            assert!(round.iter().all(|dealt| dealt.trouble != Trouble::Crash), "{round:?}");
        }
    }
}
