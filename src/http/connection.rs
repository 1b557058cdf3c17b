//! One connection of a client, and what it does now: it sends a request, waits for the answer, or is idle. Owns the
//! deadlines that follow. A client that is waited for has a deadline; one that waits for us has none.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::config::http::{KEEP_ALIVE_S, LINGER_S, REQUEST_S_MAX, WRITE_S_MAX};
use crate::peer::Peer;

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It got an answer before its request was read to the end; it is closed soon.
    Lingering(Instant),
    /// It waits for the next request.
    Idle(Instant),
    /// Its request arrives.
    Receiving(Instant),
    /// Its request is here, and the answer is on its way.
    Answering,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: Peer,
    phase: Cell<Phase>,
    /// Since when the client has taken nothing of what is to be written.
    stalled: Cell<Option<Instant>>,
    /// Tells the connection's task to close it.
    pub(super) over: Notify,
}

impl Connection {
    pub(super) fn new(peer: Peer) -> Self {
        let phase = Cell::new(Phase::Receiving(Instant::now()));
        Self { peer, phase, stalled: Cell::new(None), over: Notify::new() }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether the client was slower than it may be.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let over = |since: Instant, seconds| now.saturating_duration_since(since) >= Duration::from_secs(seconds);
        let late = match self.phase.get() {
            Phase::Receiving(since) => over(since, REQUEST_S_MAX),
            Phase::Idle(since) => over(since, KEEP_ALIVE_S),
            Phase::Lingering(since) => over(since, LINGER_S),
            Phase::Answering => false,
        };
        late || self.stalled.get().is_some_and(|since| over(since, WRITE_S_MAX))
    }

    /// The head of a request is here. Its body follows, if it has one.
    pub(super) fn head_arrived(&self, has_body: bool) {
        match (has_body, self.phase.get()) {
            (false, _) => self.phase.set(Phase::Answering),
            (true, Phase::Receiving(_)) => {}
            (true, Phase::Idle(_) | Phase::Answering | Phase::Lingering(_)) => {
                self.phase.set(Phase::Receiving(Instant::now()));
            }
        }
    }

    fn body_arrived(&self) {
        if let Phase::Receiving(_) = self.phase.get() {
            self.phase.set(Phase::Answering);
        }
    }

    /// The head of the answer is ready. Returns whether the request was read to its end. If it was not, the connection
    /// must be closed: what follows on it is the rest of that request.
    pub(super) fn answer_began(&self) -> bool {
        match self.phase.get() {
            Phase::Receiving(_) => {
                self.phase.set(Phase::Lingering(Instant::now()));
                false
            }
            Phase::Idle(_) | Phase::Answering | Phase::Lingering(_) => true,
        }
    }

    /// The request gets an answer that is not followed.
    pub(super) fn failed(&self) {
        self.answer_began();
        self.answer_ended();
    }

    fn answer_ended(&self) {
        if let Phase::Answering = self.phase.get() {
            self.phase.set(Phase::Idle(Instant::now()));
        }
    }

    fn heard(&self) {
        if let Phase::Idle(_) = self.phase.get() {
            self.phase.set(Phase::Receiving(Instant::now()));
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.stalled.set(self.stalled.get().or_else(|| Some(Instant::now()))),
            Poll::Ready(_) => self.stalled.set(None),
        }
    }
}

/// The stream of a connection.
pub(super) struct Socket {
    stream: TcpStream,
    pub(super) connection: Rc<Connection>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Rc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buf);
        if buf.filled().len() > before {
            self.connection.heard();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buf);
        self.connection.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bufs);
        self.connection.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of a request; it tells its connection when it has arrived.
struct Arriving {
    body: Payload,
    connection: Rc<Connection>,
}

/// Makes a request's body tell its connection when it has arrived.
pub(super) fn arriving(body: Payload, connection: Rc<Connection>) -> Payload {
    Payload::from(Box::pin(Arriving { body, connection }) as Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>)
}

impl Stream for Arriving {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(None) = next {
            self.connection.body_arrived();
        }
        next
    }
}

/// The body of an answer; its end makes its connection idle.
pub(super) struct Answer {
    body: BoxBody,
    connection: Rc<Connection>,
}

impl Answer {
    pub(super) fn new(body: impl MessageBody + 'static, connection: Rc<Connection>) -> Self {
        Self { body: body.boxed(), connection }
    }
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.answer_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_waited_for_has_a_deadline_and_one_that_waits_has_none() {
        let connection = Connection::new(Peer::V4([192, 0, 2, 1].into()));
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(!connection.is_overdue(later(REQUEST_S_MAX - 1)) && connection.is_overdue(later(REQUEST_S_MAX)));
        connection.head_arrived(false);
        assert!(!connection.is_overdue(later(3_600)));
        connection.wrote(&Poll::Pending);
        assert!(connection.is_overdue(later(WRITE_S_MAX)));
        connection.wrote(&Poll::Ready(Ok(1)));
        assert!(connection.answer_began());
        connection.answer_ended();
        assert!(!connection.is_overdue(later(KEEP_ALIVE_S - 1)) && connection.is_overdue(later(KEEP_ALIVE_S)));
    }

    #[test]
    fn an_answer_before_the_end_of_the_request_ends_the_connection() {
        let connection = Connection::new(Peer::V4([192, 0, 2, 1].into()));
        connection.head_arrived(true);
        assert!(!connection.answer_began());
        connection.answer_ended();
        assert!(matches!(connection.phase(), Phase::Lingering(_)));
        assert!(connection.is_overdue(Instant::now() + Duration::from_secs(LINGER_S)));
    }
}
