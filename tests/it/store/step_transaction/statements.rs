//! The statements of a handler: every method that takes a text refuses one that would end the transaction, whatever
//! release of the driver brings it; and an error that the handler keeps to itself fails its transaction all the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use amends::step_transaction::Transaction;
use tokio_postgres::Error;
use tokio_postgres::types::Type;

use super::*;
use crate::dependencies::packages;

/// Sends a text by one method; what is answered is not read.
type Sends = for<'a> fn(&'a Transaction, &'a str) -> Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// Names methods together with a call of each.
macro_rules! methods {
    ($($name:ident $(<$($generic:ty),*>)? ($($given:expr),*);)*) => {
        &[$((stringify!($name), |transaction, sql| {
            Box::pin(async move { transaction.$name $(::<$($generic),*>)? (sql $(, $given)*).await.map(drop) })
        })),*]
    };
}

/// Every method of a connection that takes a text.
const METHODS: &[(&str, Sends)] = methods! {
    prepare();
    prepare_typed(&[]);
    query(&[]);
    query_one(&[]);
    query_opt(&[]);
    query_scalar<i32, _>(&[]);
    query_one_scalar<i32, _>(&[]);
    query_opt_scalar<i32, _>(&[]);
    query_raw(Vec::<String>::new());
    query_typed(&[]);
    query_typed_one(&[]);
    query_typed_opt(&[]);
    query_typed_raw(Vec::<(String, Type)>::new());
    execute(&[]);
    execute_raw(Vec::<String>::new());
    execute_typed(&[]);
    copy_in<str, &'static [u8]>();
    copy_out();
    simple_query();
    simple_query_raw();
    batch_execute();
};

#[tokio::test]
async fn every_method_that_takes_a_text_refuses_to_end_the_transaction() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    for (name, sends) in METHODS {
        for words in ["commit", "rollback", "prepare transaction 'mine'"] {
            let within = effect(&node.store).await;
            let transaction = within.transaction();
            let Err(told) = sends(&transaction, words).await else { panic!("{name} takes {words}") };
            assert_eq!(told.code().map(|code| code.code()), Some("2D000"), "{name}, {words}: {told:?}");
            drop(transaction);
            let answer = commit(&node, within, id, 2).await;
            assert_eq!(answer.unwrap_err().code, step_transaction::ENDED, "{name}, {words}");
        }
    }
    // What is there for the driver's own use says nothing, and sends nothing either.
    let within = effect(&node.store).await;
    within.transaction().__private_api_rollback(None);
    assert_eq!(commit(&node, within, id, 2).await.unwrap_err().code, step_transaction::ENDED);
    assert_eq!((count(&node, "effect").await, count(&node, "amends.journal").await), (0, 1));
}

/// A new release may bring a new method, which `Deref` would lend to handlers as it is.
#[test]
fn no_method_of_the_driver_that_takes_a_text_is_left_out() {
    let source = |file| std::fs::read_to_string(driver().join(file)).unwrap();
    // The methods of a trait are as public as the trait.
    let traits = source("generic_client.rs").replace("    async fn ", "    pub async fn ");
    let found: BTreeSet<String> =
        [source("client.rs"), source("transaction.rs"), traits].iter().flat_map(|source| take_text(source)).collect();
    let mut known: BTreeSet<String> = METHODS.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.insert("__private_api_rollback".to_owned());
    // Of the driver's own transaction alone, for which it takes the connection itself: a handler has no such.
    known.extend(["bind", "bind_raw", "savepoint"].map(str::to_owned));
    assert_eq!(found, known, "`amends::step_transaction` checks what takes a text");
}

#[test]
fn methods_that_take_a_text_are_found() {
    let source = "
        pub async fn one(&self, sql: &str) -> Result<(), Error> {}
        pub async fn two<T>(&self, statement: &T)
        where
            T: ?Sized + ToStatement,
        {
        }
        pub(crate) fn hidden(&self, sql: &str) {}
        pub fn three<I: Into<String>>(&mut self, name: I) {}
        pub async fn four(&self) -> Result<Vec<Row>, Error> {}
        async fn five(&self, sql: &str) -> Result<(), Error>;";
    assert_eq!(take_text(source), ["one", "two", "three"]);
}

/// Where the source of the driver is.
fn driver() -> PathBuf {
    let packages = packages();
    let driver = packages.iter().find(|package| package["name"] == "tokio-postgres").unwrap();
    Path::new(driver["manifest_path"].as_str().unwrap()).with_file_name("src")
}

/// The public methods in a source that a text can be given to.
fn take_text(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in source.match_indices("fn ") {
        let before = source[..start].trim_end_matches("async ");
        let signature = source[start + 3..].split(['{', ';']).next().unwrap();
        let takes_text = ["&str", "String>", "ToStatement"].iter().any(|text| signature.contains(text));
        if before.ends_with("pub ") && takes_text {
            found.push(signature.split(['(', '<']).next().unwrap().to_owned());
        }
    }
    found
}

const CONFLICT: &str = "do $$ begin raise exception using errcode = '40001'; end $$";
const DEADLOCK: &str = "do $$ begin raise exception using errcode = '40P01'; end $$";
const VIOLATION: &str = "insert into room values (null)";

/// How the attempt ends whose handler keeps the errors of these statements to itself.
async fn kept(node: &Node, statements: &[&str], lent: &[&str]) -> RolledBack {
    let within = effect(&node.store).await;
    let transaction = within.transaction();
    for sql in statements {
        transaction.batch_execute(sql).await.ok();
    }
    for sql in lent {
        Client::batch_execute(&transaction, sql).await.ok();
    }
    drop(transaction);
    node.store.settle(within, late()).await.unwrap_err()
}

#[tokio::test]
async fn an_error_that_the_handler_keeps_to_itself_is_the_attempts() {
    let node = node().await;
    let back = "rollback to a";
    let ways: [(&[&str], &str, bool); 9] = [
        (&[VIOLATION], "23502", true),
        (&["select * from nowhere"], "42P01", true),
        (&[CONFLICT], "40001", false),
        (&[DEADLOCK], "40P01", false),
        // What comes after it says nothing of its own.
        (&[VIOLATION, "select 1", CONFLICT], "23502", true),
        (&[CONFLICT, VIOLATION], "40001", false),
        (&["savepoint a", VIOLATION], "23502", true),
        // One from which the handler has recovered is over.
        (&["savepoint a", VIOLATION, back, CONFLICT], "40001", false),
        (&["savepoint a", CONFLICT, back, VIOLATION], "23502", true),
    ];
    for (statements, code, definite) in ways {
        let told = kept(&node, statements, &[]).await;
        assert_eq!(told.retryable, !definite, "{statements:?}: {}", told.message);
        assert!(told.message.contains(code), "{statements:?}: {}", told.message);
    }
    // What a lent client met is not known, and an error before it was not the cause.
    for statements in [&[][..], &["savepoint a", VIOLATION, back][..]] {
        let told = kept(&node, statements, &[VIOLATION]).await;
        assert!(told.retryable && told.message.contains("aborted"), "{}", told.message);
    }
    assert_eq!(count(&node, "effect").await, 0);
}
