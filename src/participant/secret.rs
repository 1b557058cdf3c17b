//! Secret texts of the settings, and the filter that removes them from what participants say. The catalog looks the
//! secrets up.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::participant::SECRET_BYTES_MIN;

/// A text of the settings that is never printed. It knows which of its parts came from the environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: String,
    parts: Vec<String>,
}

impl Secret {
    /// Wraps a text that is written in the settings file itself.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), parts: Vec::new() }
    }

    /// Wraps a text and names its secret parts: `Bearer abc` with the part `abc`.
    pub fn sensitive(text: impl Into<String>, parts: Vec<String>) -> Self {
        Self { text: text.into(), parts }
    }

    /// Returns the whole text. Use it only to send it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the text for people: each secret part is replaced.
    pub fn shown(&self) -> String {
        let mut parts: Vec<&String> = self.parts.iter().collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts.iter().fold(self.text.clone(), |text, part| text.replace(part.as_str(), CUT))
    }

    /// Replaces the text with another one that has the same secret parts.
    pub(crate) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Replacement for a secret.
const CUT: &str = "[secret]";

/// Removes known secrets from texts, both as they are and as JSON, URLs and base64 encode them.
#[derive(Clone, Default)]
pub struct Filter {
    /// Every text to remove, the longest first.
    spellings: Vec<String>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").field("spellings", &self.spellings.len()).finish()
    }
}

impl Filter {
    /// Collects the secret parts of some settings. Leaves out parts shorter than `SECRET_BYTES_MIN`: they would match
    /// ordinary text.
    pub fn from_secrets<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let parts = secrets.into_iter().flat_map(|secret| &secret.parts);
        let mut spellings: Vec<String> =
            parts.filter(|part| part.len() >= SECRET_BYTES_MIN).flat_map(|part| spellings(part)).collect();
        spellings.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        spellings.dedup();
        Self { spellings }
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.spellings.is_empty()
    }

    /// Returns the text without secrets.
    pub fn clean(&self, text: String) -> String {
        let mut text = text;
        for spelling in &self.spellings {
            if text.contains(spelling.as_str()) {
                text = text.replace(spelling.as_str(), CUT);
            }
        }
        text
    }

    /// Removes secrets from a text that was cut off, including the beginning of a secret at its end.
    pub(super) fn clean_beginning(&self, text: String) -> String {
        let mut text = self.clean(text);
        let begun = |spelling: &String| {
            let most = spelling.len().saturating_sub(1);
            (SECRET_BYTES_MIN..=most).rev().find(|length| text.as_bytes().ends_with(&spelling.as_bytes()[..*length]))
        };
        if let Some(length) = self.spellings.iter().filter_map(begun).max() {
            // The match starts at a whole character, because every spelling does.
            text.truncate(text.len() - length);
            text.push_str(CUT);
        }
        text
    }
}

/// Returns a secret in each of its encodings.
fn spellings(part: &str) -> Vec<String> {
    let mut all = vec![part.to_owned()];
    // JSON escapes quotes, backslashes and line breaks.
    let escaped = serde_json::Value::from(part).to_string();
    all.push(escaped[1..escaped.len() - 1].to_owned());
    for kept in [NON_ALPHANUMERIC, UNRESERVED, COMPONENT, WHOLE_URL, FORM] {
        let encoded = utf8_percent_encode(part, kept).to_string();
        for spelled in [encoded.replace("%20", "+"), encoded] {
            all.push(lower_hex(&spelled));
            all.push(spelled);
        }
    }
    for shift in 0..3 {
        let standard = base64_amid(part.as_bytes(), shift);
        all.push(standard.replace('+', "-").replace('/', "_"));
        all.push(standard);
    }
    all
}

/// Characters that RFC 3986 leaves unreserved. URL encoders do not encode them.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Characters that JavaScript's `encodeURIComponent` does not encode.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
/// Characters that JavaScript's `encodeURI` does not encode.
const WHOLE_URL: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'#');
/// Characters that HTML forms do not encode.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// Returns a percent-encoded text with its hexadecimal digits in lower case.
fn lower_hex(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    let mut left = 0_u8;
    for c in encoded.chars() {
        out.push(if left > 0 { c.to_ascii_lowercase() } else { c });
        left = if c == '%' { 2 } else { left.saturating_sub(1) };
    }
    out
}

/// Returns the base64 digits that depend on these bytes alone, if `shift` bytes (modulo 3) come before them and any
/// bytes may follow.
fn base64_amid(bytes: &[u8], shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |index: usize| -> u8 {
        let byte = index / 8;
        let value = if byte < shift { 0 } else { bytes[byte - shift] };
        value >> (7 - index % 8) & 1
    };
    let (first, end) = ((shift * 8).div_ceil(6), (shift + bytes.len()) * 8 / 6);
    let digit = |at: usize| (0..6).fold(0_usize, |value, bit| value << 1 | usize::from(bits(at * 6 + bit)));
    (first..end).map(|at| char::from(DIGITS[digit(at)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_secrets_in_every_spelling_and_never_prints_them() {
        let secret = Secret::sensitive("Bearer to\"ken-1", vec!["to\"ken-1".into()]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let filter = Filter::from_secrets([&secret, &Secret::sensitive("x", vec!["x".into()])]);
        assert_eq!(filter.clean("said to\"ken-1, x".into()), "said [secret], x");
        assert_eq!(filter.clean(r#"{"said":"to\"ken-1"}"#.into()), r#"{"said":"[secret]"}"#);
    }

    #[test]
    fn cuts_the_longer_of_two_that_overlap() {
        let secrets = [Secret::sensitive("", vec!["abcdef".into()]), Secret::sensitive("", vec!["abcdefgh".into()])];
        assert_eq!(Filter::from_secrets(&secrets).clean("abcdefgh abcdef".into()), "[secret] [secret]");
    }

    #[test]
    fn cuts_what_urls_and_base64_make_of_a_secret_wherever_it_stands() {
        let filter = Filter::from_secrets([&Secret::sensitive("", vec!["s3 c/r+é:t?>~".into()])]);
        let said = |text: &str| filter.clean(text.to_owned());
        // By a URL encoder, in a form, with every mark encoded, and with digits in lower case.
        for spelled in [
            "s3%20c%2Fr%2B%C3%A9%3At%3F%3E~",
            "s3+c%2Fr%2B%C3%A9%3At%3F%3E%7E",
            "s3%20c%2Fr%2B%C3%A9%3At%3F%3E%7E",
            "s3%20c%2fr%2b%c3%a9%3at%3f%3e~",
        ] {
            assert_eq!(said(&format!("?k={spelled}&x")), "?k=[secret]&x", "{spelled}");
        }
        // Alone, padded, after `u:` and `me:`, and in the base64 alphabet for URLs.
        for spelled in [
            "czMgYy9yK8OpOnQ/Pn4=",
            "czMgYy9yK8OpOnQ_Pn4",
            "dTpzMyBjL3Irw6k6dD8-fg==",
            "dTpzMyBjL3Irw6k6dD8+fg==",
            "bWU6czMgYy9yK8OpOnQ/Pn4=",
            "eDpzMyBjL3Irw6k6dD8+fjp5",
        ] {
            let cleaned = said(&format!("Basic {spelled}."));
            assert!(cleaned.contains(CUT) && cleaned.len() < "Basic [secret].".len() + 9, "{spelled}: {cleaned}");
        }
        assert_eq!(format!("{filter:?}").matches("s3").count(), 0);
    }

    #[test]
    fn cuts_what_javascript_makes_of_a_secret() {
        let filter = Filter::from_secrets([&Secret::sensitive("", vec!["a!b c/(d)'*é".into()])]);
        for spelled in ["a!b%20c%2F(d)'*%C3%A9", "a!b%20c/(d)'*%C3%A9"] {
            assert_eq!(filter.clean(format!("?k={spelled}&x")), "?k=[secret]&x", "{spelled}");
        }
    }

    #[test]
    fn a_text_that_was_cut_off_does_not_end_in_the_beginning_of_a_secret() {
        let filter = Filter::from_secrets([&Secret::sensitive("", vec!["abcdefghij".into()])]);
        assert_eq!(filter.clean_beginning("key abcdefghi".into()), "key [secret]");
        assert_eq!(filter.clean_beginning("key abcdef".into()), "key [secret]");
        assert_eq!(filter.clean_beginning("abcdefghij, abcde".into()), "[secret], abcde");
        assert_eq!(filter.clean_beginning("".into()), "");
    }

    #[test]
    fn shows_what_stands_in_the_file() {
        let secret = Secret::sensitive("/opt/abc/abcd", vec!["abc".into(), "abcd".into(), "p".into()]);
        assert_eq!(secret.shown(), "/o[secret]t/[secret]/[secret]");
        assert_eq!(Secret::plain("server").shown(), "server");
    }
}
