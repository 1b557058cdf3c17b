//! Checks whether the server keeps what it has acknowledged. The caller decides what follows from the answer.

use super::{Error, Store};

impl Store {
    /// Checks that a commit survives a crash of the server: `fsync`, `synchronous_commit` and `full_page_writes` are
    /// on.
    pub async fn durability(&self) -> Result<(), Error> {
        let rows = self.query(sql!("node", "durability"), &[]).await?;
        let row = rows.first().ok_or_else(super::no_row)?;
        let off: Vec<&str> = ["fsync", "synchronous_commit", "full_page_writes"]
            .into_iter()
            .filter_map(|name| match row.try_get::<_, &str>(name) {
                Ok("off") => Some(Ok(name)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .collect::<Result<_, _>>()?;
        if off.is_empty() {
            return Ok(());
        }
        Err(Error::Settings(format!("expected a durable server, found {} off", off.join(" and "))))
    }
}
