//! Where strangers play: a folder, a database, a node as a process, and the ledgers that the strangers write. Owns
//! the run of a set of sagas and the verdict over them; what a stranger does wrong is in its script.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

pub(super) use super::cases::{Case, End, case};
use super::cases::{Untold, verdict};
use crate::harness::Database;

/// Longest time until the sagas of one stage are at rest.
const REST_MAX: Duration = Duration::from_secs(150);
/// Pause before an event or a finding is told again of a saga that still waits for it.
const TELL_AGAIN: Duration = Duration::from_secs(3);

/// A folder, a database and the strangers' processes; they end with the test.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) database: Database,
    strangers: Vec<Child>,
    node: Option<Child>,
    orders: AtomicUsize,
}

impl Stage {
    /// A folder with these definitions.
    pub(super) async fn new(name: &str, sagas: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("amends-it-{}-strangers-{name}", std::process::id()));
        fs::create_dir_all(folder.join("sagas")).unwrap();
        fs::write(folder.join("sagas/sagas.yaml"), sagas).unwrap();
        Self {
            folder,
            database: Database::create().await,
            strangers: Vec::new(),
            node: None,
            orders: AtomicUsize::new(0),
        }
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// Starts a stranger that says on its first line where it listens.
    pub(super) fn stranger(&mut self, command: &mut Command) -> String {
        let log = fs::File::create(self.folder.join(format!("stranger-{}.log", self.strangers.len()))).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        self.strangers.push(child);
        assert!(line.starts_with("http://"), "{command:?} says {line:?}\n{}", self.logs());
        line.trim().to_owned()
    }

    /// Starts a stranger and waits until it listens at this port.
    pub(super) async fn stranger_at(&mut self, command: &mut Command, port: u16) {
        let log = fs::File::create(self.folder.join(format!("stranger-{}.log", self.strangers.len()))).unwrap();
        self.strangers.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        crate::harness::eventually("the stranger listens", listens).await;
    }

    /// Whether no node plays here yet.
    pub(super) fn is_idle(&self) -> bool {
        self.node.is_none()
    }

    /// Kills the stranger that was started last.
    pub(super) fn kill_stranger(&mut self) {
        let mut child = self.strangers.pop().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Writes the settings; `participants` is their YAML.
    pub(super) fn settings(&self, participants: &str) {
        let text = format!(
            "definitions: [sagas]\nhttp: {{ enabled: false }}\nnode: {{ lease: 8s, grace_period: 0s }}\n\
             participants:\n{participants}"
        );
        fs::write(self.folder.join("amends.yaml"), text).unwrap();
    }

    pub(super) fn amends(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        for name in ["AMENDS_DATA_DIR", "AMENDS_CONFIG", "AMENDS_LOG"] {
            command.env_remove(name);
        }
        command.env("DATABASE_URL", &self.database.url);
        command
    }

    /// What `amends check` says of these definitions, and whether it took them.
    pub(super) fn checked(&self) -> (bool, String) {
        let output = self.amends(&["check", "sagas", "amends.yaml"]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Starts the node and waits until it takes sagas.
    pub(super) async fn play(&mut self) {
        let path = self.folder.join("node.log");
        let mut command = self.amends(&["serve"]);
        command.stdout(Stdio::null()).stderr(fs::File::create(&path).unwrap());
        let mut node = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !fs::read_to_string(&path).unwrap().contains("node takes sagas") {
            assert!(node.try_wait().unwrap().is_none(), "the node ended:\n{}", self.logs());
            assert!(Instant::now() < deadline, "the node takes no sagas:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.node = Some(node);
    }

    fn logs(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(&self.folder).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let log = fs::read_to_string(entry.path()).unwrap_or_default();
                let begin = log.len().saturating_sub(6_000);
                text += &format!("{}:\n{}\n", entry.path().display(), log.get(begin..).unwrap_or(&log));
            }
        }
        text
    }

    /// Starts the sagas at once, and holds each end against the ledger.
    pub(super) async fn check(&self, cases: Vec<Case>) {
        let faults = self.faults(cases).await;
        self.agree(&faults);
    }

    /// Fails with these faults, if there are any.
    #[track_caller]
    pub(super) fn agree(&self, faults: &[String]) {
        let (count, faults) = (faults.len(), faults.join("\n"));
        assert!(count == 0, "{count} sagas and their ledger disagree:\n{faults}\n{}", self.logs());
    }

    /// The same; returns a line for each saga that does not end as it must.
    pub(super) async fn faults(&self, cases: Vec<Case>) -> Vec<String> {
        let client = self.database.client().await;
        let sagas = self.run(&client, &cases).await;
        self.judged(&client, &cases, &sagas).await
    }

    /// Holds the ends of sagas that are at rest against the ledger.
    pub(super) async fn judged(&self, client: &Client, cases: &[Case], sagas: &[(Uuid, String)]) -> Vec<String> {
        let (ledger, mut faults) = (Entries::read(&self.ledger()), Vec::new());
        for (case, (id, order)) in cases.iter().zip(sagas) {
            if let Err(fault) = verdict(client, case, *id, &ledger.about(order)).await {
                faults.push(format!("{}: {fault}\n{}", case.name(), timeline(client, *id).await));
            }
        }
        faults
    }

    /// Starts the sagas at once and returns how each ended, and its story. The world decides, not a ledger.
    pub(super) async fn ends(&self, cases: Vec<Case>) -> Vec<(String, String)> {
        let client = self.database.client().await;
        let mut ends = Vec::new();
        for (id, _) in self.run(&client, &cases).await {
            let sql = "select status from amends.sagas where saga = $1";
            let status = client.query_one(sql, &[&id]).await.unwrap().get(0);
            ends.push((status, timeline(&client, id).await));
        }
        ends
    }

    /// Starts the sagas, each for an order of its own, and waits until they are at rest.
    pub(super) async fn run(&self, client: &Client, cases: &[Case]) -> Vec<(Uuid, String)> {
        let mut sagas = Vec::new();
        for case in cases {
            if let Some(did) = case.after {
                let has = async || Entries::read(&self.ledger()).count(did) > 0;
                crate::harness::eventually("the stranger is busy", has).await;
            }
            let order = format!("order-{}", self.orders.fetch_add(1, Ordering::Relaxed));
            let mut input = case.input.clone();
            input["order"] = json!(order);
            let sql = "select amends.start($1, $2::text::json, $3)";
            let row = client.query_one(sql, &[&case.definition, &input.to_string(), &order]).await;
            sagas.push((row.unwrap_or_else(|error| panic!("{}: {error:?}", case.name())).get(0), order));
        }
        let ids: Vec<Uuid> = sagas.iter().map(|(id, _)| *id).collect();
        let mut untold: Vec<Untold> = Vec::new();
        for (case, (id, order)) in cases.iter().zip(&sagas) {
            untold.extend(case.event.map(|event| Untold { saga: *id, order: order.clone(), event, told_at: None }));
        }
        self.rest(client, &ids, untold).await;
        sagas
    }

    /// Waits until no saga moves any more and what was promised has landed.
    async fn rest(&self, client: &Client, ids: &[Uuid], mut untold: Vec<Untold>) {
        let deadline = Instant::now() + REST_MAX;
        let sql = "select saga from amends.sagas where saga = any ($1)
                   and status not in ('completed', 'compensated', 'abandoned', 'stuck')";
        loop {
            self.tell(client, &mut untold).await;
            let moving = client.query(sql, &[&ids]).await.unwrap();
            untold.retain(|one| moving.iter().any(|row| row.get::<_, Uuid>(0) == one.saga));
            let promised = Entries::read(&self.ledger()).promised();
            if moving.is_empty() && promised.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                let mut stories = String::new();
                for row in moving.iter().take(5) {
                    stories += &timeline(client, row.get(0)).await;
                }
                let (count, logs) = (moving.len(), self.logs());
                panic!("{count} sagas are not at rest, {promised:?} has not landed:\n{stories}\n{logs}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Stage {
    /// Tells those whose call was accepted what became of it, as soon as that is known.
    async fn tell(&self, client: &Client, untold: &mut [Untold]) {
        if untold.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = untold.iter().map(|one| one.saga).collect();
        // What a person found out must be of later than the attempt, by whichever clock.
        let sql = "select distinct saga from amends.timeline
                   where saga = any ($1) and what like '%was accepted, effect pending%'
                   and at < clock_timestamp() - interval '1 s'";
        let accepted = client.query(sql, &[&ids]).await.unwrap();
        let accepted: Vec<Uuid> = accepted.iter().map(|row| row.get(0)).collect();
        let ledger = Entries::read(&self.ledger());
        for one in untold {
            let entries = ledger.about(&one.order);
            let told = one.told_at.is_some_and(|told_at| told_at.elapsed() < TELL_AGAIN);
            if accepted.contains(&one.saga) && entries.promised().is_empty() && !told {
                let did = if one.event.ends_with(".compensation") { "undo" } else { "effect" };
                one.tell(client, entries.count(did) > 0).await;
                one.told_at = Some(Instant::now());
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.node.iter_mut().chain(&mut self.strangers) {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A test that failed leaves its folder, to be looked at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The story of a saga, for a test that fails.
async fn timeline(client: &Client, id: Uuid) -> String {
    let sql = "select format('    %s %s %s: %s %s', seq, kind, step, what, error) from amends.timeline
               where saga = $1 order by seq";
    let rows = client.query(sql, &[&id]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

/// What strangers wrote.
#[derive(Default)]
pub(super) struct Entries(Vec<Value>);

impl Entries {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        // The last line may be under way.
        Self(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    pub(super) fn about(&self, order: &str) -> Self {
        Self(self.0.iter().filter(|entry| entry["order"] == order).cloned().collect())
    }

    pub(super) fn count(&self, did: &str) -> usize {
        self.0.iter().filter(|entry| entry["did"] == did).count()
    }

    pub(super) fn in_place(&self) -> isize {
        self.count("effect").cast_signed() - self.count("undo").cast_signed()
    }

    /// Keys under which an effect was promised and has not landed.
    pub(super) fn promised(&self) -> Vec<String> {
        let mut landed: BTreeMap<&str, bool> = BTreeMap::new();
        for entry in &self.0 {
            let key = entry["key"].as_str().unwrap_or_default();
            match entry["did"].as_str() {
                Some("promise") => {
                    landed.entry(key).or_insert(false);
                }
                Some("landed") => {
                    landed.insert(key, true);
                }
                _ => {}
            }
        }
        landed.iter().filter(|(_, landed)| !**landed).map(|(key, _)| (*key).to_owned()).collect()
    }
}
