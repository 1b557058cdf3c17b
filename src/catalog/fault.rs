//! Faults of files: file, line, column, path, and a message that is safe to print.
//!
//! Leaves to the other files of this room what counts as a fault.

use std::fmt;

use serde::Serialize;

use crate::config::catalog::FAULTS_MAX;

/// A place in a text, counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// One fault of one file. Prints as `FILE:LINE:COLUMN: PATH: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LocatedFault {
    /// Name of the file, as the caller gave it or as it was found in a folder or by a pattern.
    pub file: String,
    /// Position in the file. `None` if the fault is about the whole file, for example if it cannot be read.
    #[serde(flatten)]
    pub at: Option<Position>,
    /// Path of the field, for example `steps.charge.compensation.tool`. Empty for the whole document.
    pub path: String,
    /// What was expected, what was found, and what to do. One line, without control characters and without secrets.
    pub message: String,
}

impl fmt::Display for LocatedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", printable(&self.file))?;
        if let Some(Position { line, column }) = self.at {
            write!(f, "{line}:{column}:")?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)
    }
}

/// Faults of one input, sorted by file and line. Never empty in an `Err`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Faults(Vec<LocatedFault>);

impl Faults {
    /// Returns the faults, sorted by file and line.
    pub fn as_slice(&self) -> &[LocatedFault] {
        &self.0
    }

    /// Returns whether there are no faults.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the faults of another input.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Adds a fault about a whole file.
    pub(super) fn push_file(&mut self, file: &str, message: impl Into<String>) {
        self.0.push(LocatedFault { file: file.to_owned(), at: None, path: String::new(), message: message.into() });
    }

    /// Adds a fault. Makes its message printable, because the message may quote a file, directly or through a
    /// library.
    pub(super) fn push(&mut self, fault: LocatedFault) {
        let message = printable(&fault.message);
        self.0.push(LocatedFault { message, ..fault });
    }

    /// Sorts the faults, removes duplicates and keeps the first 200 (`FAULTS_MAX`). A note replaces the others.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort();
        self.0.dedup();
        if let Some(first) = self.0.get(FAULTS_MAX) {
            let file = first.file.clone();
            self.0.truncate(FAULTS_MAX);
            self.push_file(&file, "more faults are not shown; correct those above first");
        }
        self
    }

    /// Returns the value if there are no faults, else the sorted faults.
    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self.sorted()) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl IntoIterator for Faults {
    type Item = LocatedFault;
    type IntoIter = std::vec::IntoIter<LocatedFault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Escapes control characters and invisible characters, so that a file cannot control the terminal or forge a log
/// line.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Quotes a text for a message: in backticks, printable, and cut after 60 characters.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut shown: String = printable(&text.chars().take(SHOWN_CHARS_MAX).collect::<String>());
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Returns `; did you mean …?` with the known word closest to the one found. Returns an empty text if no word is
/// close.
pub(super) fn did_you_mean<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> String {
    const SIMILARITY_MIN: f64 = 0.75;
    let nearest = known
        .map(|word| (strsim::jaro_winkler(found, word), word))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map(|(_, word)| format!("; did you mean {}?", quoted(word))).unwrap_or_default()
}

/// Returns whether a character can hide what a line says: a line or paragraph separator, a joiner, or a mark that
/// changes the direction of the text.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_line_whatever_the_file_says() {
        let fault = LocatedFault {
            file: "a\nb.yaml".into(),
            at: Some(Position { line: 3, column: 7 }),
            path: "steps.charge".into(),
            message: format!("unknown field {}", quoted("x\u{1b}[31m\n\u{202e}y")),
        };
        assert_eq!(fault.to_string(), "a\\u{a}b.yaml:3:7: steps.charge: unknown field `x\\u{1b}[31m\\u{a}\\u{202e}y`");
    }

    #[test]
    fn cuts_long_texts_between_characters() {
        assert_eq!(quoted(&"ü".repeat(200)), format!("`{}…`", "ü".repeat(60)));
    }

    #[test]
    fn suggests_only_what_is_close() {
        let known = || ["participants", "database"].into_iter();
        assert_eq!(did_you_mean("particpants", known()), "; did you mean `participants`?");
        assert_eq!(did_you_mean("zzz", known()), "");
    }

    #[test]
    fn cuts_the_tail_of_a_hopeless_file() {
        let mut faults = Faults::default();
        for line in 1..=(FAULTS_MAX as u32 + 5) {
            let at = Some(Position { line, column: 1 });
            faults.push(LocatedFault { file: "f".into(), at, path: String::new(), message: "bad".into() });
        }
        let faults = faults.sorted();
        assert_eq!(faults.as_slice().len(), FAULTS_MAX + 1);
        assert!(faults.to_string().ends_with("f: more faults are not shown; correct those above first"));
    }
}
