//! A database that an older version has left, its nodes killed: the new program finishes each of its sagas with one effect in
//! place or none, under the law and the keys that the saga began with. `b09ffbc.sql` is that database, `world.rs` holds its
//! definitions and participants, `cases.rs` what is expected of each saga.

mod cases;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use amends::runtime::{Builder, Runtime};
use amends::saga::Law;
use amends::store::SCHEMA_VERSION;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::{Database, eventually};
use cases::{CASES, Case};

/// A saga by name and id, and what is expected of it: its law, its end, the effects in place, the calls.
type Expected = (String, Uuid, u32, &'static str, &'static str, Vec<String>);

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

    /// The calls of a saga that the new program made, in any order; the saga's own id is left out of the keys.
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
        let kinds = "select string_agg(distinct j.kind || ' ' || coalesce(j.body::json -> j.kind ->> 'law', '-'), ', ')
            from amends.journal j where j.seq = 1";
        assert_eq!(self.text(kinds).await, "begun 2, started -");
        eventually("the notice is received", async || {
            self.text("select count(*) from amends.outbox").await == "0"
        })
        .await;
        let told = self.text("select string_agg(saga, ',') from ledger.told").await;
        assert_eq!(told, self.sagas["tells"].to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_that_an_older_version_left_are_finished_with_one_effect_each() {
    let left = left().await;
    let reruns = "select string_agg(k.key || ' ' || r.rerun, ' ' order by r.n)
        from amends.rerun r join amends.start_key k on k.id = r.id";
    let reruns = left.text(reruns).await;
    let &[closed, asked_then, closed_too, asked_still] = &*reruns.split(' ').collect::<Vec<_>>() else {
        panic!("{reruns}");
    };
    assert_eq!((closed, closed_too), ("closed", "closed_too"));
    let definitions = left.text("select count(*) from amends.definition").await;

    let applied = left.database.store().await.migrate().await.unwrap();
    assert_eq!(applied, (OLD_SCHEMA + 1..=SCHEMA_VERSION).collect::<Vec<_>>());
    let runtime = begin(&left.database).await;
    assert_eq!(
        left.text("select count(*) from amends.definition").await,
        definitions,
        "the digests are the same"
    );
    let beside = runtime.start("trip", &json!({})).await.unwrap();
    for case in CASES {
        left.ask(case, left.sagas[case.name]).await;
    }
    let rerun = format!("select amends.rerun_from('{}', 'b', 'mended')", left.sagas["closed_third"]);
    let rerun = left.text(&rerun).await;

    let mut faults = Vec::new();
    let mut sagas: Vec<Expected> = CASES
        .iter()
        .map(|case| {
            let calls = case.calls.iter().map(|&call| call.to_owned()).collect();
            (case.name.to_owned(), left.sagas[case.name], case.law, case.ends, case.left, calls)
        })
        .collect();
    let id = |text: &str| text.parse::<Uuid>().unwrap();
    let own = |calls: &[&str]| calls.iter().map(|&call| call.to_owned()).collect::<Vec<_>>();
    // What is undone was done under a key of the first law, by the saga that is taken over.
    let undone = format!("~/a-c0 of {}/a/action/0", left.sagas["closed_too"]);
    sagas.push(("beside".to_owned(), beside, 2, "completed", "a b", own(&["/a-a0", "/b-a0"])));
    sagas.push(("rerun then".to_owned(), id(asked_then), 1, "completed", "b", own(&["/b/action/1"])));
    sagas.push(("rerun asked".to_owned(), id(asked_still), 2, "compensated", "", own(&["/b-a0", &undone])));
    sagas.push(("rerun now".to_owned(), id(&rerun), 2, "completed", "b", own(&["/b-a0"])));
    for (name, saga, law, ends, effects, mut calls) in sagas {
        calls.sort();
        eventually(&name, async || left.status(saga).await == ends).await;
        let inspection = runtime.client().inspect(saga).await.unwrap();
        let found_law = inspection.state.map(|state| state.law);
        let expected = (Some(law), effects.to_owned(), calls);
        let found = (found_law.map(Law::number), left.effects(saga).await, left.calls(saga).await);
        if found != expected {
            faults.push(format!("{name} {saga}: expected {expected:?}, found {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    left.audit().await;
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
