//! A participant over MCP whose errors come after the effect. Owns its server, which lives in the test's process and so
//! outlives the nodes, and the definitions that call it; what is true about effects is in `ledger.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use amends::participant::{Limits, ParticipantConfig, Secret, Transport};
use amends::saga::definition::{Call, Draft, Probe, Step, Target, Template};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::definitions::Habits;
use super::ledger::{Effect, Ledger};
use crate::participant::mcp_http::{message, method, reply, shake_hands};
use crate::participant::wire::{self, Act, answer};

/// Names of the definitions. Sagas of those that end in `_back` must end compensated, the others completed.
pub(super) const SAGAS: [&str; 3] = ["errs", "errs_back", "left_back"];

const TOOLS: [&str; 7] = ["act", "act_once", "balk", "decline", "find", "undo", "find_undo"];

/// The participant as nodes know it.
pub(super) fn participant(port: u16) -> ParticipantConfig {
    let url = Secret::plain(format!("http://127.0.0.1:{port}/mcp"));
    let transport = Transport::McpHttp { url, headers: BTreeMap::new() };
    ParticipantConfig { name: "errant".into(), transport, limits: Limits::default(), answers: Default::default() }
}

fn tool(name: &str, key: &str) -> Target {
    let arguments = json!({ "saga": "${ saga }", "step": "${ step }", "key": format!("${{ {key} }}") });
    Target::Tool { participant: "errant".into(), tool: name.into(), arguments: Template(arguments) }
}

impl Habits {
    fn tool(self, name: &str, key: &str) -> Call {
        self.patient(Call::new(tool(name, key)))
    }

    fn asked(self, name: &str, key: &str) -> Probe {
        self.insistent(Probe::new(tool(name, key), "result.found"))
    }

    /// A call that knows no keys, and can be asked about.
    fn probed_tool(self, name: &str) -> Call {
        self.tool(name, "key").probe(self.asked("find", "key"))
    }

    /// An undo that is repeated after its error.
    fn repeated_undo(self) -> Call {
        self.tool("undo", "action_key").idempotent()
    }

    /// An undo that is asked about after its error.
    fn probed_undo(self) -> Call {
        self.tool("undo", "action_key").probe(self.asked("find_undo", "action_key"))
    }

    /// The definitions whose participant errs after the effect.
    pub(super) fn errant_drafts(self) -> [Draft; 3] {
        let first = || Step::new("a", self.probed_tool("act_once")).compensation(self.repeated_undo());
        let second = |name: &str| {
            let step = Step::new(name, self.probed_tool("act_once")).compensation(self.probed_undo());
            step.needs(["a"])
        };
        let pivot = Step::new("p", self.probed_tool("act_once")).pivot().needs(["b"]);
        // Neither can turn the saga back: one is repeated under its key, one under a new key after proof of absence.
        let repeated = Step::new("r", self.tool("act", "key").idempotent()).retriable().needs(["p"]);
        let proved = Step::new("s", self.probed_tool("balk")).retriable().needs(["p"]);
        let declined = Step::new("z", self.probed_tool("decline")).compensation(self.repeated_undo());
        // What the error of this one proves is never found out, and need not be.
        let left = Step::new("z", self.tool("act_once", "key")).compensation(self.repeated_undo());
        [
            Draft::new("errs").step(first()).step(second("b")).step(pivot).step(repeated).step(proved),
            Draft::new("errs_back").step(first()).step(second("b")).step(declined.needs(["b"])),
            Draft::new("left_back").step(first()).step(left.safe_when_absent().needs(["a"])),
        ]
    }
}

/// The server; it ends with its case, and its connections to the ledger with it.
pub(super) struct Server {
    pub(super) port: u16,
    errant: Arc<Errant>,
    listening: tokio::task::AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

struct Errant {
    ledger: Arc<Ledger>,
    habits: Habits,
    /// Calls that have met their error: tool, saga and step.
    met: Mutex<BTreeSet<[String; 3]>>,
    errors: AtomicUsize,
}

impl Server {
    pub(super) async fn start(ledger_url: &str, habits: Habits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ledger = Ledger::at(ledger_url, habits);
        let (met, errors) = (Mutex::default(), AtomicUsize::new(0));
        let errant = Arc::new(Errant { ledger, habits, met, errors });
        let served = errant.clone();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Self { port, errant, listening: listening.abort_handle() }
    }

    /// How often it has erred.
    pub(super) fn errors(&self) -> usize {
        self.errant.errors.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, errant: Arc<Errant>) {
    let Some(request) = wire::read(&mut stream).await else { return };
    let act = match method(&request).as_str() {
        "initialize" => shake_hands(&request, ""),
        "tools/list" => {
            let tools = TOOLS.map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
            reply(&request, "", json!({ "result": { "tools": tools } }))
        }
        "tools/call" => reply(&request, "", errant.call(&message(&request)["params"]).await),
        "" => answer("405 Method Not Allowed", "", ""),
        _ => answer("202 Accepted", "", ""),
    };
    let Act::Answer(text) = act else { unreachable!("all of them are answers") };
    // Its caller may have died.
    let _ = stream.write_all(text.as_bytes()).await;
}

impl Errant {
    /// Carries a call out; returns the result or the error of its answer.
    async fn call(&self, params: &Value) -> Value {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, arguments) = (text(&params["name"]), &params["arguments"]);
        let [saga, step, key] = ["saga", "step", "key"].map(|name| text(&arguments[name]));
        let met = [name.clone(), saga.clone(), step.clone()];
        let effect = Effect::new(saga, step, key, self.habits);
        let done = match &*name {
            "act" => self.ledger.write(&effect, true).await.map_err(|failure| format!("{failure:?}")),
            "act_once" => self.ledger.write(&effect, false).await.map_err(|failure| format!("{failure:?}")),
            "balk" if !self.met.lock().unwrap().contains(&met) => Ok(Value::Null),
            "balk" => self.ledger.write(&effect, false).await.map_err(|failure| format!("{failure:?}")),
            "decline" => Ok(Value::Null),
            _ => self.ledger.look_or_undo(&name, &effect).await,
        };
        let found = name.starts_with("find");
        let errs = done.is_err() || !found && (name == "decline" || self.met.lock().unwrap().insert(met));
        match done {
            Ok(_) if errs => self.err("something went wrong"),
            Ok(output) => json!({ "result": { "content": [], "structuredContent": output } }),
            Err(message) => self.err(&message),
        }
    }

    /// The errors of tools that prove nothing, in turns.
    fn err(&self, message: &str) -> Value {
        match self.errors.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => {
                json!({ "result": { "isError": true, "content": [{ "type": "text", "text": message }] } })
            }
            1 => {
                json!({ "error": { "code": -32602, "message": format!("Output validation error: {message}") } })
            }
            _ => json!({ "error": { "code": -32603, "message": message } }),
        }
    }
}

impl Ledger {
    /// Answers what is no action. An undo takes back what is there, and is nothing where nothing is.
    async fn look_or_undo(&self, name: &str, effect: &Effect) -> Result<Value, String> {
        let text = |error: tokio_postgres::Error| error.to_string();
        let mut client = self.own_client().await?;
        let transaction = client.transaction().await.map_err(text)?;
        let answer = match name {
            "find" => json!({ "found": effect.is_there(&transaction).await.map_err(text)? }),
            "find_undo" => json!({ "found": effect.is_undone(&transaction).await.map_err(text)? }),
            "undo" if effect.is_there(&transaction).await.map_err(text)? => {
                effect.undo(&transaction).await.map_err(text)?;
                json!({ "undone": true })
            }
            "undo" => json!({ "undone": false }),
            _ => return Err(format!("there is no tool {name}")),
        };
        transaction.commit().await.map_err(text)?;
        Ok(answer)
    }
}
