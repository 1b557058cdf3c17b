//! The demo's report: a table for people, a JSON object for programs. Owns the words. The numbers come from `run.rs`
//! and the audit.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::presets;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::{Breach, Violation};
use super::chaos::Troubles;
use super::fault::Fault;
use crate::config::demo::VIOLATIONS_PRINTED_MAX;

/// Result of a demo.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// Seed of the faults.
    pub(super) seed: u64,
    /// Checkouts started.
    pub(super) sagas: usize,
    /// Checkouts with every effect in place.
    pub(super) completed: usize,
    /// Checkouts without net effect.
    pub(super) compensated: usize,
    /// Checkouts that need a person.
    pub(super) stuck: usize,
    /// Faults by kind.
    pub(super) faults: BTreeMap<Fault, usize>,
    /// Injected failures of nodes, connections and Postgres.
    pub(super) troubles: Troubles,
    /// Sagas that were stuck because too many nodes died during them, and were retried after chaos.
    pub(super) retried: usize,
    /// Reach of chaos; none without `--chaos`.
    pub(super) chaos: Option<Reach>,
    /// Restarts of the CRM after a crash; nodes restart their payments servers by themselves.
    pub(super) crm_restarts: u32,
    /// Counts from the journals.
    pub(super) told: Told,
    /// A saga worth a look: a compensated one if any, else the first.
    pub(super) example: Option<Uuid>,
    /// Every broken promise.
    pub(super) violations: Vec<Violation>,
    /// Time from the start of the demo to the end of the audit.
    pub(super) wall: Duration,
}

/// What chaos may disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nodes and connections: Postgres is not the demo's own.
    Nodes,
    /// Postgres too.
    Postgres,
}

/// Counts from the journals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// Calls of actions and compensations.
    pub(super) attempts: usize,
    /// Attempts with an unknown outcome, including those lost with their process.
    pub(super) unknown: usize,
    /// Probes that found the effect of a call in doubt.
    pub(super) applied: usize,
    /// Probes that found no effect.
    pub(super) absent: usize,
    /// Sagas that another node took over in mid-run.
    pub(super) taken_over: usize,
}

const LEFT_ALONE: &str = "Postgres was left alone: it is not this demo's own. To have it killed too, leave out \
                          --database-url and use a --data-dir that no other process uses";

impl Report {
    /// Returns whether every promise was kept.
    pub(super) fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    fn breaches(&self, breach: Breach) -> usize {
        self.violations.iter().filter(|violation| violation.breach == breach).count()
    }

    fn faults_injected(&self) -> usize {
        self.faults.values().sum()
    }

    /// Returns the object for programs.
    pub(super) fn to_json(&self) -> Value {
        let faults: serde_json::Map<_, _> =
            self.faults.iter().map(|(fault, count)| (fault.as_str().to_owned(), (*count).into())).collect();
        json!({
            "sagas": self.sagas,
            "completed": self.completed,
            "compensated": self.compensated,
            "stuck": self.stuck,
            "unfinished": self.breaches(Breach::Unfinished),
            "faults_injected": self.faults_injected(),
            "faults": faults,
            "nodes_killed": self.troubles.nodes_killed,
            "nodes_stopped": self.troubles.nodes_stopped,
            "connections_cut": self.troubles.connections_cut,
            "put_aside_and_retried": self.retried,
            // Null: Postgres was left alone, because it is not the demo's own or there was no chaos.
            "postgres_killed": (self.chaos == Some(Reach::Postgres)).then_some(self.troubles.postgres_killed),
            "sagas_taken_over": self.told.taken_over,
            "participant_restarts": self.crm_restarts,
            "attempts": self.told.attempts,
            "unknown_outcomes": self.told.unknown,
            "lost_effects": self.breaches(Breach::Lost),
            "doubled_effects": self.breaches(Breach::Doubled),
            "orphaned_effects": self.breaches(Breach::Orphaned),
            "unexplained": self.breaches(Breach::Unexplained),
            "example": self.example,
            "seed": self.seed,
            "wall_s": (self.wall.as_secs_f64() * 1000.0).round() / 1000.0,
        })
    }

    /// Returns the lines for people: broken promises, the table, the verdict.
    pub(super) fn to_lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.violations.iter().take(VIOLATIONS_PRINTED_MAX).map(ToString::to_string).collect();
        let more = self.violations.len().saturating_sub(VIOLATIONS_PRINTED_MAX);
        if more > 0 {
            lines.push(format!("... and {more} more"));
        }
        lines.push(self.table().to_string());
        if self.chaos == Some(Reach::Nodes) {
            lines.push(LEFT_ALONE.to_owned());
        }
        let (lost, doubled, orphaned) =
            (self.breaches(Breach::Lost), self.breaches(Breach::Doubled), self.breaches(Breach::Orphaned));
        lines.push(format!("audit: {lost} lost, {doubled} doubled, {orphaned} orphaned effects"));
        let others = self.violations.len() - lost - doubled - orphaned;
        if others > 0 {
            lines.push(format!("       {others} sagas unfinished, or stuck without a reason"));
        }
        lines
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        let mut row = |name: &str, count: usize| {
            table.add_row([name.to_owned(), count.to_string()]);
        };
        row("checkouts", self.sagas);
        row("  completed", self.completed);
        row("  compensated", self.compensated);
        row("  stuck", self.stuck);
        row("faults injected", self.faults_injected());
        for (fault, count) in &self.faults {
            row(&format!("  {}", fault.title()), *count);
        }
        row("recoveries", self.told.unknown + self.told.taken_over);
        row("  unknown outcomes resolved", self.told.unknown);
        row("  sagas taken over from a dead node", self.told.taken_over);
        row("nodes killed", self.troubles.nodes_killed as usize);
        if self.chaos.is_some() {
            row("nodes stopped longer than their lease", self.troubles.nodes_stopped as usize);
            row("connections cut", self.troubles.connections_cut as usize);
            row("sagas stuck after lone trials, then retried", self.retried);
        }
        if self.chaos == Some(Reach::Postgres) {
            row("Postgres killed", self.troubles.postgres_killed as usize);
        }
        row("crashes of the CRM", self.crm_restarts as usize);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(breach: Breach) -> Violation {
        Violation { breach, saga: None, booking: "B-1".to_owned(), text: "found".to_owned() }
    }

    #[test]
    fn programs_and_people_are_told_the_same() {
        let report = Report {
            seed: 7,
            sagas: 3,
            completed: 2,
            compensated: 1,
            faults: BTreeMap::from([(Fault::Slow, 2), (Fault::Crash, 1)]),
            violations: vec![violation(Breach::Lost), violation(Breach::Unfinished), violation(Breach::Lost)],
            ..Report::default()
        };
        let json = report.to_json();
        for (name, expected) in
            [("sagas", 3), ("faults_injected", 3), ("lost_effects", 2), ("doubled_effects", 0), ("seed", 7)]
        {
            assert_eq!(json[name], expected, "{name}");
        }
        assert!(!report.holds());
        let text = report.to_lines().join("\n");
        assert!(text.contains("audit: 2 lost, 0 doubled, 0 orphaned effects"), "{text}");
        assert!(text.contains("lost: B-1: found"), "{text}");
        assert!(text.contains("1 sagas unfinished"), "{text}");
    }

    #[test]
    fn what_chaos_left_alone_is_said() {
        let troubles = Troubles { nodes_stopped: 3, postgres_killed: 2, ..Troubles::default() };
        for (chaos, killed, left_alone) in
            [(None, None, false), (Some(Reach::Nodes), None, true), (Some(Reach::Postgres), Some(2), false)]
        {
            let report = Report { troubles, chaos, ..Report::default() };
            assert_eq!(report.to_json()["postgres_killed"].as_u64(), killed, "{chaos:?}");
            let text = report.to_lines().join("\n");
            assert_eq!(text.contains("Postgres was left alone"), left_alone, "{text}");
            assert_eq!(text.contains("nodes stopped"), chaos.is_some(), "{text}");
        }
    }

    #[test]
    fn a_flood_of_violations_is_cut() {
        let report = Report { violations: vec![violation(Breach::Orphaned); 1_000], ..Report::default() };
        assert!(report.to_lines().len() < VIOLATIONS_PRINTED_MAX + 10);
        assert_eq!(report.to_json()["orphaned_effects"], 1_000);
    }
}
