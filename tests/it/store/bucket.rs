//! Buckets of ids: SQL and Rust agree, whatever the key, and every door puts a saga into the bucket of its key.

use amends::saga::{Bucket, Json, concurrency_key};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::harness::Database;

/// JSON texts as strangers write them: white space, escapes, repeated fields, odd numbers.
fn any_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        "-?(0|[1-9][0-9]{0,5})(\\.0{1,5})?[eE][+-]?(131071|131072|140000|16383|16384|99999999999)",
    ];
    let text = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        concat!(
            "\"(\\\\u00[0-7][0-9a-fA-F]|\\\\n|\\\\/|\\\\\\\\|\\\\ud83d\\\\ude00|\\\\ud800|",
            "[a-z\u{e9}\u{1f600}\u{7f}]){0,6}\"",
        ),
    ];
    let leaf = prop_oneof![number, text, "null|true|false".prop_map(String::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let space = "[ \t\n\r]{0,2}";
        let field = ("a|b|aa|\u{e9}|0|1|-1| 1|\\\\u0061", space, inner.clone(), space)
            .prop_map(|(name, before, value, after)| format!("{before}\"{name}\"{after}:{before}{value}{after}"));
        prop_oneof![
            prop::collection::vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            prop::collection::vec((space, inner), 0..4).prop_map(|elements| {
                let elements: Vec<_> = elements.iter().map(|(space, one)| format!("{space}{one}")).collect();
                format!("[{}]", elements.join(","))
            }),
        ]
    })
}

fn any_path() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("a|b|aa|\u{e9}|0|1|-1| 1|\\+1", 1..4)
}

#[tokio::test]
async fn the_concurrency_key_of_an_input_is_the_same_in_sql_and_rust() {
    let database = Database::create().await;
    let client = database.client().await;
    let sql = client.prepare("select amends.concurrency_key($1::text::json, $2)").await.unwrap();
    let mut random = TestRunner::deterministic();
    let (mut found, mut refused) = (0, 0);
    for _ in 0..6_000 {
        let (text, path) = (any_json(), any_path()).new_tree(&mut random).unwrap().current();
        let Ok(input) = Json::parse(&text) else { continue };
        let ours = concurrency_key(&input, &path);
        match client.query_one(&sql, &[&text, &path]).await {
            Ok(row) => {
                let theirs: Option<String> = row.get(0);
                found += usize::from(theirs.is_some());
                assert_eq!(ours, theirs, "{text} at {path:?}");
            }
            // Refused at the start, whatever its bucket.
            Err(error) => {
                refused += 1;
                let code = error.code().map_or("", SqlState::code);
                assert!(code == "AM005" || code.starts_with("22"), "{text} at {path:?}: {error}");
            }
        }
    }
    assert!(found > 300 && refused > 300, "{found} keys, {refused} refusals");
}

#[tokio::test]
async fn the_bucket_of_a_key_is_the_same_in_sql_and_rust() {
    let database = Database::create().await;
    let client = database.client().await;
    let sql = "select amends.bucket_of_key(k.key), amends.bucket(u.id), u.id
               from (select $1::text as key) k cross join lateral amends.uuid7(amends.bucket_of_key(k.key)) u (id)";
    let sql = client.prepare(sql).await.unwrap();
    let mut random = TestRunner::deterministic();
    let any_key = prop_oneof!["[^\0]{0,600}", "[a-z0-9_-]{1,40}", "\\PC{1,12}"];
    for _ in 0..2_000 {
        let key = any_key.new_tree(&mut random).unwrap().current();
        let row = client.query_one(&sql, &[&key]).await.unwrap();
        let (bucket, in_id, id): (i32, i32, Uuid) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(i32::from(Bucket::from_key(&key).number()), bucket, "{key:?}");
        assert_eq!((in_id, i32::from(Bucket::from_id(id).number())), (bucket, bucket), "{id}");
        assert_eq!(id.get_version_num(), 7);
    }
    let row = client.query_one("select amends.uuid7(1023), amends.now()", &[]).await.unwrap();
    let (id, now): (Uuid, std::time::SystemTime) = (row.get(0), row.get(1));
    let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(id.get_timestamp().unwrap().to_unix().0);
    assert!(now.duration_since(made).unwrap_or_default() < std::time::Duration::from_secs(60), "{id}");
}

#[tokio::test]
async fn a_start_in_sql_puts_the_saga_into_the_bucket_of_its_key() {
    let database = Database::create().await;
    let store = database.store().await;
    let client = database.client().await;
    let turns = amends::store::AtStart { concurrency: Some(vec!["guest".to_owned()]), ..Default::default() };
    store.put_definition("plain", "plain", "{}", &amends::store::AtStart::default()).await.unwrap();
    store.put_definition("turns", "turns", "{}", &turns).await.unwrap();
    let start = async |id: Option<Uuid>, definition: &str, input: &str, key: Option<&str>| {
        let sql = "select amends.start_as($1, $2, $3::text::json, $4)";
        client.query_one(sql, &[&id, &definition, &input, &key]).await.unwrap().get::<_, Uuid>(0)
    };
    let bucket = |id: Uuid| Bucket::from_id(id);
    assert_eq!(bucket(start(None, "plain", "{}", Some("order-7")).await), Bucket::from_key("order-7"));
    // The concurrency key decides, with and without a start key.
    for key in [None, Some("order-8")] {
        let id = start(None, "turns", r#"{"guest": "ada"}"#, key).await;
        assert_eq!(bucket(id), Bucket::from_key("\"ada\""));
    }
    // Without a guest there is no turn, so the start key decides.
    assert_eq!(bucket(start(None, "turns", "{}", Some("order-9")).await), Bucket::from_key("order-9"));
    // An id that the caller gives keeps its bits.
    let given = Uuid::now_v7();
    assert_eq!(start(Some(given), "turns", r#"{"guest": "ada"}"#, Some("order-10")).await, given);
    let mut random = std::collections::BTreeSet::new();
    for _ in 0..40 {
        random.insert(bucket(start(None, "plain", "{}", None).await));
    }
    assert!(random.len() > 20, "40 sagas without a key lie in {} buckets", random.len());
    let sql = "select count(*) from amends.sagas where bucket <> amends.bucket(saga)";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}
