//! Starting a saga inside the application's own transaction: it commits or vanishes with it.

use std::process::{Command, Stdio};

use super::{Operated, ask, until};

const ORDERS: &str = "create table if not exists orders (number text primary key, saga uuid)";

/// The statements that README shows, in one transaction.
fn order(number: &str, end: &str) -> String {
    format!(
        "begin;
         insert into orders values ('{number}', amends.start('happy', '{{\"order\": \"{number}\"}}', '{number}'));
         {end};"
    )
}

async fn sagas_of(node: &Operated, number: &str) -> String {
    let sql = format!(
        "select count(*) from orders o join amends.sagas s on s.saga = o.saga
         where o.number = '{number}' and s.status = 'completed'"
    );
    ask(node.url(), &sql).await
}

#[tokio::test]
async fn from_psql() {
    let node = Operated::begin().await;
    ask(node.url(), ORDERS).await;
    ask(node.url(), &order("rolled_back", "rollback")).await;
    ask(node.url(), &order("kept", "commit")).await;
    until(node.url(), "select status from amends.sagas", "completed").await;
    assert_eq!(sagas_of(&node, "kept").await, "1");
    assert_eq!(sagas_of(&node, "rolled_back").await, "0");
    let key = "select amends.start('happy', '{\"order\":\"kept\"}', 'kept') = saga from orders where number = 'kept'";
    assert_eq!(ask(node.url(), key).await, "t", "the key returns the first saga");
    node.stop().await;
}

#[tokio::test]
async fn from_rust() {
    let node = Operated::begin().await;
    let mut client = node.database.client().await;
    client.batch_execute(ORDERS).await.unwrap();
    for (number, commits) in [("rolled_back", false), ("kept", true)] {
        let transaction = client.transaction().await.unwrap();
        let sql = "insert into orders values ($1, amends.start('happy', json_build_object('order', $1::text), $1))";
        transaction.execute(sql, &[&number]).await.unwrap();
        if commits {
            transaction.commit().await.unwrap();
        }
    }
    until(node.url(), "select status from amends.sagas", "completed").await;
    assert_eq!(sagas_of(&node, "kept").await, "1");
    node.stop().await;
}

const PYTHON: &str = r#"
import sys, psycopg
from psycopg.types.json import Json
with psycopg.connect(sys.argv[1]) as connection:
    for number, keep in [("rolled_back", False), ("kept", True)]:
        with connection.transaction(force_rollback=not keep):
            start = "select amends.start(%s, %s, %s)"
            [saga] = connection.execute(start, ["happy", Json({"order": number}), number]).fetchone()
            connection.execute("insert into orders values (%s, %s)", [number, saga])
"#;

/// Needs Python with psycopg, which `.ci/run` installs; elsewhere the test says that it was left out.
#[tokio::test]
async fn from_python() {
    let has_psycopg = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import psycopg"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_psycopg) else {
        assert!(std::env::var_os("CI").is_none(), "expected python3-psycopg in CI");
        eprintln!("left out: no python3 with psycopg here");
        return;
    };
    let node = Operated::begin().await;
    ask(node.url(), ORDERS).await;
    let url = node.url().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python).args(["-c", PYTHON, &url]).stdin(Stdio::null()).output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    until(node.url(), "select status from amends.sagas", "completed").await;
    assert_eq!(sagas_of(&node, "kept").await, "1");
    node.stop().await;
}
