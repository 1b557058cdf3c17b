//! The schema: migrations in order, each with its checksum, run by whichever starter comes first; then the
//! views, functions and roles for people, whose text may be applied any number of times. Owns
//! `sql/migrations` and `sql/admin`; what is in the tables is everybody else's business.

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

/// All migrations, in order. A published one never changes; its checksum is in every database.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tables", text: include_str!("../../sql/migrations/0001_tables.sql") },
    Migration { version: 2, name: "functions", text: include_str!("../../sql/migrations/0002_functions.sql") },
    Migration { version: 3, name: "operators", text: include_str!("../../sql/migrations/0003_operators.sql") },
    Migration { version: 4, name: "turns", text: include_str!("../../sql/migrations/0004_turns.sql") },
    Migration { version: 5, name: "custody", text: include_str!("../../sql/migrations/0005_custody.sql") },
    Migration { version: 6, name: "early_signals", text: include_str!("../../sql/migrations/0006_early_signals.sql") },
    Migration { version: 7, name: "suspects", text: include_str!("../../sql/migrations/0007_suspects.sql") },
];

/// What people and their tools see, in the order in which it is applied. Every statement may be repeated, so
/// a change here needs no migration, only the next revision.
const ADMIN: &[&str] = &[
    include_str!("../../sql/admin/views.sql"),
    include_str!("../../sql/admin/fleet.sql"),
    include_str!("../../sql/admin/functions.sql"),
    include_str!("../../sql/admin/roles.sql"),
];

/// Revision of [`ADMIN`]. Grows with each change of it: of two programs on one database the newer one's text
/// stays in force, whichever starts last.
const ADMIN_REVISION: i32 = 13;

const ADMIN_FOUND: Sql = sql!("migration", "admin");
const ADMIN_RECORD: Sql = sql!("migration", "record_admin");
const PREPARE: Sql = sql!("migration", "prepare");
const PRESENT: Sql = sql!("migration", "present");
const APPLIED: Sql = sql!("migration", "applied");
const RECORD: Sql = sql!("migration", "record");
const LOCK: Sql = sql!("migration", "lock");

/// Version of the schema that this program was built for.
pub const SCHEMA_VERSION: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// Returns all migrations as one SQL text, for those who do not let programs change their schema. It may be
/// run as it is in an empty database; `amends` then only verifies.
pub fn migrations_text() -> String {
    let mut text = format!("begin;\n{};\n", PREPARE.text);
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
    /// Brings the schema up to date and returns the versions that were applied now. Any number of starters
    /// may do this at once. Refuses a database that is newer than this program, or whose migrations are not
    /// ours, before any write.
    pub async fn migrate(&self) -> Result<Vec<i32>, Error> {
        if self.applied().await? == Some(SCHEMA_VERSION) && self.admin_is_in_force().await? {
            return Ok(Vec::new());
        }
        self.migrate_now(false).await
    }

    /// The same, and applies the views, functions and roles even if they are in force: grants that were
    /// revoked, or whose role was missing, are granted again.
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
            // A migration may have dropped what stood in its way.
            Some(found) if found == ours => again || !done.is_empty(),
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

    /// Whether the views, functions and roles are ours, or those of a newer program.
    async fn admin_is_in_force(&self) -> Result<bool, Error> {
        let mut client = self.client().await?;
        let transaction = client.build_transaction().read_only(true).start().await?;
        let found = admin_found(&transaction).await?;
        transaction.commit().await?;
        Ok(found.is_some_and(|(revision, checksum)| {
            revision > ADMIN_REVISION || revision == ADMIN_REVISION && checksum == admin_checksum()
        }))
    }

    /// Checks that the schema is the one that this program was built for; writes nothing.
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

/// Sends a statement within the transaction.
async fn ask(transaction: &Transaction<'_>, sql: Sql, params: Params<'_>) -> Result<Vec<Row>, Error> {
    sql.sending();
    let rows = transaction.query(sql.text, params).await?;
    sql.answered();
    Ok(rows)
}

/// The same for what has no parameters, and may be several.
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

/// Reads the version of the database and checks that its history is ours.
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
