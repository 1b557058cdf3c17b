//! Limits the length of the lines that a child process writes to its standard output. A longer message is cut, and
//! the request that it answers gets an error in its place. rmcp reads the messages.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// `data.type` of the error that takes the place of an answer that was too long.
pub(super) const TOO_LONG: &str = "amends/answer_too_long";

/// Longest `id` of a message that is recognized, in bytes.
const ID_BYTES_MAX: usize = 256;

/// Output of a child, with lines of bounded length.
pub(super) struct Lines<R> {
    inner: R,
    line: Line,
    /// Bytes that were read and not handed on yet.
    out: Vec<u8>,
    handed: usize,
}

impl<R> Lines<R> {
    /// Limits the lines of `inner` to `bytes_max` bytes.
    pub(super) fn new(inner: R, bytes_max: usize) -> Self {
        Self { inner, line: Line { bytes_max, ..Line::default() }, out: Vec::new(), handed: 0 }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Lines<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let left = &this.out[this.handed..];
            if !left.is_empty() {
                let count = left.len().min(buffer.remaining());
                buffer.put_slice(&left[..count]);
                this.handed += count;
                return Poll::Ready(Ok(()));
            }
            this.out.clear();
            this.handed = 0;
            let mut chunk = [0; 8_192];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.line.pass(chunk.filled(), &mut this.out);
        }
    }
}

/// The line that is being read.
#[derive(Default)]
struct Line {
    bytes_max: usize,
    length: usize,
    sight: Sight,
}

impl Line {
    /// Passes bytes on, except those of a line beyond the limit. Such a line ends at the limit, so it is not JSON.
    /// After it comes an error for the request that the line would have answered.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            if byte != b'\n' {
                self.length = self.length.saturating_add(1);
                self.sight.see(byte);
                if self.length <= self.bytes_max {
                    out.push(byte);
                }
                continue;
            }
            out.push(byte);
            if self.length > self.bytes_max {
                tracing::warn!(
                    bytes = self.length,
                    bytes_max = self.bytes_max,
                    "a message of a participant was too long"
                );
                if let Some(id) = self.sight.answered() {
                    out.extend_from_slice(too_long(&id, self.bytes_max).as_bytes());
                }
            }
            self.length = 0;
            self.sight = Sight::default();
        }
    }
}

fn too_long(id: &serde_json::Value, bytes_max: usize) -> String {
    let message = format!("the answer is larger than the limit of {bytes_max} bytes for a message");
    let error = serde_json::json!({ "code": -32603, "message": message, "data": { "type": TOO_LONG } });
    format!("{}\n", serde_json::json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

/// What is kept of a message: its `id`, which may come last, and whether it is a request itself.
#[derive(Default)]
struct Sight {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Whether the next string at the top level is a name.
    names: bool,
    /// The latest name at the top level, or its first bytes.
    name: Vec<u8>,
    in_name: bool,
    /// The value of `id`, as far as it was read.
    id: Vec<u8>,
    in_id: bool,
    asks: bool,
}

impl Sight {
    fn see(&mut self, byte: u8) {
        if self.in_id {
            let ends = !self.in_string && self.depth == 1 && matches!(byte, b',' | b'}');
            if ends {
                self.in_id = false;
            } else if self.id.len() < ID_BYTES_MAX {
                self.id.push(byte);
            }
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' if self.in_string => {
                self.in_string = false;
                self.asks |= self.in_name && self.name == b"method";
                self.in_name = false;
            }
            _ if self.in_name && self.name.len() <= b"method".len() => self.name.push(byte),
            _ if self.in_string => {}
            b'"' => {
                self.in_string = true;
                if self.depth == 1 && self.names {
                    self.in_name = true;
                    self.name.clear();
                }
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.names = self.depth == 1 && byte == b'{';
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if self.depth == 1 => {
                self.names = false;
                self.in_id = self.name == b"id";
            }
            b',' if self.depth == 1 => self.names = true,
            _ => {}
        }
    }

    /// Returns the id of the request that the message answers; none if it is no answer.
    fn answered(&self) -> Option<serde_json::Value> {
        let id: serde_json::Value = serde_json::from_slice(&self.id).ok()?;
        (!self.asks && (id.is_number() || id.is_string())).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn passed(text: &str, bytes_max: usize) -> String {
        let mut out = String::new();
        Lines::new(text.as_bytes(), bytes_max).read_to_string(&mut out).await.unwrap();
        out
    }

    #[tokio::test]
    async fn lines_within_the_limit_are_passed_on_as_they_are() {
        let text = "{\"id\":1}\n\n\"é\"\r\nno end";
        assert_eq!(passed(text, 8).await, text);
        let many = "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n".repeat(2_000);
        assert_eq!(passed(&many, 1_000).await, many);
    }

    #[tokio::test]
    async fn a_longer_one_is_cut_and_answered_wherever_its_id_stands() {
        let x = "x".repeat(20_000);
        for (line, id) in [
            (format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"id":8,"t":"{x}"}}}}"#), Some("7")),
            (
                format!(r#"{{"result":{{"t":"{x}","id":8,"method":"m"}},"jsonrpc":"2.0","id": "a\"b" }}"#),
                Some(r#""a\"b""#),
            ),
            (format!(r#"{{"result":"\"id\":9,{x}\\","id":7}}"#), Some("7")),
            (format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":"{x}"}}"#), None),
            (format!(r#"{{"jsonrpc":"2.0","method":"log","params":{{"id":7,"t":"{x}"}}}}"#), None),
            (format!(r#"{{"id":[7],"t":"{x}"}}"#), None),
            (format!(r#"{{"id":"{x}"}}"#), None),
            (format!(r#"[{{"id":7,"t":"{x}"}}]"#), None),
            (x.clone(), None),
        ] {
            let out = passed(&format!("{{}}\n{line}\n{{\"id\":1}}\n"), 10_000).await;
            let lines: Vec<&str> = out.lines().collect();
            assert_eq!((lines[0], lines[1].len(), *lines.last().unwrap()), ("{}", 10_000, "{\"id\":1}"));
            match id {
                None => assert_eq!(lines.len(), 3, "{}", lines[2]),
                Some(id) => {
                    let told: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
                    assert_eq!((told["id"].to_string().as_str(), lines.len()), (id, 4));
                    assert_eq!(told["error"]["data"]["type"], TOO_LONG);
                }
            }
        }
    }
}
