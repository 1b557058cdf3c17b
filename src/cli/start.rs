//! `amends start`: starts a saga and, with `--wait`, waits for its end. Checks the input before the start.
//!
//! The node that claims the saga checks the input again.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::list::saga_json;
use super::output::{Output, clipped};
use super::time::span;
use super::{value, wait};
use crate::config::cli::VALUE_CHARS_MAX;
use crate::saga::Json;
use crate::saga::state::Status;
use crate::store::{SagaRow, StartOptions, Store};
use crate::trace::TraceParent;

/// Options of `amends start`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the definition.
    #[arg(value_name = "NAME")]
    definition: String,
    /// Input: JSON, @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    input: String,
    /// Idempotency key. The same key with the same input returns the first saga; with another input it is refused.
    #[arg(long)]
    key: Option<String>,
    /// Trace context of the caller, as a W3C traceparent. Stored with the saga and passed on in its calls.
    #[arg(long, value_name = "00-TRACE-SPAN-FLAGS", env = "TRACEPARENT")]
    traceparent: Option<TraceParent>,
    /// Waits until the saga ends: exit code 0 if completed, 1 if compensated, abandoned or stuck.
    #[arg(long)]
    wait: bool,
    /// Longest wait, such as 30s. After it, the exit code is 6. Default: no limit.
    #[arg(long, value_name = "TIME", value_parser = value::duration, requires = "wait")]
    timeout: Option<Duration>,
}

/// Starts a saga.
pub(super) fn run(args: &Args, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let input = value::json("--input", &args.input)?;
    database.run(Schema::Current, async |store| {
        check(store, &args.definition, &input).await?;
        let trace = args.traceparent.map(|position| position.to_string());
        let options =
            StartOptions { key: args.key.as_deref(), traceparent: trace.as_deref(), ..StartOptions::default() };
        let id = store.start_with(&args.definition, &input, options).await?;
        if !args.wait {
            return started(id, output);
        }
        output.remark(&format!("started {id}"));
        match wait::for_halt(store, id, args.timeout).await? {
            Some(saga) => halted(&saga, output),
            None => {
                let limit = span(args.timeout.map_or(0, millis));
                let message = format!("saga {id} has not ended within {limit}; it continues");
                Err(Failure::new(Exit::Unanswered, message))
            }
        }
    })
}

fn started(id: Uuid, output: &Output) -> Result<Exit, Failure> {
    if output.is_json() {
        output.value(&json!({ "id": id }))?;
    } else {
        output.line(&id.to_string())?;
    }
    Ok(Exit::Done)
}

fn halted(saga: &SagaRow, output: &Output) -> Result<Exit, Failure> {
    if output.is_json() {
        let mut value = saga_json(saga);
        value["result"] = saga.result.as_ref().map_or(Value::Null, Json::to_value);
        output.value(&value)?;
    } else {
        let result = saga.result.as_ref().map_or("", Json::get);
        let line = format!("{} {}", saga.status, clipped(result, VALUE_CHARS_MAX));
        output.line(line.trim_end())?;
        if saga.status != Status::Completed {
            output.remark(&format!("for the reason: amends show {}", saga.id));
        }
    }
    Ok(if saga.status == Status::Completed { Exit::Done } else { Exit::Failed })
}

/// Checks the input against the input schema of the current definition. Reports every fault.
async fn check(store: &Store, name: &str, input: &Json) -> Result<(), Failure> {
    let Some(definition) = store.current_definition(name).await? else {
        return Err(unknown(store, name).await?);
    };
    // If this version cannot read the draft, the node decides.
    let Ok(definition) = definition.build() else { return Ok(()) };
    definition.check_input(input).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure::usage(format!("the input does not fit definition {name}:{}", faults.concat()))
    })
}

async fn unknown(store: &Store, name: &str) -> Result<Failure, Failure> {
    let definitions = store.definitions().await?;
    let mut names: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let known = match names.as_slice() {
        [] => "none is registered yet; a node registers its definitions at its start: amends serve".to_owned(),
        names => format!("registered are {}", names.join(", ")),
    };
    Ok(Failure::new(Exit::NotFound, format!("there is no definition {name:?}; {known}")))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
