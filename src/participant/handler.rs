//! Rust functions as participants: their registry, the context that they get, and the boundary around them. A panic
//! stays inside that boundary and makes the outcome unknown. A handler runs in the caller's task, so a call costs no
//! more than its future.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::default_rules::DefaultRule as Rule;
use super::reply::Reply;
use super::scope::Scope;
use crate::saga::Json;
use crate::saga::event::Direction;
use crate::step_transaction::{self, Heard, Transaction};

type Running = Pin<Box<dyn Future<Output = Result<Json, Failure>> + Send>>;
type Handler = dyn Fn(StepContext, Json) -> Running + Send + Sync;
type Transactional = dyn Fn(StepContext, Transaction, Json) -> Running + Send + Sync;

/// Rust functions that definitions call by name: actions, compensations, probes and receivers of notices.
#[derive(Clone, Default)]
pub struct Handlers {
    by_name: BTreeMap<String, Arc<Handler>>,
    transactional: BTreeMap<String, Arc<Transactional>>,
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Handlers {
    /// Makes an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers an async function under a name. Replaces an earlier one of the same name.
    ///
    /// `In` is decoded from the call's arguments, or from the saga's input if the call has none. Arguments that do
    /// not decode are a definite failure. A panic makes the outcome unknown. So does a function that has not returned
    /// when the call's time is over; its future is dropped.
    pub fn register<In, Out, Fut, F>(mut self, name: impl Into<String>, function: F) -> Self
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        Fut: Future<Output = Result<Out, Failure>> + Send + 'static,
        F: Fn(StepContext, In) -> Fut + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        let handler = move |context: StepContext, arguments: Json| -> Running {
            let function = Arc::clone(&function);
            Box::pin(async move { encoded(function(context, decode_arguments(&arguments)?).await?) })
        };
        self.by_name.insert(name.into(), Arc::new(handler));
        self
    }

    /// Registers an async function for calls whose `effect` is `transactional`. It makes its effect in the
    /// transaction that records its success. Replaces an earlier one of the same name.
    ///
    /// The transaction is open, in the runtime's own Postgres. If the function succeeds, the runtime writes the
    /// journal row in this transaction and commits it. The row passes the same fence as every row of the node. So the
    /// effect happens exactly once. In every other case the transaction is rolled back and the failure is definite.
    /// An error with an unknown outcome then counts as retryable, unless the database would refuse the same
    /// statements again (a constraint, a privilege, a syntax error). The function must not commit, roll back or keep
    /// the transaction.
    pub fn register_transactional<In, Out, Fut, F>(mut self, name: impl Into<String>, function: F) -> Self
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        Fut: Future<Output = Result<Out, Failure>> + Send + 'static,
        F: Fn(StepContext, Transaction, In) -> Fut + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        let handler = move |context: StepContext, transaction: Transaction, arguments: Json| -> Running {
            let function = Arc::clone(&function);
            Box::pin(async move {
                let heard = transaction.heard();
                let output = function(context, transaction, decode_arguments(&arguments)?).await;
                encoded(output.map_err(|failure| failure.rolled_back(&heard))?)
            })
        };
        self.transactional.insert(name.into(), Arc::new(handler));
        self
    }

    /// Whether a function of this name is registered with [`register`](Self::register).
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether a function of this name is registered with [`register_transactional`](Self::register_transactional).
    pub fn contains_transactional(&self, name: &str) -> bool {
        self.transactional.contains_key(name)
    }

    /// Returns the names of all functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().chain(self.transactional.keys()).map(String::as_str)
    }

    /// Calls a function. A panic makes the outcome unknown.
    pub(super) async fn call(&self, name: &str, scope: &Arc<Scope>, arguments: Json) -> Reply {
        let Some(handler) = self.by_name.get(name) else {
            return Reply::new(Rule::Missing, format!("this process has no handler `{name}`"));
        };
        let context = StepContext { scope: Arc::clone(scope) };
        catch_panic(name, handler(context, arguments)).await
    }

    /// Calls a transactional function. A panic makes the outcome unknown.
    pub(super) async fn call_within(
        &self,
        name: &str,
        scope: &Arc<Scope>,
        transaction: Transaction,
        arguments: Json,
    ) -> Reply {
        let Some(handler) = self.transactional.get(name) else {
            return Reply::new(Rule::Missing, format!("this process has no transactional handler `{name}`"));
        };
        let context = StepContext { scope: Arc::clone(scope) };
        catch_panic(name, handler(context, transaction, arguments)).await
    }
}

/// Decodes the arguments of a handler.
fn decode_arguments<In: DeserializeOwned>(arguments: &Json) -> Result<In, Failure> {
    arguments.decode().map_err(|error| {
        Failure::new(Rule::Arguments, "arguments", format!("the arguments do not fit the handler: {error}"))
    })
}

fn encoded(output: impl Serialize) -> Result<Json, Failure> {
    Json::encode(&output)
        .map_err(|error| Failure::new(Rule::Invalid, "answer_invalid", format!("the output is not JSON: {error}")))
}

/// Runs a handler to its end and makes its reply. A panic is a reply, too.
async fn catch_panic(name: &str, running: Running) -> Reply {
    let mut running = PanicSafe(Some(running));
    match AssertUnwindSafe(running.future()).catch_unwind().await {
        Ok(Ok(output)) => Reply::succeeded(Rule::Handler, output),
        Ok(Err(failure)) => failure.into_reply(),
        Err(panic) => Reply::new(Rule::Panic, format!("the handler `{name}` panicked: {}", panic_message(&*panic))),
    }
}

/// A future whose destructor may panic; the panic is caught.
struct PanicSafe(Option<Running>);

impl PanicSafe {
    fn future(&mut self) -> impl Future<Output = Result<Json, Failure>> + '_ {
        std::future::poll_fn(|cx| match &mut self.0 {
            Some(running) => running.as_mut().poll(cx),
            None => std::task::Poll::Pending,
        })
    }
}

impl Drop for PanicSafe {
    fn drop(&mut self) {
        let running = self.0.take();
        // The panic hook has already reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
    }
}

/// Returns the message of a panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// The context of one call of a handler.
///
/// A value that does not decode is a definite failure. So decode values before the handler has an effect.
#[derive(Clone, Debug)]
pub struct StepContext {
    scope: Arc<Scope>,
}

impl StepContext {
    /// Returns the saga's id.
    pub fn saga(&self) -> Uuid {
        self.scope.saga
    }

    /// Returns the step's name.
    pub fn step(&self) -> &str {
        &self.scope.step
    }

    /// Returns whether the action or its compensation is called.
    pub fn direction(&self) -> Direction {
        self.scope.direction
    }

    /// Returns the number of the attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.scope.attempt
    }

    /// Returns the idempotency key. It is the same for every attempt until the runtime knows that there was no
    /// effect.
    pub fn key(&self) -> &str {
        &self.scope.key
    }

    /// Returns, in a compensation, the idempotency key of the action that it undoes.
    pub fn action_key(&self) -> Option<&str> {
        self.scope.action_key.as_deref()
    }

    /// Returns the W3C `traceparent` of this call, to be sent on. None unless the saga was started in a trace or the
    /// node exports traces.
    pub fn traceparent(&self) -> Option<&str> {
        self.scope.traceparent.as_deref()
    }

    /// Decodes the saga's input.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        decoded("the saga's input", &self.scope.input)
    }

    /// Decodes the action's output, in a compensation; none if it is not known.
    pub fn output<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        self.scope.output.as_ref().map(|output| decoded("the action's output", output)).transpose()
    }

    /// Decodes the output of a step that this one needs; none if there is no such output.
    pub fn step_output<T: DeserializeOwned>(&self, step: &str) -> Result<Option<T>, Failure> {
        self.scope.step_output(step).map(|output| decoded(step, output)).transpose()
    }
}

/// Decodes a value. A value that does not fit is a definite failure.
fn decoded<T: DeserializeOwned>(what: &str, json: &Json) -> Result<T, Failure> {
    json.decode().map_err(|error| Failure::permanent("arguments", format!("{what} does not fit: {error}")))
}

/// Why a handler did not succeed. Each kind says what is known of the effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is known of the effect.
    rule: Rule,
    code: Cow<'static, str>,
    message: String,
    after: Option<Duration>,
    /// Whether a handler passed it on with `?` and the database would refuse the same statements again.
    definite: bool,
    /// Whether a handler passed it on with `?` and it only says that the transaction had failed before.
    aftermath: bool,
}

impl Failure {
    fn new(rule: Rule, code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        let (code, message) = (code.into(), message.to_string());
        Self { rule, code, message, after: None, definite: false, aftermath: false }
    }

    /// Reports that there was definitely no effect and that another attempt is useless.
    pub fn permanent(code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self::new(Rule::HandlerPermanent, code, message)
    }

    /// Reports that there was definitely no effect and that another attempt may succeed.
    pub fn retryable(code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self::new(Rule::HandlerRetryable, code, message)
    }

    /// Reports that the effect is unknown.
    pub fn unknown(code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self::new(Rule::HandlerUnknown, code, message)
    }

    /// Reports that the call was accepted and that its effect comes later, or not at all. The step's probe finds out,
    /// or an event of the step's name tells.
    pub fn pending() -> Self {
        Self::new(Rule::HandlerPending, "pending", "")
    }

    /// Asks for a pause before the next attempt, or before the probe.
    pub fn after(mut self, pause: Duration) -> Self {
        self.after = Some(pause);
        self
    }

    /// Returns the failure after the rollback of its transaction. A refusal that the database would repeat becomes
    /// `Rejected`, which is not tried again. If an error only says that the transaction had failed before, the
    /// earlier error decides and is added to the message.
    fn rolled_back(mut self, heard: &Heard) -> Self {
        if let Some(cause) = heard.cause().filter(|_| self.aftermath) {
            self.definite = cause.definite;
            self.message.push_str(&format!("; the error before it: {}", cause.message));
        }
        match self.definite {
            true => Self { rule: Rule::Rejected, code: Rule::Rejected.word().into(), ..self },
            false => self,
        }
    }

    fn into_reply(self) -> Reply {
        Reply::coded(self.rule, &self.code, self.message).after(self.after)
    }
}

/// Makes an unknown outcome of any error that a handler passes on with `?`: the error does not say how far the call
/// came.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let (mut source, mut definite, mut aftermath) = (error.source(), false, false);
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            definite |= step_transaction::is_definite(cause);
            aftermath |= step_transaction::is_aftermath(cause);
            source = cause.source();
        }
        Self { definite, aftermath, ..Self::unknown("handler_error", message) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn reply(handlers: &Handlers, input: serde_json::Value) -> Reply {
        let scope = Arc::new(Scope::of_saga(Uuid::nil(), Json::from(input), Vec::new()));
        handlers.call("h", &scope, scope.input.clone()).await
    }

    /// Panics when it is dropped.
    struct Mine;

    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    fn code(reply: &Reply) -> &str {
        reply.error.as_ref().map_or("", |error| &error.code)
    }

    #[tokio::test]
    async fn handlers_take_and_return_typed_values() {
        let handlers = Handlers::new().register("h", |context: StepContext, (a, b): (i64, i64)| async move {
            assert_eq!(context.input::<(i64, i64)>()?, (a, b));
            Ok::<_, Failure>(json!({"sum": a + b}))
        });
        let good = reply(&handlers, json!([1, 2])).await;
        assert_eq!((good.word(), good.result.get()), ("succeeded", r#"{"sum":3}"#));
        let wrong = reply(&handlers, json!("x")).await;
        assert_eq!((wrong.word(), code(&wrong)), ("failed", "arguments"));
        assert_eq!(code(&handlers.call("other", &Arc::new(scope()), Json::null()).await), "missing");
    }

    fn scope() -> Scope {
        Scope::of_saga(Uuid::nil(), Json::null(), Vec::new())
    }

    #[tokio::test]
    async fn panics_stay_inside_wherever_they_happen() {
        async fn late(_: StepContext, _: ()) -> Result<(), Failure> {
            tokio::task::yield_now().await;
            let _mine = Mine;
            std::future::pending::<()>().await;
            Ok(())
        }
        let early = Handlers::new().register("h", |_: StepContext, _: ()| -> std::future::Ready<Result<(), Failure>> {
            panic!("before the future")
        });
        let end = reply(&early, json!(null)).await;
        assert_eq!((end.word(), code(&end)), ("unknown", "panic"));
        assert!(end.error.is_some_and(|error| error.message.contains("before the future")));

        // The future is dropped in flight and its destructor panics. The caller goes on.
        let late = Handlers::new().register("h", late);
        let cut = tokio::time::timeout(Duration::from_millis(20), reply(&late, json!(null))).await;
        assert!(cut.is_err());

        let both = Handlers::new().register("h", |_: StepContext, _: ()| async {
            let _mine = Mine;
            Ok::<_, Failure>(1)
        });
        assert_eq!(code(&reply(&both, json!(null)).await), "panic");
    }

    #[tokio::test]
    async fn failures_say_what_is_known_of_the_effect() {
        let handlers = Handlers::new().register("h", |_: StepContext, kind: String| async move {
            match kind.as_str() {
                "permanent" => Err(Failure::permanent("declined", "no money")),
                "retryable" => Err(Failure::retryable("busy", "later").after(Duration::from_secs(3))),
                "pending" => Err(Failure::pending()),
                _ => Ok("x".parse::<u32>()?),
            }
        });
        let of = |kind: &str| json!(kind);
        assert_eq!(reply(&handlers, of("permanent")).await.word(), "failed");
        let later = reply(&handlers, of("retryable")).await;
        assert_eq!((later.word(), later.retry_after_ms), ("retryable", Some(3_000)));
        assert_eq!(reply(&handlers, of("pending")).await.word(), "pending");
        let passed_on = reply(&handlers, of("?")).await;
        assert_eq!((passed_on.word(), code(&passed_on)), ("unknown", "handler_error"));
    }
}
