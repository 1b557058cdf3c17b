//! Variants of the batch statement. Each leaves out the parts that no row of the batch needs: Postgres sets up and
//! tears down every part of a statement, even one with nothing to do, and that is most of the cost of a small batch.
//! Owns the marks in `commit.sql`; `batch_columns.rs` tells which shape a batch has.

use super::statement::Sql;

/// Lets a journal row in only once. It costs a look-up before each row and a confirmation after it, so a first send
/// goes without it. If a row exists then, the send fails, and the batch is sent again with this clause.
const ONCE: &str = "    on conflict (id, seq) do nothing\n";

/// The statement with all its parts.
pub(super) const COMMIT: Sql = sql!("transition", "commit");

/// What a batch has besides plain journal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Starts with an idempotency key.
    pub(super) keyed: bool,
    /// Sagas to create.
    pub(super) created: bool,
    /// Sagas that end.
    pub(super) ended: bool,
    /// Journal rows with a link.
    pub(super) linked: bool,
    /// Rare parts: new statuses, answered signals, events for the outbox.
    pub(super) aside: bool,
}

impl Shape {
    /// Returns the statement for batches of this shape; `again` if some of the rows may exist already.
    pub(super) fn statement(self, again: bool) -> String {
        let mut needed = true;
        let mut text = String::with_capacity(COMMIT.text.len());
        for line in COMMIT.text.lines() {
            match line.strip_prefix("-- [") {
                Some(part) => needed = self.needs(part),
                None if line == "-- ]" => needed = true,
                None if needed => text.extend([line, "\n"]),
                None => {}
            }
        }
        if again { text } else { without_conflicts(&text) }
    }

    fn needs(self, part: &str) -> bool {
        match part {
            "keyed" => self.keyed,
            "created" => self.created,
            "ended" => self.ended,
            "linked" => self.linked,
            // The mark `aside`; a test below checks that there are no others.
            _ => self.aside,
        }
    }
}

/// Returns a statement without its look-up for existing journal rows.
pub(super) fn without_conflicts(statement: &str) -> String {
    statement.replacen(ONCE, "", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_can_do_without_its_look_for_conflicts() {
        let all = Shape { keyed: true, created: true, ended: true, linked: true, aside: true };
        assert_eq!(COMMIT.text.matches(ONCE).count(), 1);
        assert_eq!(all.statement(true).len() - ONCE.len(), all.statement(false).len());
        let keyed = "on conflict (name, key) do nothing";
        assert!(all.statement(false).contains(keyed), "keys of starts are always looked for");
    }

    #[test]
    fn what_no_row_needs_is_left_out() {
        let plain = Shape::default().statement(false);
        for table in ["start_key", "saga ", "saga_done", "signal", "outbox"] {
            assert!(!plain.contains(&format!("amends.{table}")), "{table} in {plain}");
        }
        assert!(plain.contains("insert into amends.journal") && plain.contains("for update"));
        let mut marks = COMMIT.text.lines().filter_map(|line| line.strip_prefix("-- ["));
        assert!(marks.all(|mark| ["keyed", "created", "ended", "linked", "aside"].contains(&mark)));
        assert_eq!(COMMIT.text.matches("\n-- [").count(), COMMIT.text.matches("\n-- ]\n").count());
    }
}
