//! An erasure keeps the chain, and is told from a change.

use amends::saga::Json;
use amends::saga::state::Status;
use amends::store::{ChainKey, Chaining, End, LaneId, Transition};
use uuid::Uuid;

use super::{KEY, chaining, faults, run, start_by_sql, stop, verified};
use crate::admin::{ask, program, until};
use crate::harness::Database;

async fn erase(database: &Database, id: Uuid) {
    let (code, said) = program(&database.url, &["erase", "--saga", &id.to_string(), "--reason", "art. 17"]);
    assert!(code == 0 && said.contains("erased"), "{said}");
}

#[tokio::test]
async fn what_was_erased_still_fits_and_its_states_cannot_be_changed() {
    let database = Database::create().await;
    let url = &database.url;
    for key in [None, Some(KEY)] {
        let runtime = chaining(&database, key).await;
        for definition in ["whole", "undone"] {
            for by_sql in [false, true] {
                let status = if definition == "whole" { "completed" } else { "compensated" };
                let id = match by_sql {
                    true => start_by_sql(&database, definition, status).await,
                    false => run(&runtime, definition).await,
                };
                erase(&database, id).await;
                let (code, said) = verified(url, key, &[&id.to_string()]);
                assert!(code == 0 && said["erased"] == 1 && said["unchained"] == 0, "{said}");
                let left = format!("select count(*) from amends.journal where id = '{id}' and body like '%ada@%'");
                assert_eq!(ask(url, &left).await, "0");
                // Nothing is left that a guess of the payload could be compared with.
                let salts =
                    format!("select count(*) from amends.journal where id = '{id}' and octet_length(link) = 49");
                assert_eq!(ask(url, &salts).await, "0");

                // What it kept cannot be changed, and what became of the payload cannot either.
                for (change, row) in [("'\"attempt\" : 1', '\"attempt\" : 2'", 2), ("'succeeded', 'unknown'", 2)] {
                    let change = format!("replace(body, {change})");
                    let sql = format!("update amends.journal set body = {change} where id = '{id}' and seq = {row}");
                    let back = format!("select body from amends.journal where id = '{id}' and seq = {row}");
                    let before = ask(url, &back).await;
                    ask(url, &sql).await;
                    assert_ne!(ask(url, &back).await, before, "{before}");
                    assert_eq!(faults(url, key, id).len(), 1, "{change}");
                    let sql = "update amends.journal set body = $3 where id = $1 and seq = $2";
                    database.client().await.execute(sql, &[&id, &row, &before]).await.unwrap();
                }
                assert_eq!(faults(url, key, id), Vec::<String>::new());
                let cut = format!(
                    "delete from amends.journal where id = '{id}' and seq = (select max(seq)
                                   from amends.journal where id = '{id}')"
                );
                ask(url, &cut).await;
                assert!(faults(url, key, id)[0].starts_with("cut_off"), "{:?}", faults(url, key, id));
            }
        }
        stop(runtime).await;
    }
}

/// Who removes a payload as an erasure does, but records none, has changed the journal.
#[tokio::test]
async fn a_payload_that_is_gone_without_a_record_is_a_fault() {
    let database = Database::create().await;
    let url = &database.url;
    let runtime = chaining(&database, None).await;
    let id = run(&runtime, "whole").await;
    let remove = format!(
        "update amends.journal j set body = amends.erased_body(j.body),
                link = amends.erased_link(j.id, j.seq, j.link, j.body, null)
         where j.id = '{id}' and j.seq = 2"
    );
    ask(url, &remove).await;
    assert_eq!(faults(url, None, id), ["unrecorded 2"]);
    let record = format!("update amends.saga_done set erased_at = now() where id = '{id}'");
    ask(url, &record).await;
    assert_eq!(faults(url, None, id), ["unerased 1"], "an erasure takes all payloads or none");

    // A change before an erasure is found after it.
    let id = run(&runtime, "whole").await;
    ask(url, &format!("update amends.journal set body = replace(body, 'ada@', 'eve@') where id = '{id}' and seq = 3"))
        .await;
    erase(&database, id).await;
    assert_eq!(faults(url, None, id), ["changed 3"]);
    stop(runtime).await;
}

/// A journal without a chain is erased as before, and stays without links.
#[tokio::test]
async fn a_journal_without_a_chain_gets_no_digest_of_its_payloads() {
    let database = Database::create().await;
    let runtime = super::builder(&database.url).begin().await.unwrap();
    let id = run(&runtime, "whole").await;
    erase(&database, id).await;
    let links = "select count(link) || ' of ' || count(*) from amends.journal";
    assert_eq!(ask(&database.url, links).await, "0 of 4");
    // The bits that say so fit into the padding of a row only for eight columns.
    let columns = "select max(attnum) <= 8 from pg_attribute where attrelid = 'amends.journal'::regclass";
    until(&database.url, columns, "t").await;
    stop(runtime).await;
}

/// Rows of every shape, and some that Postgres cannot read as they are.
fn bodies() -> Vec<String> {
    let frozen = [
        include_str!("../../../src/saga/tests/frozen/accepted.txt"),
        include_str!("../../../src/saga/tests/frozen/deadlines.txt"),
        include_str!("../../../src/saga/tests/frozen/doubt_and_probe.txt"),
        include_str!("../../../src/saga/tests/frozen/errors.txt"),
        include_str!("../../../src/saga/tests/frozen/keys_are_renewed.txt"),
        include_str!("../../../src/saga/tests/frozen/open.txt"),
        include_str!("../../../src/saga/tests/frozen/owners.txt"),
        include_str!("../../../src/saga/tests/frozen/rerun.txt"),
        include_str!("../../../src/saga/tests/frozen/transactional.txt"),
    ];
    // The first line is the definition.
    let frozen = frozen.iter().flat_map(|text| text.lines().skip(1)).filter(|line| line.starts_with('{'));
    let odd = [
        r#"{"begun":{"law":2,"at":7,"input":{"a":"\u0000","b":1e999999,"c":"\ud800 x","d":"\uD83D\uDE00"}}}"#,
        r#"{"request_refused":{"at":7,"signal":1,"by":"a \u0000 \\u0000 \udfff","verb":"cancel","reason":"x"}}"#,
        r#"{"requested":{"at":7, "signal" : 1,"by":"caf\u00e9","request":{"provide":{"event":"e","payload":[1.50]}}}}"#,
    ];
    let golden = include_str!("../golden/journal.jsonl").lines();
    golden.chain(frozen).chain(odd).map(str::to_owned).collect()
}

/// What a link covers of a row is what its erasure keeps, whatever the row holds.
#[tokio::test]
async fn a_row_of_each_shape_fits_before_and_after_its_erasure() {
    let database = Database::create().await;
    stop(super::builder(&database.url).begin().await.unwrap()).await;
    let (store, client, bodies) = (database.store().await, database.client().await, bodies());
    assert!(bodies.len() > 100, "{}", bodies.len());
    // One with links on all rows, one on every third, which covers those before it.
    for each in [1, 3] {
        let id = Uuid::now_v7();
        let key = ChainKey::new(KEY);
        let mut chain = Chaining { is_on: true, key: Some(key.clone()) }.begin().unwrap();
        let mut rows = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            let seq = i32::try_from(index).unwrap() + 1;
            let is_last = index + 1 == bodies.len();
            let mut row = Transition::new(id, seq, "row", Json::parse(body).unwrap());
            row.end =
                is_last.then(|| End { status: Status::Completed, result: Some(Json::parse("{\"a\": 1}").unwrap()) });
            if each == 1 || is_last || index % each == 0 {
                if each > 1 {
                    // The chain reads the rows without a link back from the journal, as after a takeover.
                    let stored = store.journal(id).await.unwrap();
                    chain = Chaining { is_on: true, key: Some(key.clone()) }.resume(id, &stored).unwrap();
                }
                chain.link(&mut row, LaneId(7));
                chain.accept(row.link.as_deref().unwrap());
            }
            let sql = "insert into amends.journal (id, lane, at, seq, kind, body, link)
                       values ($1, 7, now(), $2, 'row', $3, $4)";
            client.execute(sql, &[&id, &seq, &row.body.get(), &row.link.as_deref()]).await.unwrap();
            rows.push(row);
        }
        let end = "insert into amends.saga_done (id, started_at, ended_at, signals, definition, status, result)
                   select $1, now(), now(), 0, (select max(d.id) from amends.definition d), 'completed', '{\"a\": 1}'";
        client.execute(end, &[&id]).await.unwrap();
        let keys = [key];
        let verified = async || store.verify(id, &keys).await.unwrap().unwrap();
        let unlinked = bodies.len() - rows.iter().filter(|row| row.link.is_some()).count();
        assert_eq!(verified().await.found, unlinked as u64, "before: {:?}", verified().await.faults);
        client.execute("select amends.erase_saga($1)", &[&id]).await.unwrap();
        assert_eq!(verified().await.found, unlinked as u64, "after: {:?}", verified().await.faults);
        assert_eq!(verified().await.erased, bodies.len() as u64);
    }
}
