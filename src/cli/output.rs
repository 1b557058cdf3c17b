//! Output of the command line: stdout and stderr, JSON or text, tables and colour. Makes foreign text harmless for a
//! terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, Color, ContentArrangement, Table, TableStyle};
use serde::Serialize;
use serde_json::json;

use super::failure::Failure;

/// Format of the output of this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

/// Meaning of a colour. The terminal's own palette is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warning,
    #[default]
    Plain,
    Quiet,
}

impl Output {
    /// Returns the output of a run. Text on stdout is coloured only on a terminal, and not if `NO_COLOR` is set or
    /// `TERM` is `dumb`.
    pub(crate) fn new(json: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { json, colour: !json && !no_color && !dumb && io::stdout().is_terminal() }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes one JSON value and a newline to stdout.
    pub(crate) fn value<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::failed(format!("cannot encode the answer: {error}")))?;
        self.line(&text)
    }

    /// Writes a line to stdout. A reader that has closed the pipe (`| head`) is not an error.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::failed(format!("cannot write to stdout: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes a remark to stderr, except with `--json`.
    pub(crate) fn remark(&self, text: &str) {
        if !self.json {
            // A failed write is ignored: without stderr there is no reader.
            let _ = writeln!(io::stderr(), "{}", lines(text));
        }
    }

    /// Writes a failure to stderr.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = if self.json {
            let error = json!({ "code": failure.exit.word(), "message": failure.message });
            json!({ "error": error }).to_string()
        } else {
            format!("error: {}", lines(&failure.message))
        };
        // If this write fails, the exit code still reports the failure.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Returns an empty table without lines, at most as wide as the terminal.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(TableStyle::default()).set_content_arrangement(ContentArrangement::Dynamic);
        table
    }

    /// Returns a cell. The caller must make foreign text harmless first.
    pub(crate) fn cell(&self, tone: Tone, text: impl Into<String>) -> Cell {
        let cell = Cell::new_owned(text.into());
        match (self.colour, tone) {
            (false, _) | (true, Tone::Plain) => cell,
            (true, Tone::Good) => cell.fg(Color::DarkGreen),
            (true, Tone::Bad) => cell.fg(Color::DarkRed),
            (true, Tone::Warning) => cell.fg(Color::DarkYellow),
            (true, Tone::Quiet) => cell.fg(Color::DarkGrey),
        }
    }
}

/// Makes foreign text harmless on one line. Control characters could move the cursor or fake a log line; other
/// characters change the direction of the text or break the line. All of them are shown as escapes.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(escape).collect())
}

/// Makes a text of several lines harmless and keeps its line feeds.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(|line| harmless(line).into_owned()).collect::<Vec<_>>().join("\n")
}

/// Makes foreign text harmless and cuts it after `length` characters.
pub(crate) fn clipped(text: &str, length: usize) -> String {
    let text = harmless(text);
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn is_harmful(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

fn escape(c: char) -> String {
    if is_harmful(c) { c.escape_default().to_string() } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(harmless("hotel ä 🏨"), "hotel ä 🏨");
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc\t\u{7f}"), "a\\u{1b}[2Jb\\r\\nc\\t\\u{7f}");
        assert_eq!(harmless("x\u{202e}y\u{9b}z\u{2028}"), "x\\u{202e}y\\u{9b}z\\u{2028}");
        assert_eq!(lines("a\nb\u{1b}c"), "a\nb\\u{1b}c");
        assert_eq!(clipped("äöü\u{1b}", 2), "äö…");
        assert_eq!(clipped("äö", 2), "äö");
    }
}
