//! MCP over standard input and output, for hosts that start their servers. Owns the pipe and its limits. The user
//! that started the process is the local principal, with the grants of [`Config::local`](super::Config::local).

use std::io;

use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::message_shim::keep;
use super::server::Door;
use super::session::Session;
use crate::config::mcp::MESSAGE_BYTES_MAX;

impl Door {
    /// Serves one client on standard input and output, until its input ends or [`Door::stop`] is called.
    pub async fn serve_stdio(&self) -> io::Result<()> {
        self.serve_pipe(tokio::io::stdin(), tokio::io::stdout()).await
    }

    async fn serve_pipe(
        &self,
        input: impl AsyncRead + Unpin + Send + 'static,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        // rmcp reads from an internal pipe. There, the keys are where rmcp keeps them.
        let (mut kept, read) = tokio::io::duplex(64 << 10);
        let stopping = self.inner.stopping.clone();
        let forward = tokio::spawn(async move {
            let forwarded = stopping.run_until_cancelled(forward(input, &mut kept)).await.unwrap_or(Ok(()));
            kept.shutdown().await.and(forwarded)
        });
        let session = Session::over_pipe(self.inner.clone(), self.inner.authority.local().clone());
        let served = match session.serve_with_ct((read, output), self.inner.closed.child_token()).await {
            Ok(running) => running.waiting().await.map(drop).map_err(io::Error::other),
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        };
        forward.abort();
        match forward.await {
            Ok(Err(error)) => served.and(Err(error)),
            Ok(Ok(())) | Err(_) => served,
        }
    }
}

/// Stands for a message that was too long. It is no valid message, and rmcp answers with an error.
const TOO_LONG: &[u8] = b"\"too long\"";

/// Passes messages on, one per line, and [`TOO_LONG`] in place of a message that is too long. Other requests of the
/// client go on.
async fn forward(input: impl AsyncRead + Unpin, kept: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = MESSAGE_BYTES_MAX as u64 + 1;
        if (&mut input).take(most).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let message = line.strip_suffix(b"\n").unwrap_or(&line);
        if message.len() > MESSAGE_BYTES_MAX {
            tracing::warn!(
                "expected a message of at most {MESSAGE_BYTES_MAX} bytes, found a longer one; the message is skipped"
            );
            pass_over(&mut input).await?;
            kept.write_all(TOO_LONG).await?;
        } else {
            kept.write_all(&keep(message, None)).await?;
        }
        kept.write_all(b"\n").await?;
    }
}

/// Drops the rest of a line, however long it is.
async fn pass_over(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let heard = input.fill_buf().await?;
        let end = heard.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(heard.len(), |at| at + 1);
        input.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_message_that_is_too_long_is_none_and_the_next_is_heard() {
        let longest = "a".repeat(MESSAGE_BYTES_MAX);
        let text = format!("{longest}\n{longest}b\nc\n{longest}{longest}\nd");
        let mut kept = Vec::new();
        forward(text.as_bytes(), &mut kept).await.unwrap();
        let expected = [&*longest, "\"too long\"", "c", "\"too long\"", "d", ""].join("\n");
        assert!(kept == expected.as_bytes(), "{} bytes were kept", kept.len());
    }
}
