//! What a node minds when it takes a saga up: requests that were made in time, a pause before the first claim, a start
//! that must be refused although its node died first, how late a call may begin, and how old the saga is; and by which
//! key it tells of one whose journal is gone.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Answers, Failure, Handlers, Limits, ParticipantConfig, Secret, StepContext, Transport};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Notice, Probe, Retry, Rule, Step, Target, Verdict};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use crate::admin::{ask, psql, until};
use crate::harness::{Database, eventually, in_time};

/// Counts its calls.
fn handlers(calls: &Arc<AtomicU32>) -> Handlers {
    let calls = calls.clone();
    Handlers::new().register("work", move |_: StepContext, _: Value| {
        calls.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Failure>(json!("done")) }
    })
}

fn work() -> Call {
    Call::handler("work").idempotent()
}

async fn node(database: &Database, handlers: Handlers, drafts: Vec<Draft>) -> Runtime {
    let builder = Runtime::builder(database.url.clone()).handlers(handlers).lease(Duration::from_secs(2));
    drafts.into_iter().fold(builder, |builder, draft| builder.definition(draft)).begin().await.unwrap()
}

async fn stop(node: Runtime) {
    node.stop(Duration::from_secs(5)).await.unwrap();
}

fn status(saga: impl std::fmt::Display) -> String {
    format!("select status from amends.sagas where saga = '{saga}'")
}

fn attempts(saga: impl std::fmt::Display) -> String {
    format!("select coalesce(sum(attempts), 0) from amends.steps where saga = '{saga}'")
}

/// It does not matter what a node hears first: one of two events before the other, or a refusal before an event.
#[tokio::test]
async fn what_was_asked_in_time_counts_whatever_is_heard_before_it() {
    in_time(2_500, ask_in_time).await;
}

/// Asks in time, and holds the ends against it; `false` if it was too late when it was asked.
async fn ask_in_time(deadline_ms: u64) -> bool {
    let database = Database::create().await;
    let wait = |name: &str| Step::awaiting(name, name, Some(deadline_ms));
    let drafts = || vec![Draft::new("both").step(wait("x")).step(wait("y")), Draft::new("one").step(wait("x"))];
    let first = node(&database, Handlers::new(), drafts()).await;
    let both = first.start("both", &json!({})).await.unwrap();
    let one = first.start("one", &json!({})).await.unwrap();
    let begun = "select count(distinct id) from amends.journal";
    until(&database.url, begun, "2").await;
    stop(first).await;
    for sql in [
        format!("select amends.signal('{both}', 'x', '1'), amends.signal('{both}', 'y', '2')"),
        format!("select amends.resume('{one}', 'it is not paused')"),
        format!("select amends.signal('{one}', 'x', '1')"),
    ] {
        if !psql(&database.url, &sql).await.ok {
            return false;
        }
    }
    let late = format!("select min(at) + interval '{deadline_ms} ms' < clock_timestamp() from amends.journal");
    if ask(&database.url, &late).await == "t" {
        return false;
    }
    let late = late.replace("min(at)", "max(at)");
    until(&database.url, &late, "t").await;
    let second = node(&database, Handlers::new(), drafts()).await;
    for saga in [both, one] {
        until(&database.url, &status(saga), "completed").await;
    }
    stop(second).await;
    true
}

/// A node that lives looks into its inbox now and then, and once more before a deadline.
#[tokio::test]
async fn what_was_asked_just_before_a_deadline_is_heard_before_it() {
    let database = Database::create().await;
    let draft = Draft::new("one").step(Step::awaiting("x", "x", Some(1_500)));
    let node = node(&database, Handlers::new(), vec![draft]).await;
    let (mut heard, mut tries) = (0, 0);
    while heard < 2 {
        let before = ["60 ms", "150 ms"][heard];
        tries += 1;
        assert!(tries < 20, "the machine is too busy to ask {before} before a deadline");
        let saga = node.start("one", &json!({})).await.unwrap();
        let ends = format!(
            "select extract(epoch from min(at) + interval '1500 ms' - interval '{before}' - clock_timestamp())
             from amends.journal where id = '{saga}'"
        );
        let sql = format!("select pg_sleep(({ends})); select amends.signal('{saga}', 'x', '1')");
        // It may have ended before.
        let _ = psql(&database.url, &sql).await;
        let in_time = format!(
            "select (select min(at) from amends.journal where id = '{saga}') + interval '1500 ms' > max(s.at)
             from amends.signal s where s.id = '{saga}'"
        );
        if ask(&database.url, &in_time).await == "t" {
            until(&database.url, &status(saga), "completed").await;
            heard += 1;
        }
    }
    stop(node).await;
}

#[tokio::test]
async fn a_saga_that_is_paused_before_a_node_has_it_makes_no_call() {
    let (database, calls) = (Database::create().await, Arc::default());
    let step = || Step::new("charge", work()).compensation(work());
    let turns = Draft::new("turns").concurrency("input.guest");
    let drafts =
        vec![Draft::new("pay").step(step()), turns.step(Step::awaiting("go", "go", None)).step(step().needs(["go"]))];
    let runtime = node(&database, handlers(&calls), drafts).await;
    let ahead = runtime.start("turns", &json!({ "guest": 1 })).await.unwrap();
    until(&database.url, "select count(*) from amends.steps where state = 'awaiting'", "1").await;
    let mut client = database.client().await;
    let mut paused = Vec::new();
    for (definition, input) in [("pay", "{}"), ("turns", r#"{"guest": 1}"#)] {
        let both = client.transaction().await.unwrap();
        let start = "select amends.start($1, $2::text::json)";
        let saga: Uuid = both.query_one(start, &[&definition, &input]).await.unwrap().get(0);
        both.execute("select amends.pause($1, 'look first')", &[&saga]).await.unwrap();
        if definition == "turns" {
            both.execute("select amends.signal($1, 'go', '1')", &[&saga]).await.unwrap();
        }
        both.commit().await.unwrap();
        paused.push(saga);
    }
    until(&database.url, &status(paused[0]), "paused").await;
    ask(&database.url, &format!("select amends.signal('{ahead}', 'go', '1')")).await;
    until(&database.url, &status(ahead), "completed").await;
    until(&database.url, &status(paused[1]), "paused").await;
    assert_eq!(calls.load(Ordering::SeqCst), 1, "only the one ahead has called");
    for saga in &paused {
        assert_eq!(ask(&database.url, &attempts(saga)).await, "0");
        ask(&database.url, &format!("select amends.resume('{saga}', 'seen')")).await;
        until(&database.url, &status(saga), "completed").await;
    }
    stop(runtime).await;
}

/// What comes of a saga and why, if it turned back.
async fn end(database: &Database, saga: &str) -> String {
    let end = "select concat_ws(' ', status, result) from amends.saga_done where id =";
    ask(&database.url, &format!("{end} '{saga}'")).await
}

#[tokio::test]
async fn a_sagas_deadline_passes_although_no_node_has_it_yet() {
    let (database, calls) = (Database::create().await, Arc::default());
    let step = || Step::new("pay", work()).compensation(work());
    let drafts =
        || [("late", 500), ("early", 3_600_000)].map(|(name, ms)| Draft::new(name).deadline_ms(ms).step(step()));
    stop(node(&database, handlers(&calls), drafts().into()).await).await;
    let [late, early] = ["late", "early"].map(|name| format!("select amends.start('{name}', '{{}}')"));
    let (late, early) = (ask(&database.url, &late).await, ask(&database.url, &early).await);
    let passed = "select min(started_at) + interval '500 ms' < clock_timestamp() from amends.live_saga";
    until(&database.url, passed, "t").await;
    let heir = node(&database, handlers(&calls), drafts().into()).await;
    until(&database.url, &status(&late), "compensated").await;
    until(&database.url, &status(&early), "completed").await;
    assert_eq!(end(&database, &late).await, r#"compensated {"turned_back":"deadline"}"#);
    assert_eq!(ask(&database.url, &attempts(&late)).await, "0");
    assert_eq!(calls.load(Ordering::SeqCst), 1, "only the one that was in time has called");
    stop(heir).await;
}

/// Both are as old, and the second one gets its turn when the deadline of the first has passed.
#[tokio::test]
async fn a_sagas_deadline_runs_from_its_turn() {
    let (database, calls) = (Database::create().await, Arc::default());
    let turns = Draft::new("turns").concurrency("input.guest").deadline_ms(1_000);
    let turns =
        turns.step(Step::awaiting("go", "go", None)).step(Step::new("pay", work()).needs(["go"]).irreversible());
    let runtime = node(&database, handlers(&calls), vec![turns]).await;
    let start = r#"amends.start('turns', '{"guest": 1}')"#;
    let both = ask(&database.url, &format!("select concat({start}, ' ', {start})")).await;
    let (first, second) = both.split_once(' ').unwrap();
    ask(&database.url, &format!("select amends.signal('{second}', 'go', '1')")).await;
    until(&database.url, &status(first), "compensated").await;
    until(&database.url, &status(second), "completed").await;
    assert_eq!(end(&database, first).await, r#"compensated {"turned_back":"deadline"}"#);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    stop(runtime).await;
}

/// Its receiver is away for longer than the journal is kept.
#[tokio::test]
async fn a_notice_has_the_same_key_when_the_journal_is_gone() {
    let (database, deaf, keys) =
        (Database::create().await, Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<String>>>::default());
    let receiver = (deaf.clone(), keys.clone());
    let told = handlers(&Arc::default()).register("tell", move |_: StepContext, news: Value| {
        let (deaf, keys) = receiver.clone();
        keys.lock().unwrap().push(news["key"].as_str().unwrap().to_owned());
        async move {
            match deaf.load(Ordering::SeqCst) {
                true => Err(Failure::permanent("closed", "nobody is here")),
                false => Ok(Value::Null),
            }
        }
    });
    let tells = Draft::new("tells").on_end(Notice::handler("tell"));
    let tells = tells.step(Step::new("pay", work()).irreversible());
    let runtime = node(&database, told, vec![tells]).await;
    let saga = runtime.start("tells", &json!({})).await.unwrap();
    let heard = |times| {
        let keys = keys.clone();
        eventually("it is told again", async move || keys.lock().unwrap().len() >= times)
    };
    heard(1).await;
    ask(&database.url, &format!("delete from amends.journal where id = '{saga}'")).await;
    let before = keys.lock().unwrap().len();
    heard(before + 1).await;
    deaf.store(false, Ordering::SeqCst);
    until(&database.url, "select count(*) from amends.outbox", "0").await;
    let keys = keys.lock().unwrap().clone();
    assert!(keys.iter().all(|key| *key == format!("{saga}-on_end-n2")), "{keys:?}");
    stop(runtime).await;
}

fn accepts() -> Draft {
    let found = Probe::new(Target::Handler { name: "work".into(), arguments: None }, "result == 'done'");
    let rule = Rule::new("result == 'queued'", Verdict::Pending);
    Draft::new("accepts").step(Step::new("pay", work().classify(rule).probe(found)).compensation(work()))
}

/// Its input is wrong, or its definition is one that nothing new starts under; the node that took it up died at once.
#[tokio::test]
async fn a_start_is_refused_although_the_node_that_took_it_died() {
    let (database, calls) = (Database::create().await, Arc::default());
    let schema = json!({ "type": "object", "required": ["amount"] });
    let strict = Draft::new("strict").input(schema).step(Step::new("pay", work()).compensation(work()));
    stop(node(&database, handlers(&calls), vec![strict]).await).await;
    let store = database.store().await;
    let stored = serde_json::to_string(&accepts()).unwrap();
    let digest = amends::saga::Definition::build(accepts()).unwrap().digest().to_owned();
    store.put_definition(&digest, "accepts", &stored, &amends::store::AtStart::default()).await.unwrap();
    let ids: Vec<_> = store.definitions().await.unwrap().iter().map(|one| one.id).collect();
    let mut sagas = Vec::new();
    for definition in ["strict", "accepts"] {
        sagas.push(ask(&database.url, &format!("select amends.start('{definition}', '{{}}')")).await);
    }
    let dead = store.join("dead", "test", 2_000).await.unwrap();
    let mut lane = database.lane(dead).await;
    assert_eq!(lane.claim(amends::store::Sources::ALL, 10, &ids).await.unwrap().sagas.len(), 2);
    drop(lane);
    let heir = node(&database, handlers(&calls), Vec::new()).await;
    for saga in &sagas {
        until(&database.url, &status(saga), "compensated").await;
        let why = format!("select string_agg(reason, '') from amends.timeline where saga = '{saga}'");
        assert!(ask(&database.url, &why).await.contains("the start is refused: "));
    }
    // Nor does a new saga go on from it.
    let again = format!("select amends.rerun_from('{}', 'pay', 'once more')", sagas[1]);
    let rerun = ask(&database.url, &again).await;
    let answer = format!("select concat_ws(': ', fate, answer) from amends.reruns where rerun = '{rerun}'");
    eventually("it is answered", async || ask(&database.url, &answer).await.starts_with("refused: ")).await;
    assert!(ask(&database.url, &answer).await.contains("steps[0].action.probe.absent"));
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    stop(heir).await;
}

/// What accepts without an `absent` is refused by every door, and its live sagas go on.
#[tokio::test]
async fn what_was_stored_with_a_rule_that_is_refused_now_stays_readable() {
    let (database, calls) = (Database::create().await, Arc::default());
    let refused = Runtime::builder(database.url.clone()).handlers(handlers(&calls)).definition(accepts()).begin().await;
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("accepts: steps[0].action.probe.absent"), "{said}");
    let store = database.store().await;
    let stored = serde_json::to_string(&accepts()).unwrap();
    let digest = amends::saga::Definition::build(accepts()).unwrap().digest().to_owned();
    store.put_definition(&digest, "accepts", &stored, &amends::store::AtStart::default()).await.unwrap();
    let runtime = node(&database, handlers(&calls), vec![Draft::new("plan").open(3_600_000)]).await;
    eventually("the node has read it", async || runtime.client().definition("accepts").await.unwrap().is_some()).await;
    let said = runtime.start("accepts", &json!({})).await.unwrap_err().to_string();
    assert!(said.contains("definition accepts: steps[0].action.probe.absent"), "{said}");
    let plan = runtime.start("plan", &json!({})).await.unwrap();
    let step = Box::new(accepts().steps[0].clone());
    let signal = runtime.signal(plan, amends::saga::event::Request::Append { step }).await.unwrap();
    let fate =
        format!("select concat_ws(' ', fate, answer) from amends.signals where saga = '{plan}' and signal = {signal}");
    eventually("it is answered", async || ask(&database.url, &fate).await.starts_with("refused")).await;
    assert!(ask(&database.url, &fate).await.contains("step.action.probe.absent"));
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    stop(runtime).await;
}

/// Does what `/pay` asks and loses the first answer; keeps its only place for so long on `/hold`.
async fn slow(pays: Arc<AtomicU32>, hold_ms: u64) -> ParticipantConfig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let pays = pays.clone();
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let read = socket.read(&mut request).await.unwrap_or(0);
                if String::from_utf8_lossy(&request[..read]).contains("/hold") {
                    tokio::time::sleep(Duration::from_millis(hold_ms)).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    if pays.fetch_add(1, Ordering::SeqCst) == 0 {
                        return;
                    }
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";
                socket.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    let transport = Transport::Http { url: Secret::plain(&url), headers: Default::default() };
    let limits = Limits { concurrency_max: 1, ..Limits::default() };
    ParticipantConfig { name: "bank".into(), transport, limits, answers: Answers::default() }
}

fn http(path: &str) -> Call {
    let target = json!({ "http": { "participant": "bank", "method": "POST", "path": path } });
    Call::new(serde_json::from_value(target).unwrap()).timeout_ms(1_000)
}

/// A repeat that would come after the key is forgotten is not made, however the call before it was decided; a step
/// whose deadline passes while it waits fails without an attempt.
#[tokio::test]
async fn a_call_that_waits_for_its_place_begins_in_time_or_not_at_all() {
    in_time(1_000, hold_the_place).await;
}

/// Takes the only place of a participant before a repeat does, and holds the ends against it; `false` if the repeat,
/// which comes after the pause, was there first, or the place was free again.
async fn hold_the_place(pause_ms: u64) -> bool {
    let (database, pays) = (Database::create().await, Arc::<AtomicU32>::default());
    let (forgotten_ms, hold_ms) = (2 * pause_ms + 3_500, 2 * pause_ms + 6_000);
    let again = Retry { attempts: 5, backoff_ms: pause_ms, multiplier: 1.0, backoff_max_ms: pause_ms, jitter: 0.0 };
    let pay = http("/pay").idempotent().settle_ms(500).key_lifetime_ms(forgotten_ms).retry(again);
    let pay = Step::new("pay", pay).compensation(http("/void").idempotent());
    let hold = Step::new("hold", http("/hold").timeout_ms(2 * hold_ms)).irreversible();
    let late = Step::new("late", http("/late").deadline_ms(800)).irreversible();
    let drafts = [("pays", pay), ("holds", hold), ("lates", late)];
    let builder = Runtime::builder(database.url.clone()).participants([slow(pays.clone(), hold_ms).await]);
    let builder =
        drafts.into_iter().fold(builder, |builder, (name, step)| builder.definition(Draft::new(name).step(step)));
    let runtime = builder.begin().await.unwrap();
    let paying = runtime.start("pays", &json!({})).await.unwrap();
    until(&database.url, &attempts(paying), "1").await;
    let holding = runtime.start("holds", &json!({})).await.unwrap();
    let waits = runtime.start("lates", &json!({})).await.unwrap();
    let over = format!("select status in ('stuck', 'completed') from amends.sagas where saga = '{paying}'");
    until(&database.url, &over, "t").await;
    let ends = [ask(&database.url, &status(paying)).await, ask(&database.url, &status(holding)).await];
    let in_time = ends == ["stuck", "running"];
    if in_time {
        until(&database.url, &status(waits), "compensated").await;
        assert_eq!(ask(&database.url, &attempts(waits)).await, "0");
        until(&database.url, &status(holding), "completed").await;
        assert_eq!(pays.load(Ordering::SeqCst), 1, "under a forgotten key it would have had its effect twice");
    }
    stop(runtime).await;
    in_time
}
