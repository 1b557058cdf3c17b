//! Listening for notifications: a session that hears when another transaction has given nodes something to do. Owns
//! the session and the row by which starts and requests know that a node listens. What is heard is a hint.

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Connection};

use super::error::chain;
use super::{Error, NodeId, PostgresConfig, Store};
use crate::config::store as limits;

/// Channel of the notifications. SQL names it too.
const CHANNEL: &str = "amends_wake";

/// Makes a session listen. The server may not end it because it does nothing.
const LISTEN: &str = "set idle_session_timeout = 0; listen amends_wake";

/// Session that listens.
#[derive(Debug)]
pub struct Listener {
    heard: watch::Receiver<Heard>,
    /// Notifications that were reported.
    reported: u64,
    task: JoinHandle<()>,
    /// The connection ends with its client.
    _client: Client,
}

/// What a session has heard.
#[derive(Debug, Default)]
struct Heard {
    notifications: u64,
    /// It heard the notification with its own payload.
    proved: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Waits for notifications; returns how many came. None: the connection is lost, and with it perhaps some
    /// notifications.
    pub async fn heard(&mut self) -> Option<u64> {
        let reported = self.reported;
        let heard = self.heard.wait_for(|heard| heard.notifications > reported).await;
        self.reported = heard.ok()?.notifications;
        Some(self.reported - reported)
    }
}

impl Store {
    /// Opens a session that listens, as [`Store::listen_at`] does, at the address of this store.
    pub async fn listen(&self) -> Result<Listener, Error> {
        self.listen_at(self.config()).await
    }

    /// Opens a session that listens, and proves that it hears what this store sends: a pooler that gives each
    /// transaction another server process would swallow the notifications. [`Error::Settings`] if it hears nothing.
    pub async fn listen_at(&self, config: &PostgresConfig) -> Result<Listener, Error> {
        let (client, connection) = config.driver.connect(config.tls.clone()).await?;
        let (hears, heard) = watch::channel(Heard::default());
        let payload = format!("{:032x}", rand::random::<u128>());
        let task = tokio::spawn(hear(connection, hears, payload.clone()));
        let mut listener = Listener { heard, reported: 0, task, _client: client };
        listener._client.batch_execute(LISTEN).await?;
        self.query_once(sql!("listener", "probe"), &[&payload]).await?;
        let most = Duration::from_millis(limits::PROBE_TIMEOUT_MS);
        match tokio::time::timeout(most, listener.heard.wait_for(|heard| heard.proved)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(Error::Unavailable("the session that listens was lost".to_owned())),
            Err(_) => return Err(Error::Settings(DEAF.to_owned())),
        }
        Ok(listener)
    }

    /// Records that a node listens: from now on starts and requests notify it.
    pub async fn put_listener(&self, node: NodeId) -> Result<(), Error> {
        self.query(sql!("listener", "put"), &[&node.0]).await?;
        Ok(())
    }

    /// Records that a node cannot listen, so that starts and requests do not pay for its notifications.
    pub async fn remove_listener(&self, node: NodeId) -> Result<(), Error> {
        self.query(sql!("listener", "remove"), &[&node.0]).await?;
        Ok(())
    }
}

const DEAF: &str = "expected a session that hears its notification, found one that does not; a pooler in transaction \
                    mode swallows them: connect the node directly, or to a pool in session mode";

/// Serves the connection until it ends, and counts the notifications. `payload` is that of the session's own.
async fn hear<S, T>(mut connection: Connection<S, T>, hears: watch::Sender<Heard>, payload: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notification(notification)) if notification.channel() == CHANNEL => {
                hears.send_modify(|heard| match notification.payload() {
                    "" => heard.notifications += 1,
                    other => heard.proved |= other == payload,
                });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = %chain(&error), "database connection closed");
                return;
            }
        }
    }
}
