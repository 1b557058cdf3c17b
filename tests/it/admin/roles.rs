//! The roles: somebody logs in as each and tries every table, view and function there is.

use std::collections::BTreeSet;

use amends::runtime::Runtime;
use amends::saga::definition::{Draft, Step};
use tokio_postgres::error::SqlState;

use super::ask;
use crate::harness::Database;

const VIEWS: &str = "backlog checkup chores definition_pauses definitions erasures history in_doubt node_drains \
    nodes outbox_lag progress queues reruns sagas signals steps stuck throughput timeline timers waits";
/// Views for other views and for the runtime.
const INNER: &str = "live_saga";
const OBSERVED: &str = "backlog checkup chores definition_pauses definitions history in_doubt node_drains nodes \
    outbox_lag progress queues reruns sagas signals stuck throughput timers waits";
const OBSERVING: &str = "bucket history_of now progress_of";
const READING: &str = "bucket history_of now progress_of signal_status steps_of timeline_of";
const PRODUCING: &str = "cancel signal signal_status start";
const OPERATING: &str = "abandon approve bulk cancel deny drain_node erase evict pause pause_definition rerun_from \
    resolve restore_input resume resume_definition retry signal signal_status skip start \
    undrain_node";

/// Tables in which a node changes rows, and those of which rows go, too; to all others but two it only adds.
const CHANGING: &str = "access_token census current_definition fleet_signal rerun signal virtual_time";
const PASSING: &str = "chore eviction inbox knock lane listener node outbox passage quota_use ready saga start_queue \
    suspect timer turn unreadable waiting";
const COMPACTED: &str = "inbox outbox ready saga start_queue timer";

fn words(lists: &[&str]) -> BTreeSet<String> {
    lists.iter().flat_map(|list| list.split(' ')).map(str::to_owned).collect()
}

/// Somebody who has been granted a role and nothing else.
async fn login(database: &Database, role: &str) -> String {
    crate::door::login(database, role, &format!("amends_{role}")).await
}

/// Names out of a list of relations or functions that this login may use. Each is really tried.
async fn allowed(url: &str, tries: &[(String, String)]) -> BTreeSet<String> {
    let client = crate::harness::connect(url).await;
    let mut found = BTreeSet::new();
    for (name, sql) in tries {
        let tried = client.batch_execute(&format!("begin; {sql}; rollback")).await;
        if tried.is_err() {
            client.batch_execute("rollback").await.unwrap();
        }
        let denied = tried.is_err_and(|error| error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE));
        if !denied {
            found.insert(name.clone());
        }
    }
    found
}

/// Every relation with a statement that reads it, or changes it.
async fn relations(database: &Database, sql: &str) -> Vec<(String, String)> {
    let list = "select relname from pg_class
                where relnamespace = 'amends'::regnamespace and relkind in ('r', 'p', 'v')";
    let names = ask(&database.url, list).await;
    names.lines().map(|name| (name.to_owned(), sql.replace('$', name))).collect()
}

/// Every table with a statement that changes a column of it.
async fn updates(database: &Database) -> Vec<(String, String)> {
    let list = "select c.relname || '|' || format('update amends.%I set %I = %2$I where false', c.relname, a.attname)
                from pg_class c join pg_attribute a on a.attrelid = c.oid
                where c.relnamespace = 'amends'::regnamespace and c.relkind in ('r', 'p') and a.attnum = (
                    select min(b.attnum) from pg_attribute b
                    where b.attrelid = c.oid and b.attnum > 0 and b.attidentity = '')";
    named(&ask(&database.url, list).await)
}

fn named(lines: &str) -> Vec<(String, String)> {
    let pairs = lines.lines().filter_map(|line| line.split_once('|'));
    pairs.map(|(name, sql)| (name.into(), sql.into())).collect()
}

/// Every function with a call of it, all arguments null.
async fn functions(database: &Database) -> Vec<(String, String)> {
    let list = "select proname || '|' || format('select amends.%I(%s)', proname, (
                    select string_agg('null::' || format_type(t, null), ', ' order by n)
                    from unnest(proargtypes) with ordinality a (t, n)))
                from pg_proc where pronamespace = 'amends'::regnamespace";
    named(&ask(&database.url, list).await)
}

#[tokio::test]
async fn each_role_may_do_its_own_and_no_more() {
    let database = Database::create().await;
    let reads = relations(&database, "select from amends.$ limit 1").await;
    let mut deletes = relations(&database, "delete from amends.$").await;
    deletes.retain(|(name, _)| !words(&[VIEWS, INNER]).contains(name));
    let calls = functions(&database).await;
    let nothing = BTreeSet::new();
    for (role, may_read, may_call) in [
        ("observer", words(&[OBSERVED]), words(&[OBSERVING])),
        ("viewer", words(&[VIEWS]), words(&[READING])),
        ("producer", nothing.clone(), words(&[PRODUCING])),
        ("operator", words(&[VIEWS]), words(&[READING, OPERATING])),
    ] {
        let url = login(&database, role).await;
        assert_eq!(allowed(&url, &reads).await, may_read, "{role} reads");
        assert_eq!(allowed(&url, &deletes).await, nothing, "{role} deletes");
        assert_eq!(allowed(&url, &calls).await, may_call, "{role} calls");
    }

    let url = login(&database, "runtime").await;
    let all = |tries: &[(String, String)]| tries.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(allowed(&url, &reads).await, all(&reads), "runtime reads");
    assert_eq!(allowed(&url, &deletes).await, words(&[PASSING]), "runtime deletes");
    assert_eq!(allowed(&url, &updates(&database).await).await, words(&[PASSING, CHANGING]), "runtime updates");
    let mut truncates = relations(&database, "truncate amends.$").await;
    truncates.retain(|(name, _)| !words(&[VIEWS, INNER]).contains(name));
    assert_eq!(allowed(&url, &truncates).await, words(&[COMPACTED]), "runtime empties");
    let inserts: Vec<_> =
        truncates.iter().map(|(name, _)| (name.clone(), format!("insert into amends.{name} default values"))).collect();
    let kept: Vec<String> = all(&inserts).difference(&allowed(&url, &inserts).await).cloned().collect();
    assert_eq!(kept, ["admin", "ended_day", "erasure", "migration", "redaction"], "runtime inserts");
    let missing: Vec<String> = all(&calls).difference(&allowed(&url, &calls).await).cloned().collect();
    assert_eq!(missing, ["ensure_partition", "erase", "erase_saga"], "runtime calls");
}

/// An observer sees what there is and how it goes, and nothing that participants or people said.
#[tokio::test]
async fn an_observer_reads_no_payload() {
    let node = super::Operated::begin().await;
    let saga = node.reach("doubtful", "stuck").await;
    ask(&node.database.url, &format!("select amends.abandon('{saga}', 'a canary of a reason')")).await;
    super::until(&node.database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "abandoned")
        .await;
    let waits = node.reach("doubtful", "stuck").await;
    let url = login(&node.database, "observer").await;
    let columns =
        "select c.relname || '.' || a.attname || '|' || format('select %I from amends.%I', a.attname, c.relname)
                   from pg_class c join pg_attribute a on a.attrelid = c.oid
                   where c.relnamespace = 'amends'::regnamespace and c.relkind = 'v' and a.attnum > 0";
    let columns = named(&ask(&node.database.url, columns).await);
    let read = allowed(&url, &columns).await;
    let hidden = "result output error error_code key request answer by asked_by resumed_by undone_by application_name \
                  address undo_reason resume_reason fairness found remedy what";
    let hidden = words(&[hidden]);
    for column in &read {
        let (view, name) = column.split_once('.').unwrap();
        let is_word = view == "stuck" && name == "reason";
        assert!(is_word || name != "reason" && !hidden.contains(name), "an observer reads {column}");
    }
    // What is left is of use, and no column tells what a participant or a person said.
    let steps = format!("select step, state from amends.progress where saga = '{waits}'");
    assert!(ask(&url, &steps).await.contains("stuck"), "{}", ask(&url, &steps).await);
    let happened = format!("select count(*) > 3 from amends.history where saga = '{saga}'");
    assert_eq!(ask(&url, &happened).await, "t");
    for column in &read {
        let (view, name) = column.split_once('.').unwrap();
        let text = ask(&url, &format!("select \"{name}\"::text from amends.{view}")).await;
        assert!(!text.contains("canary"), "{column}: {text}");
    }
    let full = login(&node.database, "viewer").await;
    assert!(ask(&full, &format!("select reason from amends.timeline where saga = '{saga}'")).await.contains("canary"));
    node.stop().await;
}

/// Who asks is who has logged in, whatever the function's owner.
#[tokio::test]
async fn an_operator_is_known_by_name() {
    let node = super::Operated::begin().await;
    let saga = node.reach("doubtful", "stuck").await;
    let url = login(&node.database, "operator").await;
    ask(&url, &format!("select amends.abandon('{saga}', 'written off')")).await;
    super::until(&url, &format!("select status from amends.sagas where saga = '{saga}'"), "abandoned").await;
    let who = format!("select asked_by, reason from amends.timeline where saga = '{saga}' and signal = 1");
    let user = format!("{}_operator", node.database.name);
    assert_eq!(ask(&url, &who).await, format!("{user}|written off"));
    node.stop().await;
}

/// A node needs no more than its role, once somebody has migrated.
#[tokio::test]
async fn a_node_runs_as_amends_runtime() {
    let database = Database::create().await;
    let url = login(&database, "runtime").await;
    let runtime = Runtime::builder(url.clone())
        .definition(Draft::new("nap").step(Step::sleeping("nap", 1)))
        .begin()
        .await
        .unwrap();
    let ended = runtime.run("nap", &serde_json::json!({})).await.unwrap();
    assert_eq!(ended.status.as_str(), "completed");
    let outside = ask(&database.url, "select amends.start('nap', '{}')").await;
    super::until(&url, &format!("select status from amends.sagas where saga = '{outside}'"), "completed").await;
    assert_eq!(ask(&url, "select amends.ensure_partitions(6, 9) > 0").await, "t");
    runtime.stop(std::time::Duration::from_secs(5)).await.unwrap();
}
