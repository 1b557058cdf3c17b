//! Erasure by request: what a person's data was in is nowhere any more, and what happened can still be told.

use std::process::Command;
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use super::login;
use crate::admin::{Operated, ask, program, psql, until};
use crate::harness::{self, Database};

/// What is to be forgotten: it stands in whatever can carry something.
const SECRET: &str = "ada@example.com";

async fn node(database: &Database) -> Runtime {
    let echo = |_: StepContext, input: Value| async move { Ok::<_, Failure>(json!({ "echo": input })) };
    let handlers =
        Handlers::new().register("echo", echo).register("refuse", |_: StepContext, input: Value| async move {
            Err::<Value, _>(Failure::permanent("declined", format!("no card of {input}")))
        });
    let call = |name: &str| Call::handler(name);
    let with = |name: &str| Call::handler_with(name, json!({ "mail": "${ input.mail }" }));
    let drafts = [
        Draft::new("kept")
            .step(Step::new("a", with("echo")).compensation(call("echo")))
            .step(
                Step::approval("sign", "Pay ${ input.mail }?", Some(json!({ "to": "${ input.mail }" })), None)
                    .needs(["a"]),
            )
            .step(Step::awaiting("bell", "bell", Some(3_600_000)).needs(["sign"])),
        Draft::new("undone")
            .step(Step::new("a", with("echo")).compensation(call("echo")))
            .step(Step::new("b", with("refuse")).compensation(call("echo")).needs(["a"])),
    ];
    let mut builder = Runtime::builder(database.url.clone()).name("one").handlers(handlers);
    for draft in drafts {
        builder = builder.definition(draft);
    }
    builder.begin().await.unwrap()
}

/// All rows of the schema, as a backup has them.
async fn dumped(database: &Database) -> String {
    let mut command = Command::new(harness::program("pg_dump"));
    command.args(["--data-only", "--schema", "amends", "-d", &database.url]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Each saga, and each of its steps, without what they carry.
async fn states(database: &Database) -> String {
    let sql = "select g.saga, g.definition, g.status, g.started_at, g.ended_at, s.step, s.state, s.attempts,
                      s.compensation_attempts, s.last_outcome, s.since
               from amends.sagas g join amends.steps s on s.saga = g.saga order by g.saga, s.position";
    let rows = "select t.saga, t.seq, t.at, t.kind, t.step, t.signal, t.asked_by, t.application_name, t.asked_at
                from amends.sagas g join amends.timeline t on t.saga = g.saga order by 1, 2";
    ask(&database.url, sql).await + &ask(&database.url, rows).await
}

#[tokio::test]
async fn what_was_erased_is_nowhere_and_what_happened_is_still_told() {
    let database = Database::create().await;
    let runtime = node(&database).await;
    let url = &database.url;
    let start = async |definition: &str, key: &str| {
        let start = format!("select amends.start('{definition}', '{{\"mail\": \"{SECRET}\"}}', '{key}-{SECRET}')");
        ask(url, &start).await
    };
    let status = |id: &str| format!("select status from amends.sagas where saga = '{id}'");
    let (kept, undone) = (start("kept", "kept").await, start("undone", "undone").await);
    until(url, &status(&undone), "compensated").await;
    // It is asked with its reason, and refused with one, answered, and asked again.
    let digest = format!(
        "select substring(what from 'digest ([0-9a-f]+)') from amends.timeline
                          where saga = '{kept}' and kind = 'approval_shown'"
    );
    until(url, &format!("select count(*) from ({digest}) d"), "1").await;
    let digest = ask(url, &digest).await;
    ask(url, &format!("select amends.retry('{kept}', 'a', 'for {SECRET}')")).await;
    let other = login(&database, "other", "amends_operator").await;
    ask(&other, &format!("select amends.approve('{kept}', 'sign', '{digest}', 'I know {SECRET}')")).await;
    ask(url, &format!("select amends.signal('{kept}', 'bell', '{{\"to\": \"{SECRET}\"}}')")).await;
    until(url, &status(&kept), "completed").await;
    // A rerun has its own copy of what it took over, and a notice is still on its way.
    let rerun = ask(url, &format!("select amends.rerun_from('{undone}', 'a', 'again for {SECRET}')")).await;
    until(url, &status(&rerun), "compensated").await;
    let notice = format!(
        "{{\"event\":\"on_end\",\"law\":2,\"definition\":1,\"status\":\"completed\",\"step\":null,
                           \"reason\":\"no card of {SECRET}\"}}"
    );
    let sql = format!(
        "insert into amends.outbox (id, seq, at, body, due_at, error)
                       values ('{kept}', 9, now(), '{notice}', 'infinity', '500 {SECRET}')"
    );
    ask(url, &sql).await;
    let (before, told) = (dumped(&database).await, states(&database).await);
    assert!(before.matches(SECRET).count() >= 20, "the scene carries it everywhere");

    let (code, said) = program(url, &["erase", "--saga", &undone, "--reason", "art. 17, case 4711", "--json"]);
    assert!(code == 0 && said.contains("\"erased\":2"), "with its rerun: {said}");
    let key = format!("kept-{SECRET}");
    let (code, said) = program(url, &["erase", "--start-key", &key, "--reason", "art. 17, case 4712"]);
    assert!(code == 0 && said.contains("erased 1 sagas") && said.contains("backups"), "{said}");
    let after = dumped(&database).await;
    let left: Vec<&str> = after.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(states(&database).await, told);

    let audit = "select by, reason, saga, by_key, definition, sagas, rows > 3 from amends.erasures order by erasure";
    let expected = format!("postgres|art. 17, case 4711|{undone}|f||2|t\npostgres|art. 17, case 4712|{kept}|t||1|t");
    assert_eq!(ask(url, audit).await, expected);
    for id in [&kept, &undone, &rerun] {
        let (code, said) = program(url, &["show", id]);
        assert!(code == 0 && said.contains("payloads") && said.contains("erased 20"), "{said}");
        let (_, said) = program(url, &["show", id, "--json"]);
        let shown: Value = serde_json::from_str(&said).unwrap();
        assert!(shown["erased_at"].is_string() && shown["unreadable"].is_null(), "{shown}");
        assert!(shown["input"].is_null() && shown["result"].is_null(), "{shown}");
        let found = runtime.client().inspect(id.parse().unwrap()).await;
        assert!(found.is_ok(), "{found:?}");
    }

    // Once more does nothing; the key starts another saga; what was erased cannot go on.
    let (code, said) = program(url, &["erase", "--saga", &kept, "--reason", "again"]);
    assert!(code == 0 && said.contains("erased 0 sagas"), "{said}");
    assert_ne!(start("undone", "undone").await, undone);
    let refused = psql(url, &format!("select amends.rerun_from('{kept}', 'a', 'x')")).await;
    assert!(refused.errors.contains("AM014") && refused.errors.contains("was erased"), "{refused:?}");
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn what_has_not_ended_is_refused_and_so_is_whoever_has_no_right() {
    let node = Operated::begin().await;
    let url = node.url();
    let live = node.reach("patient", "running").await.to_string();
    let stuck = node.reach("doubtful", "stuck").await.to_string();
    for id in [&live, &stuck] {
        let (code, said) = program(url, &["erase", "--saga", id, "--reason", "x"]);
        assert!(code == 5 && said.contains("expected a saga that has ended") && said.contains(id), "{said}");
        let said = psql(url, &format!("select amends.erase('x', '{id}')")).await;
        assert!(said.errors.contains("AM014") && said.errors.contains("cancel, abandon"), "{said:?}");
    }
    let keyed = ask(url, "select amends.start('patient', '{}', 'a key')").await;
    let (code, said) = program(url, &["erase", "--start-key", "a key", "--definition", "patient", "--reason", "x"]);
    assert!(code == 5 && said.contains(&keyed), "{said}");
    for (arguments, code) in [
        (vec!["--saga", &Uuid::nil().to_string(), "--reason", "x"], 4),
        (vec!["--start-key", "another", "--reason", "x"], 4),
        (vec!["--start-key", "a key", "--definition", "happy", "--reason", "x"], 4),
        (vec!["--definition", "nothing", "--before", "2026-01-01T00:00:00Z", "--reason", "x"], 4),
        (vec!["--definition", "happy", "--before", "2999-01-01T00:00:00Z", "--reason", "x"], 2),
        (vec!["--definition", "happy", "--reason", "x"], 2),
        (vec!["--before", "2026-01-01T00:00:00Z", "--reason", "x"], 2),
        (vec!["--saga", &live, "--start-key", "k", "--reason", "x"], 2),
        (vec!["--saga", &live, "--definition", "happy", "--reason", "x"], 2),
        (vec!["--saga", &live, "--reason", " "], 2),
        (vec!["--saga", &live], 2),
        (vec!["--reason", "x"], 2),
    ] {
        let (found, said) = program(url, &[vec!["erase"], arguments.clone()].concat());
        assert_eq!(found, code, "{arguments:?}: {said}");
    }
    for call in [
        "null",
        "'x'",
        "'x', null, 'k', null, now()",
        "'x', null, null, null, now()",
        "'x', null, null, 'happy'",
        "'x', null, null, 'happy', 'infinity'",
        "'x', null, null, 'happy', now(), now(), 0",
        "'x', null, null, 'happy', now(), now(), 1001",
        "'x', null, null, 'happy', now(), now(), null",
        "repeat('x', 2001), gen_random_uuid()",
    ] {
        let said = psql(url, &format!("select amends.erase({call})")).await;
        assert!(said.errors.contains("AM005"), "{call}: {said:?}");
    }
    assert_eq!(ask(url, "select (amends.erase('x', null, null, 'happy', '-infinity')).sagas").await, "0");
    for role in ["amends_viewer", "amends_producer", "amends_runtime"] {
        let login = login(&node.database, role, role).await;
        let said = psql(&login, &format!("select amends.erase('x', '{live}')")).await;
        assert!(said.errors.contains("42501"), "{role}: {said:?}");
    }
    assert_eq!(ask(url, "select count(*) from amends.erasures").await, "0");
    node.stop().await;
}

/// Many sagas go in steps; those that have not ended are counted and left; a second run goes on where the first one
/// ended.
#[tokio::test]
async fn a_definitions_sagas_are_erased_in_steps() {
    let node = Operated::begin().await;
    let url = node.url();
    let live = node.reach("patient", "running").await;
    let made = "with made as (select amends.uuid7() as id, n from generate_series(1, 250) n), journal as (
             insert into amends.journal (id, seq, lane, at, kind, body)
             select m.id, 1, 1, now(), 'begun', '{\"begun\":{\"law\":2,\"at\":7,\"input\":\"SECRET\"}}' from made m
         )
         insert into amends.saga_done (id, definition, status, signals, started_at, ended_at, result)
         select m.id, c.definition, 'completed', 0, now(), now() - (n / 50) * interval '1 minute', '\"SECRET\"'
         from made m cross join amends.current_definition c where c.name = 'patient'";
    ask(url, made).await;
    let before = ask(url, "select to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')").await;
    let half =
        ask(url, "select sagas from amends.erase('bulk', null, null, 'patient', now() - interval '150 s')").await;
    assert_eq!(half, "100", "oldest first, so many at a time");
    let arguments = ["erase", "--definition", "patient", "--before", &before, "--reason", "bulk", "--json"];
    let (code, said) = program(url, &arguments);
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((code, &said), (0, &json!({ "erased": 150, "running": 1 })));
    let left = "select count(*) from amends.journal where body like '%SECRET%'";
    assert_eq!(ask(url, left).await, "0");
    let audit = "select sagas, definition, before is not null from amends.erasures order by erasure";
    assert_eq!(ask(url, audit).await, "100|patient|t\n150|patient|t", "one record for each run");
    let (_, said) = program(url, &arguments[..7]);
    assert!(said.contains("erased 0 sagas") && said.contains("1 sagas of patient have not ended"), "{said}");
    assert_eq!(ask(url, &format!("select status from amends.sagas where saga = '{live}'")).await, "running");
    node.stop().await;
}
