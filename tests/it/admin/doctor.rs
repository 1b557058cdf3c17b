//! `amends doctor` finds what is wrong, and says what to do.

use std::process::Command;

use serde_json::Value;

use super::ask;
use crate::harness::Database;

async fn doctor(database: &Database) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.args(["doctor", "--json"]).env("DATABASE_URL", &database.url);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), said)
}

#[track_caller]
fn finding<'a>(said: &'a Value, subject: &str) -> &'a Value {
    let mut findings = said["findings"].as_array().unwrap().iter();
    findings.find(|one| one["subject"] == subject).unwrap_or_else(|| panic!("nothing on {subject} in {said}"))
}

#[tokio::test]
async fn it_finds_what_is_wrong_and_says_what_to_do() {
    let database = Database::create().await;
    let (code, said) = doctor(&database).await;
    // The tests' cluster runs without fsync, which is just what a doctor should not let pass.
    assert_eq!((code, &finding(&said, "durability")["level"]), (1, &"fault".into()));
    for subject in ["schema", "clock", "vacuum", "roles", "grants", "partitions of journal", "stuck sagas"] {
        assert_eq!(finding(&said, subject)["level"], "ok", "{said}");
        assert!(finding(&said, subject)["remedy"].is_null());
    }
    assert_eq!(finding(&said, "nodes")["level"], "warning", "none is live");

    ask(&database.url, "grant execute on function amends.abandon(uuid, text) to public").await;
    let partitions = "select string_agg(oid::regclass::text, ', ') from pg_class
                      where relnamespace = 'amends'::regnamespace and relname ~ '^journal_[0-9]{8}$'
                        and relname > 'journal_' || to_char(now(), 'YYYYMMDD')";
    let ahead = ask(&database.url, partitions).await;
    ask(&database.url, &format!("drop table {ahead}")).await;
    let (_, said) = doctor(&database).await;
    assert_eq!(finding(&said, "grants")["level"], "fault");
    assert!(finding(&said, "grants")["found"].as_str().unwrap().contains("abandon"), "{said}");
    assert_eq!(finding(&said, "partitions of journal")["level"], "fault");
    assert!(finding(&said, "partitions of journal")["remedy"].is_string());
}
