//! What is done with bytes from outside: the entries of the fuzz targets, which the tests drive with chance,
//! too. Owns what must hold: no panic, no hang, and an answer. Finding the bytes is left to whoever calls.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use amends::catalog::{parse_definitions, parse_settings};
use amends::participant::{Handlers, Limits, ParticipantConfig, Participants, Scope, Secret, Transport, expr};
use amends::saga::definition::{Call, Draft, Step, Target, Template};
use amends::saga::event::Event;
use amends::saga::{Definition, Json, attention, begin, legal_verbs, next_timer, outstanding, transition};
use serde_json::{Value, json};

/// Longest time for one input; it is far longer than any should take.
const TIME_MAX: Duration = Duration::from_secs(10);

fn in_time(work: impl FnOnce()) {
    let begun = Instant::now();
    work();
    assert!(begun.elapsed() < TIME_MAX, "it took {:?}", begun.elapsed());
}

/// A file of definitions or settings.
pub(crate) fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    in_time(|| {
        drop(parse_definitions("f", text));
        drop(parse_settings("s", text, &std::iter::empty::<(String, String)>().collect()));
    });
}

/// An expression in the first line, and in the rest the input that it sees; the same as a template.
pub(crate) fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, input) = text.split_once('\n').unwrap_or((text, "null"));
    let input = Json::parse(input).unwrap_or_else(|_| Json::null());
    let scope = Scope::of_saga(uuid::Uuid::nil(), input, Vec::new());
    in_time(|| {
        drop(expr::evaluate(&text.into(), &scope));
        drop(expr::render(&Template(json!({ "a": text })), &scope));
    });
}

/// The definition whose sagas' journals are read.
pub(crate) fn definition() -> Arc<Definition> {
    let call = || Call::handler("h").idempotent();
    let draft = Draft::new("d")
        .step(Step::new("a", call()).compensation(call()))
        .step(Step::awaiting("e", "e", Some(5_000)).needs(["a"]))
        .step(Step::new("b", Call::handler("h")).compensation(call()).needs(["a"]))
        .step(Step::new("p", Call::handler("h").transactional()).pivot().needs(["b", "e"]))
        .step(Step::new("r", call()).retriable().needs(["p"]));
    Definition::build(draft).expect("a sound definition")
}

/// Rows of a journal, one a line, of whatever writer: they are folded until one does not fit.
pub(crate) fn journal(bytes: &[u8]) {
    static DEFINITION: OnceLock<Arc<Definition>> = OnceLock::new();
    let definition = DEFINITION.get_or_init(definition);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    in_time(|| {
        let mut events = text.lines().map_while(|line| serde_json::from_str::<Event>(line).ok());
        let Some(Event::Started(started)) = events.next() else { return };
        let (mut state, _) = begin(definition, &started);
        for event in events {
            let Ok((next, _)) = transition(definition, &state, &event) else { break };
            state = next;
        }
        // What a new owner, an operator and a view ask of it.
        drop((outstanding(&state), next_timer(definition, &state), legal_verbs(definition, &state, state.at)));
        drop((attention(definition, &state), state.status()));
    });
}

/// The answer of an HTTP participant or of an MCP server, from its status line on.
pub(crate) fn answer(bytes: &[u8]) {
    static WIRE: OnceLock<Wire> = OnceLock::new();
    let wire = WIRE.get_or_init(Wire::begin);
    *wire.answer.lock().unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
    in_time(|| wire.runtime.block_on(wire.ask()));
}

/// A server that answers whatever it is told, and a caller.
struct Wire {
    answer: Arc<Mutex<Vec<u8>>>,
    runtime: tokio::runtime::Runtime,
    url: String,
}

impl Wire {
    fn begin() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let answer = Arc::new(Mutex::new(Vec::new()));
        let told = answer.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let bytes = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Whoever calls may be gone before it has heard everything.
                let _ = stream.read(&mut [0; 4_096]);
                let _ = stream.write_all(&bytes);
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { answer, runtime: runtime.expect("a runtime"), url }
    }

    async fn ask(&self) {
        let url = || Secret::plain(self.url.clone());
        let config = |name: &str, transport| ParticipantConfig {
            name: name.to_owned(),
            transport,
            limits: Limits { answer_bytes_max: 4_096, ..Limits::default() },
            answers: Default::default(),
        };
        let configs = vec![
            config("web", Transport::Http { url: url(), headers: Default::default() }),
            config("mcp", Transport::McpHttp { url: url(), headers: Default::default() }),
        ];
        let here = tokio::runtime::Handle::current();
        let participants = Participants::new(configs, Handlers::new(), &here).expect("sound settings");
        let web: Target = serde_json::from_value(json!({
            "http": { "participant": "web", "method": "POST", "path": "/x", "query": {}, "headers": {}, "body": {} }
        }))
        .expect("a request");
        let scope = Arc::new(Scope::of_saga(uuid::Uuid::nil(), Json::null(), Vec::new()));
        let rules = |call: Call| call.timeout_ms(250).success("result.ok == true").output(json!("${ result }"));
        drop(participants.execute(&rules(Call::new(web)), &scope).await);
        drop(participants.execute(&rules(Call::tool("mcp", "t", json!({}))), &scope).await);
        participants.shutdown().await;
    }
}

/// Inputs that mean something, from which others are made: by entry.
pub(crate) fn corpus(entry: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    match entry {
        "yaml" => texts(&[
            include_str!("../examples/hotel_checkout.yaml"),
            include_str!("../examples/amends.yaml"),
            "saga: s\nsteps:\n- step: a\n  irreversible: true\n  action: { http: p, path: \"/${ input.x }\" }\n",
        ]),
        "expression" => texts(&[
            "input.items.filter(x, x.price > 10).map(x, x.price * 2)\n{\"items\":[{\"price\":12},{\"price\":3}]}",
            "has(input.a) ? input.a[\"b\"] + string(size(input.c)) : 'none'\n{\"a\":{\"b\":\"x\"},\"c\":[1,2,3]}",
            "input.s.matches('^[a-z]+(-[0-9]+)*$') && input.s.startsWith(\"a\") || !(1.5e3 in [1, 2u, 3])\n{\"s\":\"ab-1\"}",
            "timestamp('2024-01-01T00:00:00Z') + duration('1h30m') > timestamp(input.t)\n{\"t\":\"2023-05-05T05:05:05Z\"}",
            "${ input.a } and ${ [input.a].exists_one(y, y == input.a) }\n{\"a\":null}",
        ]),
        "answer" => texts(&[
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}",
            "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n5\r\nlater\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-type: application/json; charset=iso-8859-1\r\n\r\n{\"id\":\"t1\",\"status\":\"succ",
            "HTTP/1.1 409 Conflict\r\ncontent-type: application/problem+json\r\ncontent-length: 51\r\n\r\n\
             {\"type\":\"about:blank\",\"errors\":[{\"code\":\"in_use\"}]}",
            "HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\ncontent-length: 11\r\n\r\n{\"ok\":true}",
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: s\r\ncontent-length: 142\r\n\r\n\
             {\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},\
             \"serverInfo\":{\"name\":\"x\",\"version\":\"1\"}}}",
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: message\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\
             \"id\":0,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}],\"isError\":false}}\n\n",
        ]),
        "journal" => journals(),
        other => panic!("there is no entry {other:?}"),
    }
}

/// Journals that fit, one for each way that a saga of the definition may go.
fn journals() -> Vec<Vec<u8>> {
    let started = json!({ "started": { "at": 1, "input": { "n": 1 } } });
    let ended = |at: u64, step: usize, direction: &str, outcome: Value| {
        json!({ "attempt_ended": { "at": at, "step": step, "direction": direction, "attempt": 1,
                                   "outcome": outcome, "jitter": 0.25 } })
    };
    let good = || json!({ "succeeded": { "output": { "id": "x" } } });
    let error = json!({ "code": "c", "message": "m" });
    let refused = json!({ "failed": { "error": error, "retryable": false, "retry_after_ms": null } });
    let asked = |signal: u64, request: Value| json!({ "requested": { "at": 50, "signal": signal, "by": "me", "request": request } });
    let lines = |rows: &[Value]| rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n").into_bytes();
    let unknown = json!({ "unknown": { "error": error } });
    let (lost, fired) =
        (json!({ "owner_lost": { "at": 60, "jitter": 0.5 } }), json!({ "timer_fired": { "at": 9_000 } }));
    vec![
        lines(&[started.clone(), ended(10, 0, "action", good()), ended(20, 2, "action", refused), fired.clone()]),
        lines(&[
            started.clone(),
            ended(10, 0, "action", good()),
            asked(1, json!({ "provide": { "event": "e", "payload": 7 } })),
            ended(20, 2, "action", good()),
            ended(30, 3, "action", good()),
            ended(40, 4, "action", good()),
        ]),
        lines(&[
            started.clone(),
            ended(10, 0, "action", good()),
            ended(20, 2, "action", unknown),
            asked(1, json!({ "resolve": { "step": "b", "finding": "absent", "reason": "looked" } })),
            asked(2, json!({ "cancel": { "reason": "enough" } })),
            fired.clone(),
            ended(70, 0, "compensation", good()),
        ]),
        lines(&[started, lost.clone(), fired.clone(), lost.clone(), fired, lost]),
    ]
}
