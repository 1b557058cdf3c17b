//! Every query of every dashboard against the real thing: Debian's Prometheus scrapes two nodes under load,
//! one of which is killed, and a login that may only read the views asks the database.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::{ask, psql, until};
use crate::harness::{Database, eventually};

/// One definition whose input says how each call goes.
const CHECKOUT: &str = r#"
saga: checkout
input: { type: object }
steps:
  - step: charge
    effect: idempotent
    retry: { attempts: 5, backoff: 20ms }
    action: { http: shop, path: "/${ input.charge }" }
    compensation: { http: shop, path: /good }
  - step: book
    settle: 50ms
    action: { http: shop, path: "/${ input.book }" }
    compensation: { http: shop, path: /good, effect: idempotent }
    probe: { http: shop, path: /found, applied: "${ result.found }" }
  - step: ship
    action: { http: shop, path: "/${ input.ship }" }
    compensation: { http: shop, path: /good, effect: idempotent }
"#;

/// Kills a process that the test started when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shop that answers as its path says: `good`, `bad`, `found`, `drop` (no answer), `flaky` (every other).
fn shop() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let calls = AtomicUsize::new(0);
        for stream in listener.incoming().flatten() {
            answer(stream, calls.fetch_add(1, Ordering::Relaxed));
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, call: usize) {
    let mut head = [0; 4_096];
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let Ok(read) = stream.read(&mut head) else { return };
    let text = String::from_utf8_lossy(&head[..read]);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        "/good" => ("200 OK", r#"{"id":1}"#),
        "/found" => ("200 OK", r#"{"found":true}"#),
        "/bad" => ("422 Unprocessable Content", r#"{"error":"declined"}"#),
        "/flaky" if call.is_multiple_of(2) => ("200 OK", r#"{"id":2}"#),
        _ => return,
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
}

fn node(database: &Database, folder: &Path, name: &str) -> (Running, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.args(["serve", "--json", "--http", "127.0.0.1:0", "--name", name]).current_dir(folder);
    command.env("DATABASE_URL", &database.url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    (Running(child), said["http"].as_str().unwrap().to_owned())
}

pub(super) struct Prometheus {
    _process: Running,
    address: String,
}

impl Prometheus {
    pub(super) fn start(folder: &Path, targets: &[String]) -> Self {
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [alerts.yaml]\nscrape_configs:\n  \
             - job_name: amends\n    static_configs: [{{ targets: {} }}]\n",
            json!(targets)
        );
        fs::write(folder.join("prometheus.yaml"), config).unwrap();
        fs::write(folder.join("alerts.yaml"), super::read("alerts.yaml")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb"]).current_dir(folder);
        command.arg(format!("--web.listen-address={address}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { _process: Running(command.spawn().unwrap()), address }
    }

    /// The result of a query as of now; none when Prometheus does not take it, or is not up yet.
    pub(super) async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let query = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
        let address = self.address.clone();
        let text = tokio::task::spawn_blocking(move || fetch(&address, &request)).await.unwrap();
        let text = text.map_err(|error| error.to_string())?;
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let answer: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {text}"))?;
        let result = answer["data"]["result"].as_array().cloned();
        result.ok_or_else(|| answer["error"].to_string())
    }
}

/// Sends a request and reads until the other side closes.
fn fetch(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Fills in what Grafana fills in.
fn filled(query: &str) -> String {
    query
        .replace("$__rate_interval", "20s")
        .replace("=\"$definition\"", "=\"checkout\"")
        .replace("=~\"$definition\"", "=~\".*\"")
        .replace("$instance", ".*")
}

/// Starts sagas of every kind.
async fn load(database: &Database) {
    for (charge, book, ship, sagas) in [
        ("good", "good", "good", 20),
        ("flaky", "good", "good", 10),
        ("good", "drop", "good", 5),
        ("good", "good", "bad", 5),
        ("good", "good", "drop", 3),
    ] {
        let input = json!({ "charge": charge, "book": book, "ship": ship });
        let sql = format!("select count(amends.start('checkout', '{input}')) from generate_series(1, {sagas})");
        ask(&database.url, &sql).await;
    }
}

fn home(shop: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("amends-it-{}-grafana", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("checkout.yaml"), CHECKOUT).unwrap();
    let settings = format!(
        "definitions: [checkout.yaml]\nnode: {{ lease: 2s }}\n\
         participants: {{ shop: {{ url: \"{shop}\", protocol: http }} }}\n"
    );
    fs::write(folder.join("amends.yaml"), settings).unwrap();
    folder
}

#[tokio::test]
async fn every_panel_has_something_to_show() {
    if !super::prometheus_is_here() {
        return;
    }
    let database = Database::create().await;
    let folder = home(&shop());
    let (_one, first) = node(&database, &folder, "one");
    let (two, second) = node(&database, &folder, "two");
    let prometheus = Prometheus::start(&folder, &[first, second]);
    eventually("both nodes are scraped", async || {
        prometheus.query("up == 1").await.is_ok_and(|found| found.len() == 2)
    })
    .await;
    for _ in 0..3 {
        load(&database).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(two);
    load(&database).await;
    until(&database.url, "select count(*) >= 12 from amends.stuck", "t").await;
    let abandon = "select amends.abandon(saga, 'seen enough') from (select saga from amends.stuck limit 1) s";
    ask(&database.url, abandon).await;

    let mut faults = Vec::new();
    for query in super::queries().iter().filter(|query| !query.is_sql) {
        let text = filled(&query.text);
        let mut found = Err("never asked".to_owned());
        for _ in 0..40 {
            found = prometheus.query(&text).await;
            if found.as_ref().is_ok_and(|found| !found.is_empty()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        match found {
            Ok(found) if !found.is_empty() => {}
            Ok(_) => faults.push(format!("{}: no data: {text}", query.place)),
            Err(error) => faults.push(format!("{}: {error}: {text}", query.place)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The rules are evaluated on the same data; the killed node and the stuck sagas are on their way to alert.
    for alert in ["AmendsSagaStuck", "AmendsNodeDown"] {
        let pending = format!("ALERTS{{alertname=\"{alert}\"}}");
        eventually(alert, async || prometheus.query(&pending).await.is_ok_and(|found| !found.is_empty())).await;
    }
    until(&database.url, "select sum(started) > 0 and sum(stuck) > 0 from amends.throughput", "t").await;
    panels_in_sql(&database).await;
    let _ = fs::remove_dir_all(&folder);
}

async fn panels_in_sql(database: &Database) {
    let user = format!("{}_grafana", database.name);
    ask(&database.url, &format!("create role {user} login in role amends_observer")).await;
    let url = database.url.replace("postgres://postgres@", &format!("postgres://{user}@"));
    let saga = ask(&url, "select saga from amends.signals limit 1").await;
    for query in super::queries().iter().filter(|query| query.is_sql) {
        for (chosen, rows) in [("", false), (saga.as_str(), true)] {
            let said = psql(&url, &query.text.replace("${saga}", chosen)).await;
            assert!(said.ok, "{}: {}\n{}", query.place, said.errors, query.text);
            let of_the_saga = query.text.contains("${saga}");
            assert!(!(rows && of_the_saga && said.out.is_empty()), "{}: nothing of saga {chosen}", query.place);
        }
    }
}
