//! W3C Trace Context: reads and writes a `traceparent`, which names the trace of a saga. Passing it on is left to the
//! participants, and exporting spans to the actors.

use std::fmt;
use std::str::FromStr;

/// A position in a trace: `VERSION-TRACE-SPAN-FLAGS`, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace; never 0.
    pub trace: u128,
    /// The id of the parent span; never 0.
    pub span: u64,
    /// Whether the caller records the trace.
    pub sampled: bool,
}

/// Name of the HTTP header, and of the field in `_meta` of MCP.
pub const NAME: &str = "traceparent";

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;

impl FromStr for TraceParent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a traceparent such as 00-{:032x}-{:016x}-01, found {text:?}", 1, 1);
        let is_plain = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let parts: Vec<&str> = text.splitn(5, '-').collect();
        let [version, trace, span, flags, rest @ ..] = parts.as_slice() else { return Err(expected()) };
        let lengths = [version.len(), trace.len(), span.len(), flags.len()] == [2, 32, 16, 2];
        // A later version may append more after the flags. Version ff is invalid.
        let is_known = *version != "ff" && (*version != "00" || rest.is_empty() && text.len() == LENGTH);
        if !lengths || !is_known || ![version, trace, span, flags].into_iter().all(|part| is_plain(part)) {
            return Err(expected());
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| expected())?;
        let span = u64::from_str_radix(span, 16).map_err(|_| expected())?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| expected())?;
        if trace == 0 || span == 0 {
            return Err(expected());
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_and_writes_what_the_recommendation_says() {
        let read: TraceParent = GOOD.parse().unwrap();
        assert_eq!(read.to_string(), GOOD);
        assert!(read.sampled);
        let quiet: TraceParent = GOOD.replace("-01", "-00").parse().unwrap();
        assert!(!quiet.sampled);
        let later: TraceParent = format!("cc{}-more", &GOOD[2..]).parse().unwrap();
        assert_eq!(later, read, "what a later version adds is left out");
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &GOOD.to_uppercase(),
            &GOOD.replace("00-4", "ff-4"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("4bf9", "+bf9"),
        ] {
            let refused = text.parse::<TraceParent>();
            assert!(refused.is_err_and(|why| why.starts_with("expected a traceparent")), "{text}");
        }
    }
}
