//! JSON Schemas: what patterns mean, and what a check may take.

use std::time::{Duration, Instant};

use jsonschema::PatternOptions;
use serde_json::{Value, json};

use crate::config::participant::{INPUT_FAULTS_MAX, SCHEMA_REGEX_BYTES_MAX};
use crate::evaluation::shortly;
use crate::saga::{Json, Schema};

fn schema(schema: &Value) -> Schema {
    Schema::compile(schema).unwrap()
}

fn faults(of: &Value, value: &Value) -> Vec<String> {
    schema(of).check(&Json::from(value)).err().unwrap_or_default()
}

/// jsonschema's own reading is the oracle.
#[test]
fn patterns_mean_what_json_schema_says() {
    let patterns =
        ["^a", "a$", "^[A-Z]{2}\\d+$", "^a|b$", "\\bé", "^\\S*$", "^x-", "^abc$", "\\cA", "^(a|b|c)$", "[\\w.]+@"];
    let texts = ["", "a", "ba", "AB12", "ab", "x é", "a b", "x-y", "abc", "\u{1}", "b", "a.b@c", "\u{feff}"];
    for (pattern, text) in patterns.iter().flat_map(|one| texts.iter().map(move |text| (one, text))) {
        for of in [json!({ "pattern": pattern }), json!({ "propertyNames": { "pattern": pattern } })] {
            let own = jsonschema::options().with_pattern_options(PatternOptions::regex()).build(&of).unwrap();
            for value in [json!(text), json!({ *text: 1 }), json!(1)] {
                assert_eq!(schema(&of).accepts(&value), Some(own.is_valid(&value)), "{of} {value}");
            }
        }
    }
    assert_eq!(
        faults(&json!({ "properties": { "id": { "pattern": "^a" } } }), &json!({ "id": "b" })),
        ["input.id: \"b\" does not match \"^a\""]
    );
    for bad in [json!({ "pattern": "(" }), json!({ "pattern": "(?=a)b" }), json!({ "pattern": "\\1" })] {
        assert!(Schema::compile(&bad).is_err_and(|error| error.contains("is not a \"regex\"")), "{bad}");
    }
}

/// Each keyword that reads a text with a pattern, on a text whose reading takes seconds.
#[test]
fn a_costly_pattern_is_paid_for_wherever_it_stands() {
    const COSTLY: &str = "(?:[aé]?\\b?){60}[x-z]$";
    let text = "aé".repeat(85_000);
    let named = json!({ text.clone(): 1 });
    for (of, value) in [
        (json!({ "pattern": COSTLY }), json!(text)),
        (json!({ "items": { "not": { "pattern": COSTLY } } }), json!(vec!["é a".repeat(100); 800])),
        (json!({ "not": { "pattern": COSTLY } }), json!(text)),
        (json!({ "anyOf": [{ "pattern": COSTLY }, true] }), json!(text)),
        (json!({ "if": { "pattern": COSTLY }, "then": false }), json!(text)),
        (json!({ "contains": { "pattern": COSTLY }, "minContains": 0 }), json!([text])),
        (json!({ "propertyNames": { "pattern": COSTLY } }), named.clone()),
        (json!({ "patternProperties": { COSTLY: false } }), named.clone()),
        (json!({ "patternProperties": { COSTLY: false }, "additionalProperties": true }), named.clone()),
        (json!({ "patternProperties": { COSTLY: false }, "unevaluatedProperties": true }), named.clone()),
        (json!({ "$ref": "#/$defs/x", "$defs": { "x": { "patternProperties": { COSTLY: false } } } }), named),
    ] {
        let begun = Instant::now();
        assert_eq!(schema(&of).accepts(&value), None, "{of}");
        let told = faults(&of, &value);
        assert!(told.len() == 1 && told[0].contains("takes more work"), "{of}: {told:?}");
        // Two budgets, in a build without optimization.
        assert!(begun.elapsed() < Duration::from_secs(20), "{of} took {:?}", begun.elapsed());
    }
    // What is honest passes, however long it is.
    let text = "a".repeat(1_000_000);
    let plain = json!({ "pattern": "^[a-z]+$", "patternProperties": { "^x-": true } });
    assert_eq!(schema(&plain).accepts(&json!(text)), Some(true));
    assert_eq!(shortly(|| schema(&plain).accepts(&json!(text))), None, "not on a thread that others need");
    assert_eq!(shortly(|| schema(&plain).accepts(&json!("a"))), Some(Some(true)));
}

#[test]
fn a_text_that_shall_be_a_pattern_is_short() {
    let of = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "format": "regex" });
    for (text, fits) in [
        ("^[a-z]+$".to_owned(), true),
        ("(".to_owned(), false),
        ("(".repeat(SCHEMA_REGEX_BYTES_MAX), false),
        ("a".repeat(SCHEMA_REGEX_BYTES_MAX + 1), false),
        ("(".repeat(1 << 20), false),
    ] {
        assert_eq!(schema(&of).accepts(&json!(text)), Some(fits), "{} bytes", text.len());
    }
}

#[test]
fn faults_are_short_and_few_however_large_the_input_is() {
    let of = json!({ "items": { "type": "string" } });
    assert_eq!(faults(&of, &json!([1, "a", 2])).len(), 2);
    let many = faults(&of, &json!(vec![7; 300_000]));
    assert_eq!(many, ["input.0: 7 is not of type \"string\""]);
    assert_eq!(faults(&of, &json!(vec![7; 1_000])).len(), INPUT_FAULTS_MAX);
    let long = json!([{ "text": "x".repeat(30_000) }]);
    assert_eq!(faults(&of, &long), ["input.0: value is not of type \"string\""]);
    let long = faults(&json!({ "pattern": "^a" }), &json!("é".repeat(2_000)));
    assert_eq!(long, ["input: value does not match \"^a\""]);
}
