//! A database that an older version has left, its nodes killed: the new program finishes each of its sagas
//! with one effect in place or none, under the law and the keys that the saga began with. `b09ffbc.sql` is
//! that database, `world.rs` holds its definitions and participants, `cases.rs` what is expected of each
//! saga.

mod cases;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use amends::runtime::{Builder, Runtime};
use amends::store::SCHEMA_VERSION;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::{Database, eventually};
use cases::{CASES, Case};

/// The schema of the dump.
const OLD_SCHEMA: i32 = 5;

struct Left {
    database: Database,
    client: Client,
    /// Sagas by their start keys.
    sagas: BTreeMap<String, Uuid>,
}

/// The database as the old program left it.
async fn left() -> Left {
    let database = Database::empty().await;
    database.client().await.batch_execute(include_str!("b09ffbc.sql")).await.unwrap();
    let client = database.client().await;
    let rows = client.query("select key, id from amends.start_key", &[]).await.unwrap();
    Left { database, client, sagas: rows.iter().map(|row| (row.get(0), row.get(1))).collect() }
}

async fn begin(database: &Database) -> Runtime {
    let handlers = world::handlers(database.client().await, "now");
    let builder = Runtime::builder(database.url.clone()).handlers(handlers).name("new");
    world::drafts().into_iter().fold(builder, Builder::definition).begin().await.unwrap()
}

impl Left {
    async fn text(&self, sql: &str) -> String {
        let row = self.client.query_one(&format!("select coalesce(({sql})::text, '')"), &[]).await.unwrap();
        row.get(0)
    }

    async fn status(&self, saga: Uuid) -> String {
        self.text(&format!("select status from amends.sagas where saga = '{saga}'")).await
    }

    /// The steps of a saga whose effects are in place, whichever saga undid the others.
    async fn effects(&self, saga: Uuid) -> String {
        self.text(&format!(
            "select string_agg(step, ' ' order by step) from ledger.effect e where e.saga = '{saga}'
             and e.direction = 'action' and e.key not in
                 (select u.action_key from ledger.effect u where u.direction = 'compensation')"
        ))
        .await
    }

    /// The calls of a saga that the new program made, in any order; the saga's own id is left out of the
    /// keys.
    async fn calls(&self, saga: Uuid) -> Vec<String> {
        let sql = format!(
            "select call, key, action_key from ledger.call
             where saga = '{saga}' and era = 'now'"
        );
        let own = saga.to_string();
        let bare = |key: &str| match key.strip_prefix(&own) {
            Some(rest) => format!("/{}", &rest[1..]),
            None => key.to_owned(),
        };
        let rows = self.client.query(&sql, &[]).await.unwrap();
        let mut calls: Vec<String> = rows
            .iter()
            .map(|row| {
                let (call, key): (&str, &str) = (row.get("call"), row.get("key"));
                let mark = call.get(..1).filter(|mark| "~?".contains(mark)).unwrap_or_default();
                let of = row.get::<_, Option<&str>>("action_key");
                let of = of.map(|of| format!(" of {}", bare(of))).unwrap_or_default();
                format!("{mark}{}{of}", bare(key))
            })
            .collect();
        calls.sort();
        calls
    }

    /// A saga as the old program wrote it, with the effect of its step `a`; its nodes are gone.
    async fn written(&self, definition: i32, rows: &[(&str, Value)]) -> String {
        let id = Uuid::now_v7();
        let saga = "insert into amends.saga (id, definition, status, started_at)
                    values ($1, $2, 'running', amends.now())";
        self.client.execute(saga, &[&id, &definition]).await.unwrap();
        for (seq, (kind, body)) in (1_i32..).zip(rows) {
            let row = "insert into amends.journal (id, lane, seq, kind, body, at)
                       values ($1, 0, $2, $3, $4, amends.now())";
            let body = json!({ *kind: body }).to_string();
            self.client.execute(row, &[&id, &seq, kind, &body]).await.unwrap();
        }
        let effect = "insert into ledger.effect values ($1, 'a', 'action', $2, null)";
        self.client.execute(effect, &[&id.to_string(), &format!("{id}/a/action/0")]).await.unwrap();
        let wake = "insert into amends.ready (definition, id) values ($1, $2)";
        self.client.execute(wake, &[&definition, &id]).await.unwrap();
        id.to_string()
    }

    /// A saga whose call was accepted, of a definition that the old program took and no door does now.
    async fn accepted(&self) -> String {
        let draft = world::accepts();
        let digest = amends::saga::Definition::build(draft.clone()).unwrap().digest().to_owned();
        let draft = serde_json::to_string(&draft).unwrap();
        let store = self.database.store().await;
        let definition =
            store.put_definition(&digest, "accepts", &draft, &amends::store::AtStart::default()).await.unwrap();
        let input = json!({ "then": { "a": ["do and accept"] } });
        let accepted = json!({ "at": 2, "step": 0, "direction": "action", "attempt": 1,
            "outcome": { "pending": { "retry_after_ms": 1 } }, "jitter": 0.0 });
        let rows = [("started", json!({ "at": 1, "input": input })), ("attempt_ended", accepted)];
        self.written(definition.0, &rows).await
    }

    /// A saga amid a transactional step whose handler ends its transaction by itself, and says that all is well.
    async fn ends_its_transaction(&self) -> String {
        let definition = self.text("select definition from amends.current_definition where name = 'within'").await;
        let input = json!({ "now": { "b": ["commit"] } });
        let done = json!({ "at": 2, "step": 0, "direction": "action", "attempt": 1,
            "outcome": { "succeeded": { "output": {} } }, "jitter": 0.0 });
        let rows = [("started", json!({ "at": 1, "input": input })), ("attempt_ended", done)];
        self.written(definition.parse().unwrap(), &rows).await
    }

    async fn ask(&self, case: &Case, saga: Uuid) {
        if case.gets_stuck {
            eventually(case.name, async || self.status(saga).await == "stuck").await;
        }
        for sql in case.asks {
            let step = serde_json::to_string(&world::appended("z")).unwrap();
            let sql = sql.replace("SAGA", &saga.to_string()).replace("STEP", &step);
            self.client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
        }
    }

    /// What holds for all sagas together.
    async fn audit(&self) {
        let twice = "select string_agg(t.x, ', ') from (select saga || ' ' || step || ' ' || direction as x
            from ledger.effect group by saga, step, direction having count(*) > 1) t";
        assert_eq!(self.text(twice).await, "", "effects that are there twice");
        let kinds = "select string_agg(distinct kind || ' ' || coalesce(body::json -> kind ->> 'law', '-'), ', ')
            from amends.journal where seq = 1";
        assert_eq!(self.text(kinds).await, "begun 2, started -");
        eventually("the notice is received", async || self.text("select count(*) from amends.outbox").await == "0")
            .await;
        let told = self.text("select string_agg(saga, ',') from ledger.told").await;
        assert_eq!(told, self.sagas["tells"].to_string());
    }
}

/// A saga of the test, and what must become of it.
struct Expected {
    name: &'static str,
    saga: Uuid,
    law: u32,
    ends: &'static str,
    left: &'static str,
    calls: Vec<String>,
}

impl Expected {
    fn for_case(case: &Case, saga: Uuid) -> Self {
        let calls = case.calls.iter().map(|&call| call.to_owned()).collect();
        Self { name: case.name, saga, law: case.law, ends: case.ends, left: case.left, calls }
    }

    /// A saga of the newest law, or of the first.
    fn new(name: &'static str, saga: &str, law: u32, left: &'static str, calls: &[&str]) -> Self {
        let ends = if left.is_empty() { "compensated" } else { "completed" };
        let calls = calls.iter().map(|&call| call.to_owned()).collect();
        Self { name, saga: saga.parse().unwrap(), law, ends, left, calls }
    }

    /// Waits for the end and says what is wrong with it.
    async fn fault(mut self, left: &Left, runtime: &Runtime) -> Option<String> {
        eventually(self.name, async || left.status(self.saga).await == self.ends).await;
        let inspection = runtime.client().inspect(self.saga).await.unwrap();
        let law = inspection.state.map(|state| state.law.number());
        self.calls.sort();
        let expected = (Some(self.law), self.left.to_owned(), self.calls);
        let found = (law, left.effects(self.saga).await, left.calls(self.saga).await);
        (found != expected).then(|| format!("{}: expected {expected:?}, found {found:?}", self.name))
    }
}

/// Sagas that go on from a step of an ended one: the old program began one, and was asked for another.
async fn reruns(left: &Left) -> [String; 2] {
    let sql = "select string_agg(r.rerun::text, ' ' order by k.key)
        from amends.rerun r join amends.start_key k on k.id = r.id where k.key in ('closed', 'closed_too')";
    let reruns = left.text(sql).await;
    let (begun, asked) = reruns.split_once(' ').unwrap();
    [begun.to_owned(), asked.to_owned()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_that_an_older_version_left_are_finished_with_one_effect_each() {
    let left = left().await;
    let [rerun_then, rerun_asked] = reruns(&left).await;
    let definitions = left.text("select count(*) from amends.definition").await;
    let applied = left.database.store().await.migrate().await.unwrap();
    assert_eq!(applied, (OLD_SCHEMA + 1..=SCHEMA_VERSION).collect::<Vec<_>>());
    let accepted = left.accepted().await;
    let ended = left.ends_its_transaction().await;
    let definitions = (definitions.parse::<i64>().unwrap() + 1).to_string();
    let runtime = begin(&left.database).await;
    let registered = left.text("select count(*) from amends.definition").await;
    assert_eq!(registered, definitions, "the digests are the same");

    let beside = runtime.start("trip", &json!({})).await.unwrap().to_string();
    for case in CASES {
        left.ask(case, left.sagas[case.name]).await;
    }
    let rerun = format!("select amends.rerun_from('{}', 'b', 'mended')", left.sagas["closed_third"]);
    let rerun_now = left.text(&rerun).await;

    // What is undone was done by the saga that is taken over, under a key of the first law.
    let undone = format!("~/a-c0 of {}/a/action/0", left.sagas["closed_too"]);
    let mut sagas: Vec<_> = CASES.iter().map(|case| Expected::for_case(case, left.sagas[case.name])).collect();
    sagas.extend([
        Expected::new("beside", &beside, 2, "a b", &["/a-a0", "/b-a0"]),
        Expected::new("rerun, begun then", &rerun_then, 1, "b", &["/b/action/1"]),
        Expected::new("rerun, asked for then", &rerun_asked, 2, "", &["/b-a0", &undone]),
        Expected::new("rerun, asked for now", &rerun_now, 2, "b", &["/b-a0"]),
        Expected::new("accepted", &accepted, 1, "a", &["?/a/action/0"]),
        // For the old program such a step had failed, and what its handler had committed stayed.
        Expected {
            ends: "compensated",
            ..Expected::new("ended", &ended, 1, "b", &["/b/action/1", "~/a/compensation/0 of /a/action/0"])
        },
    ]);
    let mut faults = Vec::new();
    for saga in sagas {
        faults.extend(saga.fault(&left, &runtime).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    left.audit().await;
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
