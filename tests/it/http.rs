//! The HTTP door of a node, asked over the wire.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amends::http::{Door, Error, Server, Shows};
use amends::metrics;

fn request(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn door(ready: &Arc<AtomicBool>) -> Door {
    let ready = Arc::clone(ready);
    let readiness =
        Arc::new(
            move || {
                if ready.load(Ordering::Relaxed) { Vec::new() } else { vec!["the database is away".to_owned()] }
            },
        );
    Door { metrics: metrics::install(), readiness, shows: Shows::Everything, mounts: Vec::new() }
}

#[test]
fn answers_metrics_health_and_readiness() {
    let ready = Arc::new(AtomicBool::new(false));
    let server = Server::start("127.0.0.1:0".parse().unwrap(), door(&ready)).unwrap();
    metrics::SAGAS_STARTED.with(["over_http".into()]).increment(1);
    let answer = request(server.address(), "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("amends_sagas_started_total{definition=\"over_http\"} 1"), "{answer}");
    assert!(request(server.address(), "/healthz").starts_with("HTTP/1.1 200"));
    let answer = request(server.address(), "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the database is away"), "{answer}");
    ready.store(true, Ordering::Relaxed);
    assert!(request(server.address(), "/readyz").starts_with("HTTP/1.1 200"));
    assert!(request(server.address(), "/else").starts_with("HTTP/1.1 404"));
    let address = server.address();
    server.stop().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_others_reach_tells_no_names() {
    let ready = Arc::new(AtomicBool::new(false));
    let shows = |shows| {
        let door = Door { shows, ..door(&ready) };
        Server::start("127.0.0.1:0".parse().unwrap(), door).unwrap()
    };
    metrics::SAGAS_STARTED.with(["a_name".into()]).increment(1);
    metrics::STEP_SECONDS.with(["a_name".into(), "a_step".into(), "action".into()]).record(0.2);
    let (all, none, nothing) = (shows(Shows::Everything), shows(Shows::NoNames), shows(Shows::Nothing));
    let answer = request(all.address(), "/metrics");
    assert!(answer.contains("a_name") && answer.contains("a_step"), "{answer}");
    let answer = request(none.address(), "/metrics");
    assert!(!answer.contains("a_name") && !answer.contains("a_step"), "{answer}");
    assert!(answer.contains("\namends_sagas_started_total ") && answer.contains("direction=\"action\""), "{answer}");
    let answer = request(none.address(), "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503") && !answer.contains("database"), "{answer}");
    assert!(request(none.address(), "/healthz").starts_with("HTTP/1.1 200"));
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert!(request(nothing.address(), path).starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[test]
fn a_taken_address_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::start(address, door(&Arc::new(AtomicBool::new(true)))).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Bind { .. }), "{text}");
    assert!(text.starts_with(&format!("cannot listen on {address}: ")), "{text}");
    assert!(text.ends_with("end the program that listens there, or choose another address"), "{text}");
}
