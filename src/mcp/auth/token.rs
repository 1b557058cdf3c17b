//! Tokens of amends itself: `amends_ID_SECRET`. Owns their form. Only the digest of the secret is stored, which is
//! enough for 256 random bits, and it is compared in constant time.

use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Prefix of every token of amends, so that scanners for leaked secrets find them.
const BEGINNING: &str = "amends_";

/// A new token.
pub struct Minted {
    /// Public part.
    pub id: String,
    /// The token. It is shown once.
    pub token: String,
    /// Digest of the secret part.
    pub digest: Vec<u8>,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Creates a random token.
pub fn mint() -> Minted {
    let mut random = rand::rng();
    let (id, secret) = (hexadecimal(&random.random::<[u8; 6]>()), hexadecimal(&random.random::<[u8; 32]>()));
    let digest = digest(&secret);
    Minted { token: format!("{BEGINNING}{id}_{secret}"), id, digest }
}

/// Returns the public and the secret part, if the text has the form of a token of amends.
pub(super) fn parts(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix(BEGINNING)?.split_once('_')
}

/// Returns whether a secret has this digest.
pub(super) fn is_secret(secret: &str, kept: &[u8]) -> bool {
    digest(secret).ct_eq(kept).into()
}

fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_secret() {
        let (one, other) = (mint(), mint());
        let (id, secret) = parts(&one.token).unwrap();
        assert_eq!((id, secret.len()), (one.id.as_str(), 64));
        assert!(is_secret(secret, &one.digest) && !is_secret(secret, &other.digest));
        assert!(!is_secret("", &one.digest) && !is_secret(secret, &[]));
        assert!(parts("eyJhbGciOi.x.y").is_none() && parts("amends_x").is_none());
        assert!(!format!("{one:?}").contains(secret));
    }
}
