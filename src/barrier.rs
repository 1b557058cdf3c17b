//! The barrier, for participants with their own Postgres: three calls that a participant makes inside its own
//! transaction. Owns the reading of the barrier's verdicts; the law is in `sql/barrier/barrier.sql`, and the
//! effect is the participant's.
//!
//! It settles what a participant otherwise has to settle by itself, each time anew: the same action twice, the
//! compensation that comes before its action, the action that comes after its compensation, and the probe that
//! says "absent" a moment before the action lands. A step whose participant has a barrier is `idempotent` and
//! `safe_when_absent`, and needs no settle window.
//!
//! A key that the barrier does not hold and may have forgotten (`amends_barrier.forget`) has no verdict: the call
//! fails, and [`is_unknown`] tells this error from others. Answer the caller so that the outcome stays unknown
//! ([`Failure::unknown`](crate::participant::Failure::unknown), or an HTTP 500): a compensation that cannot look
//! its action up is no success, and a probe that cannot has found no absence. The saga then waits for a person.
//!
//! ```no_run
//! use amends::barrier::{self, Action, Compensation, Probe};
//! use tokio_postgres::{Client, Error};
//!
//! /// POST /charges, with the key from the header Idempotency-Key.
//! async fn charge(client: &mut Client, key: &str, account: i64, cents: i64) -> Result<Option<String>, Error> {
//!     let transaction = client.transaction().await?;
//!     let charge = format!("ch_{key}");
//!     let answer = match barrier::action(&transaction, key, Some(&charge)).await? {
//!         Action::Proceed => {
//!             let sql = "update account set cents = cents - $2 where id = $1";
//!             transaction.execute(sql, &[&account, &cents]).await?;
//!             Some(charge)
//!         }
//!         Action::Applied { output } => output, // a duplicate: the first answer again
//!         Action::Barred => None,               // it comes too late: refuse it, a definite failure
//!     };
//!     transaction.commit().await?; // only now may the caller hear of it
//!     Ok(answer)
//! }
//!
//! /// POST /refunds, with the key of the *action*: `action_key` in the definition.
//! async fn refund(client: &mut Client, action_key: &str, account: i64, cents: i64) -> Result<(), Error> {
//!     let transaction = client.transaction().await?;
//!     if let Compensation::Proceed { .. } = barrier::compensation(&transaction, action_key).await? {
//!         let sql = "update account set cents = cents + $2 where id = $1";
//!         transaction.execute(sql, &[&account, &cents]).await?;
//!     } // undone before, or absent and barred: nothing to do, and that is a success; a forgotten key is an error
//!     transaction.commit().await
//! }
//!
//! /// GET /charges/KEY: an absence that is answered is an absence for ever.
//! async fn find(client: &mut Client, key: &str) -> Result<bool, Error> {
//!     let transaction = client.transaction().await?;
//!     let found = matches!(barrier::probe(&transaction, key).await?, Probe::Applied { .. });
//!     transaction.commit().await?;
//!     Ok(found)
//! }
//! ```

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, GenericClient, Row};

/// The barrier's schema `amends_barrier`: its table and functions. It may be run again, and by hand.
pub const SQL: &str = include_str!("../sql/barrier/barrier.sql");

/// What to do about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the effect, in this transaction.
    Proceed,
    /// It took effect before: answer as the first time.
    Applied {
        /// What was noted as its answer, if anything.
        output: Option<String>,
    },
    /// It was undone before it came, or was said to be absent: refuse it, and say that nothing was done.
    Barred,
}

/// What to do about a compensation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compensation {
    /// Undo the effect, in this transaction.
    Proceed {
        /// What was noted as the action's answer, if anything.
        output: Option<String>,
    },
    /// It was undone before: a success, with nothing to do.
    Undone,
    /// The action never took effect and is barred from now on: a success, with nothing to do.
    Absent,
}

/// What to answer a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The action took effect.
    Applied {
        /// What was noted as its answer, if anything.
        output: Option<String>,
    },
    /// It has no effect, and is barred from now on.
    Absent,
}

/// SQLSTATE of the error that stands for a verdict when a key may have been forgotten.
pub const UNKNOWN: &str = "AM010";

/// Whether a call failed because the barrier may have forgotten its key: the answer is unknown, and stays so. The
/// transaction is over, nothing was done in it.
pub fn is_unknown(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == UNKNOWN)
}

/// Creates the barrier in the participant's database, unless it is there.
pub async fn install(client: &impl GenericClient) -> Result<(), Error> {
    client.batch_execute(SQL).await
}

/// Asks whether the action with this key may take effect in this transaction. `output` is what a duplicate is
/// answered with, if it is known by now; else see [`answer`]. Waits while another transaction holds the key. Fails
/// if the key may have been forgotten ([`is_unknown`]): the action may have taken effect before.
pub async fn action(transaction: &impl GenericClient, key: &str, output: Option<&str>) -> Result<Action, Error> {
    let sql = "select verdict, known from amends_barrier.action($1, $2)";
    let row = ask(transaction, sql, &[(&key, Type::TEXT), (&output, Type::TEXT)]).await?;
    let verdict: &str = row.try_get("verdict")?;
    Ok(match verdict {
        "proceed" => Action::Proceed,
        "applied" => Action::Applied { output: row.try_get("known")? },
        _ => Action::Barred,
    })
}

/// Notes what a duplicate of the action is answered with; in the transaction in which it proceeds.
pub async fn answer(transaction: &impl GenericClient, key: &str, output: &str) -> Result<(), Error> {
    let sql = "select amends_barrier.answer($1, $2)";
    ask(transaction, sql, &[(&key, Type::TEXT), (&output, Type::TEXT)]).await.map(drop)
}

/// Asks whether the action with this key is to be undone in this transaction. Waits while another transaction
/// holds the key. Fails if the key may have been forgotten ([`is_unknown`]): the effect may be there.
pub async fn compensation(transaction: &impl GenericClient, action_key: &str) -> Result<Compensation, Error> {
    let sql = "select verdict, known from amends_barrier.compensation($1)";
    let row = ask(transaction, sql, &[(&action_key, Type::TEXT)]).await?;
    let verdict: &str = row.try_get("verdict")?;
    Ok(match verdict {
        "proceed" => Compensation::Proceed { output: row.try_get("known")? },
        "undone" => Compensation::Undone,
        _ => Compensation::Absent,
    })
}

/// Asks whether the action with this key took effect, and bars it if it did not. Commit before you answer.
/// Waits while another transaction holds the key. Fails if the key may have been forgotten ([`is_unknown`]).
pub async fn probe(transaction: &impl GenericClient, key: &str) -> Result<Probe, Error> {
    let sql = "select verdict, known from amends_barrier.probe($1)";
    let row = ask(transaction, sql, &[(&key, Type::TEXT)]).await?;
    let verdict: &str = row.try_get("verdict")?;
    Ok(match verdict {
        "applied" => Probe::Applied { output: row.try_get("known")? },
        _ => Probe::Absent,
    })
}

/// One round trip, without a statement that would have to be prepared on each connection, also behind a pooler.
async fn ask(client: &impl GenericClient, sql: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Result<Row, Error> {
    client.query_typed_one(sql, params).await
}
