//! Client of the barrier: three calls for a participant with its own Postgres, made inside the participant's
//! transaction. Reads the verdicts of the barrier. The rules are in `sql/barrier/barrier.sql`; the effect itself is
//! the participant's.
//!
//! The barrier settles four cases that each participant would otherwise have to settle itself: a repeated action, a
//! compensation that comes before its action, an action that comes after its compensation, and a probe that answers
//! "absent" just before the action lands. A step whose participant has a barrier is `idempotent` and
//! `safe_when_absent`, and needs no settle window.
//!
//! The barrier may have forgotten a key that it does not hold (`amends_barrier.forget`). Then it gives no verdict:
//! the call fails, and [`is_unknown`] recognizes the error. Answer the caller so that the outcome stays unknown
//! ([`Failure::unknown`](crate::participant::Failure::unknown), or an HTTP 500). A compensation that cannot look up
//! its action must not report success, and such a probe must not report absence. The saga then waits for a person.
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
//!         Action::Applied { output } => output, // a duplicate: give the first answer again
//!         Action::Barred => None,               // too late: refuse it, a definite failure
//!     };
//!     transaction.commit().await?; // answer the caller only after the commit
//!     Ok(answer)
//! }
//!
//! /// POST /refunds, with the key of the *action*: `action_key` in the definition.
//! async fn refund(client: &mut Client, action_key: &str, account: i64, cents: i64) -> Result<(), Error> {
//!     let transaction = client.transaction().await?;
//!     if let Compensation::Proceed { .. } = barrier::compensation(&transaction, action_key).await? {
//!         let sql = "update account set cents = cents + $2 where id = $1";
//!         transaction.execute(sql, &[&account, &cents]).await?;
//!     } // already undone, or absent and barred: a success with nothing to do; a forgotten key is an error
//!     transaction.commit().await
//! }
//!
//! /// GET /charges/KEY: after the answer "absent" the action can never take effect.
//! async fn find(client: &mut Client, key: &str) -> Result<bool, Error> {
//!     let transaction = client.transaction().await?;
//!     let found = matches!(barrier::probe(&transaction, key).await?, Probe::Applied { .. });
//!     transaction.commit().await?;
//!     Ok(found)
//! }
//! ```

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, GenericClient, Row};

/// SQL that creates the schema `amends_barrier`: its tables and functions. It may be run again, also by hand.
pub const SQL: &str = include_str!("../sql/barrier/barrier.sql");

/// Verdict of the barrier on an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the effect, in this transaction.
    Proceed,
    /// The action took effect before: give the first answer again.
    Applied {
        /// The recorded answer, if any.
        output: Option<String>,
    },
    /// The action was compensated, or reported absent: refuse it, and answer that nothing was done.
    Barred,
}

/// Verdict of the barrier on a compensation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compensation {
    /// Undo the effect, in this transaction.
    Proceed {
        /// The recorded answer of the action, if any.
        output: Option<String>,
    },
    /// The action was undone before: a success, with nothing to do.
    Undone,
    /// The action never took effect and is barred from now on: a success, with nothing to do.
    Absent,
}

/// Answer of the barrier to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The action took effect.
    Applied {
        /// The recorded answer of the action, if any.
        output: Option<String>,
    },
    /// The action has no effect, and is barred from now on.
    Absent,
}

/// SQLSTATE of the error that replaces the verdict when the key may have been forgotten.
pub const UNKNOWN: &str = "AM010";

/// Returns whether a call failed because the barrier may have forgotten its key. The answer is unknown, and stays so.
/// The transaction has failed, and nothing was done in it.
pub fn is_unknown(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == UNKNOWN)
}

/// Creates the barrier in the participant's database. An existing barrier keeps its keys; its functions are replaced.
pub async fn install(client: &impl GenericClient) -> Result<(), Error> {
    client.batch_execute(SQL).await
}

/// Asks whether the action with this key may take effect in this transaction. `output` is the answer for duplicates,
/// if it is known by now; else call [`answer`] later. Waits while another transaction holds the key. Fails if the key
/// may have been forgotten ([`is_unknown`]): the action may have taken effect before.
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

/// Records the answer for duplicates of an action. Call it in the transaction in which the action proceeds.
pub async fn answer(transaction: &impl GenericClient, key: &str, output: &str) -> Result<(), Error> {
    let sql = "select amends_barrier.answer($1, $2)";
    ask(transaction, sql, &[(&key, Type::TEXT), (&output, Type::TEXT)]).await.map(drop)
}

/// Asks whether to undo the action with this key in this transaction. Waits while another transaction holds the key.
/// Fails if the key may have been forgotten ([`is_unknown`]): the effect may be in place.
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

/// Asks whether the action with this key took effect, and bars it if it did not. Commit before you answer the probe.
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

/// Sends one query in one round trip. It prepares no statement, so it also works behind a pooler.
async fn ask(client: &impl GenericClient, sql: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Result<Row, Error> {
    client.query_typed_one(sql, params).await
}
