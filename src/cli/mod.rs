//! The verbs of an installation, one a file. Owns what an operator types and sees, and the exit codes; the rooms below do
//! what a verb asks.

mod bulk;
mod check;
pub(crate) mod database;
mod doctor;
mod explain;
pub(crate) mod failure;
pub(crate) mod interrupt;
mod list;
mod log;
mod mcp;
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
mod wait;

use clap::Subcommand;

use database::DatabaseArgs;
use failure::{Exit, Failure};
use output::Output;

/// What `--help` says of exit codes and of errors as JSON.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  the thing itself failed: the saga did not complete, faults were found, an audit did not hold
    2  usage: unknown option, missing argument, malformed value
    3  the database cannot be reached or used
    4  not found: no such saga, definition or step
    5  refused: the verb is not legal in this state, or a key is taken by another input
    6  no answer in time; what was asked for may still happen
  130  interrupted

With --json the answer is one JSON value on stdout, and an error one JSON object on stderr:
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
    /// Runs a node: takes sagas and carries them out, until SIGTERM.
    Serve(serve::Args),
    /// Serves sagas as MCP tools on the standard streams, for hosts such as Claude Code, Cursor and VS Code.
    Mcp(mcp::Args),
    /// Makes, lists and revokes the tokens of those who call over MCP.
    #[command(subcommand)]
    Token(token::Verb),
    /// Starts a saga, and waits for its end with --wait.
    Start(start::Args),
    /// Lists sagas, newest first.
    List(list::Args),
    /// Shows all that is known of a saga: every attempt, outcome, probe and compensation.
    Show(show::Args),
    /// Turns a saga back: what was done is compensated.
    Cancel(signal::Saga),
    /// Tries a step again now, with a fresh budget of attempts.
    Retry(signal::Retry),
    /// Takes a step for done without calling it, or a stuck compensation for done by hand.
    Skip(signal::Skip),
    /// Says what became of a call in doubt.
    Resolve(signal::Resolve),
    /// Starts nothing new in a saga until it is resumed.
    Pause(signal::Saga),
    /// Goes on after a pause.
    Resume(signal::Saga),
    /// Closes a saga by hand, as it is.
    Abandon(signal::Abandon),
    /// Approves what a step shows.
    Approve(signal::Approve),
    /// Denies what a step asks; the saga turns back.
    Deny(signal::Deny),
    /// Provides an event for which a step waits, or will.
    Provide(signal::Provide),
    /// Asks the same of many sagas of a definition, oldest first.
    Bulk(bulk::Bulk),
    /// Lets no node take up a saga of a definition.
    PauseDefinition(bulk::Pause),
    /// Lets nodes take up sagas of a definition again.
    ResumeDefinition(bulk::Resume),
    /// Tells a node to take no more sagas and to hand over those that it has.
    DrainNode(bulk::Drain),
    /// Lets a node take sagas again.
    UndrainNode(bulk::Undrain),
    /// Takes a saga from the node that has it; another goes on.
    Evict(signal::Evict),
    /// Begins a new saga that goes on from a step of one that has ended.
    RerunFrom(signal::Rerun),
    /// Checks definitions and settings, and names every fault with file, line and path.
    Check(check::Args),
    /// Says what becomes of each step of a definition by each answer of its participant.
    Explain(explain::Args),
    /// Says what is wrong with the installation, and what to do about it.
    Doctor(doctor::Args),
    /// Brings the database's schema up to date.
    Migrate(migrate::Args),
    /// Runs the embedded Postgres in the foreground and prints its URL, for psql and other programs.
    Postgres(postgres::Args),
}

/// Carries out a verb.
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
        Verb::Check(args) => check::run(&args, output),
        Verb::Explain(args) => explain::run(&args, database, output),
        Verb::Doctor(args) => doctor::run(&args, database, output),
        Verb::Migrate(args) => migrate::run(&args, database, output),
        Verb::Postgres(args) => postgres::run(&args, database, output),
    }
}
