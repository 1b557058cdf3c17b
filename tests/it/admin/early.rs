//! What is asked of a saga before any node has it: by clients beside the database, while two nodes of several lanes
//! take what comes. No saga is lost, and each does what it was asked.

use std::time::Duration;

use amends::runtime::Runtime;
use amends::saga::definition::Draft;
use uuid::Uuid;

use super::{Operated, ask, drafts, handlers, program, psql, until};
use crate::harness::Database;

const CLIENTS: usize = 6;
const SAGAS: usize = 60;

async fn node(database: &Database, name: &str, lanes: usize) -> Runtime {
    let mut builder = Runtime::builder(database.url.clone()).name(name).lanes(lanes).handlers(handlers());
    for draft in drafts().into_iter().chain([Draft::new("plan").open(3_600_000)]) {
        builder = builder.definition(draft);
    }
    builder.begin().await.unwrap()
}

/// Each client starts sagas, and asks as soon as it has the id; in one transaction, or in two statements.
async fn start_and_ask(database: &Database, definition: &'static str, verbs: &'static [&'static str], at_once: bool) {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let client = database.client().await;
        clients.push(tokio::spawn(async move {
            for _ in 0..SAGAS {
                if at_once {
                    client.batch_execute("begin").await.unwrap();
                }
                let start = "select amends.start($1, '{}')";
                let saga: Uuid = client.query_one(start, &[&definition]).await.unwrap().get(0);
                for verb in verbs {
                    client.execute(&format!("select amends.{verb}"), &[&saga]).await.unwrap();
                }
                if at_once {
                    client.batch_execute("commit").await.unwrap();
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_saga_is_lost_that_is_asked_something_before_a_node_has_it() {
    let database = Database::create().await;
    let nodes = [node(&database, "one", 8).await, node(&database, "two", 2).await];
    let (cancel, provide) = ("cancel($1, 'not needed')", "signal($1, 'approved', '{}')");
    let (pause, resume) = ("pause($1, 'wait')", "resume($1, 'go on')");
    let step = serde_json::to_string(&super::step("a", "good")).unwrap();
    let append: &str = format!(r#"request_as(null, $1, '{{"append":{{"step":{step}}}}}')"#).leak();
    let (touch, commit) = (r#"request_as(null, $1, '"touch"')"#, r#"request_as(null, $1, '"commit"')"#);
    for (definition, verbs, at_once) in [
        ("patient", &[cancel] as &[&str], false),
        ("patient", &[provide], false),
        ("happy", &[pause, resume], true),
        ("happy", &[cancel], true),
        ("plan", &[append, touch, commit], false),
        ("plan", &[append, touch, commit], true),
    ] {
        let verbs: &'static [&'static str] = Vec::leak(verbs.to_vec());
        start_and_ask(&database, definition, verbs, at_once).await;
    }
    until(&database.url, "select count(*) from amends.sagas where ended_at is null", "0").await;
    let ends = "select string_agg(format('%s %s %s', d.name, s.status, s.sagas), ', ' order by d.name, s.status)
                from (select definition, status, count(*) as sagas from amends.saga_done group by 1, 2) s
                join amends.definition d on d.id = s.definition";
    let half = CLIENTS * SAGAS;
    let expected = format!(
        "happy compensated {half}, happy completed {half}, patient compensated {half}, patient completed {half}, \
         plan completed {}",
        2 * half
    );
    assert_eq!(ask(&database.url, ends).await, expected);
    for node in nodes {
        node.stop(Duration::from_secs(5)).await.unwrap();
    }
}

/// Another session holds the row with the input while the nodes meet the wake: the wake takes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_meet_a_wake_first_wait_for_the_input() {
    let node = Operated::begin().await;
    let url = node.url().to_owned();
    node.stop().await;
    let mut holder = node.database.client().await;
    let saga: Uuid = ask(&url, "select amends.start('patient', '{}')").await.parse().unwrap();
    ask(&url, &format!("select amends.signal('{saga}', 'approved')")).await;
    let wake = "insert into amends.ready (definition, id) select definition, id from amends.saga";
    ask(&url, wake).await;
    let held = holder.transaction().await.unwrap();
    held.execute("select from amends.ready where input is not null for update", &[]).await.unwrap();
    let nodes = [self::node(&node.database, "two", 2).await, self::node(&node.database, "three", 2).await];
    until(&url, "select count(*) from amends.ready where input is null", "0").await;
    held.rollback().await.unwrap();
    until(&url, &format!("select status from amends.sagas where saga = '{saga}'"), "completed").await;
    for node in nodes {
        node.stop(Duration::from_secs(5)).await.unwrap();
    }
}

/// What an older version left behind when it took a saga by a wake: a row without journal and without input.
async fn lose(url: &str, start: &str) -> Uuid {
    let saga = ask(url, &format!("select amends.start({start})")).await;
    ask(url, &format!("select amends.unqueue('{saga}')")).await;
    ask(url, &format!("delete from amends.ready where id = '{saga}'")).await;
    ask(url, &format!("update amends.saga set status = 'running' where id = '{saga}'")).await;
    let wake = "insert into amends.ready (definition, id) select definition, id from amends.saga";
    ask(url, &format!("{wake} where id = '{saga}'")).await;
    saga.parse().unwrap()
}

#[tokio::test]
async fn a_saga_whose_input_was_lost_is_told_apart_and_can_be_given_it_back() {
    let node = Operated::begin().await;
    let url = node.url().to_owned();
    node.stop().await;
    let lost = lose(&url, "'happy', '{\"a\":1}', 'key-1'").await;
    let unknown = lose(&url, "'happy', '{\"b\":2}', 'key-2'").await;
    let queued: Uuid = ask(&url, "select amends.start('happy', '{}')").await.parse().unwrap();
    let refused = psql(&url, &format!("select amends.restore_input('{queued}', '{{}}', 'a try')")).await;
    assert!(refused.errors.contains("AM009"), "{}", refused.errors);

    let nodes = self::node(&node.database, "again", 2).await;
    let lost_ones = "select count(*) from amends.stuck where reason = 'lost' and step is null";
    until(&url, lost_ones, "2").await;
    until(&url, &format!("select status from amends.sagas where saga = '{queued}'"), "completed").await;
    let found = "select level, found, remedy like '%restore_input%' from amends.checkup where subject = 'lost sagas'";
    assert_eq!(ask(&url, found).await, "fault|2|t");
    let legal = format!(
        "select status, array_to_string(legal, ', ') from amends.stuck s join amends.sagas using (saga)
                         where saga = '{lost}'"
    );
    assert_eq!(ask(&url, &legal).await, "stuck|cancel, restore_input");

    let (_, said) = program(&url, &["show", &lost.to_string()]);
    assert!(said.contains("it has called nothing") && said.contains("amends.restore_input("), "{said}");
    let (code, said) = program(&url, &["doctor"]);
    assert!(code == 1 && said.contains("lost sagas") && said.contains("restore_input"), "{code} {said}");

    let restore =
        |saga: Uuid, input: &str| format!("select amends.restore_input('{saga}', '{input}', 'found in the shop')");
    for (sql, code) in [
        (restore(lost, "{\"a\":2}"), "AM004"),
        (restore(Uuid::nil(), "{}"), "AM001"),
        (format!("select amends.restore_input('{lost}', '{{}}', ' ')"), "AM005"),
        (format!("select amends.restore_input('{lost}', null, 'a try')"), "AM005"),
    ] {
        let refused = psql(&url, &sql).await;
        assert!(refused.errors.contains(code), "{sql}: {}", refused.errors);
    }
    ask(&url, &restore(lost, "{\"a\": 1.0}")).await;
    until(&url, &format!("select status from amends.sagas where saga = '{lost}'"), "completed").await;
    let again = psql(&url, &restore(lost, "{\"a\":1}")).await;
    assert!(again.errors.contains("AM001"), "{}", again.errors);

    // Whose input is not known is closed without a call.
    ask(&url, &format!("select amends.cancel('{unknown}', 'its input is not known')")).await;
    ask(&url, &restore(unknown, "{}")).await;
    until(&url, &format!("select status from amends.sagas where saga = '{unknown}'"), "compensated").await;
    let calls = format!("select coalesce(sum(attempts), 0) from amends.steps where saga = '{unknown}'");
    assert_eq!(ask(&url, &calls).await, "0");
    assert_eq!(ask(&url, found).await, "ok|0|");
    let record = "select string_agg(distinct asked_by || ' ' || (request::json #>> '{restore_input,definition}'), ',')
                  from amends.signals where saga is null";
    assert_eq!(ask(&url, record).await, "postgres happy");
    nodes.stop(Duration::from_secs(5)).await.unwrap();
}
