//! The results of a verb: exit codes and error codes. Maps the errors of other rooms to them. `amends --help`
//! documents the exit codes.

use std::process::ExitCode;

use crate::{catalog, client, http, postgres, runtime, store};

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// The work of the verb failed.
    Failed,
    /// The command line or a value on it is wrong.
    Usage,
    /// The database cannot be reached or used.
    Database,
    /// The saga, definition or step does not exist.
    NotFound,
    /// The verb is not legal in this state.
    Refused,
    /// No answer came in time.
    Unanswered,
    /// SIGINT or SIGTERM ended the verb.
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Database => 3,
            Self::NotFound => 4,
            Self::Refused => 5,
            Self::Unanswered => 6,
            Self::Interrupted => 130,
        }
    }

    /// Returns the error code in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Database => "database",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Failure of a verb: exit code and message.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        Self::new(Exit::Database, error.to_string())
    }
}

impl From<catalog::Faults> for Failure {
    fn from(faults: catalog::Faults) -> Self {
        Self::failed(format!("found faults:\n{faults}"))
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<runtime::Error> for Failure {
    fn from(error: runtime::Error) -> Self {
        match error {
            runtime::Error::Store(error) => error.into(),
            runtime::Error::Faults(_) | runtime::Error::Stopped | runtime::Error::Threads(_) => {
                Self::failed(error.to_string())
            }
        }
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Store(error) => error.into(),
            client::Error::Input(_) => Self::new(Exit::Usage, error.to_string()),
            client::Error::KeyConflict(_) => Self::new(Exit::Refused, error.to_string()),
            client::Error::StartUnknown(_) => Self::new(Exit::Unanswered, error.to_string()),
            client::Error::Unreadable(..) | client::Error::Stopped => Self::failed(error.to_string()),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        let exit = match &error {
            store::Error::Unavailable(_)
            | store::Error::Schema(_)
            | store::Error::Settings(_)
            | store::Error::Rejected { .. } => Exit::Database,
            store::Error::UnknownSaga(_) | store::Error::UnknownDefinition(_) => Exit::NotFound,
            store::Error::SagaEnded(_)
            | store::Error::KeyConflict(_)
            | store::Error::QuotaExceeded(_)
            | store::Error::OutOfPlace(_) => Exit::Refused,
            store::Error::Busy(_) => Exit::Unanswered,
            store::Error::Invalid(_) => Exit::Usage,
            store::Error::Fenced => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}
