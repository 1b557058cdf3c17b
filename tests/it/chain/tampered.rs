//! What a login that may change any row can do to a journal, and how `verify` finds it.

use amends::saga::Json;
use amends::saga::state::Status;
use amends::store::{ChainKey, Chaining, End, Transition};
use uuid::Uuid;

use super::{KEY, chaining, faults, run, start_by_sql, stop, verified};
use crate::admin::{ask, until};
use crate::harness::Database;

/// A kind of tampering: its name, its statements (`SAGA` is the id, `j` the journal), and the faults, of which it is
/// enough that these are among them.
const TAMPERINGS: [(&str, &str, &[&str]); 24] = [
    ("a payload", "update j set body = replace(body, 'ada@', 'eve@') where id = SAGA and seq = 3", &["changed 3"]),
    (
        "a number",
        "update j set body = replace(body, '\"at\":1', '\"at\":2') where id = SAGA and seq = 2",
        &["changed 2"],
    ),
    ("the first row", "update j set body = replace(body, 'ada@', 'eve@') where id = SAGA and seq = 1", &["changed 1"]),
    ("white space", "update j set body = body || ' ' where id = SAGA and seq = 2", &["changed 2"]),
    ("a kind", "update j set kind = 'timer_fired' where id = SAGA and seq = 2", &["changed 2"]),
    ("a lane", "update j set lane = lane + 1 where id = SAGA and seq = 2", &["changed 2"]),
    (
        "the last row",
        "update j set body = replace(body, 'ada@', 'eve@') where id = SAGA and seq = 4",
        &["end_changed 4"],
    ),
    ("removed", "delete from j where id = SAGA and seq = 2", &["missing 2"]),
    ("removed two", "delete from j where id = SAGA and seq in (2, 3)", &["missing 2"]),
    ("removed the first", "delete from j where id = SAGA and seq = 1", &["missing 1"]),
    (
        "removed and closed the gap",
        "delete from j where id = SAGA and seq = 2; update j set seq = 2 where id = SAGA and seq = 3;
         update j set seq = 3 where id = SAGA and seq = 4",
        &["changed 2"],
    ),
    ("removed the end", "delete from j where id = SAGA and seq = 4", &["cut_off 3"]),
    ("removed all but the first", "delete from j where id = SAGA and seq > 1", &["cut_off 1"]),
    ("removed all", "delete from j where id = SAGA", &["no_journal"]),
    (
        "inserted",
        "update j set seq = seq + 90 where id = SAGA and seq > 2;
         update j set seq = seq - 89 where id = SAGA and seq > 90;
         insert into j (id, lane, at, seq, kind, body, link)
         select id, lane, at, 3, kind, body, link from j where id = SAGA and seq = 2",
        &["changed 3", "changed 4"],
    ),
    (
        "inserted without a link",
        "update j set seq = seq + 90 where id = SAGA and seq > 2;
         update j set seq = seq - 89 where id = SAGA and seq > 90;
         insert into j (id, lane, at, seq, kind, body)
         select id, lane, at, 3, kind, body from j where id = SAGA and seq = 2",
        &["unlinked 3"],
    ),
    (
        "appended",
        "insert into j (id, lane, at, seq, kind, body)
         select id, lane, at, 5, kind, body from j where id = SAGA and seq = 2",
        &["changed 4", "unlinked 5"],
    ),
    (
        "swapped two bodies",
        "update j set body = (select o.body from j o where o.id = j.id and o.seq = 5 - j.seq)
         where id = SAGA and seq in (2, 3)",
        &["changed 2", "changed 3"],
    ),
    (
        "swapped two rows",
        "update j set seq = 90 where id = SAGA and seq = 2; update j set seq = 2 where id = SAGA and seq = 3;
         update j set seq = 3 where id = SAGA and seq = 90",
        &["changed 2", "changed 3"],
    ),
    (
        "a link",
        "update j set link = set_byte(link, 7, get_byte(link, 7) # 1) where id = SAGA and seq = 2",
        &["changed 2"],
    ),
    (
        "a salt",
        "update j set link = set_byte(link, 40, get_byte(link, 40) # 1) where id = SAGA and seq = 2",
        &["changed 2"],
    ),
    ("no link", "update j set link = null where id = SAGA and seq = 3", &["unlinked 3"]),
    ("half a link", "update j set link = substring(link for 20) where id = SAGA and seq = 3", &["changed 3"]),
    ("no chain", "update j set link = null where id = SAGA", &["unchained"]),
];

/// The same for what stands outside the journal. `d` are the ended sagas.
const ENDS: [(&str, &str, &[&str]); 4] = [
    ("a result", "update d set result = '{\"a\":{\"echo\":\"eve@\"}}' where id = SAGA", &["end_changed 4"]),
    ("no result", "update d set result = null where id = SAGA", &["end_changed 4"]),
    ("a status", "update d set status = 'compensated' where id = SAGA", &["end_changed 4"]),
    ("no saga", "delete from d where id = SAGA", &["no_saga"]),
];

async fn tamper(database: &Database, id: Uuid, statements: &str) {
    let words: Vec<String> = statements
        .split_inclusive([' ', ',', '\n'])
        .map(|word| match word.trim_end() {
            "j" => word.replacen('j', "amends.journal as j", 1),
            "d" => word.replacen('d', "amends.saga_done as d", 1),
            _ => word.to_owned(),
        })
        .collect();
    ask(&database.url, &words.concat().replace("SAGA", &format!("'{id}'")).replace("as j o ", "o ")).await;
}

#[tokio::test]
async fn each_kind_of_tampering_is_found() {
    let database = Database::create().await;
    let url = &database.url;
    for key in [None, Some(KEY)] {
        let runtime = chaining(&database, key).await;
        for (name, statements, expected) in TAMPERINGS.into_iter().chain(ENDS) {
            let id = run(&runtime, "whole").await;
            assert_eq!(faults(url, key, id), Vec::<String>::new(), "{name}: before");
            tamper(&database, id, statements).await;
            let found = faults(url, key, id);
            let all = expected.iter().all(|fault| found.iter().any(|one| one == fault));
            assert!(all, "{name}: expected {expected:?}, found {found:?}");
        }
        // One change is one fault.
        let id = run(&runtime, "whole").await;
        tamper(&database, id, TAMPERINGS[0].1).await;
        assert_eq!(faults(url, key, id), ["changed 3"]);
        stop(runtime).await;
    }
}

/// The first row of a saga that was started by SQL is written by the database, without a link: the next one covers it.
#[tokio::test]
async fn a_start_by_sql_is_covered_by_the_row_after_it() {
    let database = Database::create().await;
    let runtime = chaining(&database, Some(KEY)).await;
    let id = start_by_sql(&database, "undone", "compensated").await;
    let (code, said) = verified(&database.url, Some(KEY), &[&id.to_string()]);
    assert!(code == 0 && said["rows"].as_u64() > Some(3) && said["unchained"] == 0, "{said}");
    tamper(&database, id, "update j set body = replace(body, 'ada@', 'eve@') where id = SAGA and seq = 1").await;
    assert_eq!(faults(&database.url, Some(KEY), id), ["changed 1"]);
    stop(runtime).await;
}

/// Makes the chain of a saga again, as an attacker who knows how could.
async fn made_again(database: &Database, id: Uuid, key: Option<&str>) {
    let store = database.store().await;
    let (status, result) = store.result(id).await.unwrap().unwrap();
    let mut chain = Chaining { is_on: true, key: key.map(ChainKey::new) }.begin().unwrap();
    let client = database.client().await;
    let rows = store.journal(id).await.unwrap();
    for row in &rows {
        let kind: &'static str = row.kind.clone().leak();
        let mut transition = Transition::new(id, row.seq, kind, Json::parse(&row.body).unwrap());
        transition.end = (row.seq as usize == rows.len()).then(|| End { status, result: result.clone() });
        chain.link(&mut transition, row.lane);
        let link = transition.link.unwrap();
        chain.accept(&link);
        let sql = "update amends.journal set link = $3 where id = $1 and seq = $2";
        client.execute(sql, &[&id, &row.seq, &&*link]).await.unwrap();
    }
    assert_eq!(status, Status::Completed);
}

/// Without a key, only its last link shows that a chain was made again. With a key it cannot be made.
#[tokio::test]
async fn a_chain_cannot_be_made_again_without_its_key() {
    let database = Database::create().await;
    let url = &database.url;
    let runtime = chaining(&database, Some(KEY)).await;
    let id = run(&runtime, "whole").await;
    let head = |key| verified(url, key, &[&id.to_string()]).1["head"].clone();
    let before = head(Some(KEY));
    tamper(&database, id, TAMPERINGS[0].1).await;
    made_again(&database, id, None).await;
    assert_eq!(faults(url, Some(KEY), id), ["unchained"]);
    assert_eq!(faults(url, None, id), Vec::<String>::new(), "it fits for a reader without a key");
    assert_ne!(head(None), before);
    made_again(&database, id, Some("a key that an attacker made up")).await;
    let found = faults(url, Some(KEY), id);
    assert!(found.contains(&"other_key 1".to_owned()) && found.contains(&"unchained".to_owned()), "{found:?}");
    made_again(&database, id, Some(KEY)).await;
    assert_eq!(faults(url, Some(KEY), id), Vec::<String>::new(), "the test's own means work");

    // One row of the chain without the key.
    let id = run(&runtime, "whole").await;
    tamper(&database, id, "update j set link = set_byte(link, 0, 0) where id = SAGA and seq = 3").await;
    assert!(faults(url, Some(KEY), id).contains(&"unkeyed 3".to_owned()));
    stop(runtime).await;
}

/// What the README says is not found: the last rows of a saga that has not ended. A parked saga goes on as if they had
/// never been; a saga that a node has leaves a gap.
#[tokio::test]
async fn the_end_of_a_live_saga_can_be_cut_off() {
    let database = Database::create().await;
    let runtime = chaining(&database, None).await;
    let id = run_until_parked(&database).await;
    tamper(&database, id, "delete from j where id = SAGA and seq = 2").await;
    assert_eq!(faults(&database.url, None, id), ["unchained"], "only the row of the database is left");
    ask(&database.url, &format!("select amends.signal('{id}', 'bell', 'null')")).await;
    crate::harness::eventually("it ends", async || runtime.store().result(id).await.unwrap().is_some()).await;
    assert_eq!(faults(&database.url, None, id), Vec::<String>::new());
    stop(runtime).await;
}

async fn run_until_parked(database: &Database) -> Uuid {
    let id = start_by_sql(database, "waits", "running").await;
    until(&database.url, &format!("select count(*) from amends.timer where id = '{id}'"), "1").await;
    id
}
