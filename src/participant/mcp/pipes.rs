//! Transport to an MCP server that is a child process: one message per line in both directions. Records for each
//! request whether it was written. `framing.rs` limits the length of a line.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::Mutex;

use super::raw::{self, Slot, Waiting};

/// Our ends of a child's pipes, as a transport of rmcp.
pub(super) struct Pipes<R, W> {
    output: BufReader<R>,
    /// The line that is being read. It survives a read that is dropped.
    line: Vec<u8>,
    /// Messages that were read and not handed on yet.
    read: VecDeque<ServerJsonRpcMessage>,
    /// None once it is closed.
    input: Arc<Mutex<Option<W>>>,
    waiting: Arc<Waiting>,
}

impl<R: AsyncRead + Unpin, W> Pipes<R, W> {
    pub(super) fn new(output: R, input: W, waiting: Arc<Waiting>) -> Self {
        Self {
            output: BufReader::new(output),
            line: Vec::new(),
            read: VecDeque::new(),
            input: Arc::new(Mutex::new(Some(input))),
            waiting,
        }
    }

    /// Hands on the messages of a line. Drops anything else: some servers print other text to their output.
    fn hand_on(&mut self) {
        let line = raw::decoded(&std::mem::take(&mut self.line));
        for text in raw::messages(&line).into_iter().filter(|text| !text.is_empty()) {
            let answered = self.waiting.take(text, None);
            match serde_json::from_str(answered.as_deref().unwrap_or(text)) {
                Ok(message) => self.read.push_back(message),
                Err(error) => tracing::debug!(%error, "a line of a participant is no message"),
            }
        }
    }
}

impl<R, W> Transport<RoleClient> for Pipes<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;

    fn send(&mut self, message: ClientJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let asked = raw::slot_of(&message);
        if let Some((id, slot)) = &asked {
            self.waiting.expect(id, slot);
        }
        let line = match &asked {
            Some((_, slot)) => slot.written(&message),
            None => serde_json::to_string(&message),
        };
        let input = Arc::clone(&self.input);
        async move {
            let line = line? + "\n";
            let mut input = input.lock().await;
            let input = input.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            match &asked {
                Some((_, slot)) if !slot.begin() => Ok(()),
                Some((_, slot)) => write(input, line.as_bytes(), Some(slot)).await,
                None => write(input, line.as_bytes(), None).await,
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            if let Some(message) = self.read.pop_front() {
                return Some(message);
            }
            match self.output.read_until(b'\n', &mut self.line).await {
                // The end of the output. A line without a line break is no message.
                Ok(_) if !self.line.ends_with(b"\n") => return None,
                Ok(_) => self.hand_on(),
                Err(error) => {
                    tracing::debug!(%error, "a participant's output cannot be read");
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        drop(self.input.lock().await.take());
        Ok(())
    }
}

async fn write(input: &mut (impl AsyncWrite + Unpin), line: &[u8], slot: Option<&Arc<Slot>>) -> io::Result<()> {
    let begun = match input.write(line).await {
        Ok(begun) => begun,
        Err(error) => {
            // The pipe took not one byte of this request.
            if let Some(slot) = slot {
                slot.unwritten();
            }
            return Err(error);
        }
    };
    input.write_all(&line[begun..]).await?;
    input.flush().await
}

#[cfg(test)]
mod tests {
    use rmcp::model::{ClientRequest, GetExtensions, PingRequest, RequestId};

    use super::super::raw::Said;
    use super::*;

    fn ping(id: i64, slot: &Arc<Slot>) -> ClientJsonRpcMessage {
        let mut request = ClientRequest::PingRequest(PingRequest::default());
        request.extensions_mut().insert(Arc::clone(slot));
        ClientJsonRpcMessage::request(request, RequestId::Number(id))
    }

    #[tokio::test]
    async fn answers_are_taken_and_noise_is_left_out() {
        let output = b"starting...\r\n[1,2]\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[0.10]}\r\n\
            [{\"jsonrpc\":\"2.0\",\"method\":\"notifications/odd\"},\
            {\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{}}]\n{\"id\":3";
        let (near, _far) = tokio::io::duplex(1_000);
        let mut pipes = Pipes::new(&output[..], near, Waiting::new());
        let slots = [Arc::new(Slot::default()), Arc::new(Slot::default())];
        for (id, slot) in (1..).zip(&slots) {
            pipes.send(ping(id, slot)).await.unwrap();
            assert!(slot.was_sent());
        }
        let mut count = 0;
        while pipes.receive().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 3);
        assert_eq!(slots[0].take().map(|heard| heard.said), Some(Said::Result("[0.10]".into())));
        let error = Said::Error { error: "{}".into(), named: true };
        assert_eq!(slots[1].take().map(|heard| heard.said), Some(error));
    }

    #[tokio::test]
    async fn what_was_not_written_is_known() {
        // The server reads nothing. The pipe takes the first request; the second one waits and is given up.
        let (near, far) = tokio::io::duplex(16);
        let mut pipes = Pipes::new(&b""[..], near, Waiting::new());
        let slots = [Arc::new(Slot::default()), Arc::new(Slot::default()), Arc::new(Slot::default())];
        let first = tokio::spawn(pipes.send(ping(1, &slots[0])));
        while !slots[0].was_sent() {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn(pipes.send(ping(2, &slots[1])));
        slots[1].withdraw();
        drop(far);
        assert!(first.await.unwrap().is_err());
        assert!(second.await.unwrap().is_ok(), "it is not written");
        assert!(slots[0].was_sent() && !slots[1].was_sent());
        // A server that is gone takes nothing at all.
        assert!(pipes.send(ping(3, &slots[2])).await.is_err());
        assert!(!slots[2].was_sent());
    }
}
