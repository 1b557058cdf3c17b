//! Who calls, and what they may do. Owns the grants by definition, and whose saga is whose: the key that
//! started a saga begins with its principal. How callers prove who they are is left to the wire.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::config::mcp::PRINCIPAL_BYTES_MAX;
use crate::saga::definition::Approver;
use crate::store::Visible;

/// Letters that a name keeps within keys; the separator is not among them.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: Arc<str>,
    grants: Arc<Grants>,
}

/// What somebody may do. Whoever may start sagas may always see and cancel those that they have started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Definitions whose sagas they may start; these are their tools.
    pub start: Names,
    /// Definitions whose sagas they may see, whoever started them.
    pub read: Names,
    /// Definitions whose sagas they may see, cancel and approve, whoever started them. Approving takes this grant,
    /// unless the definition takes the word of whoever started the saga.
    pub operate: Names,
}

/// Names of definitions: each is one name, a beginning with `*` after it, or `*` alone for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// No definition.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every definition.
    pub fn all() -> Self {
        Self(vec!["*".to_owned()])
    }

    /// Reads patterns; says which is none.
    pub fn parse<Text: AsRef<str>>(patterns: impl IntoIterator<Item = Text>) -> Result<Self, String> {
        let fits = |text: &str| {
            let name = text.strip_suffix('*').unwrap_or(text);
            let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            !text.is_empty() && name.chars().all(letters)
        };
        let patterns = patterns.into_iter().map(|text| {
            let text = text.as_ref();
            let expected = "expected the name of a definition, or a beginning with `*` such as `hotel_*`";
            if fits(text) { Ok(text.to_owned()) } else { Err(format!("{expected}, found {text:?}")) }
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether a definition is among them.
    pub fn hold(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => pattern == name,
        })
    }
}

impl Grants {
    /// Reads scopes: `start:`, `read:` or `operate:` and names of definitions. Words that are none of these,
    /// as an authorization server has for others, allow nothing.
    pub fn of_scopes<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut grants = Self::default();
        for scope in scopes {
            let Some((right, names)) = scope.split_once(':') else { continue };
            let Ok(Names(patterns)) = Names::parse([names]) else { continue };
            match right {
                "start" => grants.start.0.extend(patterns),
                "read" => grants.read.0.extend(patterns),
                "operate" => grants.operate.0.extend(patterns),
                _ => {}
            }
        }
        grants
    }

    /// Whether a text is a scope of ours.
    pub fn is_scope(scope: &str) -> bool {
        Self::of_scopes([scope]) != Self::default()
    }
}

impl Principal {
    /// Makes a principal.
    pub fn new(name: impl Into<Arc<str>>, grants: Grants) -> Self {
        Self { name: name.into(), grants: Arc::new(grants) }
    }

    /// Whoever has this machine: the caller over stdio, and over loopback without authentication.
    pub fn local() -> Self {
        Self::new("local", Grants { start: Names::all(), read: Names::all(), operate: Names::all() })
    }

    /// The name, as the caller proved it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether they may start sagas of a definition.
    pub(super) fn may_start(&self, definition: &str) -> bool {
        self.grants.start.hold(definition)
    }

    /// Whether they may see a saga of a definition that was started by this key.
    pub(super) fn may_read(&self, definition: &str, key: Option<&str>) -> bool {
        self.grants.read.hold(definition) || self.may_operate(definition, key)
    }

    /// Whether they may act on a saga of a definition that was started by this key.
    pub(super) fn may_operate(&self, definition: &str, key: Option<&str>) -> bool {
        self.grants.operate.hold(definition) || self.has_started(key)
    }

    /// Whether a step that asks takes their word, in a saga of a definition that was started by this key. Having
    /// started it is not enough: whoever may start what a person has to approve is not that person.
    pub(super) fn may_approve(&self, definition: &str, key: Option<&str>, approver: Approver) -> bool {
        self.grants.operate.hold(definition)
            || match approver {
                Approver::Operator => false,
                Approver::Caller => self.has_started(key),
            }
    }

    /// Whether a saga that was started by this key is theirs.
    pub(super) fn has_started(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| key.starts_with(&self.key_prefix()))
    }

    /// How the journal names them. A name comes from a token, and may hold what Postgres takes for no text.
    pub(super) fn asker(&self) -> String {
        let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        format!("{} over MCP", self.name.chars().map(shown).collect::<String>())
    }

    /// How the keys of all their starts begin.
    pub(super) fn key_prefix(&self) -> String {
        let name = utf8_percent_encode(&self.name, KEPT).to_string();
        if name.len() <= PRINCIPAL_BYTES_MAX {
            return format!("mcp:{name}:");
        }
        let digest: String = Sha256::digest(&*self.name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("mcp:~{digest}:")
    }

    /// Which of the sagas of these definitions they may see; none: all of all.
    pub(super) fn visible(&self, definitions: &[String]) -> Option<Visible> {
        if [&self.grants.read, &self.grants.operate].iter().any(|names| names.0.iter().any(|name| name == "*")) {
            return None;
        }
        let definitions = definitions.iter().filter(|name| self.may_read(name, None)).cloned().collect();
        Some(Visible { key_prefix: self.key_prefix(), definitions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_go_by_definition_and_by_who_started() {
        let grants = Grants {
            start: Names::parse(["hotel_*"]).unwrap(),
            read: Names::parse(["report"]).unwrap(),
            ..Grants::default()
        };
        let ada = Principal::new("ada", grants.clone());
        let own = format!("{}k:1", ada.key_prefix());
        let other = format!("{}k:1", Principal::new("ada:k", grants).key_prefix());
        assert!(ada.may_start("hotel_checkout") && !ada.may_start("report") && !ada.may_start("hote"));
        assert!(ada.may_read("hotel_checkout", Some(&own)) && ada.may_operate("hotel_checkout", Some(&own)));
        assert!(!ada.may_read("hotel_checkout", Some(&other)) && !ada.may_read("hotel_checkout", None));
        assert!(ada.may_read("report", None) && !ada.may_operate("report", None));
        assert!(!ada.may_approve("hotel_checkout", Some(&own), Approver::Operator));
        assert!(ada.may_approve("hotel_checkout", Some(&own), Approver::Caller));
        assert!(!ada.may_approve("hotel_checkout", Some(&other), Approver::Caller));
        assert!(Principal::local().may_approve("hotel_checkout", None, Approver::Operator));
        let visible = ada.visible(&["hotel_checkout".to_owned(), "report".to_owned()]).unwrap();
        assert_eq!((visible.key_prefix.as_str(), visible.definitions), ("mcp:ada:", vec!["report".to_owned()]));
        assert!(Principal::local().visible(&[]).is_none());
    }

    #[test]
    fn long_and_odd_names_keep_apart() {
        let prefix = |name: &str| Principal::new(name, Grants::default()).key_prefix();
        assert_eq!(prefix("a:b"), "mcp:a%3Ab:");
        assert_eq!(prefix("user@example.com"), "mcp:user@example.com:");
        assert_eq!(Principal::new("a\0\nb", Grants::default()).asker(), "a\u{fffd}\u{fffd}b over MCP");
        let (one, other) = (prefix(&"ü".repeat(200)), prefix(&"ü".repeat(201)));
        assert!(one != other && one.len() < 80 && one.starts_with("mcp:~"), "{one}");
        assert!(Names::parse(["Hotel"]).is_err() && Names::parse([""]).is_err() && Names::parse(["a*b"]).is_err());
    }
}
