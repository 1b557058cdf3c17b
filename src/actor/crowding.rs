//! Which tables are full of dead rows that vacuum cannot remove, because somebody holds an old snapshot. Owns what the
//! last look found; writing a table anew is the store's.

use std::collections::HashMap;

use crate::config::actor as limits;
use crate::store::Rows;

/// What is known of the tables.
#[derive(Debug, Default)]
pub(super) struct Crowding(HashMap<String, Known>);

#[derive(Debug)]
struct Known {
    dead: u64,
    vacuums: u64,
    /// Vacuum came, and left most of the dead rows.
    in_vain: bool,
}

impl Crowding {
    /// Takes in a look, and names the tables to write anew: those that a vacuum since the last look has left full,
    /// and since then, as long as nothing emptied them. Where much is alive the table waits for vacuum.
    pub(super) fn look(&mut self, rows: Vec<Rows>) -> Vec<String> {
        let mut crowded = Vec::new();
        for Rows { table, live, dead, vacuums } in rows {
            let is_full = dead >= limits::CROWDED_DEAD_MIN;
            let in_vain = is_full
                && self.0.get(&table).is_some_and(|before| match vacuums == before.vacuums {
                    true => before.in_vain,
                    false => dead >= before.dead / 2,
                });
            if in_vain && live <= limits::CROWDED_LIVE_MAX {
                crowded.push(table.clone());
            }
            self.0.insert(table, Known { dead, vacuums, in_vain });
        }
        crowded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u64 = limits::CROWDED_DEAD_MIN;

    fn rows(live: u64, dead: u64, vacuums: u64) -> Vec<Rows> {
        vec![Rows { table: "saga".to_owned(), live, dead, vacuums }]
    }

    /// Looks one after the other, each as dead rows and vacuums, and whether the last finds the table crowded.
    fn is_crowded(looks: &[(u64, u64)]) -> bool {
        let mut crowding = Crowding::default();
        looks
            .iter()
            .map(|(dead, vacuums)| !crowding.look(rows(1, *dead, *vacuums)).is_empty())
            .last()
            .unwrap()
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
        assert!(!is_crowded(&[(9 * MANY, 0), (2 * MANY, 1)]), "what died since it came");
        assert!(
            !is_crowded(&[(MANY, 0), (MANY, 1), (0, 1), (MANY, 1)]),
            "written anew: the next vacuum is asked"
        );
        assert!(!is_crowded(&[(MANY, 0), (MANY, 1), (9 * MANY, 1), (MANY, 2)]), "the snapshot is gone");
    }

    #[test]
    fn a_table_with_much_to_keep_waits() {
        let mut crowding = Crowding::default();
        crowding.look(rows(1, MANY, 0));
        assert!(crowding.look(rows(limits::CROWDED_LIVE_MAX + 1, MANY, 1)).is_empty());
        assert_eq!(crowding.look(rows(limits::CROWDED_LIVE_MAX, MANY, 1)), ["saga"]);
    }
}
