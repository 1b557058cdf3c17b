//! The stage of the demo: runs the CRM, which is restarted after a crash, and the nodes, each with a payments server
//! of its own. Owns the processes and their settings. `run.rs` decides when each runs.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::process::{Launcher, Process};
use super::server::CRASH_STATUS;
use super::{Exit, node_url};
use crate::config::demo::{DRAIN, NODE_BEGIN_MAX, NODE_LEASE, NODE_STOP_MAX, RESTART_MAX, RESTART_PAUSE, SLOW};

/// The demo's definition.
const DEFINITION: &str = include_str!("hotel_checkout.yaml");

/// Changes of the definition under chaos. A stopped node sends its pending calls once it continues, so a probe needs
/// a longer settle window. An outage must not use up the attempts of a probe, or of a call that has no other way out.
/// A saga that can still turn back does so as soon as without chaos: the key of its call may hold a cached error for
/// ever.
const UNDER_CHAOS: [(&str, &str); 3] = [
    ("&settle 3s", "&settle 9s"),
    ("&persistence { attempts: 30,", "&persistence { attempts: 200,"),
    ("&question { attempts: 15,", "&question { attempts: 200,"),
];

/// Returns the demo's definition, as the nodes load it.
pub(super) fn definition(chaos: bool) -> Cow<'static, str> {
    let changes = if chaos { UNDER_CHAOS.as_slice() } else { &[] };
    changes.iter().fold(DEFINITION.into(), |text: Cow<'_, str>, (from, to)| text.replace(from, to).into())
}

/// Definitions and faults of a run.
pub(super) struct Script {
    /// File name of the definitions.
    pub(super) file: &'static str,
    /// The definitions, as YAML.
    pub(super) text: Cow<'static, str>,
    /// Arguments of the participants that choose the faults.
    pub(super) faults: Vec<String>,
}

/// Error of the stage.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    /// A file or a process could not be created.
    #[error("{what}: {error}")]
    System {
        /// Action that failed.
        what: String,
        /// Error of the system.
        error: io::Error,
    },
    /// A process ended that should still run.
    #[error("{name} ended by itself ({how}); the end of its log:\n{log}")]
    Ended {
        /// Its name.
        name: String,
        /// Its exit status.
        how: String,
        /// The end of its log.
        log: String,
    },
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> StageError {
    move |error| StageError::System { what: what.into(), error }
}

/// All processes of a demo except Postgres.
pub(super) struct Stage {
    launcher: Launcher,
    crm: Supervised,
    nodes: Vec<Node>,
    nodes_started: u32,
    /// Port of the first node's metrics, if the nodes serve metrics.
    metrics_port: Option<u16>,
}

/// A node process.
struct Node {
    process: Process,
    /// Position among the running nodes, from 0. A replacement node takes it over, and with it the metrics port.
    place: u16,
    begun: Instant,
    /// Time of its SIGSTOP, if it is stopped.
    stopped: Option<Instant>,
}

impl Stage {
    /// Writes the settings into a folder of their own and starts the CRM. [`Self::add_node`] adds the nodes.
    pub(super) async fn set(
        script: &Script,
        database_url: &str,
        run: &str,
        metrics_port: Option<u16>,
    ) -> Result<Self, StageError> {
        let directory = std::env::temp_dir().join(format!("amends-demo-{run}"));
        private_directory(&directory).map_err(system(format!("creating {}", directory.display())))?;
        let program = std::env::current_exe().map_err(system("finding this program"))?;
        let environment = vec![("AMENDS_DEMO_LEDGER_URL".to_owned(), database_url.to_owned())];
        let launcher = Launcher { program, directory, environment };
        let (crm, url) = Supervised::start(launcher.clone(), script.faults.clone()).await?;
        let write = |name: &str, text: &str| {
            let path = launcher.directory.join(name);
            std::fs::write(&path, text).map_err(system(format!("writing {}", path.display())))
        };
        write(script.file, &script.text)?;
        write("amends.yaml", &settings(&launcher.program, &url, script))?;
        Ok(Self { launcher, crm, nodes: Vec::new(), nodes_started: 0, metrics_port })
    }

    /// Starts another node.
    pub(super) fn add_node(&mut self, database_url: &str) -> Result<(), StageError> {
        self.nodes_started += 1;
        let name = format!("node-{}", self.nodes_started);
        let mut launcher = self.launcher.clone();
        launcher.environment.push(("DATABASE_URL".to_owned(), node_url::for_node(database_url)));
        launcher.environment.push(("AMENDS_DEMO_NODE".to_owned(), name.clone()));
        let settings = self.launcher.directory.join("amends.yaml");
        let mut arguments = vec!["serve".into(), "--config".into(), settings.into_os_string()];
        let place = (0..).find(|place| self.nodes.iter().all(|node| node.place != *place)).unwrap_or_default();
        if let Some(first) = self.metrics_port {
            arguments.extend(["--http".into(), format!("127.0.0.1:{}", first.saturating_add(place)).into()]);
        }
        let process = launcher.launch(&name, arguments, Stdio::null()).map_err(system(format!("starting {name}")))?;
        self.nodes.push(Node { process, place, begun: Instant::now(), stopped: None });
        Ok(())
    }

    /// Returns the index of the node that `pick` selects among those that are not stopped.
    fn running(&self, pick: u64) -> Option<usize> {
        let running: Vec<_> = (0..self.nodes.len()).filter(|&index| self.nodes[index].stopped.is_none()).collect();
        let pick = pick.checked_rem(running.len() as u64)?;
        Some(running[pick as usize])
    }

    /// Kills a running node with SIGKILL; `pick` selects it. Returns its name.
    pub(super) async fn kill_node(&mut self, pick: u64) -> Result<Option<String>, StageError> {
        let Some(index) = self.running(pick) else { return Ok(None) };
        let mut node = self.nodes.remove(index).process;
        node.kill().await.map_err(system(format!("killing {}", node.name)))?;
        Ok(Some(node.name))
    }

    /// Stops a running node with SIGSTOP; `pick` selects it. Returns its name.
    pub(super) fn stop_node(&mut self, pick: u64) -> Option<String> {
        let index = self.running(pick)?;
        let node = &mut self.nodes[index];
        node.process.signal(libc::SIGSTOP);
        node.stopped = Some(Instant::now());
        Some(node.process.name.clone())
    }

    /// Continues the nodes that were stopped for at least `limit`. Returns their number.
    pub(super) fn continue_nodes(&mut self, limit: Duration) -> u32 {
        let mut continued = 0;
        for node in &mut self.nodes {
            if node.stopped.is_some_and(|since| since.elapsed() >= limit) {
                node.process.signal(libc::SIGCONT);
                node.stopped = None;
                continued += 1;
            }
        }
        continued
    }

    /// Checks that every process still runs. `away` is the database's URL if the database may be away: then a node
    /// that could not begin for lack of the database is started again.
    pub(super) fn check(&mut self, away: Option<&str>) -> Result<(), StageError> {
        let mut missing = Vec::new();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let Some(status) = node.process.ended().map_err(system("watching the nodes"))? else { continue };
            let early = node.begun.elapsed() < NODE_BEGIN_MAX;
            if away.is_some() && early && status.code() == Some(i32::from(Exit::Database.code())) {
                missing.push(index);
                continue;
            }
            let (name, log) = (node.process.name.clone(), node.process.log_tail());
            return Err(StageError::Ended { name, how: status.to_string(), log });
        }
        for index in missing.into_iter().rev() {
            self.nodes.remove(index);
            if let Some(database_url) = away {
                self.add_node(database_url)?;
            }
        }
        match self.crm.failed.try_recv() {
            Ok(error) => Err(error),
            Err(oneshot::error::TryRecvError::Empty | oneshot::error::TryRecvError::Closed) => Ok(()),
        }
    }

    /// Returns how often the CRM was restarted after a crash.
    pub(super) fn crm_restarts(&self) -> u32 {
        self.crm.restarts.load(Ordering::Relaxed)
    }

    /// Returns whether no node runs.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Removes logs and settings.
    pub(super) fn clear(&self) {
        if let Err(error) = std::fs::remove_dir_all(self.directory()) {
            tracing::warn!(%error, directory = %self.directory().display(), "could not remove the demo's directory");
        }
    }

    /// Returns the folder of logs and settings.
    pub(super) fn directory(&self) -> &Path {
        &self.launcher.directory
    }

    /// Ends the nodes, then the CRM, and waits for all. Returns the nodes that did not end in time and were killed.
    pub(super) async fn strike(&mut self) -> Result<Vec<String>, StageError> {
        let mut killed = Vec::new();
        self.continue_nodes(Duration::ZERO);
        for node in &self.nodes {
            node.process.terminate();
        }
        for mut node in self.nodes.drain(..).map(|node| node.process) {
            let in_time = node.join(NODE_STOP_MAX).await;
            if !in_time.map_err(system(format!("ending {}", node.name)))? {
                killed.push(node.name);
            }
        }
        self.crm.stop().await;
        Ok(killed)
    }
}

/// The CRM, and the task that restarts it.
struct Supervised {
    task: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
    failed: oneshot::Receiver<StageError>,
    restarts: Arc<AtomicU32>,
}

impl Supervised {
    /// Starts the CRM on a free port, and a task that restarts it on the same port after a crash.
    async fn start(launcher: Launcher, faults: Vec<String>) -> Result<(Self, String), StageError> {
        let (first, url) = launch_crm(&launcher, &faults, "127.0.0.1:0").await?;
        let address = url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
        let (stop, stopped) = oneshot::channel();
        let (fail, failed) = oneshot::channel();
        let restarts = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&restarts);
        let task = tokio::spawn(async move {
            let relaunch = || launch_crm(&launcher, &faults, &address);
            if let Err(error) = keep_running(first, relaunch, stopped, &count).await {
                // The receiver is gone when the demo is over.
                let _ = fail.send(error);
            }
        });
        Ok((Self { task: Some(task), stop: Some(stop), failed, restarts }, url))
    }

    async fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The task has already ended if the CRM could not be restarted.
            let _ = stop.send(());
        }
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

/// Restarts a process after each crash until `stopped` says to stop, then ends it.
async fn keep_running<Launch>(
    first: Process,
    relaunch: impl Fn() -> Launch,
    mut stopped: oneshot::Receiver<()>,
    restarts: &AtomicU32,
) -> Result<(), StageError>
where
    Launch: Future<Output = Result<(Process, String), StageError>>,
{
    let mut process = first;
    loop {
        tokio::select! {
            _ = &mut stopped => {
                process.terminate();
                // Late effects need time to land before the audit reads the ledger.
                process.join(2 * DRAIN).await.map_err(system("ending the CRM"))?;
                return Ok(());
            }
            status = process.wait() => {
                let status = status.map_err(system("watching the CRM"))?;
                if status.code() != Some(CRASH_STATUS) {
                    let (name, log) = (process.name.clone(), process.log_tail());
                    return Err(StageError::Ended { name, how: status.to_string(), log });
                }
            }
        }
        process = again(&relaunch).await?;
        restarts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Starts a process again, and tries for a while: its port may not be free yet, and its ledger may be away.
async fn again<Launch>(relaunch: &impl Fn() -> Launch) -> Result<Process, StageError>
where
    Launch: Future<Output = Result<(Process, String), StageError>>,
{
    let begun = Instant::now();
    loop {
        tokio::time::sleep(RESTART_PAUSE).await;
        match relaunch().await {
            Ok((process, _)) => return Ok(process),
            Err(error) if begun.elapsed() >= RESTART_MAX => return Err(error),
            Err(_) => {}
        }
    }
}

/// Starts the CRM and reads its URL from its first line.
async fn launch_crm(launcher: &Launcher, faults: &[String], listen: &str) -> Result<(Process, String), StageError> {
    let arguments = ["demo-participant", "crm", "--listen", listen].into_iter();
    let arguments = arguments.chain(faults.iter().map(String::as_str));
    let mut process = launcher.launch("crm", arguments, Stdio::piped()).map_err(system("starting the CRM"))?;
    let line = match process.stdout() {
        Some(stdout) => BufReader::new(stdout).lines().next_line().await,
        None => Ok(None),
    };
    match line.map_err(system("reading where the CRM is"))? {
        Some(url) => Ok((process, url)),
        None => {
            let status = process.wait().await.map_err(system("watching the CRM"))?;
            let (name, log) = (process.name.clone(), process.log_tail());
            Err(StageError::Ended { name, how: status.to_string(), log })
        }
    }
}

/// Returns the participants' arguments for random faults.
pub(super) fn fault_arguments(share: f64, seed: u64) -> Vec<String> {
    let slow_ms = SLOW.as_millis().to_string();
    let words = ["--seed", &seed.to_string(), "--faults", &share.to_string(), "--slow-ms", &slow_ms];
    words.map(str::to_owned).to_vec()
}

/// Returns the nodes' settings as JSON, which is also YAML and quotes each value by itself.
fn settings(program: &Path, crm_url: &str, script: &Script) -> String {
    let plain = |text: &str| text.replace("${", "$${");
    let mut arguments = vec!["demo-participant".to_owned(), "payments".to_owned()];
    arguments.extend(script.faults.iter().cloned());
    let settings = json!({
        "participants": {
            "payments": {
                "command": plain(&program.to_string_lossy()),
                "args": arguments,
                "env": { "AMENDS_DEMO_LEDGER_URL": "${env.AMENDS_DEMO_LEDGER_URL}" },
            },
            "crm": { "url": crm_url },
        },
        "definitions": [script.file],
        "database": { "url": "${env.DATABASE_URL}" },
        "node": {
            "name": "${env.AMENDS_DEMO_NODE}",
            "lease": format!("{}s", NODE_LEASE.as_secs()),
            "grace_period": "5s",
        },
        "http": { "enabled": false },
        "log": { "level": "info" },
    });
    format!("{settings:#}\n")
}

/// Creates a directory that only its owner can read: the logs name guests and purchases.
fn private_directory(path: &PathBuf) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::super::fault::Fault;
    use super::super::tool::{CRM, PAYMENTS};
    use super::*;
    use crate::catalog::{self, Environment};
    use crate::config::demo::{LEDGER_WAIT_MAX, STOPPED};
    use crate::saga::Definition;
    use crate::saga::definition::{Action, Call, Target};

    fn built(chaos: bool) -> std::sync::Arc<Definition> {
        let drafts = catalog::parse_definitions("hotel_checkout.yaml", &definition(chaos));
        let draft = drafts.unwrap_or_else(|faults| panic!("{faults}")).remove(0);
        Definition::build(draft).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    #[test]
    fn the_nodes_can_read_their_settings() {
        let script = Script { file: "hotel_checkout.yaml", text: definition(false), faults: fault_arguments(0.1, 7) };
        let text = settings(Path::new("/opt/am${ends}/amends"), "http://127.0.0.1:1/mcp", &script);
        let names = ["AMENDS_DEMO_LEDGER_URL", "DATABASE_URL", "AMENDS_DEMO_NODE"];
        let environment: Environment =
            names.into_iter().map(|name| (name.to_owned(), format!("postgres://{name}@host/x"))).collect();
        let settings = catalog::parse_settings("amends.yaml", &text, &environment);
        let settings = settings.unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let mut names: Vec<_> = settings.participants.iter().map(|participant| participant.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["crm", "payments"]);
        assert_eq!(settings.node.name.as_deref(), Some("postgres://AMENDS_DEMO_NODE@host/x"));
    }

    /// A late effect must land after its call's time-out and before the probe's settle window ends.
    #[test]
    fn late_effects_are_later_than_time_outs_and_earlier_than_settle_windows() {
        for chaos in [false, true] {
            check_settle_windows(chaos);
        }
    }

    /// Under chaos, a new owner starts its settle window at the takeover: before the stopped node continues, and
    /// without a time-out first.
    fn check_settle_windows(chaos: bool) {
        let latest = LEDGER_WAIT_MAX + SLOW + if chaos { STOPPED } else { Duration::ZERO };
        let mut probed = 0;
        for planned in built(chaos).steps() {
            let step = &planned.step;
            let Action::Call(action) = &step.action else { panic!("{} makes no call", step.name) };
            for call in std::iter::once(action).chain(&step.compensation) {
                let timeout = Duration::from_millis(call.timeout_ms);
                assert!(timeout < SLOW, "{}: a slow call must time out", step.name);
                let Call { probe: Some(probe), settle_ms, .. } = call else { continue };
                let waited = if chaos { Duration::ZERO } else { timeout };
                let settled = waited + Duration::from_millis(*settle_ms);
                assert!(!chaos || probe.retry.attempts >= 200, "{}: {:?}", step.name, probe.retry);
                assert!(settled > latest + Duration::from_millis(500), "{}: {settled:?}", step.name);
                probed += 1;
            }
        }
        assert_eq!(probed, 5);
    }

    /// A call to a tool with cached errors needs a probe, or a compensation that is safe without the effect.
    #[test]
    fn cached_errors_befall_only_what_has_another_way_out() {
        for planned in built(false).steps() {
            let step = &planned.step;
            let Action::Call(action) = &step.action else { panic!("{} makes no call", step.name) };
            for call in std::iter::once(action).chain(&step.compensation) {
                let Target::Tool { tool, .. } = &call.target else { panic!("{} is no tool", step.name) };
                let tool = PAYMENTS.iter().chain(CRM).find(|known| known.name == tool);
                let tool = tool.unwrap_or_else(|| panic!("{} calls an unknown tool", step.name));
                let cached = tool.faults.faults.iter().any(|(fault, _)| *fault == Fault::CachedError);
                assert!(!cached || call.probe.is_some() || step.safe_when_absent, "{}", tool.name);
            }
        }
    }
}
