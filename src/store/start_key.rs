//! Look-ups of start keys: the saga that a key started, and the key that started a saga. The starts write the keys.

use std::time::Duration;

use uuid::Uuid;

use super::{Error, Store};

/// The key that started a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Name of the definition.
    pub name: String,
    /// The key.
    pub key: String,
}

impl Store {
    /// Finds the saga that a key started, if that was at most `within` ago.
    pub async fn started_by(&self, name: &str, key: &str, within: Duration) -> Result<Option<Uuid>, Error> {
        let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let sql = sql!("start_key", "find");
        let rows = self.query(sql, &[&name, &key, &within]).await?;
        rows.first().map(|row| Ok(row.try_get("id")?)).transpose()
    }

    /// Reads the key that started a saga; none if it was started without one.
    pub async fn start_key_of(&self, saga: Uuid) -> Result<Option<Keyed>, Error> {
        let rows = self.query(sql!("start_key", "of_saga"), &[&saga]).await?;
        let keyed = |row: &tokio_postgres::Row| Ok(Keyed { name: row.try_get("name")?, key: row.try_get("key")? });
        rows.first().map(keyed).transpose()
    }
}
