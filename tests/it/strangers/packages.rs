//! The real packages: server-filesystem, server-memory, mcp-server-git, mcp-server-sqlite. Files, graph, working tree
//! and table decide what happened.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::stage::{Case, End, Stage, case};
use super::{installed, node, script};

/// A node with all four packages, each with a folder of its own.
async fn stage(name: &str) -> Stage {
    stage_behind(name, None).await
}

/// The same, with servers on Node behind a proxy that replaces what they answer to calls of these tools.
async fn stage_behind(name: &str, replaced: Option<&str>) -> Stage {
    let mut stage = Stage::new(name, include_str!("packages.yaml")).await;
    let (place, folder) = (installed(), stage.folder.display().to_string());
    let module = |name: &str| {
        place
            .join("node_modules/@modelcontextprotocol")
            .join(name)
            .join("dist/index.js")
            .display()
            .to_string()
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
    let run = match replaced {
        Some(tools) => format!("command: python3, args: [\"-B\", \"{errs}\", \"{tools}\", \"{node}\", "),
        None => format!("command: \"{node}\", args: ["),
    };
    stage.settings(&format!(
        "  files: {{ {run}\"{files}\", \"{folder}/files\"] }}\n  \
         memory: {{ {run}\"{memory}\"], concurrency: 1,\n    \
         env: {{ MEMORY_FILE_PATH: \"{folder}/graph.jsonl\" }} }}\n  \
         git: {{ command: \"{git}\", args: [\"--repository\", \"{folder}/repo\"] }}\n  \
         sqlite: {{ command: \"{sqlite}\", args: [\"--db-path\", \"{folder}/table.db\"] }}\n"
    ));
    stage.play().await;
    stage
}

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
        &[
            "-c",
            "user.name=it",
            "-c",
            "user.email=it@example.com",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "first",
        ],
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
    ended(&stage.ends(switch("feature")).await, &["completed"]);
    assert_eq!(branch(), "feature");
    said(&repo, "git", &["-c", "core.hooksPath=/dev/null", "checkout", "-q", "main"]);
    // No such branch: an error before anything happened.
    ended(&stage.ends(switch("nowhere")).await, &["compensated"]);
    assert_eq!(branch(), "main");
}

/// Errors in the text of a success, and a table with a constraint.
#[tokio::test]
async fn sqlite_tells_its_errors_as_successes() {
    let stage = stage("sqlite").await;
    let table = stage.folder.join("table.db");
    let insert = |cents: i64, receipt: &str| {
        case("insert", "", End::Honest).with("cents", cents).with("receipt", receipt)
    };
    let cases = vec![insert(500, "r1"), insert(-1, "r2"), insert(700, "taken"), insert(900, "r4")];
    let ends = stage.ends(cases).await;
    ended(&ends, &["completed", "compensated", "compensated", "completed"]);
    assert_eq!(sql(&table, "select cents from payment order by cents"), "500,900");
    assert_eq!(sql(&table, "select id from receipt order by id"), "r1,r4,taken");
}

/// Twenty sagas at once, every fourth of which turns back; the graph has the others.
#[tokio::test]
async fn memory_keeps_one_call_at_a_time() {
    remembers(stage("memory").await, 20).await;
}

/// P1: the graph has the entity, and each answer is an error.
#[tokio::test]
async fn memory_errs_after_the_graph_has_changed() {
    remembers(stage_behind("memory-errs", Some("create_entities")).await, 6).await;
}

async fn remembers(stage: Stage, count: usize) {
    let way = |number: usize| if number.is_multiple_of(4) { "fails" } else { "stays" };
    let cases: Vec<Case> = (0..count).map(|number| case("remember", way(number), End::Honest)).collect();
    let expected: Vec<&str> =
        (0..count).map(|number| if way(number) == "fails" { "compensated" } else { "completed" }).collect();
    ended(&stage.ends(cases).await, &expected);
    let graph = fs::read_to_string(stage.folder.join("graph.jsonl")).unwrap();
    let lines = graph.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let names: BTreeSet<String> = lines.map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    let wanted = (0..count).filter(|number| way(*number) == "stays").map(|number| format!("order-{number}"));
    assert_eq!(names, wanted.collect::<BTreeSet<String>>());
}

#[tokio::test]
async fn a_file_is_moved_once_or_back() {
    moves(stage("files").await).await;
}

/// P1: the file is where it was to go, also on its way back, and each answer is an error.
#[tokio::test]
async fn a_file_is_moved_and_the_answer_is_an_error() {
    moves(stage_behind("files-errs", Some("move_file")).await).await;
}

async fn moves(stage: Stage) {
    let folder = stage.folder.join("files");
    let mut cases = Vec::new();
    for (file, way, fails) in [("a", "there", false), ("b", "there", true), ("c", "nowhere", false)] {
        fs::write(folder.join(file), file).unwrap();
        let case = case("move", way, End::Honest).with("file", file).with("fails", fails);
        cases.push(case.with("folder", folder.to_str().unwrap()));
    }
    ended(&stage.ends(cases).await, &["completed", "compensated", "compensated"]);
    let is_there = |path: &str| folder.join(path).exists();
    assert_eq!([is_there("a"), is_there("there/a")], [false, true]);
    assert_eq!([is_there("b"), is_there("there/b")], [true, false]);
    assert_eq!([is_there("c"), is_there("nowhere/c")], [true, false]);
}
