//! The demo's participants, driven by an MCP client from another process: keys, probes, and every kind of
//! fault.

use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{Database, eventually};

type Client = RunningService<RoleClient, ()>;

/// One participant of one kind with a ledger of its own.
struct Fixture {
    database: Database,
    faults: &'static [&'static str],
}

impl Fixture {
    async fn new(faults: &'static [&'static str]) -> Self {
        Self { database: Database::empty().await, faults }
    }

    fn command(&self, role: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
        command.args(["demo-participant", role]).args(self.faults);
        command.env("AMENDS_DEMO_LEDGER_URL", &self.database.url).kill_on_drop(true).stderr(Stdio::inherit());
        command
    }

    async fn payments(&self) -> Client {
        ().serve(TokioChildProcess::new(self.command("payments")).unwrap()).await.unwrap()
    }

    async fn crm(&self) -> (Child, Client) {
        let mut child = self.command("crm").stdout(Stdio::piped()).spawn().unwrap();
        let url = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
        rustls();
        let client = ().serve(StreamableHttpClientTransport::from_uri(url)).await.unwrap();
        (child, client)
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        let client = self.database.client().await;
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the query's rows are the expected ones.
    async fn wait_for(&self, sql: &str, expected: &[&str]) {
        eventually(&format!("{sql} = {expected:?}"), async || self.rows(sql).await == expected).await;
    }
}

/// reqwest is built without a default provider of cryptography.
fn rustls() {
    static PROVIDER: LazyLock<()> = LazyLock::new(|| drop(rustls::crypto::ring::default_provider().install_default()));
    *PROVIDER
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> Result<CallToolResult, ServiceError> {
    let arguments = arguments.as_object().unwrap().clone();
    client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await
}

/// Calls and returns the structured answer; an error's is `{code, message}`.
async fn answer(client: &Client, tool: &'static str, arguments: Value) -> Value {
    call(client, tool, arguments).await.unwrap().structured_content.unwrap()
}

fn charge(booking: &str, key: &str) -> Value {
    json!({ "booking": booking, "customer": "ada", "amount_cents": 12_500, "idempotency_key": key })
}

#[tokio::test]
async fn payments_keep_their_keys() {
    let fixture = Fixture::new(&[]).await;
    let client = fixture.payments().await;
    assert_eq!(client.list_all_tools().await.unwrap().len(), 4);

    let first = answer(&client, "create_charge", charge("B-1", "k1")).await;
    assert_eq!(first["status"], "charged");
    assert_eq!(answer(&client, "create_charge", charge("B-1", "k1")).await, first);
    assert_eq!(answer(&client, "create_charge", charge("B-2", "k1")).await["code"], "idempotency_key_conflict");

    let find = |key: &str| json!({ "booking": "B-1", "idempotency_key": key });
    let found = answer(&client, "find_charge", find("k1")).await;
    assert_eq!(found, json!({ "found": true, "state": "done", "charge": first }));
    assert_eq!(answer(&client, "find_charge", find("k2")).await["found"], false);

    let refund = |charge: &Value| json!({ "booking": "B-1", "charge": charge, "idempotency_key": "k3" });
    assert_eq!(answer(&client, "refund_charge", refund(&json!("ch_999999"))).await["code"], "nothing_to_undo");
    let refunded = answer(&client, "refund_charge", refund(&first["id"])).await;
    assert_eq!(refunded["amount_cents"], 12_500);
    assert_eq!(answer(&client, "refund_charge", refund(&first["id"])).await, refunded);
    let sql = "select kind || ' ' || amount_cents from demo_payments.effect order by seq";
    assert_eq!(fixture.rows(sql).await, ["charge 12500", "refund 12500"]);

    let bad = call(&client, "create_charge", json!({ "booking": "", "amount_cents": 0 })).await;
    let Err(ServiceError::McpError(error)) = bad else { panic!("expected an error, found {bad:?}") };
    for word in ["/booking", "/amount_cents", "idempotency_key", "customer"] {
        assert!(error.message.contains(word), "{word} is missing in {}", error.message);
    }
    assert!(call(&client, "rob_bank", json!({})).await.is_err());
}

#[tokio::test]
async fn many_processes_share_one_ledger() {
    let fixture = Fixture::new(&[]).await;
    let clients = futures_util::future::join_all((0..4).map(|_| fixture.payments())).await;
    for round in 0..5 {
        let (booking, key) = (format!("B-{round}"), format!("k{round}"));
        let calls = clients.iter().flat_map(|client| [client; 5]).map(|client| {
            let arguments = charge(&booking, &key);
            async move {
                loop {
                    let found = answer(client, "create_charge", arguments.clone()).await;
                    if found["code"] != "in_progress" {
                        return found;
                    }
                }
            }
        });
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| answer == &answers[0] && answer["status"] == "charged"), "{answers:?}");
    }
    assert_eq!(fixture.rows("select count(*)::text from demo_payments.effect").await, ["5"]);
}

#[tokio::test]
async fn the_crm_over_http() {
    let fixture = Fixture::new(&[]).await;
    let (_child, client) = fixture.crm().await;
    let close = || json!({ "booking": "B-1", "request": "r1" });
    let folio = answer(&client, "close_booking", close()).await;
    assert_ne!(answer(&client, "close_booking", close()).await, folio, "closing is not idempotent");
    let find = json!({ "booking": "B-1", "change": "booking_closed", "idempotency_key": "r1" });
    assert_eq!(
        answer(&client, "find_booking_change", find).await,
        json!({ "found": true, "state": "done", "change": folio })
    );

    // Undoing first forestalls the deed, even one that was sent before and lands later.
    let key = |key: &str| json!({ "booking": "B-1", "idempotency_key": key });
    assert_eq!(answer(&client, "revert_opportunity", key("u1")).await["status"], "never_done");
    let advance = json!({ "booking": "B-1", "stage": "won", "idempotency_key": "a1" });
    assert_eq!(answer(&client, "advance_opportunity", advance).await["code"], "forestalled");
    assert_eq!(answer(&client, "reopen_booking", key("u2")).await["status"], "reopened");
    let sql = "select kind from demo_crm.effect order by seq";
    assert_eq!(fixture.rows(sql).await, ["booking_closed", "booking_closed", "booking_reopened"]);
}

/// What came of one call that goes wrong.
struct Wrong {
    /// The answer; none if there was none in time.
    outcome: Option<Result<CallToolResult, ServiceError>>,
    /// The effects when the caller had its answer, or gave up.
    effects: Vec<String>,
    /// The fault, as the ledger has it in the end.
    fault: String,
}

impl Fixture {
    /// Makes a call whose answer may not come. A fault is recorded with its effect, so a late one is recorded
    /// late.
    async fn provoke(&self, client: &Client, tool: &'static str, booking: &str, arguments: Value) -> Wrong {
        let outcome = tokio::time::timeout(PATIENCE, call(client, tool, arguments)).await.ok();
        let schema = if tool == "create_charge" { "demo_payments" } else { "demo_crm" };
        let effects = self.rows(&format!("select kind from {schema}.effect where booking = '{booking}'")).await;
        let faults = format!("select kind from {schema}.fault where booking = '{booking}'");
        eventually("the fault is recorded", async || !self.rows(&faults).await.is_empty()).await;
        Wrong { outcome, effects, fault: self.rows(&faults).await.remove(0) }
    }
}

/// How long a test waits for an answer; far longer than an answer takes, far shorter than [`SLOW_MS`].
const PATIENCE: Duration = Duration::from_millis(1_000);
const SLOW_MS: &str = "4000";

/// Every call goes wrong in some way; calls are made until every way was seen.
#[tokio::test]
async fn every_fault_of_payments_is_what_it_says() {
    let fixture = Fixture::new(&["--faults", "1", "--seed", "1", "--slow-ms", SLOW_MS]).await;
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..100 {
        let (booking, key) = (format!("B-{n}"), format!("k{n}"));
        let client = fixture.payments().await;
        let Wrong { outcome, effects, fault } =
            fixture.provoke(&client, "create_charge", &booking, charge(&booking, &key)).await;
        match (fault.as_str(), outcome) {
            ("refused" | "busy" | "cached_error", Some(Ok(result))) => {
                assert_eq!(result.is_error, Some(true));
                assert!(effects.is_empty(), "{fault} left {effects:?}");
            }
            ("failure_as_text", Some(Ok(result))) => {
                assert_eq!((result.is_error, result.structured_content), (Some(false), None));
                assert!(effects.is_empty(), "{fault} left {effects:?}");
            }
            ("lost_answer", None) | ("crash", Some(Err(_))) => assert_eq!(effects, ["charge"]),
            ("error_after_effect", Some(Ok(result))) => {
                assert_eq!((result.is_error, &*effects), (Some(true), &["charge".to_owned()][..]));
            }
            ("accepted", Some(Ok(result))) => {
                assert!(effects.is_empty(), "the effect was not late");
                assert_eq!(result.structured_content.unwrap()["status"], "accepted");
                let sql = format!("select kind from demo_payments.effect where booking = '{booking}'");
                fixture.wait_for(&sql, &["charge"]).await;
            }
            // The caller has given up and cancelled, and the effect lands all the same.
            ("slow", None) => {
                assert!(effects.is_empty(), "the effect was not late");
                let sql = format!("select kind from demo_payments.effect where booking = '{booking}'");
                assert_eq!(fixture.rows(&sql).await, ["charge"]);
            }
            (fault, outcome) => panic!("{fault} came out as {outcome:?}"),
        }
        seen.insert(fault);
        if seen.len() == 9 {
            return;
        }
    }
    panic!("only {seen:?} were seen");
}

/// A caller that is gone altogether does not stop the effect either.
#[tokio::test]
async fn a_late_effect_outlives_its_caller() {
    let fixture = Fixture::new(&["--faults", "1", "--only", "slow", "--slow-ms", "1500"]).await;
    let client = fixture.payments().await;
    let sent = call(&client, "create_charge", charge("B-1", "k1"));
    assert!(tokio::time::timeout(Duration::from_millis(300), sent).await.is_err());
    drop(client);
    fixture.wait_for("select kind from demo_payments.effect", &["charge"]).await;
}

#[tokio::test]
async fn a_cached_error_is_replayed_until_the_key_changes() {
    let fixture = Fixture::new(&["--faults", "1", "--only", "cached_error"]).await;
    let client = fixture.payments().await;
    let refused = answer(&client, "create_charge", charge("B-1", "k1")).await;
    assert_eq!(refused["code"], "saved_error");
    let sound = Fixture { faults: &[], ..fixture };
    let client = sound.payments().await;
    assert_eq!(answer(&client, "create_charge", charge("B-1", "k1")).await, refused);
    assert_eq!(answer(&client, "create_charge", charge("B-1", "k2")).await["status"], "charged");
    assert_eq!(sound.rows("select key from demo_payments.effect").await, ["k2"]);
    assert_eq!(sound.rows("select key from demo_payments.fault").await, ["k1"]);
}

#[tokio::test]
async fn a_record_is_locked_while_a_late_effect_is_on_its_way() {
    let fixture = Fixture::new(&["--faults", "1", "--only", "slow", "--slow-ms", "2000"]).await;
    let client = fixture.payments().await;
    let first = call(&client, "create_charge", charge("B-1", "k1"));
    assert!(tokio::time::timeout(Duration::from_millis(300), first).await.is_err());
    assert_eq!(answer(&client, "create_charge", charge("B-1", "k1")).await["code"], "in_progress");
    fixture.wait_for("select kind from demo_payments.effect", &["charge"]).await;
    assert_eq!(answer(&client, "create_charge", charge("B-1", "k1")).await["status"], "charged");
    assert_eq!(fixture.rows("select kind from demo_payments.effect").await, ["charge"]);
}

#[tokio::test]
async fn a_compensation_fails_twice_and_then_goes_through() {
    let fixture = Fixture::new(&["--faults", "1", "--only", "fails_twice"]).await;
    let client = fixture.payments().await;
    let charged = answer(&client, "create_charge", charge("B-1", "k1")).await;
    let refund = |key: &str| json!({ "booking": "B-1", "charge": charged["id"], "idempotency_key": key });
    assert_eq!(answer(&client, "refund_charge", refund("k2")).await["code"], "temporarily_unavailable");
    assert_eq!(answer(&client, "refund_charge", refund("k3")).await["code"], "temporarily_unavailable");
    assert_eq!(answer(&client, "refund_charge", refund("k4")).await["status"], "refunded");
}

#[tokio::test]
async fn the_crm_drops_connections_and_crashes() {
    let fixture = Fixture::new(&["--faults", "1", "--seed", "2", "--slow-ms", SLOW_MS]).await;
    let mut seen = std::collections::BTreeSet::new();
    let (mut child, mut client) = fixture.crm().await;
    for n in 0..100 {
        let booking = format!("B-{n}");
        let arguments = json!({ "booking": booking, "request": booking });
        let Wrong { outcome, effects, fault } = fixture.provoke(&client, "close_booking", &booking, arguments).await;
        match (fault.as_str(), &outcome) {
            ("lost_answer", None | Some(Err(_))) => assert_eq!(effects, ["booking_closed"]),
            ("crash", None | Some(Err(_))) => {
                assert_eq!(effects, ["booking_closed"]);
                assert_eq!(child.wait().await.unwrap().code(), Some(86));
                (child, client) = fixture.crm().await;
            }
            ("slow", None) => {
                assert!(effects.is_empty(), "the effect was not late");
                let sql = format!("select kind from demo_crm.effect where booking = '{booking}'");
                assert_eq!(fixture.rows(&sql).await, ["booking_closed"]);
            }
            ("refused" | "busy" | "accepted", Some(Ok(_))) => {
                assert!(effects.is_empty(), "{fault} left {effects:?}");
            }
            ("error_after_effect", Some(Ok(result))) => {
                assert_eq!((result.is_error, &*effects), (Some(true), &["booking_closed".to_owned()][..]));
            }
            ("unavailable_after_effect" | "conflict_cut_off", None | Some(Err(_))) => {
                assert_eq!(effects, ["booking_closed"]);
            }
            _ => panic!("{fault} came out as {outcome:?}"),
        }
        seen.insert(fault);
        if seen.len() == 9 {
            return;
        }
    }
    panic!("only {seen:?} were seen");
}

#[tokio::test]
async fn a_ledger_behind_tls_is_reached_as_sslmode_says() {
    let fixture = Fixture::new(&[]).await;
    let url = |authority: &str| {
        let root = crate::harness::fixture(authority);
        let place = fixture.database.tcp_url("localhost", crate::harness::cluster().port);
        format!("{place}?sslmode=verify-full&sslrootcert={}", root.display())
    };
    let mut command = fixture.command("payments");
    command.env("AMENDS_DEMO_LEDGER_URL", url("ca.crt"));
    let client = ().serve(TokioChildProcess::new(command).unwrap()).await.unwrap();
    assert!(!client.list_all_tools().await.unwrap().is_empty());
    let mut stranger = fixture.command("payments");
    stranger.env("AMENDS_DEMO_LEDGER_URL", url("other_ca.crt")).stdin(Stdio::piped()).stderr(Stdio::piped());
    let refused = stranger.spawn().unwrap().wait_with_output().await.unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("certificate"), "{said}");
}
