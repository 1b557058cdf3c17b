//! The log of a node, on stderr. Owns its form, and that one event is one line whatever it carries.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::failure::Failure;
use super::output::harmless;
use crate::catalog::{LogFormat, LogSettings};

/// Starts logging. A mere level is for amends itself; libraries are heard when they warn, unless directives
/// ask for more.
pub(super) fn start(settings: &LogSettings) -> Result<(), Failure> {
    let level = &settings.level;
    let is_mere = level.chars().all(|c| c.is_ascii_alphabetic());
    let directives = if is_mere { format!("warn,amends={level}") } else { level.clone() };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::usage(format!(
            "log level: expected one such as info or amends=debug, found {level:?}: {error}"
        ))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let started = match settings.format {
        // Without colour, so that no event may carry an escape.
        LogFormat::Text => builder.with_ansi(false).with_writer(Lines).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_writer(io::stderr).try_init(),
    };
    started.map_err(|error| Failure::failed(format!("cannot start logging: {error}")))
}

/// Writes each event as one line of harmless text. The formatter hands over a whole event at once.
#[derive(Clone, Copy, Debug)]
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(io::stderr())
    }
}

struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = harmless(text.strip_suffix('\n').unwrap_or(&text));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let mut written = Vec::new();
        let event = b"ERROR amends: failed error=a\r\n2026-01-01 ERROR fake\x1b[2J\n";
        assert_eq!(Line(&mut written).write(event).unwrap(), event.len());
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "ERROR amends: failed error=a\\r\\n2026-01-01 ERROR fake\\u{1b}[2J\n"
        );
    }
}
