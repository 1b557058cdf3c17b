//! The transaction that a transactional handler makes its effect in, in the runtime's own Postgres. Owns what
//! the handler is given, and that whatever is not committed is rolled back; committing is the store's.
//!
//! ```
//! use amends::participant::{Failure, Handlers, StepContext};
//! use amends::saga::definition::{Call, Draft, Step};
//! use amends::transaction::Transaction;
//! use serde_json::{Value, json};
//!
//! async fn take(context: StepContext, database: Transaction, order: Value) -> Result<Value, Failure> {
//!     let room = order["room"].as_str().unwrap_or_default();
//!     let taken = database.execute("update room set guest = $2 where name = $1 and guest is null", &[
//!         &room, &context.saga().to_string(),
//!     ]).await?;
//!     match taken {
//!         1 => Ok(json!({ "room": room })),
//!         _ => Err(Failure::permanent("taken", format!("the room {room} is taken"))),
//!     }
//! }
//!
//! async fn free(context: StepContext, database: Transaction, _: Value) -> Result<(), Failure> {
//!     let saga = context.saga().to_string();
//!     database.execute("update room set guest = null where guest = $1", &[&saga]).await?;
//!     Ok(())
//! }
//!
//! let handlers = Handlers::new().register_transactional("take", take).register_transactional("free", free);
//! let room = Step::new("room", Call::handler("take").transactional());
//! let stay = Draft::new("stay").step(room.compensation(Call::handler("free").transactional()));
//! ```

mod control;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{BorrowToSql, ToSql, Type};
use tokio_postgres::{Client, Error, Row, RowStream, SimpleQueryMessage, Statement, ToStatement};

/// Code of the outcome of an attempt whose handler ended its transaction, or tried to.
pub const ENDED: &str = "transaction_ended";

/// What is sent in place of a statement that would end the transaction.
const REFUSAL: &str = "do $$ begin raise exception using errcode = 'invalid_transaction_termination', message = \
                       'expected a transactional handler to leave its transaction open, found a statement that ends \
                       it; amends commits when the handler succeeds, and rolls back when it does not'; end $$";

/// A transaction that is open. It behaves as a connection of `tokio_postgres` does: `execute`, `query`,
/// `prepare` and their like work in it, and so do functions that take a [`Client`] (`&*transaction`), those of
/// [`crate::barrier`] among them.
///
/// `SAVEPOINT`, `ROLLBACK TO` and `RELEASE` are fine. A statement that ends the transaction (`COMMIT`, `END`,
/// `ROLLBACK`, `ABORT`, `PREPARE TRANSACTION`) is refused with an error, and the attempt ends as
/// [`ENDED`], whatever the handler returns: the step waits for a person. A function that is lent the [`Client`] can
/// still end the transaction. That is noticed and ends the same way, and the session takes no writes afterwards; but
/// what such a `COMMIT` has committed stays.
#[derive(Debug)]
pub struct Transaction {
    client: Arc<Client>,
    refused: Arc<AtomicBool>,
}

/// What a statement is given as: a text, or one that was prepared.
pub trait Text: ToStatement {
    /// Returns the text, unless it was prepared before.
    fn text(&self) -> Option<&str>;
}

impl Text for str {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl Text for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl Text for Statement {
    fn text(&self) -> Option<&str> {
        None
    }
}

impl Transaction {
    /// Lends a connection on which a transaction was begun; `refused` is set when a statement was refused.
    pub(crate) fn lend(client: &Arc<Client>, refused: &Arc<AtomicBool>) -> Self {
        Self { client: Arc::clone(client), refused: Arc::clone(refused) }
    }

    /// Returns the text to send: the statement's own, or one that fails in place of one that ends the transaction.
    fn checked<'sql>(&self, sql: &'sql str) -> &'sql str {
        if control::ends_transaction(sql) {
            self.refused.store(true, Ordering::Release);
            return REFUSAL;
        }
        sql
    }

    fn is_refused<T: ?Sized + Text>(&self, statement: &T) -> bool {
        statement.text().is_some_and(|sql| self.checked(sql) == REFUSAL)
    }
}

/// The calls of [`Client`] that take a text, with the check; see there.
impl Transaction {
    /// See [`Client::prepare`].
    pub async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.client.prepare(self.checked(sql)).await
    }

    /// See [`Client::prepare_typed`].
    pub async fn prepare_typed(&self, sql: &str, types: &[Type]) -> Result<Statement, Error> {
        self.client.prepare_typed(self.checked(sql), types).await
    }

    /// See [`Client::query`].
    pub async fn query<T>(&self, statement: &T, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error>
    where
        T: ?Sized + Text,
    {
        match self.is_refused(statement) {
            true => self.client.query(REFUSAL, &[]).await,
            false => self.client.query(statement, params).await,
        }
    }

    /// See [`Client::query_one`].
    pub async fn query_one<T>(&self, statement: &T, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Error>
    where
        T: ?Sized + Text,
    {
        match self.is_refused(statement) {
            true => self.client.query_one(REFUSAL, &[]).await,
            false => self.client.query_one(statement, params).await,
        }
    }

    /// See [`Client::query_opt`].
    pub async fn query_opt<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error>
    where
        T: ?Sized + Text,
    {
        match self.is_refused(statement) {
            true => self.client.query_opt(REFUSAL, &[]).await,
            false => self.client.query_opt(statement, params).await,
        }
    }

    /// See [`Client::query_raw`].
    pub async fn query_raw<T, P, I>(&self, statement: &T, params: I) -> Result<RowStream, Error>
    where
        T: ?Sized + Text,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        match self.is_refused(statement) {
            true => self.client.query_raw(REFUSAL, std::iter::empty::<P>()).await,
            false => self.client.query_raw(statement, params).await,
        }
    }

    /// See [`Client::query_typed`].
    pub async fn query_typed(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Error> {
        self.client.query_typed(self.checked(sql), params).await
    }

    /// See [`Client::execute`].
    pub async fn execute<T>(&self, statement: &T, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error>
    where
        T: ?Sized + Text,
    {
        match self.is_refused(statement) {
            true => self.client.execute(REFUSAL, &[]).await,
            false => self.client.execute(statement, params).await,
        }
    }

    /// See [`Client::execute_raw`].
    pub async fn execute_raw<T, P, I>(&self, statement: &T, params: I) -> Result<u64, Error>
    where
        T: ?Sized + Text,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        match self.is_refused(statement) {
            true => self.client.execute(REFUSAL, &[]).await,
            false => self.client.execute_raw(statement, params).await,
        }
    }

    /// See [`Client::execute_typed`].
    pub async fn execute_typed(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, Error> {
        self.client.execute_typed(self.checked(sql), params).await
    }

    /// See [`Client::simple_query`].
    pub async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.client.simple_query(self.checked(sql)).await
    }

    /// See [`Client::batch_execute`].
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(self.checked(sql)).await
    }
}

impl Deref for Transaction {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Whether an error, or a cause of one, is a refusal of the database that the same statements would meet again: a
/// constraint, a privilege, a syntax error, a table that is not there, or what a function raised by itself.
pub(crate) fn is_definite(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<DbError>().is_some_and(|error| is_definite_code(error.code()))
}

/// The same, of a SQLSTATE. Serialization failures, deadlocks, locks, time-outs, exhausted resources and lost
/// connections pass; so may what a stale plan or a transaction that has failed before is blamed for.
pub(crate) fn is_definite_code(code: &SqlState) -> bool {
    // 21 cardinality, 22 data, 23 constraints, 2B dependent objects, 2D transaction control, 2F and 38 and 39
    // functions, 3D and 3F and 42 names and rights, 44 views, 54 limits of a statement, P0 raised by a function.
    const CLASSES: [&str; 14] =
        ["21", "22", "23", "2B", "2D", "2F", "38", "39", "3D", "3F", "42", "44", "54", "P0"];
    let code = code.code();
    code == SqlState::ACTIVE_SQL_TRANSACTION.code() || CLASSES.iter().any(|class| code.starts_with(class))
}
