//! What an operator does about nodes: draining one, and taking a saga from one that hangs in it. Two real nodes on one
//! database, and a participant that keeps a ledger.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::store::Error;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ask, psql, until};
use crate::harness::Database;

/// What the participants have seen: how often each key was booked, and undone.
type Ledger = Arc<Mutex<BTreeMap<String, [u32; 2]>>>;

/// How the action of a node behaves.
#[derive(Clone, Copy)]
enum Habit {
    Answers,
    /// Books, and does not answer the first call, ever.
    Hangs,
    /// The same, and cannot even be given up: it holds on to its thread.
    Blocks,
}

/// Which node calls, and how it behaves there, is the node's; the ledger is everybody's.
fn handlers(ledger: &Ledger, habit: Habit) -> Handlers {
    let (booked, undone) = (ledger.clone(), ledger.clone());
    let called = AtomicBool::new(false);
    Handlers::new()
        .register("book", move |context: StepContext, _: Value| {
            booked.lock().unwrap().entry(context.key().to_owned()).or_default()[0] = 1;
            let again = called.swap(true, Ordering::SeqCst);
            async move {
                match habit {
                    Habit::Answers => {}
                    Habit::Hangs | Habit::Blocks if again => {}
                    Habit::Hangs => std::future::pending().await,
                    Habit::Blocks => std::thread::sleep(Duration::from_secs(30)),
                }
                Ok::<_, Failure>(json!({ "key": context.key() }))
            }
        })
        .register("undo", move |context: StepContext, _: Value| {
            let key = context.action_key().unwrap_or_default().to_owned();
            undone.lock().unwrap().entry(key).or_default()[1] += 1;
            async move { Ok::<_, Failure>(json!(null)) }
        })
        .register("declines", |_: StepContext, _: Value| async move {
            Err::<Value, _>(Failure::permanent("declined", "no"))
        })
}

fn drafts() -> Vec<Draft> {
    let undo = || Call::handler("undo").idempotent();
    let book = || {
        let call = Call::handler("book").idempotent().timeout_ms(600_000).settle_ms(0);
        Step::new("book", call).compensation(undo())
    };
    vec![
        Draft::new("books").step(book()),
        Draft::new("declined")
            .step(book())
            .step(Step::new("charge", Call::handler("declines")).compensation(undo()).needs(["book"])),
    ]
}

async fn node(database: &Database, name: &str, ledger: &Ledger, habit: Habit) -> Runtime {
    let mut builder = Runtime::builder(database.url.clone())
        .name(name)
        .lease(Duration::from_secs(4))
        .handlers(handlers(ledger, habit));
    for draft in drafts() {
        builder = builder.definition(draft);
    }
    builder.begin().await.unwrap()
}

async fn stop(nodes: [&Runtime; 2]) {
    for node in nodes {
        node.stop(Duration::from_millis(100)).await.unwrap();
    }
}

fn number_of(name: &str) -> String {
    format!("(select max(node) from amends.nodes where name = '{name}')")
}

/// Each booking stands (as `completed` says) or was undone (as `compensated` says), once.
fn balanced(ledger: &Ledger, undone: u32) {
    let ledger = ledger.lock().unwrap();
    assert!(!ledger.is_empty());
    for (key, counts) in &*ledger {
        assert_eq!(*counts, [1, undone], "{key}: booked, undone");
    }
}

#[tokio::test]
async fn a_drained_node_hands_its_sagas_over_and_takes_none_until_that_is_undone() {
    let (database, ledger) = (Database::create().await, Ledger::default());
    let one = node(&database, "one", &ledger, Habit::Hangs).await;
    let saga = one.start("books", &json!({})).await.unwrap();
    let on = format!("select node from amends.sagas where saga = '{saga}'");
    until(&database.url, &on, "one").await;
    let two = node(&database, "two", &ledger, Habit::Answers).await;

    let refused = psql(&database.url, "select amends.drain_node(999, 'a try')").await;
    assert!(refused.errors.contains("AM006") && refused.errors.contains("(one)"), "{}", refused.errors);
    let silent = psql(&database.url, &format!("select amends.drain_node({}, ' ')", number_of("one"))).await;
    assert!(silent.errors.contains("AM005"), "{}", silent.errors);

    let drain = format!("select amends.drain_node({}, 'new kernel')", number_of("one"));
    let fate = |signal: &str| format!("select verb, fate from amends.signal_status(null, {signal})");
    let signal = ask(&database.url, &drain).await;
    let again = psql(&database.url, &drain).await.errors;
    assert!(again.contains("AM009") && again.contains("Legal now: undrain_node"), "{again}");
    // What runs may end within the grace, longer than anybody waits here: so it is taken away as well.
    let state = "select state from amends.nodes where name = 'one'";
    until(&database.url, state, "draining").await;
    until(&database.url, &fate(&signal), "drain_node|applied").await;
    ask(&database.url, &format!("select amends.evict('{saga}', 'the kernel waits')")).await;
    assert_eq!(one.wait(saga).await.unwrap().status.as_str(), "completed", "the other node went on");
    until(&database.url, state, "drained").await;

    let next = one.start("books", &json!({})).await.expect("it is started all the same, through the queue");
    assert_eq!(one.wait(next).await.unwrap().status.as_str(), "completed");
    let by = |saga: Uuid| format!("select string_agg(distinct node, ',') from amends.timeline where saga = '{saga}'");
    assert_eq!(ask(&database.url, &by(next)).await, "two");
    balanced(&ledger, 0);

    let audit = "select name, held, by, application_name, reason from amends.node_drains";
    assert_eq!(ask(&database.url, audit).await, "one|t|postgres|a terminal|new kernel");
    let undrain = format!("select amends.undrain_node({}, 'done')", number_of("one"));
    // Nobody has heard of what is not committed; what the node has not heard of waits.
    let both = format!("begin; {undrain}; select fate from amends.signal_status(null); commit");
    let said = ask(&database.url, &both).await;
    let (undone_with, heard) = said.split_once('\n').unwrap();
    assert_eq!(heard, "waiting");
    let again = psql(&database.url, &undrain).await.errors;
    assert!(again.contains("AM009") && again.contains("Legal now: drain_node"), "{again}");
    until(&database.url, state, "live").await;
    until(&database.url, &fate(undone_with), "undrain_node|applied").await;
    let undone = "select held, undone_by, undo_reason from amends.node_drains";
    assert_eq!(ask(&database.url, undone).await, "f|postgres|done");
    ask(&database.url, &format!("select amends.drain_node({}, 'its turn')", number_of("two"))).await;
    until(&database.url, "select state from amends.nodes where name = 'two'", "drained").await;
    let last = two.start("books", &json!({})).await.unwrap();
    assert_eq!(two.wait(last).await.unwrap().status.as_str(), "completed");
    assert_eq!(ask(&database.url, &by(last)).await, "one");
    stop([&one, &two]).await;
}

#[tokio::test]
async fn a_saga_is_taken_from_a_live_node_that_hangs_in_it() {
    for definition in ["books", "declined"] {
        let (database, ledger) = (Database::create().await, Ledger::default());
        let one = node(&database, "one", &ledger, Habit::Hangs).await;
        let saga = one.start(definition, &json!({})).await.unwrap();
        until(&database.url, &format!("select node from amends.sagas where saga = '{saga}'"), "one").await;
        let two = node(&database, "two", &ledger, Habit::Answers).await;
        let signal = ask(&database.url, &format!("select amends.evict('{saga}', 'it hangs')")).await;
        let ended = two.wait(saga).await.unwrap();
        let undone = u32::from(definition == "declined");
        assert_eq!(ended.status.as_str(), if undone == 1 { "compensated" } else { "completed" });
        balanced(&ledger, undone);
        let fate = format!("select fate, verb from amends.signal_status('{saga}', {signal})");
        assert_eq!(ask(&database.url, &fate).await, "applied|evict");
        let who = format!(
            "select what, reason, asked_by, node from amends.timeline where saga = '{saga}' and signal = {signal}"
        );
        assert_eq!(ask(&database.url, &who).await, "evict|it hangs|postgres|one");
        let went_on = format!(
            "select string_agg(distinct node, ',') from amends.timeline
             where saga = '{saga}' and kind = 'attempt_ended' and error is null and step = 'book'"
        );
        assert_eq!(ask(&database.url, &went_on).await, "two");
        let undisturbed = "select count(*) from amends.node where disowned_at is not null";
        assert_eq!(ask(&database.url, undisturbed).await, "0", "both nodes live on");
        stop([&one, &two]).await;
    }
}

#[tokio::test]
async fn a_call_that_cannot_even_be_given_up_is_left_to_itself() {
    let (database, ledger) = (Database::create().await, Ledger::default());
    let one = node(&database, "one", &ledger, Habit::Blocks).await;
    let saga = one.start("books", &json!({})).await.unwrap();
    until(&database.url, &format!("select node from amends.sagas where saga = '{saga}'"), "one").await;
    let two = node(&database, "two", &ledger, Habit::Answers).await;
    ask(&database.url, &format!("select amends.evict('{saga}', 'it hangs')")).await;
    assert_eq!(two.wait(saga).await.unwrap().status.as_str(), "completed");
    balanced(&ledger, 0);
    stop([&one, &two]).await;
}

#[tokio::test]
async fn who_does_not_let_go_counts_for_dead() {
    let (database, ledger) = (Database::create().await, Ledger::default());
    let one = node(&database, "one", &ledger, Habit::Hangs).await;
    let saga = one.start("books", &json!({})).await.unwrap();
    until(&database.url, &format!("select node from amends.sagas where saga = '{saga}'"), "one").await;
    let two = node(&database, "two", &ledger, Habit::Answers).await;
    // It was asked long ago and has not answered, as the database has it; nothing has come to its inbox.
    let client = database.client().await;
    let overdue = "insert into amends.eviction (id, lane, at)
                   select id, lane, amends.now() - interval '1 hour' from amends.saga where id = $1";
    client.execute(overdue, &[&saga]).await.unwrap();
    assert_eq!(two.wait(saga).await.unwrap().status.as_str(), "completed");
    balanced(&ledger, 0);
    let lost = format!("select count(*) from amends.timeline where saga = '{saga}' and kind = 'owner_lost'");
    assert_ne!(ask(&database.url, &lost).await, "0");
    // It joins again as another, and works.
    let incarnations =
        "select bool_or(state = 'gone') and bool_or(state = 'live') from amends.nodes where name = 'one'";
    until(&database.url, incarnations, "t").await;
    until(&database.url, "select count(*) from amends.eviction", "0").await;
    stop([&one, &two]).await;
}

#[tokio::test]
async fn what_no_node_has_cannot_be_taken_away() {
    let (database, ledger) = (Database::create().await, Ledger::default());
    let one = node(&database, "one", &ledger, Habit::Answers).await;
    let saga = one.start("books", &json!({})).await.unwrap();
    one.wait(saga).await.unwrap();
    let ended = psql(&database.url, &format!("select amends.evict('{saga}', 'why not')")).await;
    assert!(ended.errors.contains("AM002"), "{}", ended.errors);
    one.stop(Duration::from_secs(5)).await.unwrap();

    let queued = ask(&database.url, "select amends.start('books', '{}')").await;
    let nobody = psql(&database.url, &format!("select amends.evict('{queued}', 'why not')")).await;
    assert!(nobody.errors.contains("AM007") && nobody.errors.contains("Legal: cancel"), "{}", nobody.errors);
    let store = database.store().await;
    let refused = store.evict(queued.parse().unwrap(), "why not").await;
    assert!(matches!(&refused, Err(Error::OutOfPlace(why)) if why.contains("queued")), "{refused:?}");
    let silent = store.evict(saga, " ").await;
    assert!(matches!(silent, Err(Error::Invalid(_) | Error::SagaEnded(_))), "{silent:?}");
}
