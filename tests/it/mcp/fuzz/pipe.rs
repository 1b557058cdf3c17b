//! Lines by chance on the standard input of `amends mcp`. Owns what must hold: each line of its output is a
//! message, one that cannot be read costs nobody else an answer, and the process ends with its pipe.

use std::process::Stdio;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use super::super::home::Home;
use super::{home, messages, worn};

/// Lines that one process is sent.
const ROUND: u64 = 100;
/// Longer than any message may be.
const TOO_LONG: usize = 2 << 20;

/// What a request is answered with, or none before the process ends; whatever comes must be a message.
async fn answer_to(heard: &mut Lines<BufReader<ChildStdout>>, id: &str) -> Option<Value> {
    while let Some(line) = heard.next_line().await.unwrap() {
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        assert_ne!(message["error"]["code"], -32603, "{line}");
        if message["id"] == id {
            return Some(message);
        }
    }
    None
}

/// One process: a good line unless chance has it otherwise, lines by chance, and a good question.
async fn round(home: &Home, chance: &mut StdRng) {
    let begins_well = chance.random_range(0..4) > 0;
    let all = messages(chance.random(), &uuid::Uuid::nil().to_string());
    let mut lines: Vec<Vec<u8>> = Vec::new();
    if begins_well {
        // Of the old era it is the handshake, of the new one the first question.
        let is_modern = all[0]["params"]["_meta"].is_object();
        let first = all.iter().find(|one| one["method"] == if is_modern { "tools/list" } else { "initialize" });
        lines.push(first.unwrap().to_string().into_bytes());
    }
    for _ in 0..ROUND {
        lines.push(match chance.random_range(0..100) {
            0 => vec![b'x'; TOO_LONG],
            _ => worn(&all[chance.random_range(0..all.len())], chance),
        });
    }
    let mut last = all[0].clone();
    last["id"] = "last".into();
    lines.push(last.to_string().into_bytes());

    let mut command = Command::from(home.amends(&["mcp", "--no-node"]));
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut host = command.spawn().unwrap();
    let (mut input, output) = (host.stdin.take().unwrap(), host.stdout.take().unwrap());
    let mut heard = BufReader::new(output).lines();
    let mut errors = host.stderr.take().unwrap();
    // A pipe that nobody reads from would stop it.
    let log = tokio::spawn(async move {
        let mut text = String::new();
        errors.read_to_string(&mut text).await.unwrap();
        text
    });
    let send = async {
        for line in &lines {
            // It may have ended, where it did not begin well.
            if input.write_all(&[line, &b"\n"[..]].concat()).await.is_err() {
                return;
            }
        }
    };
    let answer = async { tokio::join!(answer_to(&mut heard, "last"), send).0 };
    let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.expect("an answer in time");
    drop(input);
    let ends = async { tokio::join!(answer_to(&mut heard, "none"), host.wait()).1 };
    let ended = tokio::time::timeout(Duration::from_secs(30), ends).await.expect("it ends with its pipe");
    let log = log.await.unwrap();
    assert!(!log.contains("panicked"), "{log}");
    if begins_well {
        assert!(answer.is_some_and(|answer| answer["result"]["tools"].is_array()), "{log}");
        assert!(ended.unwrap().success(), "{log}");
    }
}

#[tokio::test]
async fn a_server_on_a_pipe_hears_whatever_it_is_sent_and_answers_the_next() {
    let home = home("fuzz-pipe").await;
    let node = home.node(&[]);
    let (cases, seed) = crate::fuzz::run(400);
    let mut chance = StdRng::seed_from_u64(seed);
    println!("stdio: {cases} cases, seed {seed}");
    for _ in 0..cases.div_ceil(ROUND) {
        round(&home, &mut chance).await;
    }
    assert!(node.modern().tool_names().await.contains(&"hotel_checkout".to_owned()));
}
