//! Who asks. Owns when two askers count as the same person. A door has checked the name; the person is only claimed.

use std::sync::Arc;

/// Who starts a saga, or asks something of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Role of the database, or the caller that a door has checked.
    pub name: Arc<str>,
    /// The person that this asker claims to be, or to ask for. None: it names no person.
    pub claims: Option<Arc<str>>,
}

impl Asker {
    /// Creates an asker that claims no person.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), claims: None }
    }

    /// Returns whether both may be the same person: the name is the same, and not both claim a person, or both claim
    /// the same one. Who names no person may be any person of this name.
    pub fn may_be(&self, other: &Self) -> bool {
        let differs = self.claims.as_ref().zip(other.claims.as_ref()).is_some_and(|(one, other)| one != other);
        self.name == other.name && !differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_name_or_another_claim_is_another_person() {
        let asker = |name: &str, claims: Option<&str>| Asker { claims: claims.map(Arc::from), ..Asker::new(name) };
        let same = |one: (&str, Option<&str>), other: (&str, Option<&str>)| {
            let (one, other) = (asker(one.0, one.1), asker(other.0, other.1));
            assert_eq!(one.may_be(&other), other.may_be(&one));
            one.may_be(&other)
        };
        assert!(same(("desk", None), ("desk", None)));
        assert!(same(("desk", Some("ada")), ("desk", Some("ada"))));
        assert!(same(("desk", Some("ada")), ("desk", None)));
        assert!(!same(("desk", Some("ada")), ("desk", Some("bo"))));
        assert!(!same(("desk", Some("ada")), ("shop", Some("ada"))));
        assert!(!same(("desk", None), ("shop", None)));
    }
}
