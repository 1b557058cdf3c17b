//! Whose session it is. Owns the seal under which a session's id leaves the door: it is of no use to anybody but the
//! principal who began the session. The sessions themselves are rmcp's, and end with the process, as the seal does.

use rand::RngExt as _;
use ring::hmac;
use subtle::ConstantTimeEq as _;

/// Seals ids of sessions.
#[derive(Debug)]
pub(super) struct Seal(hmac::Key);

impl Seal {
    /// A seal by chance.
    pub(super) fn new() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &rand::rng().random::<[u8; 32]>()))
    }

    /// The id as the principal is told it.
    pub(super) fn close(&self, id: &str, principal: &str) -> String {
        // Neither contains the separator: an id is the value of a header.
        let tag = hmac::sign(&self.0, format!("{id}\n{principal}").as_bytes());
        tag.as_ref().iter().fold(format!("{id}."), |sealed, byte| format!("{sealed}{byte:02x}"))
    }

    /// The id behind what a principal has sent; none if it is not theirs.
    pub(super) fn open<'a>(&self, sealed: &'a str, principal: &str) -> Option<&'a str> {
        let (id, _) = sealed.rsplit_once('.')?;
        let is_theirs = self.close(id, principal).as_bytes().ct_eq(sealed.as_bytes());
        bool::from(is_theirs).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_opens_for_whom_it_was_sealed_and_nobody_else() {
        let (seal, other) = (Seal::new(), Seal::new());
        let sealed = seal.close("4f.2a", "ada");
        assert_eq!(seal.open(&sealed, "ada"), Some("4f.2a"));
        assert_eq!((seal.open(&sealed, "bob"), other.open(&sealed, "ada")), (None, None));
        for wrong in ["", "4f.2a", "4f.2a.", &sealed[1..], &sealed[..sealed.len() - 1]] {
            assert_eq!(seal.open(wrong, "ada"), None, "{wrong:?}");
        }
    }
}
