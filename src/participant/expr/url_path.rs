//! Renders the path of a URL, and refuses values that would lead a request elsewhere.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde_json::Value;

use super::compile::Compiled;
use super::template::{Piece, Text, part};
use super::{CODE, Fault, View};
use crate::config::participant::PATH_DECODINGS_MAX;
use crate::participant::reply::recorded;
use crate::saga::definition::Template;
use crate::saga::outcome::Error;

/// Characters that are encoded in a path's values: all that have a meaning in the path of a URL.
const PATH_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Renders the path of a URL. Literal text stays as it is. Values are percent-encoded, so they cannot leave their
/// segment. Some servers decode a path before they split it, some decode it twice. So a value is refused if it leaves
/// its segment empty, or if the segment has `.` or `..` between slashes after any number of decodings.
pub(in crate::participant) fn url_path(template: &Template, view: &View<'_>) -> Result<String, Error> {
    let Value::String(text) = &template.0 else {
        return Err(recorded(CODE, "expected the path to be a string"));
    };
    let parts = Text::cached(text).map_err(|message| recorded(CODE, message))?;
    let mut rendered = Rendered::default();
    match &*parts {
        Text::Plain(plain) => rendered.path.push_str(plain),
        Text::Whole(whole) => rendered.push(whole, view)?,
        Text::Mixed(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Plain(plain) => rendered.path.push_str(plain),
                    Piece::Value(compiled) => rendered.push(compiled, view)?,
                }
            }
        }
    }
    rendered.check()?;
    Ok(rendered.path)
}

/// A path, and where the value of each expression begins in it.
#[derive(Default)]
struct Rendered<'a> {
    path: String,
    values: Vec<(usize, &'a Compiled)>,
}

impl<'a> Rendered<'a> {
    fn push(&mut self, compiled: &'a Compiled, view: &View<'_>) -> Result<(), Error> {
        self.values.push((self.path.len(), compiled));
        self.path.extend(utf8_percent_encode(&part(compiled, view)?, PATH_VALUE));
        Ok(())
    }

    /// Checks each segment that has a value.
    fn check(&self) -> Result<(), Error> {
        let mut start = 0;
        for segment in self.path.split('/') {
            let end = start + segment.len();
            let values = self.values.iter().filter(|(at, _)| (start..=end).contains(at));
            let names: Vec<&str> = values.map(|(_, compiled)| &*compiled.text).collect();
            start = end + 1;
            if names.is_empty() {
                continue;
            }
            let why = match whereto(segment) {
                Whereto::Itself => continue,
                Whereto::Parent => "it has a segment that a server reads as nothing",
                Whereto::Elsewhere => "it has a segment `.` or `..` in some decoding",
            };
            let message = format!(
                "expected a value for one segment of the path, found the segment {segment:?}; {why}, so the request \
                 could reach another resource"
            );
            return Err(Fault::Wrong(message).in_expression(&names.join("`, `")));
        }
        Ok(())
    }
}

/// Where a segment of a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whereto {
    /// To what it names.
    Itself,
    /// To what stands before it: it is empty, or becomes nothing but slashes.
    Parent,
    /// Possibly anywhere: it has `.` or `..` in some decoding.
    Elsewhere,
}

/// Whether a segment that a definition writes out leads elsewhere, in some decoding.
pub(in crate::participant) fn leads_elsewhere(segment: &str) -> bool {
    whereto(segment) == Whereto::Elsewhere
}

fn whereto(segment: &str) -> Whereto {
    let mut bytes = segment.as_bytes().to_vec();
    for _ in 0..=PATH_DECODINGS_MAX {
        let mut names = bytes.split(|byte| matches!(byte, b'/' | b'\\')).map(named);
        if names.any(|name| matches!(name, b"." | b"..")) {
            return Whereto::Elsewhere;
        }
        if bytes.split(|byte| matches!(byte, b'/' | b'\\')).all(<[u8]>::is_empty) {
            return Whereto::Parent;
        }
        let decoded = short(percent_decode(&bytes).collect());
        if decoded == bytes {
            return Whereto::Itself;
        }
        bytes = decoded;
    }
    // No value is encoded so often by chance.
    Whereto::Elsewhere
}

/// Returns what servers take as the name of a segment: some cut off its parameters, and white space around it.
fn named(segment: &[u8]) -> &[u8] {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_space = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    let start = name.iter().position(|byte| !is_space(byte)).unwrap_or(name.len());
    let end = name.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &name[start..end]
}

/// Reads the forms of UTF-8 that are longer than allowed: two bytes for `.`, `/` and `\`. Some servers do.
fn short(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.iter().any(|byte| matches!(byte, 0xc0 | 0xc1)) {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after.first()) {
            (0xc0 | 0xc1, Some(second @ 0x80..=0xbf)) => {
                out.push((first & 1) << 6 | second & 0x3f);
                &after[1..]
            }
            _ => {
                out.push(*first);
                after
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_lead_elsewhere_are_known_in_every_decoding() {
        for segment in [
            ".",
            "..",
            "%2e%2e",
            "%2E.",
            ".%2e",
            "..%2Fadmin",
            "a%2F..%2F..%2Fadmin",
            "a%2F.%2Fb",
            "%252e%252e",
            "..%252F..%252Fadmin",
            "%25252e%25252e",
            "..%5Cadmin",
            "..%255cadmin",
            "%2F..",
            "..%3Bx%2Fadmin",
            "..;x",
            "..%00",
            "..%20",
            "%09..%0a",
            "..%0d%0a",
            "%c0%ae%c0%ae",
            "..%c0%af",
            "%c0%ae%25c0%ae",
            "..%c1%9cx",
            "%25252525252525252525252525252541",
        ] {
            assert_eq!(whereto(segment), Whereto::Elsewhere, "{segment}");
        }
        for segment in ["", "%2F", "%2f%2F", "%252F", "%5C", "/"] {
            assert_eq!(whereto(segment), Whereto::Parent, "{segment}");
        }
        for segment in [
            "a",
            "...",
            "v1.0",
            "..a",
            "a..",
            ".hidden",
            "a%2Fb",
            "https%3A%2F%2Fx%2Fy",
            "100%25",
            "%E2%82%AC",
            "%2e%2e%2e",
            "a%2F...%2Fb",
            "a%3B..",
            "%C3%80",
            "a%20.%20b",
            "%zz",
            "%",
        ] {
            assert_eq!(whereto(segment), Whereto::Itself, "{segment}");
        }
    }
}
