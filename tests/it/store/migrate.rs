//! The schema: many starters, newer databases, foreign histories.

use amends::store::{Error, SCHEMA_VERSION, Store, migrations_text};

use crate::harness::Database;

/// What a database holds, as text: every relation and function of ours, and what is recorded.
async fn contents(database: &Database) -> String {
    let sql = "select coalesce(string_agg(x, ' ' order by x), '') from (
                   select oid::regclass::text || relkind::text from pg_class
                   where relnamespace::regnamespace::text = 'amends'
                   union all
                   select oid::regprocedure::text from pg_proc where pronamespace::regnamespace::text = 'amends'
               ) as t (x)";
    database.client().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn twenty_starters_migrate_an_empty_database_once() {
    let database = Database::empty().await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let store = database.store().await;
        tasks.push(tokio::spawn(async move { store.migrate().await.unwrap() }));
    }
    let mut applied = Vec::new();
    for task in tasks {
        applied.extend(task.await.unwrap());
    }
    applied.sort();
    assert_eq!(applied, (1..=SCHEMA_VERSION).collect::<Vec<_>>());
    database.store().await.verify_schema().await.unwrap();
}

#[tokio::test]
async fn a_newer_database_is_refused_before_any_write() {
    let database = Database::empty().await;
    let store = database.store().await;
    assert!(matches!(store.verify_schema().await, Err(Error::Schema(text)) if text.contains("found none")));
    let client = database.client().await;
    client
        .batch_execute(
            "create schema amends; create table amends.migration (version int primary key, name text not null,
                 checksum text not null, applied_at timestamptz not null default now());
             insert into amends.migration values (999, 'from the future', 'x')",
        )
        .await
        .unwrap();
    let before = contents(&database).await;
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(&error, Error::Schema(text) if text.contains("999 (from the future)")), "{error}");
    assert!(store.verify_schema().await.is_err());
    assert_eq!(contents(&database).await, before);
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let database = Database::create().await;
    database
        .client()
        .await
        .batch_execute("update amends.migration set checksum = 'x' where version = 1")
        .await
        .unwrap();
    let error = database.store().await.migrate().await.unwrap_err();
    assert!(matches!(&error, Error::Schema(text) if text.contains("0001_tables: expected checksum")), "{error}");
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing_behind() {
    let database = Database::empty().await;
    let client = database.client().await;
    // The function of the second migration is there already, and is not ours.
    client
        .batch_execute("create schema amends; create function amends.now() returns int language sql as 'select 1'")
        .await
        .unwrap();
    let before = contents(&database).await;
    let error = database.store().await.migrate().await.unwrap_err();
    assert!(matches!(&error, Error::Schema(text) if text.contains("0002_functions")), "{error}");
    assert_eq!(contents(&database).await, before);
}

#[tokio::test]
async fn the_printed_migrations_are_the_same_schema() {
    let (printed, run) = (Database::empty().await, Database::create().await);
    printed.client().await.batch_execute(&migrations_text()).await.unwrap();
    let store: Store = printed.store().await;
    store.verify_schema().await.unwrap();
    assert!(store.migrate().await.unwrap().is_empty());
    assert_eq!(contents(&printed).await, contents(&run).await);
}

#[tokio::test]
async fn nothing_is_granted_to_everybody() {
    let database = Database::create().await;
    let sql = "select p.oid::regprocedure::text from pg_proc p,
               aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
               where p.pronamespace::regnamespace::text = 'amends' and a.grantee = 0";
    let open: Vec<String> =
        database.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(open.is_empty(), "{open:?}");
}
