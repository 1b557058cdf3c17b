//! A participant with a barrier behind a real runtime: actions that land long after they were given up, or
//! twice, or after their compensation, and no settle window anywhere. Owns the mischief; the ledger is the
//! participant's account.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::barrier::{self, Action, Probe};
use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Probe as ProbeCall, Retry, Step, Target};
use amends::saga::state::Status;
use serde_json::{Value, json};

use super::{account, charge, find, refund, taken};
use crate::harness::{Database, connect, eventually};

/// Calls that are on their way to the participant, whoever still waits for them.
type OnTheWay = Arc<AtomicU32>;

fn broken(error: &tokio_postgres::Error) -> Failure {
    match barrier::is_unknown(error) {
        true => Failure::unknown("forgotten", error.to_string()),
        false => Failure::retryable("database", error.to_string()),
    }
}

/// Sends a charge that arrives after `delay_ms`, whether or not anybody still waits for it.
fn send(url: &str, key: &str, delay_ms: u64, on_the_way: &OnTheWay) -> tokio::task::JoinHandle<Action> {
    let (url, key, on_the_way) = (url.to_owned(), key.to_owned(), on_the_way.clone());
    on_the_way.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let verdict = charge(&mut connect(&url).await, &key).await.unwrap();
        on_the_way.fetch_sub(1, Ordering::SeqCst);
        verdict
    })
}

/// Every fourth call each: arrives at once; arrives twice; arrives after it was given up; is lost.
fn handlers(url: &str, on_the_way: &OnTheWay) -> Handlers {
    let calls = Arc::new(AtomicU32::new(0));
    let (charged_at, on_the_way) = (url.to_owned(), on_the_way.clone());
    let (refunded_at, found_at) = (url.to_owned(), url.to_owned());
    Handlers::new()
        .register("charge", move |context: StepContext, _: Value| {
            let (key, number) = (context.key().to_owned(), calls.fetch_add(1, Ordering::SeqCst));
            let sent = match number % 4 {
                0 => Some(send(&charged_at, &key, 0, &on_the_way)),
                1 => {
                    send(&charged_at, &key, 20, &on_the_way);
                    Some(send(&charged_at, &key, 0, &on_the_way))
                }
                2 => Some(send(&charged_at, &key, 400, &on_the_way)),
                _ => None,
            };
            async move {
                let Some(sent) = sent else { return std::future::pending().await };
                match sent.await.unwrap() {
                    Action::Proceed => Ok(json!({ "charge": key })),
                    Action::Applied { output } => Ok(json!({ "charge": output })),
                    Action::Barred => Err(Failure::permanent("barred", "it came too late")),
                }
            }
        })
        .register("refund", move |context: StepContext, _: Value| {
            let url = refunded_at.clone();
            async move {
                let key = context.action_key().unwrap_or_default();
                refund(&mut connect(&url).await, key).await.map_err(|error| broken(&error))?;
                Ok(json!(null))
            }
        })
        .register("find", move |context: StepContext, _: Value| {
            let url = found_at.clone();
            async move {
                let found = find(&mut connect(&url).await, context.key()).await;
                let found = found.map_err(|error| broken(&error))?;
                Ok::<_, Failure>(json!({ "found": matches!(found, Probe::Applied { .. }) }))
            }
        })
        .register("ship", move |_: StepContext, order: Value| async move {
            match order["refused"].as_bool() {
                Some(true) => Err(Failure::permanent("sold_out", "nothing left")),
                Some(false) | None => Ok(json!(null)),
            }
        })
}

fn draft(name: &str, charge: Call, safe_when_absent: bool) -> Draft {
    let retry = Retry { attempts: 6, backoff_ms: 5, multiplier: 1.5, backoff_max_ms: 50, jitter: 0.5 };
    let mut step = Step::new("charge", charge.retry(retry).timeout_ms(150).settle_ms(0))
        .compensation(Call::handler("refund").idempotent());
    step.safe_when_absent = safe_when_absent;
    let ship = Step::new("ship", Call::handler("ship").idempotent()).irreversible().needs(["charge"]);
    Draft::new(name).step(step).step(ship)
}

/// Runs 40 sagas, half of which fail at the end; what stays taken is what the completed ones took.
async fn check(name: &str, charge: Call, safe_when_absent: bool) {
    let (participant, client) = account().await;
    let on_the_way = OnTheWay::default();
    let database = Database::create().await;
    let runtime = Runtime::builder(database.url.clone())
        .handlers(handlers(&participant.url, &on_the_way))
        .definition(draft(name, charge, safe_when_absent))
        .begin()
        .await
        .unwrap();
    let mut sagas = Vec::new();
    for number in 0..40 {
        sagas.push(runtime.start(name, &json!({ "refused": number % 2 == 0 })).await.unwrap());
    }
    let (mut completed, mut compensated) = (0, 0);
    for saga in sagas {
        let ended = tokio::time::timeout(Duration::from_secs(60), runtime.wait(saga)).await;
        match ended.expect("it ends in time").unwrap().status {
            Status::Completed => completed += 1,
            Status::Compensated => compensated += 1,
            other => panic!("{saga} is {other}"),
        }
    }
    eventually("nothing is on its way", async || on_the_way.load(Ordering::SeqCst) == 0).await;
    assert!(completed > 10 && compensated >= 20, "{completed} completed, {compensated} compensated");
    assert_eq!(taken(&client).await, completed * 10, "{completed} completed, {compensated} compensated");
    let late = "select count(*) from amends_barrier.action_key where state = 'barred'";
    let barred: i64 = client.query_one(late, &[]).await.unwrap().get(0);
    println!("{name}: {completed} completed, {compensated} compensated, {barred} keys barred");
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_probe_that_bars_needs_no_settle_window() {
    let probe = ProbeCall::new(Target::Handler { name: "find".into(), arguments: None }, "result.found");
    check("probed", Call::handler("charge").probe(probe), false).await;
}

#[tokio::test]
async fn a_compensation_that_bars_needs_no_probe() {
    check("repeated", Call::handler("charge").idempotent(), true).await;
}

/// Charges, waits for an event while the barrier forgets the key, and is cancelled.
#[tokio::test]
async fn a_saga_whose_key_was_forgotten_is_never_called_compensated() {
    let (participant, client) = account().await;
    let database = Database::create().await;
    let retry = Retry { attempts: 2, backoff_ms: 5, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    let mut step = Step::new("charge", Call::handler("charge").idempotent().settle_ms(0))
        .compensation(Call::handler("refund").idempotent().retry(retry));
    step.safe_when_absent = true;
    let wait = Step::awaiting("delivery", "delivered", None).needs(["charge"]);
    let runtime = Runtime::builder(database.url.clone())
        .handlers(handlers(&participant.url, &OnTheWay::default()))
        .definition(Draft::new("forgotten").step(step).step(wait))
        .begin()
        .await
        .unwrap();
    let saga = runtime.start("forgotten", &json!({})).await.unwrap();
    let look = database.client().await;
    let sql = "select count(*) from amends.journal where id = $1 and kind = 'attempt_ended'";
    eventually("the charge is known", async || look.query_one(sql, &[&saga]).await.unwrap().get::<_, i64>(0) == 1)
        .await;
    let forgotten = client.query_one("select amends_barrier.forget('0 seconds')", &[]).await.unwrap();
    assert_eq!((forgotten.get::<_, i64>(0), taken(&client).await), (1, 10));
    look.query("select amends.cancel($1, 'changed my mind')", &[&saga]).await.unwrap();
    let sql = "select status from amends.saga where id = $1";
    eventually("it waits for a person", async || {
        let row = look.query_opt(sql, &[&saga]).await.unwrap().expect("it has not ended");
        row.get::<_, &str>(0) == "stuck"
    })
    .await;
    assert_eq!(taken(&client).await, 10, "the charge stands, and is not called undone");
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
