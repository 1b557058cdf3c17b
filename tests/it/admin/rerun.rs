//! Going on from a step of an ended saga in a new one: from psql and the command line, against a participant that keeps
//! a ledger.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Retry, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use super::steps::FIRST_LAW;
use super::{ask, psql, until};
use crate::cli::run;
use crate::harness::Database;

const BUSY: u8 = 0;
const WELL: u8 = 1;
const DECLINES: u8 = 2;

/// The participants: how often each key was booked and undone, and what becomes of a charge.
#[derive(Clone, Default)]
struct World {
    bookings: Arc<Mutex<BTreeMap<String, [u32; 2]>>>,
    charging: Arc<AtomicU8>,
}

impl World {
    fn handlers(&self) -> Handlers {
        let (booked, undone, charging) = (self.bookings.clone(), self.bookings.clone(), self.charging.clone());
        Handlers::new()
            .register("book", move |context: StepContext, _: Value| {
                booked.lock().unwrap().entry(context.key().to_owned()).or_default()[0] += 1;
                async { Ok::<_, Failure>(json!({ "seat": 7 })) }
            })
            .register("unbook", move |context: StepContext, _: Value| {
                let key = context.action_key().unwrap_or_default().to_owned();
                undone.lock().unwrap().entry(key).or_default()[1] += 1;
                async { Ok::<_, Failure>(json!(null)) }
            })
            .register("charge", move |_: StepContext, input: Value| {
                let charging = charging.load(Ordering::SeqCst);
                async move {
                    match charging {
                        BUSY => Err(Failure::retryable("busy", "later")),
                        DECLINES => Err(Failure::permanent("declined", "no")),
                        _ => Ok(json!({ "of": input })),
                    }
                }
            })
    }

    async fn node(&self, database: &Database) -> Runtime {
        let patient = Retry { backoff_ms: 60_000, backoff_max_ms: 60_000, ..Retry::default() };
        let charge = Call::handler("charge").idempotent().retry(patient);
        let draft = Draft::new("trip")
            .step(
                Step::new("book", Call::handler("book").idempotent())
                    .compensation(Call::handler("unbook").idempotent()),
            )
            .step(Step::new("charge", charge).compensation(Call::handler("unbook").idempotent()).needs(["book"]));
        Runtime::builder(database.url.clone())
            .name("one")
            .handlers(self.handlers())
            .definition(draft)
            .begin()
            .await
            .unwrap()
    }

    /// Starts a saga that is closed by hand while its second step waits for another attempt.
    async fn abandoned(&self, database: &Database, node: &Runtime) -> Uuid {
        self.charging.store(BUSY, Ordering::SeqCst);
        let saga = node.start("trip", &json!({ "guest": "ada" })).await.unwrap();
        let waits = format!("select state from amends.steps where saga = '{saga}' and step = 'charge'");
        until(&database.url, &waits, "backing_off").await;
        ask(&database.url, &format!("select amends.abandon('{saga}', 'their gate is closed')")).await;
        assert_eq!(node.wait(saga).await.unwrap().status.as_str(), "abandoned");
        saga
    }

    fn assert_booked_once(&self, saga: Uuid, undone: u32) {
        let expected = BTreeMap::from([(format!("{saga}-book-a0"), [1, undone])]);
        assert_eq!(*self.bookings.lock().unwrap(), expected, "booked, undone");
    }
}

#[tokio::test]
async fn a_new_saga_goes_on_with_what_the_old_one_has_done() {
    let (database, world) = (Database::create().await, World::default());
    let node = world.node(&database).await;
    let saga = world.abandoned(&database, &node).await;
    world.charging.store(WELL, Ordering::SeqCst);
    let call = format!("select amends.rerun_from('{saga}', 'charge', 'the gate is open')");
    let rerun = ask(&database.url, &call).await;
    assert_eq!(ask(&database.url, &call).await, rerun, "the same asked again");
    let fate = format!("select fate, asked_by, application_name, reason from amends.reruns where rerun = '{rerun}'");
    until(&database.url, &fate, "applied|postgres|a terminal|the gate is open").await;
    let first_signal = format!("select signal, verb, fate, asked_by from amends.signal_status('{rerun}')");
    assert_eq!(ask(&database.url, &first_signal).await, "0|rerun_from|applied|postgres");
    let ended = node.wait(rerun.parse().unwrap()).await.unwrap();
    assert_eq!(ended.status.as_str(), "completed");
    assert_eq!(ended.result.to_value()["book"], json!({ "seat": 7 }), "taken over");
    assert_eq!(ended.result.to_value()["charge"], json!({ "of": { "guest": "ada" } }), "the same input");
    world.assert_booked_once(saga, 0);

    let begun = format!("select what, reason, asked_by from amends.timeline where saga = '{rerun}' and seq = 1");
    let expected = format!("started, goes on from step charge of saga {saga}|the gate is open|postgres (a terminal)");
    assert_eq!(ask(&database.url, &begun).await, expected);
    let steps = format!("select step, state, attempts from amends.steps where saga = '{rerun}'");
    assert_eq!(ask(&database.url, &steps).await, "book|done|0\ncharge|done|1");
    ask(&database.url, FIRST_LAW).await;
    assert_eq!(ask(&database.url, &begun).await, expected, "under the first law");
    assert_eq!(ask(&database.url, &steps).await, "book|done|0\ncharge|done|1", "under the first law");
    let elsewhere = psql(&database.url, &format!("select amends.rerun_from('{saga}', 'book', 'why not')")).await;
    assert!(elsewhere.errors.contains("AM008") && elsewhere.errors.contains(&rerun), "{}", elsewhere.errors);
    node.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn what_was_taken_over_is_undone_by_the_key_of_the_saga_that_did_it() {
    let (database, world) = (Database::create().await, World::default());
    let node = world.node(&database).await;
    let saga = world.abandoned(&database, &node).await;
    // Taken over twice: the one in between is closed by hand, too.
    let first = ask(&database.url, &format!("select amends.rerun_from('{saga}', 'charge', 'again')")).await;
    let waits = format!("select state from amends.steps where saga = '{first}' and step = 'charge'");
    until(&database.url, &waits, "backing_off").await;
    ask(&database.url, &format!("select amends.abandon('{first}', 'still closed')")).await;
    node.wait(first.parse().unwrap()).await.unwrap();
    world.charging.store(DECLINES, Ordering::SeqCst);
    let second = ask(&database.url, &format!("select amends.rerun_from('{first}', 'charge', 'once more')")).await;
    until(&database.url, &format!("select status from amends.sagas where saga = '{second}'"), "compensated").await;
    world.assert_booked_once(saga, 1);
    node.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn what_is_not_true_is_refused_with_what_is_legal() {
    let (database, world) = (Database::create().await, World::default());
    let node = world.node(&database).await;
    let saga = world.abandoned(&database, &node).await;
    let refused = |saga: Uuid, step: &'static str, because: &'static str| {
        let url = database.url.clone();
        async move {
            let rerun = ask(&url, &format!("select amends.rerun_from('{saga}', '{step}', 'a try')")).await;
            let fate = format!("select fate from amends.reruns where rerun = '{rerun}'");
            until(&url, &fate, "refused").await;
            let answer = ask(&url, &format!("select answer from amends.reruns where rerun = '{rerun}'")).await;
            assert!(answer.contains(because), "{answer}");
            let status = format!("select fate, answer from amends.signal_status('{rerun}')");
            assert_eq!(ask(&url, &status).await, format!("refused|{answer}"));
            assert_eq!(ask(&url, &format!("select count(*) from amends.sagas where saga = '{rerun}'")).await, "0");
        }
    };
    refused(saga, "book", "would be done twice; legal now: rerun_from charge, start").await;
    refused(saga, "nonsense", "its steps are book, charge").await;
    world.charging.store(BUSY, Ordering::SeqCst);
    let live = node.start("trip", &json!({})).await.unwrap();
    refused(live, "charge", "wait until it has ended; legal now: cancel, pause, abandon").await;
    for (sql, code) in [
        (format!("select amends.rerun_from('{saga}', 'charge', ' ')"), "AM005"),
        (format!("select amends.rerun_from('{}', 'charge', 'a try')", Uuid::nil()), "AM001"),
    ] {
        let said = psql(&database.url, &sql).await;
        assert!(said.errors.contains(code), "{}", said.errors);
    }

    // The same verb in the terminal.
    let id = saga.to_string();
    let (code, _, said) = run(&database, &["rerun-from", &id, "book", "--reason", "a try"]).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("legal now: rerun_from charge, start"), "{said}");
    world.charging.store(WELL, Ordering::SeqCst);
    let (code, said, errors) = run(&database, &["rerun-from", &id, "charge", "--reason", "it is open", "--json"]).await;
    assert_eq!(code, 0, "{errors}");
    let rerun: Value = serde_json::from_str(&said).unwrap();
    let rerun: Uuid = rerun["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(node.wait(rerun).await.unwrap().status.as_str(), "completed");
    let (_, shown, _) = run(&database, &["show", &rerun.to_string()]).await;
    assert!(shown.contains(&format!("goes on from charge of saga {saga}: it is open")), "{shown}");
    // The key that a compensation names is that of the saga that made the call.
    let taken = amends::saga::key::Key::uuid(&format!("{saga}-book-a0")).to_string();
    let (_, shown, _) = run(&database, &["show", &rerun.to_string(), &taken]).await;
    let call = format!("the action of step book, generation 0, called by saga {saga}");
    assert!(shown.contains(&call), "{shown}");
    node.stop(Duration::from_secs(5)).await.unwrap();
}
