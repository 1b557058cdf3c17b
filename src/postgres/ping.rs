//! Asks at a socket whether Postgres answers, in the Postgres protocol. The store makes the real connections.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{DATABASE, ROLE};
use crate::config::postgres::PING_MS_MAX;

/// Answer at the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server takes queries.
    Ready,
    /// The server starts, recovers or shuts down.
    NotYet,
    /// No valid answer came, or none in time.
    Silent,
    /// The connection is refused, for this reason.
    Refused(String),
}

/// Asks once, with `PING_MS_MAX` for each read and write.
pub(super) fn ping(socket: &Path) -> Answer {
    match converse(socket) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Answer::Refused(format!("cannot connect to {}: {error}", socket.display()))
        }
        Err(_) => Answer::Silent,
    }
}

fn converse(socket: &Path) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    let limit = Some(Duration::from_millis(PING_MS_MAX));
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    stream.write_all(&startup_message())?;
    loop {
        let (kind, body) = read_message(&mut stream)?;
        match kind {
            b'Z' => break,
            b'E' => return Ok(judge(&body)),
            _ => {}
        }
    }
    // A clean end of the session keeps errors out of the server's log.
    stream.write_all(&[b'X', 0, 0, 0, 4])?;
    Ok(Answer::Ready)
}

/// Returns the startup message of protocol 3.0: length, version, then pairs of zero-terminated strings.
fn startup_message() -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for text in ["user", ROLE, "database", DATABASE, "application_name", "amends ping", ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), &body].concat()
}

/// Reads the kind and the body of a message. A message above 64 KiB is an error; none is that long here.
fn read_message(stream: &mut UnixStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if !(4..=64 * 1024).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a Postgres message"));
    }
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

/// Judges an error message: its fields are a letter and a zero-terminated string each.
fn judge(body: &[u8]) -> Answer {
    let field = |letter: u8| {
        let found = body.split(|&byte| byte == 0).find(|field| field.first() == Some(&letter))?;
        Some(String::from_utf8_lossy(&found[1..]).into_owned())
    };
    match field(b'C').as_deref() {
        // cannot_connect_now, admin_shutdown, crash_shutdown
        Some("57P03" | "57P01" | "57P02") => Answer::NotYet,
        // too_many_connections: the server is up, and busy
        Some("53300") => Answer::Ready,
        _ => Answer::Refused(field(b'M').unwrap_or_else(|| "an error without a message".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_by_sqlstate() {
        assert_eq!(judge(b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"), Answer::NotYet);
        assert_eq!(judge(b"SFATAL\0C53300\0Msorry\0\0"), Answer::Ready);
        assert_eq!(judge(b"SFATAL\0C28000\0Mno role\0\0"), Answer::Refused("no role".to_owned()));
        assert_eq!(judge(b""), Answer::Refused("an error without a message".to_owned()));
    }

    #[test]
    fn nobody_is_silent() {
        assert_eq!(ping(Path::new("/nonexistent/.s.PGSQL.5432")), Answer::Silent);
    }
}
