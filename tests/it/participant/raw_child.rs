//! An MCP server written without any SDK: it does one thing after the other, and answers with the very text that it was
//! given. As a child process it is this test binary, started to run one test.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amends::participant::{Secret, Transport};
use serde_json::{Value, json};

/// Set for a child that shall be the server; its value is the folder of its ledger.
const FOLDER: &str = "AMENDS_TEST_RAW_SERVER";

/// A server when it is started as one, and nothing otherwise.
#[test]
fn serves_lines_one_after_the_other() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            // Of a number that no machine has.
            serde_json::from_str(&line.replace("1e400", "1")).unwrap()
        });
        let id = &message["id"];
        if message["params"]["name"] == "numbers" {
            write(&folder, &line);
        }
        let said = match message["method"].as_str().unwrap_or_default() {
            "initialize" => Some(format!("\"result\":{}", hello())),
            "ping" => Some("\"result\":{}".to_owned()),
            "tools/call" => Some(carried_out(&folder, &message["params"])),
            _ => None,
        };
        if let Some(said) = said {
            let mut output = std::io::stdout().lock();
            writeln!(output, "{{\"jsonrpc\":\"2.0\",\"id\":{id},{said}}}").unwrap();
            output.flush().unwrap();
        }
    }
    std::process::exit(0);
}

fn hello() -> Value {
    json!({
        "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
        "serverInfo": {"name": "raw", "version": "1"},
    })
}

/// Carries a call out, writes that down, and returns what is answered.
fn carried_out(folder: &Path, params: &Value) -> String {
    let (name, arguments) = (params["name"].as_str().unwrap(), &params["arguments"]);
    match name {
        "waits" => {
            let done = folder.join(arguments["until"].as_str().unwrap());
            while !done.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        "dies" => std::process::exit(7),
        _ => {}
    }
    write(folder, arguments["note"].as_str().unwrap_or(name));
    match arguments["answer"].as_str() {
        Some(answer) => answer.to_owned(),
        None => format!("\"result\":{{\"structuredContent\":{}}}", std::process::id()),
    }
}

fn write(folder: &Path, line: &str) {
    let mut ledger = std::fs::File::options().create(true).append(true).open(folder.join("ledger")).unwrap();
    writeln!(ledger, "{line}").unwrap();
}

/// The server, and the folder of its ledger.
pub(super) struct RawChild {
    folder: PathBuf,
}

impl RawChild {
    pub(super) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("amends-raw-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    pub(super) fn transport(&self) -> Transport {
        let test = "participant::raw_child::serves_lines_one_after_the_other";
        Transport::Stdio {
            command: Secret::plain(std::env::current_exe().unwrap().display().to_string()),
            args: ["--exact", test, "--nocapture"].into_iter().map(Secret::plain).collect(),
            env: [(FOLDER.to_owned(), Secret::plain(self.folder.display().to_string()))].into(),
            cwd: None,
            user: None,
        }
    }

    /// Lets a tool that waits for this word go on.
    pub(super) fn says(&self, word: &str) {
        std::fs::write(self.folder.join(word), "").unwrap();
    }

    /// What was carried out.
    pub(super) fn ledger(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("ledger")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for RawChild {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
