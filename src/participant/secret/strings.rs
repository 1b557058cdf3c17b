//! Finds the strings and the numbers of JSON, without decoding them.

use std::ops::Range;

/// Places in JSON text, in order.
#[derive(Default)]
pub(super) struct Strings {
    /// What stands between the quotes of every string and name, and every bare value.
    pub(super) pieces: Vec<Range<usize>>,
    /// Of these, the strings that are named `text`: the text blocks of a tool's answer.
    pub(super) texts: Vec<Range<usize>>,
    /// Of these, the bare values: numbers, `true`, `false` and `null`.
    pub(super) bare: Vec<Range<usize>>,
}

impl Strings {
    /// Reads JSON text, which must be valid.
    pub(super) fn find(json: &str) -> Self {
        let bytes = json.as_bytes();
        let mut strings = Self::default();
        let (mut at, mut named_text) = (0, false);
        while at < bytes.len() {
            let start = at;
            match bytes[at] {
                b'"' => {
                    at = end_of_string(bytes, at);
                    let inside = start + 1..at;
                    let name = bytes[at..].iter().skip(1).find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                    if named_text && !name {
                        strings.texts.push(inside.clone());
                    }
                    named_text = name && &json[inside.clone()] == "text";
                    strings.pieces.push(inside);
                    at += 1;
                }
                b'{' | b'}' | b'[' | b']' | b',' => {
                    named_text = false;
                    at += 1;
                }
                byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                    let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                    at += bytes[at..].iter().take_while(|byte| is_bare(byte)).count();
                    strings.pieces.push(start..at);
                    strings.bare.push(start..at);
                }
                _ => at += 1,
            }
        }
        strings
    }
}

/// Returns the place of the quote that closes the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_strings_names_and_bare_values() {
        let json = r#"{"a\"":[1.5e+3,true,"b,"],"text" : "c","x":{"text":{"y":"d"}}}"#;
        let strings = Strings::find(json);
        let said =
            |ranges: &[Range<usize>]| ranges.iter().map(|range| &json[range.clone()]).collect::<Vec<_>>().join("|");
        assert_eq!(said(&strings.pieces), "a\\\"|1.5e+3|true|b,|text|c|x|text|y|d");
        assert_eq!(said(&strings.texts), "c");
        assert_eq!(said(&strings.bare), "1.5e+3|true");
    }
}
