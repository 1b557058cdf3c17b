//! `amends migrate`: brings the schema of the database up to date, verifies it, or prints the migrations.
//!
//! Leaves the migrations to the store.

use serde_json::json;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::Output;
use crate::store::{SCHEMA_VERSION, migrations_text};

/// Options of `amends migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints all migrations as SQL, for running them by hand; touches no database.
    #[arg(long)]
    print: bool,
    /// Only verifies that the schema is up to date: exit code 3 if it is not.
    #[arg(long, conflicts_with = "print")]
    verify: bool,
}

/// Runs `amends migrate`.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    if args.print {
        let text = migrations_text();
        if output.is_json() {
            output.value(&json!({ "schema_version": SCHEMA_VERSION, "sql": text }))?;
        } else {
            output.line(text.trim_end())?;
        }
        return Ok(Exit::Done);
    }
    let applied = database.run(Schema::Any, async |store| {
        if args.verify {
            store.verify_schema().await?;
            return Ok(Vec::new());
        }
        Ok(store.migrate_again().await?)
    })?;
    if output.is_json() {
        output.value(&json!({ "schema_version": SCHEMA_VERSION, "applied": applied }))?;
    } else if applied.is_empty() {
        output.line(&format!("the schema is up to date (version {SCHEMA_VERSION})"))?;
    } else {
        let applied: Vec<String> = applied.iter().map(ToString::to_string).collect();
        let applied = applied.join(", ");
        output.line(&format!("applied {applied}; the schema is now at version {SCHEMA_VERSION}"))?;
    }
    Ok(Exit::Done)
}
