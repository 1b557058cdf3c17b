//! Opens the encrypted part of a connection to Postgres, by `sslmode`, and keeps the password from a server whose
//! certificate was not checked. `tls.rs` checks certificates, `connect.rs` parses the settings.
//!
//! The driver asks for TLS by itself, and sends a password in cleartext to any server that asks for it. So it is told
//! to leave the whole negotiation to its TLS connector, which is this one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Asks a server for TLS: length and code of the protocol's `SSLRequest`.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

const CLEARTEXT: &str = "the server asks for the password in cleartext, and its certificate was not checked; expected \
                         scram-sha-256 in its pg_hba.conf, or sslmode=verify-full with the server's authority as \
                         sslrootcert";

const IMPLIED: &str = "the database is on another machine, so its certificate is checked (sslmode=verify-full); name \
                       its authority with sslrootcert, or choose another sslmode";

/// Connects a socket to a server by `sslmode`.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(super) tls: MakeRustlsConnect,
    pub(super) mode: SslMode,
    /// TLS begins without asking for it.
    pub(super) is_direct: bool,
    /// The certificate is checked, against an authority that the settings name or for the host's name.
    pub(super) is_verified: bool,
    /// The settings name no `sslmode`.
    pub(super) is_implied: bool,
}

type Rustls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

/// A connector for one host.
pub(crate) struct Connecting {
    tls: Rustls,
    connector: Connector,
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Guarded;
    type TlsConnect = Connecting;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connecting> {
        let tls = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.tls, host).map_err(io::Error::other)?;
        Ok(Connecting { tls, connector: self.clone() })
    }
}

impl TlsConnect<Socket> for Connecting {
    type Stream = Guarded;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Guarded>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let is_implied = self.connector.is_implied;
        let explained = move |error: io::Error| match is_implied {
            true => io::Error::new(error.kind(), format!("{error}; {IMPLIED}")),
            false => error,
        };
        self.negotiate(socket).map(move |stream| stream.map_err(explained)).boxed()
    }
}

impl Connecting {
    async fn negotiate(self, mut socket: Socket) -> io::Result<Guarded> {
        let Connector { mode, is_direct, is_verified, .. } = self.connector;
        if mode == SslMode::Disable {
            return Ok(Guarded { stream: Stream::Plain(socket), watch: Some(Watch::default()) });
        }
        if !is_direct {
            socket.write_all(&SSL_REQUEST).await?;
            socket.flush().await?;
            match socket.read_u8().await? {
                b'S' => {}
                _ if mode == SslMode::Prefer => {
                    return Ok(Guarded { stream: Stream::Plain(socket), watch: Some(Watch::default()) });
                }
                _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "server does not support TLS")),
            }
        }
        let stream = self.tls.connect(socket).await.map_err(io::Error::other)?;
        Ok(Guarded { stream: Stream::Tls(Box::new(stream)), watch: (!is_verified).then(Watch::default) })
    }
}

enum Stream {
    Plain(Socket),
    Tls(Box<<MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>),
}

/// A connection that ends if an unverified server asks for the password in cleartext.
pub(crate) struct Guarded {
    stream: Stream,
    /// Looks at what the server says until it lets us in; none behind a verified certificate.
    watch: Option<Watch>,
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if let Some(watch) = &mut self.watch {
            match watch.see(&buffer.filled()[before..]) {
                Seen::More => {}
                Seen::In => self.watch = None,
                Seen::Cleartext => {
                    // The driver never sees the request, so it does not answer.
                    buffer.set_filled(before);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, CLEARTEXT)));
                }
            }
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl TlsStream for Guarded {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.stream {
            Stream::Plain(_) => ChannelBinding::none(),
            Stream::Tls(stream) => stream.channel_binding(),
        }
    }
}

/// Reads the heads of the server's messages: one byte of type, four of length, and four of a request's kind.
#[derive(Default)]
struct Watch {
    head: [u8; 9],
    length: usize,
    /// Bytes of the message that are still to come.
    rest: usize,
}

/// What the bytes so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// The server has not decided yet.
    More,
    /// It lets us in, or talks nonsense, which the driver reports. It is not given a password after that.
    In,
    /// It asks for the password in cleartext.
    Cleartext,
}

impl Watch {
    fn see(&mut self, mut bytes: &[u8]) -> Seen {
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            let Some((first, after)) = bytes.split_first() else { break };
            self.head[self.length] = *first;
            self.length += 1;
            bytes = after;
            let number = |at: usize| u32::from_be_bytes([at, at + 1, at + 2, at + 3].map(|at| self.head[at]));
            let announced = number(1) as usize;
            match (self.length, self.head[0]) {
                (5, b'R') if announced < 8 => return Seen::In,
                (5, b'R') => {}
                (5, _) if announced < 4 => return Seen::In,
                (5, _) => (self.length, self.rest) = (0, announced - 4),
                (9, _) => match number(5) {
                    0 => return Seen::In,
                    3 => return Seen::Cleartext,
                    _ => (self.length, self.rest) = (0, announced - 8),
                },
                _ => {}
            }
        }
        Seen::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn sees_a_request_for_the_password_however_it_arrives() {
        let notice = message(b'N', b"SNOTICE\0Mhello R\0\0\0\x08\0\0\0\x03\0\0");
        let scram = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let (cleartext, done) = (message(b'R', &[0, 0, 0, 3]), message(b'R', &[0, 0, 0, 0]));
        for (said, expected) in [
            (vec![&cleartext], Seen::Cleartext),
            (vec![&notice, &cleartext], Seen::Cleartext),
            (vec![&scram, &notice, &cleartext], Seen::Cleartext),
            (vec![&notice, &scram], Seen::More),
            (vec![&scram, &done, &cleartext], Seen::In),
            (vec![&notice, &done], Seen::In),
        ] {
            let bytes: Vec<u8> = said.into_iter().flatten().copied().collect();
            for size in 1..=bytes.len() {
                let mut watch = Watch::default();
                let seen = bytes.chunks(size).map(|chunk| watch.see(chunk)).find(|seen| *seen != Seen::More);
                assert_eq!(seen.unwrap_or(Seen::More), expected, "in chunks of {size}");
            }
        }
        assert_eq!(Watch::default().see(b"R\0\0\0\x05x"), Seen::In);
        assert_eq!(Watch::default().see(b"E\0\0\0\x02x"), Seen::In);
    }
}
