//! Start keys: whose they are, and look-ups of the saga that a key started and of the key that started a saga. The
//! starts write the keys.
//!
//! A key belongs to its owner: an application, or one caller over MCP. The stored form of a caller's key names the
//! caller, so that two owners never meet in one row. Only nodes make that form, from a caller that they have checked;
//! an application that writes it is refused. `amends.key_owner` in SQL reads the same form.

use std::time::Duration;

use uuid::Uuid;

use super::{Error, Store};
use crate::config::store as limits;

/// The key that started a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Name of the definition.
    pub name: String,
    /// Whose key it is: `mcp:NAME` for a caller over MCP. None: an application's.
    pub owner: Option<String>,
    /// The key, as its owner wrote it.
    pub key: String,
}

/// Begins the stored form of the keys of callers over MCP.
const CALLER: &str = "mcp:";
/// What the key of a caller begins with: it was named, belongs to one call, or stands for a window of time.
const MARKS: [&str; 3] = ["k:", "u:", "w:"];

/// Returns a start key in its stored form. Fails unless it has 1 to 512 bytes without NUL, if the key of an application
/// has the form of a caller's key, and if the key of a caller has another form.
pub fn stored_key(owner: Option<&str>, key: &str) -> Result<String, Error> {
    let stored = match owner {
        Some(owner) => format!("{owner}:{key}"),
        None => key.to_owned(),
    };
    if key.is_empty() || stored.len() > limits::KEY_BYTES_MAX || stored.contains('\0') {
        return Err(Error::Invalid(format!(
            "expected a key of 1 to {} bytes without NUL, found {} bytes",
            limits::KEY_BYTES_MAX,
            key.len()
        )));
    }
    match (owner, owner_of(&stored)) {
        (owner, found) if owner == found => Ok(stored),
        (None, _) => Err(Error::Invalid(format!(
            "expected a key of your own, found {key:?}, which has the form of the keys of callers over MCP; use \
             another key"
        ))),
        (Some(owner), _) => Err(Error::Invalid(format!("expected an owner mcp:NAME and a key k:KEY, found {owner:?}"))),
    }
}

/// Returns the owner that the stored form of a key names; none for the key of an application.
fn owner_of(stored: &str) -> Option<&str> {
    let (name, key) = stored.strip_prefix(CALLER)?.split_once(':')?;
    let is_owned = !name.is_empty() && MARKS.iter().any(|mark| key.starts_with(mark));
    is_owned.then(|| &stored[..CALLER.len() + name.len()])
}

impl Store {
    /// Finds the saga that a key of this owner started, if that was at most `within` ago.
    pub async fn started_by(
        &self,
        name: &str,
        owner: Option<&str>,
        key: &str,
        within: Duration,
    ) -> Result<Option<Uuid>, Error> {
        let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let stored = stored_key(owner, key)?;
        let sql = sql!("start_key", "find");
        let rows = self.query(sql, &[&name, &stored, &within]).await?;
        rows.first().map(|row| Ok(row.try_get("id")?)).transpose()
    }

    /// Reads the key that started a saga; none if it was started without one.
    pub async fn start_key_of(&self, saga: Uuid) -> Result<Option<Keyed>, Error> {
        let rows = self.query(sql!("start_key", "of_saga"), &[&saga]).await?;
        let keyed = |row: &tokio_postgres::Row| {
            let (owner, stored): (Option<String>, String) = (row.try_get("owner")?, row.try_get("key")?);
            let own = owner.as_ref().and_then(|owner| stored.strip_prefix(owner.as_str())?.strip_prefix(':'));
            let key = own.unwrap_or(&stored).to_owned();
            Ok(Keyed { name: row.try_get("name")?, owner, key })
        };
        rows.first().map(keyed).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_callers_key_is_no_applications() {
        for key in ["K9", "mcp", "mcp:", "mcp:order:5", "mcp::k:1", "mcp:a:b:k:1", "xmcp:ada:k:1", "k:1", " mcp:a:k:"] {
            assert_eq!(stored_key(None, key).unwrap(), key);
        }
        for key in ["mcp:ada:k:K9", "mcp:ada:k:", "mcp:a\nb:u:1", "mcp:~12:w:1:2:3", "mcp:a%3Ab:k:1"] {
            let refused = stored_key(None, key).unwrap_err().to_string();
            assert!(refused.contains("expected a key of your own"), "{key}: {refused}");
        }
        assert_eq!(stored_key(Some("mcp:ada"), "k:K9").unwrap(), "mcp:ada:k:K9");
        assert_eq!(owner_of("mcp:ada:k:mcp:bob:k:K9"), Some("mcp:ada"));
        for (owner, key) in [("mcp:ada", "K9"), ("mcp:", "k:1"), ("ada", "k:1"), ("mcp:a:k", "k:1"), ("", "mcp:a:k:1")]
        {
            assert!(stored_key(Some(owner), key).is_err(), "{owner} {key}");
        }
        for (owner, key) in [(None, ""), (None, "a\0b"), (Some("mcp:ada"), "")] {
            assert!(stored_key(owner, key).is_err(), "{owner:?} {key:?}");
        }
    }
}
