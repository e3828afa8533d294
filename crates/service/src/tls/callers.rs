use std::sync::Arc;

use domain::{ErrorKind, Result};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Whom a service answers, by the names in their certificates.
#[derive(Clone, Debug, Default)]
pub struct Callers(Vec<ServerName<'static>>);

impl Callers {
    /// Those of these names; of none at all, everybody of the authority. `Invalid` says what is no name.
    pub fn named(names: &[String]) -> Result<Callers> {
        // Orchestrators cannot leave a variable out: an empty one names nobody.
        let names = names.iter().filter(|name| !name.is_empty());
        let names = names.map(|name| {
            ServerName::try_from(name.clone()).map_err(|error| {
                ErrorKind::Invalid
                    .error(format!("`{name}` in TLS_CALLERS is no host"))
                    .because(error)
            })
        });
        names.collect::<Result<_>>().map(Callers)
    }

    /// Whether there are names, and not everybody may call.
    pub fn are_named(&self) -> bool {
        !self.0.is_empty()
    }

    /// What lets those in of whom `any` lets in.
    pub fn of(&self, any: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
        if self.are_named() { Arc::new(Named { any, callers: self.clone() }) } else { any }
    }
}

/// Beside what `any` asks: the certificate is that of a caller.
#[derive(Debug)]
struct Named {
    any: Arc<dyn ClientCertVerifier>,
    callers: Callers,
}

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.any.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.any.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let is_caller = |name| verify_server_name(&certificate, name).is_ok();
        if self.callers.0.iter().any(is_caller) {
            return Ok(verified);
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}
