//! Formats times and durations: RFC 3339 in UTC for instants, units for durations.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::saga::definition::Millis;

/// Returns an instant as `2026-03-01T12:00:00.250Z`.
pub(super) fn instant(at: Millis) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "(out of range)".to_owned(), |at| PRINTER.timestamp_to_string(&at))
}

/// Returns a duration as `1m 2s 30ms`.
pub(super) fn span(ms: Millis) -> String {
    // From one minute on, milliseconds do not matter to a reader.
    let ms = if ms >= 60_000 { ms / 1_000 * 1_000 } else { ms };
    if ms == 0 { "0ms".to_owned() } else { humantime::format_duration(Duration::from_millis(ms)).to_string() }
}

/// Returns the time since `start` in seconds: `+1.250s`.
pub(super) fn offset(start: Millis, at: Millis) -> String {
    let ms = at.saturating_sub(start);
    format!("+{}.{:03}s", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        assert_eq!(instant(1_767_225_600_250), "2026-01-01T00:00:00.250Z");
        assert_eq!(instant(u64::MAX), "(out of range)");
        assert_eq!([0, 250, 59_999, 62_030].map(span), ["0ms", "250ms", "59s 999ms", "1m 2s"]);
        assert_eq!(offset(1_000, 2_005), "+1.005s");
        assert_eq!(offset(2_000, 1_000), "+0.000s");
    }
}
