//! An erasure keeps the chain, and is told from a change.

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

/// What nobody chained is erased as before, and stays without a link.
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
