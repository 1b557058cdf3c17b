//! The schema: numbered migrations with checksums, then the views, functions and roles for people, whose text may be
//! applied any number of times. Whichever starter comes first runs them. Owns `sql/migrations` and `sql/admin`; the
//! other files of the store own what is in the tables.

use sha2::{Digest, Sha256};
use tokio_postgres::{Row, Transaction};

use super::pool::Params;
use super::statement::Sql;
use super::{Error, Store};
use crate::boundary;
use crate::config::store as limits;

/// One migration.
#[derive(Clone, Copy, Debug)]
struct Migration {
    version: i32,
    name: &'static str,
    text: &'static str,
}

/// All migrations, in order. A published migration never changes: every database holds its checksum.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tables", text: include_str!("../../sql/migrations/0001_tables.sql") },
    Migration { version: 2, name: "functions", text: include_str!("../../sql/migrations/0002_functions.sql") },
    Migration { version: 3, name: "operators", text: include_str!("../../sql/migrations/0003_operators.sql") },
    Migration { version: 4, name: "turns", text: include_str!("../../sql/migrations/0004_turns.sql") },
    Migration { version: 5, name: "custody", text: include_str!("../../sql/migrations/0005_custody.sql") },
    Migration { version: 6, name: "early_signals", text: include_str!("../../sql/migrations/0006_early_signals.sql") },
    Migration { version: 7, name: "suspects", text: include_str!("../../sql/migrations/0007_suspects.sql") },
    Migration { version: 8, name: "buckets", text: include_str!("../../sql/migrations/0008_buckets.sql") },
    Migration { version: 9, name: "chores", text: include_str!("../../sql/migrations/0009_chores.sql") },
    Migration { version: 10, name: "wake", text: include_str!("../../sql/migrations/0010_wake.sql") },
    Migration { version: 11, name: "sharing", text: include_str!("../../sql/migrations/0011_sharing.sql") },
    Migration { version: 12, name: "start_queue", text: include_str!("../../sql/migrations/0012_start_queue.sql") },
    Migration { version: 13, name: "session_keys", text: include_str!("../../sql/migrations/0013_session_keys.sql") },
    Migration { version: 14, name: "door", text: include_str!("../../sql/migrations/0014_door.sql") },
    Migration { version: 15, name: "look_peers", text: include_str!("../../sql/migrations/0015_look_peers.sql") },
    Migration { version: 16, name: "ownership", text: include_str!("../../sql/migrations/0016_ownership.sql") },
    Migration { version: 17, name: "journal_chain", text: include_str!("../../sql/migrations/0017_journal_chain.sql") },
];

/// The views, functions and roles for people and their tools, in the order in which they are applied. Every statement
/// may be repeated, so a change here needs no migration, only the next [`ADMIN_REVISION`].
const ADMIN: &[&str] = &[
    include_str!("../../sql/admin/views.sql"),
    include_str!("../../sql/admin/fleet.sql"),
    include_str!("../../sql/admin/doors.sql"),
    include_str!("../../sql/admin/functions.sql"),
    include_str!("../../sql/admin/retention.sql"),
    include_str!("../../sql/admin/erasure.sql"),
    include_str!("../../sql/admin/roles.sql"),
];

/// Revision of [`ADMIN`]; it grows with each change of it. If two programs share a database, the text of the higher
/// revision stays in force, whichever program starts last.
const ADMIN_REVISION: i32 = 19;

const ADMIN_FOUND: Sql = sql!("migration", "admin");
const ADMIN_RECORD: Sql = sql!("migration", "record_admin");
const PREPARE: Sql = sql!("migration", "prepare");
const PRESENT: Sql = sql!("migration", "present");
const APPLIED: Sql = sql!("migration", "applied");
const RECORD: Sql = sql!("migration", "record");
const LOCK: Sql = sql!("migration", "lock");
const OPEN_TO_ALL: Sql = sql!("migration", "open_to_all");

/// Version of the schema that this program was built for.
pub const SCHEMA_VERSION: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// Returns all migrations as one SQL text, for sites where programs may not change their schema. It runs as it is in
/// an empty database; `amends` then only verifies.
pub fn migrations_text() -> String {
    let mut text = format!("begin;\nset local search_path = pg_catalog, pg_temp;\n{};\n", PREPARE.text);
    for migration in MIGRATIONS {
        text.push_str(&format!(
            "\n-- {:04}_{}\n{}\ninsert into amends.migration (version, name, checksum) values ({}, '{}', '{}');\n",
            migration.version,
            migration.name,
            migration.text,
            migration.version,
            migration.name,
            checksum(migration)
        ));
    }
    for part in ADMIN {
        text.push_str(&format!("\n{part}"));
    }
    text.push_str(&format!(
        "\ndelete from amends.admin;\ninsert into amends.admin (revision, checksum, applied_at) \
         values ({ADMIN_REVISION}, '{}', amends.now());\ncommit;\n",
        admin_checksum()
    ));
    text
}

impl Store {
    /// Brings the schema up to date; returns the versions that this call applied. Any number of starters may call it
    /// at once. Before any write it refuses a database that is newer than this program, or whose migrations have
    /// other checksums.
    pub async fn migrate(&self) -> Result<Vec<i32>, Error> {
        if self.applied().await? == Some(SCHEMA_VERSION) && self.admin_is_in_force().await? {
            return Ok(Vec::new());
        }
        self.migrate_now(false).await
    }

    /// Brings the schema up to date, and applies the views, functions and roles even if they are in force. This
    /// grants again what was revoked, and grants what an earlier run could not because the role was missing.
    pub async fn migrate_again(&self) -> Result<Vec<i32>, Error> {
        self.applied().await?;
        self.migrate_now(true).await
    }

    async fn migrate_now(&self, again: bool) -> Result<Vec<i32>, Error> {
        let mut client = self.client().await?;
        let transaction = client.build_transaction().start().await?;
        transaction
            .batch_execute(&format!(
                "set local lock_timeout = {}; set local statement_timeout = {}; \
                 set local idle_in_transaction_session_timeout = 0",
                limits::MIGRATION_LOCK_TIMEOUT_MS,
                limits::MIGRATION_STATEMENT_TIMEOUT_MS
            ))
            .await?;
        run(&transaction, LOCK).await?;
        let found = if is_present(&transaction).await? { read_applied(&transaction).await? } else { None };
        if found.is_none() {
            run(&transaction, PREPARE).await?;
        }
        let mut done = Vec::new();
        for migration in MIGRATIONS.iter().filter(|migration| Some(migration.version) > found) {
            transaction.batch_execute(migration.text).await.map_err(|error| {
                Error::Schema(format!("migration {:04}_{}: {}", migration.version, migration.name, Error::from(error)))
            })?;
            boundary::pass("migration: applied");
            ask(&transaction, RECORD, &[&migration.version, &migration.name, &checksum(migration)]).await?;
            done.push(migration.version);
        }
        let ours = (ADMIN_REVISION, admin_checksum());
        let apply = match admin_found(&transaction).await? {
            None => true,
            // A migration may have dropped a view or function that was in its way.
            Some(found) if found == ours => again || !done.is_empty() || is_open_to_all(&transaction).await?,
            Some((revision, _)) => revision <= ADMIN_REVISION,
        };
        if apply {
            for part in ADMIN {
                transaction
                    .batch_execute(part)
                    .await
                    .map_err(|error| Error::Schema(format!("views, functions and roles: {}", Error::from(error))))?;
            }
            ask(&transaction, ADMIN_RECORD, &[&ours.0, &ours.1]).await?;
        }
        transaction.commit().await?;
        Ok(done)
    }

    /// Returns whether the views, functions and roles are those of this program, or of a newer one, and no function is
    /// for everybody.
    async fn admin_is_in_force(&self) -> Result<bool, Error> {
        let mut client = self.client().await?;
        let transaction = client.build_transaction().read_only(true).start().await?;
        let found = admin_found(&transaction).await?;
        let open = is_open_to_all(&transaction).await?;
        transaction.commit().await?;
        Ok(found.is_some_and(|(revision, checksum)| {
            revision > ADMIN_REVISION || revision == ADMIN_REVISION && checksum == admin_checksum() && !open
        }))
    }

    /// Checks that the schema has the version that this program was built for; writes nothing.
    pub async fn verify_schema(&self) -> Result<(), Error> {
        match self.applied().await? {
            Some(version) if version == SCHEMA_VERSION => Ok(()),
            found => Err(Error::Schema(format!(
                "expected schema version {SCHEMA_VERSION}, found {}; run `amends migrate`",
                found.map_or("none".to_owned(), |version| version.to_string())
            ))),
        }
    }

    async fn applied(&self) -> Result<Option<i32>, Error> {
        let mut client = self.client().await?;
        let transaction = client.build_transaction().read_only(true).start().await?;
        let found = if is_present(&transaction).await? { read_applied(&transaction).await? } else { None };
        transaction.commit().await?;
        Ok(found)
    }
}

/// Runs one statement within the transaction.
async fn ask(transaction: &Transaction<'_>, sql: Sql, params: Params<'_>) -> Result<Vec<Row>, Error> {
    sql.sending();
    let rows = transaction.query(sql.text, params).await?;
    sql.answered();
    Ok(rows)
}

/// Runs a text without parameters within the transaction; it may hold several statements.
async fn run(transaction: &Transaction<'_>, sql: Sql) -> Result<(), Error> {
    sql.sending();
    transaction.batch_execute(sql.text).await?;
    sql.answered();
    Ok(())
}

async fn admin_found(transaction: &Transaction<'_>) -> Result<Option<(i32, String)>, Error> {
    match ask(transaction, ADMIN_FOUND, &[]).await?.first() {
        Some(row) => Ok(Some((row.try_get("revision")?, row.try_get("checksum")?))),
        None => Ok(None),
    }
}

async fn is_present(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let rows = ask(transaction, PRESENT, &[]).await?;
    Ok(rows.first().ok_or_else(super::no_row)?.try_get("present")?)
}

/// Returns whether everybody may call a function of amends, which this user may change.
async fn is_open_to_all(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let rows = ask(transaction, OPEN_TO_ALL, &[]).await?;
    Ok(rows.first().ok_or_else(super::no_row)?.try_get("open_to_all")?)
}

/// Reads the schema version of the database, and checks that its migrations are those of this program.
async fn read_applied(transaction: &Transaction<'_>) -> Result<Option<i32>, Error> {
    let mut last = None;
    for row in ask(transaction, APPLIED, &[]).await? {
        let (version, name, found): (i32, String, String) =
            (row.try_get("version")?, row.try_get("name")?, row.try_get("checksum")?);
        let Some(known) = MIGRATIONS.iter().find(|migration| migration.version == version) else {
            return Err(Error::Schema(format!(
                "expected a database of schema version {SCHEMA_VERSION} at most, \
                found {version} ({name}); this program is \
                 older than its database: use a newer one"
            )));
        };
        let expected = checksum(known);
        if found != expected {
            return Err(Error::Schema(format!(
                "migration {version:04}_{name}: expected checksum {expected}, \
                found {found}; the database was migrated by \
                 another build"
            )));
        }
        last = Some(version);
    }
    Ok(last)
}

fn checksum(migration: &Migration) -> String {
    sha256(migration.text)
}

fn admin_checksum() -> String {
    sha256(&ADMIN.concat())
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_one_after_the_other() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.version), Ok(index + 1), "{}", migration.name);
        }
    }
}
