//! MCP over the standard streams, for hosts that start their servers. Owns the pipe and its limits; whoever
//! started the process is the local principal.

use std::io;

use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::door::Door;
use super::principal::Principal;
use super::raw::keep;
use super::session::Session;
use crate::config::mcp::MESSAGE_BYTES_MAX;

impl Door {
    /// Serves one client on standard input and output until its input ends or [`Door::stop`].
    pub async fn serve_stdio(&self) -> io::Result<()> {
        self.serve_pipe(tokio::io::stdin(), tokio::io::stdout()).await
    }

    async fn serve_pipe(
        &self,
        input: impl AsyncRead + Unpin + Send + 'static,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        // rmcp reads from a pipe of ours, in which keys are where it keeps them.
        let (mut kept, read) = tokio::io::duplex(64 << 10);
        let stopping = self.inner.stopping.clone();
        let forward = tokio::spawn(async move {
            let forwarded = stopping.run_until_cancelled(forward(input, &mut kept)).await.unwrap_or(Ok(()));
            kept.shutdown().await.and(forwarded)
        });
        let session = Session::over_pipe(self.inner.clone(), Principal::local());
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

/// Passes messages on, one a line.
async fn forward(input: impl AsyncRead + Unpin, kept: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = MESSAGE_BYTES_MAX as u64 + 1;
        if (&mut input).take(most).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if line.len() > MESSAGE_BYTES_MAX {
            let text = format!("expected messages of at most {MESSAGE_BYTES_MAX} bytes, found a longer one");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let message = line.strip_suffix(b"\n").unwrap_or(&line);
        kept.write_all(&keep(message, None)).await?;
        kept.write_all(b"\n").await?;
    }
}
