//! `amends doctor`: checks the installation and says how to fix each problem. Owns the printing, the comparison of
//! the clocks and the exit code.
//!
//! Leaves the other checks to the view `amends.checkup`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, harmless};
use crate::store::{Finding, SCHEMA_VERSION};

/// Largest difference of the clocks without a warning, in milliseconds. Sagas use the clock of the database.
const CLOCK_APART_MS: u64 = 2_000;

/// Options of `amends doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs `amends doctor`. The exit code is 1 if a finding is a fault.
pub(super) fn run(_args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let mut findings = database.run(Schema::Current, async |store| {
        let mut findings = vec![Finding {
            subject: "schema".to_owned(),
            level: "ok".to_owned(),
            found: format!("version {SCHEMA_VERSION}, as this program expects"),
            remedy: None,
        }];
        findings.push(Finding {
            subject: "sessions".to_owned(),
            level: "ok".to_owned(),
            found: "each connection keeps its own server process".to_owned(),
            remedy: None,
        });
        findings.push(store.protection().await?);
        findings.push(clock(store.clock().await?));
        findings.extend(store.checkup().await?);
        Ok(findings)
    })?;
    let weight = |finding: &Finding| match finding.level.as_str() {
        "fault" => 0,
        "warning" => 1,
        _ => 2,
    };
    findings.sort_by_key(weight);
    let is_well = findings.iter().all(|finding| finding.level != "fault");
    if output.is_json() {
        let findings: Vec<_> = findings
            .iter()
            .map(|one| json!({ "subject": one.subject, "level": one.level, "found": one.found, "remedy": one.remedy }))
            .collect();
        output.value(&json!({ "ok": is_well, "findings": findings }))?;
    } else {
        for one in &findings {
            output.line(&format!("{:<8} {}: {}", one.level, one.subject, harmless(&one.found)))?;
            if let Some(remedy) = &one.remedy {
                output.line(&format!("{:<8} -> {remedy}", ""))?;
            }
        }
    }
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}

/// Compares the clock of the database with the clock of this machine.
fn clock(database_ms: u64) -> Finding {
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let here_ms = u64::try_from(here.as_millis()).unwrap_or(u64::MAX);
    let apart = here_ms.abs_diff(database_ms);
    let far = apart > CLOCK_APART_MS;
    Finding {
        subject: "clock".to_owned(),
        level: if far { "warning" } else { "ok" }.to_owned(),
        found: format!("the clocks of the database and this machine differ by {apart} ms"),
        remedy: far.then(|| "sagas use the database clock, logs use the machine clock: run NTP on both".to_owned()),
    }
}
