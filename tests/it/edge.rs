//! What a node refuses at its edge: requests that came after a deadline, starts of a stored definition that trusts
//! errors in silence, appended steps that no definition could hold; what `check` and `explain` say of them; and what
//! comes to a participant as a key, or from it as a refusal that speaks of one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::participant::{Answers, Failure, Handlers, ParticipantConfig, Secret, StepContext, Transport};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Errors, Notice, Refused, Retry, Step};
use amends::saga::event::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::admin::{ask, program, until};
use crate::harness::{Database, eventually, in_time};

fn handlers() -> Handlers {
    Handlers::new()
        .register("work", |_: StepContext, _: Value| async { Ok::<_, Failure>(json!("done")) })
        .register("accept", |_: StepContext, _: Value| async { Err::<Value, _>(Failure::pending()) })
        .register("decline", |context: StepContext, _: Value| async move {
            match context.attempt() {
                1 => Err(Failure::unknown("lost", "no answer")),
                _ => Ok(json!("declined")),
            }
        })
}

/// A participant that no test here calls.
fn bank(errors: Option<Errors>) -> ParticipantConfig {
    let transport = Transport::McpHttp { url: Secret::plain("http://127.0.0.1:9/mcp"), headers: Default::default() };
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

/// A saga that no node can run would wait for ever, in silence.
#[tokio::test]
async fn a_node_registers_no_definition_that_it_cannot_run() {
    let database = Database::create().await;
    let draft =
        |name: &str, handler: &str| Draft::new(name).step(Step::new("pay", Call::handler(handler)).irreversible());
    let refused = Runtime::builder(database.url.clone())
        .handlers(handlers())
        .definition(draft("fine", "work"))
        .definition(draft("typo", "wrok"))
        .definition(draft("tool", "work").on_end(Notice::handler("nobody")))
        .begin()
        .await
        .unwrap_err()
        .to_string();
    for part in ["typo: expected handler \"wrok\", found none on this node", "tool: expected handler \"nobody\""] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!refused.contains("fine:"), "{refused}");
    assert_eq!(ask(&database.url, "select count(*) from amends.definition").await, "0");
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
    let heard = format!("select status = 'paused' or ({waits}) < 4 from amends.sagas where saga = '{paused}'");
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
    let approve = ask(&database.url, &format!("select amends.approve('{asks}', 'sign', '{digest}', 'yes')")).await;
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

/// The timer has fired on a node that lives, and the saga waits for what undoes its first step.
#[tokio::test]
async fn a_request_after_a_deadline_is_refused_by_that_name_on_a_node_that_lives() {
    let database = Database::create().await;
    let book =
        || Step::new("book", Call::handler("work").idempotent()).compensation(Call::handler("accept").idempotent());
    let sign = |deadline_ms| Step::approval("sign", "may it?", None, deadline_ms).needs(["book"]);
    let drafts = vec![
        Draft::new("asks").step(book()).step(sign(Some(300))),
        Draft::new("waits").step(book()).step(Step::awaiting("bell", "rung", Some(300)).needs(["book"])),
        Draft::new("ends").deadline_ms(1_000).step(book()).step(sign(None)),
        Draft::new("plan").open(1_000).step(book()),
    ];
    let node = node(&database, drafts, None).await;
    let append = json!({ "append": { "step": Step::sleeping("nap", 1) } }).to_string();
    for (name, asks) in [
        ("asks", vec!["amends.approve(SAGA, 'sign', 'DIGEST', 'yes')", "amends.deny(SAGA, 'sign', 'no')"]),
        ("waits", vec!["amends.signal(SAGA, 'rung', '1')"]),
        ("ends", vec!["amends.approve(SAGA, 'sign', 'DIGEST', 'yes')", "amends.signal(SAGA, 'rung', '1')"]),
        (
            "plan",
            vec![
                "amends.request(SAGA, '\"touch\"')",
                "amends.request(SAGA, '\"commit\"')",
                "amends.request(SAGA, 'APPEND')",
            ],
        ),
    ] {
        let saga = node.start(name, &json!({})).await.unwrap();
        until(&database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "compensating").await;
        let digest = format!(
            "select body::json #>> '{{approval_shown,showing,shown,digest}}' from amends.journal \
             where id = '{saga}' and kind = 'approval_shown'"
        );
        let digest = ask(&database.url, &digest).await;
        for sql in asks {
            let sql = sql.replace("SAGA", &format!("'{saga}'")).replace("DIGEST", &digest).replace("APPEND", &append);
            let signal = ask(&database.url, &format!("select {sql}")).await;
            let fate = format!(
                "select concat_ws(' ', fate, answer) from amends.signals where saga = '{saga}' and signal = {signal}"
            );
            eventually("it is answered", async || ask(&database.url, &fate).await.contains(' ')).await;
            let answer = ask(&database.url, &fate).await;
            assert!(answer.starts_with("refused deadline_passed: "), "{name}: {sql}: {answer}");
        }
        ask(&database.url, &format!("select amends.signal('{saga}', 'book.compensation', '1')")).await;
        until(&database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "compensated").await;
    }
    node.stop(Duration::from_secs(5)).await.unwrap();
}

/// A lost answer, no probe, and then a refusal: only one that was given after a look at the key ends the doubt.
#[tokio::test]
async fn a_refusal_that_speaks_of_the_key_is_written_in_rust() {
    let database = Database::create().await;
    let twice = Retry { attempts: 2, backoff_ms: 10, multiplier: 1.0, backoff_max_ms: 10, jitter: 0.0 };
    let declines = |name: &str, refused: Refused| {
        let call = Call::handler("decline").idempotent().settle_ms(0).retry(twice.clone()).refused(refused);
        Draft::new(name).step(Step::new("pay", call).compensation(Call::handler("work").idempotent()))
    };
    let declined = || Refused::new("result == 'declined'");
    let drafts = vec![declines("looks", declined().answers_key()), declines("blind", declined())];
    let node = node(&database, drafts, None).await;
    for (name, ends) in [("looks", "compensated"), ("blind", "stuck")] {
        let saga = node.start(name, &json!({})).await.unwrap();
        until(&database.url, &format!("select status from amends.sagas where saga = '{saga}'"), ends).await;
        let attempts = format!("select attempts from amends.steps where saga = '{saga}' and step = 'pay'");
        assert_eq!(ask(&database.url, &attempts).await, "2");
    }
    node.stop(Duration::from_secs(5)).await.unwrap();
}

/// Computed by another program: Python's `uuid.uuid5(NAMESPACE_URL, KEY)`.
#[tokio::test]
async fn the_forms_of_a_key_come_to_a_participant_as_ever() {
    let database = Database::create().await;
    let noted = Arc::<Mutex<Vec<Value>>>::default();
    let notes = noted.clone();
    let handlers = handlers().register("note", move |_: StepContext, arguments: Value| {
        notes.lock().unwrap().push(arguments);
        async { Ok::<_, Failure>(json!("done")) }
    });
    let handlers = handlers
        .register("fail", |_: StepContext, _: Value| async { Err::<Value, _>(Failure::permanent("declined", "no")) });
    let own = json!({ "key": "${ key }", "uuid": "${ key_uuid }", "hex": "x${ key_hex }" });
    let mut undone = own.clone();
    for (name, form) in [("of", "action_key"), ("of_uuid", "action_key_uuid"), ("of_hex", "action_key_hex")] {
        undone[name] = json!(format!("${{ {form} }}"));
    }
    let charge = Step::new("charge", Call::handler_with("note", own).idempotent());
    let draft = Draft::new("keys")
        .step(charge.compensation(Call::handler_with("note", undone).idempotent()))
        .step(Step::new("fail", Call::handler("fail").idempotent()).needs(["charge"]).irreversible());
    let node = Runtime::builder(database.url.clone()).handlers(handlers).definition(draft).begin().await.unwrap();
    let saga = "0190a0b0-c0d0-7e00-8f00-112233445566";
    ask(&database.url, &format!("select amends.start_as('{saga}', 'keys', '{{}}')")).await;
    until(&database.url, &format!("select status from amends.saga_done where id = '{saga}'"), "compensated").await;
    let (action, compensation) = ("8ab6eddf-f16a-5f33-a64f-4df3ca04886d", "b665ebe7-ac6f-5347-bdd9-b918dd658b17");
    let hex = |uuid: &str| uuid.replace('-', "");
    assert_eq!(
        *noted.lock().unwrap(),
        [
            json!({ "key": format!("{saga}-charge-a0"), "uuid": action, "hex": format!("x{}", hex(action)) }),
            json!({ "key": format!("{saga}-charge-c0"), "uuid": compensation,
                "hex": format!("x{}", hex(compensation)), "of": format!("{saga}-charge-a0"),
                "of_uuid": action, "of_hex": hex(action) }),
        ]
    );
    node.stop(Duration::from_secs(5)).await.unwrap();
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
    eventually("the node has read it", async || silent.client().definition("charges").await.unwrap().is_some()).await;
    let said = silent.start("charges", &json!({})).await.unwrap_err().to_string();
    assert!(said.contains("definition charges: steps[0].action"), "{said}");
    let saga = ask(&database.url, "select amends.start('charges', '{}'::text::json)").await;
    until(&database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "compensated").await;
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
        let waits = format!("select count(*) from amends.signal_status('{saga}', {signal}) where fate = 'waiting'");
        until(&database.url, &waits, "0").await;
        ask(&database.url, &fate).await
    };
    let nonsense = Call::handler_with("work", json!({ "x": "${ nonsense( }" })).idempotent();
    let broken = Step::new("a", Call::handler("work").idempotent()).compensation(nonsense);
    let said = append(broken).await;
    assert!(said.starts_with("refused ") && said.contains("step.compensation"), "{said}");
    let said = append(Step::new("a", Call::tool("bank", "charge", json!({}))).compensation(undo())).await;
    assert!(said.starts_with("refused ") && said.contains("errors: definite"), "{said}");
    let state = |name: &str| format!("select state from amends.steps where saga = '{saga}' and step = '{name}'");
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
    until(&database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "compensated").await;
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
        said.contains("advice:") && said.contains("steps.charge.refused: without `answers_key: true`, a 402"),
        "{said}"
    );
    assert!(said.contains("steps.book.probe.absent: a 404 may come"), "{said}");
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
    let probed = "errored: probe (applied: done; absent: turn back; inconclusive: stuck: a person decides)";
    assert_eq!(next("book", "action", error), probed);
    assert_eq!(next("book", "compensation", error), "errored: repeat under the same key");
    assert_eq!(next("charge", "action", "no answer within `timeout`"), "unknown: repeat under the same key");
    std::fs::remove_dir_all(&folder).unwrap();
}
