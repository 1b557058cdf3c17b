//! Whom a secret is sent to: to the participant itself, past any proxy that the environment names, and over TLS to no
//! other than it says it is. The caller is a process of its own, for the environment is one for all tests.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use amends::participant::{Participants, Secret, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use super::mcp_http::{method, reply, shake_hands};
use super::wire::{Wire, answer};
use super::{call, executed, says, tool, with};
use crate::harness::{fixture, in_its_own_process};

const URL: &str = "AMENDS_TEST_PARTICIPANT";
const TOKEN: &str = "t0ken-of-mine";

/// Calls the participant that its environment names, in either protocol, and prints what became of it.
#[tokio::test]
async fn child_process_entry() {
    let Ok(url) = std::env::var(URL) else { return };
    let secret = Secret::sensitive(format!("Bearer {TOKEN}"), vec![TOKEN.into()]);
    let headers = BTreeMap::from([("Authorization".to_owned(), secret)]);
    let url = Secret::plain(url);
    let http = with(Transport::Http { url: url.clone(), headers: headers.clone() });
    let target = json!({"http": {"participant": "it", "method": "POST", "path": "/x", "body": {}}});
    println!("\noutcome: {}", executed(&http, &call(target, json!({}))).await);
    let mcp: Participants = with(Transport::McpHttp { url, headers });
    println!("\noutcome: {}", executed(&mcp, &call(tool("echo", json!({})), json!({}))).await);
    mcp.shutdown().await;
}

/// Returns what became of a call by HTTP and of one by MCP, made in this environment.
async fn outcomes(url: &str, environment: &[(&str, &str)]) -> [String; 2] {
    let mut child = in_its_own_process("participant::secure::child_process_entry");
    for name in ["NO_PROXY", "no_proxy", "SSL_CERT_DIR"] {
        child.env_remove(name);
    }
    child.envs(environment.iter().copied()).env(URL, url).stdout(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once("outcome: ").map(|(_, said)| said.to_owned()));
    lines.collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{text}"))
}

fn served(request: &str) -> super::wire::Act {
    match method(request).as_str() {
        "initialize" => shake_hands(request, ""),
        "tools/call" => reply(request, "", json!({"result": {"content": []}})),
        "" => answer("200 OK", "", "{}"),
        _ => answer("202 Accepted", "", ""),
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_sees_nothing() {
    let (participant, proxy) = (Wire::serve(served).await, Wire::serve(|_| answer("502 Bad Gateway", "", "")).await);
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let environment = names.map(|name| (name, proxy.url.as_str()));
    assert_eq!(outcomes(&participant.url, &environment).await, ["succeeded {}", "succeeded null"]);
    assert_eq!(proxy.count(), 0, "{}", proxy.last());
    assert!(participant.last().contains(TOKEN), "{}", participant.last());
}

/// A server of TLS with the certificate for `localhost`; returns its port and what was sent to it once it was trusted.
/// `says_end`: it says that it ends a connection, as the protocol has it.
fn secure_server(served: fn(&str) -> super::wire::Act, says_end: bool) -> (u16, Arc<Mutex<Vec<String>>>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(fixture("server.crt")).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (config, heard) = (Arc::new(config), Arc::new(Mutex::new(Vec::new())));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, said) = (listener.local_addr().unwrap().port(), Arc::clone(&heard));
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                let mut stream = rustls::StreamOwned::new(connection, tcp.unwrap());
                let mut bytes = Vec::new();
                let mut chunk = [0; 4_096];
                // A head and a short body come as one or two pieces; whatever comes is noted.
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    bytes.extend_from_slice(&chunk[..count]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.to_ascii_lowercase();
                    let length =
                        length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                    if body.len() < length.unwrap_or(0) {
                        continue;
                    }
                    said.lock().unwrap().push(text.clone());
                    if let super::wire::Act::Answer(answer) = served(&text) {
                        let _ = stream.write_all(answer.as_bytes());
                        if says_end {
                            stream.conn.send_close_notify();
                        }
                        let _ = stream.flush();
                    }
                    return;
                }
                said.lock().unwrap().extend((!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned()));
            });
        }
    });
    (port, heard)
}

#[tokio::test]
async fn a_participant_that_cannot_prove_its_name_is_sent_nothing() {
    let (port, heard) = secure_server(served, true);
    let authority = fixture("ca.crt").display().to_string();
    let other = fixture("other_ca.crt").display().to_string();
    for (host, trusted, part) in
        [("localhost", &other, "UnknownIssuer"), ("127.0.0.1", &authority, "not valid for name")]
    {
        for line in outcomes(&format!("https://{host}:{port}"), &[("SSL_CERT_FILE", trusted)]).await {
            says(&line, "retryable refused: ", part);
        }
        assert!(heard.lock().unwrap().is_empty(), "{host}: {:?}", heard.lock().unwrap());
    }
    let trusted = outcomes(&format!("https://localhost:{port}"), &[("SSL_CERT_FILE", &authority)]).await;
    assert_eq!(trusted, ["succeeded {}", "succeeded null"]);
    assert!(heard.lock().unwrap().iter().all(|request| request.contains(TOKEN)));
}

/// Where the end of the connection is the end of the answer, a connection that is cut is told from one that ends.
#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole_only_if_the_connection_was_ended() {
    let authority = fixture("ca.crt").display().to_string();
    for (says_end, start) in [(true, "succeeded \"done\""), (false, "unknown answer_incomplete: ")] {
        let done = |_: &str| super::wire::Act::Answer("HTTP/1.0 200 OK\r\n\r\ndone".into());
        let (port, _) = secure_server(done, says_end);
        let [http, _] = outcomes(&format!("https://localhost:{port}"), &[("SSL_CERT_FILE", &authority)]).await;
        says(&http, start, "");
    }
}
