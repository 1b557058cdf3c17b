//! `amends cancel | retry | skip | resolve | pause | resume | abandon | approve | deny | provide | evict | rerun-from`:
//! asks something of a saga. Owns the options of each verb and the report of its fate; the saga decides, by the law of
//! the core.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::Output;
use super::time::span;
use super::value;
use super::wait;
use crate::saga::event::{Finding, Request};
use crate::store::{SignalFate, Store};

/// What every verb takes.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The saga.
    #[arg(value_name = "ID")]
    saga: Uuid,
    /// How long to wait for the saga's answer; then exit code 6, and the request stands.
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "10s")]
    timeout: Duration,
}

/// A verb that needs no more than a reason.
#[derive(Debug, Args)]
pub(super) struct Saga {
    #[command(flatten)]
    asked: Asked,
    /// Why; kept in the journal.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends abandon`.
#[derive(Debug, Args)]
pub(super) struct Abandon {
    #[command(flatten)]
    asked: Asked,
    /// Why; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// `amends evict`.
#[derive(Debug, Args)]
pub(super) struct Evict {
    #[command(flatten)]
    asked: Asked,
    /// Why; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// `amends rerun-from`.
#[derive(Debug, Args)]
pub(super) struct Rerun {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step from which on everything is done anew.
    step: String,
    /// Why; kept in the journal of the new saga.
    #[arg(long)]
    reason: String,
}

/// `amends retry`.
#[derive(Debug, Args)]
pub(super) struct Retry {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Tries under a new idempotency key, for a participant that repeats its refusal under the old one. Refused while
    /// the call is in doubt.
    #[arg(long)]
    new_key: bool,
    /// Why; kept in the journal.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends skip`.
#[derive(Debug, Args)]
pub(super) struct Skip {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Output that the step shall have: JSON, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON", default_value = "null")]
    output: String,
    /// Why; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// `amends resolve`.
#[derive(Debug, Args)]
pub(super) struct Resolve {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// What was found.
    finding: Found,
    /// The output that the lost answer would have carried, if applied: JSON, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON")]
    output: Option<String>,
    /// How many attempts there were when you looked, as `amends show` says: refused if there was another one since.
    #[arg(long, value_name = "N")]
    attempts: Option<u32>,
    /// How this is known; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// What became of a call in doubt.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Found {
    /// The effect is in place.
    Applied,
    /// The effect is not there and cannot land any more.
    Absent,
}

/// `amends provide`.
#[derive(Debug, Args)]
pub(super) struct Provide {
    #[command(flatten)]
    asked: Asked,
    /// Name of the event.
    event: String,
    /// Output of the step that waits for it: JSON, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON", default_value = "null")]
    payload: String,
}

/// `amends approve`.
#[derive(Debug, Args)]
pub(super) struct Approve {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Digest of what the step shows, from `amends show`; anything else is refused.
    #[arg(long, value_name = "DIGEST")]
    digest: String,
    /// Why; kept in the journal.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends deny`.
#[derive(Debug, Args)]
pub(super) struct Deny {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Why; kept in the journal.
    #[arg(long, default_value = "")]
    reason: String,
}

impl Approve {
    pub(super) fn request(self) -> (Asked, Request) {
        (self.asked, Request::Approve { step: self.step, digest: self.digest, reason: self.reason })
    }
}

impl Deny {
    pub(super) fn request(self) -> (Asked, Request) {
        (self.asked, Request::Deny { step: self.step, reason: self.reason })
    }
}

impl Saga {
    pub(super) fn cancel(self) -> (Asked, Request) {
        (self.asked, Request::Cancel { reason: self.reason })
    }

    pub(super) fn pause(self) -> (Asked, Request) {
        (self.asked, Request::Pause { reason: self.reason })
    }

    pub(super) fn resume(self) -> (Asked, Request) {
        (self.asked, Request::Resume { reason: self.reason })
    }
}

impl Abandon {
    pub(super) fn request(self) -> (Asked, Request) {
        (self.asked, Request::Abandon { reason: self.reason })
    }
}

impl Retry {
    pub(super) fn request(self) -> (Asked, Request) {
        (self.asked, Request::Retry { step: self.step, new_key: self.new_key, reason: self.reason })
    }
}

impl Skip {
    pub(super) fn request(self) -> Result<(Asked, Request), Failure> {
        let output = value::json("--output", &self.output)?;
        Ok((self.asked, Request::Skip { step: self.step, output, reason: self.reason }))
    }
}

impl Resolve {
    pub(super) fn request(self) -> Result<(Asked, Request), Failure> {
        let finding = match (self.finding, self.output) {
            (Found::Applied, output) => {
                Finding::Applied { output: value::json("--output", output.as_deref().unwrap_or("null"))? }
            }
            (Found::Absent, None) => Finding::Absent,
            (Found::Absent, Some(_)) => {
                return Err(Failure::usage("an absent effect has no output; leave --output out"));
            }
        };
        Ok((self.asked, Request::Resolve { step: self.step, finding, attempts: self.attempts, reason: self.reason }))
    }
}

impl Provide {
    pub(super) fn request(self) -> Result<(Asked, Request), Failure> {
        let payload = value::json("--payload", &self.payload)?;
        Ok((self.asked, Request::Provide { event: self.event, payload }))
    }
}

/// Asks, waits for the answer and reports it.
pub(super) fn run(
    (asked, request): (Asked, Request),
    database: &DatabaseArgs,
    output: &Output,
) -> Result<Exit, Failure> {
    let verb = request.verb();
    database.run(Schema::Current, async |store| {
        let signal = store.signal(asked.saga, &request).await?;
        report(store, &asked, verb, signal, output).await
    })
}

/// Takes a saga from the node that has it.
pub(super) fn evict(args: Evict, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Evict { asked, reason } = args;
    database.run(Schema::Current, async |store| {
        let signal = store.evict(asked.saga, &reason).await?;
        report(store, &asked, "evict", signal, output).await
    })
}

/// Asks for a new saga that goes on from a step of one that has ended.
pub(super) fn rerun(args: Rerun, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Rerun { asked, step, reason } = args;
    let of = asked.saga;
    database.run(Schema::Current, async |store| {
        let id = store.rerun_from(of, &step, &reason).await?;
        match wait::for_rerun(store, id, asked.timeout).await? {
            Some(Ok(())) => {}
            Some(Err(reason)) => return Err(Failure::new(Exit::Refused, reason)),
            None => {
                let message = format!(
                    "no node has answered in time; saga {id} begins when one does that can run it (amends serve)"
                );
                return Err(Failure::new(Exit::Unanswered, message));
            }
        }
        if output.is_json() {
            output.value(&json!({ "id": id, "of": of, "from": step }))?;
        } else {
            output.line(&format!("saga {id} goes on from step {step} of saga {of}"))?;
        }
        Ok(Exit::Done)
    })
}

/// Waits for the fate of a signal and says what it is.
async fn report(store: &Store, asked: &Asked, verb: &str, signal: u64, output: &Output) -> Result<Exit, Failure> {
    let id = asked.saga;
    match wait::for_fate(store, id, signal, asked.timeout).await? {
        Some(SignalFate::Applied) => {}
        Some(SignalFate::Refused(reason)) => return Err(Failure::new(Exit::Refused, reason)),
        Some(SignalFate::Moot) => {
            return Err(Failure::new(Exit::Refused, "the saga ended before it was seen"));
        }
        None => {
            let limit = span(u64::try_from(asked.timeout.as_millis()).unwrap_or(u64::MAX));
            let message = format!(
                "no node has answered within {limit}; {verb} stands as signal {signal} of saga {id} and is \
                 decided when a node takes the saga (amends serve)"
            );
            return Err(Failure::new(Exit::Unanswered, message));
        }
    }
    let status = store.saga(id).await?.map(|saga| saga.status);
    if output.is_json() {
        let fate = "applied";
        let value = json!({ "id": id, "verb": verb, "signal": signal, "fate": fate, "status": status });
        output.value(&value)?;
    } else {
        let status = status.map_or("gone", |status| status.as_str());
        output.line(&format!("{verb} applied; saga {id} is {status}"))?;
    }
    Ok(Exit::Done)
}
