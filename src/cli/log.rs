//! The log of a node, on stderr. Owns its format. Each event is one line, whatever its content. No line holds a
//! secret of the settings, whichever library wrote it.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::failure::Failure;
use super::output::harmless;
use crate::catalog::{LogFormat, LogSettings};
use crate::participant::Filter;

/// Starts logging. A plain level applies to amends itself; libraries log from `warn` on. Directives replace both.
pub(super) fn start(settings: &LogSettings, secrets: Filter) -> Result<(), Failure> {
    let level = &settings.level;
    let is_mere = level.chars().all(|c| c.is_ascii_alphabetic());
    let directives = if is_mere { format!("warn,amends={level}") } else { level.clone() };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::usage(format!("log level: expected one such as info or amends=debug, found {level:?}: {error}"))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let started = match settings.format {
        // Without colour, so that an event cannot carry an escape sequence.
        LogFormat::Text => {
            let lines = Lines { secrets, escape: true };
            builder.with_ansi(false).with_writer(lines).try_init()
        }
        LogFormat::Json => {
            let lines = Lines { secrets, escape: false };
            builder.json().flatten_event(true).with_writer(lines).try_init()
        }
    };
    started.map_err(|error| Failure::failed(format!("cannot start logging: {error}")))
}

/// Writes each event as one line without secrets. The formatter passes each event whole.
#[derive(Clone, Debug)]
struct Lines {
    secrets: Filter,
    /// Whether to make the text harmless. JSON escapes control characters by itself.
    escape: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a, io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { out: io::stderr(), lines: self }
    }
}

struct Line<'a, W> {
    out: W,
    lines: &'a Lines,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = self.lines.secrets.clean(text.to_owned());
        let line = if self.lines.escape { harmless(&text) } else { text.into() };
        self.out.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::participant::Secret;

    fn written(event: &str, lines: &Lines) -> String {
        let mut written = Vec::new();
        let mut line = Line { out: &mut written, lines };
        assert_eq!(line.write(event.as_bytes()).unwrap(), event.len());
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn an_event_is_one_line() {
        let lines = Lines { secrets: Filter::default(), escape: true };
        assert_eq!(
            written("ERROR amends: failed error=a\r\n2026-01-01 ERROR fake\x1b[2J\n", &lines),
            "ERROR amends: failed error=a\\r\\n2026-01-01 ERROR fake\\u{1b}[2J\n"
        );
    }

    #[test]
    fn no_secret_of_the_settings_is_written() {
        let secret = Secret::sensitive("Bearer t0ken-of-mine", vec!["t0ken-of-mine".into()]);
        for escape in [true, false] {
            let lines = Lines { secrets: Filter::from_secrets([&secret]), escape };
            assert_eq!(written("rmcp: said \"t0ken-of-mine\"\n", &lines), "rmcp: said \"[secret]\"\n");
        }
    }
}
