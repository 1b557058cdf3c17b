//! The `amends` program: reads the command line and runs a verb, the demo or the bench. Each program owns its options
//! and its output.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::database::DatabaseArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::{bench, cli, demo};

/// An embedded saga runtime on Postgres: multi-step work that ends whole or without net effect.
#[derive(Debug, Parser)]
#[command(name = "amends", version, after_help = cli::EXIT_CODES)]
struct Amends {
    #[command(flatten)]
    options: cli::Options,
    #[command(subcommand)]
    program: Program,
}

#[derive(Debug, Subcommand)]
enum Program {
    #[command(flatten)]
    Verb(cli::Verb),
    // Help lists the demo before `postgres`, and the bench before `check`.
    /// Runs hundreds of checkouts with faults and a killed node, then audits all effects.
    #[command(display_order = 31)]
    Demo(demo::DemoArgs),
    /// Runs one participant of the demo.
    #[command(hide = true)]
    DemoParticipant(demo::ParticipantArgs),
    /// Measures how many sagas a second this machine and this Postgres can run.
    #[command(display_order = 27)]
    Bench(bench::Args),
    /// Runs one node of the bench.
    #[command(hide = true)]
    BenchNode(bench::NodeArgs),
}

/// Runs the program with the arguments of this process and returns its exit code.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let parsed = Amends::command().try_get_matches_from(&args);
    let parsed = parsed.and_then(|matches| Ok((Amends::from_arg_matches(&matches)?, matches)));
    let (Amends { options, program }, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error, args.iter().any(|arg| arg == "--json")),
    };
    let output = Output::new(options.json);
    let database = &options.database;
    let exit = match program {
        Program::Verb(verb) => cli::run(verb, database, &output),
        Program::Demo(args) => demo::run(&args, &typed(database, &matches), &output),
        Program::DemoParticipant(args) => demo::participant(args),
        Program::Bench(args) => bench::run(&args, database, &output),
        Program::BenchNode(args) => bench::run_node(args, database),
    };
    match exit {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Returns the options of the database without those that come from the environment. A demo leaves hundreds of sagas
/// behind, so it takes place in an application's database only if the command line itself says so.
fn typed(database: &DatabaseArgs, matches: &ArgMatches) -> DatabaseArgs {
    let places = || std::iter::once(matches).chain(matches.subcommand().map(|(_, matches)| matches));
    let is_typed = |name: &str| places().any(|place| place.value_source(name) == Some(ValueSource::CommandLine));
    DatabaseArgs {
        database_url: database.database_url.clone().filter(|_| is_typed("database_url")),
        config: database.config.clone().filter(|_| is_typed("config")),
        ..database.clone()
    }
}

/// Prints a message of clap: help goes to stdout with exit code 0, an error to stderr with exit code 2.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let text = text.trim().trim_start_matches("error: ");
        Output::new(true).failure(&Failure::usage(text));
    } else {
        // If even this cannot be printed, there is nothing left to do.
        let _ = error.print();
    }
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Amends::command().debug_assert();
    }
}
