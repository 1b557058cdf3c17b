//! Secrets stay where they are put: a node with canaries for secrets works with participants that repeat them in every
//! way, logs everything that there is, and then all that anybody can read is searched for them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Database, eventually};
use crate::participant::mcp_http::{method, reply, shake_hands};
use crate::participant::server::{ROLE, SERVER_TEST};
use crate::participant::wire::{Act, Wire, answer};

/// What the environment gives, by variable.
const SECRETS: [(&str, &str); 7] = [
    ("PAYMENTS_KEY", TOKEN),
    ("CRM_KEY", "canary-c3e1-crm"),
    ("MAILER_KEY", "canary-91be-child"),
    ("BROKEN_BIN", "canary-5d2f-program"),
    ("BROKEN_KEY", "canary-22aa-argument"),
    ("LOST_DIR", "canary-8e77-folder"),
    ("OTLP_KEY", "canary-0b1c-collector"),
];
const TOKEN: &str = "canary/7f3a+token";
const PASSWORD: &str = "canary-44d0-password";

/// What a participant makes of its token, within a string of JSON: base64 of it, base64 of `me:TOKEN` for URLs, the
/// token in a URL, as PHP, .NET and a careful encoder write it, and its bytes.
const SPELLINGS: [&str; 7] = [
    "Y2FuYXJ5LzdmM2ErdG9rZW4=",
    "bWU6Y2FuYXJ5LzdmM2ErdG9rZW4=",
    "canary%2F7f3a%2Btoken",
    r"canary\/7f3a+token",
    r"canary/7f3a\u002Btoken",
    r"c\u0061nary\u002f7f3\u0061+token",
    "63616e6172792f376633612b746f6b656e",
];

const DEFINITION: &str = "
saga: paid
input: { type: object, required: [path], properties: { path: { type: string } } }
steps:
  - step: charge
    effect: idempotent
    retry: { attempts: 2, backoff: 10ms }
    action: { http: payments, path: \"/${ input.path }\", body: {} }
    output: { result: \"${ result }\", headers: \"${ headers }\", text: \"${ text }\" }
    compensation: { http: payments, path: \"/undo-${ input.path }\", body: {}, retry: { attempts: 1 } }
  - step: look
    effect: read_only
    action: { tool: mailer/values, arguments: {} }
  - step: ask
    effect: read_only
    action: { tool: crm/echo, arguments: {} }
  - step: denied
    when: input.path in ['denied', 'stuck']
    irreversible: true
    action: { tool: mailer/denies, arguments: {} }
  - step: leave
    when: input.path == 'leave'
    irreversible: true
    timeout: 20s
    settle: 100ms
    action: { tool: mailer/exit, arguments: {} }
  - step: broken
    when: input.path == 'broken'
    retry: { attempts: 1 }
    irreversible: true
    action: { tool: broken/send, arguments: {} }
  - step: lost
    when: input.path == 'lost'
    retry: { attempts: 1 }
    irreversible: true
    action: { tool: lost/send, arguments: {} }
output: { charge: \"${ steps.charge }\", look: \"${ steps.look }\", ask: \"${ steps.ask }\" }
";

/// Repeats the secret of a request, as a header, in a body, in an error.
fn served(request: &str) -> Act {
    let said = request.split("authorization: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("none");
    let body = format!("{{\"said\":{},\"spelled\":[\"{}\"]}}", Value::from(said), SPELLINGS.join("\",\""));
    match (request.split(' ').nth(1).unwrap_or(""), method(request).as_str()) {
        ("/mcp", "initialize") => shake_hands(request, ""),
        ("/mcp", "tools/call") => {
            let told = json!({ "type": "text", "text": said });
            reply(request, "", json!({ "result": { "content": [told], "structuredContent": { "said": said } } }))
        }
        ("/mcp", _) => answer("202 Accepted", "", ""),
        ("/bad" | "/undo-stuck", _) => answer("400 Bad Request", "", &body),
        _ => answer("200 OK", &format!("x-said: {said}\r\n"), &body),
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Calls the saga as a tool and returns all that the agent is told.
async fn called(address: &str, path: &str) -> String {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "agent", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": "paid", "arguments": { "path": path }, "_meta": meta });
    let request = reqwest::Client::new()
        .post(format!("http://{address}/mcp"))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "paid")
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }));
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.contains("saga_id"), "{path}: {text}");
    text
}

/// A node in a folder of its own, with a database.
struct Stage {
    folder: PathBuf,
    url: String,
    node: Child,
    stdout: BufReader<std::process::ChildStdout>,
    /// Where its HTTP is.
    address: String,
}

impl Stage {
    fn set(database: &Database, participant: &Wire, collector: &Wire) -> Self {
        let folder = std::env::temp_dir().join(format!("amends-canary-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("paid.yaml"), DEFINITION).unwrap();
        std::fs::write(folder.join("amends.yaml"), settings(&participant.url, &collector.url)).unwrap();
        // Trust authentication takes any password.
        let url = database.tcp_url("127.0.0.1", crate::harness::cluster().port);
        let url = url.replace("@", &format!(":{PASSWORD}@"));
        let mut node = amends(&folder, &url)
            .args(["serve", "--json", "--log", "trace,amends=trace", "--config", "amends.yaml"])
            .envs(SECRETS)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(node.stdout.take().unwrap());
        let mut said = String::new();
        stdout.read_line(&mut said).unwrap();
        let address = match serde_json::from_str::<Value>(&said) {
            Ok(said) => said["http"].as_str().expect("the address of the HTTP door").to_owned(),
            Err(_) => panic!("{}", std::fs::read_to_string(folder.join("log")).unwrap()),
        };
        Self { folder, url, node, stdout, address }
    }

    /// Runs a verb and returns all that it says.
    fn said(&self, args: &[&str]) -> String {
        let output = amends(&self.folder, &self.url).args(args).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        said.concat()
    }

    /// Asks the node to end; returns what it said last, and its log.
    fn end(&mut self) -> [String; 2] {
        // SAFETY: a plain system call on a child that was not waited for yet.
        unsafe { libc::kill(self.node.id().cast_signed(), libc::SIGTERM) };
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        self.node.wait().unwrap();
        [said, std::fs::read_to_string(self.folder.join("log")).unwrap()]
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn amends(folder: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.current_dir(folder).env("DATABASE_URL", url).stdin(Stdio::null());
    for name in ["AMENDS_DATA_DIR", "AMENDS_CONFIG", "AMENDS_LOG"] {
        command.env_remove(name);
    }
    command
}

fn settings(participant: &str, collector: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let bearer = |name: &str| json!({ "Authorization": format!("Bearer ${{env.{name}}}") });
    let settings = json!({
        "definitions": ["paid.yaml"],
        "http": { "address": "127.0.0.1:0" },
        "mcp": { "wait": "10s" },
        "traces": { "otlp": format!("{collector}/v1/traces?key=${{env.OTLP_KEY}}") },
        "participants": {
            "payments": { "url": participant, "protocol": "http", "headers": bearer("PAYMENTS_KEY") },
            "crm": { "url": format!("{participant}/mcp"), "headers": bearer("CRM_KEY") },
            "mailer": {
                "command": program,
                "args": ["--exact", SERVER_TEST, "--nocapture"],
                "env": { ROLE: "plain", "TOKEN": "${env.MAILER_KEY}" },
            },
            "broken": { "command": "/nonexistent/${env.BROKEN_BIN}", "args": ["--key=${env.BROKEN_KEY}"] },
            "lost": { "command": "cat", "cwd": "/nonexistent/${env.LOST_DIR}" },
        },
    });
    // JSON is YAML.
    settings.to_string()
}

// The participant and the collector answer while this thread waits for a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_logs_journals_metrics_answers_or_errors() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wire = Wire::serve(served).await;
    let collector = Wire::serve(|_| answer("200 OK", "content-type: application/json\r\n", "{}")).await;
    let database = Database::empty().await;
    let mut stage = Stage::set(&database, &wire, &collector);
    let client = database.client().await;
    let one = async |sql: &str| client.query_one(sql, &[]).await.map_or(-1, |row| row.get::<_, i64>(0));
    eventually("the definition is registered", async || {
        one("select count(*) from amends.current_definition").await == 1
    })
    .await;
    let mut seen: Vec<(String, String)> = Vec::new();
    for path in ["fine", "bad", "denied", "leave", "broken", "lost", "stuck"] {
        seen.push((format!("answer {path}"), called(&stage.address, path).await));
    }
    let ended = "select count(*) from amends.saga_done";
    let stuck = "select count(*) from amends.saga where status = 'stuck'";
    eventually("all are at rest", async || (one(ended).await, one(stuck).await) == (6, 1)).await;

    let requests = wire.requests.lock().unwrap().join("\n");
    assert!(requests.contains(TOKEN) && requests.contains("canary-c3e1-crm"), "the secrets are used");
    for (what, sql) in [
        ("journal", "select coalesce(string_agg(body, ' '), '') from amends.journal"),
        ("definitions", "select string_agg(draft, ' ') from amends.definition"),
        ("results", "select coalesce(string_agg(result, ' '), '') from amends.saga_done"),
        ("nodes", "select string_agg(n::text, ' ') from amends.node n"),
        ("outbox", "select coalesce(string_agg(body, ' '), '') from amends.outbox"),
        ("stuck", "select string_agg(s::text, ' ') from amends.stuck s"),
    ] {
        seen.push((what.to_owned(), client.query_one(sql, &[]).await.unwrap().get(0)));
    }
    for (what, path) in [("metrics", "/metrics"), ("readiness", "/readyz")] {
        seen.push((what.to_owned(), get(&stage.address, path)));
    }
    let ids: Vec<String> = (client.query("select saga::text from amends.sagas", &[]).await.unwrap().iter())
        .map(|row| row.get(0))
        .collect();
    for id in &ids {
        seen.push((format!("show {id}"), stage.said(&["show", id])));
        seen.push((format!("show --json {id}"), stage.said(&["show", id, "--json"])));
    }
    for args in [&["list"][..], &["list", "--json"], &["doctor"], &["doctor", "--json"]] {
        seen.push((args.join(" "), stage.said(args)));
    }
    let [said, log] = stage.end();
    seen.extend([("last words".to_owned(), said), ("log".to_owned(), log)]);
    // The settings without the environment that they name, and a database that is not there: errors, without secrets.
    seen.push(("check".to_owned(), stage.said(&["check", "amends.yaml"])));
    let nowhere = stage.url.replace("127.0.0.1", "127.0.0.9").replace(":5", ":1");
    seen.push(("error".to_owned(), stage.said(&["list", "--database-url", &nowhere])));
    let spans: String =
        collector.requests.lock().unwrap().iter().filter_map(|sent| sent.split("\r\n\r\n").nth(1)).collect();
    seen.push(("spans".to_owned(), spans));

    let text = |of: &str| seen.iter().find(|(what, _)| what == of).map(|(_, text)| text.as_str()).unwrap();
    // What was repeated did arrive, and was cut out.
    for what in ["journal", "results", "answer fine", "answer bad", "answer broken", "stuck", "log"] {
        assert!(text(what).contains("[secret]"), "{what}: {}", text(what));
    }
    for (what, part) in [
        ("answer broken", "cannot start"),
        ("answer lost", "cannot start"),
        ("answer leave", "killed by the test; the token is [secret]"),
        ("metrics", "amends_attempts_total{"),
        ("spans", "resourceSpans"),
        ("log", "rmcp"),
        ("log", "hyper"),
        ("doctor", "stuck"),
        ("check", "PAYMENTS_KEY"),
    ] {
        assert!(text(what).contains(part), "{what} without {part}: {}", text(what));
    }
    assert_eq!(ids.len(), 7);
    assert!(seen.iter().filter(|(what, _)| what.starts_with("show")).all(|(_, text)| text.contains("charge")));
    let secrets = SECRETS.iter().map(|(_, secret)| *secret).chain(SPELLINGS).chain([PASSWORD]);
    for secret in secrets {
        for (what, text) in &seen {
            if let Some(at) = text.find(secret) {
                let from = text.floor_char_boundary(at.saturating_sub(200));
                panic!("{what} tells {secret}: {}", &text[from..text.ceil_char_boundary(at + 100)]);
            }
        }
    }
}
