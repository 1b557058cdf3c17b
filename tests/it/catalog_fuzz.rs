//! Whatever a file holds: no panic, no hang, and faults that a person can find. Texts are chance, chance over
//! YAML's own signs, the examples with damage, and documents made of the right words in the wrong places.

use std::time::{Duration, Instant};

use amends::catalog::{Environment, Faults, parse_definitions, parse_settings};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const HOTEL: &str = include_str!("../../examples/hotel_checkout.yaml");
const SETTINGS: &str = include_str!("../../examples/amends.yaml");

/// Signs that mean something to YAML, to templates or to us.
const SIGNS: &[&str] = &[
    "\n",
    "\n  ",
    "\n- ",
    ": ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    " #",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "%",
    "@",
    "`",
    "!",
    "!!str ",
    "!!int ",
    "---\n",
    "...\n",
    "\t",
    "\r\n",
    "~",
    "null",
    "true",
    "yes",
    "0",
    "-1",
    "1e999",
    ".nan",
    "${",
    "}",
    "$${",
    "${ input.x }",
    "${env.TOKEN}",
    "saga",
    "steps",
    "step",
    "action",
    "é",
    "💥",
    "\u{feff}",
    "\u{0}",
    "\u{1b}[31m",
    "\u{2028}",
    "10m",
    "99999999999d",
    "x-a",
];

/// Words of both formats.
const WORDS: &[&str] = &[
    "saga",
    "description",
    "input",
    "output_schema",
    "output",
    "deadline",
    "open",
    "lease",
    "steps",
    "step",
    "needs",
    "kind",
    "when",
    "action",
    "tool",
    "http",
    "handler",
    "await",
    "sleep",
    "arguments",
    "method",
    "path",
    "query",
    "headers",
    "body",
    "effect",
    "key_lifetime",
    "retry",
    "attempts",
    "backoff",
    "multiplier",
    "backoff_max",
    "jitter",
    "timeout",
    "settle",
    "probe",
    "applied",
    "absent",
    "success",
    "classify",
    "outcome",
    "error",
    "compensation",
    "safe_when_absent",
    "irreversible",
    "participants",
    "definitions",
    "database",
    "url",
    "pool",
    "data_dir",
    "node",
    "name",
    "lanes",
    "actors",
    "grace_period",
    "enabled",
    "address",
    "log",
    "level",
    "format",
    "command",
    "args",
    "env",
    "cwd",
    "protocol",
    "concurrency",
    "type",
    "properties",
    "$ref",
    "pattern",
    "x-a",
    "0",
];

fn environment() -> Environment {
    [("TOKEN".to_owned(), "s3cr3t".to_owned())].into_iter().collect()
}

fn check(text: &str) {
    let begun = Instant::now();
    check_faults(text, parse_definitions("f.yaml", text).err());
    check_faults(text, parse_settings("s.yaml", text, &environment()).err());
    // Far above what any such text takes, far below what a person or a start would call a hang.
    assert!(begun.elapsed() < Duration::from_secs(20), "took {:?}", begun.elapsed());
}

fn check_faults(text: &str, faults: Option<Faults>) {
    let Some(faults) = faults else { return };
    assert!(!faults.is_empty(), "refused without a fault");
    let lines = text.matches(['\n', '\r']).count() + 2;
    for fault in faults.as_slice() {
        let said = fault.to_string();
        assert!(!said.contains(|c: char| c.is_control() || c == '\u{2028}'), "not one clean line: {said:?}");
        assert!(!said.contains("s3cr3t"), "shows a secret: {said}");
        assert!(!said.contains("missing field") && !said.contains("invalid type"), "the schema let it pass: {said}");
        assert!(fault.at.is_none_or(|at| at.line as usize <= lines && at.line > 0 && at.column > 0), "nowhere: {said}");
    }
}

/// A value made of known words and of whatever a field may be mistaken for.
fn value() -> impl Strategy<Value = Value> {
    const TEXTS: &[&str] = &[
        "",
        "charge",
        "payments/charge",
        "10m",
        "once",
        "idempotent",
        "pivot",
        "retriable",
        "${ input.x }",
        "${",
        "/x",
        "http://h",
        "${env.TOKEN}",
        "string",
        "(",
        "GET",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        (0..4_u8).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(TEXTS).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 96, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((select(WORDS), inner), 0..8).prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Replaces the value at a random place of a document by another.
fn replace_at(document: &mut Value, mut way: impl Iterator<Item = usize>, with: Value) {
    let turn = way.next().unwrap_or(0);
    match document {
        Value::Object(fields) if !fields.is_empty() => {
            let index = turn % fields.len();
            if let Some(field) = fields.values_mut().nth(index) {
                replace_at(field, way, with);
            }
        }
        Value::Array(items) if !items.is_empty() && !turn.is_multiple_of(7) => {
            let index = turn % items.len();
            replace_at(&mut items[index], way, with);
        }
        other => *other = with,
    }
}

/// Every field of a definition.
fn definition() -> Value {
    let retry = json!({ "attempts": 3, "backoff": "1s", "multiplier": 2, "backoff_max": "1m", "jitter": 0.5 });
    let probe = json!({
        "http": "h", "path": "/x", "query": { "a": "b" }, "headers": { "a": "b" },
        "applied": "${ true }", "absent": "${ false }", "retry": { "attempts": 2 },
    });
    let tool = json!({
        "step": "a", "needs": [], "when": "${ true }", "effect": "idempotent", "key_lifetime": "1h", "settle": "1s",
        "retry": retry, "timeout": "1s", "deadline": "1m", "success": "${ true }", "output": { "a": "${ result }" },
        "classify": [{ "when": "${ true }", "outcome": "failed", "error": "${ text }" }],
        "action": { "tool": "p/t", "arguments": { "a": "${ input.a }" } }, "probe": probe,
        "compensation": { "handler": "h", "arguments": [1], "effect": "once" }, "safe_when_absent": true,
    });
    let http = json!({ "http": "h", "method": "PUT", "path": "/", "body": { "a": 1 } });
    json!({
        "saga": "x", "input": { "type": "object", "properties": { "a": { "type": "string" } } },
        "deadline": "10m", "open": { "lease": "5s" },
        "steps": [
            tool,
            { "step": "b", "kind": "pivot", "action": http },
            { "step": "c", "kind": "retriable", "action": { "await": "event" }, "deadline": "1h" },
            { "step": "d", "kind": "retriable", "action": { "sleep": "1s" } },
        ],
    })
}

/// Every field of settings.
fn settings() -> Value {
    let child = json!({ "command": "c", "args": ["a"], "env": { "A": "b" }, "cwd": "d", "concurrency": 3 });
    let http = json!({
        "url": "http://h", "protocol": "http", "headers": { "a": "b" }, "arguments_max": "1KiB", "answer_max": "1MiB",
    });
    json!({
        "participants": { "p": child, "h": http },
        "definitions": ["a.yaml"], "database": { "url": "postgres://h/d", "pool": 3, "data_dir": "d" },
        "node": { "name": "n", "lanes": 1, "actors": 5, "lease": "15s", "grace_period": "1s" },
        "http": { "enabled": true, "address": "127.0.0.1:0" }, "log": { "level": "info", "format": "json" },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn survives_chance(text in ".{0,200}") {
        check(&text);
    }

    #[test]
    fn survives_signs(signs in prop::collection::vec(select(SIGNS), 0..60)) {
        check(&signs.concat());
    }

    #[test]
    fn survives_damage(
        hotel in any::<bool>(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, select(SIGNS)), 1..6),
    ) {
        let mut text: Vec<char> = if hotel { HOTEL } else { SETTINGS }.chars().collect();
        for (place, length, sign) in wounds {
            let from = place.index(text.len() + 1);
            let to = (from + length).min(text.len());
            text.splice(from..to, sign.chars());
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn survives_wrong_values(ways in prop::collection::vec((prop::collection::vec(0..9_usize, 8), value()), 1..4)) {
        for mut document in [definition(), settings()] {
            for (way, with) in &ways {
                replace_at(&mut document, way.iter().copied(), with.clone());
            }
            check(&document.to_string());
        }
    }

    #[test]
    fn survives_right_words_anywhere(document in value()) {
        check(&document.to_string());
    }
}

#[test]
fn what_is_not_damaged_is_accepted() {
    parse_definitions("f", &definition().to_string()).unwrap();
    parse_settings("s", &settings().to_string(), &environment()).unwrap();
}

#[test]
fn hostile_texts_end_soon() {
    let many = 100_000;
    for text in [
        "[".repeat(many),
        "{a: ".repeat(many),
        "- ".repeat(many),
        "? ".repeat(many),
        "a:\n ".repeat(many),
        "!".repeat(many),
        "&a ".repeat(many),
        "*a ".repeat(many),
        "%".repeat(many),
        "'".repeat(many),
        "---\n".repeat(many),
        "- a\n".repeat(many),
        "\"\\".repeat(many),
        "|\n".repeat(many),
        "#\n".repeat(many),
        "a: b\n".repeat(many),
        format!("x-a: {}", "9".repeat(many)),
        format!("saga: {}", "a".repeat(many)),
        format!("{}: 1", "a".repeat(many)),
        (0..many).map(|n| format!("k{n}: 1\n")).collect(),
        (0..2).flat_map(|_| 0..many / 2).map(|n| format!("k{n}: 1\n")).collect(),
        (0..many / 2).map(|n| format!("k{n}: 1e999\n")).collect(),
        format!("x-a: &a [{}]\nx-b: [{}]\n", "1,".repeat(10_000), "*a,".repeat(20_000)),
        (0..60).fold("x-0: &a0 [1]\n".to_owned(), |t, n| format!("{t}x-{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)),
        (0..5_000).fold(String::new(), |t, n| format!("{t}x-{n}: &a{n} {{ <<: [{}] }}\n", "{a: 1},".repeat(5))),
        format!("saga: a\ninput: {}{}\nsteps: []\n", "{not: ".repeat(60), "}".repeat(60)),
        format!("saga: a\ninput: {{pattern: '{}'}}\nsteps: []\n", "(a*)*".repeat(5_000)),
        format!("saga: a\ninput: {{pattern: '{}'}}\nsteps: []\n", "a{1000}{1000}"),
        "saga: a\ninput: {$ref: '#'}\nsteps: []\n".to_owned(),
        "saga: a\ninput: {$ref: '#/$defs/a', $defs: {a: {$ref: '#/$defs/b'}, b: {$ref: '#/$defs/a'}}}\nsteps: []\n"
            .to_owned(),
        format!("saga: a\nsteps: [{}]\n", "{step: a, needs: [a], action: {sleep: 1s}},".repeat(20_000)),
        (0..256).fold("saga: a\nsteps:\n".to_owned(), |t, n| format!("{t}- {{step: s{n}, action: {{sleep: 1s}}}}\n")),
        "a".repeat(2 << 20),
    ] {
        let begun = Instant::now();
        check(&text);
        let begin: String = text.chars().take(30).collect();
        assert!(begun.elapsed() < Duration::from_secs(20), "{begin:?} took {:?}", begun.elapsed());
    }
}
