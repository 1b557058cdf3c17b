//! Seals session ids. Only the principal that began a session can use its sealed id. rmcp owns the sessions. Sessions
//! and seal end with the process.

use rand::RngExt as _;
use ring::hmac;
use subtle::ConstantTimeEq as _;

/// Key that seals session ids.
#[derive(Debug)]
pub(super) struct Seal(hmac::Key);

impl Seal {
    /// Creates a seal with a random key.
    pub(super) fn new() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &rand::rng().random::<[u8; 32]>()))
    }

    /// Returns the sealed id that the principal gets: the id, and an HMAC of id and principal.
    pub(super) fn close(&self, id: &str, principal: &str) -> String {
        // Unambiguous: an id is a header value, and a header value holds no newline.
        let tag = hmac::sign(&self.0, format!("{id}\n{principal}").as_bytes());
        tag.as_ref().iter().fold(format!("{id}."), |sealed, byte| format!("{sealed}{byte:02x}"))
    }

    /// Returns the id in a sealed id; none if it was not sealed for this principal.
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
