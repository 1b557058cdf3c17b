//! `amends.start`: the application's transaction, keys, and bad arguments.

use std::collections::HashSet;

use amends::store::{Error, Written};
use uuid::Uuid;

use super::{Node, json, keyed};

#[tokio::test]
async fn a_start_commits_or_vanishes_with_the_applications_transaction() {
    let mut node = Node::new().await;
    let mut application = node.database.client().await;
    let start = "select amends.start('checkout', '{}', key => 'k')";
    let transaction = application.transaction().await.unwrap();
    let gone: Uuid = transaction.query_one(start, &[]).await.unwrap().get(0);
    assert!(node.claim_all().await.is_empty());
    transaction.rollback().await.unwrap();
    assert!(node.claim_all().await.is_empty());
    assert!(node.store.saga(gone).await.unwrap().is_none());
    let id: Uuid = application.query_one(start, &[]).await.unwrap().get(0);
    assert!(id != gone && id.get_version_num() == 7);
    assert_eq!(node.claim_all().await, [id]);
}

#[tokio::test]
async fn twenty_starts_with_one_key_are_one_saga_through_both_doors() {
    let node = Node::new().await;
    let mut tasks = Vec::new();
    for n in 0..20 {
        let (store, definition) = (node.store.clone(), node.definition);
        let mut lane = node.database.lane(node.id).await;
        tasks.push(tokio::spawn(async move {
            if n % 2 == 0 {
                return store.start("checkout", &json(r#"{"a": 1}"#), Some("k")).await.unwrap();
            }
            let row = keyed(definition, "k", r#"{"a":1}"#);
            match lane.commit(std::slice::from_ref(&row)).await.unwrap()[..] {
                [Written::Accepted] => row.id,
                [Written::Duplicate { existing }] => existing,
                ref other => panic!("{other:?}"),
            }
        }));
    }
    let mut ids = HashSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
    let sagas = node.database.client().await.query("select from amends.live_saga", &[]).await.unwrap();
    assert_eq!(sagas.len(), 1);
}

#[tokio::test]
async fn inputs_under_one_key_are_compared_as_parsed_json() {
    let node = Node::new().await;
    let input = r#"{"n":1,"list":[10.5,-0.25,100,{"x":"1.50 \\\" 2.0"}],"big":12345678901234567890.5}"#;
    let first = node.store.start("checkout", &json(input), Some("k")).await.unwrap();
    for same in [
        r#"{"big":12345678901234567890.500,"n":1.0,"list":[10.50,-2.5e-1,1e2,{"x":"1.50 \\\" 2.0"}]}"#,
        r#"{ "n": 10e-1, "list": [1.05e1, -0.250, 100.00, {"x": "1.50 \\\" 2.0"}], "big": 12345678901234567890.5 }"#,
    ] {
        assert_eq!(node.store.start("checkout", &json(same), Some("k")).await.unwrap(), first, "{same}");
    }
    for other in [
        r#"{"n":1,"list":[10.5,-0.25,100,{"x":"1.5 \\\" 2.0"}],"big":12345678901234567890.5}"#,
        r#"{"n":1,"list":[10.5,-0.25,100,{"x":"1.50 \\\" 2"}],"big":12345678901234567890.5}"#,
        r#"{"n":1,"list":[10.05,-0.25,100,{"x":"1.50 \\\" 2.0"}],"big":12345678901234567890.5}"#,
        r#"{"n":1,"list":[10.5,-0.25,10,{"x":"1.50 \\\" 2.0"}],"big":12345678901234567890.5}"#,
        r#"{"n":1,"list":[10.5,-0.25,100,{"x":"1.50 \\\" 2.0"}],"big":12345678901234567890}"#,
    ] {
        let refused = node.store.start("checkout", &json(other), Some("k")).await;
        assert!(matches!(refused, Err(Error::KeyConflict(_))), "{other}: {refused:?}");
    }
}

#[tokio::test]
async fn a_key_holds_across_versions_of_a_definition_and_not_across_names() {
    let node = Node::new().await;
    let first = node.store.start("checkout", &json("1"), Some("k")).await.unwrap();
    let newer =
        node.store.put_definition("digest two", "checkout", "{}", &amends::store::AtStart::default()).await.unwrap();
    assert_eq!(node.store.start("checkout", &json("1"), Some("k")).await.unwrap(), first);
    let second = node.store.start("checkout", &json("1"), Some("l")).await.unwrap();
    assert_eq!(node.store.saga(second).await.unwrap().unwrap().definition, newer);
    node.store.put_definition("digest three", "refund", "{}", &amends::store::AtStart::default()).await.unwrap();
    assert_ne!(node.store.start("refund", &json("1"), Some("k")).await.unwrap(), first);
    // A node of the old version that starts again chooses its own.
    assert_eq!(
        node.store.put_definition("digest", "checkout", "{}", &amends::store::AtStart::default()).await.unwrap(),
        node.definition
    );
    let third = node.store.start("checkout", &json("1"), None).await.unwrap();
    assert_eq!(node.store.saga(third).await.unwrap().unwrap().definition, node.definition);
    assert_eq!(node.store.definition("digest two").await.unwrap().unwrap().id, newer);
    assert_eq!(node.store.current_definition("checkout").await.unwrap().unwrap().id, node.definition);
    assert_eq!(node.store.definitions().await.unwrap().len(), 3);
}

#[tokio::test]
async fn bad_arguments_have_their_own_codes_and_write_nothing() {
    let node = Node::new().await;
    let client = node.database.client().await;
    for (sql, code) in [
        ("select amends.start('no such', '{}')", "AM003"),
        ("select amends.start('''; drop schema amends cascade; --', '{}')", "AM003"),
        ("select amends.start(null, '{}')", "AM005"),
        ("select amends.start('checkout', null)", "AM005"),
        ("select amends.start('checkout', '{}', '')", "AM005"),
        ("select amends.start('checkout', '{}', repeat('x', 513))", "AM005"),
        ("select amends.start('checkout', to_json(repeat('x', 1048577)))", "AM005"),
        ("select amends.start('checkout', '{')", "22P02"),
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), code, "{sql}");
    }
    assert!(matches!(node.store.start("no such", &json("1"), None).await, Err(Error::UnknownDefinition(_))));
    let sql = "select (select count(*) from amends.live_saga) + (select count(*) from amends.ready) \
               + (select count(*) from amends.start_key)";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_search_path_of_the_caller_changes_nothing() {
    let mut node = Node::new().await;
    let client = node.database.client().await;
    client
        .batch_execute(
            "create schema evil; create function evil.octet_length(text) returns int language sql as 'select 0';
             create function pg_temp.quote_literal(text) returns text language sql as 'select null::text';
             set search_path = evil, pg_temp, pg_catalog",
        )
        .await
        .unwrap();
    let error = client.batch_execute("select amends.start('checkout', '{}', '')").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "AM005");
    client.batch_execute("select amends.start('checkout', '{}')").await.unwrap();
    assert_eq!(node.claim_all().await.len(), 1);
}
