//! Text that must not be seen: values of settings, and the filter that cuts them out of whatever a
//! participant says. Owns nothing about where secrets come from; the catalog resolves them.

use crate::config::participant::SECRET_BYTES_MIN;

/// A text of the settings that never prints, with the parts of it that came from the environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: String,
    parts: Vec<String>,
}

impl Secret {
    /// Wraps a text that stands in the settings file itself.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), parts: Vec::new() }
    }

    /// Wraps a text and names the parts of it that nobody may see: `Bearer abc` with the part `abc`.
    pub fn sensitive(text: impl Into<String>, parts: Vec<String>) -> Self {
        Self { text: text.into(), parts }
    }

    /// Returns the text, for the wire only.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Cuts known secrets out of texts.
#[derive(Clone, Default)]
pub(super) struct Filter {
    parts: Vec<String>,
}

/// What stands in place of a secret.
const CUT: &str = "[secret]";

impl Filter {
    /// Collects the secret parts of some settings. Parts too short to be told from ordinary text are left
    /// out.
    pub(super) fn of<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut parts: Vec<String> = Vec::new();
        for part in secrets.into_iter().flat_map(|secret| &secret.parts) {
            if part.len() < SECRET_BYTES_MIN {
                continue;
            }
            parts.push(part.clone());
            // In JSON a secret with quotes, backslashes or line ends looks different.
            let escaped = serde_json::Value::from(part.as_str()).to_string();
            let escaped = &escaped[1..escaped.len() - 1];
            if escaped != part {
                parts.push(escaped.to_owned());
            }
        }
        // The longest first: one secret may be part of another.
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts.dedup();
        Self { parts }
    }

    /// Whether there is nothing to cut out.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the text without secrets.
    pub(super) fn clean(&self, text: String) -> String {
        let mut text = text;
        for part in &self.parts {
            if text.contains(part.as_str()) {
                text = text.replace(part.as_str(), CUT);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_secrets_in_every_spelling_and_never_prints_them() {
        let secret = Secret::sensitive("Bearer to\"ken-1", vec!["to\"ken-1".into()]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let filter = Filter::of([&secret, &Secret::sensitive("x", vec!["x".into()])]);
        assert_eq!(filter.clean("said to\"ken-1, x".into()), "said [secret], x");
        assert_eq!(filter.clean(r#"{"said":"to\"ken-1"}"#.into()), r#"{"said":"[secret]"}"#);
    }

    #[test]
    fn cuts_the_longer_of_two_that_overlap() {
        let secrets =
            [Secret::sensitive("", vec!["abcdef".into()]), Secret::sensitive("", vec!["abcdefgh".into()])];
        assert_eq!(Filter::of(&secrets).clean("abcdefgh abcdef".into()), "[secret] [secret]");
    }
}
