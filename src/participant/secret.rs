//! Secret texts of the settings, and the filter that removes them from what participants say. The catalog looks the
//! secrets up. `view.rs` decodes texts, `escape.rs` reads one escape, `spelling.rs` encodes secrets, `strings.rs` finds
//! the strings of JSON.

mod escape;
mod spelling;
mod strings;
mod view;

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;

use self::strings::Strings;
use self::view::{Map, View, follow};
use crate::config::participant::{SECRET_BYTES_MIN, SECRET_ESCAPES_MAX};

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

    /// Returns the secret parts of the text.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(String::as_str)
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

/// Removes known secrets from texts: as they are, escaped, and in base64 or hexadecimal digits.
#[derive(Clone, Default)]
pub struct Filter {
    /// Every spelling to look for, in the bytes of a view.
    spellings: Arc<[Vec<u8>]>,
    /// Finds them; none if there are none.
    finder: Option<AhoCorasick>,
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
        let mut spellings: Vec<Vec<u8>> =
            parts.filter(|part| part.len() >= SECRET_BYTES_MIN).flat_map(|part| spelling::all(part)).collect();
        spellings.sort();
        spellings.dedup();
        let finder = (!spellings.is_empty()).then(|| {
            // It fails beyond four billion states. Going on without it would tell the secrets.
            AhoCorasick::new(&spellings).expect("the spellings of the settings' secrets fit a search")
        });
        Self { spellings: spellings.into(), finder }
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// Returns the text without secrets.
    pub fn clean(&self, text: String) -> String {
        self.cleaned(text, false)
    }

    /// Removes secrets from a text that was cut off, including the beginning of a secret at its end.
    pub(super) fn clean_beginning(&self, text: String) -> String {
        self.cleaned(text, true)
    }

    fn cleaned(&self, text: String, is_cut_off: bool) -> String {
        if self.is_empty() {
            return text;
        }
        let found = self.found(View::of_text(&text), is_cut_off.then_some(text.len()));
        if found.is_empty() { text } else { without(&text, &found, &[]) }
    }

    /// Removes secrets from the strings, the names and the numbers of JSON; none if there are none. Also finds a secret
    /// that several text blocks of a tool's answer have among them.
    pub(super) fn clean_json(&self, json: &str) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let Strings { pieces, texts, bare } = Strings::find(json);
        let mut found = self.found(View::of_pieces(json, pieces, true), None);
        if texts.len() > 1 {
            found.extend(self.found(View::of_pieces(json, texts, false), None));
            found = merged(found);
        }
        if found.is_empty() { None } else { Some(without(json, &found, &bare)) }
    }

    /// Returns where secrets stand in the text of a view, in order. `cut_off`: the text was cut off at this length.
    fn found(&self, first: View, cut_off: Option<usize>) -> Vec<Range<usize>> {
        let Some(finder) = &self.finder else { return Vec::new() };
        let mut found = Vec::new();
        let mut look = |view: &View, maps: &[&Map]| {
            let maps: Vec<&Map> = maps.iter().copied().chain([&view.map]).collect();
            for at in finder.find_overlapping_iter(&view.bytes) {
                follow(&maps, at.range(), &mut found);
            }
            if let (Some(length), Some(begun)) = (cut_off, self.begun(&view.bytes)) {
                let mut beginning = Vec::new();
                follow(&maps, begun..view.bytes.len(), &mut beginning);
                found.extend(beginning.first().map(|first| first.start..length));
            }
        };
        let (mut maps, mut view) = (Vec::new(), first);
        for _ in 0..=SECRET_ESCAPES_MAX {
            let below: Vec<&Map> = maps.iter().collect();
            look(&view, &below);
            if let Some(unbroken) = view.unbroken() {
                let below: Vec<&Map> = below.iter().copied().chain([&view.map]).collect();
                look(&unbroken, &below);
            }
            let Some(next) = view.unescaped(cut_off.is_some()) else { break };
            maps.push(std::mem::replace(&mut view, next).map);
        }
        merged(found)
    }

    /// Returns where the longest beginning of a spelling stands at the end of a view.
    fn begun(&self, bytes: &[u8]) -> Option<usize> {
        let begun = |spelling: &Vec<u8>| {
            let most = spelling.len().saturating_sub(1).min(bytes.len());
            (SECRET_BYTES_MIN..=most).rev().find(|length| bytes.ends_with(&spelling[..*length]))
        };
        Some(bytes.len() - self.spellings.iter().filter_map(begun).max()?)
    }
}

/// Sorts ranges and joins those that overlap or touch.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => merged.push(range),
        }
    }
    merged
}

/// Replaces the ranges of a text. One that touches a bare value of JSON replaces the whole value, by a string.
fn without(text: &str, found: &[Range<usize>], bare: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        let value = bare.get(bare.partition_point(|value| value.end <= range.start));
        let value = value.filter(|value| value.start < range.end);
        // A spelling in Latin-1 can begin or end inside a character.
        let (start, end) = match value {
            Some(value) => (value.start, value.end),
            None => (text.floor_char_boundary(range.start), text.ceil_char_boundary(range.end)),
        };
        if start < at {
            continue;
        }
        out.push_str(&text[at..start]);
        match value {
            Some(_) => out.extend(["\"", CUT, "\""]),
            None => out.push_str(CUT),
        }
        at = end;
    }
    out.push_str(&text[at..]);
    out
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
