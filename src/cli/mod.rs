//! The command line: one file per verb. Owns the options, the output for operators and the exit codes.
//!
//! Leaves the work of each verb to the rooms below.

mod bulk;
mod check;
pub(crate) mod database;
mod doctor;
mod erase;
mod explain;
pub(crate) mod failure;
pub(crate) mod interrupt;
mod list;
mod log;
mod mcp;
mod memory;
mod migrate;
pub(crate) mod output;
mod postgres;
mod serve;
mod show;
mod signal;
mod start;
mod time;
mod token;
mod value;
mod verify;
mod wait;

use clap::Subcommand;

use database::DatabaseArgs;
use failure::{Exit, Failure};
use output::Output;

/// Part of `--help` about exit codes and errors as JSON.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  the work failed: a saga did not complete, a check found faults, an audit failed
    2  usage: unknown option, missing argument, malformed value
    3  the database cannot be reached or used
    4  not found: no such saga, definition or step
    5  refused: the verb is not legal in this state, or a key was used with another input
    6  no answer in time; the request may still take effect
  130  interrupted

With --json, the answer is one JSON value on stdout. An error is one JSON object on stderr:
    {\"error\": {\"code\": \"not_found\", \"message\": \"...\"}}";

/// Options of every verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Writes JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

/// The verbs of an installation.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs a node: claims sagas and executes them until SIGTERM.
    Serve(serve::Args),
    /// Serves sagas as MCP tools on stdin and stdout, for hosts such as Claude Code, Cursor and VS Code.
    Mcp(mcp::Args),
    /// Creates, lists and revokes the tokens of MCP callers.
    #[command(subcommand)]
    Token(token::Verb),
    /// Starts a saga; with --wait, waits for its end.
    Start(start::Args),
    /// Lists sagas, newest first.
    List(list::Args),
    /// Shows a saga in full: every attempt, outcome, probe and compensation.
    Show(show::Args),
    /// Cancels a saga and compensates what it did.
    Cancel(signal::Saga),
    /// Retries a step now, with a new budget of attempts.
    Retry(signal::Retry),
    /// Marks a step as done without a call, or a stuck compensation as done by hand.
    Skip(signal::Skip),
    /// Records the outcome of a call in doubt: applied or absent.
    Resolve(signal::Resolve),
    /// Pauses a saga: it starts no call until it is resumed.
    Pause(signal::Saga),
    /// Resumes a paused saga.
    Resume(signal::Saga),
    /// Ends a saga in its current state, without compensation.
    Abandon(signal::Abandon),
    /// Approves the request that a step shows.
    Approve(signal::Approve),
    /// Denies the request that a step shows; the step fails without an effect.
    Deny(signal::Deny),
    /// Provides an event that a step waits for, now or later.
    Provide(signal::Provide),
    /// Sends one request to many sagas of a definition, oldest first.
    Bulk(bulk::Bulk),
    /// Pauses a definition: no node claims its sagas until it is resumed.
    PauseDefinition(bulk::Pause),
    /// Resumes a definition: nodes claim its sagas again.
    ResumeDefinition(bulk::Resume),
    /// Drains a node: it claims no more sagas and hands over the sagas that it runs.
    DrainNode(bulk::Drain),
    /// Ends the drain of a node: it claims sagas again.
    UndrainNode(bulk::Undrain),
    /// Evicts a saga from its node; another node continues it.
    Evict(signal::Evict),
    /// Starts a new saga that continues an ended saga from one of its steps.
    RerunFrom(signal::Rerun),
    /// Erases the payloads of ended sagas; states and times stay.
    Erase(erase::Erasure),
    /// Verifies chained journals: finds rows that were changed, removed, inserted or moved.
    Verify(verify::Verification),
    /// Checks definitions and settings; reports every fault with file, line and path.
    Check(check::Args),
    /// Shows what each answer of a participant means for each step of a definition.
    Explain(explain::Args),
    /// Checks the installation and says how to fix each problem.
    Doctor(doctor::Args),
    /// Brings the database's schema up to date.
    Migrate(migrate::Args),
    /// Runs the embedded Postgres in the foreground and prints its URL, for psql and other programs.
    Postgres(postgres::Args),
}

/// Executes a verb.
pub(crate) fn run(verb: Verb, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    match verb {
        Verb::Serve(args) => serve::run(&args, database, output),
        Verb::Mcp(args) => mcp::run(args, database),
        Verb::Token(verb) => token::run(verb, database, output),
        Verb::Start(args) => start::run(&args, database, output),
        Verb::List(args) => list::run(args, database, output),
        Verb::Show(args) => show::run(&args, database, output),
        Verb::Cancel(args) => signal::run(args.cancel(), database, output),
        Verb::Retry(args) => signal::run(args.request(), database, output),
        Verb::Skip(args) => signal::run(args.request()?, database, output),
        Verb::Resolve(args) => signal::run(args.request()?, database, output),
        Verb::Pause(args) => signal::run(args.pause(), database, output),
        Verb::Resume(args) => signal::run(args.resume(), database, output),
        Verb::Abandon(args) => signal::run(args.request(), database, output),
        Verb::Approve(args) => signal::run(args.request(), database, output),
        Verb::Deny(args) => signal::run(args.request(), database, output),
        Verb::Provide(args) => signal::run(args.request()?, database, output),
        Verb::Bulk(args) => bulk::bulk(args, database, output),
        Verb::PauseDefinition(args) => bulk::pause(&args, database, output),
        Verb::ResumeDefinition(args) => bulk::resume(&args, database, output),
        Verb::DrainNode(args) => bulk::drain(&args, database, output),
        Verb::UndrainNode(args) => bulk::undrain(&args, database, output),
        Verb::Evict(args) => signal::evict(args, database, output),
        Verb::RerunFrom(args) => signal::rerun(args, database, output),
        Verb::Erase(args) => erase::run(&args, database, output),
        Verb::Verify(args) => verify::run(&args, database, output),
        Verb::Check(args) => check::run(&args, output),
        Verb::Explain(args) => explain::run(&args, database, output),
        Verb::Doctor(args) => doctor::run(&args, database, output),
        Verb::Migrate(args) => migrate::run(&args, database, output),
        Verb::Postgres(args) => postgres::run(&args, database, output),
    }
}
