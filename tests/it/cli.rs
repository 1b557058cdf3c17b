//! The command line as people and programs use it: the real program, against sagas whose journals the core
//! wrote.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use amends::saga::definition::Draft;
use amends::saga::event::{
    AttemptEnded, Direction, Event, OwnerLost, ProbeAnswered, Request, Requested, Started, TimerFired,
};
use amends::saga::key::Key;
use amends::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use amends::saga::state::State;
use amends::saga::{Definition, Json, begin, next_timer, transition};
use amends::store::{AnsweredSignal, DefinitionId, End, Lane, Sources, Start, Store, Transition, Written};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

use crate::harness::{Database, eventually};

const AT: u64 = 1_767_225_600_000;

fn definition() -> Arc<Definition> {
    let retry = json!({ "attempts": 2, "jitter": 0.0 });
    let handler = |name: &str| json!({ "handler": { "name": name } });
    let call = |name: &str, effect: &str| json!({ "target": handler(name), "effect": effect, "retry": retry });
    let mut ship = call("ship", "once");
    ship["probe"] = json!({ "target": handler("find"), "applied": "result.found" });
    let draft = json!({
        "name": "checkout",
        "input": { "type": "object", "required": ["guest"], "properties": { "guest": { "type": "string" } } },
        "steps": [
            { "name": "charge", "action": { "call": call("charge", "idempotent") },
              "compensation": call("refund", "idempotent") },
            { "name": "ship", "needs": ["charge"], "action": { "call": ship },
              "compensation": call("recall", "once") },
        ],
    });
    let draft: Draft = serde_json::from_value(draft).unwrap();
    Definition::build(draft).unwrap()
}

/// A saga that the test runs in place of a node.
struct Played {
    id: Uuid,
    definition: Arc<Definition>,
    number: DefinitionId,
    state: State,
    seq: i32,
}

impl Played {
    async fn start(lane: &mut Lane, store: &Store, input: &Value) -> Self {
        let definition = definition();
        let draft = serde_json::to_string(definition.draft()).unwrap();
        let number = store
            .put_definition(definition.digest(), "checkout", &draft, &amends::store::AtStart::default())
            .await
            .unwrap();
        let started = Started::new(AT, Json::from(input));
        let (state, _) = begin(&definition, &started);
        let mut row = row(Uuid::now_v7(), 1, &Event::Started(started));
        row.start = Some(Start { definition: number, key: None });
        let id = row.id;
        accept(lane, row).await;
        Self { id, definition, number, state, seq: 1 }
    }

    /// Takes over a saga that was started by SQL.
    async fn claim(lane: &mut Lane, store: &Store, number: DefinitionId) -> Self {
        let claimed = loop {
            if let Some(claimed) = lane.claim(Sources::ALL, 1, &[number]).await.unwrap().sagas.pop() {
                break claimed;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let journal = store.journal(claimed.id).await.unwrap();
        let Event::Started(started) = serde_json::from_str(&journal[0].body).unwrap() else { panic!() };
        let definition = definition();
        let (state, _) = begin(&definition, &started);
        Self { id: claimed.id, definition, number, state, seq: 1 }
    }

    async fn happens(&mut self, lane: &mut Lane, event: Event, signal: Option<AnsweredSignal>) {
        self.seq += 1;
        let (state, _) = transition(&self.definition, &self.state, &event).unwrap();
        let mut row = row(self.id, self.seq, &event);
        if state.status() != self.state.status() {
            row.status = Some(state.status());
        }
        if state.end().is_some() {
            row.end = Some(End { status: state.status(), result: Some(Json::from(json!({ "ok": true }))) });
        }
        row.signal = signal;
        self.state = state;
        accept(lane, row).await;
    }

    async fn attempt(&mut self, lane: &mut Lane, at: u64, direction: Direction, outcome: Outcome) {
        self.decided(lane, at, direction, outcome, None).await;
    }

    /// An attempt ends, and this rule decided how.
    async fn decided(
        &mut self,
        lane: &mut Lane,
        at: u64,
        direction: Direction,
        outcome: Outcome,
        by: Option<(&str, u16)>,
    ) {
        let step = self
            .state
            .steps
            .iter()
            .position(
                |step| matches!(step.phase, amends::saga::state::Phase::Active { direction: d, .. } if d == direction),
            )
            .unwrap();
        let attempt = self.state.steps[step].tally(direction).attempts;
        let by = by.map(|(rule, status)| DecidedBy { rule: rule.to_owned(), status: Some(status) });
        let decided_by = by.map(Box::new);
        let event = AttemptEnded { at: AT + at, step, direction, attempt, outcome, decided_by, jitter: 0.0 };
        self.happens(lane, Event::AttemptEnded(event), None).await;
    }

    async fn timer(&mut self, lane: &mut Lane) -> u64 {
        let at = next_timer(&self.definition, &self.state).unwrap();
        self.happens(lane, Event::TimerFired(TimerFired { at }), None).await;
        at - AT
    }
}

fn row(id: Uuid, seq: i32, event: &Event) -> Transition {
    Transition::new(id, seq, event.kind(), Json::encode(event).unwrap())
}

async fn accept(lane: &mut Lane, row: Transition) {
    assert_eq!(lane.commit(&[row]).await.unwrap(), [Written::Accepted]);
}

fn done(output: Value) -> Outcome {
    Outcome::Succeeded { output: Json::from(output) }
}

fn declined(message: &str) -> Outcome {
    Outcome::failed(Error::new("declined", message))
}

fn amends(database: &Database, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.env("DATABASE_URL", &database.url).args(args).stdin(Stdio::null());
    command
}

pub(crate) async fn run(database: &Database, args: &[&str]) -> (i32, String, String) {
    let mut command = amends(database, args);
    finish(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
}

fn finish(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Checks that a text holds these parts in this order.
#[track_caller]
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { panic!("{part:?} is not next in\n{text}") };
        rest = after;
    }
}

#[tokio::test]
async fn show_tells_the_whole_story() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut lane = database.lane(store.join("test", "0", 15_000).await.unwrap()).await;
    let mut saga = Played::start(&mut lane, &store, &json!({ "guest": "Ada" })).await;
    let (action, compensation) = (Direction::Action, Direction::Compensation);
    let timeout = Error::new("timeout", "no answer within 30 s");
    saga.attempt(&mut lane, 120, action, Outcome::unknown(timeout)).await;
    let at = saga.timer(&mut lane).await;
    saga.attempt(&mut lane, at + 30, action, done(json!({ "id": "ch_1" }))).await;
    saga.attempt(&mut lane, at + 40, action, declined("address unknown")).await;
    let busy = Error::new("busy", "try later");
    let retryable = Outcome::retryable(busy, None);
    saga.attempt(&mut lane, at + 50, compensation, retryable).await;
    let at = saga.timer(&mut lane).await;
    saga.attempt(&mut lane, at + 5, compensation, done(Value::Null)).await;

    let id = saga.id.to_string();
    let (code, text, errors) = run(&database, &["show", &id]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    in_order(
        &text,
        &[
            "checkout (",
            "compensated",
            "input",
            r#"{"guest":"Ada"}"#,
            "+0.000s",
            "started",
            "+0.120s",
            "120ms",
            "charge",
            "attempt 1 ended, effect unknown",
            "timeout: no answer within 30 s",
            "-> charge: next attempt in 500ms",
            "woken by a timer",
            "30ms",
            "charge",
            "attempt 2 succeeded",
            "10ms",
            "ship",
            "attempt 1 failed without effect of its own",
            "declined: address unknown",
            "-> the saga turns back: step ship failed (declined: address unknown)",
            "compensation attempt 1 failed without effect of its own, may be repeated",
            "busy: try later",
            "compensation attempt 2 succeeded",
            "-> the saga is compensated: no net effect",
            "STEP",
            "charge",
            "compensated",
            "2 + 2",
            r#"{"id":"ch_1"}"#,
            "ship",
            "failed, no effect",
        ],
    );
    assert!(!text.contains("legal now"), "{text}");

    let (code, text, _) = run(&database, &["show", &id, "--json"]).await;
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 0);
    assert_eq!(value["status"], "compensated");
    assert_eq!(value["timeline"][1]["took_ms"], 120);
    assert_eq!(value["timeline"][1]["error"]["code"], "timeout");
    assert_eq!(value["timeline"][1]["event"]["attempt_ended"]["attempt"], 1);
    assert_eq!(value["steps"][0]["output"], json!({ "id": "ch_1" }));
    assert_eq!(value["legal_verbs"], json!([]));

    let (_, text, _) = run(&database, &["list", "--json", "--status", "compensated"]).await;
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value[0]["id"], id.as_str());
    let (_, text, remark) = run(&database, &["list", "--status", "stuck"]).await;
    assert_eq!((text.as_str(), remark.as_str()), ("", "no sagas\n"));
    let (_, text, _) = run(&database, &["list"]).await;
    in_order(&text, &["ID", "DEFINITION", "STATUS", &id, "checkout", "compensated"]);
}

#[tokio::test]
async fn show_names_what_is_stuck_and_what_is_legal_and_no_payload_reaches_the_terminal() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut lane = database.lane(store.join("test", "0", 15_000).await.unwrap()).await;
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n2026-01-01 fake log line\u{202e}";
    let mut saga = Played::start(&mut lane, &store, &json!({ "guest": evil })).await;
    saga.attempt(&mut lane, 10, Direction::Action, done(json!({ "id": evil }))).await;
    let lost = Event::OwnerLost(OwnerLost { at: AT + 20, jitter: 0.0, convicted: false });
    saga.happens(&mut lane, lost, None).await;
    // The probe of `ship` cannot tell, again and again.
    let mut at = 30;
    while saga.state.stuck().is_none() {
        if next_timer(&saga.definition, &saga.state).is_some() {
            at = saga.timer(&mut lane).await;
        }
        let probe = saga.state.steps[1].action.probes;
        let answer = Answer::inconclusive(Error::new("evil", evil));
        let (at, step, direction, decided_by) = (AT + at + 1, 1, Direction::Action, None);
        let event = ProbeAnswered { at, step, direction, probe, answer, decided_by, jitter: 0.0 };
        saga.happens(&mut lane, Event::ProbeAnswered(event), None).await;
    }
    store.signal(saga.id, &serde_json::from_value(json!({ "pause": { "reason": evil } })).unwrap()).await.unwrap();

    let (code, text, _) = run(&database, &["show", &saga.id.to_string(), "--full"]).await;
    assert_eq!(code, 0);
    let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(harmful), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("2026-01-01 fake")), "{text}");
    in_order(
        &text,
        &[
            "stuck",
            "taken over from a node that died; lost: attempt 1 of ship",
            "probe 1 could not tell",
            "evil: \\u{1b}[2J",
            "-> ship: stuck: nobody knows whether the action took effect",
        ],
    );
    in_order(&text, &["not answered yet: pause", "legal now: ", "resolve ship applied, resolve ship absent"]);
}

#[tokio::test]
async fn show_and_the_timeline_name_the_rule_the_status_and_the_key() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut lane = database.lane(store.join("test", "0", 15_000).await.unwrap()).await;
    let (mut saga, action) = (Played::start(&mut lane, &store, &json!({})).await, Direction::Action);
    let late = || Outcome::unknown(Error::new("http_503", "HTTP 503"));
    saga.decided(&mut lane, 10, action, late(), Some(("http_5xx", 503))).await;
    let at = saga.timer(&mut lane).await;
    saga.decided(&mut lane, at + 10, action, late(), Some(("http_5xx", 503))).await;
    let request = Request::Retry { step: "charge".into(), new_key: false, reason: "again".into() };
    let asked = Requested { at: AT + at + 20, asked_at: None, signal: 0, by: "ada".into(), by_starter: false, request };
    saga.happens(&mut lane, Event::Requested(asked), None).await;
    let at = saga.timer(&mut lane).await;
    saga.decided(&mut lane, at + 30, action, declined("no funds"), Some(("classify[0]", 402))).await;
    let at = saga.timer(&mut lane).await;
    saga.decided(&mut lane, at + 40, action, done(json!(7)), Some(("http_2xx", 202))).await;
    let id = saga.id.to_string();
    let key = Key { saga: saga.id, step: "charge", direction: action, generation: 0 }.text(saga.state.law);
    let (_, text, _) = run(&database, &["show", &id]).await;
    in_order(
        &text,
        &[
            "attempt 1 ended, effect unknown (by http_5xx, HTTP 503)",
            &format!("key {key}"),
            "-> charge: next attempt in",
            "attempt 3 failed without effect of its own (by classify[0], HTTP 402)",
            "-> charge: the doubt about an earlier attempt stays; next attempt in",
            "attempt 4 succeeded (by http_2xx, HTTP 202)",
        ],
    );
    let sql = "select what from amends.timeline where saga = $1 and kind = 'attempt_ended' order by seq";
    let rows = database.client().await.query(sql, &[&saga.id]).await.unwrap();
    let told: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(told.len() == 4 && told.iter().all(|what| text.contains(what.as_str())), "{told:?}\n{text}");
}

#[tokio::test]
async fn a_verb_waits_for_its_fate() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut lane = database.lane(store.join("test", "0", 15_000).await.unwrap()).await;
    let mut saga = Played::start(&mut lane, &store, &json!({ "guest": "Ada" })).await;
    let id = saga.id.to_string();

    let command = amends(&database, &["pause", &id, "--reason", "lunch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it was asked", async || !store.signals_after(saga.id, 0).await.unwrap().is_empty()).await;
    let signal = store.signals_after(saga.id, 0).await.unwrap().remove(0);
    let request = signal.request.decode().unwrap();
    let event = Requested { at: AT + 5, asked_at: None, signal: signal.n, by: signal.by, by_starter: false, request };
    let fate = AnsweredSignal { n: signal.n, refusal: None };
    saga.happens(&mut lane, Event::Requested(event), Some(fate)).await;
    let output = tokio::task::spawn_blocking(|| command.wait_with_output().unwrap()).await.unwrap();
    let (code, text, errors) = finish(output);
    assert_eq!((code, errors.as_str()), (0, ""));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&value["verb"], &value["fate"], &value["status"]),
        (&json!("pause"), &json!("applied"), &json!("paused"))
    );

    let command = amends(&database, &["skip", &id, "nope", "--reason", "?"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it was asked", async || !store.signals_after(saga.id, 1).await.unwrap().is_empty()).await;
    let refused = amends::saga::event::RequestRefused {
        at: AT + 6,
        signal: 2,
        by: "me".to_owned(),
        verb: "skip".to_owned(),
        reason: "the saga has no step \"nope\"".to_owned(),
    };
    let fate = AnsweredSignal { n: 2, refusal: Some(refused.reason.clone()) };
    saga.happens(&mut lane, Event::RequestRefused(refused), Some(fate)).await;
    let output = tokio::task::spawn_blocking(|| command.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(finish(output), (5, String::new(), "error: the saga has no step \"nope\"\n".to_owned()));

    let (code, _, errors) = run(&database, &["resume", &id, "--timeout", "50ms"]).await;
    assert_eq!(code, 6);
    assert!(errors.contains("no node has answered within 50ms; resume stands as signal 3"), "{errors}");
    let unknown = Uuid::nil().to_string();
    let (code, _, errors) = run(&database, &["--json", "cancel", &unknown]).await;
    let value: Value = serde_json::from_str(&errors).unwrap();
    assert_eq!((code, &value["error"]["code"]), (4, &json!("not_found")));
}

#[tokio::test]
async fn start_checks_the_input_and_waits_for_the_end() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut lane = database.lane(store.join("test", "0", 15_000).await.unwrap()).await;
    let number = Played::start(&mut lane, &store, &json!({ "guest": "Ada" })).await.number;

    let (code, _, errors) = run(&database, &["start", "checkout", "--input", r#"{"guest": 1}"#]).await;
    assert_eq!(code, 2);
    in_order(&errors, &["the input does not fit definition checkout:\n  input.guest: 1 is not of type"]);
    let (code, _, errors) = run(&database, &["start", "check'; drop schema amends cascade; --"]).await;
    assert_eq!(code, 4);
    assert!(errors.contains("registered are checkout"), "{errors}");

    let input = r#"{"guest": "Bob"}"#;
    let start = ["start", "checkout", "--input", input, "--key", "k1"];
    let (code, first, _) = run(&database, &start).await;
    assert_eq!(code, 0);
    assert_eq!(run(&database, &start).await.1, first);
    let other = ["start", "checkout", "--input", r#"{"guest": "Eve"}"#, "--key", "k1"];
    assert_eq!(run(&database, &other).await.0, 5);

    let command = amends(&database, &[&start[..], &["--wait", "--json"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut saga = Played::claim(&mut lane, &store, number).await;
    assert_eq!(saga.id.to_string(), first.trim());
    saga.attempt(&mut lane, 1, Direction::Action, done(json!(1))).await;
    saga.attempt(&mut lane, 2, Direction::Action, done(json!(2))).await;
    let output = tokio::task::spawn_blocking(|| command.wait_with_output().unwrap()).await.unwrap();
    let (code, text, errors) = finish(output);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, errors.as_str(), &value["result"]), (0, "", &json!({ "ok": true })));
    let (code, text, _) = run(&database, &[&start[..], &["--wait"]].concat()).await;
    assert_eq!((code, text.as_str()), (0, "completed {\"ok\":true}\n"));
    let (code, _, errors) = run(&database, &["cancel", first.trim()]).await;
    assert_eq!(code, 5, "{errors}");
}

#[tokio::test]
async fn migrate_brings_an_empty_database_up() {
    let database = Database::empty().await;
    let (code, _, errors) = run(&database, &["list"]).await;
    assert_eq!(code, 3);
    assert!(errors.contains("run `amends migrate`"), "{errors}");
    assert_eq!(run(&database, &["migrate", "--verify"]).await.0, 3);
    let (code, text, _) = run(&database, &["migrate", "--json"]).await;
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &value["applied"][0]), (0, &json!(1)));
    assert_eq!(run(&database, &["migrate", "--verify"]).await.0, 0);
    assert_eq!(run(&database, &["list"]).await.0, 0);
    let (_, text, _) = run(&database, &["migrate"]).await;
    assert!(text.starts_with("the schema is up to date"), "{text}");
    let (_, sql, _) = run(&database, &["migrate", "--print"]).await;
    assert!(sql.starts_with("begin;") && sql.trim_end().ends_with("commit;"));
}

#[tokio::test]
async fn a_database_that_is_away_is_named_without_its_password() {
    let database = Database::empty().await;
    let url = "postgres://me:s3cret@127.0.0.1:1/x";
    let (code, _, errors) = run(&database, &["list", "--database-url", url]).await;
    assert_eq!(code, 3);
    assert!(errors.contains("127.0.0.1:1/x") && !errors.contains("s3cret"), "{errors}");
    let (code, _, errors) = run(&database, &["--json", "list", "--bogus"]).await;
    let value: Value = serde_json::from_str(&errors).unwrap();
    assert_eq!((code, &value["error"]["code"]), (2, &json!("usage")));
}

#[tokio::test]
async fn nodes_are_drained_and_sagas_taken_from_them() {
    let database = Database::create().await;
    let store = database.store().await;
    let node = store.join("test", "0", 15_000).await.unwrap();
    let number = node.0.to_string();
    let (code, _, said) = run(&database, &["drain-node", "999", "--reason", "a try"]).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains(&format!("In service: {number} (test).")), "{said}");
    let (code, said, _) = run(&database, &["drain-node", &number, "--reason", "new kernel"]).await;
    assert_eq!((code, said), (0, format!("node {number} hands over its sagas and takes no more (signal 1)\n")));
    assert!(store.beat(node, 0, None, None).await.unwrap().draining);
    let (_, said, _) = run(&database, &["undrain-node", &number, "--json"]).await;
    let value: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value, json!({ "node": node.0, "draining": false, "signal": 2 }));
    let (code, _, said) = run(&database, &["undrain-node", &number]).await;
    assert!(code == 5 && said.contains("Legal now: drain_node"), "{code} {said}");
    assert!(!store.beat(node, 0, None, None).await.unwrap().draining);

    let mut lane = database.lane(node).await;
    let saga = Played::start(&mut lane, &store, &json!({ "guest": "Ada" })).await;
    let id = saga.id.to_string();
    let evict = ["evict", &id, "--reason", "it hangs", "--timeout", "100ms"];
    let (code, _, said) = run(&database, &evict).await;
    assert_eq!(code, 6, "nobody serves that lane: {said}");
    lane.release(&[saga.id]).await.unwrap();
    let (code, _, said) = run(&database, &evict).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("Legal: cancel, pause, abandon"), "{said}");
}
