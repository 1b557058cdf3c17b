//! The crash matrix: a process kills itself at every boundary there is, as the owner of sagas and as the heir
//! of a dead owner's, alone and beside another node; then the sagas' word is held against the participants'
//! ledger. Owns playing a case and the table of results; which cases there are is `cases.rs`. `AMENDS_MATRIX=whole`
//! runs all of them, `AMENDS_MATRIX=sweep/` or `="for early"` those with this in their name, `AMENDS_MATRIX_SEED`
//! another sample.

mod cases;
pub(crate) mod definitions;
mod errant;
pub(crate) mod ledger;
mod node;
mod sources;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use amends::runtime::Runtime;
use amends::saga::event::{Finding, Request};
use amends::store::{SagaRange, Store};
use cases::Case;
use node::Order;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::Database;

/// Cases that run at the same time; each is mostly waiting for a lease to run out.
const AT_ONCE: usize = 8;
/// Cases after which a run says how far it is.
const PROGRESS: usize = 50;
/// Tries of a case in which the process did not come to its place.
const TRIES: u64 = 4;
/// Calls after which the owner before dies whose heir the process is.
const BEFORE_HITS: u32 = 20;
/// How long sagas may take to end after a death.
const END_MAX: Duration = Duration::from_secs(90);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_may_die_anywhere() {
    let (whole, impossible) = cases::whole();
    let cases = match std::env::var("AMENDS_MATRIX").as_deref() {
        Ok("whole") => whole,
        Ok(part) => whole.into_iter().filter(|case| case.point().contains(part)).collect(),
        _ => {
            let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
            let seed = std::env::var("AMENDS_MATRIX_SEED").map_or(today, |seed| seed.parse().unwrap());
            println!("AMENDS_MATRIX_SEED={seed}");
            cases::sample(seed)
        }
    };
    assert!(!cases.is_empty(), "AMENDS_MATRIX is expected to be whole, or a part of a place");
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = Vec::new();
    for case in cases {
        let permits = permits.clone();
        running.push(tokio::spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            play_until_it_dies(&case).await
        }));
    }
    let mut rows = Vec::new();
    let all = running.len();
    for case in running {
        let row: Row = case.await.unwrap();
        // A whole run takes long: one that is cut short has told what was broken by then, and how far it was.
        row.faults.iter().for_each(|fault| println!("{}: {fault}", row.case));
        rows.push(row);
        if rows.len() % PROGRESS == 0 {
            println!("{} of {all} cases", rows.len());
        }
    }
    let table = table(&rows, &impossible);
    println!("{table}");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash-matrix.md");
    std::fs::write(&file, &table).unwrap();
    let (faults, missed): (Vec<_>, Vec<_>) = (
        rows.iter().flat_map(|row| row.faults.iter().map(|fault| format!("{}: {fault}", row.case))).collect::<Vec<_>>(),
        rows.iter()
            .filter(|row| !row.died && row.case.may_be_missed().is_none())
            .map(|row| row.case.to_string())
            .collect(),
    );
    assert!(faults.is_empty(), "{} broken promises:\n{}", faults.len(), faults.join("\n"));
    assert!(missed.is_empty(), "{} cases do not come to their place:\n{}", missed.len(), missed.join("\n"));
}

/// Whether a process comes to its place is partly chance, and takes longer on a busy machine: it gets some tries, each
/// with more time than the one before.
async fn play_until_it_dies(case: &Case) -> Row {
    let mut row = play(case, 1).await;
    for times in 2..=TRIES {
        if row.died || !row.faults.is_empty() {
            break;
        }
        row = play(case, times).await;
    }
    row
}

/// Plays a case once. The process has `times` times the time that it takes on a quiet machine.
async fn play(case: &Case, times: u64) -> Row {
    let began = Instant::now();
    let database = match case.begins_with_nothing() {
        true => Database::empty().await,
        false => Database::create().await,
    };
    let client = Arc::new(database.client().await);
    client.batch_execute(ledger::SQL).await.unwrap();
    let errant = errant::Server::start(&database.url, node::HABITS).await;
    let order = |name: &str, point: String, hit: u32| Order {
        url: database.url.clone(),
        errant_port: errant.port,
        name: name.to_owned(),
        point,
        hit,
        loses_answers: case.loses_answers(),
        forgetful: case.is_about_probes(),
        sagas: 2,
        more_of: case.aim.map(|aim| aim.definition.to_owned()),
        naps: case.is_about_timers(),
        runs_ms: 1_600,
    };
    let company = match case.in_company {
        true => Some(node::begin(&database.url, errant.port, "company", false).await),
        false => None,
    };
    let mut started = Vec::new();
    let mut died = false;
    let last = Order { runs_ms: case.takes_ms() * times, ..order("last", case.point(), case.hit) };
    let before = Order { naps: false, ..order("before", "action: answered".to_owned(), BEFORE_HITS) };
    for order in case.as_heir.then_some(before).into_iter().chain([last]) {
        let ended = tokio::task::spawn_blocking(move || node::run(&order)).await.unwrap();
        started.extend(ended.started);
        died = ended.died;
    }
    let survivor = match company {
        Some(company) => company,
        None => node::begin(&database.url, errant.port, "survivor", false).await,
    };
    let resolved = finish(&survivor, &client).await;
    let mut faults = ledger::audit(&client).await;
    faults.extend(lost(&client, &started).await);
    faults.extend(unchained(survivor.store(), node::is_chained(&database.url)).await);
    if resolved.is_none() {
        faults.extend(unfinished(&client).await);
    }
    let sql = "select status, count(*) from amends.saga_done group by status";
    let ends = client.query(sql, &[]).await.unwrap();
    let erred = "select count(*) from amends.saga_done s join amends.definition d on d.id = s.definition
        where d.name = any ($1)";
    let erred: i64 = client.query_one(erred, &[&errant::SAGAS.as_slice()]).await.unwrap().get(0);
    if errant.errors() < usize::try_from(erred).unwrap() {
        faults.push(format!("{erred} sagas met {} errors after their effects", errant.errors()));
    }
    survivor.stop(Duration::from_secs(2)).await.unwrap();
    Row {
        case: case.clone(),
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
    let sql = "select g.id, d.name, g.status from amends.live_saga g join amends.definition d on d.id = g.definition";
    loop {
        let live = client.query(sql, &[]).await.unwrap();
        let open = "select count(*) from (select from amends.outbox union all
            select from amends.rerun where fate is null) x";
        let open: i64 = client.query_one(open, &[]).await.unwrap().get(0);
        if live.is_empty() && open == 0 {
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
            if status == "stuck"
                && name.starts_with("bare")
                && let Some(attempts) = landed(client, saga).await
            {
                resolve(survivor, client, saga, attempts).await;
                resolved += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// How many attempts a stuck saga has made, when nothing of them can land any more: a statement of a killed process may
/// still be on the server, for as long as an effect may land after its time-out.
async fn landed(client: &Client, saga: Uuid) -> Option<u32> {
    let sql = "select attempts from amends.stuck where saga = $1 and since < now() - interval '2500 ms'
           and not exists (select from pg_stat_activity a
                           where a.datname = current_database() and a.pid <> pg_backend_pid() and a.state <> 'idle'
                             and a.query like '%ledger.%')";
    let found = client.query_opt(sql, &[&saga]).await.unwrap();
    found.map(|row| row.get::<_, i32>(0).try_into().unwrap())
}

/// What is looked up holds for the attempts that were there before: another may be made meanwhile, since a request that
/// was made before is read.
async fn resolve(survivor: &Runtime, client: &Client, saga: Uuid, attempts: u32) {
    let sql = "select key from ledger.effect where saga = $1 and step = 'x'";
    // Of two effects the audit tells.
    let found = client.query(sql, &[&saga.to_string()]).await.unwrap();
    let finding = match found.first().map(|row| row.get::<_, String>(0)) {
        Some(key) => Finding::Applied { output: json!({ "key": key }).into() },
        None => Finding::Absent,
    };
    let request =
        Request::Resolve { step: "x".into(), finding, attempts: Some(attempts), reason: "looked it up".into() };
    // It may have been asked before and gone on since.
    let _ = survivor.signal(saga, request).await;
}

/// Journals that do not fit their chains, though several nodes wrote their rows.
async fn unchained(store: &Store, is_chained: bool) -> Vec<String> {
    let (mut faults, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let page = store.to_verify(&SagaRange::default(), after).await.unwrap();
        let Some(last) = page.last() else { return faults };
        after = *last;
        for id in page {
            let Some(verified) = store.verify(id, &[]).await.unwrap() else { continue };
            faults.extend(verified.faults.iter().map(|fault| format!("{id}: {fault}")));
            // The first row of a start by SQL has no link.
            if (verified.linked > 0) != (is_chained && verified.rows > 0) && verified.rows != 1 {
                faults.push(format!("{id}: {} of {} rows have a link", verified.linked, verified.rows));
            }
        }
    }
}

/// Sagas of which their starter was told, and that are not there.
async fn lost(client: &Client, started: &[Uuid]) -> Vec<String> {
    let sql = "select x.id::text from unnest($1::uuid[]) as x (id)
               where not exists (select from amends.live_saga g where g.id = x.id)
                 and not exists (select from amends.saga_done g where g.id = x.id)";
    let lost = client.query(sql, &[&started]).await.unwrap();
    lost.iter().map(|row| format!("{} was started and is lost", row.get::<_, &str>(0))).collect()
}

async fn unfinished(client: &Client) -> Vec<String> {
    let sql = "select format('%s %s is still %s, lane %s, %s', d.name, g.id, g.status, g.lane,
                             (select string_agg(j.kind, ' ' order by j.seq) from amends.journal j where j.id = g.id))
               from amends.live_saga g join amends.definition d on d.id = g.definition";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn table(rows: &[Row], impossible: &[Case]) -> String {
    let mut text = String::from(
        "| dies at | of | going | time | as | beside | died | completed | compensated | looked up | broken | s |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let end = |name: &str| row.ends.get(name).copied().unwrap_or(0);
        let missed = row.case.may_be_missed().unwrap_or("and nothing allows that");
        let died = if row.died { "yes".to_owned() } else { format!("not reached: {missed}") };
        writeln!(
            text,
            "| {} | {died} | {} | {} | {} | {} | {:.1} |",
            row.case,
            end("completed"),
            end("compensated"),
            row.resolved,
            row.faults.len(),
            row.took.as_secs_f64()
        )
        .unwrap();
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in impossible.iter().filter_map(Case::cannot_occur) {
        *reasons.entry(reason).or_default() += 1;
    }
    let died = rows.iter().filter(|row| row.died).count();
    writeln!(text, "\n{} cases, {died} died at their place. Combinations that cannot occur:", rows.len()).unwrap();
    for (reason, count) in reasons {
        writeln!(text, "- {count}: {reason}").unwrap();
    }
    text
}
