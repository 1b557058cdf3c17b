//! Records: the only room that names tokio_postgres or includes `sql/`. Owns connections, migrations, the
//! fenced batch, claims, timers, signals and sweeps; it never decides a phase.
//!
//! **Who owns a saga.** `saga.lane`. A lane is one committing connection of one incarnation of one process;
//! its number is never used again and is the fencing token: each batch locks its own lane row and writes
//! nothing when the lane is dead. The journal's key `(id, seq)` is the second guard.
//!
//! **What wakes a saga.** A live saga always has a lane, a `ready` row or a `timer` row. Wakes of owned sagas
//! go to the owner's `inbox`. A queued saga has no journal yet: a claim takes it only by the `ready` row that
//! brings its input, and any other wake of it is dropped.
//!
//! **Whose turn it is.** Sagas with equal concurrency keys run one at a time: the holder of the `turn`, until
//! it has ended; the others are rows of `waiting`, whose journals have not begun. A start only knocks; turns
//! are given by whichever node looks, in a transaction of its own, so no batch and no start waits for a turn.
//!
//! **Lock order.** node, lane, start key, journal key, knock, turn, waiting start, ready row, saga row, timer
//! row; within each kind by primary key. Nothing here waits for a ready, saga, timer or inbox row except a
//! batch and a signal, which wait at most `LOCK_TIMEOUT_MS` for saga rows: claims, parking and sweeps skip
//! what is locked. Only `amends.start` and `amends.request` run in transactions of strangers; these may lock
//! in any order, and whoever is chosen as the victim of a deadlock repeats.

#[macro_use]
mod statement;

mod access_token;
mod batch_columns;
mod batch_statement;
mod bulk;
mod claim;
mod commit;
mod compact;
mod connect;
mod definition;
mod durability;
mod error;
mod idle_sessions;
mod lane;
mod measure;
mod migrate;
mod node;
mod outbox;
mod pool;
mod quarantine;
mod read;
mod rerun;
mod session;
mod signal;
mod start_key;
mod step_transaction;
mod sweep;
mod tls;
mod transition;
mod turn;
mod unreadable;
mod watermarks;

pub use access_token::AccessToken;
pub use bulk::Bulk;
pub use claim::{Claimed, Parking};
pub use compact::{Compacted, Rows};
pub use connect::PostgresConfig;
pub use definition::{DefinitionId, StoredDefinition};
pub use error::Error;
pub(crate) use error::chain;
pub use lane::{Lane, LaneId};
pub use measure::{Finding, Measured, Passed};
pub use migrate::{SCHEMA_VERSION, migrations_text};
pub use node::{Beat, NodeId, NodeRow};
pub use outbox::{Pending, Relaying};
pub use pool::Store;
pub use quarantine::Trial;
pub use read::{Filter, JournalRow, SagaRow, Visible, WaitRow};
pub use rerun::{RerunFate, Rerunning};
pub use signal::{Signal, SignalFate};
pub use start_key::Keyed;
pub use step_transaction::{RolledBack, Within};
pub use sweep::{NetCursor, Swept};
pub use transition::{End, Fate, Start, StartKey, Transition, Written};
pub use turn::{Asked, TurnCursor, Turns};
pub use unreadable::Unreadable;

use tokio_postgres::Row;

/// A count or an instant from the database, where there is no unsigned type; none of ours is negative.
fn millis(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// The reverse; beyond 292 million years it is the latest instant there is.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many processes died of what a row is about.
fn deaths(row: &Row) -> Result<u32, Error> {
    let deaths: i16 = row.try_get("deaths")?;
    Ok(deaths.unsigned_abs().into())
}

fn count(rows: &[Row], column: &str) -> Result<u64, Error> {
    Ok(millis(rows.first().ok_or_else(no_row)?.try_get(column)?))
}

fn no_row() -> Error {
    Error::Rejected { code: "no_row".to_owned(), message: "expected one row, found none".to_owned() }
}
