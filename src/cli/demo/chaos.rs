//! What goes wrong all the time in a demo with chaos. Owns whose turn it is among the troubles, and cutting
//! connections; killing and replacing nodes is the stage's.

use std::time::Instant;

use super::ledger::{self, LedgerError};
use crate::config::demo::CHAOS_INTERVAL;

/// By which the server tells connections of nodes from those of participants, whose ledgers must stay true.
const NODE: &str = "amends_demo_node";

/// One trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A node is killed, and another takes its place.
    Kill,
    /// All connections between nodes and database are cut.
    Cut,
}

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Chaos {
    last: Instant,
    made: u32,
}

impl Chaos {
    pub(super) fn begin() -> Self {
        Self { last: Instant::now(), made: 0 }
    }

    /// The trouble that is due, if any.
    pub(super) fn next(&mut self) -> Option<Trouble> {
        if self.last.elapsed() < CHAOS_INTERVAL {
            return None;
        }
        self.last = Instant::now();
        self.made += 1;
        Some(if self.made % 2 == 1 { Trouble::Kill } else { Trouble::Cut })
    }
}

/// The database as a node sees it: its connections can be told apart.
pub(super) fn of_a_node(database_url: &str) -> String {
    let parameter = format!("application_name={NODE}");
    match (database_url.contains("://"), database_url.contains('?')) {
        (true, true) => format!("{database_url}&{parameter}"),
        (true, false) => format!("{database_url}?{parameter}"),
        (false, _) => format!("{database_url} {parameter}"),
    }
}

/// Cuts the connections of all nodes but those that have only begun; returns how many.
pub(super) async fn cut(database_url: &str) -> Result<i64, LedgerError> {
    let (config, tls) = ledger::config(database_url)?.into_parts();
    let (client, connection) = config.connect(tls).await?;
    let connection = tokio::spawn(connection);
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and application_name = $1
                 and backend_start < now() - interval '2 s'";
    let row = client.query_one(sql, &[&NODE]).await?;
    drop(client);
    // It ends with its client; how is of no interest.
    let _ = connection.await;
    Ok(row.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_told_apart_in_any_connection_string() {
        let name = "application_name=amends_demo_node";
        assert_eq!(of_a_node("postgres://h/d"), format!("postgres://h/d?{name}"));
        assert_eq!(of_a_node("postgres://h/d?a=b"), format!("postgres://h/d?a=b&{name}"));
        assert_eq!(of_a_node("host=h dbname=d"), format!("host=h dbname=d {name}"));
    }
}
