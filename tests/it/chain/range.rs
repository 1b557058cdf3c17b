//! All sagas of a definition or of a time, in bounded memory.

use serde_json::json;
use uuid::Uuid;

use super::{builder, chaining, run, start_by_sql, stop, verified};
use crate::admin::{ask, program};
use crate::harness::Database;

#[tokio::test]
async fn many_sagas_are_verified_page_by_page() {
    let database = Database::create().await;
    let url = &database.url;
    let plain = builder(url).begin().await.unwrap();
    let unchained = run(&plain, "undone").await;
    stop(plain).await;
    let runtime = chaining(&database, None).await;
    let mut whole: Vec<Uuid> = Vec::new();
    for n in 0..230 {
        whole.push(runtime.start("whole", &json!({ "n": n })).await.unwrap());
    }
    for id in &whole {
        runtime.wait(*id).await.unwrap();
    }
    start_by_sql(&database, "waits", "running").await;
    let (code, said) = verified(url, None, &["--all"]);
    assert!(code == 0 && said["sagas"] == 232 && said["unchained"] == 1 && said["faulty"] == 0, "{said}");
    let (code, said) = verified(url, None, &["--all", "--chained"]);
    assert!(code == 1 && said["faults"][0]["saga"] == json!(unchained), "{said}");
    let (code, said) = verified(url, None, &["--definition", "whole", "--chained"]);
    assert!(code == 0 && said["sagas"] == 230 && said["rows"] == 230 * 4, "{said}");

    let (changed, removed, orphan) = (whole[7], whole[150], whole[229]);
    ask(url, &format!("update amends.journal set body = body || ' ' where id = '{changed}' and seq = 2")).await;
    ask(url, &format!("delete from amends.journal where id = '{removed}' and seq in (1, 3)")).await;
    ask(url, &format!("delete from amends.saga_done where id = '{orphan}'")).await;
    let (code, said) = verified(url, None, &["--all"]);
    let found = said["faults"].as_array().unwrap().iter().map(|fault| fault["saga"].as_str().unwrap().to_owned());
    let mut found: Vec<String> = found.collect();
    found.dedup();
    assert_eq!((code, found), (1, [changed, removed, orphan].map(|id| id.to_string()).to_vec()), "{said}");
    assert!(said["sagas"] == 232 && said["faulty"] == 3, "{said}");
    // A saga without its row belongs to no definition.
    let (_, said) = verified(url, None, &["--definition", "whole"]);
    assert!(said["sagas"] == 229 && said["faulty"] == 2, "{said}");

    let (code, said) = verified(url, None, &["--before", "2020-01-01T00:00:00Z"]);
    assert!(code == 0 && said["sagas"] == 0, "{said}");
    let (_, said) = verified(url, None, &["--since", "2020-01-01T00:00:00Z", "--definition", "undone"]);
    assert_eq!(said["sagas"], 1, "{said}");
    let middle = ask(
        url,
        &format!(
            "select to_char(amends.uuid_time('{}') at time zone 'utc', \
                                    'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
            whole[100]
        ),
    )
    .await;
    let (_, since) = verified(url, None, &["--since", &middle]);
    let (_, before) = verified(url, None, &["--before", &middle]);
    let sagas = [&since, &before].map(|said| said["sagas"].as_u64().unwrap());
    assert!(sagas[0] > 0 && sagas[1] > 0 && sagas[0] + sagas[1] == 232, "{sagas:?}");

    let (code, said) = program(url, &["verify", &Uuid::nil().to_string()]);
    assert!(code == 4 && said.contains("which no saga has"), "{said}");
    let (code, said) = program(url, &["verify", &changed.to_string()]);
    assert!(code == 1 && said.contains("row 2 does not fit its link") && said.contains("1 with a fault"), "{said}");
    assert_eq!(program(url, &["verify"]).0, 2);
    assert_eq!(program(url, &["verify", &changed.to_string(), "--all"]).0, 2);
    stop(runtime).await;
}

/// A dump has the links, and the copy is as good as what it was made of.
#[tokio::test]
async fn a_restored_copy_is_verified_like_its_original() {
    let database = Database::create().await;
    let runtime = chaining(&database, None).await;
    let id = run(&runtime, "undone").await;
    stop(runtime).await;
    let copy = Database::empty().await;
    let (from, to) = (database.url.clone(), copy.url.clone());
    let copied = tokio::task::spawn_blocking(move || {
        let dump = std::process::Command::new(crate::harness::program("pg_dump")).args(["-d", &from]).output().unwrap();
        let file = std::env::temp_dir().join(format!("amends-chain-{}.sql", std::process::id()));
        std::fs::write(&file, dump.stdout).unwrap();
        let mut restore = std::process::Command::new(crate::harness::program("psql"));
        restore.args(["-X", "-q", "-d", &to, "-f"]).arg(&file);
        let restored = restore.output().unwrap().status.success();
        std::fs::remove_file(&file).unwrap();
        restored
    });
    assert!(copied.await.unwrap());
    assert_eq!(super::faults(&copy.url, None, id), Vec::<String>::new());
    ask(&copy.url, &format!("update amends.journal set body = body || ' ' where id = '{id}' and seq = 2")).await;
    assert_eq!(super::faults(&copy.url, None, id), ["changed 2"]);
}
