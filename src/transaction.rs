//! The transaction that a transactional handler makes its effect in, in the runtime's own Postgres. Owns what
//! the handler is given, and that whatever is not committed is rolled back; committing is the store's.
//!
//! ```
//! use amends::participant::{Failure, Handlers, StepContext};
//! use amends::saga::definition::{Call, Draft, Step};
//! use amends::transaction::Transaction;
//! use serde_json::{Value, json};
//!
//! async fn take(context: StepContext, database: Transaction, order: Value) -> Result<Value, Failure> {
//!     let room = order["room"].as_str().unwrap_or_default();
//!     let taken = database.execute("update room set guest = $2 where name = $1 and guest is null", &[
//!         &room, &context.saga().to_string(),
//!     ]).await?;
//!     match taken {
//!         1 => Ok(json!({ "room": room })),
//!         _ => Err(Failure::permanent("taken", format!("the room {room} is taken"))),
//!     }
//! }
//!
//! async fn free(context: StepContext, database: Transaction, _: Value) -> Result<(), Failure> {
//!     let saga = context.saga().to_string();
//!     database.execute("update room set guest = null where guest = $1", &[&saga]).await?;
//!     Ok(())
//! }
//!
//! let handlers = Handlers::new().register_transactional("take", take).register_transactional("free", free);
//! let room = Step::new("room", Call::handler("take").transactional());
//! let stay = Draft::new("stay").step(room.compensation(Call::handler("free").transactional()));
//! ```

use std::ops::Deref;
use std::sync::Arc;

use tokio_postgres::Client;

/// A transaction that is open. It behaves as a connection of `tokio_postgres` does: `execute`, `query`,
/// `prepare` and their like work in it, and so do the functions of [`crate::barrier`]'s kind that take any
/// client. A `SAVEPOINT` and a `ROLLBACK TO` are fine. A `COMMIT` or `ROLLBACK` of the handler's own is
/// noticed and fails the attempt, but what it has committed stays: that is the one way to break the promise.
#[derive(Debug)]
pub struct Transaction {
    client: Arc<Client>,
}

impl Transaction {
    /// Lends a connection on which a transaction was begun.
    pub(crate) fn lend(client: &Arc<Client>) -> Self {
        Self { client: Arc::clone(client) }
    }
}

impl Deref for Transaction {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
