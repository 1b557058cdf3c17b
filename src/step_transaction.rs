//! The transaction that a transactional handler makes its effect in, in the runtime's own Postgres. Owns what
//! the handler is given, and that whatever is not committed is rolled back; committing is the store's.
//!
//! ```
//! use amends::participant::{Failure, Handlers, StepContext};
//! use amends::saga::definition::{Call, Draft, Step};
//! use amends::step_transaction::Transaction;
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{Client, CopyInSink, CopyOutStream, Error, Row, RowStream, SimpleQueryMessage};
use tokio_postgres::{SimpleQueryStream, Statement, ToStatement};
use tokio_util::bytes::Buf;

/// Code of the outcome of an attempt whose handler ended its transaction, or tried to.
pub const ENDED: &str = "transaction_ended";

/// Code of the outcome of an attempt whose handler kept its transaction beyond its end.
pub const KEPT: &str = "handler_broke_transaction";

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
///
/// A transaction that has failed stays so, whatever the handler makes of the error: the attempt ends as it would if the
/// handler had passed the error on. An error that only a stream or a lent [`Client`] has told is not known here; the
/// attempt is then made again.
#[derive(Debug)]
pub struct Transaction {
    client: Arc<Client>,
    heard: Arc<Heard>,
}

/// What a handler's calls have shown of its transaction.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// A statement was refused, as it would have ended the transaction.
    refused: AtomicBool,
    /// The error since which no statement has succeeded.
    failure: Mutex<Option<Cause>>,
}

/// Why a transaction has failed.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// SQLSTATE and message.
    pub(crate) message: String,
    /// The same statements would meet it again.
    pub(crate) definite: bool,
}

impl Heard {
    /// Whether a statement was refused, as it would have ended the transaction.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// The error by which the transaction has failed, if a call of the handler met it.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hears how a statement ended. After the failure of a transaction, nothing succeeds but what takes it back to a
    /// savepoint, and every other error only says that it has failed.
    fn hear<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        let cause = match &answer {
            Ok(_) => None,
            Err(error) => match error.as_db_error() {
                Some(told) if !has_failed(told.code()) => Some(Cause::of(told)),
                Some(_) | None => return answer,
            },
        };
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = cause;
        answer
    }
}

impl Cause {
    fn of(told: &DbError) -> Self {
        let detail = told.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        let message = format!("({}) {}{detail}", told.code().code(), told.message());
        Self { message, definite: is_definite_code(told.code()) }
    }
}

/// What a statement is given as: a text, or one that was prepared.
pub trait Text: ToStatement + std::fmt::Debug {
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
    /// Lends a connection on which a transaction was begun, and hears what the handler's calls meet.
    pub(crate) fn lend(client: &Arc<Client>, heard: &Arc<Heard>) -> Self {
        Self { client: Arc::clone(client), heard: Arc::clone(heard) }
    }

    /// What the handler's calls have shown of the transaction: outlives it.
    pub(crate) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// Fails for a text that ends the transaction, and with it the transaction.
    async fn check<T: ?Sized + Text>(&self, statement: &T) -> Result<(), Error> {
        if !statement.text().is_some_and(control::ends_transaction) {
            return Ok(());
        }
        self.heard.refused.store(true, Ordering::Release);
        self.client.batch_execute(REFUSAL).await
    }

    /// Sends nothing: it would end the transaction, or take a text, without a word.
    #[doc(hidden)]
    pub fn __private_api_rollback(&self, _: Option<&str>) {
        self.heard.refused.store(true, Ordering::Release);
    }
}

/// Makes the calls of [`Client`] that take a text again, each under its own name, with the check before it: what is
/// left out is there by `Deref`, unchecked. Generics stand in brackets; the text comes first.
macro_rules! checked {
    ($($name:ident [$($generics:tt)*] ($sql:ident: $text:ty $(, $given:ident: $kind:ty)*) -> $answer:ty;)*) => {
        /// The calls of [`Client`] that take a text, with the check; see there.
        impl Transaction {$(
            #[doc = concat!("See [`Client::", stringify!($name), "`].")]
            pub async fn $name<$($generics)*>(&self, $sql: &$text $(, $given: $kind)*) -> Result<$answer, Error> {
                self.check($sql).await?;
                self.heard.hear(self.client.$name($sql $(, $given)*).await)
            }
        )*}
    };
}

checked! {
    prepare[](sql: str) -> Statement;
    prepare_typed[](sql: str, types: &[Type]) -> Statement;
    query[T: ?Sized + Text](statement: T, params: &[&(dyn ToSql + Sync)]) -> Vec<Row>;
    query_one[T: ?Sized + Text](statement: T, params: &[&(dyn ToSql + Sync)]) -> Row;
    query_opt[T: ?Sized + Text](statement: T, params: &[&(dyn ToSql + Sync)]) -> Option<Row>;
    query_scalar[R: FromSqlOwned, T: ?Sized + Text](statement: T, params: &[&(dyn ToSql + Sync)]) -> Vec<R>;
    query_one_scalar[R: FromSqlOwned, T: ?Sized + Text](statement: T, params: &[&(dyn ToSql + Sync)]) -> R;
    query_opt_scalar[R: FromSqlOwned, T: ?Sized + Text](statement: T, params: &[&(dyn ToSql + Sync)]) -> Option<R>;
    query_raw[
        T: ?Sized + Text, P: BorrowToSql, I: IntoIterator<Item = P, IntoIter: ExactSizeIterator>
    ](statement: T, params: I) -> RowStream;
    query_typed[](sql: str, params: &[(&(dyn ToSql + Sync), Type)]) -> Vec<Row>;
    query_typed_one[](sql: str, params: &[(&(dyn ToSql + Sync), Type)]) -> Row;
    query_typed_opt[](sql: str, params: &[(&(dyn ToSql + Sync), Type)]) -> Option<Row>;
    query_typed_raw[P: BorrowToSql, I: IntoIterator<Item = (P, Type)>](sql: str, params: I) -> RowStream;
    execute[T: ?Sized + Text](statement: T, params: &[&(dyn ToSql + Sync)]) -> u64;
    execute_raw[
        T: ?Sized + Text, P: BorrowToSql, I: IntoIterator<Item = P, IntoIter: ExactSizeIterator>
    ](statement: T, params: I) -> u64;
    execute_typed[](sql: str, params: &[(&(dyn ToSql + Sync), Type)]) -> u64;
    copy_in[T: ?Sized + Text, U: Buf + Send + 'static](statement: T) -> CopyInSink<U>;
    copy_out[T: ?Sized + Text](statement: T) -> CopyOutStream;
    simple_query[](sql: str) -> Vec<SimpleQueryMessage>;
    simple_query_raw[](sql: str) -> SimpleQueryStream;
    batch_execute[](sql: str) -> ();
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
    const CLASSES: [&str; 14] = ["21", "22", "23", "2B", "2D", "2F", "38", "39", "3D", "3F", "42", "44", "54", "P0"];
    let code = code.code();
    code == SqlState::ACTIVE_SQL_TRANSACTION.code() || CLASSES.iter().any(|class| code.starts_with(class))
}

/// Whether an error, or a cause of one, says no more than that the transaction has failed before.
pub(crate) fn is_aftermath(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<DbError>().is_some_and(|error| has_failed(error.code()))
}

/// The same, of a SQLSTATE.
pub(crate) fn has_failed(code: &SqlState) -> bool {
    *code == SqlState::IN_FAILED_SQL_TRANSACTION
}
