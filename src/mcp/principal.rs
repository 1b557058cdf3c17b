//! Principals and their grants, by definition. Also decides which principal started a saga: the one that owns the key
//! of its start. The transport proves who the caller is (`auth`, or the pipe).

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::config::mcp::PRINCIPAL_BYTES_MAX;
use crate::saga::definition::Approver;
use crate::store::{Keyed, Visible};

/// Characters that are percent-encoded in a principal's name within keys. The separator `:` is one of them, so no
/// encoded name holds it.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');

/// A caller and its grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: Arc<str>,
    grants: Arc<Grants>,
}

/// What a principal may do. A principal may always read and cancel the sagas that it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Definitions whose sagas the principal may start. They are its tools.
    pub start: Names,
    /// Definitions whose sagas the principal may read, even if another principal started them.
    pub read: Names,
    /// Definitions whose sagas the principal may read, cancel and approve, even if another principal started them. The
    /// steps of a saga that it started itself it may approve only where the definition says `approver: caller`.
    pub operate: Names,
}

/// Patterns for names of definitions: a name, a prefix with `*` after it, or `*` alone for all.
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

    /// Reads patterns. The error says which pattern is invalid.
    pub fn parse<Text: AsRef<str>>(patterns: impl IntoIterator<Item = Text>) -> Result<Self, String> {
        let fits = |text: &str| {
            let name = text.strip_suffix('*').unwrap_or(text);
            let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            !text.is_empty() && name.chars().all(letters)
        };
        let patterns = patterns.into_iter().map(|text| {
            let text = text.as_ref();
            let expected = "expected the name of a definition, or a prefix with `*` such as `hotel_*`";
            if fits(text) { Ok(text.to_owned()) } else { Err(format!("{expected}, found {text:?}")) }
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// Returns whether a pattern matches this name.
    pub fn hold(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => pattern == name,
        })
    }
}

impl Grants {
    /// Reads scopes: `start:`, `read:` or `operate:`, followed by a pattern. An authorization server may have other
    /// words for other services; these grant nothing.
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

    /// Returns whether a text is a scope of amends.
    pub fn is_scope(scope: &str) -> bool {
        Self::of_scopes([scope]) != Self::default()
    }
}

impl Principal {
    /// Creates a principal.
    pub fn new(name: impl Into<Arc<str>>, grants: Grants) -> Self {
        Self { name: name.into(), grants: Arc::new(grants) }
    }

    /// Returns the principal for callers on this machine: over stdio, and on loopback without authentication.
    pub fn local(grants: Grants) -> Self {
        Self::new("local", grants)
    }

    /// Returns the name that the caller proved.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the same name, shared.
    pub(super) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Returns whether the principal may start sagas of a definition.
    pub(super) fn may_start(&self, definition: &str) -> bool {
        self.grants.start.hold(definition)
    }

    /// Returns whether the principal may read a saga of this definition that was started under this key.
    pub(super) fn may_read(&self, definition: &str, key: Option<&Keyed>) -> bool {
        self.grants.read.hold(definition) || self.may_operate(definition, key)
    }

    /// Returns whether the principal may act on a saga of this definition that was started under this key.
    pub(super) fn may_operate(&self, definition: &str, key: Option<&Keyed>) -> bool {
        self.grants.operate.hold(definition) || self.has_started(key)
    }

    /// Returns whether the principal may approve or deny a step, in a saga of this definition that was started under
    /// this key. With `Approver::Operator` a principal that started the saga may not, whatever its grants: a client
    /// can fill in its own form, so the person who agrees must come through another door.
    pub(super) fn may_approve(&self, definition: &str, key: Option<&Keyed>, approver: Approver) -> bool {
        match approver {
            Approver::Operator => self.grants.operate.hold(definition) && !self.has_started(key),
            Approver::Caller => self.grants.operate.hold(definition) || self.has_started(key),
        }
    }

    /// Returns whether the principal started the saga with this key.
    pub(super) fn has_started(&self, key: Option<&Keyed>) -> bool {
        key.and_then(|key| key.owner.as_deref()).is_some_and(|owner| *owner == *self.owner())
    }

    /// Returns the principal's name for the journal. A name comes from a token, and Postgres does not accept every
    /// character as text, so control characters are replaced.
    pub(super) fn asker(&self) -> String {
        format!("{} over MCP", self.name.chars().map(shown).collect::<String>())
    }

    /// Returns the principal as the owner of the keys under which it starts sagas. In it, a digest stands for a long
    /// name.
    pub(super) fn owner(&self) -> Arc<str> {
        let name = utf8_percent_encode(&self.name, KEPT).to_string();
        if name.len() <= PRINCIPAL_BYTES_MAX {
            return format!("mcp:{name}").into();
        }
        let digest: String = Sha256::digest(&*self.name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("mcp:~{digest}").into()
    }

    /// Returns a filter for the sagas of these definitions that the principal may read; none if it may read all
    /// sagas.
    pub(super) fn visible(&self, definitions: &[String]) -> Option<Visible> {
        if [&self.grants.read, &self.grants.operate].iter().any(|names| names.0.iter().any(|name| name == "*")) {
            return None;
        }
        let definitions = definitions.iter().filter(|name| self.may_read(name, None)).cloned().collect();
        Some(Visible { owner: self.owner().as_ref().to_owned(), definitions })
    }
}

/// Replaces a control character: Postgres or a terminal could not take it.
pub(super) fn shown(c: char) -> char {
    if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mcp::LOCAL_SCOPES;

    #[test]
    fn grants_go_by_definition_and_by_who_started() {
        let grants = Grants {
            start: Names::parse(["hotel_*"]).unwrap(),
            read: Names::parse(["report"]).unwrap(),
            ..Grants::default()
        };
        let ada = Principal::new("ada", grants.clone());
        let key = |of: &Principal| {
            let owner = Some(of.owner().as_ref().to_owned());
            Keyed { name: "hotel_checkout".to_owned(), owner, key: "k:1".to_owned() }
        };
        let own = key(&ada);
        let other = key(&Principal::new("ada:k", grants));
        // The text alone has no owner.
        let application = Keyed { owner: None, key: "mcp:ada:k:1".to_owned(), ..own.clone() };
        assert!(!ada.may_read("hotel_checkout", Some(&application)) && !ada.has_started(Some(&application)));
        assert!(ada.may_start("hotel_checkout") && !ada.may_start("report") && !ada.may_start("hote"));
        assert!(ada.may_read("hotel_checkout", Some(&own)) && ada.may_operate("hotel_checkout", Some(&own)));
        assert!(!ada.may_read("hotel_checkout", Some(&other)) && !ada.may_read("hotel_checkout", None));
        assert!(ada.may_read("report", None) && !ada.may_operate("report", None));
        assert!(!ada.may_approve("hotel_checkout", Some(&own), Approver::Operator));
        assert!(ada.may_approve("hotel_checkout", Some(&own), Approver::Caller));
        assert!(!ada.may_approve("hotel_checkout", Some(&other), Approver::Caller));
        let desk = Principal::new("desk", Grants { operate: Names::all(), ..Grants::default() });
        let desks = key(&desk);
        assert!(desk.may_approve("hotel_checkout", Some(&own), Approver::Operator));
        assert!(desk.may_approve("hotel_checkout", None, Approver::Operator));
        assert!(!desk.may_approve("hotel_checkout", Some(&desks), Approver::Operator));
        assert!(desk.may_approve("hotel_checkout", Some(&desks), Approver::Caller));
        let local = Principal::local(Grants::of_scopes(LOCAL_SCOPES));
        assert!(!local.may_approve("hotel_checkout", Some(&own), Approver::Operator) && local.may_start("report"));
        let visible = ada.visible(&["hotel_checkout".to_owned(), "report".to_owned()]).unwrap();
        assert_eq!((visible.owner.as_str(), visible.definitions), ("mcp:ada", vec!["report".to_owned()]));
        assert!(local.visible(&[]).is_none());
    }

    #[test]
    fn long_and_odd_names_keep_apart() {
        let owner = |name: &str| Principal::new(name, Grants::default()).owner();
        assert_eq!(owner("a:b").as_ref(), "mcp:a%3Ab");
        assert_eq!(owner("user@example.com").as_ref(), "mcp:user@example.com");
        assert_eq!(Principal::new("a\0\nb", Grants::default()).asker(), "a\u{fffd}\u{fffd}b over MCP");
        let (one, other) = (owner(&"ü".repeat(200)), owner(&"ü".repeat(201)));
        assert!(one != other && one.len() < 80 && one.starts_with("mcp:~"), "{one}");
        assert!(Names::parse(["Hotel"]).is_err() && Names::parse([""]).is_err() && Names::parse(["a*b"]).is_err());
    }
}
