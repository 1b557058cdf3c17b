//! Operators and functions that a login without rights makes in `public` never run with the rights of a node, of an
//! operator or of a migration.

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::step_transaction::Transaction;
use serde_json::{Value, json};

use super::login;
use crate::admin::{ask, program, psql, until};
use crate::harness::Database;

/// An operator for each pair of types that Postgres has none for: the exact match, where Postgres would cast. And
/// functions that fit better than those of Postgres. Each notes who ran it.
const TRAPS: &str = r#"
create table public.trap (who text, what text);
grant insert, select on public.trap to public;
do $$
declare
    v record;
    v_n int := 0;
    v_result text;
    v_body text := 'begin insert into public.trap values (current_user, %L); %send';
begin
    for v in
        select o.name as operator, l.name as lower, r.name as upper
        from unnest(array['+', '-', '*', '/', '||', '=', '<>', '<', '>', '<=', '>=', '->', '->>', '~', '~~', '&', '|',
                          '<<', '>>', '?']) o (name)
        cross join unnest(array['int2', 'int4', 'int8', 'numeric', 'float8', 'text', 'varchar', 'name', 'bool', 'json',
                                'jsonb', 'timestamptz', 'timestamp', 'date', 'interval', 'uuid', 'bytea', 'text[]',
                                'uuid[]', 'int4[]', 'int8[]', 'regclass', 'oid', '"char"']) l (name)
        cross join unnest(array['int2', 'int4', 'int8', 'numeric', 'float8', 'text', 'varchar', 'name', 'bool', 'json',
                                'jsonb', 'timestamptz', 'timestamp', 'date', 'interval', 'uuid', 'bytea', 'text[]',
                                'uuid[]', 'int4[]', 'int8[]', 'regclass', 'oid', '"char"']) r (name)
        where not exists (
            select from pg_operator p
            where p.oprname = o.name and p.oprleft = l.name::regtype and p.oprright = r.name::regtype)
    loop
        v_n := v_n + 1;
        v_result := case when v.operator in ('=', '<>', '<', '>', '<=', '>=', '~', '~~', '?') then 'boolean'
                         else v.lower end;
        execute format(
            'create function public.trap_%s(one %s, other %s) returns %s language plpgsql as %L',
            v_n, v.lower, v.upper, v_result,
            format(v_body, v.lower || ' ' || v.operator || ' ' || v.upper, 'return null; '));
        execute format('create operator public.%s (function = public.trap_%s, leftarg = %s, rightarg = %s)',
            v.operator, v_n, v.lower, v.upper);
    end loop;
    for v in
        select * from (values ('now()', 'timestamptz'), ('floor(int)', 'int'), ('left(varchar, int)', 'text'),
            ('octet_length(varchar)', 'int'), ('to_char(date, text)', 'text'), ('current_setting(varchar)', 'text'),
            ('set_config(varchar, varchar, boolean)', 'text'), ('encode(bytea, varchar)', 'text'),
            ('lpad(varchar, int, varchar)', 'text'), ('substr(varchar, int, int)', 'text'),
            ('to_timestamp(numeric)', 'timestamptz'), ('pg_notify(varchar, varchar)', 'void'),
            ('host(text)', 'text')) f (head, result)
    loop
        execute format('create function public.%s returns %s language plpgsql as %L', v.head, v.result,
            format(v_body, v.head, case when v.result <> 'void' then 'return null; ' end));
    end loop;
end
$$;
"#;

/// Lets everybody create in `public`, as before Postgres 15, and lays the traps as a login without any right.
async fn lay_traps(database: &Database) {
    ask(&database.url, "grant create, usage on schema public to public").await;
    let stranger = login(database, "stranger", "").await;
    ask(&stranger, TRAPS).await;
    // The traps work: this is what amends must not do.
    ask(&database.url, "select 1.5::numeric * 2::int").await;
    assert_eq!(caught(database).await, "postgres numeric * int4");
    ask(&database.url, "truncate public.trap").await;
}

/// Who ran which trap.
async fn caught(database: &Database) -> String {
    ask(&database.url, "select string_agg(distinct who || ' ' || what, ', ') from public.trap").await
}

fn handlers() -> Handlers {
    Handlers::new()
        .register("good", |_: StepContext, _: Value| async move { Ok::<_, Failure>(json!({ "id": "ch_1" })) })
        .register(
            "bad",
            |_: StepContext, _: Value| async move { Err::<Value, _>(Failure::permanent("declined", "no way")) },
        )
        .register_transactional("within", |_: StepContext, database: Transaction, _: Value| async move {
            // The application's own path: its table needs no schema.
            database.execute("insert into orders values (1)", &[]).await?;
            let row = database.query_one("show search_path", &[]).await?;
            Ok::<_, Failure>(json!({ "path": row.get::<_, String>(0) }))
        })
}

fn drafts() -> [Draft; 4] {
    let step = |name: &str, action: &str| Step::new(name, Call::handler(action)).compensation(Call::handler("good"));
    [
        Draft::new("happy").step(step("a", "good")).step(Step::sleeping("nap", 5).needs(["a"])),
        Draft::new("sad").step(step("a", "good")).step(step("b", "bad").needs(["a"])),
        Draft::new("kept")
            .step(Step::new("within", Call::handler("within").transactional()).compensation(Call::handler("good"))),
        Draft::new("patient").step(Step::awaiting("event", "go", Some(3_600_000))),
    ]
}

#[tokio::test]
async fn nobody_elses_operator_runs_as_a_node_or_an_operator() {
    let database = Database::create().await;
    ask(&database.url, "create table public.orders (n int)").await;
    lay_traps(&database).await;
    let node = login(&database, "node", "amends_runtime").await;
    ask(&database.url, &format!("grant insert on public.orders to {}_node", database.name)).await;
    let mut builder = Runtime::builder(node.clone()).name("one").handlers(handlers());
    for draft in drafts() {
        builder = builder.definition(draft);
    }
    let runtime = builder.begin().await.unwrap();
    for (definition, status) in [("happy", "completed"), ("sad", "compensated"), ("kept", "completed")] {
        let ended = runtime.run(definition, &json!({ "n": 1.5 })).await.unwrap();
        assert_eq!(ended.status.as_str(), status, "{definition}");
    }
    assert_eq!(ask(&database.url, "select count(*) from public.orders").await, "1");
    let path = "set search_path = pg_catalog; select output ->> 'path'
                from amends.steps s join amends.sagas g on g.saga = s.saga
                where g.definition = 'kept' and s.step = 'within'";
    assert_eq!(ask(&database.url, path).await, "\"$user\", public", "the handler's own");

    let operator = login(&database, "operator", "amends_operator").await;
    let waits = ask(&operator, "select amends.start('patient', '{\"n\": 1.5}', 'a key')").await;
    let status = format!("select status from amends.sagas where saga = '{waits}'");
    until(&operator, &status, "running").await;
    for call in [
        format!("pause('{waits}', 'x')"),
        format!("resume('{waits}')"),
        "pause_definition('happy', 'x')".to_owned(),
        "resume_definition('happy')".to_owned(),
        format!("signal('{waits}', 'go', '{{\"n\": 1}}')"),
        "bulk('retry', 'happy', 'x')".to_owned(),
    ] {
        ask(&operator, &format!("select amends.{call}")).await;
    }
    until(&operator, &status, "completed").await;
    ask(&operator, &format!("select amends.rerun_from('{waits}', 'event', 'x')")).await;
    ask(&operator, "select amends.erase('x', definition => 'sad', before => now())").await;
    let views = "select relname from pg_class
                 where relnamespace = 'amends'::regnamespace and relkind = 'v' and relname <> 'live_saga'";
    for view in ask(&database.url, views).await.lines() {
        let of_one = matches!(view, "steps" | "timeline" | "progress" | "history");
        let filter = if of_one { format!("where saga = '{waits}'") } else { String::new() };
        ask(&operator, &format!("select * from amends.{view} {filter}")).await;
    }
    for line in [vec!["list"], vec!["show", &waits], vec!["doctor"], vec!["migrate"]] {
        program(&database.url, &line);
    }
    // What a node does now and then.
    database.store().await.tidy().await.unwrap();
    ask(&node, "select amends.ensure_partitions(5, 8), amends.expire(86400000), amends.erase_expired(10)").await;
    runtime.stop(std::time::Duration::from_secs(5)).await.unwrap();
    assert_eq!(caught(&database).await, "");
}

/// What is inlined has the caller's path, so it is tried under it; everything else has a path of its own.
#[tokio::test]
async fn each_function_has_a_path_of_its_own_or_qualified_names() {
    let database = Database::create().await;
    let bare = "select string_agg(distinct proname, ' ' order by proname) from pg_proc p
                where pronamespace = 'amends'::regnamespace
                  and not exists (select from unnest(proconfig) c
                                  where c = 'search_path=pg_catalog, pg_temp')";
    let expected = "bucket bucket_of_key clock key_owner millis now starter uuid7 uuid_floor uuid_time";
    assert_eq!(ask(&database.url, bare).await, expected);
    lay_traps(&database).await;
    let calls = "select amends.bucket(amends.uuid7()), amends.bucket_of_key('k'), amends.clock(), amends.now(),
                        amends.millis(amends.now()), amends.uuid7(5), amends.uuid_floor(amends.now()),
                        amends.uuid_time(amends.uuid7()), amends.key_owner(null, 'mcp:a:k:1'),
                        amends.starter(null), amends.starter('x'), amends.starter('')";
    ask(&database.url, calls).await;
    assert_eq!(caught(&database).await, "");
    // They still say what they said.
    let same = "select amends.bucket(amends.uuid7(1023)), amends.bucket_of_key('order-1'),
                       amends.uuid_time('0196f8a0-0000-7000-8000-000000000000') at time zone 'utc',
                       amends.uuid_floor('2026-01-01T00:00:00Z'), amends.millis('2026-01-01T00:00:00.250Z')";
    let said = ask(&database.url, same).await;
    let digest = u64::from_str_radix(&sha256("order-1")[..3], 16).unwrap() >> 2;
    let expected = format!("1023|{digest}|2025-05-22 15:32:37.504|019b76da-a800-0000-0000-000000000000|1767225600250");
    assert_eq!(said, expected);
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The schema's own texts are read under a path of their own, by a node and by psql.
#[tokio::test]
async fn nobody_elses_operator_runs_in_a_migration() {
    let migrated = Database::empty().await;
    lay_traps(&migrated).await;
    migrated.store().await.migrate().await.unwrap();
    assert_eq!(caught(&migrated).await, "");
    let printed = Database::empty().await;
    lay_traps(&printed).await;
    printed.client().await.batch_execute(&amends::store::migrations_text()).await.unwrap();
    assert_eq!(caught(&printed).await, "");
    let sagas = "select count(*) from amends.sagas, amends.checkup, amends.nodes";
    ask(&printed.url, sagas).await;
    assert_eq!(caught(&printed).await, "", "views mean what they meant");
}

#[tokio::test]
async fn doctor_faults_a_schema_in_which_everybody_may_create() {
    let database = Database::create().await;
    let found =
        "select level || ' ' || found || ' ' || coalesce(remedy, '') from amends.checkup where subject = 'schemas'";
    ask(&database.url, "revoke create on schema public from public; create schema \"Odd one\"").await;
    assert!(ask(&database.url, found).await.starts_with("ok "));
    ask(&database.url, "grant create on schema \"Odd one\" to public").await;
    assert!(ask(&database.url, found).await.starts_with("ok "), "it is in no session's path");
    let path = format!("alter database {} set search_path = \"Odd one\", public", database.name);
    ask(&database.url, &path).await;
    let said = ask(&database.url, found).await;
    assert!(said.starts_with("fault everybody may create in Odd one "), "{said}");
    assert!(said.contains("revoke create on schema \"Odd one\" from public"), "{said}");
    ask(&database.url, "grant create on schema public to public").await;
    let (code, said) = program(&database.url, &["doctor"]);
    assert!(code == 1 && said.contains("schemas: everybody may create in Odd one, public"), "{said}");
    assert!(psql(&database.url, "select 1").await.ok);
}
