//! A server of raw HTTP that does to a request whatever a test wants, and remembers what it was sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
pub(crate) enum Act {
    /// Answers with these bytes and closes.
    Answer(String),
    /// The same for an answer that is no text.
    Bytes(Vec<u8>),
    /// Sends these bytes and resets the connection.
    Reset(Vec<u8>),
    /// Closes without an answer.
    Close,
    /// Does so after a while.
    Later(Duration, Box<Act>),
    /// Answers with the first at once and with the second for ever, a little at a time.
    Drip(String, String),
    /// The same as fast as it can.
    Pour(String, String),
    /// Never answers.
    Hang,
}

/// An answer with a status line, headers and a body of the right length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Answer(format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"))
}

/// The server; it ends with the test.
pub(crate) struct Wire {
    pub(crate) url: String,
    /// Requests as they came: head and body.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// None once it is gone.
    listener: Option<Arc<TcpListener>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn serve(act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").await.unwrap(), act)
    }

    /// The same with a short queue, for [`deafen`](Self::deafen).
    pub(crate) async fn narrow(act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::at(narrow(), act)
    }

    fn at(listener: TcpListener, act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        let listener = Arc::new(listener);
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (act, seen, accepted) = (Arc::new(act), Arc::clone(&requests), Arc::clone(&listener));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = accepted.accept().await {
                let (act, seen) = (Arc::clone(&act), Arc::clone(&seen));
                tokio::spawn(async move { serve_one(stream, &*act, &seen).await });
            }
        });
        Self { url, requests, listener: Some(listener), accepting }
    }

    /// Takes no further connection, and refuses none.
    pub(crate) async fn deafen(mut self) -> Backlog {
        self.accepting.abort();
        Backlog::behind(self.listener.take().unwrap()).await
    }

    /// Is gone: its address refuses connections.
    pub(crate) async fn end(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.listener = None;
    }

    pub(crate) fn last(&self) -> String {
        self.requests.lock().unwrap().last().cloned().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn serve_one(mut stream: TcpStream, act: &(dyn Fn(&str) -> Act + Send + Sync), seen: &Mutex<Vec<String>>) {
    let Some(request) = read(&mut stream).await else { return };
    seen.lock().unwrap().push(request.clone());
    let mut act = act(&request);
    while let Act::Later(pause, then) = act {
        tokio::time::sleep(pause).await;
        act = *then;
    }
    match act {
        Act::Later(..) => unreachable!(),
        Act::Answer(text) => end_with(&mut stream, text.as_bytes()).await,
        Act::Bytes(bytes) => end_with(&mut stream, &bytes).await,
        Act::Reset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            stream.set_zero_linger().unwrap();
        }
        Act::Drip(begin, then) => {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            let mut goes_on = stream.write_all(begin.as_bytes()).await.is_ok();
            while goes_on {
                pace.tick().await;
                goes_on = stream.write_all(then.as_bytes()).await.is_ok();
            }
        }
        Act::Pour(begin, then) => {
            let mut goes_on = stream.write_all(begin.as_bytes()).await.is_ok();
            while goes_on {
                goes_on = stream.write_all(then.repeat(1_000).as_bytes()).await.is_ok();
            }
        }
        Act::Close => {}
        Act::Hang => tokio::time::sleep(Duration::from_secs(600)).await,
    }
}

async fn end_with(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
}

/// Reads a head and as much of a body as it announces.
pub(crate) async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8_192];
    loop {
        let count = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                return Some(text);
            }
        }
        if count == 0 {
            return None;
        }
    }
}

/// An address at which connections are neither taken nor refused: its queue is full. It is so until this is
/// dropped.
pub(crate) struct Backlog {
    pub(crate) url: String,
    _queued: (Arc<TcpListener>, Vec<tokio::task::JoinHandle<()>>),
}

fn narrow() -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1).unwrap()
}

impl Backlog {
    pub(crate) async fn full() -> Self {
        Self::behind(Arc::new(narrow())).await
    }

    async fn behind(listener: Arc<TcpListener>) -> Self {
        let address = listener.local_addr().unwrap();
        let (queued, mut count) = tokio::sync::mpsc::channel(1);
        let callers = (0..8).map(|_| {
            let queued = queued.clone();
            tokio::spawn(async move {
                let _stream = TcpStream::connect(address).await;
                let _ = queued.send(()).await;
                std::future::pending().await
            })
        });
        let callers = callers.collect();
        // One more than the queue is long.
        for _ in 0..2 {
            count.recv().await.unwrap();
        }
        Self { url: format!("http://{address}"), _queued: (listener, callers) }
    }
}

/// Returns the address of a port on which nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
