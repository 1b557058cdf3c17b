//! The example in Python, as a process of its own behind a real runtime, with the definition from its own
//! text. Owns its start and end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amends::participant::{Limits, ParticipantConfig, Secret, Transport};
use amends::runtime::Runtime;
use amends::saga::state::Status;
use serde_json::json;

use super::account;
use crate::harness::{Database, connect, eventually};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/barrier.py");

struct Participant {
    child: Child,
    url: String,
}

impl Participant {
    fn start(database_url: &str) -> Self {
        let mut child = Command::new(python())
            .args([EXAMPLE, "0"])
            .env("DATABASE_URL", database_url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, url: format!("http://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An interpreter that has psycopg; the distribution's may not be the first in PATH.
fn python() -> &'static str {
    let has_psycopg = |python: &&&str| {
        Command::new(python).args(["-c", "import psycopg"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    ["python3", "/usr/bin/python3"]
        .iter()
        .find(has_psycopg)
        .expect("python3 with psycopg: apt-get install python3-psycopg")
}

/// The definition in the example's text, with a step after it that fails when the input says so.
fn definition() -> String {
    let text = std::fs::read_to_string(EXAMPLE).unwrap();
    let fields = text.split("goes with it:").nth(1).unwrap().split("\"\"\"").next().unwrap();
    let fields: Vec<String> = fields.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    format!(
        "saga: charged\nsteps:\n  - step: charge\n{}\n  - step: ship\n    when: input.refused\n    \
         irreversible: true\n    action: {{ http: account, path: /nowhere, body: {{}} }}\n  \
         - step: delivery\n    when: input.waits\n    action: {{ await: delivered }}\n",
        fields.join("\n")
    )
}

#[tokio::test]
async fn the_python_example_keeps_the_promise() {
    let (participant_database, client) = account().await;
    let participant = Participant::start(&participant_database.url);
    let database = Database::create().await;
    let drafts = amends::catalog::parse_definitions("barrier.py", &definition())
        .unwrap_or_else(|faults| panic!("{faults}\n{}", definition()));
    let transport = Transport::Http { url: Secret::plain(&participant.url), headers: BTreeMap::new() };
    let account =
        ParticipantConfig { name: "account".into(), transport, limits: Limits::default(), answers: Default::default() };
    let mut builder = Runtime::builder(database.url.clone()).participants([account]);
    for draft in drafts {
        builder = builder.definition(draft);
    }
    let runtime = builder.begin().await.unwrap();
    for (refused, status, left) in
        [(false, Status::Completed, 250), (true, Status::Compensated, 250), (false, Status::Completed, 500)]
    {
        let input = json!({ "refused": refused, "waits": false });
        let ended = runtime.run("charged", &input).await.unwrap();
        assert_eq!(ended.status, status, "{}", ended.result.get());
        assert_eq!(super::taken(&client).await, left);
    }
    let http = connect(&participant_database.url).await;
    let states =
        http.query_one("select string_agg(state, ' ' order by key) from amends_barrier.action_key", &[]).await.unwrap();
    assert_eq!(states.get::<_, &str>(0), "applied undone applied");

    // The key is forgotten while the saga waits: the refund does not know what to give back, and says so.
    let saga = runtime.start("charged", &json!({ "refused": false, "waits": true })).await.unwrap();
    let look = database.client().await;
    let sql = "select count(*) from amends.journal where id = $1 and kind = 'attempt_ended'";
    eventually("the charge is known", async || look.query_one(sql, &[&saga]).await.unwrap().get::<_, i64>(0) == 1)
        .await;
    http.query("select amends_barrier.forget('0 seconds')", &[]).await.unwrap();
    look.query("select amends.cancel($1, 'changed my mind')", &[&saga]).await.unwrap();
    let sql = "select coalesce(attention, '') from amends.saga where id = $1";
    eventually("the refund is in doubt", async || {
        let row = look.query_opt(sql, &[&saga]).await.unwrap();
        row.is_some_and(|row| row.get::<_, &str>(0).contains("http_500"))
    })
    .await;
    assert_eq!(super::taken(&client).await, 750);
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
