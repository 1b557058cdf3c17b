//! What is logged during a call says whose call it is.

use std::io::Write;
use std::sync::{Arc, Mutex};

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use serde_json::{Value, json};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::harness::{Database, eventually};

/// The log of this process, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn what_a_handler_logs_names_its_saga_and_step() {
    let log = Log::default();
    let writer = log.clone();
    // All tests share this process: only what concerns this one is kept.
    let ours = "off,amends::actor=debug,it::log_context=info";
    let format = tracing_subscriber::fmt().json().with_span_events(FmtSpan::CLOSE);
    format.with_env_filter(ours).with_writer(move || writer.clone()).init();
    let handlers = Handlers::new().register("speak", |_: StepContext, _: Value| async move {
        tracing::info!("spoken in a handler");
        Ok::<_, Failure>(Value::Null)
    });
    let handlers = handlers.register("vanish", |_: StepContext, _: Value| async move {
        Err::<Value, _>(Failure::unknown("lost", "no answer came"))
    });
    let pay = Step::new("pay", Call::handler("vanish")).compensation(Call::handler("speak").idempotent());
    let step = Step::new("say", Call::handler("speak").idempotent()).pivot();
    let database = Database::create().await;
    let runtime = Runtime::builder(database.url.clone())
        .handlers(handlers)
        .definition(Draft::new("speaker").step(step))
        .definition(Draft::new("vanishes").step(pay))
        .begin()
        .await
        .unwrap();
    let saga = runtime.start("speaker", &json!({ "secret": "hunter2" })).await.unwrap();
    runtime.wait(saga).await.unwrap();
    // A saga that needs a person is not silent.
    let stuck = runtime.start("vanishes", &json!({})).await.unwrap();
    eventually("the log tells of the stuck saga", async || log.text().contains("the saga is stuck")).await;
    runtime.stop(std::time::Duration::from_secs(5)).await.unwrap();

    let text = log.text();
    let lines_of = |what: &str| {
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let [line] = &lines_of("the saga is stuck")[..] else { panic!("expected one line of the stuck saga\n{text}") };
    let fields = &line["fields"];
    let told = ["saga.id", "definition", "step", "direction", "reason", "code", "error"].map(|field| &fields[field]);
    let id = stuck.to_string();
    assert_eq!(told, [id.as_str(), "vanishes", "pay", "action", "in_doubt", "lost", "no answer came"]);
    let message = fields["message"].as_str().unwrap();
    assert!(line["level"] == "WARN" && message.contains(&format!("amends show {stuck}")), "{line}");
    assert!(message.contains("resolve pay applied") && message.contains("resolve pay absent"), "{message}");
    let line = text.lines().find(|line| line.contains("spoken in a handler")).expect("the handler's line");
    let line: Value = serde_json::from_str(line).unwrap();
    let expected = json!({
        "name": "attempt", "saga.id": saga.to_string(), "definition": "speaker", "step": "say",
        "direction": "action", "number": 1, "probe": false,
    });
    assert_eq!(line["span"], expected);
    // Who wants to know more is told of the saga, the step and the batch around it.
    let names: Vec<&str> =
        line["spans"].as_array().unwrap().iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["saga", "step", "attempt"]);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of = |name: &'static str| move |line: &Value| line["span"]["name"] == name;
    assert!(lines.clone().filter(of("commit batch")).any(|line| line["span"]["transitions"].as_u64() >= Some(1)));
    assert!(lines.filter(of("saga")).any(|line| line["span"]["saga.id"] == saga.to_string()));
    assert!(!text.contains("hunter2"), "payloads are not logged");
}
