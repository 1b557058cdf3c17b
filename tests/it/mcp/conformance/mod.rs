//! The official conformance suite, run against a node. Owns the run: a node with its door, a fixture around each
//! session (`fixture.rs`), the suites side by side, and a baseline of what fails and why.

mod asking;
mod content;
mod fixture;
mod jobs;
mod sagas;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amends::http;
use amends::mcp::{Config, Door, Trust, mint};
use amends::metrics;
use amends::runtime::Runtime;
use amends::saga::state::Status;
use amends::store::Filter;
use serde_json::json;
use tokio::process::Command;

use self::fixture::{Fixture, Shared};
use super::agent::Agent;
use super::clients::installed;
use crate::harness::Database;

/// The suites: package and options.
const SUITES: [(&str, &[&str]); 3] = [
    ("conformance-released", &[]),
    ("conformance-next", &["--requirements", "2025-11-25"]),
    ("conformance-next", &["--requirements", "2026-07-28"]),
];

/// A node in this process, as a program embeds one.
struct Node {
    runtime: Runtime,
    door: Door,
    http: http::Server,
}

impl Node {
    async fn begin(database_url: &str, trust: Trust) -> Self {
        let mut builder = Runtime::builder(database_url).name("conformance").handlers(sagas::handlers());
        for draft in sagas::drafts() {
            builder = builder.definition(draft);
        }
        let runtime = builder.begin().await.unwrap();
        let config = Config { trust, requests_per_minute: 100_000, ..Config::default() };
        let door = Door::open(runtime.client().clone(), config).await.unwrap();
        let shared = Shared::new();
        let mount = door.routes_around(move |session| Fixture::around(session, shared.clone()));
        let readiness = Arc::new(Vec::new);
        let shown = http::Door {
            metrics: metrics::install(),
            readiness,
            shows: amends::http::Shows::Everything,
            mounts: vec![Arc::new(mount)],
        };
        let http = http::Server::start("127.0.0.1:0".parse().unwrap(), shown).unwrap();
        Self { runtime, door, http }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.http.address())
    }

    async fn end(self) {
        self.door.close().await;
        self.http.stop().unwrap();
        assert!(self.runtime.stop(Duration::from_secs(5)).await.unwrap(), "everything was handed back");
    }
}

/// Runs one suite; returns whether it failed where the baseline says and nowhere else, and what it said.
async fn run(place: &Path, url: &str, (package, options): (&str, &[&str])) -> (bool, String) {
    let mut command = Command::new(place.join("node_modules/node/bin/node"));
    command.arg(place.join("node_modules").join(package).join("dist/index.js"));
    command.args(["server", "--url", url]).args(options).kill_on_drop(true);
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mcp/conformance/baseline.yml");
    command.arg("--expected-failures").arg(baseline).current_dir(std::env::temp_dir());
    let output = command.output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[tokio::test]
async fn the_conformance_suites_fail_where_the_baseline_says_and_nowhere_else() {
    let Some(place) = installed() else { return };
    let database = Database::create().await;
    let node = Node::begin(&database.url, Trust::Everybody).await;
    let url = node.url();
    let runs = SUITES.map(|suite| run(&place, &url, suite));
    for ((fits, said), suite) in futures_util::future::join_all(runs).await.into_iter().zip(SUITES) {
        let summary = said.split("=== SUMMARY").nth(1).unwrap_or(&said);
        // Of extensions the suite says how they did, and lets them fail.
        assert!(fits && !summary.contains('✗'), "{suite:?}: {said}");
        assert!(summary.contains("✓ tools-call-simple-text: "), "{suite:?} ran: {summary}");
    }
    let all = node.runtime.client().list(Filter { limit: 100, ..Filter::default() }).await.unwrap();
    for (name, status) in [
        ("test_simple_text", Status::Completed),
        ("slow_compute", Status::Completed),
        (sagas::GREETING, Status::Completed),
        ("test_elicitation", Status::Running),
    ] {
        assert!(all.iter().any(|saga| (saga.name.as_str(), saga.status) == (name, status)), "{name}: {all:?}");
    }
    node.end().await;
}

/// The suites come without tokens. What is around a session is behind the same door.
#[tokio::test]
async fn what_is_around_a_session_answers_only_those_whom_the_door_admits() {
    let database = Database::create().await;
    let node = Node::begin(&database.url, Trust::Bearer(None)).await;
    let greet = async |agent: Agent| agent.call_with("greet", json!({ "name": "Ada" }), json!({})).await;
    let refused = greet(Agent::of_new(&node.url())).await;
    assert_eq!((refused.status, refused.headers.contains_key("www-authenticate")), (401, true), "{refused:?}");
    let minted = mint();
    let scopes = ["start:greeting".to_owned()];
    node.runtime.store().put_access_token(&minted.id, "ada", &minted.digest, &scopes, None).await.unwrap();
    let agent = || Agent::of_new(&node.url()).with_token(&minted.token);
    let greeted = greet(agent()).await;
    assert_eq!(greeted.answer["result"]["content"][0]["text"], "Hello, Ada!", "{greeted:?}");
    let names = agent().tool_names().await;
    assert!(names.contains(&"greeting".to_owned()) && !names.contains(&"slow_compute".to_owned()), "{names:?}");
    node.end().await;
}
