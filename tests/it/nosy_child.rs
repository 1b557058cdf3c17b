//! A participant that is a child process, and looks at the node that started it: at its environment and its memory.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::{Database, eventually};

const TOKEN: &str = "canary-6b1f-of-another-participant";
const PASSWORD: &str = "canary-77d0-of-the-database";
const NOBODY: u32 = 65_534;

const DEFINITION: &str = "
saga: nosy
steps:
  - step: look
    effect: read_only
    retry: { attempts: 1 }
    action: { tool: nosy/look, arguments: {} }
";

/// What the child does before it exits: it writes down what it sees.
const SCRIPT: &str = "
{ id -u; tr '\\0' '\\n' < /proc/$PPID/environ; head -c 0 /proc/$PPID/mem && echo memory is open; } > seen.part 2>&1
mv seen.part seen
exit 3
";

/// A node that ends with the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with settings and a definition, in which every user may write.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("amends-nosy-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let settings = json!({
        "definitions": ["nosy.yaml"],
        "participants": {
            "nosy": { "command": "sh", "args": ["-c", SCRIPT], "cwd": folder },
            "other": { "url": "http://127.0.0.1:9/mcp", "headers": { "Authorization": "Bearer ${env.OTHER_KEY}" } },
        },
    });
    std::fs::write(folder.join("amends.yaml"), settings.to_string()).unwrap();
    std::fs::write(folder.join("nosy.yaml"), DEFINITION).unwrap();
    // Not every user may enter the folder of a build.
    let program = env!("CARGO_BIN_EXE_amends");
    std::fs::hard_link(program, folder.join("amends"))
        .or_else(|_| std::fs::copy(program, folder.join("amends")).map(drop))
        .unwrap();
    folder
}

/// Starts a node, lets it start the child, and returns what the child saw.
async fn seen(database: &Database, folder: &Path, dumpable: bool, as_nobody: bool) -> String {
    let url = database.tcp_url("127.0.0.1", crate::harness::cluster().port);
    let mut command = Command::new(folder.join("amends"));
    command
        .args(["serve", "--http", "off", "--config", "amends.yaml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.stderr(std::fs::File::create(folder.join("log")).unwrap());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("OTHER_KEY", TOKEN).env("MARK", "a mark");
    command.env("DATABASE_URL", url.replace("@", &format!(":{PASSWORD}@")));
    if dumpable {
        command.env("AMENDS_DUMPABLE", "1");
    }
    if as_nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut node = Node(command.spawn().unwrap());
    let client = database.client().await;
    let (log, file) = (folder.join("log"), folder.join("seen"));
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the definition is registered", async || {
        assert!(node.0.try_wait().unwrap().is_none(), "{}", told());
        client
            .query_one("select count(*) from amends.current_definition", &[])
            .await
            .is_ok_and(|row| row.get::<_, i64>(0) == 1)
    })
    .await;
    client.query_one("select amends.start('nosy', '{}')", &[]).await.unwrap();
    eventually("the child has looked", async || file.exists()).await;
    let seen = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    seen
}

#[tokio::test]
async fn a_child_sees_neither_the_secrets_nor_the_memory_of_its_node() {
    let database = Database::empty().await;
    let folder = folder("child");
    // SAFETY: the call has no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    // Root sees all processes, so here only the environment protects itself.
    let open = seen(&database, &folder, true, false).await;
    assert!(open.contains("MARK=a mark") && open.contains("memory is open"), "the child cannot look at all: {open}");
    let closed = seen(&database, &folder, false, is_root).await;
    assert!(closed.starts_with(&if is_root { NOBODY.to_string() } else { String::new() }), "{closed}");
    assert!(!closed.contains("a mark") && !closed.contains("memory is open"), "{closed}");
    assert_eq!(closed.matches("Permission denied").count(), 2, "{closed}");
    for (what, text) in [("with the opt-out", open), ("without", closed)] {
        assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{what}: {text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
