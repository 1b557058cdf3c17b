//! A node as a process, from its settings to its drain, with the embedded Postgres and no other help.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const NAP: &str = "
saga: nap
description: Sleeps, then waits to be woken.
input: { type: object, required: [who], properties: { who: { type: string } } }
steps:
  - step: doze
    action: { sleep: 50ms }
  - step: alarm
    action: { await: bell }
output: { rang: \"${ steps.alarm }\", who: \"${ input.who }\" }
";

/// A folder with settings, a definition and the embedded Postgres.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let dir = PathBuf::from(format!("/tmp/amends-it-{}-serve-{name}", std::process::id()));
        fs::create_dir_all(dir.join("sagas")).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("sagas/nap.yaml"), NAP).unwrap();
        let settings = "definitions: [sagas]\ndatabase: { data_dir: data }\nhttp: { address: \"127.0.0.1:0\" }\n\
                        node: { lease: 2s }\n";
        fs::write(dir.join("amends.yaml"), settings).unwrap();
        Self(dir)
    }

    fn amends(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
        command.args(args).current_dir(&self.0).stdin(Stdio::null());
        for name in ["DATABASE_URL", "AMENDS_DATA_DIR", "AMENDS_CONFIG", "AMENDS_LOG"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, args: &[&str]) -> (i32, Value, String) {
        let output = self.amends(args).arg("--json").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        (output.status.code().unwrap(), value, String::from_utf8(output.stderr).unwrap())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Node {
    child: Child,
    http: String,
}

impl Node {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.amends(&["serve", "--json"]);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}", log(&mut child)));
        Self { child, http: said["http"].as_str().unwrap_or_default().to_owned() }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: plain system call.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        (status.code(), log(&mut self.child))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn ask(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_saga_runs_from_the_command_line_to_its_end_and_the_node_drains() {
    let home = Home::new("whole");
    let mut node = Node::start(&home, &[]);
    let (code, started, errors) = home.run(&["start", "nap", "--input", r#"{"who":"me"}"#, "--key", "k"]);
    assert_eq!(code, 0, "{errors}");
    let id = started["id"].as_str().unwrap().to_owned();
    wait_until("it waits for the bell", || home.run(&["show", &id]).1["steps"][1]["state"] == "waiting for event bell");
    let (code, _, errors) = home.run(&["retry", &id, "alarm"]);
    assert_eq!(code, 5, "{errors}");
    assert!(errors.contains("legal now"), "{errors}");
    let (code, answer, _) = home.run(&["pause", &id, "--reason", "lunch"]);
    assert_eq!((code, &answer["status"]), (0, &json!("paused")));
    assert_eq!(home.run(&["resume", &id]).0, 0);
    let (code, answer, _) = home.run(&["provide", &id, "bell", "--payload", r#"{"loud":true}"#]);
    assert_eq!((code, &answer["status"]), (0, &json!("completed")));
    let again = ["start", "nap", "--input", r#"{"who":"me"}"#, "--key", "k", "--wait"];
    let (code, ended, _) = home.run(&again);
    assert_eq!((code, &ended["result"]), (0, &json!({ "rang": { "loud": true }, "who": "me" })));

    assert!(ask(&node.http, "/readyz").starts_with("HTTP/1.1 200"));
    let metrics = ask(&node.http, "/metrics");
    for expected in [
        r#"amends_sagas_ended_total{definition="nap",status="completed"} 1"#,
        r#"amends_signals_total{verb="pause",fate="applied"} 1"#,
        r#"amends_steps_ended_total{definition="nap",step="alarm",direction="action",outcome="done"} 1"#,
        "amends_lost_wakes_total 0",
        "amends_commit_duration_seconds_count",
    ] {
        assert!(metrics.contains(expected), "{expected} is not in\n{metrics}");
    }
    node.signal(libc::SIGTERM);
    let (code, log) = node.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    assert!(!home.0.join("data/postgres/data/postmaster.pid").exists(), "Postgres was left running");
}

/// One node runs Postgres and the saga, and is killed: the other takes over both.
#[test]
fn a_node_takes_over_from_a_killed_one_postgres_included() {
    let home = Home::new("takeover");
    let mut first = Node::start(&home, &["--name", "first"]);
    let second = Node::start(&home, &["--name", "second"]);
    let (_, started, _) = home.run(&["start", "nap", "--input", r#"{"who":"me"}"#]);
    let id = started["id"].as_str().unwrap();
    wait_until("it waits for the bell", || home.run(&["show", id]).1["steps"][1]["state"] == "waiting for event bell");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let (code, answer, errors) = home.run(&["provide", id, "bell", "--timeout", "60s"]);
    assert_eq!((code, &answer["status"]), (0, &json!("completed")), "{errors}");
    wait_until("the second node is well again", || ask(&second.http, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(ask(&second.http, "/metrics").contains("amends_lost_wakes_total 0"));
}

/// The first signal waits for a call under way, the second for nothing; the call is unknown to whoever comes
/// next.
#[test]
fn a_second_signal_stops_a_draining_node_at_once() {
    let home = Home::new("impatient");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let settings = fs::read_to_string(home.0.join("amends.yaml")).unwrap();
    let settings = format!("{settings}participants: {{ silent: {{ url: \"{url}\", protocol: http }} }}\n");
    fs::write(home.0.join("amends.yaml"), settings).unwrap();
    let stall = "saga: stall\nsteps:\n  - step: ask\n    kind: pivot\n    timeout: 10m\n    \
                 action: { http: silent, path: / }\n";
    fs::write(home.0.join("sagas/stall.yaml"), stall).unwrap();
    let mut node = Node::start(&home, &[]);
    let (code, started, errors) = home.run(&["start", "stall", "--input", "{}"]);
    assert_eq!(code, 0, "{errors}");
    let id = started["id"].as_str().unwrap();
    let (_call, _) = silent.accept().unwrap();
    node.signal(libc::SIGTERM);
    wait_until("it drains", || !ask(&node.http, "/readyz").starts_with("HTTP/1.1 200"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(node.child.try_wait().unwrap().is_none(), "it waits for the call");
    let asked = Instant::now();
    node.signal(libc::SIGTERM);
    let (code, log) = node.end();
    assert_ne!(code, Some(0), "{log}");
    assert!(asked.elapsed() < Duration::from_secs(20), "the grace period is 30 s: {:?}", asked.elapsed());
    let _heir = Node::start(&home, &[]);
    wait_until("the call is in doubt", || home.run(&["show", id]).1["status"] == "stuck");
}

/// A participant takes one call at a time: who looks at the second learns what it waits for, and that nothing was sent.
#[test]
fn a_call_that_waits_for_its_place_says_so() {
    let home = Home::new("place");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let settings = fs::read_to_string(home.0.join("amends.yaml")).unwrap();
    let silent_one = format!("silent: {{ url: \"{url}\", protocol: http, concurrency: 1 }}");
    fs::write(home.0.join("amends.yaml"), format!("{settings}participants: {{ {silent_one} }}\n")).unwrap();
    let stall = "saga: stall\nsteps:\n  - step: ask\n    kind: pivot\n    timeout: 10m\n    \
                 action: { http: silent, path: / }\n";
    fs::write(home.0.join("sagas/stall.yaml"), stall).unwrap();
    let _node = Node::start(&home, &[]);
    let start = || home.run(&["start", "stall", "--input", "{}"]).1["id"].as_str().unwrap().to_owned();
    let first = start();
    let _call = silent.accept().unwrap();
    let second = start();
    let wait = || home.run(&["show", &second]).1["waits"][0].clone();
    wait_until("the wait is shown", || !wait().is_null());
    let waits = wait();
    assert_eq!(
        (&waits["step"], &waits["direction"], &waits["for"]),
        (&json!("ask"), &json!("action"), &json!("a place at participant silent"))
    );
    assert_eq!(home.run(&["show", &first]).1["waits"], json!([]));
    let said = home.amends(&["show", &second]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("ask has waited for a place at participant silent for "), "{said}");
    assert!(said.contains("nothing has been sent yet"), "{said}");
}

#[test]
fn a_cancelled_saga_makes_start_fail() {
    let home = Home::new("cancel");
    let _node = Node::start(&home, &["--http", "off"]);
    let (_, started, _) = home.run(&["start", "nap", "--input", r#"{"who":"me"}"#, "--key", "k"]);
    let id = started["id"].as_str().unwrap();
    let (code, answer, errors) = home.run(&["cancel", id, "--reason", "no more"]);
    assert_eq!((code, &answer["status"]), (0, &json!("compensated")), "{errors}");
    let (code, ended, _) = home.run(&["start", "nap", "--input", r#"{"who":"me"}"#, "--key", "k", "--wait"]);
    assert_eq!((code, &ended["status"]), (1, &json!("compensated")));
}

#[test]
fn a_taken_port_a_bad_definition_and_a_bad_option_are_clear_errors() {
    let home = Home::new("faults");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, errors) = home.run(&["serve", "--http", &address]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains(&format!("cannot listen on {address}")), "{errors}");
    let (code, _, errors) = home.run(&["serve", "--http", "here"]);
    assert_eq!(code, 2, "{errors}");
    fs::write(home.0.join("sagas/bad.yaml"), "saga: bad\nsteps:\n  - step: one\n    bogus: 1\n").unwrap();
    let (code, _, errors) = home.run(&["serve"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("bad.yaml:") && errors.contains("bogus"), "{errors}");
    let (code, report, _) = home.run(&["check", "sagas", "amends.yaml"]);
    assert_eq!((code, report["files"].as_u64()), (1, Some(3)), "{report}");
    assert!(report["faults"][0]["file"].as_str().unwrap().ends_with("bad.yaml"), "{report}");
    fs::remove_file(home.0.join("sagas/bad.yaml")).unwrap();
    let (code, report, _) = home.run(&["check", "sagas"]);
    assert_eq!((code, report["definitions"].as_u64()), (0, Some(1)), "{report}");
    assert_eq!(home.run(&["check", "--schema", "definition"]).1["type"], "object");
    assert!(Path::new(&home.0).exists());
}

/// The node that tells is killed when the receiver has the news and before it has said so.
#[test]
fn a_notice_of_a_killed_node_is_told_again_under_the_same_key() {
    let home = Home::new("notice");
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let saga = "
saga: told
on_end: { http: chat, path: /news, body: { saga: \"${ saga }\", status: \"${ status }\" }, timeout: 30s }
steps:
  - step: doze
    action: { sleep: 1s }
";
    fs::write(home.0.join("sagas/told.yaml"), saga).unwrap();
    let chat =
        format!("participants: {{ chat: {{ url: \"http://{}\", protocol: http }} }}\n", receiver.local_addr().unwrap());
    let settings = fs::read_to_string(home.0.join("amends.yaml")).unwrap();
    fs::write(home.0.join("amends.yaml"), settings + &chat).unwrap();
    let mut first = Node::start(&home, &["--name", "first"]);
    let (_, started, errors) = home.run(&["start", "told", "--input", "{}"]);
    let id = started["id"].as_str().unwrap_or_else(|| panic!("{errors}")).to_owned();
    let news = |stream: &mut std::net::TcpStream| {
        let mut text = String::new();
        let mut buffer = [0; 4_096];
        while !text.contains("completed") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let key = text.lines().find(|line| line.to_lowercase().starts_with("idempotency-key")).unwrap();
        key.to_owned()
    };
    let (mut stream, _) = receiver.accept().unwrap();
    let key = news(&mut stream);
    assert!(key.contains(&format!("{id}-on_end-n")), "{key}");
    let said = home.run(&["show", key.split_once(": ").unwrap().1.trim()]).1["key"].clone();
    assert!(said.as_str().unwrap().contains(": the notice on_end of row "), "{said}");
    let pending = home.run(&["show", &id]).1["notices"].clone();
    assert_eq!((&pending[0]["event"], &pending[0]["attempts"]), (&json!("on_end"), &json!(1)), "{pending}");
    let _second = Node::start(&home, &["--name", "second"]);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    drop(stream);
    let (mut stream, _) = receiver.accept().unwrap();
    assert_eq!(news(&mut stream), key);
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
    drop(stream);
    wait_until("nothing is left to tell", || home.run(&["show", &id]).1["notices"] == json!([]));
}
