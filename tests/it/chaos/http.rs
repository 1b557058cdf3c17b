//! Participants in another process, over HTTP, which answer late, twice, wrongly or not at all, and let effects land
//! when nobody waits for them any more. Owns their server, what goes wrong with its answers, and the definitions that
//! call it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::barrier;
use amends::participant::{Limits, ParticipantConfig, Secret, Transport};
use amends::saga::definition::{Call, Draft, Expression, Probe, Rule, Step, Target, Template, Verdict};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::HABITS;
use crate::crash::definitions::TIMEOUT_MS;
use crate::crash::ledger::{Effect, Ledger};

/// Names of the definitions; those that end in `_back` must end compensated.
pub(super) const SAGAS: [&str; 4] = ["http", "http_back", "barred", "barred_back"];

/// A participant of the nodes at this port.
pub(super) fn participant(port: u16) -> ParticipantConfig {
    let url = Secret::plain(format!("http://127.0.0.1:{port}"));
    let transport = Transport::Http { url, headers: BTreeMap::new() };
    ParticipantConfig { name: "shop".into(), transport, limits: Limits::default(), answers: Default::default() }
}

fn request(method: &str, path: &str, key: &str) -> Target {
    let text = |text: String| Template(Value::String(text));
    let post = method == "POST";
    let key = text(format!("${{ {key} }}"));
    Target::Http {
        participant: "shop".into(),
        method: method.into(),
        path: text(format!("/{path}/${{ saga }}/${{ step }}")),
        query: if post { BTreeMap::new() } else { BTreeMap::from([("key".to_owned(), key.clone())]) },
        headers: BTreeMap::new(),
        body: post.then(|| Template(json!({ "key": key.0 }))),
    }
}

fn call(path: &str, key: &str) -> Call {
    let when = Expression("has(result.error) && result.error == 'busy'".into());
    let call = HABITS.patient(Call::new(request("POST", path, key)));
    call.classify(Rule::new(when, Verdict::Retryable))
}

/// A call that may be accepted, and lands later, and whose participant may err after the effect, as tools do.
fn accepting(path: &str) -> Call {
    let accepted = Rule::new(Expression("status == 202".into()), Verdict::Pending);
    let errs = Expression("has(result.error) && result.error == 'output schema'".into());
    call(path, "key").classify(accepted).classify(Rule::new(errs, Verdict::Errored))
}

pub(super) fn drafts() -> Vec<Draft> {
    let undo = |path: &str| call(path, "action_key").idempotent();
    let keyed = |name: &str| Step::new(name, call("effect", "key").idempotent()).compensation(undo("undo"));
    let probe = |path: &str| {
        let probe = Probe::new(request("GET", path, "key"), "result.found");
        HABITS.insistent(probe.absent("!result.found && !result.accepted"))
    };
    let once = || Step::new("b", accepting("once").probe(probe("find"))).compensation(undo("undo"));
    // What a barrier has called absent does not land later, so nobody waits for it.
    let barred = || {
        let action = accepting("barred").probe(probe("barred-find")).settle_ms(0);
        Step::new("b", action).compensation(undo("barred-undo"))
    };
    let refused = || {
        let action = call("refuse", "key").idempotent().probe(probe("find"));
        Step::new("z", action).compensation(undo("undo"))
    };
    let draft = |name: &str, middle: Step, last: Step| {
        Draft::new(name).step(keyed("a")).step(middle.needs(["a"])).step(last.needs(["b"]))
    };
    vec![
        draft("http", once(), keyed("z")),
        draft("http_back", once(), refused()),
        draft("barred", barred(), keyed("z")),
        draft("barred_back", barred(), refused()),
    ]
}

/// How an answer goes wrong; the effect is there in all but two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Well,
    /// After the caller's time-out.
    Late,
    /// The same twice.
    Twice,
    /// As an error.
    Error,
    /// As a tool that errs after its effect. What has no probe is answered well.
    Errs,
    /// As an error that asks for a pause.
    Unavailable,
    /// As a conflict that ends in the middle of its body.
    ConflictCut,
    /// As accepted: the effect lands later. What has no probe is answered well.
    Accepted,
    /// As something that is no HTTP.
    Garbage,
    /// Up to the middle of its JSON.
    Truncated,
    /// As a success whose body says that nothing was done, which is true.
    Refusal,
    /// Not at all, and the effect lands when the caller has given up.
    Lands,
}

/// One after the other.
const MODES: [Mode; 15] = [
    Mode::Well,
    Mode::Late,
    Mode::Well,
    Mode::Twice,
    Mode::Error,
    Mode::Errs,
    Mode::Unavailable,
    Mode::Well,
    Mode::ConflictCut,
    Mode::Accepted,
    Mode::Garbage,
    Mode::Truncated,
    Mode::Refusal,
    Mode::Well,
    Mode::Lands,
];

/// The server; it ends with the test.
pub(super) struct Server {
    pub(super) port: u16,
    shop: Arc<Shop>,
}

struct Shop {
    ledger: Arc<Ledger>,
    /// Keys of calls that were accepted and have not landed.
    accepted: Mutex<BTreeSet<String>>,
    calls: AtomicUsize,
    /// Answers by how they went wrong, in the order of [`MODES`].
    answers: [AtomicUsize; MODES.len()],
}

impl Server {
    pub(super) async fn start(ledger_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ledger = Ledger::at(ledger_url, HABITS);
        let shop = Arc::new(Shop {
            ledger,
            accepted: Mutex::default(),
            calls: AtomicUsize::new(0),
            answers: Default::default(),
        });
        let server = Self { port, shop: shop.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shop.clone()));
            }
        });
        server
    }

    /// How often each thing went wrong.
    pub(super) fn told(&self) -> BTreeMap<String, usize> {
        let mut told = BTreeMap::new();
        for (mode, count) in MODES.iter().zip(&self.shop.answers) {
            *told.entry(format!("{mode:?}")).or_default() += count.load(Ordering::SeqCst);
        }
        told
    }
}

/// Serves one connection until it ends or an answer breaks it.
async fn serve(mut stream: TcpStream, shop: Arc<Shop>) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let (path, key) = next_request(&mut stream, &mut read).await?;
        let mut parts = path.trim_start_matches('/').split('/').map(str::to_owned);
        let (verb, saga, step) = (parts.next()?, parts.next()?, parts.next()?);
        let effect = Effect::new(saga, step, key, HABITS);
        match &*verb {
            "effect" | "once" | "barred" => {
                let turn = shop.calls.fetch_add(1, Ordering::SeqCst) % MODES.len();
                shop.answers[turn].fetch_add(1, Ordering::SeqCst);
                act(&mut stream, &shop, MODES[turn], &verb, effect).await?;
            }
            "refuse" => answer(&mut stream, "422 Unprocessable Content", "{\"code\": \"declined\"}").await?,
            // One that was accepted will land: neither there, nor absent, and not to be barred.
            "find" | "barred-find" if shop.accepted.lock().unwrap().contains(effect.key()) => {
                answer(&mut stream, "200 OK", "{\"found\": false, \"accepted\": true}").await?;
            }
            _ => {
                let done = shop.ledger.tend(&verb, &effect).await;
                match done {
                    Ok(body) => answer(&mut stream, "200 OK", &body.to_string()).await?,
                    Err(_) => answer(&mut stream, "500 Internal Server Error", "it may be done").await?,
                }
            }
        }
    }
}

/// Makes an effect and answers in this mode.
async fn act(stream: &mut TcpStream, shop: &Arc<Shop>, mode: Mode, verb: &str, effect: Effect) -> Option<()> {
    let timeout = Duration::from_millis(TIMEOUT_MS);
    match mode {
        Mode::Refusal => return answer(stream, "200 OK", "{\"error\": \"busy\"}").await,
        Mode::Lands => {
            let (shop, verb) = (shop.clone(), verb.to_owned());
            // Where a barrier stands, it may come as late as it likes.
            let late = if verb == "barred" { HABITS.settle_ms } else { HABITS.settle_ms / 2 };
            tokio::spawn(async move {
                tokio::time::sleep(timeout + Duration::from_millis(late)).await;
                // Nobody waits for it any more.
                let _ = shop.ledger.make(&verb, &effect).await;
            });
            tokio::time::sleep(timeout * 2).await;
            return None;
        }
        Mode::Accepted if verb != "effect" => {
            land(shop, verb, effect);
            return answer(stream, "202 Accepted", "{\"state\": \"queued\"}").await;
        }
        _ => {}
    }
    let mut made = shop.ledger.make(verb, &effect).await;
    if mode == Mode::Twice && verb != "once" && made.is_ok() {
        // Whatever becomes of the second one, the first was carried out.
        made = shop.ledger.make(verb, &effect).await;
    }
    let body = match made {
        Ok(Some(body)) => body.to_string(),
        Ok(None) => return answer(stream, "409 Conflict", "{\"code\": \"barred\"}").await,
        Err(_) => return answer(stream, "500 Internal Server Error", "it may be done").await,
    };
    match mode {
        Mode::Late => {
            tokio::time::sleep(timeout + Duration::from_millis(500)).await;
            answer(stream, "200 OK", &body).await
        }
        Mode::Twice => {
            // Where the connection is used again, HTTP has it that a second answer is the next request's.
            let last = format!("connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{last}HTTP/1.1 200 OK\r\n{last}").as_bytes()).await.ok()?;
            None
        }
        Mode::Errs if verb != "effect" => answer(stream, "200 OK", "{\"error\": \"output schema\"}").await,
        Mode::Error => answer(stream, "500 Internal Server Error", "stack trace").await,
        Mode::Unavailable => {
            let head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()
        }
        Mode::ConflictCut => {
            let head = "HTTP/1.1 409 Conflict\r\ncontent-type: application/json\r\ncontent-length: 70\r\n\r\n";
            stream.write_all(format!("{head}{{\"code\":\"in").as_bytes()).await.ok()?;
            None
        }
        Mode::Garbage => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.ok()?;
            None
        }
        Mode::Truncated => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body.as_bytes()[..body.len() / 2]).await.ok()?;
            None
        }
        Mode::Well | Mode::Errs | Mode::Refusal | Mode::Lands | Mode::Accepted => answer(stream, "200 OK", &body).await,
    }
}

/// Makes an accepted effect later, however often its ledger is away.
fn land(shop: &Arc<Shop>, verb: &str, effect: Effect) {
    if !shop.accepted.lock().unwrap().insert(effect.key().to_owned()) {
        return;
    }
    let (shop, verb) = (shop.clone(), verb.to_owned());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(HABITS.settle_ms / 2)).await;
        // A commit whose answer was lost is looked up.
        while shop.ledger.land(&verb, &effect).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        shop.accepted.lock().unwrap().remove(effect.key());
    });
}

async fn answer(stream: &mut TcpStream, status: &str, body: &str) -> Option<()> {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.ok()
}

/// Reads a head and the body that it announces; returns the path and the key.
async fn next_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, String)> {
    let mut chunk = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let target = head.split(' ').nth(1)?;
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let body: Value = serde_json::from_str(&body[..length]).unwrap_or_default();
                let asked = query.strip_prefix("key=").unwrap_or_default().replace("%2F", "/");
                let key = body["key"].as_str().map_or(asked, str::to_owned);
                let answer = (path.to_owned(), key);
                read.drain(..head.len() + 4 + length);
                return Some(answer);
            }
        }
        match stream.read(&mut chunk).await.ok()? {
            0 => return None,
            count => read.extend_from_slice(&chunk[..count]),
        }
    }
}

impl Ledger {
    /// Makes an effect; none if it is barred.
    async fn make(&self, verb: &str, effect: &Effect) -> Result<Option<Value>, String> {
        let key = json!({ "key": effect.key() });
        if verb != "barred" {
            return self.write(effect, verb == "effect").await.map(Some).map_err(|error| format!("{error:?}"));
        }
        let mut client = self.own_client().await?;
        let transaction = client.transaction().await.map_err(text)?;
        let verdict = barrier::action(&transaction, effect.key(), None).await.map_err(text)?;
        if verdict == barrier::Action::Proceed {
            effect.insert(&transaction).await.map_err(text)?;
        }
        transaction.commit().await.map_err(text)?;
        Ok((verdict != barrier::Action::Barred).then_some(key))
    }

    /// Makes an accepted effect unless it is there already.
    async fn land(&self, verb: &str, effect: &Effect) -> Result<(), String> {
        let mut client = self.own_client().await?;
        let transaction = client.transaction().await.map_err(text)?;
        let there = effect.is_there(&transaction).await.map_err(text)?;
        drop(transaction);
        if !there {
            self.make(verb, effect).await?;
        }
        Ok(())
    }

    /// Answers what is no action.
    async fn tend(&self, verb: &str, effect: &Effect) -> Result<Value, String> {
        let mut client = self.own_client().await?;
        let transaction = client.transaction().await.map_err(text)?;
        let answer = match verb {
            "find" => {
                let found = effect.is_there(&transaction).await.map_err(text)?;
                json!({ "found": found, "accepted": false })
            }
            "undo" => {
                effect.undo(&transaction).await.map_err(text)?;
                Value::Null
            }
            "barred-find" => {
                let verdict = barrier::probe(&transaction, effect.key()).await.map_err(text)?;
                json!({ "found": verdict != barrier::Probe::Absent, "accepted": false })
            }
            _ => {
                let verdict = barrier::compensation(&transaction, effect.key()).await.map_err(text)?;
                if matches!(verdict, barrier::Compensation::Proceed { .. }) {
                    effect.undo(&transaction).await.map_err(text)?;
                }
                Value::Null
            }
        };
        transaction.commit().await.map_err(text)?;
        Ok(answer)
    }
}

fn text(error: tokio_postgres::Error) -> String {
    error.to_string()
}
