//! Behind PgBouncer in transaction mode: what works through it, and what says that it must go directly. Owns
//! a PgBouncer before the tests' server.

use std::process::{Child, Command, Stdio};

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::state::Status;
use amends::store::{PostgresConfig, Store};
use serde_json::{Value, json};
use tokio_postgres::SimpleQueryMessage;
use uuid::Uuid;

use crate::harness::{Database, cluster, eventually, run_as, unprivileged};

/// A PgBouncer before one database.
struct Bouncer {
    process: Child,
    folder: std::path::PathBuf,
    url: String,
}

impl Bouncer {
    async fn before(database: &Database, mode: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("amends-bouncer-{}-{mode}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (name, server) = (&database.name, cluster());
        let settings = format!(
            "[databases]\n{name} = host={} port={} dbname={name} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = 20\nmax_client_conn = 200\nlogfile = /dev/null\n",
            server.directory().display(),
            server.port,
        );
        let file = folder.join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let program = ["/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let program = program.iter().find(|path| std::path::Path::new(path).exists()).unwrap_or(&"pgbouncer");
        let mut command = Command::new(program);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = run_as(&mut command, unprivileged()).spawn().expect("PgBouncer (apt-get install pgbouncer)");
        let url = format!("postgres://postgres@127.0.0.1:{port}/{name}?sslmode=disable");
        eventually("PgBouncer answers", async || tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok())
            .await;
        Self { process, folder, url }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

async fn node(url: &str) -> Result<Runtime, amends::runtime::Error> {
    let handlers = Handlers::new()
        .register("effect", |_: StepContext, input: Value| async move { Ok::<_, Failure>(input) })
        .register_transactional("within", |_, database: amends::step_transaction::Transaction, _: Value| async move {
            let count = database.query_one("select count(*) from shop", &[]).await?;
            Ok::<_, Failure>(json!(count.get::<_, i64>(0)))
        });
    let draft = Draft::new("order").step(Step::new("a", Call::handler("effect")).irreversible());
    let within = Step::new("b", Call::handler("within").transactional()).irreversible();
    let draft = draft.step(Step::awaiting("go", "go", None).needs(["a"])).step(within.needs(["go"]));
    Runtime::builder(url).handlers(handlers).definition(draft).begin().await
}

/// Asks in the simple protocol, as psql does, and returns the first field of the first row.
async fn first(client: &tokio_postgres::Client, sql: &str) -> String {
    let answer = client.simple_query(sql).await.unwrap();
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_and_operators_work_through_it_and_nodes_go_directly() {
    let database = Database::create().await;
    database.client().await.batch_execute("create table shop (name text)").await.unwrap();
    let bouncer = Bouncer::before(&database, "transaction").await;
    let refused = node(&bouncer.url).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("a pooler in transaction mode; connect directly"), "{refused}");
    let runtime = node(&database.url).await.unwrap();

    // Two applications share what the pooler has, each in its own transactions.
    let (one, other) = (crate::harness::connect(&bouncer.url).await, crate::harness::connect(&bouncer.url).await);
    one.batch_execute("begin; insert into shop values ('one')").await.unwrap();
    other.batch_execute("begin; insert into shop values ('other')").await.unwrap();
    let saga = first(&one, "select amends.start('order', '{\"n\": 1}', 'key-1')").await;
    let gone = first(&other, "select amends.start('order', '{\"n\": 2}', 'key-2')").await;
    other.batch_execute("rollback").await.unwrap();
    one.batch_execute("commit").await.unwrap();
    assert_eq!(first(&other, "select amends.start('order', '{\"n\": 1}', 'key-1')").await, saga);
    assert_eq!(first(&one, "select count(*) from shop").await, "1");
    let signal = first(&other, &format!("select amends.signal('{saga}', 'go', '{{}}')")).await;
    let ended = runtime.wait(saga.parse::<Uuid>().unwrap()).await.unwrap();
    assert_eq!(ended.status, Status::Completed);
    let fate = first(&one, &format!("select fate from amends.signal_status('{saga}', {signal})")).await;
    assert_eq!(fate, "applied");
    let known = format!("select count(*) from amends.sagas where saga = '{gone}'");
    assert_eq!(first(&one, &known).await, "0", "it was rolled back with its transaction");
    runtime.stop(std::time::Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_works_through_a_pool_in_session_mode() {
    let database = Database::create().await;
    database.client().await.batch_execute("create table shop (name text)").await.unwrap();
    let bouncer = Bouncer::before(&database, "session").await;
    let runtime = node(&bouncer.url).await.unwrap();
    let saga = runtime.start("order", &json!({ "n": 1 })).await.unwrap();
    let go = amends::saga::event::Request::Provide { event: "go".into(), payload: json!({}).into() };
    runtime.signal(saga, go).await.unwrap();
    assert_eq!(runtime.wait(saga).await.unwrap().status, Status::Completed);
    runtime.stop(std::time::Duration::from_secs(5)).await.unwrap();
}

/// A node listens through a pool in session mode. One in transaction mode swallows notifications, which shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_come_through_a_pool_in_session_mode_only() {
    let database = Database::create().await;
    let (client, store) = (database.client().await, database.store().await);
    let (session, transaction) =
        (Bouncer::before(&database, "session").await, Bouncer::before(&database, "transaction").await);
    let at = |bouncer: &Bouncer| PostgresConfig::parse(&bouncer.url).unwrap();
    let mut listener = store.listen_at(&at(&session)).await.unwrap();
    client.batch_execute("notify amends_wake").await.unwrap();
    assert_eq!(listener.heard().await, Some(1));
    let refused = store.listen_at(&at(&transaction)).await.unwrap_err().to_string();
    assert!(refused.contains("a pooler in transaction mode swallows them"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_so() {
    let database = Database::create().await;
    let bouncer = Bouncer::before(&database, "transaction").await;
    let url = bouncer.url.clone();
    assert!(Store::connect(PostgresConfig::parse(&url).unwrap()).await.is_err());
    let doctor = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_amends")).args(["doctor", "--database-url", &url]).output().unwrap()
    });
    let output = doctor.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("pooler in transaction mode"), "{said}");
}
