//! Secrets stay where they are put: a node with canary secrets in its settings and in its database URL runs sagas that
//! succeed and fail, with every log line there is, and then everything that anybody can read is searched for them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::harness::{Database, eventually};
use crate::participant::wire::{Wire, answer};

const TOKEN: &str = "canary-7f3a-token";
const CHILD: &str = "canary-91be-child";
const PASSWORD: &str = "canary-44d0-password";

const DEFINITION: &str = "
saga: paid
steps:
  - step: charge
    effect: idempotent
    retry: { attempts: 2, backoff: 10ms }
    action: { http: payments, path: \"/${ input.path }\", body: {} }
    compensation: { http: payments, path: /undo, body: {} }
  - step: tell
    retry: { attempts: 1 }
    irreversible: true
    action: { tool: mailer/send, arguments: {} }
";

fn get(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn no_secret_is_in_logs_journals_metrics_or_errors() {
    let wire = Wire::serve(|request| match request.split(' ').nth(1) {
        Some("/good" | "/undo") => answer("200 OK", "", "{}"),
        _ => answer("400 Bad Request", "", "no such payment"),
    })
    .await;
    let database = Database::empty().await;
    let folder = std::env::temp_dir().join(format!("amends-canary-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("paid.yaml"), DEFINITION).unwrap();
    let settings = format!(
        "definitions: [paid.yaml]\nhttp: {{ address: \"127.0.0.1:0\" }}\nparticipants:\n  payments: {{ url: \"{}\", \
         protocol: http, headers: {{ Authorization: \"Bearer ${{env.PAYMENTS_KEY}}\" }} }}\n  mailer: {{ command: \
         \"false\", env: {{ MAILER_KEY: \"${{env.MAILER_KEY}}\" }} }}\n",
        wire.url
    );
    std::fs::write(folder.join("amends.yaml"), settings).unwrap();
    // Trust authentication takes any password.
    let url =
        database.tcp_url("127.0.0.1", crate::harness::cluster().port).replace("@", &format!(":{PASSWORD}@"));
    let mut node = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["serve", "--json", "--log", "trace", "--config"])
        .arg(folder.join("amends.yaml"))
        .envs([("DATABASE_URL", url.as_str()), ("PAYMENTS_KEY", TOKEN), ("MAILER_KEY", CHILD)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(node.stdout.take().unwrap());
    let mut said = String::new();
    stdout.read_line(&mut said).unwrap();
    let http = serde_json::from_str::<serde_json::Value>(&said).unwrap();
    let http = http["http"].as_str().expect("the address of the HTTP door").to_owned();
    let client = database.client().await;
    let one = async |sql: &str| client.query_one(sql, &[]).await.map_or(-1, |row| row.get::<_, i64>(0));
    eventually("the definition is registered", async || {
        one("select count(*) from amends.current_definition").await == 1
    })
    .await;
    for path in ["good", "bad"] {
        let sql = format!("select amends.start('paid', '{{\"path\": \"{path}\"}}')");
        client.query_one(&sql, &[]).await.unwrap();
    }
    let at_rest = "select (select count(*) from amends.saga_done)
        + (select count(*) from amends.saga where status = 'stuck')";
    eventually("both are at rest", async || one(at_rest).await == 2).await;
    assert!(
        wire.requests.lock().unwrap().iter().any(|request| request.contains(TOKEN)),
        "the secret is used"
    );
    let mut seen = vec![("log", std::fs::read_to_string(folder.join("log")).unwrap())];
    for (what, sql) in [
        ("journal", "select coalesce(string_agg(body, ' '), '') from amends.journal"),
        ("definitions", "select string_agg(draft, ' ') from amends.definition"),
        ("results", "select coalesce(string_agg(result, ' '), '') from amends.saga_done"),
        ("nodes", "select string_agg(n::text, ' ') from amends.node n"),
        ("outbox", "select coalesce(string_agg(body, ' '), '') from amends.outbox"),
    ] {
        seen.push((what, client.query_one(sql, &[]).await.unwrap().get(0)));
    }
    for (what, path) in [("metrics", "/metrics"), ("readiness", "/readyz")] {
        seen.push((what, get(&http, path)));
    }
    assert!(seen.iter().any(|(_, text)| text.contains("amends_attempts_total{")), "metrics: {seen:?}");
    // SAFETY: a plain system call on a child that was not waited for yet.
    unsafe { libc::kill(node.id().cast_signed(), libc::SIGTERM) };
    stdout.read_to_string(&mut said).unwrap();
    node.wait().unwrap();
    seen.push(("answers", said));
    // The same settings with a database that is not there: the error names it without its password.
    let refused = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["list", "--database-url", &url.replace("127.0.0.1", "127.0.0.9").replace(":5", ":1")])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    seen.push(("error", String::from_utf8_lossy(&refused.stderr).into_owned()));
    assert!(seen[0].1.len() > 100 && seen[1].1.len() > 100, "there is something to search: {seen:?}");
    for (what, text) in &seen {
        for secret in [TOKEN, CHILD, PASSWORD] {
            assert!(!text.contains(secret), "{what} tells {secret}");
        }
    }
    std::fs::remove_dir_all(&folder).ok();
}
