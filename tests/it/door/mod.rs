//! The database door: what logins without rights can make amends do, what arguments can, and what can be forgotten.
//! Owns the logins and the traps; the rooms of the operators' door own psql.

mod bounds;
mod claims;
mod erase;
mod erased_folds;
mod path;
mod restore;
mod retention;
mod starter;

use crate::admin::ask;
use crate::harness::Database;

/// The URL of a login of this database that has been granted these roles, separated by commas.
pub(crate) async fn login(database: &Database, name: &str, roles: &str) -> String {
    let user = format!("{}_{name}", database.name);
    ask(&database.url, &format!("create role {user} login")).await;
    if !roles.is_empty() {
        ask(&database.url, &format!("grant {roles} to {user}")).await;
    }
    database.url.replace("postgres://postgres@", &format!("postgres://{user}@"))
}
