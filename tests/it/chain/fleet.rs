//! Sagas that begin before the setting is on, and nodes that differ in it.

use std::time::Duration;

use amends::runtime::Runtime;
use amends::saga::event::Request;
use serde_json::json;
use uuid::Uuid;

use super::{KEY, builder, chaining, faults, stop, verified};
use crate::admin::{ask, program, until};
use crate::harness::{self, Database};

/// Starts a saga that waits for an event, with one step done.
async fn waiting(runtime: &Runtime, database: &Database) -> Uuid {
    let id = runtime.start("waits", &json!({ "mail": "ada@example.com" })).await.unwrap();
    until(&database.url, &format!("select count(*) from amends.journal where id = '{id}'"), "2").await;
    id
}

/// Lets a saga go on to its end on the nodes that there are.
async fn ring(runtime: &Runtime, id: Uuid) {
    let request = Request::Provide { event: "bell".to_owned(), payload: amends::saga::Json::null() };
    runtime.signal(id, request).await.unwrap();
    harness::eventually("it ends", async || runtime.store().result(id).await.unwrap().is_some()).await;
}

#[tokio::test]
async fn a_saga_that_began_without_a_chain_is_covered_from_its_next_row() {
    let database = Database::create().await;
    let plain = builder(&database.url).begin().await.unwrap();
    let id = waiting(&plain, &database).await;
    stop(plain).await;
    let chains = chaining(&database, Some(KEY)).await;
    ring(&chains, id).await;
    let (code, said) = verified(&database.url, Some(KEY), &[&id.to_string()]);
    assert!(code == 0 && said["unchained"] == 0, "{said}");
    let linked = format!(
        "select string_agg(seq::text, ' ' order by seq) from amends.journal where id = '{id}' and link is null"
    );
    assert_eq!(ask(&database.url, &linked).await, "1 2");
    let (_, shown) = program(&database.url, &["show", &id.to_string()]);
    assert!(shown.contains("rows have a link"), "{shown}");
    let change =
        format!("update amends.journal set body = replace(body, 'ada@', 'eve@') where id = '{id}' and seq = 1");
    ask(&database.url, &change).await;
    assert_eq!(faults(&database.url, Some(KEY), id), ["changed 1"]);
    stop(chains).await;
}

/// A chained saga stays chained on a node that begins none, if that has the key where there is one.
#[tokio::test]
async fn a_chained_saga_stays_chained_on_every_node() {
    let database = Database::create().await;
    let url = &database.url;
    for (key, other, is_linked) in [
        (None, builder(url), true),
        (Some(KEY), builder(url).chain_key(KEY), true),
        (Some(KEY), builder(url), false),
        (Some(KEY), builder(url).chain(None), false),
    ] {
        let chains = chaining(&database, key).await;
        let id = waiting(&chains, &database).await;
        stop(chains).await;
        let other = other.begin().await.unwrap();
        ring(&other, id).await;
        // Without the key it goes on without links, and that is told.
        let found = faults(url, key, id);
        let unlinked = ["unlinked 3", "unlinked 4"].map(str::to_owned);
        assert!(if is_linked { found.is_empty() } else { found.starts_with(&unlinked) }, "{found:?}");
        // What begins on the other node is chained if that node says so.
        let own = super::run(&other, "undone").await;
        let links = ask(url, &format!("select count(link) from amends.journal where id = '{own}'")).await;
        let begins = key.is_some() && !is_linked && links != "0";
        assert!(links == "0" || begins, "{links}");
        stop(other).await;
    }
}

/// `amends serve` reads the setting, and the key from the environment; the doctor tells of nodes that differ.
#[tokio::test]
async fn the_settings_of_a_node_chain_its_sagas() {
    let database = Database::create().await;
    let url = &database.url;
    let plain = builder(url).begin().await.unwrap();
    super::run(&plain, "whole").await;
    stop(plain).await;
    let doctor = || program(url, &["doctor"]).1;
    assert!(doctor().contains("none of the last rows is chained"), "{}", doctor());

    let folder = std::env::temp_dir().join(format!("amends-chain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    file("nap.yaml", "saga: nap\nsteps:\n  - { step: a, action: { sleep: 10ms } }\n");
    let text = "definitions: [nap.yaml]\nhttp: { enabled: false }\n\
                journal: { chain: true, chain_key: \"${env.TEST_CHAIN_KEY}\" }\n";
    let settings = file("amends.yaml", text);
    let amends = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_amends"));
        command.args(arguments).arg("--config").arg(&settings).env("TEST_CHAIN_KEY", KEY).env("DATABASE_URL", url);
        command.stdin(std::process::Stdio::null());
        command
    };
    let mut serve =
        amends(&["serve"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    until(url, "select count(*) from amends.definitions where name = 'nap'", "1").await;
    let id: Uuid = ask(url, "select amends.start('nap', '{}')").await.parse().unwrap();
    until(url, &format!("select status from amends.sagas where saga = '{id}'"), "completed").await;
    let output = amends(&["verify", &id.to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("0 with a fault, 0 not chained") && said.contains("last link"),
        "{said}"
    );
    assert_eq!(faults(url, None, id)[0], "other_key 2", "the key of the settings was used");
    let said = doctor();
    assert!(said.contains("warning  journal chains: ") && said.contains("journal.chain: true"), "{said}");
    // SAFETY: a plain system call, on a process of this test.
    unsafe { libc::kill(serve.id().cast_signed(), libc::SIGTERM) };
    tokio::time::timeout(Duration::from_secs(30), tokio::task::spawn_blocking(move || serve.wait()))
        .await
        .unwrap()
        .unwrap()
        .unwrap();

    for (text, expected) in [
        ("journal: { chain_key: not-from-the-environment }\n", "a secret in plain text"),
        ("journal: { chain_key: \"${env.SHORT}\" }\n", "expected a key of at least 16 bytes"),
        ("journal: { chained: true }\n", "chained"),
    ] {
        let path = file("wrong.yaml", text);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_amends"));
        let output = command.arg("check").arg(path).env("SHORT", "short").output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
