//! Keys that seal the ids of sessions over HTTP. All nodes use the same keys, which the database makes and replaces.
//! Leaves their use to the MCP door.

use super::{Error, Store, signed};

/// A key that seals session ids.
#[derive(Clone)]
pub struct SessionKey {
    /// The secret key: 32 bytes.
    pub key: Vec<u8>,
    /// Whether it seals new ids. The others open ids: one sealed until now, and one will seal next.
    pub is_current: bool,
}

impl Store {
    /// Reads the keys that open session ids. A key seals for `period_s` seconds. Makes the keys that are missing, and
    /// deletes those that are no longer used.
    pub async fn session_keys(&self, period_s: u64) -> Result<Vec<SessionKey>, Error> {
        let rows = self.query(sql!("session_key", "read"), &[&signed(period_s)]).await?;
        let key = |row: &tokio_postgres::Row| {
            Ok::<_, Error>(SessionKey { key: row.try_get("key")?, is_current: row.try_get("is_current")? })
        };
        rows.iter().map(key).collect()
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionKey").field("is_current", &self.is_current).finish_non_exhaustive()
    }
}
