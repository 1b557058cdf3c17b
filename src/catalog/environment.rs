//! Replaces `${env.NAME}` in settings with values from the environment. Keeps those values out of everything that is
//! printed.
//!
//! Leaves to `settings.rs` which texts are secrets.

use std::collections::BTreeMap;

use super::fault::quoted;
use crate::participant::Secret;

/// The environment variables that settings may refer to.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Returns the variables of this process. Leaves out names and values that are not Unicode.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Environment").field(&format_args!("{} variables", self.0.len())).finish()
    }
}

/// A text of the settings after its variables were replaced.
#[derive(Clone, Default)]
pub(super) struct Resolved {
    pub(super) text: String,
    /// The values put into the text, from the environment or from a default. Empty values are left out.
    pub(super) parts: Vec<String>,
}

impl Resolved {
    pub(super) fn into_secret(self) -> Secret {
        if self.parts.is_empty() { Secret::plain(self.text) } else { Secret::sensitive(self.text, self.parts) }
    }
}

impl Environment {
    /// Replaces the variables in a text. Returns a message for each faulty reference.
    pub(super) fn resolve(&self, raw: &str) -> Result<Resolved, Vec<String>> {
        let mut out = Resolved::default();
        let mut faults = Vec::new();
        let mut rest = raw;
        while let Some(start) = rest.find("${") {
            let escaped = rest[..start].ends_with('$');
            if escaped {
                out.text.push_str(&rest[..start - 1]);
                out.text.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            out.text.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                faults.push("expected `}` after `${`; write `$${` for a literal `${`".to_owned());
                return Err(faults);
            };
            match self.value(&rest[start + 2..start + length]) {
                Ok(value) => {
                    out.text.push_str(&value);
                    out.parts.push(value);
                }
                Err(message) => faults.push(message),
            }
            rest = &rest[start + length + 1..];
        }
        out.text.push_str(rest);
        out.parts.retain(|part| !part.is_empty());
        if faults.is_empty() { Ok(out) } else { Err(faults) }
    }

    /// Returns the value of one reference: `env.NAME` or `env.NAME:-default`.
    fn value(&self, reference: &str) -> Result<String, String> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let name = name.trim().strip_prefix("env.").filter(|name| is_variable(name)).ok_or_else(|| {
            let found = quoted(&format!("${{{reference}}}"));
            format!("expected `${{env.NAME}}` or `${{env.NAME:-default}}`, found {found}")
        })?;
        match (self.0.get(name), default) {
            (Some(value), None) => Ok(value.clone()),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => {
                Err(format!("the environment variable {} is not set; set it, or give a default", quoted(name)))
            }
        }
    }
}

/// Returns whether a text holds at least one `${…}` reference.
pub(super) fn has_reference(raw: &str) -> bool {
    raw.replace("$${", "").contains("${")
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Result<&str, usize>) {
        let environment: Environment = [("TOKEN", "s3cr3t"), ("EMPTY", ""), ("TRICK", "${env.TOKEN}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        let found = environment.resolve(raw).map(|resolved| resolved.text).map_err(|faults| faults.len());
        assert_eq!(found.as_deref().map_err(|count| *count), expected, "{raw:?}");
    }

    #[test]
    fn puts_values_in_once() {
        for (raw, expected) in [
            ("plain", Ok("plain")),
            ("Bearer ${env.TOKEN}", Ok("Bearer s3cr3t")),
            ("${ env.TOKEN }/${env.TOKEN}", Ok("s3cr3t/s3cr3t")),
            ("$${env.TOKEN}", Ok("${env.TOKEN}")),
            ("${env.TRICK}", Ok("${env.TOKEN}")),
            ("${env.EMPTY}", Ok("")),
            ("${env.EMPTY:-x}", Ok("x")),
            ("${env.MISSING:-}", Ok("")),
            ("${env.MISSING:-a:-b}", Ok("a:-b")),
            ("$", Ok("$")),
            ("ü${env.TOKEN}ü", Ok("üs3cr3tü")),
        ] {
            check(raw, expected);
        }
    }

    #[test]
    fn names_every_bad_reference() {
        for (raw, faults) in [
            ("${env.MISSING} ${env.GONE}", 2),
            ("${TOKEN}", 1),
            ("${env.}", 1),
            ("${env.A B}", 1),
            ("${", 1),
            ("${env.TOKEN", 1),
            ("${input.x}", 1),
        ] {
            check(raw, Err(faults));
        }
    }

    #[test]
    fn never_prints_a_value() {
        let environment: Environment = [("TOKEN".to_owned(), "s3cr3t".to_owned())].into_iter().collect();
        assert_eq!(format!("{environment:?}"), "Environment(1 variables)");
        let secret = environment.resolve("a ${env.TOKEN}").map(Resolved::into_secret).ok();
        assert!(!format!("{secret:?}").contains("s3cr3t"));
    }
}
