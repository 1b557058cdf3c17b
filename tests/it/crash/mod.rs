//! The crash matrix: a process kills itself at every boundary there is, as the owner of sagas and as the heir
//! of a dead owner's, alone and beside another node; then the sagas' word is held against the participants'
//! ledger. Owns the cases, which come from the list of boundaries, and the table of results.
//! `AMENDS_MATRIX=whole` runs all cases.

pub(crate) mod ledger;
mod node;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends::runtime::Runtime;
use amends::saga::event::{Finding, Request};
use node::Order;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::Database;

/// Cases that run at the same time; each is mostly waiting for a lease to run out.
const AT_ONCE: usize = 6;
/// Tries of a case in which the process did not come to its place.
const TRIES: usize = 4;
/// How long sagas may take to end after a death.
const END_MAX: Duration = Duration::from_secs(90);

/// Places that need a lost answer to be passed.
const AFTER_LOST_ANSWERS: [&str; 9] = [
    "commit: sending",
    "commit: answered",
    "resolve: sending",
    "resolve: answered",
    "live: sending",
    "live: answered",
    "owned: sending",
    "owned: answered",
    "within: looked up",
];

/// What only a sweep over somebody's remains passes, or only who takes them up.
const OF_HEIRS: [&str; 4] = ["sweep: rehomed", "journal: loaded", "probe: sending", "probe: answered"];

/// What is passed so often that the first time is the beginning of everything.
const OFTEN: [&str; 7] =
    ["new commit:", "claim:", "action:", "compensation:", "saga:", "signals:", "within:"];

#[derive(Clone, Copy, Debug)]
struct Case {
    place: &'static str,
    /// The how manieth time.
    hit: u32,
    /// It dies while it takes over from a dead owner.
    as_heir: bool,
    /// Another node is there all the time.
    in_company: bool,
}

/// What came of a case.
struct Row {
    case: Case,
    died: bool,
    /// Sagas by how they ended.
    ends: BTreeMap<String, i64>,
    /// Steps that a person had to look up.
    resolved: usize,
    faults: Vec<String>,
    took: Duration,
}

fn cases() -> Vec<Case> {
    let whole = std::env::var("AMENDS_MATRIX").is_ok_and(|size| size == "whole");
    let mut cases = Vec::new();
    for (index, &place) in amends::boundary::ALL.iter().enumerate() {
        let case = |hit, as_heir, in_company| Case { place, hit, as_heir, in_company };
        if whole {
            for hit in [1, 2, 5] {
                let roles = [(false, false), (false, true), (true, false), (true, true)];
                cases.extend(roles.map(|(as_heir, in_company)| case(hit, as_heir, in_company)));
            }
        } else {
            let as_heir = OF_HEIRS.contains(&place);
            let often =
                OFTEN.iter().any(|start| place.starts_with(start)) && !AFTER_LOST_ANSWERS.contains(&place);
            cases.push(case(if often { 4 } else { 1 }, as_heir, !as_heir && index % 2 == 0));
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_may_die_anywhere() {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = Vec::new();
    for case in cases() {
        let permits = permits.clone();
        running.push(tokio::spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            play_until_it_dies(case).await
        }));
    }
    let mut rows = Vec::new();
    for case in running {
        rows.push(case.await.unwrap());
    }
    let table = table(&rows);
    println!("{table}");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash-matrix.md");
    std::fs::write(&file, &table).unwrap();
    let faults: Vec<String> = rows
        .iter()
        .flat_map(|row| row.faults.iter().map(|fault| format!("{:?}: {fault}", row.case)))
        .collect();
    assert!(faults.is_empty(), "{} broken promises:\n{}", faults.len(), faults.join("\n"));
    for place in amends::boundary::ALL {
        let died = rows.iter().any(|row| row.case.place == *place && row.died);
        assert!(died, "no process died at {place:?}: the case does not come there");
    }
}

/// Every place of the list is passed somewhere in the sources, and nowhere else is one named.
#[test]
fn every_boundary_is_in_the_sources() {
    let mut sources = String::new();
    let mut folders = vec![std::path::PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("boundary.rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    for place in amends::boundary::ALL {
        let named = sources.matches(&format!("\"{place}\"")).count();
        assert!(named >= 1, "{place:?} is passed nowhere");
    }
}

/// Whether a process comes to its place is partly chance: it gets some tries.
async fn play_until_it_dies(case: Case) -> Row {
    let mut row = play(case).await;
    for _ in 1..TRIES {
        if row.died || !row.faults.is_empty() {
            break;
        }
        row = play(case).await;
    }
    row
}

async fn play(case: Case) -> Row {
    let began = Instant::now();
    let database = Database::create().await;
    let client = Arc::new(database.client().await);
    client.batch_execute(ledger::SQL).await.unwrap();
    let order = |name: &str, place: &str, hit: u32, sagas: u32| Order {
        url: database.url.clone(),
        name: name.to_owned(),
        place: place.to_owned(),
        hit,
        loses_answers: AFTER_LOST_ANSWERS.contains(&place),
        sagas,
        runs_ms: 1_400,
    };
    let company = match case.in_company {
        true => Some(node::begin(&database.url, "company").await),
        false => None,
    };
    let mut started = Vec::new();
    let mut died = false;
    let orders = match case.as_heir {
        false => vec![order("owner", case.place, case.hit, 3)],
        true => {
            let mut heir = order("heir", case.place, case.hit, 1);
            heir.runs_ms = 5_000;
            vec![order("owner", "action: answered", 40, 3), heir]
        }
    };
    for order in orders {
        let ended = tokio::task::spawn_blocking(move || node::run(&order)).await.unwrap();
        started.extend(ended.started);
        died = ended.died;
    }
    let survivor = match company {
        Some(company) => company,
        None => node::begin(&database.url, "survivor").await,
    };
    let resolved = finish(&survivor, &client).await;
    let mut faults = ledger::audit(&client).await;
    faults.extend(lost(&client, &started).await);
    if resolved.is_none() {
        faults.extend(unfinished(&client).await);
    }
    let sql = "select status, count(*) from amends.saga_done group by status";
    let ends = client.query(sql, &[]).await.unwrap();
    survivor.stop(Duration::from_secs(2)).await.unwrap();
    Row {
        case,
        died,
        ends: ends.iter().map(|row| (row.get(0), row.get(1))).collect(),
        resolved: resolved.unwrap_or_default(),
        faults,
        took: began.elapsed(),
    }
}

/// Waits until every saga has ended, and does what a person would: tells the waiting what they wait for, and
/// looks up in the ledger what nobody else can know. Returns how many steps had to be looked up; none if the
/// sagas do not end.
async fn finish(survivor: &Runtime, client: &Client) -> Option<usize> {
    let began = Instant::now();
    let mut resolved = 0;
    let sql =
        "select g.id, d.name, g.status from amends.saga g join amends.definition d on d.id = g.definition";
    loop {
        let live = client.query(sql, &[]).await.unwrap();
        if live.is_empty() {
            return Some(resolved);
        }
        if began.elapsed() > END_MAX {
            return None;
        }
        for row in live {
            let (saga, name, status): (Uuid, String, String) = (row.get(0), row.get(1), row.get(2));
            if name == "waits" {
                node::provide(survivor, saga).await;
            }
            // Only what has neither keys nor a probe may need a person.
            if status == "stuck" && name.starts_with("bare") && has_landed(client, saga).await {
                resolve(survivor, client, saga).await;
                resolved += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Whether nothing of a stuck saga can land any more: a statement of a killed process may still be on the
/// server, for as long as an effect may land after its time-out.
async fn has_landed(client: &Client, saga: Uuid) -> bool {
    let sql =
        "select exists (select from amends.stuck where saga = $1 and since < now() - interval '2500 ms')";
    client.query_one(sql, &[&saga]).await.unwrap().get(0)
}

async fn resolve(survivor: &Runtime, client: &Client, saga: Uuid) {
    let sql = "select key from ledger.effect where saga = $1 and step = 'x'";
    let found = client.query_opt(sql, &[&saga.to_string()]).await.unwrap();
    let finding = match found.map(|row| row.get::<_, String>(0)) {
        Some(key) => Finding::Applied { output: json!({ "key": key }).into() },
        None => Finding::Absent,
    };
    let request = Request::Resolve { step: "x".into(), finding, reason: "looked it up".into() };
    // It may have been asked before and gone on since.
    let _ = survivor.signal(saga, request).await;
}

/// Sagas of which their starter was told, and that are not there.
async fn lost(client: &Client, started: &[Uuid]) -> Vec<String> {
    let sql = "select x.id::text from unnest($1::uuid[]) as x (id)
               where not exists (select from amends.saga g where g.id = x.id)
                 and not exists (select from amends.saga_done g where g.id = x.id)";
    let lost = client.query(sql, &[&started]).await.unwrap();
    lost.iter().map(|row| format!("{} was started and is lost", row.get::<_, &str>(0))).collect()
}

async fn unfinished(client: &Client) -> Vec<String> {
    let sql = "select format('%s %s is still %s, lane %s, %s', d.name, g.id, g.status, g.lane,
                             (select string_agg(j.kind, ' ' order by j.seq) from amends.journal j where j.id = g.id))
               from amends.saga g join amends.definition d on d.id = g.definition";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| dies at | time | as | beside | died | completed | compensated | looked up | broken | s |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let end = |name: &str| row.ends.get(name).copied().unwrap_or(0);
        let (role, company) = (
            if row.case.as_heir { "heir" } else { "owner" },
            if row.case.in_company { "another" } else { "nobody" },
        );
        let died = if row.died { "yes" } else { "not reached" };
        writeln!(
            text,
            "| {} | {} | {role} | {company} | {died} | {} | {} | {} | {} | {:.1} |",
            row.case.place,
            row.case.hit,
            end("completed"),
            end("compensated"),
            row.resolved,
            row.faults.len(),
            row.took.as_secs_f64()
        )
        .unwrap();
    }
    text
}
