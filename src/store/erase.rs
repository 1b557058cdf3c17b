//! Forgetting: the payloads of ended sagas are erased by request, or when their retention has passed. Owns the
//! statements. The database's functions decide which fields stay.

use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{Error, Store};
use crate::config::store as limits;
use crate::saga::definition::Millis;

/// Which sagas to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erase {
    /// One saga, and the sagas that go on from it.
    Saga(Uuid),
    /// The saga that a start key began, and the sagas that go on from it.
    StartKey {
        /// The start key, as its owner writes it.
        key: String,
        /// Whose key it is: `mcp:NAME` for a caller over MCP. None: an application's.
        owner: Option<String>,
        /// Name of the definition. None: of any.
        definition: Option<String>,
    },
    /// Sagas of a definition, oldest first.
    Ended {
        /// Name of the definition.
        definition: String,
        /// Only sagas that ended before this instant.
        before: Millis,
        /// Only sagas that ended at this instant or later, which a call before told. None: all.
        after: Option<Millis>,
    },
}

/// What one call erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Number of sagas.
    pub sagas: u64,
    /// Sagas of the definition that have not ended, so that they were left.
    pub running: u64,
    /// For the next call: no saga that ended before is left.
    pub until: Option<Millis>,
}

impl Store {
    /// Erases the payloads of ended sagas, up to `ERASE_SAGAS_MAX` of a definition; repeat it until it erases none.
    /// States, times and who asked stay, and the erasure is recorded with the reason. None: there is no such saga, or
    /// no such start key. Errors: [`Error::OutOfPlace`] if the saga has not ended, [`Error::UnknownDefinition`],
    /// [`Error::Invalid`].
    pub async fn erase(&self, what: &Erase, reason: &str) -> Result<Option<Erased>, Error> {
        let (mut saga, mut key, mut owner, mut name, mut until, mut from) = (None, None, None, None, None, None);
        match what {
            Erase::Saga(id) => saga = Some(*id),
            Erase::StartKey { key: start_key, owner: of, definition } => {
                (key, owner, name) = (Some(start_key.as_str()), of.as_deref(), definition.as_deref());
            }
            Erase::Ended { definition, before, after } => {
                name = Some(definition.as_str());
                (until, from) = (Some(super::signed(*before)), after.map(super::signed));
            }
        }
        let most = limits::ERASE_SAGAS_MAX;
        let sql = sql!("erasure", "ask");
        let rows = match self.try_once(sql, &[&reason, &saga, &key, &name, &until, &from, &most, &owner]).await? {
            Ok(rows) => rows,
            Err(error) if error.code().map(SqlState::code) == Some("AM001") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let row = rows.first().ok_or_else(super::no_row)?;
        let sagas: i32 = row.try_get("sagas")?;
        let until: Option<i64> = row.try_get("until")?;
        Ok(Some(Erased {
            sagas: sagas.unsigned_abs().into(),
            running: super::count(&rows, "running")?,
            until: until.map(super::millis),
        }))
    }

    /// Erases the payloads of sagas whose retention has passed, in steps. Returns how many. A later call goes on
    /// after `ERASE_STEPS_MAX` steps.
    pub async fn erase_expired(&self) -> Result<u64, Error> {
        let (most, mut erased) = (limits::ERASE_SAGAS_MAX, 0);
        for _ in 0..limits::ERASE_STEPS_MAX {
            let rows = self.query(sql!("erasure", "expired"), &[&most]).await?;
            let here: i32 = rows.first().ok_or_else(super::no_row)?.try_get("erased")?;
            erased += u64::from(here.unsigned_abs());
            if here == 0 {
                break;
            }
        }
        Ok(erased)
    }

    /// Returns when the payloads of a saga were erased.
    pub async fn erased_at(&self, id: Uuid) -> Result<Option<Millis>, Error> {
        let rows = self.query(sql!("erasure", "of_saga"), &[&id]).await?;
        rows.first().map(|row| Ok(super::millis(row.try_get("erased_at")?))).transpose()
    }
}
