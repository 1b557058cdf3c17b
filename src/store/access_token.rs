//! Access tokens of callers over MCP. Owns storing, reading and revoking them. The secret part is never stored, only
//! its digest. The MCP door decides what a scope allows.

use std::time::Duration;

use tokio_postgres::Row;

use super::{Error, Store};
use crate::saga::definition::Millis;

/// A stored access token.
#[derive(Clone)]
pub struct AccessToken {
    /// Public part.
    pub id: String,
    /// Name of the caller.
    pub name: String,
    /// Digest of the secret part.
    pub digest: Vec<u8>,
    /// Scopes that it grants.
    pub scopes: Vec<String>,
    /// When it was created.
    pub created_at: Millis,
    /// When it expires; none: never.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    /// Whether it is neither expired nor revoked, by the database's clock.
    pub live: bool,
}

/// Which access tokens there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTokens {
    /// Whether there is one, whether it is live or not.
    pub any: bool,
    /// Whether there is one that is neither expired nor revoked.
    pub live: bool,
}

impl Store {
    /// Returns which access tokens there are.
    pub async fn known_access_tokens(&self) -> Result<KnownTokens, Error> {
        let row = self.query_once(sql!("access_token", "known"), &[]).await?;
        let row = row.first().ok_or_else(super::no_row)?;
        Ok(KnownTokens { any: row.try_get("any")?, live: row.try_get("live")? })
    }

    /// Stores a new access token that expires after `life`; without `life` it lives until it is revoked. Returns when
    /// it expires.
    pub async fn put_access_token(
        &self,
        id: &str,
        name: &str,
        digest: &[u8],
        scopes: &[String],
        life: Option<Duration>,
    ) -> Result<Option<Millis>, Error> {
        let life = life.map(|life| i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let sql = sql!("access_token", "put");
        let rows = self.query_once(sql, &[&id, &name, &digest, &scopes, &life]).await?;
        let expires_at: Option<i64> = rows.first().ok_or_else(super::no_row)?.try_get("expires_at")?;
        Ok(expires_at.map(super::millis))
    }

    /// Reads the access token with this public part.
    pub async fn access_token(&self, id: &str) -> Result<Option<AccessToken>, Error> {
        Ok(self.read_access_tokens(Some(id)).await?.pop())
    }

    /// Reads all access tokens, oldest first.
    pub async fn access_tokens(&self) -> Result<Vec<AccessToken>, Error> {
        self.read_access_tokens(None).await
    }

    /// Revokes an access token; returns whether it exists.
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
