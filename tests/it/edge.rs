//! What a node refuses at its edge: requests that came after a deadline while no node lived, starts of a stored
//! definition that trusts errors in silence, appended steps that no definition could hold; and what `check` and
//! `explain` say of them.

use std::time::Duration;

use amends::participant::{Answers, Failure, Handlers, ParticipantConfig, Secret, StepContext, Transport};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Errors, Step};
use amends::saga::event::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::admin::{ask, program, until};
use crate::harness::{Database, eventually, in_time};

fn handlers() -> Handlers {
    Handlers::new().register("work", |_: StepContext, _: Value| async { Ok::<_, Failure>(json!("done")) })
}

/// A participant that no test here calls.
fn bank(errors: Option<Errors>) -> ParticipantConfig {
    let transport =
        Transport::McpHttp { url: Secret::plain("http://127.0.0.1:9/mcp"), headers: Default::default() };
    let answers = Answers { errors, busy: Vec::new() };
    ParticipantConfig { name: "bank".into(), transport, limits: Default::default(), answers }
}

async fn node(database: &Database, drafts: Vec<Draft>, bank: Option<ParticipantConfig>) -> Runtime {
    let mut builder = Runtime::builder(database.url.clone()).handlers(handlers()).participants(bank);
    for draft in drafts {
        builder = builder.definition(draft);
    }
    builder.begin().await.unwrap()
}

/// The instant of a request counts, and deadlines hold although no node lives.
#[tokio::test]
async fn a_deadline_holds_while_no_node_lives() {
    in_time(1_500, pass_without_a_node).await;
}

/// Lets deadlines pass while no node lives, and holds the ends against it; `false` if they passed before.
async fn pass_without_a_node(deadline_ms: u64) -> bool {
    let waits = |name: &str, deadline_ms| {
        Draft::new(name)
            .step(Step::awaiting("bell", "rung", Some(deadline_ms)))
            .step(Step::new("work", Call::handler("work").idempotent()).retriable().needs(["bell"]))
    };
    let asks = Draft::new("asks").step(Step::approval("sign", "may it?", None, Some(deadline_ms)));
    let drafts = || vec![waits("late", deadline_ms), waits("in_time", 3_600_000), asks.clone()];
    let database = Database::create().await;
    let first = node(&database, drafts(), None).await;
    let mut sagas = Vec::new();
    for name in ["late", "in_time", "asks", "late"] {
        let saga = first.start(name, &json!({})).await.unwrap();
        let begun = if name == "asks" { 2 } else { 1 };
        let rows = format!("select count(*) >= {begun} from amends.journal where id = '{saga}'");
        until(&database.url, &rows, "t").await;
        sagas.push(saga);
    }
    let [late, in_time, asks, paused]: [Uuid; 4] = sagas.try_into().unwrap();
    let digest = format!(
        "select body::json #>> '{{approval_shown,showing,shown,digest}}' from amends.journal \
                          where id = '{asks}' and kind = 'approval_shown'"
    );
    let digest = ask(&database.url, &digest).await;
    let shown = format!(
        "select max(at) + interval '{deadline_ms} ms' < clock_timestamp() from amends.journal where id = '{asks}'"
    );
    ask(&database.url, &format!("select amends.pause('{paused}', 'look first')")).await;
    let waits = "select count(*) from amends.sagas where status in ('running', 'paused')";
    let heard =
        format!("select status = 'paused' or ({waits}) < 4 from amends.sagas where saga = '{paused}'");
    until(&database.url, &heard, "t").await;
    first.stop(Duration::from_secs(5)).await.unwrap();
    if ask(&database.url, waits).await != "4" {
        return false;
    }
    // The time passes, and nothing notices it.
    until(&database.url, &shown, "t").await;
    let provide = |saga: Uuid| format!("select amends.signal('{saga}', 'rung', '1')");
    let too_late = ask(&database.url, &provide(late)).await;
    let paused_too_late = ask(&database.url, &provide(paused)).await;
    ask(&database.url, &provide(in_time)).await;
    let approve =
        ask(&database.url, &format!("select amends.approve('{asks}', 'sign', '{digest}', 'yes')")).await;
    let second = node(&database, drafts(), None).await;
    let status = |saga: Uuid| format!("select status from amends.sagas where saga = '{saga}'");
    until(&database.url, &status(late), "compensated").await;
    until(&database.url, &status(asks), "compensated").await;
    until(&database.url, &status(in_time), "completed").await;
    ask(&database.url, &format!("select amends.resume('{paused}', 'seen')")).await;
    until(&database.url, &status(paused), "compensated").await;
    for (saga, signal) in [(late, too_late), (asks, approve), (paused, paused_too_late)] {
        let refused = format!("select what from amends.timeline where saga = '{saga}' and signal = {signal}");
        let refused = ask(&database.url, &refused).await;
        assert!(refused.contains("refused: deadline_passed"), "{refused}");
    }
    second.stop(Duration::from_secs(5)).await.unwrap();
    true
}

fn charges() -> Draft {
    let charge = Call::tool("bank", "charge", json!({}));
    let refund = Call::tool("bank", "refund", json!({})).idempotent();
    Draft::new("charges").step(Step::new("charge", charge).compensation(refund))
}

/// A definition that was stored before silence was refused stays readable, and nothing new starts under it.
#[tokio::test]
async fn errors_are_not_trusted_in_silence_by_any_door() {
    let database = Database::create().await;
    let vouched = node(&database, vec![charges()], Some(bank(Some(Errors::Definite)))).await;
    vouched.stop(Duration::from_secs(5)).await.unwrap();
    let refused = Runtime::builder(database.url.clone())
        .handlers(handlers())
        .participants([bank(None)])
        .definition(charges())
        .begin()
        .await;
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("charges: steps[0].action") && said.contains("errors: definite"), "{said}");
    let silent = node(&database, Vec::new(), Some(bank(None))).await;
    eventually("the node has read it", async || {
        silent.client().definition("charges").await.unwrap().is_some()
    })
    .await;
    let said = silent.start("charges", &json!({})).await.unwrap_err().to_string();
    assert!(said.contains("definition charges: steps[0].action"), "{said}");
    let saga = ask(&database.url, "select amends.start('charges', '{}'::text::json)").await;
    until(&database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "compensated")
        .await;
    let why = format!("select string_agg(reason, '') from amends.timeline where saga = '{saga}'");
    assert!(ask(&database.url, &why).await.contains("definition charges: steps[0].action"));
    silent.stop(Duration::from_secs(5)).await.unwrap();
}

/// An appended step is checked as a definition's is, and comes after what is done.
#[tokio::test]
async fn an_appended_step_is_checked_as_a_definitions_is() {
    let database = Database::create().await;
    let node = node(&database, vec![Draft::new("plan").open(3_600_000)], Some(bank(None))).await;
    let saga = node.start("plan", &json!({})).await.unwrap();
    let undo = || Call::handler("work").idempotent();
    let step = |name: &str| Step::new(name, Call::handler("work").idempotent()).compensation(undo());
    let append = async |step: Step| {
        let signal = node.signal(saga, Request::Append { step: Box::new(step) }).await.unwrap();
        let fate = format!(
            "select concat_ws(' ', fate, answer) from amends.signals where saga = '{saga}' and signal = {signal}"
        );
        let waits =
            format!("select count(*) from amends.signal_status('{saga}', {signal}) where fate = 'waiting'");
        until(&database.url, &waits, "0").await;
        ask(&database.url, &fate).await
    };
    let nonsense = Call::handler_with("work", json!({ "x": "${ nonsense( }" })).idempotent();
    let broken = Step::new("a", Call::handler("work").idempotent()).compensation(nonsense);
    let said = append(broken).await;
    assert!(said.starts_with("refused ") && said.contains("step.compensation"), "{said}");
    let said = append(Step::new("a", Call::tool("bank", "charge", json!({}))).compensation(undo())).await;
    assert!(said.starts_with("refused ") && said.contains("errors: definite"), "{said}");
    let state =
        |name: &str| format!("select state from amends.steps where saga = '{saga}' and step = '{name}'");
    for name in ["a", "b"] {
        assert_eq!(append(step(name)).await, "applied");
        until(&database.url, &state(name), "done").await;
    }
    // It waits for the word of a step that may be pending, which is for nobody else.
    let said = append(Step::awaiting("word", "b", None)).await;
    assert!(said.starts_with("refused ") && said.contains("step.action.event"), "{said}");
    // It may speak of what it comes after.
    let of_b = Call::handler_with("work", json!({ "x": "${ steps.b }" })).idempotent();
    assert_eq!(append(Step::new("c", of_b).compensation(undo())).await, "applied");
    until(&database.url, &state("c"), "done").await;
    node.signal(saga, Request::Abort { reason: "enough".into() }).await.unwrap();
    until(&database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "compensated")
        .await;
    let order = format!(
        "select string_agg(step, ' ' order by seq) from amends.timeline
                         where saga = '{saga}' and what like 'compensation%succeeded%'"
    );
    assert_eq!(ask(&database.url, &order).await, "c b a");
    node.stop(Duration::from_secs(5)).await.unwrap();
}

/// `check` gives advice where a rule is legal and often wrong, and `explain` says what follows from each answer.
#[tokio::test]
async fn a_definition_is_advised_and_explained() {
    let database = Database::create().await;
    let folder = std::env::temp_dir().join(format!("amends-edge-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("pay.yaml");
    std::fs::write(
        &file,
        r#"
saga: pay
steps:
  - step: charge
    effect: idempotent
    refused: "${ status == 402 }"
    action: { http: bank, path: /charges }
    compensation: { http: bank, path: /refunds, effect: idempotent }
  - step: book
    action: { tool: desk/book }
    probe: { http: bank, path: "/bookings/${ key }", applied: "${ status == 200 }", absent: "${ status == 404 }" }
    compensation: { tool: desk/cancel, effect: idempotent }
"#,
    )
    .unwrap();
    let path = file.display().to_string();
    let (code, said) = program(&database.url, &["check", &path]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("advice:") && said.contains("steps.charge.refused: a participant that gives 402"),
        "{said}"
    );
    assert!(said.contains("steps.book.probe.absent: a bare 404"), "{said}");
    let (code, said) = program(&database.url, &["explain", &path, "--json"]);
    assert_eq!(code, 0, "{said}");
    let tables: Value = serde_json::from_str(&said).unwrap();
    let next = |step: &str, call: &str, answer: &str| {
        let calls = tables["calls"].as_array().unwrap();
        let table = calls.iter().find(|one| one["step"] == step && one["call"] == call).unwrap();
        let holds = |row: &&Value| row["answers"].as_array().unwrap().iter().any(|one| one == answer);
        let row = table["rows"].as_array().unwrap().iter().find(holds).unwrap();
        format!("{}: {}", row["outcome"].as_str().unwrap(), row["next"].as_str().unwrap())
    };
    let error = "a tool's result with `isError`";
    let probed = "errored: probe (applied: done; absent: turn back; no word: stuck: a person decides)";
    assert_eq!(next("book", "action", error), probed);
    assert_eq!(next("book", "compensation", error), "errored: repeat under the same key");
    assert_eq!(next("charge", "action", "no answer within `timeout`"), "unknown: repeat under the same key");
    std::fs::remove_dir_all(&folder).unwrap();
}
