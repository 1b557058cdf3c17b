//! A dump that is restored where the roles are missing: nothing is for everybody, before a node starts and after.

use std::process::Command;

use amends::store::{PostgresConfig, Store};

use crate::admin::ask;
use crate::harness::{Cluster, Database, connect, program};

const OPEN: &str = "select count(*) from pg_proc p
    where p.pronamespace = 'amends'::regnamespace
      and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)";

/// Every function with a call of it, and every table and view with a read of it.
const TRIES: &str = "select format('select amends.%I(%s)', proname, (
                   select string_agg('null::' || format_type(t, null), ', ' order by n)
                   from unnest(proargtypes) with ordinality a (t, n)))
               from pg_proc where pronamespace = 'amends'::regnamespace
               union all
               select format('select from amends.%I', relname) from pg_class
               where relnamespace = 'amends'::regnamespace and relkind in ('r', 'p', 'v')";

async fn run(mut command: Command) -> std::process::Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn after_a_restore_without_the_roles_nothing_is_for_everybody() {
    let database = Database::create().await;
    ask(&database.url, "select count(*) from amends.sagas").await;
    let folder = std::env::temp_dir().join(format!("amends-restore-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let dump = folder.join("dump");
    let mut command = Command::new(program("pg_dump"));
    command.args(["-Fc", "-d", &database.url, "-f"]).arg(&dump);
    let dumped = run(command).await;
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));

    let place = tokio::task::spawn_blocking(|| Cluster::start("restored", false)).await.unwrap();
    let admin = place.ready().await;
    admin.batch_execute("create role owner login; create role guest login").await.unwrap();
    for (name, further) in [("plain", vec![]), ("without_rights", vec!["--no-privileges"])] {
        admin.batch_execute(&format!("create database {name} owner owner")).await.unwrap();
        let by = |user: &str| place.url(name).replace("postgres://postgres@", &format!("postgres://{user}@"));
        let mut command = Command::new(program("pg_restore"));
        command.args(["--no-owner", "-d", &by("owner")]).args(&further).arg(&dump);
        // The grants to roles that are not there fail, and pg_restore goes on.
        let restored = run(command).await;
        let said = String::from_utf8_lossy(&restored.stderr).into_owned();
        assert_eq!(
            ask(&by("owner"), "select count(*) > 20 from pg_proc where pronamespace = 'amends'::regnamespace").await,
            "t",
            "{said}"
        );
        let guest = connect(&by("guest")).await;
        for line in ask(&by("owner"), TRIES).await.lines() {
            let tried = guest.batch_execute(line).await;
            let code = tried.as_ref().err().and_then(|error| error.code()).map(tokio_postgres::error::SqlState::code);
            assert_eq!(code, Some("42501"), "{name} {line}: {tried:?}");
        }
        // A login that is let into the schema by hand gets no more than that, once a node has started.
        Store::connect(PostgresConfig::parse(&by("owner")).unwrap()).await.unwrap().migrate().await.unwrap();
        assert_eq!(ask(&by("owner"), OPEN).await, "0", "{name}");
        ask(&by("owner"), "grant usage on schema amends to guest").await;
        for line in ask(&by("owner"), TRIES).await.lines() {
            let code = guest.batch_execute(line).await.unwrap_err().code().map(|code| code.code().to_owned());
            assert_eq!(code.as_deref(), Some("42501"), "{name} {line}");
        }
    }
    std::fs::remove_dir_all(&folder).ok();
}
