//! MCP servers as child processes: shared by calls, killed, frozen, refused, restarted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amends::participant::{KEY_META, Limits, Participants, Secret, Transport};
use serde_json::{Value, json};

use super::server::{ROLE, SERVER_TEST};
use super::{call, executed, probed, says, tool, until, with, with_limits};

pub(super) fn child(role: &str, env: &[(&str, &str)]) -> Transport {
    let arguments = ["--exact", SERVER_TEST, "--nocapture"];
    let env =
        env.iter().map(|(name, value)| ((*name).to_owned(), Secret::sensitive(*value, vec![(*value).to_owned()])));
    Transport::Stdio {
        command: Secret::plain(std::env::current_exe().unwrap().display().to_string()),
        args: arguments.into_iter().map(Secret::plain).collect(),
        env: env.chain([(ROLE.to_owned(), Secret::plain(role))]).collect(),
        cwd: None,
        user: None,
    }
}

/// Returns the process id of the server.
async fn pid(participants: &Participants) -> u32 {
    let line = executed(participants, &call(tool("echo", json!({})), json!({"output": "${ result.pid }"}))).await;
    line.strip_prefix("succeeded ").and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn every_answer_of_a_tool_has_its_outcome() {
    let limits = Limits { answer_bytes_max: 10_000, ..Limits::default() };
    let mcp = with_limits(child("plain", &[]), limits);
    let arguments = json!({"id": "${ input.id }", "key": "${ key }"});
    let line = executed(&mcp, &call(tool("echo", arguments), json!({"output": "${ result.arguments }"}))).await;
    assert_eq!(line, r#"succeeded {"id":"b 1","key":"saga/step/action/0"}"#);
    let line = executed(&mcp, &call(tool("echo", json!({})), json!({"output": "${ result.meta }"}))).await;
    says(&line, "succeeded ", &format!("\"{KEY_META}\":\"saga/step/action/0\""));
    for (name, arguments, start, part) in [
        ("text", json!({}), "succeeded \"Failed to create a charge\"", ""),
        ("json_text", json!({}), r#"succeeded {"id":"ch_1"}"#, ""),
        ("nothing", json!({}), "succeeded null", ""),
        ("tool_error", json!({}), "errored tool_error: no such room", ""),
        ("protocol_error", json!({}), "failed protocol_refusal: ", "-32602"),
        ("internal_error", json!({}), "errored protocol_error: ", "-32603"),
        ("big", json!({"bytes": 20_000}), "unknown answer_too_large: ", "10000 bytes"),
        ("slow", json!({"ms": 5_000}), "unknown timeout", ""),
    ] {
        let line = executed(&mcp, &call(tool(name, arguments), json!({"timeout_ms": 2_000}))).await;
        says(&line, start, part);
    }
    let rules = json!({"classify": [{"when": "text.startsWith('Failed')", "outcome": "failed", "error": "text"}]});
    says(&executed(&mcp, &call(tool("text", json!({})), rules)).await, "failed classified: Failed to create", "");
    let rules = json!({"classify": [{"when": "outcome == 'errored'", "outcome": "retryable"}]});
    says(&executed(&mcp, &call(tool("tool_error", json!({})), rules)).await, "retryable tool_error: ", "no such room");
    let probe = json!({"target": tool("json_text", json!({})), "applied": "result.id == 'ch_1'"});
    assert_eq!(probed(&mcp, probe).await, r#"applied {"id":"ch_1"}"#);
    let line = executed(&mcp, &call(tool("echo", json!("${ [1] }")), json!({}))).await;
    says(&line, "failed arguments: ", "object");
    mcp.shutdown().await;
}

/// A message that is too long is not read, and whoever waits for it is told so, not left until the time is over.
#[tokio::test]
async fn an_answer_longer_than_a_message_may_be_is_in_doubt_at_once() {
    let limits = Limits { answer_bytes_max: 16 << 20, ..Limits::default() };
    let mcp = with_limits(child("plain", &[]), limits);
    let before = pid(&mcp).await;
    let long = call(tool("big", json!({"bytes": 17 << 20})), json!({"timeout_ms": 600_000}));
    let slow = call(tool("slow", json!({"ms": 500})), json!({"timeout_ms": 60_000}));
    let (long, slow) = tokio::join!(executed(&mcp, &long), executed(&mcp, &slow));
    says(&long, "unknown answer_too_large: ", "16777216 bytes");
    assert_eq!(slow, "succeeded \"slept\"");
    assert_eq!(pid(&mcp).await, before, "the connection goes on");
    mcp.shutdown().await;
}

#[tokio::test]
async fn a_server_of_the_newest_protocol_alone_is_called_as_well() {
    let mcp = with(child("modern", &[]));
    let line = executed(&mcp, &call(tool("echo", json!({})), json!({"output": "${ result.meta }"}))).await;
    says(&line, "succeeded ", &format!("\"{KEY_META}\":\"saga/step/action/0\""));
    says(&line, "succeeded ", "2026-07-28");
    // Its list of tools tells here, too.
    says(&executed(&mcp, &call(tool("protocol_error", json!({})), json!({}))).await, "failed protocol_refusal: ", "");
    says(&executed(&mcp, &call(tool("internal_error", json!({})), json!({}))).await, "errored protocol_error: ", "");
    mcp.shutdown().await;
}

#[tokio::test]
async fn calls_share_one_child_and_a_dropped_one_harms_nobody() {
    let mcp = with(child("plain", &[]));
    let first = pid(&mcp).await;
    let start = Instant::now();
    let slow = call(tool("slow", json!({"ms": 400})), json!({}));
    let lines = futures_util::future::join_all((0..20).map(|_| executed(&mcp, &slow))).await;
    assert!(start.elapsed() < Duration::from_secs(4), "not multiplexed: {:?}", start.elapsed());
    assert!(lines.iter().all(|line| line == "succeeded \"slept\""), "{lines:?}");
    for pause in 0..20 {
        let dropped = tokio::time::timeout(Duration::from_millis(pause), executed(&mcp, &slow)).await;
        assert!(dropped.is_err());
    }
    assert_eq!(pid(&mcp).await, first);
    mcp.shutdown().await;
    until("the child is gone after a shutdown", || !is_running(first)).await;
    says(&executed(&mcp, &slow).await, "retryable refused", "shutting down");
}

#[tokio::test]
async fn a_child_that_dies_in_a_call_is_started_again() {
    let mcp = with(child("plain", &[("TOKEN", "t0ken-of-mine")]));
    for _ in 0..3 {
        let before = pid(&mcp).await;
        let (slow, exit) =
            (call(tool("slow", json!({"ms": 3_000})), json!({})), call(tool("exit", json!({})), json!({})));
        let (slow, exit) = tokio::join!(executed(&mcp, &slow), executed(&mcp, &exit));
        says(&exit, "unknown closed: ", "exit status: 7");
        says(&exit, "unknown closed: ", "killed by the test; the token is [secret]");
        says(&slow, "unknown closed: ", "");
        assert_ne!(pid(&mcp).await, before);
    }
    // Killed between two calls: nothing was sent, so nobody notices.
    let before = pid(&mcp).await;
    // SAFETY: a signal to our own child.
    unsafe { libc::kill(i32::try_from(before).unwrap(), libc::SIGKILL) };
    until("the child is gone", || !is_running(before)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_ne!(pid(&mcp).await, before);
    mcp.shutdown().await;
}

#[tokio::test]
async fn a_child_that_hangs_is_ended_and_started_again() {
    let mcp = with(child("plain", &[]));
    let before = pid(&mcp).await;
    let freeze = call(tool("freeze", json!({})), json!({"timeout_ms": 500}));
    says(&executed(&mcp, &freeze).await, "unknown timeout", "");
    // It leaves a ping unanswered, is told to end, and killed.
    until("the frozen child is gone", || !is_running(before)).await;
    assert_ne!(pid(&mcp).await, before);
    mcp.shutdown().await;
}

#[tokio::test]
async fn a_child_sees_no_environment_but_its_own() {
    // SAFETY: of this test's process nobody reads this variable.
    unsafe { std::env::set_var("AMENDS_TEST_NOT_FOR_CHILDREN", "1") };
    let mcp = with(child("plain", &[("MINE", "a-value")]));
    let line = executed(&mcp, &call(tool("environment", json!({})), json!({}))).await;
    let names: Vec<String> = serde_json::from_str(line.strip_prefix("succeeded ").unwrap()).unwrap();
    assert!(names.contains(&"MINE".to_owned()), "{names:?}");
    let known = ["MINE", ROLE, "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM"];
    let others: Vec<_> = names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
    mcp.shutdown().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_is_refused_with_growing_pauses() {
    let missing = Transport::Stdio {
        command: Secret::plain("/nonexistent/server"),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        user: None,
    };
    says(&executed(&with(missing), &echo()).await, "retryable refused: cannot start", "No such file");

    let mcp = with(child("dies", &[("LEDGER", "/secret/ledger")]));
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let line = executed(&mcp, &echo()).await;
        says(&line, "retryable ", "refused: ");
        if line.contains("handshake failed") {
            says(&line, "retryable ", "exit status: 3; its last error line: cannot open the ledger of [secret]");
        } else {
            says(&line, "retryable after ", "failed");
            pauses.push(line);
        }
    }
    assert!(!pauses.is_empty(), "no pause grew beyond what a call waits for");
}

fn echo() -> amends::saga::definition::Call {
    call(tool("echo", Value::Object(serde_json::Map::new())), json!({}))
}

/// A child, and a helper that it has started, whose process id is in the file.
fn with_helper(file: &std::path::Path) -> Transport {
    let Transport::Stdio { command, args, env, cwd, user } = child("plain", &[]) else { unreachable!() };
    // The helper holds the pipes of its parent open, and ignores what asks it to end.
    let script =
        format!("(trap '' TERM HUP INT; sleep 1000 & wait) & echo $! > {}; exec \"$0\" \"$@\"", file.display());
    let shell = ["-c".to_owned(), script, command.expose().to_owned()].map(Secret::plain);
    Transport::Stdio { command: Secret::plain("sh"), args: shell.into_iter().chain(args).collect(), env, cwd, user }
}

#[tokio::test]
async fn what_a_child_has_started_ends_with_it() {
    let folder = std::env::temp_dir().join(format!("amends-helper-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("pid");
    let helper = || std::fs::read_to_string(&file).unwrap().trim().parse::<u32>().unwrap();
    let mcp = with(with_helper(&file));
    // The child ends by itself.
    let before = pid(&mcp).await;
    let first = helper();
    assert!(is_running(first) && first != before);
    says(&executed(&mcp, &call(tool("exit", json!({})), json!({}))).await, "unknown closed: ", "exit status: 7");
    until("the helper of a child that ended is gone", || !is_running(first)).await;
    // Another process kills it.
    let before = pid(&mcp).await;
    let second = helper();
    assert!(is_running(second) && second != first);
    // SAFETY: a signal to our own child.
    unsafe { libc::kill(i32::try_from(before).unwrap(), libc::SIGKILL) };
    until("the helper of a child that was killed is gone", || !is_running(second)).await;
    // It hangs, and amends ends it.
    let before = pid(&mcp).await;
    let third = helper();
    says(&executed(&mcp, &call(tool("freeze", json!({})), json!({"timeout_ms": 500}))).await, "unknown timeout", "");
    until("the frozen child and its helper are gone", || !is_running(before) && !is_running(third)).await;
    // amends shuts down.
    pid(&mcp).await;
    let fourth = helper();
    mcp.shutdown().await;
    until("the helper is gone after a shutdown", || !is_running(fourth)).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Only root can run a child as another user. Without root a node refuses such settings.
#[tokio::test]
async fn a_child_runs_as_the_user_of_the_settings() {
    let script = "echo $(id -u) $(id -G) $USER $LOGNAME $HOME >&2; exit 3";
    let transport = |user: &str| Transport::Stdio {
        command: Secret::plain("sh"),
        args: ["-c", script].map(Secret::plain).into(),
        env: BTreeMap::new(),
        cwd: Some(Secret::plain("/")),
        user: Some(user.to_owned()),
    };
    let refused = |user: &str| {
        let config = amends::participant::ParticipantConfig {
            name: "it".into(),
            transport: transport(user),
            limits: Limits::default(),
            answers: Default::default(),
        };
        let runtime = tokio::runtime::Handle::current();
        let faults = Participants::new(vec![config], amends::participant::Handlers::new(), &runtime).err();
        faults.map(|faults| faults.iter().map(ToString::to_string).collect::<String>())
    };
    says(&refused("no such user").unwrap(), "participants.it.user: expected the name of a user", "\"no such user\"");
    // SAFETY: the call has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        says(&refused("nobody").unwrap(), "participants.it.user: expected a node that runs as root", "\"nobody\"");
        return;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let entry: Vec<&str> = passwd.lines().find(|line| line.starts_with("nobody:")).unwrap().split(':').collect();
    let line = executed(&with(transport("nobody")), &echo()).await;
    let expected = format!("its last error line: {} {} nobody nobody {}", entry[2], entry[3], entry[5]);
    says(&line, "retryable ", &expected);
}
