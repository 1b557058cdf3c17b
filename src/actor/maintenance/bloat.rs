//! Finds tables full of dead rows that vacuum cannot remove because a session holds an old snapshot, and has them
//! rewritten. Leaves the rewrite to the store (`store/compact.rs`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::periodic::Chore;
use crate::actor::node::context::Node;
use crate::config::actor as limits;
use crate::metrics;
use crate::store::{Error, Rows};

/// Looks for bloated tables and has them rewritten, one after the other.
pub(crate) struct Compactor {
    node: Arc<Node>,
    bloat: Bloat,
    bloated: Vec<String>,
}

impl Compactor {
    /// Creates the compactor of this node.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, bloat: Bloat::default(), bloated: Vec::new() }
    }

    /// Looks at the tables; returns the pause before the next look or the first rewrite.
    async fn look(&mut self) -> Result<Duration, Error> {
        let rows = self.node.store.count_rows().await?;
        for one in &rows {
            metrics::COMPACTIONS.with([one.table.clone().into()]).increment(0);
        }
        self.bloated = self.bloat.look(rows);
        Ok(self.pause())
    }

    async fn rewrite(&mut self, table: String) -> Result<Duration, Error> {
        // A try counts as failed until it succeeds. A failure does not delay other tables.
        self.bloat.tried(&table, false);
        if let Some(done) = self.node.store.compact(&table).await? {
            self.bloat.tried(&table, true);
            tracing::info!(table, bytes = done.before, "rewrote the table: vacuum could not remove its dead rows");
            metrics::COMPACTIONS.with([table.into()]).increment(1);
        }
        Ok(self.pause())
    }

    fn pause(&self) -> Duration {
        match self.bloated.is_empty() {
            true => Duration::from_millis(limits::CROWDED_LOOK_MS),
            false => Duration::ZERO,
        }
    }
}

impl Chore for Compactor {
    const NAME: &'static str = "compaction";
    const PLACES: [&'static str; 2] = ["compactor: started", "compactor: stopped"];

    async fn round(&mut self) -> Result<Duration, Error> {
        match self.bloated.pop() {
            Some(table) => self.rewrite(table).await,
            None => self.look().await,
        }
    }
}

/// What is known of each table.
#[derive(Debug, Default)]
struct Bloat(HashMap<String, Known>);

#[derive(Debug, Default)]
struct Known {
    dead: u64,
    vacuums: u64,
    users: Vec<String>,
    /// Set if vacuum has run and left most of the dead rows.
    in_vain: bool,
    /// Number of looks to skip.
    pause: u32,
    /// Number of looks that the next failure skips.
    next_pause: u32,
}

impl Bloat {
    /// Takes the counts of a look, and returns the tables to rewrite. A table qualifies once a vacuum since the last
    /// look has left most of its dead rows, at least `CROWDED_DEAD_MIN`, and for as long as nothing empties it. A
    /// table with many live rows waits for vacuum. A table with a transaction that was already using it at the last
    /// look waits for that transaction.
    fn look(&mut self, rows: Vec<Rows>) -> Vec<String> {
        rows.into_iter().filter_map(|one| self.is_due(&one).then_some(one.table)).collect()
    }

    fn is_due(&mut self, now: &Rows) -> bool {
        let is_new = !self.0.contains_key(&now.table);
        let known = self.0.entry(now.table.clone()).or_default();
        let was_left_full = now.vacuums > known.vacuums && now.dead >= known.dead / 2;
        let went_on = now.vacuums == known.vacuums && known.in_vain;
        known.in_vain = !is_new && now.dead >= limits::CROWDED_DEAD_MIN && (was_left_full || went_on);
        let is_free = !now.users.iter().any(|user| known.users.contains(user));
        (known.dead, known.vacuums, known.users) = (now.dead, now.vacuums, now.users.clone());
        let has_passed = known.pause == 0;
        known.pause = known.pause.saturating_sub(1);
        known.in_vain && is_free && has_passed && now.live <= limits::CROWDED_LIVE_MAX
    }

    /// Records a rewrite or a failed try. After a failure the table is left alone for some looks, twice as many each
    /// time, up to `CROWDED_LOOKS_PASSED_MAX`.
    fn tried(&mut self, table: &str, is_done: bool) {
        if let Some(known) = self.0.get_mut(table) {
            known.pause = if is_done { 0 } else { known.next_pause };
            let next = (2 * known.next_pause).clamp(1, limits::CROWDED_LOOKS_PASSED_MAX);
            known.next_pause = if is_done { 0 } else { next };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u64 = limits::CROWDED_DEAD_MIN;

    fn rows(dead: u64, vacuums: u64) -> Rows {
        Rows { table: "saga".to_owned(), live: 1, dead, vacuums, users: Vec::new() }
    }

    /// Runs looks, each given as dead rows and vacuums; returns whether the last one finds the table crowded.
    fn is_crowded(looks: &[(u64, u64)]) -> bool {
        let mut bloat = Bloat::default();
        looks.iter().map(|(dead, vacuums)| bloat.is_due(&rows(*dead, *vacuums))).last().unwrap()
    }

    #[test]
    fn a_table_is_crowded_once_vacuum_has_left_most_of_its_dead_rows() {
        assert!(is_crowded(&[(MANY, 0), (MANY + 5, 1)]));
        assert!(is_crowded(&[(MANY, 0), (MANY, 1), (2 * MANY, 1)]), "it stays so until something empties it");
        assert!(!is_crowded(&[(MANY, 7)]), "one look says nothing of what vacuum did");
        assert!(!is_crowded(&[(MANY, 0), (2 * MANY, 0), (3 * MANY, 0)]), "no vacuum came");
        assert!(!is_crowded(&[(MANY, 0), (MANY - 1, 1)]), "there are few");
    }

    #[test]
    fn what_vacuum_removes_is_left_to_it() {
        assert!(!is_crowded(&[(9 * MANY, 0), (2 * MANY, 1)]), "these rows died after the vacuum");
        assert!(!is_crowded(&[(MANY, 0), (MANY, 1), (0, 1), (MANY, 1)]), "rewritten: the next vacuum decides");
        assert!(!is_crowded(&[(MANY, 0), (MANY, 1), (9 * MANY, 1), (MANY, 2)]), "the snapshot is gone");
    }

    #[test]
    fn a_table_with_much_to_keep_or_in_use_all_the_while_waits() {
        let mut bloat = Bloat::default();
        bloat.is_due(&rows(MANY, 0));
        assert!(!bloat.is_due(&Rows { live: limits::CROWDED_LIVE_MAX + 1, ..rows(MANY, 1) }));
        let used_by = |users: &[&str]| Rows { users: users.iter().map(ToString::to_string).collect(), ..rows(MANY, 1) };
        assert!(bloat.is_due(&used_by(&["1/2", "3/4"])), "used by batches, and each batch ends");
        assert!(!bloat.is_due(&used_by(&["1/3", "3/4"])), "used by a dump, or by a transaction that is left open");
        assert!(bloat.is_due(&used_by(&["1/4"])));
    }

    #[test]
    fn a_table_that_could_not_be_written_anew_is_left_alone_ever_longer() {
        let mut bloat = Bloat::default();
        bloat.is_due(&rows(MANY, 0));
        let mut tries = Vec::new();
        for look in 0..300 {
            if bloat.is_due(&rows(MANY, 1)) {
                tries.push(look);
                bloat.tried("saga", false);
            }
        }
        assert_eq!(tries, [0, 1, 3, 6, 11, 20, 37, 70, 135, 200, 265]);
        bloat.tried("saga", true);
        assert!(bloat.is_due(&rows(MANY, 1)));
    }
}
