//! A transition as the store takes it: a row of the journal and the changes that go with it. Also the result of
//! writing it.

use std::sync::Arc;

use uuid::Uuid;

use super::{DefinitionId, Error, stored_key};
use crate::saga::Json;
use crate::saga::state::Status;

/// One row of the journal, and the changes that go with it.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Id of the saga.
    pub id: Uuid,
    /// Position in its journal, from 1.
    pub seq: i32,
    /// Kind of event, as a word.
    pub kind: &'static str,
    /// The event as JSON.
    pub body: Json,
    /// Set in the first row: creates the saga, owned by the lane.
    pub start: Option<Start>,
    /// The status, if it or `attention` has changed; an end does not need it.
    pub status: Option<Status>,
    /// Goes with `status`: the steps in doubt or stuck as JSON, for people; none if there are none.
    pub attention: Option<Json>,
    /// Set in the last row.
    pub end: Option<End>,
    /// The signal that this row answers.
    pub signal: Option<AnsweredSignal>,
    /// An event for the outbox.
    pub outbox: Option<Json>,
    /// The row's link, if the journal is chained.
    pub link: Option<Box<[u8]>>,
}

/// What the first row creates.
#[derive(Clone, Debug)]
pub struct Start {
    /// The definition to which the saga is pinned.
    pub definition: DefinitionId,
    /// Makes the start idempotent.
    pub key: Option<StartKey>,
}

/// An idempotency key of a start, with the input that it stands for.
#[derive(Clone, Debug)]
pub struct StartKey {
    pub(super) owner: Option<Arc<str>>,
    /// In its stored form.
    pub(super) key: String,
    pub(super) input: Json,
}

impl StartKey {
    /// Makes the key of an application, checked as [`stored_key`] says.
    pub fn new(key: &str, input: Json) -> Result<Self, Error> {
        Self::owned(None, key, input)
    }

    /// Makes the key of an owner; none for the key of an application.
    pub fn owned(owner: Option<Arc<str>>, key: &str, input: Json) -> Result<Self, Error> {
        let key = stored_key(owner.as_deref(), key)?;
        Ok(Self { owner, key, input })
    }

    /// Returns the key in its stored form.
    pub fn as_str(&self) -> &str {
        &self.key
    }
}

/// How a saga ended.
#[derive(Clone, Debug)]
pub struct End {
    /// One of the three end statuses.
    pub status: Status,
    /// Result of the saga.
    pub result: Option<Json>,
}

/// What became of a signal.
#[derive(Clone, Debug)]
pub struct AnsweredSignal {
    /// Number of the signal.
    pub n: u64,
    /// Why it was refused; none if it was applied.
    pub refusal: Option<String>,
}

/// What became of one transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Accepted,
    /// Another lane wrote a row at this position of the journal, and so owns the saga: drop the actor.
    Refused,
    /// The key was used before with the same input; nothing was started.
    Duplicate {
        /// The saga that the key started.
        existing: Uuid,
    },
    /// The key was used before with another input; nothing was started.
    KeyConflict {
        /// The saga that the key started.
        existing: Uuid,
    },
    /// Another open transaction holds the saga's row or the key. Nothing was written: send the same row again after a
    /// while.
    Busy,
    /// The database cannot take this row, now or later: a defect. Nothing was written.
    Rejected {
        /// The database's message.
        message: String,
    },
}

impl Transition {
    /// Makes a row of the journal without further changes.
    pub fn new(id: Uuid, seq: i32, kind: &'static str, body: Json) -> Self {
        Self {
            id,
            seq,
            kind,
            body,
            start: None,
            status: None,
            attention: None,
            end: None,
            signal: None,
            outbox: None,
            link: None,
        }
    }

    /// Returns whether another transaction could hold a lock that the row needs.
    pub(super) fn may_wait(&self) -> bool {
        self.end.is_some() || self.status.is_some() || self.key().is_some()
    }

    /// Returns the idempotency key of a start.
    pub(super) fn key(&self) -> Option<&StartKey> {
        self.start.as_ref().and_then(|start| start.key.as_ref())
    }
}
