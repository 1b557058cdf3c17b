//! Tokens of an authorization server: what is checked, and when its keys are read.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::agent::Agent;
use super::home::{Home, Node};
use crate::harness::eventually;
use crate::participant::wire::{Act, Wire, answer};

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
    let edwards = edwards();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let curve = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let point = curve.public_key().as_ref();
    let keys = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "ed", "x": base64(edwards.public_key().as_ref()) },
        { "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "ec",
          "x": base64(&point[1..33]), "y": base64(&point[33..]) },
        { "kty": "OKP", "crv": "Ed25519", "use": "enc", "kid": "enc", "x": base64(edwards.public_key().as_ref()) },
        { "kty": "OKP", "crv": "Ed25519", "alg": "ES256", "kid": "alg", "x": base64(edwards.public_key().as_ref()) },
        { "kty": "AKP", "alg": "ML-DSA-44", "kid": "later", "pub": "AAAA" },
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
    let under = |header: Value| signed(&header, &claims, |text| edwards.sign(text).as_ref().to_vec());
    let typed = |typ: &str| under(json!({ "alg": "EdDSA", "kid": "ed", "typ": typ }));
    let among = by_edwards(&with_audiences(&claims, audience), "ed");
    for token in [&good, &by_curve, &among, &typed("at+jwt"), &typed("JWT")] {
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
        with("sub", json!("")),
        with("sub", json!(" \t")),
        with("sub", json!(7)),
        with("sub", json!(["ada"])),
        with("iss", Value::Null),
        with("iss", json!(format!("{}/", server.url))),
        with("aud", json!([])),
        with("aud", Value::Null),
        with("aud", json!(format!("{audience}/"))),
        with("aud", json!(["https://other.example/mcp"])),
        with("exp", Value::Null),
        with("exp", json!("soon")),
        with("exp", json!(-1)),
        with("exp", json!(0)),
        typed("logout+jwt"),
        typed("dpop+jwt"),
        under(json!({ "alg": "EdDSA", "kid": "ed", "crit": ["x"], "x": 1 })),
        under(json!({ "alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": true })),
        under(json!({ "alg": "EdDSA", "kid": "ed", "crit": [] })),
        under(json!({ "alg": "EdDSA", "kid": "ed", "crit": ["exp", "kid"] })),
        under(json!({ "alg": "eddsa", "kid": "ed" })),
        under(json!({ "alg": "None", "kid": "ed" })),
        under(json!({ "kid": "ed" })),
        under(json!({ "alg": "EdDSA", "kid": "ED" })),
        under(json!({ "alg": "EdDSA", "kid": "" })),
        under(json!({ "alg": "EdDSA", "kid": "../ed" })),
        good.replace('.', ".."),
        format!("{good}."),
        good.rsplit_once('.').unwrap().0.to_owned() + ".",
        by_edwards(&claims, "enc"),
        by_edwards(&claims, "alg"),
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
    assert!(server.count() <= 3, "keys were asked for {} times", server.count());

    let refused = Agent::of_new(&node.url).tools_under(&[]).await;
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    let metadata = "resource_metadata=\"https://agents.example.com/.well-known/oauth-protected-resource/mcp\"";
    assert!(challenge.contains(metadata), "{challenge}");
    let url = node.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
    let told: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!((&told["resource"], &told["authorization_servers"][0]), (&json!(audience), &json!(server.url)));
}

/// The same claims for several servers, this one among them.
fn with_audiences(claims: &Value, own: &str) -> Value {
    let mut claims = claims.clone();
    claims["aud"] = json!(["https://other.example/mcp", own]);
    claims
}

/// An authorization server whose answers a test decides.
struct Server {
    wire: Wire,
    answer: Arc<Mutex<Box<dyn Fn() -> Act + Send>>>,
}

impl Server {
    async fn start() -> Self {
        let shared: Arc<Mutex<Box<dyn Fn() -> Act + Send>>> = Arc::new(Mutex::new(Box::new(|| Act::Close)));
        let given = shared.clone();
        let wire = Wire::serve(move |_| given.lock().unwrap()()).await;
        Self { wire, answer: shared }
    }

    fn answers(&self, act: impl Fn() -> Act + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(act);
    }

    /// Serves this key under the name `k`.
    fn has_key(&self, key: &Ed25519KeyPair) {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": base64(key.public_key().as_ref()) });
        let keys = json!({ "keys": [key] }).to_string();
        self.answers(move || answer("200 OK", "content-type: application/json\r\n", &keys));
    }

    async fn node(&self, name: &str) -> (Home, Node) {
        let oauth = format!("{{ issuer: \"{}\", audience: \"https://agents.example/mcp\" }}", self.wire.url);
        let home = Home::with(name, &format!("mcp: {{ requests_per_minute: 100000, oauth: {oauth} }}\n")).await;
        let node = home.node(&[]);
        (home, node)
    }

    fn token(&self, key: &Ed25519KeyPair, kid: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({ "iss": self.wire.url, "aud": "https://agents.example/mcp", "sub": "ada", "exp": now + 600,
            "scope": "start:*" });
        signed(&json!({ "alg": "EdDSA", "kid": kid }), &claims, |text| key.sign(text).as_ref().to_vec())
    }
}

fn edwards() -> Ed25519KeyPair {
    Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap()
}

#[tokio::test]
async fn forged_tokens_and_a_slow_server_hold_up_no_valid_token() {
    let (server, key, other) = (Server::start().await, edwards(), edwards());
    server.has_key(&key);
    let (_home, node) = server.node("slow-issuer").await;
    let valid = Agent::of_new(&node.url).with_token(&server.token(&key, "k"));
    assert_eq!(valid.tools_under(&[]).await.status, 200);
    let forged = |number: usize, kid: &str| {
        let agent = Agent::of_new(&node.url).from(&format!("127.0.1.{}", number % 200 + 1));
        agent.with_token(&server.token(&other, kid))
    };

    // A key that changes under its name is found when a token does not fit it, long before the keys are old.
    server.has_key(&other);
    let moved = Agent::of_new(&node.url).with_token(&server.token(&other, "k"));
    let mut tries = 0;
    eventually("the changed key is known", async || {
        tries += 1;
        moved.tools_under(&[]).await.status == 200
    })
    .await;
    assert_eq!(server.wire.count(), 2, "between two requests for the keys there is a pause, in {tries} tries");
    assert_eq!(valid.tools_under(&[]).await.status, 401);

    // From now on the server does not answer. Eight forged tokens wait for the same request; a valid one does not.
    server.answers(|| Act::Hang);
    let mut number = 0;
    eventually("a forged token leads to a request", async || {
        number += 1;
        let agent = forged(number, "unknown");
        tokio::spawn(async move { agent.tools_under(&[]).await.status });
        server.wire.count() == 3
    })
    .await;
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let agent = forged(number, &format!("forged-{number}"));
            tokio::spawn(async move { agent.tools_under(&[]).await.status })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(moved.tools_under(&[]).await.status, 200);
    }
    assert!(waiting.iter().any(|forged| !forged.is_finished()), "valid tokens waited for forged ones");
    for forged in waiting {
        // Whether the server knows these keys cannot be said now.
        assert_eq!(forged.await.unwrap(), 503);
    }
    assert!(server.wire.count() <= 4, "{} requests", server.wire.count());

    // With the server gone, what is known stands, and what is not known is not refused for good.
    let Server { mut wire, .. } = server;
    wire.end().await;
    let heard = Agent::of_new(&node.url).with_token(&unknown(&wire.url, &other)).tools_under(&[]).await;
    assert!(heard.status == 503 && heard.headers.contains_key("retry-after"), "{heard:?}");
    assert_eq!(moved.tools_under(&[]).await.status, 200);
    assert_eq!(valid.tools_under(&[]).await.status, 401);
}

fn unknown(issuer: &str, key: &Ed25519KeyPair) -> String {
    signed(&json!({ "alg": "EdDSA", "kid": "new" }), &json!({ "iss": issuer }), |text| key.sign(text).as_ref().to_vec())
}

#[tokio::test]
async fn keys_come_from_their_url_and_from_nowhere_else() {
    let (server, elsewhere, key) = (Server::start().await, Server::start().await, edwards());
    elsewhere.has_key(&key);
    let to = format!("location: {}/keys\r\n", elsewhere.wire.url);
    server.answers(move || answer("302 Found", &to, ""));
    let (home, node) = server.node("redirected").await;
    let agent = Agent::of_new(&node.url).with_token(&server.token(&key, "k"));
    for _ in 0..3 {
        assert_eq!(agent.tools_under(&[]).await.status, 503);
    }
    assert_eq!(elsewhere.wire.count(), 0, "a redirect was followed");
    // The first keys are read again soon.
    server.has_key(&key);
    eventually("the keys are known", async || agent.tools_under(&[]).await.status == 200).await;

    for (issuer, jwks_url, is_fine) in [
        ("http://login.example", None, false),
        ("https://login.example", Some("http://login.example/keys"), false),
        ("https://login.example", Some("http://localhost.evil.example/keys"), false),
        ("https://login.example", Some("http://[2001:db8::1]/keys"), false),
        ("https://login.example", Some("http://localhost:8080/keys"), true),
        ("http://login.example", Some("https://login.example/keys"), true),
        ("http://[::1]:8080", None, true),
    ] {
        let keys = jwks_url.map(|url| format!(", jwks_url: \"{url}\"")).unwrap_or_default();
        let text = format!("mcp: {{ oauth: {{ issuer: \"{issuer}\", audience: \"https://a.example/mcp\"{keys} }} }}\n");
        std::fs::write(home.folder.join("keys.yaml"), &text).unwrap();
        let (code, said, _) = home.run(&["check", "keys.yaml"]);
        assert_eq!(code == 0, is_fine, "{text} {said}");
        assert!(is_fine || said.to_string().contains("`https` URL"), "{said}");
    }
}
