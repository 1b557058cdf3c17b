//! Errors of the store, one variant for each thing that a caller does differently. Owns sorting the driver's errors
//! into them. The files that know what is safe to send again do the retries.

use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// An error of the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The node or the lane was taken out of service: stop quietly, drop the actors, write nothing more.
    #[error("fenced: this node or lane was taken out of service")]
    Fenced,
    /// The database cannot be reached, or cannot serve now. Try the same again later.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// Another transaction is in the way for longer than a batch may wait. Try the same again later.
    #[error("busy: {0}")]
    Busy(String),
    /// There is no saga with this id.
    #[error("expected the id of a saga, found {0}")]
    UnknownSaga(Uuid),
    /// The saga has ended and takes no more signals.
    #[error("expected a saga that has not ended, found {0}")]
    SagaEnded(Uuid),
    /// No definition with this name or digest is registered.
    #[error("expected a registered definition, found {0:?}")]
    UnknownDefinition(String),
    /// The idempotency key was used before, with another input.
    #[error("{0}")]
    KeyConflict(String),
    /// The caller's fairness key is at its quota; the message says which, and the limit.
    #[error("{0}")]
    QuotaExceeded(String),
    /// An argument is out of bounds; the message says which, and the bounds.
    #[error("{0}")]
    Invalid(String),
    /// A request about a node, a definition or the place of a saga does not apply now; the message says what does.
    #[error("{0}")]
    OutOfPlace(String),
    /// The schema of the database is not the one that this program was built for.
    #[error("{0}")]
    Schema(String),
    /// The settings of the connection or of the server are wrong.
    #[error("database settings: {0}")]
    Settings(String),
    /// The database refused a statement for a reason that repeating cannot change: a defect, or missing rights.
    #[error("database refused a statement ({code}): {message}")]
    Rejected {
        /// SQLSTATE.
        code: String,
        /// The database's message.
        message: String,
    },
}

/// What to do about a server that is read-only.
pub(super) const READ_ONLY: &str = "expected a server that takes writes, found a hot standby, or one that is set to \
                                    read-only: promote it or take the setting back, or name the primary in the \
                                    database URL (several hosts with target_session_attrs=read-write find it)";

/// What to do about a failed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The connection is lost or cannot be trusted, and the outcome is unknown. Connect again and send again.
    Reconnect,
    /// The statement had no effect and may be sent again on the same connection.
    Repeat,
    /// The statement had no effect because it waited too long for a lock.
    Split,
    /// The statement had no effect, and would have none if it were sent again.
    GiveUp,
}

/// Returns what to do about a failed statement.
pub(super) fn remedy(error: &tokio_postgres::Error) -> Remedy {
    let Some(code) = error.code() else {
        return Remedy::Reconnect;
    };
    if *code == SqlState::LOCK_NOT_AVAILABLE {
        return Remedy::Split;
    }
    if *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED
        || *code == SqlState::QUERY_CANCELED
    {
        return Remedy::Repeat;
    }
    // After DDL the server may refuse a prepared statement (0A000), and behind a pooler the statement may be gone
    // (26000). After a failover the server may be read-only (25006). A fresh connection cures them all.
    let stale = *code == SqlState::FEATURE_NOT_SUPPORTED
        || *code == SqlState::INVALID_SQL_STATEMENT_NAME
        || *code == SqlState::DUPLICATE_PSTATEMENT
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION;
    if stale || is_unavailable(code) { Remedy::Reconnect } else { Remedy::GiveUp }
}

fn is_unavailable(code: &SqlState) -> bool {
    // 08 connection exceptions, 53 insufficient resources, 57P01 to 57P05 shutdown and start-up, 58 system errors.
    let code = code.code();
    code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") || code.starts_with("58")
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            return Self::Unavailable(chain(&error));
        };
        let message = match (database.detail(), database.hint()) {
            (Some(detail), _) => format!("{}: {detail}", database.message()),
            (None, Some(hint)) => format!("{}: {hint}", database.message()),
            (None, None) => database.message().to_owned(),
        };
        match database.code().code() {
            "AM003" => Self::UnknownDefinition(message),
            "AM004" => Self::KeyConflict(message),
            "AM011" => Self::QuotaExceeded(message),
            "AM005" => Self::Invalid(message),
            "AM006" | "AM007" | "AM008" | "AM009" | "AM014" => Self::OutOfPlace(message),
            "55P03" => Self::Busy(message),
            "25006" => Self::Unavailable(format!("{message}; {READ_ONLY}")),
            "40001" | "40P01" | "57014" | "0A000" | "26000" => Self::Unavailable(message),
            _ if is_unavailable(database.code()) => Self::Unavailable(message),
            code => Self::Rejected { code: code.to_owned(), message },
        }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => Self::from(error),
            other => Self::Unavailable(chain(&other)),
        }
    }
}

/// Returns an error with its causes. The driver's own text often says only "db error".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
