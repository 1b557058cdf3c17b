//! Who comes in, and what they may do: tokens of our own, tokens of an authorization server, names and
//! origins, limits.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::agent::Agent;
use super::home::{Home, Node};
use crate::participant::wire::{Wire, answer};

pub(super) fn token(home: &Home, args: &[&str]) -> (String, String) {
    let (code, made, errors) = home.run(&[&["token", "add"], args].concat());
    assert_eq!(code, 0, "{errors}");
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say_and_no_more() {
    let home = Home::with("token", "mcp: { auth: bearer, wait: 500ms }\n").await;
    let mut node = home.node(&[]);
    let (id, ada) = token(&home, &["ada", "--scope", "start:hotel_*", "--scope", "start:bell"]);
    let (_, bob) = token(&home, &["bob", "--scope", "start:bell"]);
    let (_, eve) = token(&home, &["eve", "--scope", "read:bell"]);
    let (_, desk) = token(&home, &["desk", "--scope", "operate:*"]);
    let of = |token: &str| Agent::of_new(&node.url).with_token(token);

    let refused = Agent::of_new(&node.url).tools_under(&[]).await;
    assert_eq!(
        (refused.status, refused.headers["www-authenticate"].to_str().unwrap()),
        (401, "Bearer realm=\"amends\"")
    );
    let other = if ada.ends_with('0') { '1' } else { '0' };
    let changed = format!("{}{other}", &ada[..ada.len() - 1]);
    for wrong in ["amends_x_y", "x", "", changed.as_str()] {
        let refused = of(wrong).tools_under(&[]).await;
        let challenge = refused.headers["www-authenticate"].to_str().unwrap();
        assert!(refused.status == 401 && challenge.contains("invalid_token"), "{wrong:?} {refused:?}");
    }
    let verbs = ["saga_cancel", "saga_list", "saga_status"];
    assert_eq!(of(&ada).tool_names().await, [&["bell", "hotel_checkout"], &verbs[..]].concat());
    assert_eq!(of(&eve).tool_names().await, verbs);
    let heard = of(&bob).call_with("hotel_checkout", json!({ "guest": "bob" }), json!({})).await;
    assert_eq!(heard.answer["error"]["code"], -32602, "{heard:?}");
    assert_eq!(home.ledger.count("/charge", "bob"), 0);

    // The same key of another caller is another key, and others' sagas do not exist for whoever may not see
    // them.
    let key = json!({ "idempotency_key": "same" });
    let (first, second) = (of(&ada).call("bell", key.clone()).await, of(&bob).call("bell", key).await);
    let saga = |result: &Value| result["structuredContent"]["saga_id"].clone();
    assert_ne!(saga(&first), saga(&second));
    let about = json!({ "saga_id": saga(&first) });
    for verb in ["saga_status", "saga_cancel"] {
        assert_eq!(of(&bob).call(verb, about.clone()).await["isError"], true);
    }
    assert_eq!(of(&eve).call("saga_status", about.clone()).await["structuredContent"]["status"], "in_progress");
    assert_eq!(of(&eve).call("saga_cancel", about.clone()).await["isError"], true);
    let listed = async |token: &str| {
        let listed = of(token).call("saga_list", json!({})).await;
        listed["structuredContent"]["sagas"].as_array().unwrap().len()
    };
    assert_eq!([listed(&ada).await, listed(&bob).await, listed(&eve).await, listed(&desk).await], [1, 1, 2, 2]);
    let cancelled = of(&desk).call("saga_cancel", about).await;
    assert_eq!(cancelled["structuredContent"]["status"], "compensated", "{cancelled}");

    // A session of the old era is nobody else's: to others it is none, to listen to, to ask in or to end.
    let agent = Agent::of_old_with(&node.url, &ada).await;
    assert_eq!(agent.tool_names().await.len(), 5);
    let agent = agent.with_token(&bob);
    assert_eq!((agent.tools_under(&[]).await.status, agent.listen().await.status().as_u16()), (404, 404));
    agent.leave().await;
    let agent = agent.with_token(&ada);
    assert_eq!((agent.listen().await.status().as_u16(), agent.tool_names().await.len()), (200, 5));
    agent.leave().await;
    assert_eq!(agent.tools_under(&[]).await.status, 404);

    assert_eq!(home.run(&["token", "revoke", &id]).0, 0);
    assert_eq!(of(&ada).tools_under(&[]).await.status, 401);
    let (_, tokens, _) = home.run(&["token", "list"]);
    assert_eq!(
        (&tokens[0]["name"], &tokens[0]["live"], &tokens[1]["live"]),
        (&json!("ada"), &json!(false), &json!(true))
    );
    let (_, short) = token(&home, &["short", "--scope", "start:*", "--life", "1ms"]);
    assert_eq!(of(&short).tools_under(&[]).await.status, 401);
    assert_eq!(home.run(&["token", "add", "Ada", "--scope", "begin:*"]).0, 2);
    let log = tokio::task::spawn_blocking(move || node.end()).await.unwrap();
    assert!([&ada, &bob, &desk].iter().all(|token| !log.contains(&token[20..])), "a token is in the log: {log}");
}

#[tokio::test]
async fn names_origins_sizes_and_counts_are_limited() {
    let home = Home::with("limits", "mcp: { hosts: [agents.example.com], requests_per_minute: 12 }\n").await;
    let node = home.node(&[]);
    let agent = node.modern();
    let status = async |headers: &[(&str, &str)]| agent.tools_under(headers).await.status;
    assert_eq!(status(&[("host", "evil.example")]).await, 403);
    assert_eq!(status(&[("origin", "http://evil.example")]).await, 403);
    assert_eq!(status(&[("host", "agents.example.com")]).await, 200);
    assert_eq!(status(&[("origin", "http://localhost:6274")]).await, 200);
    let heard = agent.call_with("hotel_checkout", json!({ "guest": "x".repeat(2 << 20) }), json!({})).await;
    assert_eq!(heard.status, 413, "{heard:?}");
    let mut last = None;
    for _ in 0..12 {
        last = Some(agent.tools_under(&[]).await);
    }
    let last = last.unwrap();
    assert!(last.status == 429 && last.headers.contains_key("retry-after"), "{last:?}");
}

#[tokio::test]
async fn what_others_can_reach_asks_for_proof_or_does_not_start() {
    let home = Home::with("outside", "mcp: { auth: none }\n").await;
    let (code, _, errors) = home.run(&["serve", "--http", "0.0.0.0:0"]);
    assert!(code == 2 && errors.contains("mcp.auth is `none`") && errors.contains("amends token add"), "{errors}");
    let home = Home::new("outside-default").await;
    let node = home.node(&["--http", "0.0.0.0:0"]);
    let agent = Agent::of_new(&node.url.replace("0.0.0.0", "127.0.0.1"));
    assert_eq!(agent.tools_under(&[]).await.status, 401);
    let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
    let agent = agent.with_token(&ada);
    assert_eq!(agent.tools_under(&[]).await.status, 200);
    assert_eq!(agent.tools_under(&[("origin", "http://localhost")]).await.status, 403);
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(word >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
    format!("{message}.{}", base64(&sign(message.as_bytes())))
}

#[tokio::test]
async fn tokens_of_an_authorization_server_are_checked_in_full() {
    let random = SystemRandom::new();
    let edwards = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let curve = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let point = curve.public_key().as_ref();
    let keys = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "ed", "x": base64(edwards.public_key().as_ref()) },
        { "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "ec",
          "x": base64(&point[1..33]), "y": base64(&point[33..]) },
    ] });
    let served = keys.to_string();
    let server = Wire::serve(move |_| answer("200 OK", "content-type: application/json\r\n", &served)).await;
    let audience = "https://agents.example.com/mcp";
    let settings = format!(
        "mcp: {{ auth: bearer, oauth: {{ issuer: \"{0}\", audience: \"{audience}\", scopes: [\"read:bell\"] }} }}\n",
        server.url
    );
    let home = Home::with("oauth", &settings).await;
    let mut command = home.amends(&["serve", "--json"]);
    // The keys are asked for at their server, and at no proxy.
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    command.envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, "http://127.0.0.1:1")));
    let node = Node::spawn(command);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "iss": server.url, "aud": audience, "sub": "ada", "exp": now + 300,
        "scope": "openid start:hotel_*" });
    let by_edwards = |claims: &Value, kid: &str| {
        signed(&json!({ "alg": "EdDSA", "kid": kid }), claims, |text| edwards.sign(text).as_ref().to_vec())
    };
    let status = async |token: &str| Agent::of_new(&node.url).with_token(token).tools_under(&[]).await.status;
    let good = by_edwards(&claims, "ed");
    let by_curve = signed(&json!({ "alg": "ES256", "kid": "ec" }), &claims, |text| {
        curve.sign(&random, text).unwrap().as_ref().to_vec()
    });
    for token in [&good, &by_curve] {
        assert_eq!(Agent::of_new(&node.url).with_token(token).tool_names().await[0], "hotel_checkout");
    }
    let with = |field: &str, value: Value| {
        let mut changed = claims.clone();
        changed[field] = value;
        by_edwards(&changed, "ed")
    };
    let mut forged: Vec<char> = good.chars().collect();
    let middle = good.find('.').unwrap() + 10;
    forged[middle] = if forged[middle] == 'A' { 'B' } else { 'A' };
    let wrong = [
        with("iss", json!("https://other.example")),
        with("aud", json!("https://other.example/mcp")),
        with("exp", json!(now - 300)),
        with("nbf", json!(now + 300)),
        with("sub", Value::Null),
        by_edwards(&claims, "ec"),
        by_edwards(&claims, "unknown"),
        forged.into_iter().collect(),
        signed(&json!({ "alg": "none" }), &claims, |_| Vec::new()),
        signed(&json!({ "alg": "HS256", "kid": "ed" }), &claims, |text| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, edwards.public_key().as_ref());
            ring::hmac::sign(&key, text).as_ref().to_vec()
        }),
    ];
    for token in &wrong {
        assert_eq!(status(token).await, 401, "{token}");
    }
    assert!(server.count() <= 2, "keys were asked for {} times", server.count());

    let refused = Agent::of_new(&node.url).tools_under(&[]).await;
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    let metadata = "resource_metadata=\"https://agents.example.com/.well-known/oauth-protected-resource/mcp\"";
    assert!(challenge.contains(metadata), "{challenge}");
    let url = node.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
    let told: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!((&told["resource"], &told["authorization_servers"][0]), (&json!(audience), &json!(server.url)));
}
