//! The real packages: server-filesystem, server-memory, server-everything, mcp-server-git, mcp-server-sqlite. Files,
//! graph, the ledger of what was fetched, working tree and table decide what happened. Each errs after its effect.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::stage::{Case, End, Stage, case};
use super::{installed, node, python, script};

/// A node with all four packages, each with a folder of its own.
async fn stage(name: &str) -> Stage {
    stage_behind(name, None).await
}

/// The same, with the servers behind a proxy that replaces what they answer to calls of these tools.
async fn stage_behind(name: &str, replaced: Option<&str>) -> Stage {
    let mut stage = Stage::new(name, include_str!("packages.yaml")).await;
    let (place, folder) = (installed(), stage.folder.display().to_string());
    let module = |name: &str| {
        place.join("node_modules/@modelcontextprotocol").join(name).join("dist/index.js").display().to_string()
    };
    let python = |venv: &str, name: &str| place.join(venv).join("bin").join(name).display().to_string();
    for name in ["repo", "files/there"] {
        fs::create_dir_all(stage.folder.join(name)).unwrap();
    }
    table(&stage.folder.join("table.db"));
    repository(&stage.folder.join("repo"));
    let (files, memory) = (module("server-filesystem"), module("server-memory"));
    let (git, sqlite) = (python("python", "mcp-server-git"), python("python-first", "mcp-server-sqlite"));
    let (node, errs) = (node(), script("errs.py"));
    let run = |program: &str, args: &[&str]| {
        let before = replaced.map(|tools| ["python3", "-B", &errs, tools]);
        let words = before.iter().flatten().copied().chain([program]).chain(args.iter().copied());
        let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
        format!("command: {}, args: [{}]", words[0], words[1..].join(", "))
    };
    let [repo, table, files_in] =
        ["repo", "table.db", "files"].map(|name| stage.folder.join(name).display().to_string());
    stage.settings(&format!(
        "  files: {{ {} }}\n  memory: {{ {}, concurrency: 1,\n    \
         env: {{ MEMORY_FILE_PATH: \"{folder}/graph.jsonl\" }} }}\n  git: {{ {} }}\n  sqlite: {{ {} }}\n",
        run(&node, &[&files, &files_in]),
        run(&node, &[&memory]),
        run(&git, &["--repository", &repo]),
        run(&sqlite, &["--db-path", &table]),
    ));
    stage.play().await;
    stage
}

/// Each of these sagas met errors after its effect: of the tool, and of the protocol where a proxy answers.
#[track_caller]
fn erred(ends: &[(String, String)], rules: &[&str]) {
    for rule in rules {
        let said = format!("was answered with an error, effect unknown (by {rule})");
        assert!(ends.iter().any(|(_, story)| story.contains(&said)), "nothing erred by {rule}: {ends:#?}");
    }
}

/// What the proxy answers.
const REPLACED: [&str; 2] = ["tool_error", "protocol_internal"];

/// Runs a program in a folder and returns what it says.
fn said(folder: &Path, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", folder);
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

/// Two branches, and a hook that fails after each checkout: the branch is switched, and git errs.
fn repository(folder: &Path) {
    for args in [
        &["init", "-q", "-b", "main"][..],
        &["-c", "user.name=it", "-c", "user.email=it@example.com", "commit", "-q", "--allow-empty", "-m", "first"],
        &["branch", "feature"],
    ] {
        said(folder, "git", args);
    }
    let hook = folder.join(".git/hooks/post-checkout");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Runs a statement with the module that the server uses, too.
fn sql(table: &Path, statement: &str) -> String {
    let program = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db:\n    \
                   print(*[row[0] for row in db.execute(sys.argv[2])], sep=',')";
    let args = ["-c", program, table.to_str().unwrap(), statement];
    said(table.parent().unwrap(), "python3", &args).trim().to_owned()
}

fn table(path: &Path) {
    sql(path, "create table payment (id text primary key, cents integer check (cents > 0))");
    sql(path, "create table receipt (id text primary key, payment text)");
    sql(path, "insert into receipt values ('taken', 'another')");
}

#[track_caller]
fn ended(ends: &[(String, String)], expected: &[&str]) {
    let words: Vec<&str> = ends.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(words, expected, "{ends:#?}");
}

/// P1 with a real server: the hook errs after the branch was switched.
#[tokio::test]
async fn git_errs_after_it_has_switched_the_branch() {
    let stage = stage("git").await;
    let repo = stage.folder.join("repo");
    let switch = |way: &str| vec![case("switch", way, End::Honest).with("repo", repo.to_str().unwrap())];
    let branch = || said(&repo, "git", &["branch", "--show-current"]).trim().to_owned();
    let ends = stage.ends(switch("feature")).await;
    ended(&ends, &["completed"]);
    erred(&ends, &["tool_error"]);
    assert_eq!(branch(), "feature");
    said(&repo, "git", &["-c", "core.hooksPath=/dev/null", "checkout", "-q", "main"]);
    // No such branch: an error before anything happened.
    ended(&stage.ends(switch("nowhere")).await, &["compensated"]);
    assert_eq!(branch(), "main");
}

/// Errors in the text of a success, and a table with a constraint.
#[tokio::test]
async fn sqlite_tells_its_errors_as_successes() {
    inserts(stage("sqlite").await, &[]).await;
}

/// P1: the row is there, or gone again, and each answer is an error.
#[tokio::test]
async fn sqlite_errs_after_the_row_is_there() {
    inserts(stage_behind("sqlite-errs", Some("write_query")).await, &REPLACED).await;
}

async fn inserts(stage: Stage, rules: &[&str]) {
    let table = stage.folder.join("table.db");
    let insert =
        |cents: i64, receipt: &str| case("insert", "", End::Honest).with("cents", cents).with("receipt", receipt);
    let cases = vec![insert(500, "r1"), insert(-1, "r2"), insert(700, "taken"), insert(900, "r4")];
    let ends = stage.ends(cases).await;
    ended(&ends, &["completed", "compensated", "compensated", "completed"]);
    erred(&ends, rules);
    assert_eq!(sql(&table, "select cents from payment order by cents"), "500,900");
    assert_eq!(sql(&table, "select id from receipt order by id"), "r1,r4,taken");
}

/// Twenty sagas at once, every fourth of which turns back; the graph has the others.
#[tokio::test]
async fn memory_keeps_one_call_at_a_time() {
    remembers(stage("memory").await, 20, &[]).await;
}

/// P1: the graph has the entity, and each answer is an error.
#[tokio::test]
async fn memory_errs_after_the_graph_has_changed() {
    remembers(stage_behind("memory-errs", Some("create_entities")).await, 6, &REPLACED).await;
}

async fn remembers(stage: Stage, count: usize, rules: &[&str]) {
    let way = |number: usize| if number.is_multiple_of(4) { "fails" } else { "stays" };
    let cases: Vec<Case> = (0..count).map(|number| case("remember", way(number), End::Honest)).collect();
    let expected: Vec<&str> =
        (0..count).map(|number| if way(number) == "fails" { "compensated" } else { "completed" }).collect();
    let ends = stage.ends(cases).await;
    ended(&ends, &expected);
    erred(&ends, rules);
    let graph = fs::read_to_string(stage.folder.join("graph.jsonl")).unwrap();
    let lines = graph.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let names: BTreeSet<String> = lines.map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    let wanted = (0..count).filter(|number| way(*number) == "stays").map(|number| format!("order-{number}"));
    assert_eq!(names, wanted.collect::<BTreeSet<String>>());
}

#[tokio::test]
async fn a_file_is_moved_once_or_back() {
    moves(stage("files").await, &[]).await;
}

/// P1: the file is where it was to go, also on its way back, and each answer is an error.
#[tokio::test]
async fn a_file_is_moved_and_the_answer_is_an_error() {
    moves(stage_behind("files-errs", Some("move_file")).await, &REPLACED).await;
}

async fn moves(stage: Stage, rules: &[&str]) {
    let folder = stage.folder.join("files");
    let mut cases = Vec::new();
    for (file, way, fails) in [("a", "there", false), ("b", "there", true), ("c", "nowhere", false)] {
        fs::write(folder.join(file), file).unwrap();
        let case = case("move", way, End::Honest).with("file", file).with("fails", fails);
        cases.push(case.with("folder", folder.to_str().unwrap()));
    }
    let ends = stage.ends(cases).await;
    ended(&ends, &["completed", "compensated", "compensated"]);
    erred(&ends, rules);
    let is_there = |path: &str| folder.join(path).exists();
    assert_eq!([is_there("a"), is_there("there/a")], [false, true]);
    assert_eq!([is_there("b"), is_there("there/b")], [true, false]);
    assert_eq!([is_there("c"), is_there("nowhere/c")], [true, false]);
}

/// A step that has server-everything fetch from the ledger: fetching is the effect. The tool throws when that fails.
fn fetching(name: &str, url: &str, more: &str) -> String {
    let fetch = |verb: &str, of: &str, more: &str| {
        format!(
            "{{ tool: everything/gzip-file-as-resource{more}, arguments: {{ name: \"${{ key }}\", data: \
             \"{url}/{verb}?order=${{ input.order }}&key=${{ key }}{of}\" }} }}"
        )
    };
    let once = if name.starts_with("once") { "&once=yes" } else { "" };
    let pay = fetch("pay", &format!("&way=${{ input.way }}{once}"), "");
    let void = fetch("void", "&of=${ action_key }", ", effect: idempotent, settle: 500ms");
    format!(
        "saga: {name}\nsteps:\n  - step: pay\n    timeout: 20s\n    settle: 500ms\n    {more}\n    action: {pay}\n    \
         compensation: {void}\n"
    )
}

/// P1 with server-everything: what it fetched has happened, and then the connection ends, so the tool throws.
#[tokio::test]
async fn everything_errs_after_what_it_fetched_has_happened() {
    let found = "applied: \"${ result.state == 'done' }\", absent: \"${ result.state == 'absent' }\"";
    let find = "http: bank, path: /find, method: POST, body: { key: \"${ key }\" }";
    let probe = format!("probe: {{ {find}, {found} }}");
    let kinds = [
        ("keyed_probed", format!("effect: idempotent\n    {probe}")),
        ("once_probed", format!("effect: once\n    {probe}")),
        ("once_safe", "effect: once\n    safe_when_absent: true".to_owned()),
    ];
    // The ledger's place is known when it runs.
    let mut stage = Stage::new("everything-errs", "").await;
    let ledger = stage.ledger();
    let url = stage.stranger(python("scripted.py").arg(ledger));
    let sagas: Vec<String> = kinds.iter().map(|(name, more)| fetching(name, &url, more)).collect();
    fs::write(stage.folder.join("sagas/sagas.yaml"), sagas.join("---\n")).unwrap();
    let program = installed().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    stage.settings(&format!(
        "  everything: {{ command: \"{}\", args: [\"{}\", stdio] }}\n  bank: {{ url: \"{url}\", protocol: http }}\n",
        node(),
        program.display()
    ));
    stage.play().await;
    let mut cases = Vec::new();
    for (name, _) in &kinds {
        for (way, happened) in [("after%20lost", true), ("after%20402%20cut", true), ("before%20lost", false)] {
            let end = if happened && *name != "once_safe" { End::Completed } else { End::Compensated };
            cases.push(case(name, way, end).decided_by("tool_error"));
        }
    }
    stage.check(cases).await;
}
