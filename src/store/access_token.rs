//! Access tokens of callers. Owns keeping, reading and revoking them; the secret itself is never here, and
//! what a scope allows is the door's to say.

use std::time::Duration;

use tokio_postgres::Row;

use super::{Error, Store};
use crate::saga::definition::Millis;

/// An access token as it is kept.
#[derive(Clone)]
pub struct AccessToken {
    /// Public part.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// Digest of the secret part.
    pub digest: Vec<u8>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends by itself.
    pub expires_at: Option<Millis>,
    /// When somebody revoked it.
    pub revoked_at: Option<Millis>,
    /// Whether it is neither over nor revoked, by the database's clock.
    pub live: bool,
}

impl Store {
    /// Keeps a new access token for `life`, or until it is revoked.
    pub async fn put_access_token(
        &self,
        id: &str,
        name: &str,
        digest: &[u8],
        scopes: &[String],
        life: Option<Duration>,
    ) -> Result<(), Error> {
        let life = life.map(|life| i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let sql = sql!("access_token", "put");
        self.query_once(sql, &[&id, &name, &digest, &scopes, &life]).await?;
        Ok(())
    }

    /// Reads the access token of this public part.
    pub async fn access_token(&self, id: &str) -> Result<Option<AccessToken>, Error> {
        Ok(self.read_access_tokens(Some(id)).await?.pop())
    }

    /// Reads all access tokens, oldest first.
    pub async fn access_tokens(&self) -> Result<Vec<AccessToken>, Error> {
        self.read_access_tokens(None).await
    }

    /// Revokes an access token; returns whether there is one.
    pub async fn revoke_access_token(&self, id: &str) -> Result<bool, Error> {
        let rows = self.query(sql!("access_token", "revoke"), &[&id]).await?;
        Ok(!rows.is_empty())
    }

    async fn read_access_tokens(&self, id: Option<&str>) -> Result<Vec<AccessToken>, Error> {
        let rows = self.query(sql!("access_token", "read"), &[&id]).await?;
        rows.iter().map(kept).collect()
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

fn kept(row: &Row) -> Result<AccessToken, Error> {
    let moment = |name| Ok::<_, Error>(row.try_get::<_, Option<i64>>(name)?.map(super::millis));
    Ok(AccessToken {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        digest: row.try_get("digest")?,
        scopes: row.try_get("scopes")?,
        created_at: super::millis(row.try_get("created_at")?),
        expires_at: moment("expires_at")?,
        revoked_at: moment("revoked_at")?,
        live: row.try_get("live")?,
    })
}
