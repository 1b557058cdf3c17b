//! Checks token signatures with `ring`. Accepts only algorithms with public keys, so that a public key can never pass
//! for a shared secret.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};

/// Algorithms that are accepted.
pub(super) const ACCEPTED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Makes `ring` check the tokens of this process, unless the program has chosen another provider.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
        verifier_factory: |algorithm, key| Ok(Box::new(Check::for_algorithm(*algorithm, key)?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    // If the program has installed a provider before, that one stays; it is as good.
    let _ = PROVIDER.install_default();
}

/// An algorithm with a key.
struct Check {
    algorithm: Algorithm,
    means: Means,
    key: DecodingKey,
}

enum Means {
    Rsa(&'static RsaParameters),
    Other(&'static dyn VerificationAlgorithm),
}

impl Check {
    fn for_algorithm(algorithm: Algorithm, key: &DecodingKey) -> Result<Self> {
        let means = match algorithm {
            Algorithm::RS256 => Means::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => Means::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => Means::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => Means::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => Means::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => Means::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => Means::Other(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => Means::Other(&signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => Means::Other(&signature::ED25519),
            // Algorithms with shared secrets, and future algorithms.
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        Ok(Self { algorithm, means, key: key.clone() })
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let checked = match (&self.means, self.key.kind()) {
            (Means::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Means::Rsa(parameters), DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(*parameters, der).verify(message, signature)
            }
            (Means::Other(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(*algorithm, key).verify(message, signature)
            }
            (Means::Other(_), DecodingKeyKind::RsaModulusExponent { .. }) => Err(ring::error::Unspecified),
        };
        checked.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
