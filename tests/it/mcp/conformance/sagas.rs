//! What the suite expects and a saga can be: definitions, and the handlers that they call. Owns both; as tools they are
//! the door's like any other.

use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::saga::definition::{Call, Draft, Retry, Step};
use serde::Deserialize;
use serde_json::{Value, json};

/// The saga that the last round of `test_tool_with_task` starts.
pub(super) const GREETING: &str = "greeting";

#[derive(Deserialize)]
struct Computation {
    seconds: u64,
}

pub(super) fn handlers() -> Handlers {
    Handlers::new().register("echo", |_: StepContext, input: Value| async move { Ok::<_, Failure>(input) }).register(
        "compute",
        |step: StepContext, asked: Computation| async move {
            // The machine is busy at first, and for longer than was asked: one second must outlast the wait for an end.
            let pause = Duration::from_millis(1_500 * asked.seconds);
            match (step.attempt(), pause.is_zero()) {
                (1, false) => Err(Failure::retryable("busy", "the machine computes something else").after(pause)),
                _ => Ok(json!({ "computed_after_s": asked.seconds })),
            }
        },
    )
}

pub(super) fn drafts() -> Vec<Draft> {
    let echo = || Step::new("echo", Call::handler("echo").read_only());
    let nap = |name: &str, after: &[&str]| Step::sleeping(name, 250).needs(after.iter().copied());
    vec![
        Draft::new("test_simple_text").description("Answers with text.").step(echo()),
        Draft::new("test_reconnection").description("Takes a moment.").step(nap("nap", &[])),
        // Called without arguments, it is a refusal that the model can act upon.
        Draft::new("test_error_handling")
            .description("Refuses to start without a reason.")
            .input(
                json!({ "type": "object", "required": ["reason"], "properties": { "reason": { "type": "string" } } }),
            )
            .step(echo()),
        // The suite fills in a form of its own, which is no yes: it stays asked.
        Draft::new("test_elicitation")
            .description("Asks a person.")
            .input(json!({ "type": "object", "required": ["message"],
                "properties": { "message": { "type": "string" } } }))
            .step(Step::approval("ask", "${ input.message }", None, None).approved_by_caller()),
        Draft::new("test_tool_with_progress")
            .description("Takes six short naps, one after the other.")
            .step(nap("one", &[]))
            .step(nap("two", &["one"]))
            .step(nap("three", &["two"]))
            .step(nap("four", &["three"]))
            .step(nap("five", &["four"]))
            .step(nap("six", &["five"])),
        Draft::new("json_schema_2020_12_tool")
            .description("Has an input whose schema uses much of JSON Schema.")
            .input(wide_schema())
            .step(echo()),
        Draft::new("test_custom_header")
            .description("Has an argument that clients repeat in a header.")
            .input(json!({ "type": "object", "required": ["region"],
                "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } }))
            .step(echo()),
        Draft::new("slow_compute")
            .description("Computes for some seconds.")
            .input(json!({ "type": "object", "required": ["seconds"],
                "properties": { "seconds": { "type": "integer", "minimum": 0 }, "label": { "type": "string" } } }))
            .step(Step::new(
                "compute",
                Call::handler("compute").read_only().retry(Retry { attempts: 2, ..Retry::default() }),
            )),
        Draft::new(GREETING)
            .description("Greets somebody after a while.")
            .input(json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } }))
            .step(Step::sleeping("nap", 2_000))
            .step(echo().needs(["nap"]))
            .output(json!("${ 'Hello, ' + input.name + '!' }")),
    ]
}

fn wide_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": { "$anchor": "addressDef", "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } } } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}
