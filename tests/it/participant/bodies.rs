//! Bodies of HTTP answers as strangers write them: what was announced is what was read, or the outcome is
//! unknown.

use std::collections::BTreeMap;
use std::io::Write as _;

use amends::participant::{Limits, Participants, Secret, Transport};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::wire::{Act, Wire};
use super::{call, executed, probed, says, with_limits};

const JSON: &str = "content-type: application/json\r\n";
const LIMIT: usize = 20_000;

fn post() -> Value {
    json!({"http": {"participant": "it", "method": "POST", "path": "/x", "body": {}}})
}

fn at(wire: &Wire) -> Participants {
    let limits = Limits { answer_bytes_max: LIMIT, ..Limits::default() };
    with_limits(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() }, limits)
}

/// A server that answers each request with these bytes, whole or not, and closes.
async fn raw(bytes: impl Into<Vec<u8>>) -> Wire {
    let bytes = bytes.into();
    Wire::serve(move |_| Act::Bytes(bytes.clone())).await
}

/// An answer of the right length.
fn whole(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    whole("200 OK", headers, body)
}

/// An answer that ends with its connection, as HTTP/1.0 has it.
fn unframed(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    [format!("HTTP/1.0 200 OK\r\n{headers}\r\n").as_bytes(), body.as_ref()].concat()
}

async fn said(answer: Vec<u8>) -> String {
    let wire = raw(answer).await;
    executed(&at(&wire), &call(post(), json!({}))).await
}

async fn check(cases: Vec<(&str, Vec<u8>, &str)>) {
    for (what, answer, expected) in cases {
        let line = said(answer).await;
        assert!(line.starts_with(expected), "{what}: expected `{expected}…`, found `{line}`");
    }
}

#[tokio::test]
async fn json_is_json_where_it_is_announced() {
    check(vec![
        (
            "cut, and the connection says no more",
            unframed(JSON, r#"{"id":"t1","status":"succ"#),
            "unknown answer_incomplete",
        ),
        ("cut amid a character", unframed(JSON, b"{\"name\":\"Zo\xc3"), "unknown answer_incomplete"),
        ("cut, and announced anew by a gateway", ok(JSON, br#"{"id":"t1"#), "unknown answer_incomplete"),
        ("the same amid a character", ok(JSON, b"{\"name\":\"Zo\xc3"), "unknown answer_incomplete"),
        ("whole, and the connection says no more", unframed(JSON, r#"{"id":"t1"}"#), r#"succeeded {"id":"t1"}"#),
        ("nothing, and the connection says no more", unframed(JSON, ""), "unknown answer_incomplete"),
        ("a number of which digits may be lost", unframed(JSON, "12"), "unknown answer_incomplete"),
        ("a text, and the connection says no more", unframed("", "done"), "succeeded \"done\""),
        ("nothing at all", unframed("", ""), "succeeded null"),
        ("cut, without a type", unframed("", r#"{"id":"t1","status":"succ"#), "unknown answer_incomplete"),
        ("a quote that is cut", unframed("", "\"succ"), "unknown answer_incomplete"),
        ("cut, as a text", unframed("content-type: text/html\r\n", r#"{"id":"t1"#), "unknown answer_incomplete"),
        ("a text that is cut amid a character", unframed("", b"f\xc3"), "unknown answer_incomplete"),
        ("no JSON, and the connection says no more", unframed("", "[INFO] done"), "unknown answer_invalid"),
        ("no text, and the connection says no more", unframed("", b"f\xffr"), "unknown answer_invalid"),
        ("a page labelled JSON", ok(JSON, b"<html>please log in</html>"), "unknown answer_invalid"),
        ("a page labelled as one", ok("content-type: text/html\r\n", b"<html>hello</html>"), "succeeded \"<html>hello"),
        ("JSON labelled as a page", ok("content-type: text/html\r\n", br#"{"id":1}"#), r#"succeeded {"id":1}"#),
        ("NaN", ok(JSON, br#"{"n":NaN}"#), "unknown answer_invalid"),
        ("more after the end", ok(JSON, br#"{"n":1}<br>"#), "unknown answer_invalid"),
        ("two values", ok(JSON, b"{}{}"), "unknown answer_invalid"),
        ("a member twice", ok(JSON, br#"{"state":"failed","state":"paid"}"#), "unknown answer_invalid"),
        ("a member twice, without a type", ok("", br#"[{"a":{"b":1,"\u0062":2}}]"#), "unknown answer_invalid"),
        ("a problem that is none", ok("content-type: application/problem+json\r\n", b"no"), "unknown answer_invalid"),
        (
            "two types",
            ok("content-type: text/plain\r\ncontent-type: application/json\r\n", b"{}"),
            "unknown answer_invalid",
        ),
        ("empty", ok(JSON, b""), "succeeded null"),
        ("blank", ok(JSON, b" \r\n"), "succeeded null"),
        ("no content", b"HTTP/1.1 204 No Content\r\ncontent-type: application/json\r\n\r\n".to_vec(), "succeeded null"),
        ("a text without a type", ok("", b"done"), "succeeded \"done\""),
        ("an image", ok("content-type: image/png\r\n", &[0x89, b'P', b'N', b'G', 0, 0xff]), "succeeded null"),
        (
            "an image that begins as a text might",
            ok("content-type: image/x\r\n", &[0xff, 0xfe, 0, 0xd8, 1]),
            "succeeded null",
        ),
        ("bytes without a type", ok("", &[0x89, 0xff]), "unknown answer_invalid"),
        ("a part", whole("206 Partial Content", JSON, b"{}"), "unknown answer_incomplete"),
    ])
    .await;
}

#[tokio::test]
async fn charsets_are_read_as_announced() {
    let latin = "content-type: application/json; charset=iso-8859-1\r\n";
    let utf16: Vec<u8> = "\u{feff}{\"a\":\"ü\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(vec![
        ("Latin-1", ok(latin, b"{\"a\":\"\xfc\"}"), "succeeded {\"a\":\"ü\"}"),
        (
            "quoted",
            ok("content-type: text/json;x=1; Charset=\"UTF-8\"\r\n", "{\"a\":\"ü\"}".as_bytes()),
            "succeeded {\"a\":\"ü\"}",
        ),
        ("a mark", ok(JSON, b"\xef\xbb\xbf{\"a\":1}"), "succeeded {\"a\":1}"),
        ("a mark and a text", ok("", b"\xef\xbb\xbfdone"), "succeeded \"done\""),
        ("UTF-16 by its mark", ok(JSON, &utf16), "succeeded {\"a\":\"ü\"}"),
        ("not UTF-8", ok(JSON, b"{\"a\":\"\xfc\"}"), "unknown answer_invalid"),
        ("not what it says", ok("content-type: text/plain; charset=utf-8\r\n", b"\xfc"), "unknown answer_invalid"),
        ("an old page", ok("content-type: text/html\r\n", b"f\xfcr"), "succeeded \"für\""),
        ("an unknown charset", ok("content-type: text/plain; charset=klingon\r\n", b"x"), "unknown answer_invalid"),
        ("UTF-7", ok("content-type: text/plain; charset=utf-7\r\n", b"x"), "unknown answer_invalid"),
        ("half a surrogate", ok(JSON, br#"{"a":"\ud83d"}"#), "succeeded {\"a\":\"\\ud83d\"}"),
    ])
    .await;
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn codings_are_taken_off_or_the_outcome_is_unknown() {
    let coded = |name: &str, body: &[u8]| ok(&format!("{JSON}content-encoding: {name}\r\n"), body);
    let body = br#"{"id":"t1"}"#;
    let packed = gzip(body);
    let twice = [packed.clone(), gzip(b" ")].concat();
    let more = [zlib(body), b"x".to_vec()].concat();
    let bomb = gzip(&vec![b' '; 50 << 20]);
    assert!(bomb.len() > LIMIT, "the server may not send so much");
    let small_bomb = gzip(&vec![b' '; 2 << 20]);
    assert!(small_bomb.len() < LIMIT);
    let good = r#"succeeded {"id":"t1"}"#;
    check(vec![
        ("gzip", coded("gzip", &packed), good),
        ("its old name", coded("X-GZip", &packed), good),
        ("two members", coded("gzip", &twice), good),
        ("zlib", coded("deflate", &zlib(body)), good),
        ("what is in zlib", coded("deflate", &deflate(body)), good),
        ("none", coded("identity", body), good),
        ("announced, and not done", coded("gzip", body), "unknown answer_invalid"),
        ("done, and not announced", ok(JSON, &packed), "unknown answer_invalid"),
        ("cut", coded("gzip", &packed[..packed.len() - 9]), "unknown answer_incomplete"),
        ("with more after it", coded("deflate", &more), "unknown answer_invalid"),
        ("brotli", coded("br", b"\x0b\x05\x80{\"id\":\"t1\"}\x03"), "unknown answer_invalid"),
        ("two", coded("gzip, br", &packed), "unknown answer_invalid"),
        ("nothing", coded("gzip", b""), "succeeded null"),
        ("a bomb", coded("gzip", &small_bomb), "unknown answer_too_large"),
        ("a bomb that is large itself", coded("gzip", &bomb), "unknown answer_too_large"),
        ("on the way", ok(&format!("{JSON}transfer-encoding: gzip, chunked\r\n"), b""), "unknown "),
    ])
    .await;
    let wire = raw(ok(JSON, b"{}")).await;
    executed(&at(&wire), &call(post(), json!({}))).await;
    assert!(wire.last().contains("accept-encoding: identity\r\n"), "{}", wire.last());
}

#[tokio::test]
async fn numbers_keep_their_digits() {
    let body = r#"{"id":123456789012345678901234567890,"price":1.10,"list":[-0.0,1e400,{"n":9007199254740993}]}"#;
    let wire = raw(ok(JSON, body.as_bytes())).await;
    let http = at(&wire);
    assert_eq!(executed(&http, &call(post(), json!({}))).await, format!("succeeded {body}"));
    let rules = json!({"output": [
        "${ result.id }", "${ result.price }", "${ result.list[2].n }", "${ result.list }",
        "no ${ result.id } at ${ result.price }",
    ]});
    let expected = "succeeded [123456789012345678901234567890,1.10,9007199254740993,[-0.0,1e400,\
                    {\"n\":9007199254740993}],\"no 123456789012345678901234567890 at 1.10\"]";
    assert_eq!(executed(&http, &call(post(), rules)).await, expected);
    let probe = json!({"target": post(), "applied": "status == 200", "output": "${ result.id }"});
    assert_eq!(probed(&http, probe).await, "applied 123456789012345678901234567890");
}

/// An answer that did not arrive whole proves nothing, whatever its status says: it may be a proxy's, which
/// sent the request a second time. A rule that reads a status is not asked about it; one that names the error
/// is.
#[tokio::test]
async fn an_answer_that_did_not_arrive_whole_is_unknown_whatever_its_status() {
    let cut = |status: &str| {
        let head = |announced: &str| format!("HTTP/1.1 {status}\r\n{JSON}{announced}\r\n\r\n");
        vec![
            Act::Answer(format!("{}{{\"code\":\"cl", head("content-length: 70"))),
            Act::Answer(format!("{}{{\"code\":\"closed\"}}", head("content-length: 18"))),
            Act::Answer(format!("{}4\r\n\"no\"\r\n", head("transfer-encoding: chunked"))),
            Act::Answer(format!("{}ff\r\n\"no\"", head("transfer-encoding: chunked"))),
            Act::Reset(format!("{}{{\"code\":\"cl", head("content-length: 70")).into_bytes()),
            Act::Answer(format!("{}{{\"code\":\"cl", head("connection: close"))),
            // P5 and P6b: nothing but the JSON tells.
            Act::Answer(format!("HTTP/1.0 {status}\r\n{JSON}\r\n{{\"co")),
            Act::Answer(format!("HTTP/1.0 {status}\r\n{JSON}\r\n")),
        ]
    };
    for status in
        ["200 OK", "400 Bad Request", "401 Unauthorized", "404 Not Found", "409 Conflict", "422 No", "429 Busy"]
    {
        for (index, act) in cut(status).into_iter().enumerate() {
            let act = std::sync::Mutex::new(Some(act));
            let wire = Wire::serve(move |_| act.lock().unwrap().take().unwrap_or(Act::Close)).await;
            let by_status = json!({
                "refused": {"when": "status != null || size(headers) > 0 || text != ''"},
                "classify": [
                    {"when": "status == 200", "outcome": "succeeded"},
                    {"when": "error.message.contains('co') && error.message.contains('HTTP')", "outcome": "failed"},
                    {"when": "error.code == 'never'", "outcome": "retryable"},
                ],
            });
            let line = executed(&at(&wire), &call(post(), by_status)).await;
            // A reset may overtake what came before it.
            let overtaken = index == 4 && line.starts_with("unknown closed");
            assert!(line.starts_with("unknown answer_incomplete") || overtaken, "{status}, {index}: {line}");
        }
    }
    let wire = raw(b"HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\ndown".to_vec()).await;
    let turned_away = json!({"classify": [{"when": "status == 503", "outcome": "retryable"}]});
    let line = executed(&at(&wire), &call(post(), turned_away)).await;
    says(&line, "unknown answer_incomplete: HTTP 503", "down");
    let named = json!({"classify": [{"when": "error.code == 'answer_incomplete'", "outcome": "failed"}]});
    let wire = raw(b"HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n{}".to_vec()).await;
    says(&executed(&at(&wire), &call(post(), named)).await, "failed answer_incomplete: HTTP 404", "");
    let by_status = json!({"target": post(), "applied": "false", "absent": "status == 404"});
    says(&probed(&at(&wire), by_status).await, "inconclusive answer_incomplete", "");
}

/// A refusal is read whole before it is believed, and what is recorded of it is short.
#[tokio::test]
async fn a_long_refusal_is_read_to_the_limit_of_an_answer() {
    let body = |length: usize| format!(r#"{{"message":"{}","code":"idempotency_key_in_use"}}"#, "x".repeat(length));
    let long = raw(whole("422 No", JSON, body(LIMIT - 100).as_bytes())).await;
    let line = executed(&at(&long), &call(post(), json!({}))).await;
    says(&line, "unknown key_conflict: HTTP 422", "own key");
    assert!(line.len() < 1_000, "{line}");
    let longer = raw(whole("422 No", JSON, body(LIMIT).as_bytes())).await;
    says(&executed(&at(&longer), &call(post(), json!({}))).await, "unknown answer_too_large: HTTP 422", "20000 bytes");
    let longer = raw(whole("404 No", "content-type: text/html\r\n", &vec![b'x'; LIMIT + 1])).await;
    says(&executed(&at(&longer), &call(post(), json!({}))).await, "unknown answer_too_large: HTTP 404", "");
    // The rest may speak of the key: a status is not asked about it, and the error's code is.
    let by_status = json!({"refused": {"when": "status == 404 || text.contains('x')"}});
    let line = executed(&at(&longer), &call(post(), by_status)).await;
    says(&line, "unknown answer_too_large: HTTP 404", "");
    let named = json!({"refused": {"when": "error.code == 'answer_too_large'"}});
    says(&executed(&at(&longer), &call(post(), named)).await, "failed answer_too_large", "");
}

/// What a participant repeats of a secret is cut out of a packed answer and of another charset, too.
#[tokio::test]
async fn no_coding_hides_a_secret() {
    let secret = Secret::sensitive("Bearer t0ken-of-mine", vec!["t0ken-of-mine".into()]);
    let headers = BTreeMap::from([("Authorization".to_owned(), secret)]);
    let utf16: Vec<u8> = "\u{feff}{\"a\":\"t0ken-of-mine\"}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for status in ["200 OK", "400 No", "409 No"] {
        for (coding, body) in [("gzip", gzip(b"{\"a\":\"t0ken-of-mine\"}")), ("identity", utf16.clone())] {
            let wire = raw(whole(status, &format!("{JSON}content-encoding: {coding}\r\n"), &body)).await;
            let transport = Transport::Http { url: Secret::plain(&wire.url), headers: headers.clone() };
            let line = executed(&super::with(transport), &call(post(), json!({}))).await;
            assert!(line.contains("[secret]") && !line.contains("t0ken"), "{status}, {coding}: {line}");
        }
    }
}
