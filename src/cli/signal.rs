//! `amends cancel | retry | skip | resolve | pause | resume | abandon | approve | deny | provide | evict |
//! rerun-from`: sends a request to a saga. Owns the options of each verb and the report of the decision.
//!
//! Leaves the decision to the saga, by the rules of the core.

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

/// Arguments of every verb.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The saga.
    #[arg(value_name = "ID")]
    saga: Uuid,
    /// Longest wait for the saga's answer. After it, the exit code is 6 and the request stands.
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "10s")]
    timeout: Duration,
}

/// Arguments of a verb that takes only a reason.
#[derive(Debug, Args)]
pub(crate) struct Saga {
    #[command(flatten)]
    asked: Asked,
    /// Why; kept in the journal.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends abandon`.
#[derive(Debug, Args)]
pub(crate) struct Abandon {
    #[command(flatten)]
    asked: Asked,
    /// Why; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// `amends evict`.
#[derive(Debug, Args)]
pub(crate) struct Evict {
    #[command(flatten)]
    asked: Asked,
    /// Why; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// `amends rerun-from`.
#[derive(Debug, Args)]
pub(crate) struct Rerun {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step from which everything runs again.
    step: String,
    /// Why; kept in the journal of the new saga.
    #[arg(long)]
    reason: String,
}

/// `amends retry`.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Retries under a new idempotency key, for a participant that repeats its refusal under the old key. Refused
    /// while the call is in doubt.
    #[arg(long)]
    new_key: bool,
    /// Why; kept in the journal.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends skip`.
#[derive(Debug, Args)]
pub(crate) struct Skip {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Output to record for the step: JSON, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON", default_value = "null")]
    output: String,
    /// Why; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// `amends resolve`.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Outcome that you found.
    finding: Found,
    /// Output of the lost answer, if applied: JSON, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON")]
    output: Option<String>,
    /// Number of attempts when you looked, from `amends show`. Refused if there was another attempt since.
    #[arg(long, value_name = "N")]
    attempts: Option<u32>,
    /// How you know; kept in the journal.
    #[arg(long)]
    reason: String,
}

/// Outcome of a call in doubt.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Found {
    /// The effect is in place.
    Applied,
    /// The effect is not there and cannot land later.
    Absent,
}

/// `amends provide`.
#[derive(Debug, Args)]
pub(crate) struct Provide {
    #[command(flatten)]
    asked: Asked,
    /// Name of the event.
    event: String,
    /// Output of the step that waits for the event: JSON, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON", default_value = "null")]
    payload: String,
}

/// `amends approve`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    asked: Asked,
    /// Name of the step.
    step: String,
    /// Digest of the request that the step shows, from `amends show`. Any other digest is refused.
    #[arg(long, value_name = "DIGEST")]
    digest: String,
    /// Why; kept in the journal.
    #[arg(long, default_value = "")]
    reason: String,
}

/// `amends deny`.
#[derive(Debug, Args)]
pub(crate) struct Deny {
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

/// Sends a request, waits for the answer and reports it.
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

/// Evicts a saga from its node.
pub(super) fn evict(args: Evict, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let Evict { asked, reason } = args;
    database.run(Schema::Current, async |store| {
        let signal = store.evict(asked.saga, &reason).await?;
        report(store, &asked, "evict", signal, output).await
    })
}

/// Starts a new saga that continues an ended saga from one of its steps.
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
                    "no node has answered in time; saga {id} begins when a node that can run it answers (amends serve)"
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

/// Waits until a signal is decided and reports the decision.
async fn report(store: &Store, asked: &Asked, verb: &str, signal: u64, output: &Output) -> Result<Exit, Failure> {
    let id = asked.saga;
    match wait::for_fate(store, id, signal, asked.timeout).await? {
        Some(SignalFate::Applied) => {}
        Some(SignalFate::Refused(reason)) => return Err(Failure::new(Exit::Refused, reason)),
        Some(SignalFate::Moot) => {
            return Err(Failure::new(Exit::Refused, "the saga ended before it saw the request"));
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
