//! The demo's definition against its participants: what each kind of fault comes to, through the
//! participants' room and without a runtime. A rule of the file that does not fit the servers is found here.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use amends::participant::{Handlers, Limits, ParticipantConfig, Participants, Scope, Secret, Transport};
use amends::saga::definition::{Action, Call};
use amends::saga::event::Direction;
use amends::saga::outcome::{Answer, Outcome};
use amends::saga::{Definition, Json};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use crate::harness::Database;

/// The stage of one test: both participants, and all calls of one checkout.
struct Fixture {
    participants: Participants,
    definition: Arc<Definition>,
    _crm: Child,
}

impl Fixture {
    async fn new(faults: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_amends");
        let url = Database::empty().await.url;
        let mut crm = Command::new(program);
        crm.args(["demo-participant", "crm", "--ledger-url", &url]).args(faults);
        let mut crm = crm.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let crm_url = BufReader::new(crm.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
        let args = ["demo-participant", "payments"].into_iter().chain(faults.iter().copied());
        let payments = Transport::Stdio {
            command: Secret::plain(program),
            args: args.map(Secret::plain).collect(),
            env: BTreeMap::from([("AMENDS_DEMO_LEDGER_URL".to_owned(), Secret::plain(url))]),
            cwd: None,
            user: None,
        };
        let crm_http = Transport::McpHttp { url: Secret::plain(crm_url), headers: BTreeMap::new() };
        let config = |name: &str, transport| {
            let (name, limits) = (name.to_owned(), Limits::default());
            ParticipantConfig { name, transport, limits, answers: Default::default() }
        };
        let configs = vec![config("payments", payments), config("crm", crm_http)];
        let participants = Participants::new(configs, Handlers::new(), &Handle::current()).unwrap();
        let text = include_str!("../../src/demo/hotel_checkout.yaml");
        let drafts = amends::catalog::parse_definitions("hotel_checkout.yaml", text);
        let draft = drafts.unwrap_or_else(|faults| panic!("{faults}")).remove(0);
        let faults = amends::participant::expr::check_draft(&draft);
        assert!(faults.is_empty(), "{faults:#?}");
        assert_eq!(participants.missing(&draft), [""; 0]);
        let definition = Definition::build(draft).unwrap();
        Self { participants, definition, _crm: crm }
    }

    fn call(&self, step: &str, direction: Direction) -> &Call {
        let planned = self.definition.steps().iter().find(|planned| planned.step.name == step).unwrap();
        match (direction, &planned.step.action) {
            (Direction::Action, Action::Call(call)) => call,
            (Direction::Compensation, _) => planned.step.compensation.as_ref().unwrap(),
            (Direction::Action, action) => panic!("{action:?} is no call"),
        }
    }

    fn scope(&self, step: &str, direction: Direction, key: &str, output: Option<&Value>) -> Arc<Scope> {
        let input = json!({ "booking": "B-1", "guest": "ada", "room": "room 1", "amount_cents": 900 });
        Arc::new(Scope {
            saga: uuid::Uuid::nil(),
            law: amends::saga::Law::NEWEST,
            step: step.into(),
            direction,
            attempt: 1,
            key: format!("{step} {} {key}", direction.as_str()),
            action_key: (direction == Direction::Compensation).then(|| format!("{step} action {key}")),
            traceparent: None,
            input: Json::from(input),
            steps: vec![("charge".into(), Json::from(json!({ "id": "ch_000001" })))],
            output: output.map(Json::from),
            news: None,
        })
    }

    async fn execute(&self, step: &str, direction: Direction, key: &str, output: Option<&Value>) -> Outcome {
        let scope = self.scope(step, direction, key, output);
        self.participants.execute(self.call(step, direction), &scope).await.0
    }

    async fn act(&self, step: &str) -> Outcome {
        self.execute(step, Direction::Action, "0", None).await
    }

    async fn undo(&self, step: &str, output: &Value) -> Outcome {
        self.execute(step, Direction::Compensation, "0", Some(output)).await
    }

    async fn probe(&self, step: &str, direction: Direction) -> Answer {
        let probe = self.call(step, direction).probe.as_ref().unwrap();
        self.participants.probe(probe, &self.scope(step, direction, "0", None)).await.0
    }
}

#[track_caller]
fn output(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Succeeded { output } => output.to_value(),
        other => panic!("expected success, found {other:?}"),
    }
}

/// An outcome in one word.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => "succeeded",
        Outcome::Failed { retryable: true, .. } => "retryable",
        Outcome::Failed { retryable: false, .. } => "failed",
        Outcome::Errored { .. } => "errored",
        Outcome::Pending { .. } => "pending",
        Outcome::Unknown { .. } => "unknown",
    }
}

const STEPS: [&str; 5] = ["charge", "close_booking", "release_room", "advance_opportunity", "email_receipt"];

#[tokio::test]
async fn a_checkout_goes_there_and_back() {
    let fixture = Fixture::new(&[]).await;
    let mut outputs = BTreeMap::new();
    for step in STEPS {
        outputs.insert(step, output(fixture.act(step).await));
    }
    for step in ["charge", "close_booking"] {
        let found = fixture.probe(step, Direction::Action).await;
        assert_eq!(found, Answer::Applied { output: Json::from(&outputs[step]) }, "{step}");
        assert_eq!(fixture.probe(step, Direction::Compensation).await, Answer::Absent, "{step}");
    }
    for step in STEPS[..4].iter().rev() {
        let undone = output(fixture.undo(step, &outputs[step]).await);
        // The same key again is the same undoing.
        assert_eq!(output(fixture.undo(step, &outputs[step]).await), undone, "{step}");
    }
    for step in ["charge", "close_booking"] {
        let found = fixture.probe(step, Direction::Compensation).await;
        assert!(matches!(found, Answer::Applied { .. }), "{step}: {found:?}");
    }
    fixture.participants.shutdown().await;
}

#[tokio::test]
async fn every_fault_comes_to_its_outcome() {
    let expected = [
        ("refused", "failed", &["charge", "close_booking", "advance_opportunity"][..]),
        ("busy", "retryable", &["charge", "close_booking", "release_room", "email_receipt"]),
        ("cached_error", "retryable", &["charge", "advance_opportunity"]),
        ("failure_as_text", "failed", &["charge", "advance_opportunity"]),
        ("lost_answer", "unknown", &STEPS),
        ("slow", "unknown", &STEPS),
        ("error_after_effect", "errored", &STEPS[..2]),
        ("unavailable_after_effect", "unknown", &STEPS[1..]),
        ("conflict_cut_off", "unknown", &STEPS[1..]),
        ("accepted", "pending", &STEPS[..2]),
    ];
    for (fault, outcome, steps) in expected {
        let faults = ["--faults", "1", "--only", fault, "--slow-ms", "2500"];
        let fixture = Fixture::new(&faults).await;
        let calls = steps.iter().map(|step| fixture.act(step));
        for (step, found) in steps.iter().zip(futures_util::future::join_all(calls).await) {
            assert_eq!(word(&found), outcome, "{fault} at {step}: {found:?}");
        }
        if fault == "slow" {
            // The record is locked until the late effect lands; then the same key finds it.
            assert_eq!(word(&fixture.act("charge").await), "retryable");
            while word(&fixture.act("charge").await) != "succeeded" {}
        }
        fixture.participants.shutdown().await;
    }
}

/// Whatever the answer, the probe knows.
#[tokio::test]
async fn a_probe_finds_what_was_done_before_the_error() {
    for fault in ["error_after_effect", "unavailable_after_effect", "conflict_cut_off"] {
        let fixture = Fixture::new(&["--faults", "1", "--only", fault]).await;
        for step in &STEPS[..3] {
            let found = fixture.act(step).await;
            // Payments have no status to answer with.
            let errs = fault == "error_after_effect" || *step != "charge";
            assert_eq!(word(&found) != "succeeded", errs, "{fault} at {step}: {found:?}");
            let found = fixture.probe(step, Direction::Action).await;
            assert!(matches!(found, Answer::Applied { .. }), "{fault} at {step}: {found:?}");
        }
        fixture.participants.shutdown().await;
    }
}

/// Until an accepted call has landed, its probe says neither that it did nor that it did not.
#[tokio::test]
async fn an_accepted_call_is_neither_there_nor_absent() {
    let fixture = Fixture::new(&["--faults", "1", "--only", "accepted", "--slow-ms", "1500"]).await;
    for step in &STEPS[..2] {
        assert_eq!(word(&fixture.act(step).await), "pending", "{step}");
        assert!(matches!(fixture.probe(step, Direction::Action).await, Answer::Inconclusive { .. }), "{step}");
        crate::harness::eventually("it lands", async || {
            matches!(fixture.probe(step, Direction::Action).await, Answer::Applied { .. })
        })
        .await;
    }
    fixture.participants.shutdown().await;
}

#[tokio::test]
async fn a_crash_is_unknown_and_the_participant_comes_back() {
    let fixture = Fixture::new(&["--faults", "1", "--only", "crash"]).await;
    let found = fixture.act("charge").await;
    assert_eq!(word(&found), "unknown", "{found:?}");
    // The child is started again; probes have no such fault.
    let found = loop {
        match fixture.probe("charge", Direction::Action).await {
            Answer::Inconclusive { .. } => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            found => break found,
        }
    };
    assert!(matches!(found, Answer::Applied { .. }), "{found:?}");
    let found = fixture.act("close_booking").await;
    assert_eq!(word(&found), "unknown", "{found:?}");
    // Nobody starts this CRM again: a call that cannot be sent has no effect.
    let found = fixture.act("release_room").await;
    assert_eq!(word(&found), "retryable", "{found:?}");
    fixture.participants.shutdown().await;
}
