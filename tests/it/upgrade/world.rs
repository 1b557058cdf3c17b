//! The definitions and the participants of the sagas in the dump. The program that made the dump compiled
//! this very file, so the digests of the definitions are the same. The participants keep their ledger in the
//! same database.
//!
//! A saga's input says how its participants behave: `then` for the old program, `now` for the new one. Its
//! fields are `STEP` for the action, `~STEP` for the compensation and `?STEP` for the probe; the value is a
//! list of words, one for each attempt, and the last one holds for all that follow. No word means that the
//! participant does as it is asked.

use std::sync::Arc;
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::saga::definition::{Call, Draft, Millis, Notice, Probe, Retry, Rule, Step, Target, Verdict};
use amends::saga::event::Direction;
use amends::step_transaction::Transaction;
use serde_json::{Value, json};
use tokio_postgres::Client;

/// The dump is loaded long after it was made: until then no ended saga is dropped, and no driver is taken for
/// silent.
const TEN_YEARS_MS: Millis = 10 * 365 * 24 * 3_600_000;
/// What the old program waited for longer than it lived.
const LONG_MS: Millis = 60_000;
/// Longer than any call of the old program was under way: a call that hangs ends with its process.
const TIMEOUT_MS: Millis = 120_000;

fn fast() -> Retry {
    Retry { attempts: 9, backoff_ms: 20, multiplier: 1.0, backoff_max_ms: 20, jitter: 0.0 }
}

fn call(handler: &str) -> Call {
    Call::handler(handler).retry(fast()).timeout_ms(TIMEOUT_MS)
}

/// A call whose repeats are safe.
fn idempotent(handler: &str) -> Call {
    call(handler).idempotent().settle_ms(100)
}

/// A call that is never repeated while it is in doubt, and can be asked about.
fn asked(handler: &str) -> Call {
    let target = Target::Handler { name: "find".into(), arguments: None };
    let probe = Probe::new(target, "result.found").absent("!result.found");
    let patient = Retry { attempts: 10, backoff_ms: LONG_MS, multiplier: 1.0, backoff_max_ms: LONG_MS, jitter: 0.0 };
    call(handler).settle_ms(LONG_MS).probe(probe.retry(patient))
}

fn step(name: &str) -> Step {
    Step::new(name, idempotent("make")).compensation(idempotent("undo"))
}

/// All definitions.
pub(crate) fn drafts() -> Vec<Draft> {
    let trip = Draft::new("trip").step(step("a")).step(step("b").needs(["a"]));
    let ticket = Draft::new("ticket")
        .step(Step::new("a", asked("make_twice")).compensation(asked("undo_twice")))
        .step(step("b").needs(["a"]));
    let blind = Draft::new("blind")
        .step(step("a"))
        .step(Step::new("b", call("make_twice").settle_ms(100)).compensation(idempotent("undo")).needs(["a"]));
    let safe = Step::new("b", call("make_twice").settle_ms(LONG_MS)).compensation(idempotent("undo"));
    let safe = Draft::new("safe").step(step("a")).step(safe.needs(["a"]).safe_when_absent());
    let waits = Draft::new("waits").step(step("a")).step(Step::awaiting("go", "go", None).needs(["a"]));
    let naps = Draft::new("naps").step(step("a")).step(Step::sleeping("nap", LONG_MS).needs(["a"]));
    let asks = Draft::new("asks").step(step("a")).step(
        Step::approval("may", "May ${ steps.a.key } go on?", Some(json!({ "key": "${ steps.a.key }" })), None)
            .needs(["a"]),
    );
    let [waits, naps, asks] =
        [(waits, "go"), (naps, "nap"), (asks, "may")].map(|(draft, before)| draft.step(step("b").needs([before])));
    let parcel = Draft::new("parcel")
        .step(step("a"))
        .step(Step::new("p", idempotent("make")).needs(["a"]).pivot())
        .step(Step::new("b", idempotent("make")).needs(["p"]).retriable());
    let cart = Draft::new("cart").open(TEN_YEARS_MS);
    let within = Draft::new("within").step(step("a")).step(
        Step::new("b", call("make_within").transactional())
            .compensation(call("undo_within").transactional())
            .needs(["a"]),
    );
    let within = within.step(step("c").needs(["b"]));
    let turns = Draft::new("turns").concurrency("input.guest").step(step("a"));
    let tells = Draft::new("tells").on_end(Notice::handler("tell")).step(step("a"));
    let cursed = Draft::new("cursed").step(step("a")).step(Step::awaiting("go", "go", None).needs(["a"]));
    [trip, ticket, blind, safe, waits, naps, asks, parcel, cart, within, turns, tells, cursed]
        .map(|draft| draft.retention_ms(TEN_YEARS_MS))
        .into()
}

/// The participant accepts what it carries out later, and nothing says what a job that failed looks like. It was taken
/// once, and no door lets it through now.
pub(crate) fn accepts() -> Draft {
    let target = Target::Handler { name: "find".into(), arguments: None };
    let rule = Rule::new("result.state == 'queued'", Verdict::Pending);
    let pay = call("make_twice").classify(rule).probe(Probe::new(target, "result.found"));
    Draft::new("accepts").step(Step::new("a", pay).compensation(idempotent("undo"))).retention_ms(TEN_YEARS_MS)
}

/// A step that a driver appends to a `cart`.
pub(crate) fn appended(name: &str) -> Step {
    step(name)
}

/// What a participant is told to do in its era.
fn word(era: &str, context: &StepContext, input: &Value, mark: &str) -> String {
    let words = &input[era][format!("{mark}{}", context.step())];
    let attempt = usize::try_from(context.attempt()).unwrap_or(usize::MAX);
    let words = words.as_array().cloned().unwrap_or_default();
    let word = words.get(attempt.saturating_sub(1)).or(words.last());
    word.and_then(Value::as_str).unwrap_or("do").to_owned()
}

fn broken(error: &tokio_postgres::Error) -> Failure {
    Failure::unknown("ledger", error.to_string())
}

#[derive(Clone)]
struct Participant {
    ledger: Arc<Client>,
    era: &'static str,
}

impl Participant {
    async fn note(&self, context: &StepContext, mark: &str) -> Result<(), Failure> {
        let (saga, attempt) = (context.saga().to_string(), i32::try_from(context.attempt()).unwrap_or(i32::MAX));
        let call = format!("{mark}{}", context.step());
        let sql = "insert into ledger.call (era, saga, step, call, attempt, key, action_key)
                   values ($1, $2, $3, $4, $5, $6, $7)";
        let (key, action_key) = (context.key(), context.action_key());
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&self.era, &saga, &context.step(), &call, &attempt, &key, &action_key];
        self.ledger.execute(sql, &row).await.map_err(|error| broken(&error))?;
        Ok(())
    }

    /// Makes the effect; a repeatable one is there once for each key.
    async fn write(&self, context: &StepContext, repeatable: bool) -> Result<Value, Failure> {
        let sql = "insert into ledger.effect select $1, $2, $3, $4, $5
                   where not ($6 and exists (select from ledger.effect where key = $4))";
        let (saga, direction) = (context.saga().to_string(), context.direction().as_str());
        let (key, action_key) = (context.key(), context.action_key());
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&saga, &context.step(), &direction, &key, &action_key, &repeatable];
        self.ledger.execute(sql, &row).await.map_err(|error| broken(&error))?;
        Ok(json!({ "key": key }))
    }

    async fn act(&self, context: StepContext, input: Value, repeatable: bool) -> Result<Value, Failure> {
        let mark = match context.direction() {
            Direction::Action => "",
            Direction::Compensation => "~",
        };
        self.note(&context, mark).await?;
        match word(self.era, &context, &input, mark).as_str() {
            "do" => self.write(&context, repeatable).await,
            "hang" => std::future::pending().await,
            "do and hang" => {
                self.write(&context, repeatable).await?;
                std::future::pending().await
            }
            "busy" => Err(Failure::retryable("busy", "later")),
            "busy for a minute" => Err(Failure::retryable("busy", "later").after(Duration::from_millis(LONG_MS))),
            "busy for seconds" => Err(Failure::retryable("busy", "soon").after(Duration::from_secs(8))),
            "refuse" => Err(Failure::permanent("declined", "no")),
            "lose" => Err(Failure::unknown("lost", "no answer")),
            "do and lose" => {
                self.write(&context, repeatable).await?;
                Err(Failure::unknown("lost", "no answer"))
            }
            "accept" => Err(Failure::pending()),
            "do and accept" => {
                self.write(&context, repeatable).await?;
                Err(Failure::pending())
            }
            other => Err(Failure::permanent("word", other)),
        }
    }

    async fn find(&self, context: StepContext, input: Value) -> Result<Value, Failure> {
        self.note(&context, "?").await?;
        match word(self.era, &context, &input, "?").as_str() {
            "hang" => std::future::pending().await,
            "busy" => Err(Failure::retryable("busy", "later")),
            _ => {
                let sql = "select exists (select from ledger.effect where key = $1)";
                let row = self.ledger.query_one(sql, &[&context.key()]).await.map_err(|error| broken(&error))?;
                Ok(json!({ "found": row.get::<_, bool>(0), "key": context.key() }))
            }
        }
    }

    /// Makes the effect in the transaction of the record.
    async fn act_within(&self, context: StepContext, transaction: Transaction, input: Value) -> Result<Value, Failure> {
        let mark = if context.action_key().is_some() { "~" } else { "" };
        self.note(&context, mark).await?;
        let sql = "insert into ledger.effect values ($1, $2, $3, $4, $5)";
        let (saga, direction) = (context.saga().to_string(), context.direction().as_str());
        let (key, action_key) = (context.key().to_owned(), context.action_key().map(str::to_owned));
        transaction.execute(sql, &[&saga, &context.step(), &direction, &key, &action_key]).await?;
        match word(self.era, &context, &input, mark).as_str() {
            "hang" => std::future::pending().await,
            "busy" => Err(Failure::retryable("busy", "later")),
            "commit" => {
                // As a library does that is lent the connection.
                let client: &Client = &transaction;
                client.batch_execute("commit").await?;
                Ok(json!({ "key": key }))
            }
            _ => Ok(json!({ "key": key })),
        }
    }

    async fn tell(&self, context: StepContext) -> Result<Value, Failure> {
        if self.era == "then" {
            return Err(Failure::retryable("closed", "later"));
        }
        let sql = "insert into ledger.told values ($1, $2)";
        let saga = context.saga().to_string();
        self.ledger.execute(sql, &[&saga, &context.key()]).await.map_err(|error| broken(&error))?;
        Ok(Value::Null)
    }
}

/// The participants of an era.
pub(crate) fn handlers(ledger: Client, era: &'static str) -> Handlers {
    let participant = Participant { ledger: Arc::new(ledger), era };
    let mut handlers = Handlers::new();
    for (name, repeatable) in [("make", true), ("undo", true), ("make_twice", false), ("undo_twice", false)] {
        let participant = participant.clone();
        handlers = handlers.register(name, move |context: StepContext, input: Value| {
            let participant = participant.clone();
            async move { participant.act(context, input_of(&input), repeatable).await }
        });
    }
    for name in ["make_within", "undo_within"] {
        let participant = participant.clone();
        handlers = handlers.register_transactional(
            name,
            move |context: StepContext, transaction: Transaction, input: Value| {
                let participant = participant.clone();
                async move { participant.act_within(context, transaction, input_of(&input)).await }
            },
        );
    }
    let (asked, told) = (participant.clone(), participant);
    handlers
        .register("find", move |context: StepContext, input: Value| {
            let asked = asked.clone();
            async move { asked.find(context, input_of(&input)).await }
        })
        .register("tell", move |context: StepContext, _: Value| {
            let told = told.clone();
            async move { told.tell(context).await }
        })
}

/// A handler without arguments of its own is given the saga's input, or that and the outputs of steps.
fn input_of(arguments: &Value) -> Value {
    arguments.get("input").unwrap_or(arguments).clone()
}
