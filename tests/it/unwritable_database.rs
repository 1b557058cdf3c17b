//! A database that takes no rows: the disk is full, or it may only be read. The node takes on no work, says
//! so, loses nothing, and goes on by itself when there is room again. Owns a server whose disk is full at a
//! word: a library between it and the system lets no file grow.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::state::Status;
use amends::store::{PostgresConfig, Store};
use serde_json::{Value, json};

use crate::harness::{Cluster, eventually};

/// Writes that would make a file of the server longer fail as on a full disk, while the file `AMENDS_FULL` is
/// there.
const FULL_DISK: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int fd, off_t end) {
    struct stat file;
    const char *sign = getenv("AMENDS_FULL");
    return sign && access(sign, F_OK) == 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && end > file.st_size;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    if (is_full(fd, at + (off_t)count)) { errno = ENOSPC; return -1; }
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) {
    off_t end = at;
    for (int part = 0; part < count; part++) end += parts[part].iov_len;
    if (is_full(fd, end)) { errno = ENOSPC; return -1; }
    return syscall(SYS_pwritev, fd, parts, count, (long)at, 0L);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

int posix_fallocate64(int fd, off_t at, off_t count) {
    if (is_full(fd, at + count)) return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, at, count) ? errno : 0;
}

int posix_fallocate(int fd, off_t at, off_t count) { return posix_fallocate64(fd, at, count); }
"#;

/// Compiles the library into a folder that the server's user can read.
fn full_disk(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("full_disk.c"), folder.join("full_disk.so"));
    std::fs::write(&source, FULL_DISK).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.unwrap().success());
    library
}

/// A node with one definition, whose step counts how often it took effect.
async fn node(url: &str, effects: &Arc<AtomicU32>) -> Runtime {
    let effects = effects.clone();
    let handlers = Handlers::new().register("effect", move |_: StepContext, _: Value| {
        effects.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Failure>(json!("x".repeat(2_000))) }
    });
    let step = Step::new("a", Call::handler("effect")).irreversible();
    let after = Step::new("b", Call::handler("effect")).irreversible().needs(["a"]);
    let builder = Runtime::builder(url).lease(Duration::from_secs(2)).handlers(handlers);
    builder.definition(Draft::new("grows").step(step).step(after)).begin().await.unwrap()
}

/// Starts sagas, takes the room away, looks at what the node says and does, gives the room back, and counts.
async fn survives(cluster: &Cluster, word: &str, mut block: impl AsyncFnMut(), mut unblock: impl AsyncFnMut()) {
    const SAGAS: u32 = 40;
    let effects = Arc::new(AtomicU32::new(0));
    let runtime = node(&cluster.url("postgres"), &effects).await;
    assert_eq!(runtime.run("grows", &json!({})).await.unwrap().status, Status::Completed);
    eventually("it is content", async || runtime.health_issues().is_empty()).await;
    block().await;
    let large = json!({ "text": "y".repeat(20_000) });
    let running: Vec<_> = (0..SAGAS)
        .map(|_| {
            let (runtime, large) = (runtime.clone(), large.clone());
            tokio::spawn(async move { runtime.run("grows", &large).await.map(|ended| ended.status) })
        })
        .collect();
    let complains = || runtime.health_issues().iter().any(|complaint| complaint.contains(word));
    eventually(&format!("it says {word:?}"), async || complains()).await;
    // Whatever is begun is recorded first, so nothing is begun; and the complaint stays.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = effects.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(effects.load(Ordering::SeqCst), before, "effects without a record");
    assert!(complains(), "{:?}", runtime.health_issues());
    unblock().await;
    for saga in running {
        assert_eq!(saga.await.unwrap().unwrap(), Status::Completed);
    }
    assert_eq!(effects.load(Ordering::SeqCst), 2 * (SAGAS + 1), "each step took effect once");
    eventually("it is content again", async || runtime.health_issues().is_empty()).await;
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_a_node_until_there_is_room() {
    let folder = std::env::temp_dir().join(format!("amends-full-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (library, sign) = (full_disk(&folder), folder.join("full"));
    let environment = [("LD_PRELOAD", library.as_path()), ("AMENDS_FULL", sign.as_path())];
    let cluster = Cluster::start_in("full", false, &environment);
    cluster.ready().await;
    survives(
        &cluster,
        "No space left on device",
        async || std::fs::write(&sign, "").unwrap(),
        async || std::fs::remove_file(&sign).unwrap(),
    )
    .await;
    drop(cluster);
    std::fs::remove_dir_all(&folder).ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_may_only_be_read_stops_a_node_until_it_may_be_written() {
    let cluster = Cluster::start("readonly", false);
    let admin = cluster.ready().await;
    let set = async |word: &str| {
        // One statement each: `alter system` is not for transactions.
        admin.batch_execute("set default_transaction_read_only = off").await.unwrap();
        admin.batch_execute(&format!("alter system set default_transaction_read_only = {word}")).await.unwrap();
        admin.batch_execute("select pg_reload_conf()").await.unwrap();
    };
    survives(&cluster, "read-only", async || set("on").await, async || set("off").await).await;

    // A node that is told to begin on such a database says why it does not.
    set("on").await;
    let config = PostgresConfig::parse(&cluster.url("postgres")).unwrap();
    eventually("new sessions may only read", async || {
        let store = Store::connect(config.clone()).await.unwrap();
        store.join("late", "test", 2_000).await.is_err()
    })
    .await;
    let error = Runtime::builder(cluster.url("postgres")).begin().await.err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|error| error.contains("read-only")), "{error:?}");
}
