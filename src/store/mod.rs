//! The store: keeps sagas, journals and all other state of amends in Postgres. Owns the SQL of the runtime,
//! connections, migrations, the fenced batch, claims, timers, signals and sweeps. It never decides what a saga does
//! next; the core (`saga`) does.
//!
//! **Ownership.** `saga.lane` names the owner of a saga. A lane is one committing connection of one node; a node is
//! one incarnation of a process. The lane's number is never reused and is the fencing token: each batch locks its own
//! lane row and writes nothing if the lane is dead. The journal's primary key `(id, seq)` is the second guard.
//!
//! **Wakes.** A live saga always has a lane, a `ready` row or a `timer` row. A wake of an owned saga goes to the
//! `inbox` of its lane. A queued saga has no journal yet: only the `ready` row with its input lets a lane claim it,
//! and a claim drops every other wake of it.
//!
//! **Turns.** Sagas with equal concurrency keys run one at a time. The holder of the `turn` keeps it until it has
//! ended. The others are rows of `waiting`, and their journals have not begun. A start only writes a `knock`. Any
//! node gives turns, in a transaction of its own, so no batch and no start waits for a turn.
//!
//! **Lock order.** Node, lane, start key, journal key, knock, turn, waiting start, ready row, saga row, timer row;
//! within each kind by primary key. Claims, parking and sweeps skip locked rows. Batches, signals and updates of a
//! single saga wait for a saga row, at most `LOCK_TIMEOUT_MS`. `amends.start`, `amends.request` and the operators'
//! functions also run in foreign transactions, which may lock in any order. Postgres then ends one transaction as the
//! victim of the deadlock, and its sender repeats it.

#[macro_use]
mod statement;

mod access_token;
mod batch_columns;
mod batch_statement;
mod bulk;
mod chain;
mod chore;
mod claim;
mod commit;
mod compact;
mod connect;
mod definition;
mod durability;
mod erase;
mod error;
mod guard;
mod idle;
mod idle_sessions;
mod lane;
mod listener;
mod look;
mod measure;
mod migrate;
mod node;
mod outbox;
mod payload;
mod pool;
mod quarantine;
mod queue_number;
mod read;
mod rerun;
mod session;
mod session_key;
mod signal;
mod start_key;
mod step_transaction;
mod sweep;
mod tls;
mod transition;
mod turn;
mod unreadable;
mod verify;
mod virtual_time;
mod watermarks;

pub use access_token::{AccessToken, KnownTokens};
pub use bulk::Bulk;
pub use chain::{Chain, ChainFault, ChainKey, Chaining, Verified};
pub use claim::{Claimed, Found, Parking, Sources};
pub use compact::{Compacted, Rows};
pub use connect::PostgresConfig;
pub use definition::{AtStart, DefinitionId, StoredDefinition};
pub use erase::{Erase, Erased};
pub use error::Error;
pub(crate) use error::chain;
pub use lane::{Lane, LaneId};
pub use listener::Listener;
pub use look::Look;
pub use measure::{Finding, Measured, Passed};
pub use migrate::{SCHEMA_VERSION, migrations_text};
pub use node::{Beat, NodeId, NodeRow, Peers};
pub use outbox::{Pending, Relaying};
pub use pool::Store;
pub use quarantine::Trial;
pub use read::{Filter, JournalRow, SagaRow, StartOptions, Visible, WaitRow};
pub use rerun::{RerunFate, Rerunning};
pub use session_key::SessionKey;
pub use signal::{Signal, SignalFate};
pub use start_key::{Keyed, stored_key};
pub use step_transaction::{RolledBack, Within};
pub use sweep::{NetCursor, Swept};
pub use transition::{AnsweredSignal, End, Start, StartKey, Transition, Written};
pub use turn::{Asked, TurnCursor, Turns};
pub use unreadable::Unreadable;
pub use verify::SagaRange;
pub use watermarks::Watermarks;

use tokio_postgres::Row;

/// Converts a count or an instant from the database, which has no unsigned types. A negative number, which amends
/// never stores, becomes 0.
fn millis(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Converts a count or an instant for the database. A number above `i64::MAX` becomes `i64::MAX`: as an instant, that
/// is 292 million years away.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads how many processes in a row died while they had the saga or rerun of this row.
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
