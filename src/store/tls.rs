//! TLS to Postgres, with libpq's meaning of `sslmode`. Owns the check of the server's certificate; `connect.rs`
//! parses the settings.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Error;

/// How far a server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Not at all: the connection is encrypted, but open to a man in the middle.
    Nothing,
    /// A trusted authority issued it.
    Authority,
    /// A trusted authority issued it, for the requested host.
    AuthorityAndName,
}

/// Makes the connector. `roots` is a PEM file; without it, the machine's own roots of trust are used. `is_implied`: the
/// settings did not ask for the check, so a machine without roots of trust fails when it connects.
pub(super) fn connector(check: Check, roots: Option<&Path>, is_implied: bool) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier { check, trusted: Trusted::load(check, roots, is_implied)?, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Settings(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The trusted certificates.
#[derive(Debug)]
struct Trusted {
    roots: RootCertStore,
    /// The same certificates, unparsed: a self-signed server certificate is its own authority.
    certificates: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn load(check: Check, path: Option<&Path>, is_implied: bool) -> Result<Self, Error> {
        let certificates = match (check, path) {
            (Check::Nothing, _) => Vec::new(),
            (Check::Authority | Check::AuthorityAndName, Some(path)) => read_pem(path)?,
            (Check::Authority | Check::AuthorityAndName, None) if is_implied => native().unwrap_or_default(),
            (Check::Authority | Check::AuthorityAndName, None) => native()?,
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        Ok(Self { roots, certificates })
    }
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fault = |found: String| {
        Error::Settings(format!("sslrootcert: expected a PEM file of certificates, {}: {found}", path.display()))
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| fault(error.to_string()))?
        .collect::<Result<_, _>>()
        .map_err(|error| fault(error.to_string()))?;
    if certificates.is_empty() {
        return Err(fault("found none".to_owned()));
    }
    Ok(certificates)
}

fn native() -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(Error::Settings(format!(
            "expected roots of trust on this machine for sslmode verify-ca or \
            verify-full, found none ({} faults); name \
             a file with sslrootcert",
            found.errors.len()
        )));
    }
    Ok(found.certs)
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    trusted: Trusted,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn check_authority(
        &self,
        certificate: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if self.trusted.certificates.iter().any(|trusted| trusted.as_ref() == certificate.as_ref()) {
            return Ok(());
        }
        verify_server_cert_signed_by_trust_anchor(
            parsed,
            &self.trusted.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(certificate)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        self.check_authority(certificate, &parsed, intermediates, now)?;
        if self.check == Check::AuthorityAndName {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
