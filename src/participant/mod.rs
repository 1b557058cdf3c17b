//! Calls participants (Rust handlers, MCP tools, HTTP APIs) and classifies their answers into outcomes. Also
//! evaluates expressions and templates. The saga core decides when to call.

mod arguments;
mod config;
mod default_rules;
mod definition_rules;
pub mod expr;
mod first_law;
mod handler;
mod http;
mod mcp;
mod reply;
mod scope;
mod secret;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

pub use config::{Answers, Limits, ParticipantConfig, Transport};
pub use default_rules::DefaultRule;
pub use definition_rules::{as_recorded, outcome_by_default, outcome_of_refusal, outcome_of_rule};
pub use handler::{Failure, Handlers, StepContext};
pub use mcp::KEY_META;
pub use scope::{NotificationContext, Scope};
pub use secret::{Filter, Secret};

use arguments::{bounded, request, tool_arguments};
use default_rules::DefaultRule as Rule;
use http::HttpParticipant;
use mcp::{Link, McpParticipant, Server};
use reply::Reply;

use crate::metrics;
use crate::place::{self, Places};
use crate::saga::definition::{Call, Draft, Effect, Errors, Millis, Notice, Probe, Step, Target, Template};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use crate::saga::{Fault, Json, silent_errors, silent_errors_of_step, unsound_rules, unsound_rules_of_step};
use crate::step_transaction::Transaction;

/// All handlers and participants that this process can call. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct Participants {
    inner: Arc<Inner>,
}

struct Inner {
    handlers: Handlers,
    remotes: BTreeMap<String, Remote>,
}

/// A participant outside this process.
struct Remote {
    wire: Wire,
    /// Limits the calls in flight from this process.
    places: Places,
    errors: Option<Errors>,
}

/// What a call needs besides its target.
struct Asked<'a> {
    timeout_ms: Millis,
    /// The idempotency key; none for a probe.
    key: Option<&'a str>,
    effect: Effect,
}

/// Why a receiver did not take a notice.
#[derive(Clone, Debug)]
pub struct NotReceived {
    /// The reason.
    pub error: Error,
    /// The pause that the receiver asked for.
    pub retry_after_ms: Option<Millis>,
}

impl From<Error> for NotReceived {
    fn from(error: Error) -> Self {
        Self { error, retry_after_ms: None }
    }
}

/// The client of a participant, by protocol.
enum Wire {
    Mcp(Box<McpParticipant>),
    Http(Box<HttpParticipant>),
}

/// A place among a participant's calls in flight. Dropping it frees the place.
#[derive(Debug, Default)]
pub struct Place(#[expect(dead_code, reason = "it is held, not read")] Option<place::Place>);

impl std::fmt::Debug for Participants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Participants")
            .field("handlers", &self.inner.handlers)
            .field("remotes", &self.inner.remotes.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Makes the HTTP client that participants use, for other parts of the program: no redirects, no retries, no proxy.
pub fn http_client() -> Result<reqwest::Client, String> {
    config::install_crypto();
    http::client().map_err(|error| format!("cannot make an HTTP client: {error}"))
}

impl Participants {
    /// Creates the participants from their settings. Opens no connection before the first call.
    ///
    /// `runtime` runs the connections to MCP servers, which outlive the task that opened them. The path of a fault
    /// looks like `participants.NAME.url`.
    pub fn new(configs: Vec<ParticipantConfig>, handlers: Handlers, runtime: &Handle) -> Result<Self, Vec<Fault>> {
        config::install_crypto();
        let mut remotes = BTreeMap::new();
        let mut faults = Vec::new();
        for config in configs {
            let path = format!("participants.{}", config.name);
            if remotes.contains_key(&config.name) {
                faults.push(Fault { path, message: "two participants have this name".into() });
                continue;
            }
            match wire(&config, &path, runtime) {
                Ok(wire) => {
                    let waiting = || metrics::PLACES_WAITING.with(["participant".into()]);
                    let places = Places::new(config.limits.concurrency_max, waiting);
                    let remote = Remote { wire, places, errors: config.answers.errors };
                    remotes.insert(config.name, remote);
                }
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(Self { inner: Arc::new(Inner { handlers, remotes }) }) } else { Err(faults) }
    }

    /// Waits until a target may be called. A participant takes at most `concurrency` calls at a time. An MCP server
    /// that has left a ping unanswered takes none. The wait has no limit and is not part of an attempt.
    pub async fn place(&self, target: &Target) -> Place {
        let remote = match target {
            Target::Handler { .. } => None,
            Target::Tool { participant, .. } | Target::Http { participant, .. } => self.inner.remotes.get(participant),
        };
        let Some(remote) = remote else { return Place(None) };
        let place = remote.places.take().await;
        if let Wire::Mcp(mcp) = &remote.wire {
            mcp.ready().await;
        }
        Place(Some(place))
    }

    /// Makes a call and returns its outcome and what decided it. Never panics, and never takes longer than the call's
    /// time-out. Take a [`place`](Self::place) first.
    ///
    /// If an expression fails or the arguments are too large, the call is a definite failure and nothing is sent.
    /// Dropping the future is safe; the effect of the call is then unknown.
    pub async fn execute(&self, call: &Call, scope: &Arc<Scope>) -> (Outcome, Option<DecidedBy>) {
        let asked = Asked { timeout_ms: call.timeout_ms, key: Some(&scope.key), effect: call.effect };
        let reply = self.inner.reply(&call.target, scope, asked).await;
        if reply.rule == Rule::OutOfFiles {
            // The call never left this node, so no rule of the definition judges it.
            let error = reply.error.unwrap_or_else(|| Error::new(Rule::OutOfFiles.word(), Rule::OutOfFiles.answer()));
            return (Outcome::retryable(error, None), Some(Rule::OutOfFiles.decided()));
        }
        definition_rules::outcome(call, scope, self.inner.errors(call), reply)
    }

    /// Calls the handler of a transactional call in an open transaction. Returns the outcome and what decided it. An
    /// attempt that does not succeed has no effect once its transaction is rolled back, so the outcome is never
    /// unknown or pending.
    pub async fn execute_within(
        &self,
        call: &Call,
        scope: &Arc<Scope>,
        transaction: Transaction,
    ) -> (Outcome, Option<DecidedBy>) {
        let Target::Handler { name, arguments } = &call.target else {
            let error = Error::new(Rule::Missing.word(), "only a Rust handler works within a transaction");
            return (Outcome::failed(error), Some(Rule::Missing.decided()));
        };
        let time = Duration::from_millis(call.timeout_ms);
        let run = |arguments| self.inner.handlers.call_within(name, scope, transaction, arguments);
        let made = in_time(arguments.as_ref(), scope, time, run).await;
        let reply = made.unwrap_or_else(unsent);
        let (outcome, by) = definition_rules::outcome(call, scope, None, reply);
        (definition_rules::rolled_back(outcome), by)
    }

    /// Sends a notice under the key of the scope. An error means that the receiver did not take it.
    pub async fn tell(&self, notice: &Notice, scope: &Arc<Scope>) -> Result<(), NotReceived> {
        let target = match &notice.target {
            Target::Handler { name, arguments: None } => {
                Target::Handler { name: name.clone(), arguments: Some(everything()) }
            }
            other => other.clone(),
        };
        let mut call = Call::new(target).idempotent().timeout_ms(notice.timeout_ms);
        call.success = notice.success.clone();
        let _place = self.place(&call.target).await;
        let asked = Asked { timeout_ms: call.timeout_ms, key: Some(&scope.key), effect: call.effect };
        let reply = self.inner.reply(&call.target, scope, asked).await;
        // A notice that was refused is sent again, too: no notice is given up.
        let retry_after_ms = reply.retry_after_ms;
        match definition_rules::outcome(&call, scope, self.inner.errors(&call), reply).0 {
            Outcome::Succeeded { .. } | Outcome::Pending { .. } => Ok(()),
            Outcome::Failed { error, .. } | Outcome::Errored { error, .. } | Outcome::Unknown { error, .. } => {
                Err(NotReceived { error, retry_after_ms })
            }
        }
    }

    /// Asks a participant whether a call took effect. Returns the answer and what decided it. Never panics, and never
    /// takes longer than the probe's time-out.
    pub async fn probe(&self, probe: &Probe, scope: &Arc<Scope>) -> (Answer, DecidedBy) {
        let asked = Asked { timeout_ms: probe.timeout_ms, key: None, effect: Effect::ReadOnly };
        let reply = self.inner.reply(&probe.target, scope, asked).await;
        if let (Rule::OutOfFiles, Some(error)) = (reply.rule, &reply.error) {
            return (Answer::inconclusive(error.clone()), Rule::OutOfFiles.decided());
        }
        definition_rules::answer(probe, scope, &reply)
    }

    /// Returns what this process lacks to run a definition, such as `handler "charge"`; empty if it lacks nothing.
    pub fn missing(&self, draft: &Draft) -> Vec<String> {
        let mut lacks = self.missing_for(&draft.steps);
        let told = draft.on_stuck.iter().chain(&draft.on_end);
        lacks.extend(told.filter_map(|notice| self.inner.lacks(&notice.target)));
        lacks.sort();
        lacks.dedup();
        lacks
    }

    /// Returns what this process lacks to run these steps.
    pub fn missing_for(&self, steps: &[Step]) -> Vec<String> {
        let calls = steps.iter().flat_map(Step::calls).map(|(_, call)| call);
        let lacks = calls.flat_map(|call| {
            let probe = call.probe.as_ref().and_then(|probe| self.inner.lacks(&probe.target));
            self.inner.lacks_for(call).into_iter().chain(probe)
        });
        let mut missing: Vec<String> = lacks.collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Returns the faults for which a definition is always refused: tool calls whose errors nothing explains, and
    /// unsound rules. See [`silent_errors`] and [`unsound_rules`].
    pub fn inadmissible(&self, draft: &Draft) -> Vec<Fault> {
        let mut faults = silent_errors(draft, |participant| self.inner.trusts_errors(participant));
        faults.extend(unsound_rules(draft));
        faults
    }

    /// Returns the same faults for one step, whose path is `path`.
    pub fn inadmissible_of_step(&self, path: &str, step: &Step) -> Vec<Fault> {
        let mut faults = silent_errors_of_step(path, step, |participant| self.inner.trusts_errors(participant));
        faults.extend(unsound_rules_of_step(path, step));
        faults
    }

    /// Closes all connections and ends all child processes, within a few seconds.
    pub async fn shutdown(&self) {
        let closing = self.inner.remotes.values().filter_map(|remote| match &remote.wire {
            Wire::Mcp(mcp) => Some(mcp.shutdown()),
            Wire::Http(..) => None,
        });
        futures_util::future::join_all(closing).await;
    }
}

/// Makes the client of one participant from its settings, or returns what is wrong with them.
fn wire(config: &ParticipantConfig, path: &str, runtime: &Handle) -> Result<Wire, Vec<Fault>> {
    let filter = Filter::from_secrets(config.transport.secrets());
    let limits = config.limits;
    let fault = |field: &str, message: String| Fault { path: format!("{path}.{field}"), message };
    let wrong = limits.faults();
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(|(field, message)| fault(field, message)).collect());
    }
    let (url, headers) = match &config.transport {
        Transport::Stdio { command, .. } if command.expose().is_empty() => {
            return Err(vec![fault("command", "expected the name of a program, found nothing".into())]);
        }
        Transport::Stdio { command, args, env, cwd, user } => {
            let user = user.as_deref().map(mcp::user).transpose().map_err(|message| vec![fault("user", message)])?;
            let (args, env, cwd) = (args.clone(), env.clone(), cwd.clone());
            let program = mcp::Program { command: command.clone(), args, env, cwd, user };
            let link = Link::new(config.name.clone(), Server::Child(program), filter, runtime.clone());
            return Ok(Wire::Mcp(Box::new(McpParticipant::new(link, limits))));
        }
        Transport::McpHttp { url, headers } | Transport::Http { url, headers } => (url, headers),
    };
    let client = match &config.transport {
        Transport::Http { .. } => http::client_of_single_calls(),
        Transport::McpHttp { .. } | Transport::Stdio { .. } => http::client(),
    };
    let client = client.map_err(|error| vec![fault("url", format!("cannot make an HTTP client: {error}"))]);
    let (base, headers) = match (http::base_url(url.expose()), http::header_map(headers)) {
        (Ok(base), Ok(headers)) => (base, headers),
        (base, headers) => {
            let base = base.err().map(|message| fault("url", message));
            let headers = headers.err().into_iter().flatten();
            let headers = headers.map(|(name, message)| fault(&format!("headers.{name}"), message));
            return Err(base.into_iter().chain(headers).collect());
        }
    };
    let client = client?;
    Ok(match &config.transport {
        Transport::Http { .. } => {
            let busy = config.answers.busy.clone();
            Wire::Http(Box::new(HttpParticipant::new(base, headers, filter, limits, busy, client)))
        }
        Transport::McpHttp { .. } | Transport::Stdio { .. } => {
            let concurrency_max = limits.concurrency_max;
            let server = Server::Http { url: base.to_string(), headers, client, concurrency_max };
            let link = Link::new(config.name.clone(), server, filter, runtime.clone());
            Wire::Mcp(Box::new(McpParticipant::new(link, limits)))
        }
    })
}

impl Inner {
    /// Names the target of a call if this process cannot call it as the call's effect demands: a transactional call
    /// needs a transactional handler.
    fn lacks_for(&self, call: &Call) -> Option<String> {
        match (&call.target, call.effect) {
            (Target::Handler { name, .. }, Effect::Transactional) => {
                let here = self.handlers.contains_transactional(name);
                (!here).then(|| format!("transactional handler {name:?}"))
            }
            (target, Effect::Transactional | Effect::ReadOnly | Effect::Idempotent | Effect::Once) => {
                self.lacks(target)
            }
        }
    }

    fn wire(&self, participant: &str) -> Option<&Wire> {
        self.remotes.get(participant).map(|remote| &remote.wire)
    }

    /// Whether the settings say that an error of this participant proves that there was no effect.
    fn trusts_errors(&self, participant: &str) -> bool {
        self.remotes.get(participant).is_some_and(|remote| remote.errors == Some(Errors::Definite))
    }

    /// Returns what an error of this call proves: by the definition, else by the settings of its participant.
    fn errors(&self, call: &Call) -> Option<Errors> {
        let remote = match &call.target {
            Target::Handler { .. } => None,
            Target::Tool { participant, .. } | Target::Http { participant, .. } => self.remotes.get(participant),
        };
        call.errors.or(remote.and_then(|remote| remote.errors))
    }

    /// Names the target if this process cannot call it.
    fn lacks(&self, target: &Target) -> Option<String> {
        match target {
            Target::Handler { name, .. } => (!self.handlers.contains(name)).then(|| format!("handler {name:?}")),
            Target::Tool { participant, .. } => match self.remotes.get(participant) {
                Some(Remote { wire: Wire::Mcp(..), .. }) => None,
                Some(Remote { wire: Wire::Http(..), .. }) => {
                    Some(format!("participant {participant:?} as an MCP server"))
                }
                None => Some(format!("participant {participant:?}")),
            },
            Target::Http { participant, .. } => match self.remotes.get(participant) {
                Some(Remote { wire: Wire::Http(..), .. }) => None,
                Some(Remote { wire: Wire::Mcp(..), .. }) => Some(format!("participant {participant:?} as an HTTP API")),
                None => Some(format!("participant {participant:?}")),
            },
        }
    }

    /// Calls a target and judges the answer by the default rules. The futures of remote calls are large. They are
    /// boxed, so that the future of a handler's call stays small.
    async fn reply(&self, target: &Target, scope: &Arc<Scope>, asked: Asked<'_>) -> Reply {
        let Asked { timeout_ms, key, effect } = asked;
        // The time of an attempt includes rendering its arguments.
        let time = Duration::from_millis(timeout_ms);
        let deadline = Instant::now() + time;
        let made = match target {
            Target::Handler { name, arguments } => self.call_handler(name, arguments.as_ref(), scope, time).await,
            Target::Tool { participant, tool, arguments } => match self.wire(participant) {
                Some(Wire::Mcp(mcp)) => {
                    let arguments = tool_arguments(arguments, scope, mcp.limits());
                    match arguments {
                        Ok(arguments) => {
                            let traceparent = scope.traceparent.as_deref();
                            let sent = mcp::Sent { key, traceparent, effect };
                            Ok(Box::pin(mcp.call(tool, arguments, sent, deadline)).await)
                        }
                        Err(error) => Err(error),
                    }
                }
                Some(Wire::Http(..)) | None => Ok(absent(self.lacks(target))),
            },
            Target::Http { participant, .. } => match self.wire(participant) {
                Some(Wire::Http(http)) => match request(target, scope, http.limits(), key) {
                    Ok(request) => Ok(Box::pin(http.call(request, effect, deadline)).await),
                    Err(error) => Err(error),
                },
                Some(Wire::Mcp(..)) | None => Ok(absent(self.lacks(target))),
            },
        };
        made.unwrap_or_else(unsent)
    }

    async fn call_handler(
        &self,
        name: &str,
        arguments: Option<&Template>,
        scope: &Arc<Scope>,
        time: Duration,
    ) -> Result<Reply, Error> {
        in_time(arguments, scope, time, |arguments| self.handlers.call(name, scope, arguments)).await
    }
}

/// Runs a handler within the limits on its time, its arguments and its output.
async fn in_time<Running: Future<Output = Reply>>(
    arguments: Option<&Template>,
    scope: &Scope,
    time: Duration,
    run: impl FnOnce(Json) -> Running,
) -> Result<Reply, Error> {
    let limits = Limits::default();
    let arguments = match arguments {
        Some(template) => bounded(expr::render(template, scope)?, &limits)?,
        None => scope.input.clone(),
    };
    let Ok(reply) = timeout(time, run(arguments)).await else {
        return Ok(Reply::new(Rule::Timeout, "no answer within the time of an attempt"));
    };
    let most = limits.answer_bytes_max;
    if reply.result.get().len() > most {
        let message = format!("the output is larger than the limit of {most} bytes (`answer_bytes_max`)");
        return Ok(Reply::new(Rule::TooLarge, message));
    }
    Ok(reply)
}

/// Returns the arguments for a notice's handler that declares none: all variables of a notice.
fn everything() -> Template {
    let names = expr::Place::Notice.variables();
    // The other forms of the key are for participants that cannot take it as it is.
    let plain = names.iter().filter(|name| !name.starts_with("key_"));
    let fields = plain.map(|name| ((*name).to_owned(), format!("${{ {name} }}").into()));
    Template(serde_json::Value::Object(fields.collect()))
}

/// Makes the reply for a participant that this process lacks. Nothing was sent, and another node may have it.
fn absent(what: Option<String>) -> Reply {
    let what = what.unwrap_or_else(|| "participant".into());
    Reply::new(Rule::Missing, format!("this process has no {what}"))
}

/// Makes the reply for a call that was not made: an expression failed, or the arguments do not fit.
fn unsent(error: Error) -> Reply {
    let rule = if error.code == Rule::Expression.word() { Rule::Expression } else { Rule::Arguments };
    Reply::coded(rule, &error.code, error.message)
}
