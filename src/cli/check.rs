//! `amends check`: checks definitions and settings before they run. Owns the report.
//!
//! Leaves finding the faults to the catalog.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use super::failure::{Exit, Failure};
use super::output::{Output, lines};
use crate::catalog::{self, DEFINITION_SCHEMA, Environment, SETTINGS_SCHEMA};

/// Options of `amends check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, folders (their *.yaml and *.yml) and patterns of definitions and settings.
    #[arg(value_name = "FILES", required_unless_present = "schema")]
    files: Vec<PathBuf>,
    /// Prints the JSON Schema of a file format for editors, instead of a check.
    #[arg(long, value_name = "FORMAT", conflicts_with = "files")]
    schema: Option<Format>,
}

/// A file format.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A saga's definition.
    Definition,
    /// A node's settings.
    Settings,
}

/// Runs `amends check`. The exit code is 1 if there is a fault.
pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match args.schema {
        Some(Format::Definition) => return printed(DEFINITION_SCHEMA, output),
        Some(Format::Settings) => return printed(SETTINGS_SCHEMA, output),
        None => {}
    }
    let report = catalog::check(&args.files, &Environment::of_process());
    let (files, fine, definitions) = (report.files, report.files_fine, report.definitions);
    let faults = report.faults.as_slice();
    if output.is_json() {
        let value = json!({
            "files": files, "files_fine": fine, "definitions": definitions, "faults": faults, "advice": report.advice,
        });
        output.value(&value)?;
    } else {
        for fault in faults {
            output.remark(&fault.to_string());
        }
        for advice in report.advice.as_slice() {
            output.remark(&format!("advice: {advice}"));
        }
        let files = if files == 1 { "1 file is".to_owned() } else { format!("{files} files are") };
        output.line(&lines(&match faults.len() {
            0 => format!("{files} fine, with {definitions} definitions"),
            1 => format!("{fine} of {} fine; 1 fault", files),
            count => format!("{fine} of {} fine; {count} faults", files),
        }))?;
    }
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Failed })
}

fn printed(schema: &str, output: &Output) -> Result<Exit, Failure> {
    output.line(schema.trim_end())?;
    Ok(Exit::Done)
}
