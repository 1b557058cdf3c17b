//! Signals: what operators and drivers ask of a saga. Owns asking and reading. The core decides what becomes of a
//! signal; the transition that answers the signal records the decision.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::payload::Stored;
use super::pool::Params;
use super::statement::Sql;
use super::{Error, Store};
use crate::config::store::CLAIM_MARK;
use crate::saga::definition::Millis;
use crate::saga::event::{Event, Request};
use crate::saga::{Asker, Json};

/// What became of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalFate {
    /// The saga did what was asked.
    Applied,
    /// The saga refused, for this reason.
    Refused(String),
    /// The saga ended before it saw the signal.
    Moot,
}

/// One signal.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Number within its saga, from 1.
    pub n: u64,
    /// When it was asked.
    pub at: Millis,
    /// The asker: the session user as the database saw it, or the caller on whose behalf a node asked.
    pub by: String,
    /// Application name of the asking session.
    pub application_name: String,
    /// Network address of the asking session; none for a local session, or if a node asked on behalf of a caller.
    pub addr: Option<String>,
    /// The request as it was written: JSON, from any program.
    pub request: Json,
    /// What became of it: `applied` or `refused`; none before the saga has answered.
    pub fate: Option<String>,
    /// Reason of a refusal.
    pub answer: Option<String>,
}

impl Signal {
    /// Returns who asks: the name, and the person that the session claims.
    pub fn asker(&self) -> Asker {
        asker(&self.by, &self.application_name)
    }
}

impl Store {
    /// Asks something of a saga; returns the number of the signal. Errors: [`Error::UnknownSaga`],
    /// [`Error::SagaEnded`].
    pub async fn signal(&self, id: Uuid, request: &Request) -> Result<u64, Error> {
        self.ask(id, request, None).await
    }

    /// Asks on behalf of a caller that a door knows and the database does not; the journal records the caller's name.
    pub async fn signal_for(&self, asker: &str, id: Uuid, request: &Request) -> Result<u64, Error> {
        self.ask(id, request, Some(asker)).await
    }

    async fn ask(&self, id: Uuid, request: &Request, asker: Option<&str>) -> Result<u64, Error> {
        let text = serde_json::to_string(request).map_err(|error| Error::Invalid(format!("request: {error}")))?;
        self.asked(id, sql!("signal", "request"), &[&id, &Stored::of_text(&text), &asker]).await
    }

    /// Runs a statement that asks something of a saga, once; returns the number of the signal.
    pub(super) async fn asked(&self, id: Uuid, sql: Sql, params: Params<'_>) -> Result<u64, Error> {
        match self.try_once(sql, params).await? {
            Ok(rows) => Ok(super::millis(rows.first().ok_or_else(super::no_row)?.try_get("n")?)),
            Err(error) => Err(match error.code().map(SqlState::code) {
                Some("AM001") => Error::UnknownSaga(id),
                Some("AM002") => Error::SagaEnded(id),
                _ => error.into(),
            }),
        }
    }

    /// Reads the signals of one saga after number `seen`, in order.
    pub async fn signals_after(&self, id: Uuid, seen: u64) -> Result<Vec<Signal>, Error> {
        Ok(self.signals(&[(id, seen)]).await?.into_iter().map(|(_, signal)| signal).collect())
    }

    /// Reads what became of signal `n` of a saga; none before the saga has answered.
    pub async fn signal_fate(&self, id: Uuid, n: u64) -> Result<Option<SignalFate>, Error> {
        let signals = self.signals_after(id, n.saturating_sub(1)).await?;
        let found = signals.into_iter().find(|signal| signal.n == n);
        match found.as_ref().and_then(|signal| signal.fate.as_deref()) {
            Some("applied") => return Ok(Some(SignalFate::Applied)),
            Some(_) => {
                let answer = found.and_then(|signal| signal.answer).unwrap_or_default();
                return Ok(Some(SignalFate::Refused(answer)));
            }
            None => {}
        }
        if self.saga(id).await?.is_some_and(|saga| !saga.status.is_end()) {
            return Ok(None);
        }
        // The saga has ended. Its journal tells what became of the signal; without a row there the signal is moot.
        let journal = self.journal(id).await?;
        let mut events = journal.iter().filter_map(|row| row.event().ok());
        let fate = events.find_map(|event| match event {
            Event::Requested(event) if event.signal == n => Some(SignalFate::Applied),
            Event::RequestRefused(event) if event.signal == n => Some(SignalFate::Refused(event.reason)),
            _ => None,
        });
        Ok(Some(fate.unwrap_or(SignalFate::Moot)))
    }

    /// Reads the signals of several sagas, each after its own number, ordered by id and number.
    pub async fn signals(&self, after: &[(Uuid, u64)]) -> Result<Vec<(Uuid, Signal)>, Error> {
        let ids: Vec<Uuid> = after.iter().map(|(id, _)| *id).collect();
        let seen: Vec<i64> = after.iter().map(|(_, seen)| super::signed(*seen)).collect();
        let rows = self.query(sql!("signal", "after"), &[&ids, &seen]).await?;
        rows.iter().map(|row| Ok((row.try_get("id")?, stored(row)?))).collect()
    }
}

/// Returns the asker of this name whose session has this application name. What follows `, claims ` there is the
/// person, as the session claims.
pub(super) fn asker(name: &str, application_name: &str) -> Asker {
    let person = application_name.split_once(CLAIM_MARK).map(|(_, person)| person).filter(|person| !person.is_empty());
    Asker { claims: person.map(Arc::from), ..Asker::new(name) }
}

fn stored(row: &Row) -> Result<Signal, Error> {
    let request = Stored::read(row, "request")?;
    Ok(Signal {
        n: super::millis(row.try_get("n")?),
        at: super::millis(row.try_get("at")?),
        by: row.try_get("by")?,
        application_name: row.try_get("application_name")?,
        addr: row.try_get("addr")?,
        // Postgres has checked that it is JSON. JSON that is nested deeper than serde reads becomes null, and is
        // refused.
        request: request.json().unwrap_or_else(Json::null),
        fate: row.try_get("fate")?,
        answer: Stored::maybe(row, "answer")?.map(|answer| answer.text().to_owned()),
    })
}
