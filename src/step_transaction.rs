//! The transaction in which a transactional handler makes its effect, in the runtime's own Postgres. Lends the
//! handler the connection, refuses statements that end the transaction, and records the errors of the handler's
//! calls. `store/step_transaction.rs` commits the transaction or rolls it back.
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

/// Outcome code of an attempt whose handler ended its transaction, or tried to.
pub const ENDED: &str = "transaction_ended";

/// Outcome code of an attempt whose handler still held its transaction after it returned.
pub const KEPT: &str = "handler_broke_transaction";

/// Statement that is sent in place of one that would end the transaction.
const REFUSAL: &str = "do $$ begin raise exception using errcode = 'invalid_transaction_termination', message = \
                       'expected a transactional handler to leave its transaction open, found a statement that ends \
                       it; amends commits when the handler succeeds, and rolls back when it does not'; end $$";

/// An open transaction. It works like a connection of `tokio_postgres`: `execute`, `query`, `prepare` and the other
/// calls run in it. So do functions that take a [`Client`] (`&*transaction`), such as those of [`crate::barrier`].
///
/// `SAVEPOINT`, `ROLLBACK TO` and `RELEASE` are allowed. A statement that ends the transaction (`COMMIT`, `END`,
/// `ROLLBACK`, `ABORT`, `PREPARE TRANSACTION`) is refused with an error. The attempt then ends as [`ENDED`], whatever
/// the handler returns, and the step waits for a person. A function that borrows the [`Client`] can still end the
/// transaction. The runtime notices that, and the attempt ends as [`ENDED`] too. The session takes no writes
/// afterwards, but what such a `COMMIT` has committed stays.
///
/// A handler cannot save a failed transaction by ignoring the error: the attempt ends as if the handler had returned
/// the error. Only a rollback to a savepoint makes the transaction usable again. An error that only a stream or a
/// borrowed [`Client`] has reported is not recorded here; the attempt is then repeated.
#[derive(Debug)]
pub struct Transaction {
    client: Arc<Client>,
    heard: Arc<Heard>,
}

/// Record of how the handler's calls in its transaction ended.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// A statement was refused because it would have ended the transaction.
    refused: AtomicBool,
    /// The error that failed the transaction; none once a later statement has succeeded.
    failure: Mutex<Option<Cause>>,
}

/// Reason why a transaction has failed.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// SQLSTATE, message and detail.
    pub(crate) message: String,
    /// The same statements would fail in the same way again.
    pub(crate) definite: bool,
}

impl Heard {
    /// Returns whether a statement was refused because it would have ended the transaction.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Returns the error that failed the transaction, if a call of the handler met it.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records how a statement ended. In a failed transaction only a rollback to a savepoint succeeds. Other
    /// statements only report that the transaction has failed, so their errors do not replace the cause.
    fn hear<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        let cause = match &answer {
            Ok(_) => None,
            Err(error) => match error.as_db_error() {
                Some(told) if !has_failed(told.code()) => Some(Cause::from_db_error(told)),
                Some(_) | None => return answer,
            },
        };
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = cause;
        answer
    }
}

impl Cause {
    fn from_db_error(told: &DbError) -> Self {
        let detail = told.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        let message = format!("({}) {}{detail}", told.code().code(), told.message());
        Self { message, definite: is_definite_code(told.code()) }
    }
}

/// A statement: SQL text or prepared.
pub trait Text: ToStatement + std::fmt::Debug {
    /// Returns the SQL text; none for a prepared statement.
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
    /// Lends a connection with an open transaction. `heard` records how the handler's calls end.
    pub(crate) fn lend(client: &Arc<Client>, heard: &Arc<Heard>) -> Self {
        Self { client: Arc::clone(client), heard: Arc::clone(heard) }
    }

    /// Returns the record of the handler's calls. It outlives the transaction.
    pub(crate) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// Refuses a text that ends the transaction. Sends [`REFUSAL`] in its place, and its error fails the transaction.
    async fn check<T: ?Sized + Text>(&self, statement: &T) -> Result<(), Error> {
        if !statement.text().is_some_and(control::ends_transaction) {
            return Ok(());
        }
        self.heard.refused.store(true, Ordering::Release);
        self.client.batch_execute(REFUSAL).await
    }

    /// Sends nothing and records a refusal. This call of [`Client`] would send a rollback, with any text as the
    /// savepoint's name, and report no error.
    #[doc(hidden)]
    pub fn __private_api_rollback(&self, _: Option<&str>) {
        self.heard.refused.store(true, Ordering::Release);
    }
}

/// Repeats the calls of [`Client`] that take SQL text, under the same names, with the check before each. All other
/// calls go to [`Client`] by `Deref`, unchecked. In the table below generics stand in brackets, and the SQL text is
/// the first argument.
macro_rules! checked {
    ($($name:ident [$($generics:tt)*] ($sql:ident: $text:ty $(, $given:ident: $kind:ty)*) -> $answer:ty;)*) => {
        /// Calls of [`Client`] that take SQL text. A text that ends the transaction is refused.
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

/// Returns whether an error is a [`DbError`] that the same statements would meet again: a constraint, a privilege, a
/// syntax error, a missing table, or an error that a function raised. Does not look at the sources of the error.
pub(crate) fn is_definite(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<DbError>().is_some_and(|error| is_definite_code(error.code()))
}

/// Returns whether the same statements would meet this SQLSTATE again. Serialization failures, deadlocks, lock
/// failures, time-outs, exhausted resources and lost connections are transient. Errors that stem from a stale plan,
/// or from an earlier failure of the transaction, may be transient.
pub(crate) fn is_definite_code(code: &SqlState) -> bool {
    // 21 cardinality, 22 data, 23 constraints, 2B dependent objects, 2D transaction control, 2F, 38 and 39 functions,
    // 3D, 3F and 42 names and rights, 44 views, 54 limits of a statement, P0 raised by a function.
    const CLASSES: [&str; 14] = ["21", "22", "23", "2B", "2D", "2F", "38", "39", "3D", "3F", "42", "44", "54", "P0"];
    let code = code.code();
    code == SqlState::ACTIVE_SQL_TRANSACTION.code() || CLASSES.iter().any(|class| code.starts_with(class))
}

/// Returns whether an error is a [`DbError`] that only reports an earlier failure of the transaction. Does not look
/// at the sources of the error.
pub(crate) fn is_aftermath(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<DbError>().is_some_and(|error| has_failed(error.code()))
}

/// Returns whether this SQLSTATE only reports an earlier failure of the transaction.
pub(crate) fn has_failed(code: &SqlState) -> bool {
    *code == SqlState::IN_FAILED_SQL_TRANSACTION
}
