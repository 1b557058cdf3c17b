//! The kinds of steps against Rust handlers, which say by their `Failure` what they know, and against transactional
//! ones, which are rolled back unless they succeed. The handlers write a ledger as strangers do, and a table
//! decides for the transactional ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::{Builder, Runtime};
use amends::saga::definition::{Call, Draft, Probe, Retry, Step};
use amends::saga::event::Direction;
use amends::step_transaction::Transaction;
use serde_json::{Value, json};

use super::kinds::Class::{self, Pending, Refusal, Retryable, Unknown};
use super::kinds::{KINDS, Kind, More, Place, TRUTHS, Truth};
use super::matrix::part;
use super::stage::{Case, End, Stage, case};

/// What a handler does in place of its answer, what the rules make of it, and the rule that decides.
const WAYS: [(&str, Class, &str); 8] = [
    ("permanent", Refusal, "handler_permanent"),
    ("retryable", Retryable, "handler_retryable"),
    ("pending", Pending, "handler_pending"),
    ("unknown", Unknown, "handler_unknown"),
    ("passed on", Unknown, "handler_unknown"),
    ("panic", Unknown, "panic"),
    ("silent", Unknown, "timeout"),
    ("large", Unknown, "answer_too_large"),
];

/// The same of a transactional handler; none: a person decides.
const WITHIN: [(&str, Option<Class>, &str); 14] = [
    ("permanent", Some(Refusal), "handler_permanent"),
    ("retryable", Some(Retryable), "handler_retryable"),
    // The effect cannot come later than its transaction.
    ("pending", Some(Refusal), "handler_pending"),
    ("unknown", Some(Retryable), "handler_unknown"),
    ("passed on", Some(Retryable), "handler_unknown"),
    ("panic", Some(Retryable), "panic"),
    ("silent", Some(Retryable), "timeout"),
    ("large", Some(Retryable), "answer_too_large"),
    ("deadlock", Some(Retryable), "handler_unknown"),
    ("constraint", Some(Refusal), "rejected"),
    ("late constraint", Some(Refusal), "rejected"),
    ("late conflict", Some(Retryable), "not_committed"),
    ("kept", Some(Refusal), "handler_broke_transaction"),
    ("commit", None, "transaction_ended"),
];

/// The words of the rules that decide here.
pub(super) fn rules() -> impl Iterator<Item = &'static str> {
    let plain = WAYS.iter().map(|(_, _, rule)| *rule);
    plain.chain(WITHIN.iter().map(|(_, _, rule)| *rule)).chain(["handler"])
}

/// What a handler does in place of its answer.
pub(super) fn ways() -> impl Iterator<Item = &'static str> {
    WAYS.iter().map(|(way, ..)| *way)
}

/// What a call is told.
#[derive(serde::Deserialize)]
struct Asked {
    order: String,
    #[serde(default)]
    way: String,
    #[serde(default)]
    once: bool,
    /// The key that a question is about.
    #[serde(default)]
    key: String,
    /// The key of the action.
    #[serde(default)]
    of: String,
}

/// The ledger, as `ledger.py` has it.
struct Book {
    path: PathBuf,
    in_place: BTreeSet<String>,
    undone: BTreeSet<String>,
    barred: BTreeSet<String>,
    promised: BTreeSet<String>,
    deliveries: BTreeMap<(String, &'static str), u32>,
}

impl Book {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            in_place: BTreeSet::new(),
            undone: BTreeSet::new(),
            barred: BTreeSet::new(),
            promised: BTreeSet::new(),
            deliveries: BTreeMap::new(),
        }
    }

    fn write(&self, did: &str, order: &str, key: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
        writeln!(file, "{}", json!({ "did": did, "order": order, "key": key })).unwrap();
    }

    fn delivery(&mut self, order: &str, verb: &'static str) -> u32 {
        let count = self.deliveries.entry((order.to_owned(), verb)).or_default();
        *count += 1;
        *count
    }

    fn has(&self, key: &str) -> bool {
        self.in_place.contains(key) && !self.undone.contains(key)
    }

    /// Makes the effect of a verb.
    fn act(&mut self, verb: &'static str, key: &str, asked: &Asked) {
        match verb {
            "pay" if self.barred.contains(key) => {}
            "pay" if asked.once || !self.in_place.contains(key) => {
                self.write("effect", &asked.order, key);
                self.in_place.insert(key.to_owned());
            }
            "void" if self.has(&asked.of) => {
                self.write("undo", &asked.order, key);
                self.undone.insert(asked.of.clone());
            }
            "void" => {
                self.barred.insert(asked.of.clone());
            }
            _ => {}
        }
    }
}

type Shared = Arc<Mutex<Book>>;

/// How a saga errs: when its effect comes, and what is said.
fn split(way: &str) -> (&str, &str) {
    way.split_once(' ').unwrap_or_default()
}

/// Makes the effect of a verb as the first call's way says, and every later one as it should be.
async fn serve(book: Shared, verb: &'static str, context: StepContext, asked: Asked) -> Result<Value, Failure> {
    let key = context.key().to_owned();
    let (when, how) = split(&asked.way);
    let how = how.to_owned();
    {
        let mut open = book.lock().unwrap();
        if how.is_empty() || open.delivery(&asked.order, verb) > 1 {
            open.act(verb, &key, &asked);
            return Ok(json!({ "id": "c-1" }));
        }
        let lands = when == "lands";
        if when == "after" {
            open.act(verb, &key, &asked);
        } else if (lands || how == "pending") && open.promised.insert(key.clone()) {
            open.write("promise", &asked.order, &key);
            tokio::spawn(land(Arc::clone(&book), verb, key, asked, lands));
        }
    }
    err(&how).await
}

/// Keeps a promise a little later, or renounces it.
async fn land(book: Shared, verb: &'static str, key: String, asked: Asked, lands: bool) {
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut book = book.lock().unwrap();
    if lands {
        book.act(verb, &key, &asked);
    }
    book.promised.remove(&key);
    book.write("landed", &asked.order, &key);
}

async fn err(how: &str) -> Result<Value, Failure> {
    match how {
        "permanent" => Err(Failure::permanent("declined", "no")),
        "retryable" => Err(Failure::retryable("busy", "later")),
        "pending" => Err(Failure::pending()),
        "unknown" => Err(Failure::unknown("doubt", "who knows")),
        "passed on" => Ok(json!("x".parse::<u32>()?)),
        "panic" => panic!("in place of the answer"),
        "silent" => std::future::pending().await,
        "large" => Ok(json!("x".repeat(2 << 20))),
        other => panic!("no handler errs by {other:?}"),
    }
}

fn handlers(book: &Shared) -> Handlers {
    let mut handlers = Handlers::new();
    for verb in ["pay", "void", "look"] {
        let book = Arc::clone(book);
        handlers = handlers
            .register(verb, move |context: StepContext, asked: Asked| serve(Arc::clone(&book), verb, context, asked));
    }
    let book = Arc::clone(book);
    handlers
        .register("find", move |context: StepContext, asked: Asked| {
            let book = Arc::clone(&book);
            async move {
                let book = book.lock().unwrap();
                let done = match context.direction() {
                    Direction::Action => book.has(&asked.key),
                    Direction::Compensation => book.undone.contains(&asked.of),
                };
                let under_way = book.promised.contains(&asked.key);
                let state = if done {
                    "done"
                } else if under_way {
                    "running"
                } else {
                    "absent"
                };
                Ok::<_, Failure>(json!({ "state": state }))
            }
        })
        .register("refuse", |_: StepContext, _: Value| async { Err::<Value, _>(Failure::permanent("declined", "no")) })
}

fn retry(attempts: u32) -> Retry {
    Retry { attempts, backoff_ms: 50, multiplier: 2.0, backoff_max_ms: 200, jitter: 0.0 }
}

/// A call that errs as the saga's way says, if it is meant.
fn call(verb: &str, errs: bool, once: bool, undoes: bool) -> Call {
    let mut arguments = json!({ "order": "${ input.order }", "once": once });
    if errs {
        arguments["way"] = "${ input.way }".into();
    }
    if undoes {
        arguments["of"] = "${ action_key }".into();
    }
    Call::handler_with(verb, arguments).retry(retry(6)).timeout_ms(1_500).settle_ms(800)
}

fn probe(undoes: bool) -> Probe {
    let mut arguments = json!({ "order": "", "key": "${ key }" });
    if undoes {
        arguments["of"] = "${ action_key }".into();
    }
    let target = Call::handler_with("find", arguments).target;
    let probe = Probe::new(target, "result.state == 'done'").absent("result.state == 'absent'");
    probe.retry(Retry { backoff_ms: 100, ..retry(25) })
}

fn name(kind: &Kind) -> String {
    format!("handler_{}", kind.name)
}

/// The same step as in `kinds.rs`, with handlers.
fn draft(kind: &Kind) -> Draft {
    let undo = kind.place == Place::Undo;
    let of_kind = |call: Call, undoes: bool| {
        let call = match kind.place {
            Place::Read => call.read_only(),
            _ if kind.keyed => call.idempotent(),
            _ => call,
        };
        if kind.probed { call.probe(probe(undoes)) } else { call }
    };
    let void = call("void", undo, false, true);
    let void = if undo { of_kind(void, true) } else { void.idempotent() };
    let verb = if kind.place == Place::Read { "look" } else { "pay" };
    let pay = call(verb, !undo, !undo && !kind.keyed, false);
    let pay = if undo { pay.idempotent().probe(probe(false)) } else { of_kind(pay, false) };
    let step = Step::new("pay", pay);
    let step = match (kind.place, kind.more) {
        (Place::Read, _) => step,
        (Place::Compensable, More::Irreversible) => step.irreversible(),
        (Place::Compensable, More::Safe) => step.safe_when_absent().compensation(void),
        (Place::Compensable | Place::Undo, _) => step.compensation(void),
        (Place::Pivot, _) => step.pivot(),
        (Place::Retriable, _) => step.retriable(),
    };
    let draft = Draft::new(name(kind)).step(step);
    if undo { draft.step(refuse()) } else { draft }
}

fn refuse() -> Step {
    Step::new("refuse", Call::handler("refuse").read_only().retry(retry(1))).needs(["pay"])
}

/// What settings say of errors is not for handlers.
fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.into_iter().filter(|kind| kind.more != More::Definite)
}

pub(super) fn cells() -> Vec<Case> {
    let mut cells = Vec::new();
    for kind in kinds() {
        for (way, class, rule) in WAYS {
            for (truth, when) in TRUTHS {
                let Some(end) = kind.end(class, truth) else { continue };
                let case = case(&name(&kind), &format!("{when} {way}"), end).decided_by(rule);
                let case = case.may_stay(kind.more == More::Irreversible);
                let case = if kind.place == Place::Read { case.reads() } else { case };
                let told = class == Pending && !kind.probed;
                cells.push(if told { case.told(kind.awaited()) } else { case });
            }
        }
    }
    cells
}

async fn play(stage: &Stage, handlers: Handlers, drafts: Vec<Draft>) -> Runtime {
    let builder = Runtime::builder(&stage.database.url).handlers(handlers);
    drafts.into_iter().fold(builder, Builder::definition).begin().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_of_a_handler_against_each_step_ends_as_the_rules_say() {
    let stage = Stage::new("handlers", "").await;
    let book = Arc::new(Mutex::new(Book::new(stage.ledger())));
    let runtime = play(&stage, handlers(&book), kinds().map(|kind| draft(&kind)).collect()).await;
    stage.check(part(cells())).await;
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// Makes its effect in its transaction, and errs as the saga says.
async fn within(
    deliveries: Arc<Mutex<BTreeMap<String, u32>>>,
    context: StepContext,
    database: Transaction,
    asked: Asked,
) -> Result<Value, Failure> {
    let (when, how) = split(&asked.way);
    let attempt = {
        let mut deliveries = deliveries.lock().unwrap();
        let count = deliveries.entry(format!("{} {:?}", asked.order, context.direction())).or_default();
        *count += 1;
        i64::from(*count)
    };
    let errs = !how.is_empty() && attempt == 1;
    if !errs || when == "after" {
        let did = match context.direction() {
            Direction::Action => "effect",
            Direction::Compensation => "undo",
        };
        let key = context.key().to_owned();
        database.execute("insert into book values ($1, $2, $3)", &[&asked.order, &did, &key]).await?;
    }
    if !errs {
        return Ok(json!({ "id": "c-1" }));
    }
    let late = |code: &str| format!("insert into late values ('{code}')");
    match how {
        "deadlock" => Ok(json!(database.execute("select raise('40P01')", &[]).await?)),
        "constraint" => Ok(json!(database.execute("insert into book values (null, 'x', 'y')", &[]).await?)),
        // What is put off until the end of the transaction.
        "late constraint" => Ok(json!(database.execute(&late("23514"), &[]).await?)),
        "late conflict" => Ok(json!(database.execute(&late("40001"), &[]).await?)),
        "kept" => {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(database);
            });
            Ok(json!({ "id": "c-1" }))
        }
        "commit" => {
            let _ = database.batch_execute("commit").await;
            Ok(json!({ "id": "c-1" }))
        }
        other => err(other).await,
    }
}

const TABLES: &str = "
    create table book (orders text not null, did text, key text);
    create table late (code text);
    create function raise(code text) returns int language plpgsql as
        $$ begin raise exception using errcode = code; end $$;
    create function raise_late() returns trigger language plpgsql as
        $$ begin perform raise(new.code); return null; end $$;
    create constraint trigger late after insert on late deferrable initially deferred
        for each row execute function raise_late();";

/// Kinds of transactional steps.
const PLACES: [(&str, Place); 4] = [
    ("within", Place::Compensable),
    ("within_pivot", Place::Pivot),
    ("within_retriable", Place::Retriable),
    ("within_undo", Place::Undo),
];

fn draft_within(name: &str, place: Place) -> Draft {
    let undo = place == Place::Undo;
    let call = |errs, undoes| call("within", errs, false, undoes).transactional();
    let step = Step::new("pay", call(!undo, false));
    let step = match place {
        Place::Compensable | Place::Undo => step.compensation(call(undo, true)),
        Place::Pivot => step.pivot(),
        Place::Retriable | Place::Read => step.retriable(),
    };
    let draft = Draft::new(name).step(step);
    if undo { draft.step(refuse()) } else { draft }
}

/// Nothing of a transactional handler is ever a lie: its effect is there with its record, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_of_a_transactional_handler_ends_as_the_rules_say() {
    let stage = Stage::new("within", "").await;
    let client = stage.database.client().await;
    client.batch_execute(TABLES).await.unwrap();
    let deliveries = Arc::default();
    let book = Arc::new(Mutex::new(Book::new(stage.ledger())));
    let handlers = handlers(&book).register_transactional(
        "within",
        move |context: StepContext, database: Transaction, asked: Asked| {
            within(Arc::clone(&deliveries), context, database, asked)
        },
    );
    let drafts = PLACES.map(|(name, place)| draft_within(name, place));
    let runtime = play(&stage, handlers, drafts.into()).await;
    let mut cases = Vec::new();
    for (name, place) in PLACES {
        // As a step without any doubt.
        let kind = Kind { name, place, keyed: true, probed: false, more: More::Nothing };
        for (way, class, rule) in WITHIN {
            for when in ["before", "after"] {
                let end = match class {
                    Some(class) => kind.end(class, Truth::Before).unwrap(),
                    None => End::Stuck("pay"),
                };
                cases.push(case(name, &format!("{when} {way}"), end).decided_by(rule));
            }
        }
    }
    let sagas = stage.run(&client, &cases).await;
    // The table is the ledger.
    for row in client.query("select orders, did, key from book", &[]).await.unwrap() {
        let [order, did, key]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
        book.lock().unwrap().write(&did, &order, &key);
    }
    let faults = stage.judged(&client, &cases, &sagas).await;
    stage.agree(&faults);
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
