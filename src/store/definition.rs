//! Definitions by digest. Owns their rows; the core builds and checks them.

use std::sync::Arc;

use tokio_postgres::Row;

use super::pool::Params;
use super::{Error, Store};
use crate::config::store as limits;
use crate::saga::Definition;
use crate::saga::definition::{Draft, Millis};

/// Number of a definition in one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionId(pub i32);

/// A stored definition.
#[derive(Clone, Debug)]
pub struct StoredDefinition {
    /// Number in this database.
    pub id: DefinitionId,
    /// Hex SHA-256 of its canonical JSON.
    pub digest: String,
    /// Name.
    pub name: String,
    /// The draft as JSON.
    pub draft: String,
    /// When it was first registered.
    pub created_at: Millis,
    /// Whether it is the current definition of its name, which starts by name take.
    pub current: bool,
    /// Whether an operator has paused the definitions of this name.
    pub paused: bool,
}

/// What the database evaluates when a saga of a definition starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtStart {
    /// Path to the concurrency key in the input.
    pub concurrency: Option<Vec<String>>,
    /// `high`, `normal` or `low`; or `input` and a path into the input.
    pub priority: Option<Vec<String>>,
    /// `principal`; or `input` and a path into the input.
    pub fairness: Option<Vec<String>>,
    /// Most live sagas of each fairness key.
    pub quota_live: Option<i64>,
    /// Most bytes of their inputs together.
    pub quota_bytes: Option<i64>,
}

impl StoredDefinition {
    /// Builds the definition from its draft; an error says why this version of amends cannot.
    pub fn build(&self) -> Result<Arc<Definition>, String> {
        let draft: Draft = serde_json::from_str(&self.draft).map_err(|error| error.to_string())?;
        Definition::build(draft).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}

impl Store {
    /// Registers a definition and makes it the current one of its name, which starts by name take. The same digest
    /// again is the same definition.
    pub async fn put_definition(
        &self,
        digest: &str,
        name: &str,
        draft: &str,
        at_start: &AtStart,
    ) -> Result<DefinitionId, Error> {
        let sql = sql!("definition", "put");
        let AtStart { concurrency, priority, fairness, quota_live, quota_bytes } = at_start;
        let params: Params<'_> = &[&digest, &name, &draft, concurrency, priority, fairness, quota_live, quota_bytes];
        self.query(sql, params).await?;
        let rows = self.query(sql!("definition", "choose"), &[&digest]).await?;
        let row = rows.first().ok_or_else(|| Error::UnknownDefinition(digest.to_owned()))?;
        Ok(DefinitionId(row.try_get("id")?))
    }

    /// Notes which current definitions have starts that only go to the queue, once every node knows the queue.
    pub async fn note_plain_definitions(&self) -> Result<(), Error> {
        self.query(sql!("definition", "note_plain"), &[&limits::START_QUEUE_SCHEMA]).await.map(drop)
    }

    /// Reads the definition with this digest.
    pub async fn definition(&self, digest: &str) -> Result<Option<StoredDefinition>, Error> {
        Ok(self.read_definitions(Some(digest), None).await?.pop())
    }

    /// Reads the current definition of this name, which starts by name take.
    pub async fn current_definition(&self, name: &str) -> Result<Option<StoredDefinition>, Error> {
        Ok(self.read_definitions(None, Some(name)).await?.pop())
    }

    /// Reads all definitions, oldest first.
    pub async fn definitions(&self) -> Result<Vec<StoredDefinition>, Error> {
        self.read_definitions(None, None).await
    }

    async fn read_definitions(&self, digest: Option<&str>, name: Option<&str>) -> Result<Vec<StoredDefinition>, Error> {
        let rows = self.query(sql!("definition", "read"), &[&digest, &name]).await?;
        rows.iter().map(stored).collect()
    }
}

fn stored(row: &Row) -> Result<StoredDefinition, Error> {
    Ok(StoredDefinition {
        id: DefinitionId(row.try_get("id")?),
        digest: row.try_get("digest")?,
        name: row.try_get("name")?,
        draft: row.try_get("draft")?,
        created_at: super::millis(row.try_get("created_at")?),
        current: row.try_get("current")?,
        paused: row.try_get("paused")?,
    })
}
