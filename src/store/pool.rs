//! The store's handle: a connection pool for everything except batches. Owns the pool and runs single statements on
//! it. Lanes and handlers' transactions have connections of their own.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connect::session_settings;
use super::error::{Remedy, chain, remedy};
use super::idle_sessions::IdleSessions;
use super::statement::Sql;
use super::{Error, PostgresConfig};
use crate::config::store as limits;

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The store's handle. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    config: Arc<PostgresConfig>,
    within: Arc<IdleSessions>,
}

impl Store {
    /// Connects, and checks that the server can be used: Postgres 14 or newer, encoding UTF8, and no pooler in
    /// transaction mode.
    pub async fn connect(config: PostgresConfig) -> Result<Self, Error> {
        config.check_sessions().await?;
        let manager = Manager::from_config(
            config.driver.clone(),
            config.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let settings: Arc<str> = session_settings().into();
        let pool = Pool::builder(manager)
            .max_size(config.pool)
            // So that connections which are not needed stay unused, and are closed.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_millis(limits::POOL_WAIT_MS)))
            .create_timeout(Some(Duration::from_millis(limits::CONNECT_TIMEOUT_MS * 2)))
            .post_create(Hook::async_fn(move |client, _| {
                let settings = settings.clone();
                Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(|error| Error::Settings(chain(&error)))?;
        let store = Self { pool, config: Arc::new(config), within: Arc::default() };
        store.check_server().await?;
        Ok(store)
    }

    /// Returns the address of the database and how to connect to it.
    pub fn config(&self) -> &PostgresConfig {
        &self.config
    }

    /// Returns the idle sessions for handlers' transactions.
    pub(super) fn within(&self) -> &Arc<IdleSessions> {
        &self.within
    }

    /// Closes connections of the pool, and sessions for handlers' transactions, that nothing has used for
    /// `CONNECTION_IDLE_MS`.
    pub fn close_idle(&self) {
        let idle = Duration::from_millis(limits::CONNECTION_IDLE_MS);
        self.pool.retain(|_, used| used.last_used() < idle);
        self.within.close_idle(idle);
    }

    /// Closes all connections that nothing uses now.
    pub fn close_all(&self) {
        self.pool.retain(|_, _| false);
        self.within.close_idle(Duration::ZERO);
    }

    /// Returns how busy the pool is.
    pub(super) fn pool_status(&self) -> deadpool_postgres::Status {
        self.pool.status()
    }

    async fn check_server(&self) -> Result<(), Error> {
        let rows = self.query(sql!("node", "server"), &[]).await?;
        let row = rows.first().ok_or_else(super::no_row)?;
        let (version, encoding): (i32, String) = (row.try_get("version")?, row.try_get("encoding")?);
        if version < 140_000 {
            return Err(Error::Settings(format!(
                "expected Postgres 14 or newer, found {}.{}",
                version / 10_000,
                version % 10_000
            )));
        }
        if encoding != "UTF8" {
            return Err(Error::Settings(format!("expected a database with encoding UTF8, found {encoding}")));
        }
        Ok(())
    }

    /// Takes a connection from the pool.
    pub(super) async fn client(&self) -> Result<Object, Error> {
        Ok(self.pool.get().await?)
    }

    /// Runs a statement that may be repeated: a read, or a write with the same effect when it runs twice. Repeats it
    /// once: after a lost connection or a stale plan on a fresh connection, after a deadlock, a serialization failure
    /// or a cancellation on the same one.
    pub(super) async fn query(&self, sql: Sql, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let client = self.client().await?;
        match query_on(&client, sql, params).await {
            Ok(rows) => Ok(rows),
            Err(error) => match remedy(&error) {
                Remedy::Reconnect => {
                    drop(Object::take(client));
                    // Drops the idle connections too: a connection ends with the thread that drives it, so they may
                    // be lost as well.
                    self.pool.retain(|_, _| false);
                    Ok(query_on(&self.client().await?, sql, params).await?)
                }
                Remedy::Repeat => Ok(query_on(&client, sql, params).await?),
                Remedy::Split | Remedy::GiveUp => Err(error.into()),
            },
        }
    }

    /// Runs a statement once. Only the caller may decide to send it again.
    pub(super) async fn query_once(&self, sql: Sql, params: Params<'_>) -> Result<Vec<Row>, Error> {
        Ok(self.try_once(sql, params).await??)
    }

    /// Runs a statement once, for a caller that needs the server's error code.
    pub(super) async fn try_once(
        &self,
        sql: Sql,
        params: Params<'_>,
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>, Error> {
        let client = self.client().await?;
        let answer = query_on(&client, sql, params).await;
        if answer.as_ref().is_err_and(|error| remedy(error) == Remedy::Reconnect) {
            drop(Object::take(client));
        }
        Ok(answer)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.config.describe())
    }
}

async fn query_on(client: &Object, sql: Sql, params: Params<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = client.prepare_cached(sql.text).await?;
    sql.sending();
    let rows = client.query(&statement, params).await?;
    sql.answered();
    Ok(rows)
}
