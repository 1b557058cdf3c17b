//! Node processes of a bench, as their parent sees them: starts them, sends orders, reads answers. A node ends with
//! its stdin, so none outlives a killed parent.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::node::{Done, NodeArgs, Order};
use crate::cli::failure::Failure;

/// A node process.
pub(super) struct NodeProcess {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl NodeProcess {
    /// Starts a node on a database and waits until it is ready.
    pub(super) async fn start(args: NodeArgs, url: &str) -> Result<Self, Failure> {
        let failed = |error| Failure::failed(format!("cannot start a node: {error}"));
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["bench-node", "--workload", args.workload.name()])
            .args(["--in-flight", &args.in_flight.to_string()])
            .args(["--lanes", &args.lanes.to_string()])
            .args(["--threads", &args.threads.to_string()])
            .args(["--residents-max", &args.residents_max.to_string()])
            .args(args.listen.then_some("--listen"))
            .env("DATABASE_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.ok_or_else(|| Failure::failed("expected a pipe from the node, found none"))?;
        let mut node = Self { child, orders, answers: BufReader::new(answers).lines() };
        node.done().await?;
        Ok(node)
    }

    /// Sends an order.
    pub(super) async fn tell(&mut self, order: Order) -> Result<(), Failure> {
        let text = serde_json::to_string(&order).map_err(|error| Failure::failed(error.to_string()))?;
        let gone = || Failure::failed("a node of the bench is gone");
        let orders = self.orders.as_mut().ok_or_else(gone)?;
        orders.write_all(format!("{text}\n").as_bytes()).await.map_err(|_| gone())
    }

    /// Waits until it has carried out its order.
    pub(super) async fn done(&mut self) -> Result<Done, Failure> {
        let line = self.answers.next_line().await.map_err(|error| Failure::failed(error.to_string()))?;
        match line {
            Some(line) => serde_json::from_str(&line).map_err(|error| Failure::failed(error.to_string())),
            None => {
                let status = self.child.wait().await.map_err(|error| Failure::failed(error.to_string()))?;
                Err(Failure::failed(format!("a node of the bench ended early with {status}; see its messages above")))
            }
        }
    }

    /// Stops it gracefully.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.orders.take());
        let status = self.child.wait().await.map_err(|error| Failure::failed(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(Failure::failed(format!("a node ended with {status}"))) }
    }
}
