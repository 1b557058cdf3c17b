//! Strangers: participants that share no code with amends, each made to err as the real ones do. Their own ledger,
//! files, graph or table decides whether a saga's end is true. Owns where their programs are; the run of the sagas is
//! in `stage.rs`. `.ci/mcp-servers` installs what is not in a standard library.

mod cases;
mod handlers;
mod http;
mod kinds;
mod matrix;
mod packages;
mod second;
mod sessions;
mod stage;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set to run the whole matrix; without it a part is run, another each day.
const WHOLE: &str = "AMENDS_STRANGERS_WHOLE";

/// Where the servers are. A test without them fails: a test that does not run is no test.
fn installed() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mcp-servers");
    assert!(place.join("complete").exists(), "expected MCP servers in {}: run .ci/mcp-servers", place.display());
    place
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/strangers").join(name);
    path.to_str().unwrap().to_owned()
}

/// The Node.js that was installed with the servers.
fn node() -> String {
    installed().join("node_modules/node/bin/node").to_str().unwrap().to_owned()
}

/// A program of Python with its standard library alone.
fn python(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-B", &script(name)]);
    command
}
