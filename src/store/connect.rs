//! Connecting: the connection string, `sslmode` and the session settings. Owns opening single connections; `pool.rs`
//! owns the pool, and `lane.rs` keeps a lane's connection.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Error;
use super::guard::Connector;
use super::tls::{self, Check};
use crate::config::store::{self as limits, CLAIM_MARK};
use crate::peer::is_loopback;

/// Address of the database and how to connect to it.
#[derive(Clone)]
pub struct PostgresConfig {
    pub(super) driver: tokio_postgres::Config,
    pub(super) tls: Connector,
    pub(super) pool: usize,
    pub(super) reach: Reach,
}

/// How far away the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Behind Unix sockets.
    Sockets,
    /// On this machine: every host is a loopback address or `localhost`.
    Loopback,
    /// On another machine, as far as the names tell.
    Network,
}

impl PostgresConfig {
    /// Parses a connection string: a URL or `key=value` pairs. `sslmode` has libpq's meaning: `disable`, `prefer`,
    /// `require` (with a file as `sslrootcert` the same as `verify-ca`), `verify-ca`, `verify-full`. The default is
    /// `verify-full`, or `prefer` if every host is on this machine. `sslrootcert` is a PEM file, or `system`.
    /// Connections over Unix sockets use no TLS. A password is never sent in cleartext, unless over a socket or to a
    /// server whose certificate was checked. Errors never repeat the password.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (rest, ssl) = split_ssl(text);
        let mut driver: tokio_postgres::Config =
            rest.parse().map_err(|error: tokio_postgres::Error| Error::Settings(super::error::chain(&error)))?;
        if driver.get_hosts().is_empty() && driver.get_hostaddrs().is_empty() {
            return Err(Error::Settings("expected a host in the connection string, found none".to_owned()));
        }
        let reach = reach(&mut driver)?;
        let is_implied = ssl.mode.is_none() && reach == Reach::Network;
        let (mode, check, roots) = ssl.decide(reach)?;
        let is_verified = match check {
            Check::Nothing => false,
            // The machine's own authorities issue certificates for everybody.
            Check::Authority => roots.is_some(),
            Check::AuthorityAndName => true,
        };
        let is_direct = driver.get_ssl_negotiation() == SslNegotiation::Direct;
        let tls = tls::connector(check, roots.as_deref(), is_implied)?;
        let tls = Connector { tls, mode, is_direct, is_verified, is_implied };
        if reach == Reach::Sockets {
            driver.ssl_mode(SslMode::Disable);
        } else {
            // The connector does it all, whatever the mode.
            driver.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        }
        if driver.get_application_name().is_none() {
            driver.application_name("amends");
        }
        if driver.get_connect_timeout().is_none() {
            driver.connect_timeout(Duration::from_millis(limits::CONNECT_TIMEOUT_MS));
        }
        driver
            .keepalives_idle(Duration::from_millis(limits::KEEPALIVE_IDLE_MS))
            .keepalives_interval(Duration::from_millis(limits::KEEPALIVE_INTERVAL_MS))
            .keepalives_retries(limits::KEEPALIVE_RETRIES_MAX)
            .tcp_user_timeout(Duration::from_millis(limits::TCP_USER_TIMEOUT_MS));
        Ok(Self { driver, tls, pool: limits::POOL_CONNECTIONS, reach })
    }

    /// Sets the largest number of connections in the store's pool; lanes have their own. Default 8; at least 1.
    pub fn with_pool(mut self, connections: usize) -> Self {
        self.pool = connections.max(1);
        self
    }

    /// Adds a claim of who asks to the application's name. Requests and journals keep it beside the session's user,
    /// which the database has checked.
    pub fn with_claim(mut self, name: &str) -> Self {
        let application = self.driver.get_application_name().unwrap_or("amends").to_owned();
        let claim = format!("{CLAIM_MARK}{name}");
        let left = APPLICATION_NAME_BYTES_MAX.saturating_sub(claim.len());
        let mut end = left.min(application.len());
        while !application.is_char_boundary(end) {
            end -= 1;
        }
        self.driver.application_name(format!("{}{claim}", &application[..end]));
        self
    }

    /// Returns the driver's settings, for the demo's participants, which keep ledgers of their own.
    pub(crate) fn into_parts(self) -> (tokio_postgres::Config, Connector) {
        (self.driver, self.tls)
    }

    /// Names the database for people: hosts, ports and database name, never the password.
    pub fn describe(&self) -> String {
        let ports = self.driver.get_ports();
        let port = |index| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let hosts: Vec<String> = self
            .driver
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| match host {
                Host::Tcp(name) => format!("{name}:{}", port(index)),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}:{}", path.display(), port(index)),
            })
            .collect();
        format!("{}/{}", hosts.join(","), self.driver.get_dbname().unwrap_or_default())
    }

    /// Says how a connection is protected, and what to do about it; nothing if that is good. `ssl`: the server says
    /// that it is encrypted.
    pub(super) fn protection(&self, ssl: bool, version: &str) -> (String, Option<String>) {
        let remedy = "use sslmode=verify-full, with the authority of the server as sslrootcert".to_owned();
        match (self.reach, ssl) {
            (Reach::Sockets, _) => ("a Unix socket of this machine".to_owned(), None),
            (_, true) if self.tls.is_verified => (format!("{version}, the server is verified"), None),
            (Reach::Loopback, true) => (format!("{version} on this machine, the server is not verified"), None),
            (Reach::Loopback, false) => ("not encrypted, on this machine".to_owned(), None),
            (Reach::Network, true) => (format!("{version}, but the server is not verified"), Some(remedy)),
            (Reach::Network, false) => ("not encrypted, across a network".to_owned(), Some(remedy)),
        }
    }

    /// Opens one connection with the server's default settings. The task ends with the connection.
    pub(super) async fn dial(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.driver.connect(self.tls.clone()).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %super::error::chain(&error), "database connection closed");
            }
        });
        Ok((client, task))
    }

    /// Checks that a session keeps its server process. A pooler in transaction mode gives each transaction another
    /// process: the session settings would reach other clients, and prepared statements would be gone.
    pub(super) async fn check_sessions(&self) -> Result<(), Error> {
        let ((one, one_task), (other, other_task)) = tokio::try_join!(self.dial(), self.dial())?;
        let looked = async {
            for _ in 0..limits::SESSION_LOOKS {
                let before = process_of(&one).await?;
                other.batch_execute("begin").await?;
                let held = process_of(&other).await?;
                // The open transaction holds its process, so a pooler must give the other connection a different one.
                let moved = before == held || before != process_of(&one).await?;
                other.batch_execute("rollback").await?;
                if moved {
                    return Ok::<_, Error>(true);
                }
            }
            Ok(false)
        }
        .await;
        one_task.abort();
        other_task.abort();
        if looked? { Err(Error::Settings(POOLED.to_owned())) } else { Ok(()) }
    }

    /// Opens one connection with the store's session settings. The task ends with the connection.
    pub(crate) async fn open(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, task) = self.dial().await?;
        match client.batch_execute(&session_settings()).await {
            Ok(()) => Ok((client, task)),
            Err(error) => {
                task.abort();
                Err(error.into())
            }
        }
    }
}

impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresConfig({})", self.describe())
    }
}

/// Longest name of an application that Postgres keeps, in bytes.
const APPLICATION_NAME_BYTES_MAX: usize = 63;

const POOLED: &str = "expected a connection that keeps its server process, found a pooler in transaction mode; connect \
                      directly, or to a pool in session mode: a node needs a dozen connections for any number of \
                      sagas. `amends.start`, the operators' functions and the views work through the pooler";

/// Returns the id of the server process behind a connection, without a prepared statement.
async fn process_of(client: &Client) -> Result<Option<String>, Error> {
    let answer = client.simple_query("select pg_catalog.pg_backend_pid()").await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// Returns the SQL that sets up every session of the store:
///
/// - The names of Postgres alone: an operator of another schema in the path could be the better match and would run
///   with the rights of the node. What belongs to amends is qualified everywhere.
/// - Read committed: each statement has a snapshot of its own.
/// - Limits on waiting, so that a backend whose client is gone holds no lock for long. Some platforms cannot watch a
///   client's connection; there the server goes without that check.
/// - Generic plans, which do not depend on the statistics of tables that are empty half of the time. They take rows in
///   key order; a bitmap scan would not.
/// - Commits that are at least as durable as the local disk.
pub(super) fn session_settings() -> String {
    format!(
        "set search_path = pg_catalog, pg_temp; \
         set default_transaction_isolation = 'read committed'; \
         set statement_timeout = {}; set lock_timeout = {}; set idle_in_transaction_session_timeout = {}; \
         set client_min_messages = warning; set jit = off; set plan_cache_mode = force_generic_plan; \
         set enable_seqscan = off; set enable_bitmapscan = off; set enable_mergejoin = off; \
         do $$ begin \
             perform set_config('client_connection_check_interval', '{}', false); \
         exception when others then null; end $$; \
         select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'",
        limits::STATEMENT_TIMEOUT_MS,
        limits::LOCK_TIMEOUT_MS,
        limits::IDLE_IN_TRANSACTION_TIMEOUT_MS,
        limits::CONNECTION_CHECK_INTERVAL_MS,
    )
}

/// Finds out how far away the hosts are. Gives each address without a name its own text as the name, which the driver
/// needs for TLS.
fn reach(driver: &mut tokio_postgres::Config) -> Result<Reach, Error> {
    let is_socket = |host: &Host| match host {
        Host::Tcp(_) => false,
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    let addresses = driver.get_hostaddrs().to_vec();
    if addresses.is_empty() {
        let sockets = driver.get_hosts().iter().filter(|host| is_socket(host)).count();
        if sockets == driver.get_hosts().len() {
            return Ok(Reach::Sockets);
        }
        if sockets > 0 {
            return Err(Error::Settings(
                "expected hosts of one kind in the connection string, found folders of Unix sockets and names; \
                 use the sockets alone, or write localhost instead of them"
                    .to_owned(),
            ));
        }
    }
    if driver.get_hosts().is_empty() {
        for address in &addresses {
            driver.host(address.to_string());
        }
    }
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => is_this_machine(name),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    // An address is where the connection goes, whatever name stands beside it.
    let all_here = match addresses.is_empty() {
        true => driver.get_hosts().iter().all(is_here),
        false => addresses.iter().copied().all(is_loopback),
    };
    Ok(if all_here { Reach::Loopback } else { Reach::Network })
}

fn is_this_machine(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => is_loopback(address),
        // RFC 6761: `localhost` and the names below it are this machine.
        Err(_) => {
            let name = bare.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// The TLS parameters that the driver does not know, or knows only in part.
#[derive(Debug, Default)]
struct Ssl {
    mode: Option<String>,
    root: Option<String>,
}

impl Ssl {
    fn take(&mut self, key: &str, value: &str) -> bool {
        let slot = match key {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            _ => return false,
        };
        *slot = Some(value.to_owned());
        true
    }

    fn decide(self, reach: Reach) -> Result<(SslMode, Check, Option<PathBuf>), Error> {
        let root = self.root.filter(|root| root != "system").map(PathBuf::from);
        let (mode, check) = match self.mode.as_deref() {
            Some("disable") => (SslMode::Disable, Check::Nothing),
            None if reach == Reach::Network => (SslMode::Require, Check::AuthorityAndName),
            None | Some("prefer") => (SslMode::Prefer, Check::Nothing),
            Some("require") if root.is_some() => (SslMode::Require, Check::Authority),
            Some("require") => (SslMode::Require, Check::Nothing),
            Some("verify-ca") => (SslMode::Require, Check::Authority),
            Some("verify-full") => (SslMode::Require, Check::AuthorityAndName),
            Some(other) => {
                return Err(Error::Settings(format!(
                    "sslmode: expected disable, prefer, require, verify-ca or verify-full, found {other:?}"
                )));
            }
        };
        Ok((mode, check, root))
    }
}

/// Takes `sslmode` and `sslrootcert` out of a connection string; returns the rest and both values.
fn split_ssl(text: &str) -> (String, Ssl) {
    let mut ssl = Ssl::default();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        let kept: Vec<&str> = pairs(text)
            .filter(|pair| match pair.split_once('=') {
                Some((key, value)) => !ssl.take(key.trim(), value.trim().trim_matches('\'')),
                None => true,
            })
            .collect();
        return (kept.join(" "), ssl);
    }
    let Some((base, query)) = text.split_once('?') else {
        return (text.to_owned(), ssl);
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| match pair.split_once('=') {
            Some((key, value)) => !ssl.take(key, &percent_decoded(value)),
            None => true,
        })
        .collect();
    let rest = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    (rest, ssl)
}

/// Splits `key=value` pairs at white space outside quotes; a backslash escapes the next character.
fn pairs(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter: char| {
        let plain = !escaped;
        escaped = plain && letter == '\\';
        quoted ^= plain && letter == '\'';
        plain && !quoted && letter.is_whitespace()
    })
    .filter(|pair| !pair.is_empty())
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, rest: &str, mode: Option<&str>, root: Option<&str>) {
        let (found, ssl) = split_ssl(text);
        assert_eq!((found.as_str(), ssl.mode.as_deref(), ssl.root.as_deref()), (rest, mode, root), "{text}");
    }

    #[test]
    fn takes_ssl_parameters_out_of_any_connection_string() {
        check("postgres://u:p%40@h/d", "postgres://u:p%40@h/d", None, None);
        check("postgres://h/d?sslmode=verify-full", "postgres://h/d", Some("verify-full"), None);
        check(
            "postgresql://h/d?a=b&sslrootcert=%2Fx%20y.pem&sslmode=require&c=d",
            "postgresql://h/d?a=b&c=d",
            Some("require"),
            Some("/x y.pem"),
        );
        check("host=h sslmode=verify-ca dbname=d", "host=h dbname=d", Some("verify-ca"), None);
        check("host=h password='a  b'", "host=h password='a  b'", None, None);
        check(
            r"password='it\'s  sslmode=x' sslmode='require'  host=h",
            r"password='it\'s  sslmode=x' host=h",
            Some("require"),
            None,
        );
    }

    #[test]
    fn a_host_on_another_machine_is_verified_unless_the_settings_say_otherwise() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/ca.crt");
        for (text, reach, mode, verified) in [
            ("postgres://db/d", Reach::Network, SslMode::Require, true),
            ("postgres://u:p@10.0.0.7:6432/d", Reach::Network, SslMode::Require, true),
            ("postgres://[2001:db8::1]/d", Reach::Network, SslMode::Require, true),
            ("postgres://one,two/d", Reach::Network, SslMode::Require, true),
            ("postgres://localhost,two/d", Reach::Network, SslMode::Require, true),
            ("host=db hostaddr=10.0.0.7 dbname=d", Reach::Network, SslMode::Require, true),
            ("hostaddr=10.0.0.7 dbname=d", Reach::Network, SslMode::Require, true),
            ("host=localhost hostaddr=10.0.0.7", Reach::Network, SslMode::Require, true),
            ("postgres://localhost.example.com/d", Reach::Network, SslMode::Require, true),
            ("postgres://127.0.0.1.example.com/d", Reach::Network, SslMode::Require, true),
            ("postgres://localhost/d", Reach::Loopback, SslMode::Prefer, false),
            ("postgres://LOCALHOST./d", Reach::Loopback, SslMode::Prefer, false),
            ("postgres://127.0.0.1,127.9.9.9:6/d", Reach::Loopback, SslMode::Prefer, false),
            ("postgres://[::1]/d", Reach::Loopback, SslMode::Prefer, false),
            ("postgres://[::ffff:127.0.0.1]/d", Reach::Loopback, SslMode::Prefer, false),
            ("host=db hostaddr=127.0.0.1", Reach::Loopback, SslMode::Prefer, false),
            ("host=/run/postgresql dbname=d", Reach::Sockets, SslMode::Prefer, false),
            ("postgres://%2Frun%2Fpostgresql/d", Reach::Sockets, SslMode::Prefer, false),
            ("postgres://db/d?sslmode=prefer", Reach::Network, SslMode::Prefer, false),
            ("postgres://db/d?sslmode=disable", Reach::Network, SslMode::Disable, false),
            ("postgres://db/d?sslmode=require", Reach::Network, SslMode::Require, false),
            ("postgres://db/d?sslmode=verify-full&sslrootcert=ROOT", Reach::Network, SslMode::Require, true),
            ("postgres://db/d?sslmode=verify-ca&sslrootcert=ROOT", Reach::Network, SslMode::Require, true),
            ("postgres://localhost/d?sslmode=verify-full&sslrootcert=ROOT", Reach::Loopback, SslMode::Require, true),
        ] {
            let config = PostgresConfig::parse(&text.replace("ROOT", root)).unwrap();
            assert_eq!((config.reach, config.tls.mode, config.tls.is_verified), (reach, mode, verified), "{text}");
        }
        let error = PostgresConfig::parse("host=/run/postgresql,db dbname=d").unwrap_err().to_string();
        assert!(error.contains("hosts of one kind"), "{error}");
    }

    #[test]
    fn each_host_is_named_with_its_port() {
        for (url, expected) in [
            ("postgres://u:hunter2@one/d", "one:5432/d"),
            ("postgres://u:hunter2@one:5,two:6/d?target_session_attrs=read-write", "one:5,two:6/d"),
            ("host=one,two port=7 dbname=d", "one:7,two:7/d"),
        ] {
            assert_eq!(PostgresConfig::parse(url).unwrap().describe(), expected);
        }
    }

    #[test]
    fn a_claim_stands_beside_the_name_of_the_application() {
        for (url, expected) in [
            ("postgres://h/d", "amends, claims ada"),
            ("postgres://h/d?application_name=billing", "billing, claims ada"),
        ] {
            let config = PostgresConfig::parse(url).unwrap().with_claim("ada");
            assert_eq!(config.driver.get_application_name(), Some(expected));
        }
        let long = format!("postgres://h/d?application_name={}", "%C3%BC".repeat(40));
        let config = PostgresConfig::parse(&long).unwrap().with_claim("ada");
        let name = config.driver.get_application_name().unwrap();
        assert!(name.len() <= APPLICATION_NAME_BYTES_MAX && name.ends_with("ü, claims ada"), "{name}");
    }

    #[test]
    fn refuses_an_unknown_sslmode_without_repeating_the_password() {
        let error = PostgresConfig::parse("postgres://u:hunter2@h/d?sslmode=allow").unwrap_err().to_string();
        assert!(error.contains("verify-full") && error.contains("allow") && !error.contains("hunter2"), "{error}");
        let error = PostgresConfig::parse("postgres://u:hunter2@h:x/d").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
