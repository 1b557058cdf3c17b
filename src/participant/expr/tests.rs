//! Tests of expressions and templates as the other files of this module use them: values in, JSON out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::saga::Json;

fn scope() -> Scope {
    let input = json!({
        "guest": "Ada \"L\"", "amount": 12, "rate": 1.5, "tags": ["b", "a"], "none": null, "yes": true,
        "rooms": [{"id": 1, "open": true}, {"id": 2, "open": false}], "map": {"z": 1, "a": 2, "m": 3},
    });
    Scope {
        step: "charge".into(),
        attempt: 2,
        key: "k-1".into(),
        action_key: Some("k-0".into()),
        output: Some(Json::from(json!({"id": "ch_1"}))),
        ..Scope::of_saga(
            Uuid::nil(),
            Json::from(input),
            vec![("first".into(), Json::from(json!({"id": 7}))), ("skipped".into(), Json::null())],
        )
    }
}

fn value(text: &str) -> Value {
    match evaluate(&Expression::from(text), &scope()) {
        Ok(json) => json.to_value(),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn error(text: &str) -> String {
    let error = evaluate(&Expression::from(text), &scope()).expect_err(text);
    assert_eq!(error.code, "expression");
    error.message
}

fn rendered(template: Value) -> Result<String, String> {
    let json = render(&Template(template), &scope()).map_err(|error| error.message)?;
    Ok(json.get().to_owned())
}

#[test]
fn variables_have_their_values_in_paths_and_in_cel() {
    for (text, expected) in [
        ("input.amount", json!(12)),
        ("action_key", json!("k-0")),
        ("action_key + key", json!("k-0k-1")),
        ("input.amount + 1", json!(13)),
        ("input.rate * 2.0", json!(3.0)),
        ("steps.first.id", json!(7)),
        ("steps.first.id + 0", json!(7)),
        ("steps['first'].id == 7 && size(steps) == 2", json!(true)),
        ("steps.skipped", json!(null)),
        ("steps.skipped == null", json!(true)),
        ("key + '/' + step", json!("k-1/charge")),
        ("attempt", json!(2)),
        ("attempt > 1", json!(true)),
        ("saga", json!("00000000-0000-0000-0000-000000000000")),
        ("output.id", json!("ch_1")),
        ("has(output.amount) ? output.amount : 0", json!(0)),
        ("input.?nothing.orValue('x')", json!("x")),
        ("input.rooms.filter(r, r.open).map(r, r.id)", json!([1])),
        ("input.rooms.exists(r, r.id == 2) && input.rooms.all(r, r.id < 3)", json!(true)),
        ("input.tags.join('-')", json!("b-a")),
        ("input.tags", json!(["b", "a"])),
        ("{'n': input.amount, 'l': [input.none]}", json!({"n": 12, "l": [null]})),
        ("'a,b'.split(',')", json!(["a", "b"])),
        ("' Ab '.trim().lowerAscii() + 'x'.upperAscii()", json!("abX")),
        ("'a.b.c'.replace('.', '/')", json!("a/b/c")),
        ("input.guest.matches('^Ada')", json!(true)),
        ("duration('90s')", json!("90s")),
        ("string(timestamp('2026-01-02T03:04:05Z'))", json!("2026-01-02T03:04:05Z")),
        ("size(input.guest) + size(input.tags)", json!(9)),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn maps_are_looped_over_in_the_order_of_their_keys() {
    for _ in 0..20 {
        assert_eq!(value("input.map.map(k, k)"), json!(["a", "m", "z"]));
        assert_eq!(value("{'y': 1, 'x': 2, 'w': 3}.map(k, k).join('')"), json!("wxy"));
    }
}

#[test]
fn errors_name_the_expression_and_what_is_wrong() {
    for (text, expected) in [
        ("input.gust", "`input` has no such field"),
        ("input.gust + 1", "there is no field `gust`"),
        ("input.guest.name", "a text has no fields"),
        ("input.amount.name", "expected an object with the field `name`"),
        ("input.tags[5]", "no such field or position"),
        ("input.tags[5] + 'x'", "no such position"),
        ("steps.second.id", "step `second` has no output here"),
        ("result.id", "no variable `result`"),
        ("result.id + 1", "no `result` here"),
        ("input.amount + 'x'", "does not work on int and string"),
        ("1 / 0", "division by zero"),
        ("input.amount.nonsense()", "no `nonsense` here"),
        ("9223372036854775807 + 1", "overflows"),
        ("b'x'", "no JSON form"),
        ("'a'.matches('(')", "matches"),
        ("1 +", "syntax error at 1:4: it ends too early"),
    ] {
        let message = error(text);
        assert!(message.starts_with(&format!("`{text}`: ")), "{message}");
        assert!(message.contains(expected), "{text}: {message}");
    }
}

/// A rule that reads what an answer lacks does not match, whether it is a plain path or a program.
#[test]
fn a_plain_path_and_a_program_find_the_same_missing() {
    let scope = scope();
    let view = View::from_scope(&scope);
    let found = |text: &str| match super::json(text, &view) {
        Ok(_) => "found",
        Err(Fault::Missing(_)) => "missing",
        Err(Fault::Wrong(_)) => "wrong",
    };
    for (root, way, expected) in [
        ("input.guest", ".name", "missing"),
        ("input.guest", "[0]", "missing"),
        ("input.none", ".name", "missing"),
        ("input.none", "[0]", "missing"),
        ("input.map", ".x", "missing"),
        ("input.map", "[0]", "missing"),
        ("input.map", ".z", "found"),
        ("input.tags", "[7]", "missing"),
        ("input.tags", "[1]", "found"),
        ("input.tags", ".x", "wrong"),
        ("input.amount", ".x", "wrong"),
        ("input.yes", "[0]", "wrong"),
        ("input.rate", ".x", "wrong"),
    ] {
        assert_eq!(found(&format!("{root}{way}")), expected, "{root}{way}");
        assert_eq!(found(&format!("({root}){way}")), expected, "({root}){way}");
    }
}

#[test]
fn conditions_are_true_or_false_and_nothing_else() {
    let holds = |text: &str| holds(&Expression::from(text), &scope()).map_err(|error| error.message);
    assert_eq!(holds("input.yes"), Ok(true));
    assert_eq!(holds("input.amount > 100"), Ok(false));
    assert!(holds("input.amount").unwrap_err().contains("true or false"));
    assert!(holds("input.amount + 1").unwrap_err().contains("found int"));
}

#[test]
fn templates_keep_types_and_escape() {
    for (template, expected) in [
        (json!("${ input.amount }"), "12"),
        (json!("${input.rooms}"), r#"[{"id":1,"open":true},{"id":2,"open":false}]"#),
        (json!("no. ${ input.amount } for ${ input.guest }"), r#""no. 12 for Ada \"L\"""#),
        (json!("${ input.tags }!"), r#""[\"b\",\"a\"]!""#),
        (json!("$${ input.amount } $ {x} $"), r#""${ input.amount } $ {x} $""#),
        (json!({"a": [1, "${ key }"], "b": {"c": "${ {'x': '}'}['x'] }"}}), r#"{"a":[1,"k-1"],"b":{"c":"}"}}"#),
        (json!(["${ '\\'}' + \"}\" + r'\\' }"]), r#"["'}}\\"]"#),
        (json!([null, true, 1.5]), "[null,true,1.5]"),
    ] {
        assert_eq!(rendered(template.clone()).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn templates_refuse_null_in_texts_and_open_braces() {
    assert!(rendered(json!("for ${ input.none }")).unwrap_err().contains("null"));
    assert_eq!(rendered(json!("${ input.none }")).as_deref(), Ok("null"));
    assert!(rendered(json!("${ input.amount")).unwrap_err().contains("closing brace"));
    assert!(rendered(json!({"a": {"b": "x ${ input.b }"}})).unwrap_err().contains("`input.b`"));
}

#[test]
fn numbers_of_plain_paths_keep_their_digits() {
    let input = Json::parse(r#"{"n":123456789012345678901234567890.10}"#).unwrap();
    let scope = Scope::of_saga(Uuid::nil(), input, Vec::new());
    let json = render(&Template(json!({"n": "${ input.n }"})), &scope).unwrap();
    assert_eq!(json.get(), r#"{"n":123456789012345678901234567890.10}"#);
}

#[test]
fn values_in_url_paths_stay_in_their_segment() {
    let of = |id: &str, text: &str| {
        let scope = Scope::of_saga(Uuid::nil(), Json::from(json!({"id": id, "x": ""})), Vec::new());
        url_path(&Template(json!(text)), &View::from_scope(&scope))
    };
    let path = |text: &str| of("a b?c#d/é", text);
    assert_eq!(path("/v1/x/${ input.id }/y").unwrap(), "/v1/x/a%20b%3Fc%23d%2F%C3%A9/y");
    assert_eq!(path("/plain").unwrap(), "/plain");
    // What a definition writes out is its own: a slash at the end, or a value beside a text.
    assert_eq!(path("/x/${ input.id }/").unwrap(), "/x/a%20b%3Fc%23d%2F%C3%A9/");
    assert_eq!(path("/x${ input.x }/y").unwrap(), "/x/y");
    assert!(path("/${ input.none }").is_err());
    for (id, text, named) in [
        ("..", "/users/${ input.id }", "`input.id`: "),
        ("..", "${ input.id }", "`input.id`: "),
        ("../../admin", "/users/${ input.id }/x", "`input.id`: "),
        ("%2e%2e", "/users/${ input.id }", "`input.id`: "),
        ("..%2F..%2Fadmin", "/users/v${ input.x }${ input.id }", "`input.x`, `input.id`: "),
        (".", "/users/.${ input.id }", "`input.id`: "),
        ("..\\admin", "/users/${ input.id }", "`input.id`: "),
        ("", "/users/${ input.id }", "`input.id`: "),
        ("", "/users/${ input.id }/x", "`input.id`: "),
        ("/", "/users/${ input.id }", "`input.id`: "),
    ] {
        let error = of(id, text).expect_err(text);
        assert_eq!(error.code, "expression");
        assert!(error.message.starts_with(named) && error.message.contains("another resource"), "{id}: {error}");
    }
}

#[test]
fn work_is_limited() {
    let list: Vec<u32> = (0..20_000).collect();
    let input = json!({"list": list, "text": "ab".repeat(200_000), "deep": deep(60)});
    let scope = Scope::of_saga(Uuid::nil(), Json::from(input), Vec::new());
    for text in [
        "input.list.all(x, input.list.exists(y, x == y))",
        "input.list.all(x, input.list.all(y, true))",
        "input.list.map(x, input.list)",
        "input.list.map(x, input.text)",
        "input.list.map(x, input.text + 'x')",
        "input.list.exists(x, input.text.contains('abb'))",
        "input.list.exists(x, input.text == input.text + 'y')",
        "input.list.filter(x, input.list == input.list)",
        "input.list.map(x, input.text.matches('(a|b)*c'))",
        "input.text.replace('a', input.text)",
        "input.list.map(x, string(x)).join(input.text)",
        "input.list.map(x, {'a': input.list})",
        "input.list.all(x, input.list in [[1], [2]] || true)",
        "input.list.exists(x, 1 / 0 == 1 || input.list.all(y, input.list.all(z, true)))",
    ] {
        let start = Instant::now();
        let error = evaluate(&Expression::from(text), &scope).expect_err(text);
        assert!(start.elapsed() < Duration::from_secs(10), "{text} took {:?}", start.elapsed());
        assert!(error.message.contains("work"), "{text}: {error}");
    }
    // Ordinary expressions stay far below the limit.
    let fine = evaluate(&Expression::from("input.list.filter(x, x % 2 == 0).map(x, {'n': x}).size()"), &scope);
    assert_eq!(fine.map(|json| json.to_value()), Ok(json!(10_000)));
    let fine = evaluate(&Expression::from("[input.deep].map(x, x).size()"), &scope);
    assert_eq!(fine.map(|json| json.to_value()), Ok(json!(1)));
}

#[test]
fn what_takes_long_is_told_apart_from_what_does_not() {
    let list: Vec<u32> = (0..20_000).collect();
    let scope = Scope::of_saga(Uuid::nil(), Json::from(json!({"list": list, "n": 3})), Vec::new());
    let short = |text: &str| shortly(|| evaluate(&Expression::from(text), &scope));
    assert_eq!(short("input.n + 1").map(|done| done.unwrap().to_value()), Some(json!(4)));
    assert!(short("input.nothing + 1").is_some_and(|done| done.is_err()), "a fault is an answer");
    assert!(short("input.list.filter(x, x % 2 == 0).size()").is_none());
    assert!(short("input.list.exists(x, 1 / 0 == 1) || true").is_none(), "even if a condition swallows it");
    // What each takes is short; what all take together is not.
    let small = Scope::of_saga(Uuid::nil(), Json::from(json!({"n": 3})), Vec::new());
    let many = |count: usize| {
        let loops = "[1, 2, 3, 4, 5, 6, 7, 8].map(x, x + input.n).size()";
        shortly(|| (0..count).map(|_| evaluate(&Expression::from(loops), &small)).filter(Result::is_ok).count())
    };
    assert_eq!((many(10), many(2_000)), (Some(10), None));
    // Afterwards the thread may take its time again.
    let long = evaluate(&Expression::from("input.list.filter(x, x % 2 == 0).size()"), &scope);
    assert_eq!(long.map(|done| done.to_value()), Ok(json!(10_000)));
}

/// A pattern with Unicode word boundaries, on a text that is not ASCII, is read at the speed of its size.
#[test]
fn a_match_is_charged_by_the_text_times_the_pattern() {
    let text = "aé".repeat(85_000);
    let input = json!({"text": text, "pattern": "(?:[aé]?\\b?){60}[x-z]$", "code": "^[A-Z]{2}[0-9]+$", "id": "AB12"});
    let scope = Scope::of_saga(Uuid::nil(), Json::from(input), Vec::new());
    for text in ["input.text.matches('(?:[aé]?\\\\b?){60}[x-z]$')", "input.text.matches(input.pattern)"] {
        let start = Instant::now();
        let error = evaluate(&Expression::from(text), &scope).expect_err(text);
        assert!(start.elapsed() < Duration::from_secs(1), "{text} took {:?}", start.elapsed());
        assert!(error.message.contains("work") || error.message.contains("too large"), "{text}: {error}");
    }
    let value = |text: &str| evaluate(&Expression::from(text), &scope).map(|json| json.to_value());
    assert_eq!(value("input.id.matches(input.code)"), Ok(json!(true)), "a small pattern may come from data");
    assert_eq!(value("matches(input.id, input.code)"), Ok(json!(true)));
    assert!(value("input.id.matches(input.text)").is_err_and(|error| error.message.contains("at most 256 bytes")));
}

fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn deepest_expressions_run_on_small_stacks() {
    // The deepest trees within the limit, evaluated on the 2 MiB stack of an ordinary thread.
    let shapes = [
        format!("{}1{}", "(1 + ".repeat(44), ")".repeat(44)),
        format!("{}1{}", "[".repeat(44), "]".repeat(44)),
        format!("size({}){}", "[1]", " + 1".repeat(44)),
        format!("input.list{}", ".map(x, x)".repeat(20)),
        format!("{}1{}", "(true ? ".repeat(40), " : 1)".repeat(40)),
        format!("{}1{}", "input.list.map(x, ".repeat(14), ")".repeat(14)),
    ];
    for text in shapes {
        let worker = std::thread::Builder::new().stack_size(2 << 20);
        let run = worker.spawn(move || {
            let scope = Scope::of_saga(Uuid::nil(), Json::from(json!({"list": [1]})), Vec::new());
            evaluate(&Expression(text.clone()), &scope).map(|_| ()).map_err(|error| format!("{text}: {error}"))
        });
        run.unwrap().join().unwrap().unwrap_or_else(|message| assert!(message.contains("nesting"), "{message}"));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(400))]

    /// Checking and evaluating any text ends in time and without a panic.
    #[test]
    fn any_text_ends(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        let text = words.concat();
        let start = Instant::now();
        let _ = check_expression(&text, &["input"]);
        let _ = evaluate(&Expression(text.clone()), &scope());
        let _ = render(&Template(json!(text.clone())), &scope());
        proptest::prop_assert!(start.elapsed() < Duration::from_secs(10), "{} took {:?}", text, start.elapsed());
    }
}

const WORDS: &[&str] = &[
    "input",
    ".",
    "rooms",
    "tags",
    "steps",
    "first",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "'",
    "\"",
    "'''",
    "r'",
    "b'",
    "\\",
    "1",
    "-",
    "!",
    "+",
    "*",
    "/",
    "%",
    "==",
    "<",
    "&&",
    "||",
    "?",
    ":",
    ",",
    " in ",
    "has(",
    "x",
    "y",
    ".map(x,",
    ".all(x,",
    ".exists(y,",
    ".filter(x,",
    ".exists_one(x,",
    "size(",
    "${",
    "$${",
    "}",
    "\n",
    "é",
    "\u{0}",
    "0x",
    "1u",
    "1e400",
    ".?",
    "[?",
    ".orValue(",
    "matches(",
    "timestamp(",
    "duration(",
    "optional.of(",
    "type(",
    "null",
    "true",
    "//",
    "`",
    "@range(",
    "input.map",
    ".join(",
    ".replace(",
    "9223372036854775807",
];

#[test]
fn what_is_not_one_expression_stays_as_it_is() {
    for (text, expected) in [
        ("${ input.id }", "input.id"),
        (" ${ {'a': 1}.a } ", "{'a': 1}.a"),
        ("input.id", "input.id"),
        ("${", "${"),
        ("${ '}", "${ '}"),
        ("${ a } and ${ b }", "${ a } and ${ b }"),
    ] {
        assert_eq!(unwrap(text), expected, "{text}");
    }
}
