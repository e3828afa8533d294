//! Mutual TLS between services: each shows a certificate, and trusts those of one authority only.
//!
//! Where a mesh such as Linkerd does this, none of it is configured.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::Args;
use domain::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tonic::transport::{Certificate, ClientTlsConfig};

use crate::choose_tls;

/// Where a process finds who it is. All three, or none.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// The certificate that this process shows its peers (PEM, with what leads to the authority). With it, peers are called by
    /// `https://`, and whoever calls must show one of the same authority.
    #[arg(long, env, requires_all = ["tls_key", "tls_authority"])]
    tls_certificate: Option<PathBuf>,

    /// The certificate's private key (PEM).
    #[arg(long, env, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// The authority that has signed all certificates of the mesh (PEM).
    #[arg(long, env, requires = "tls_certificate")]
    tls_authority: Option<PathBuf>,
}

/// Who a process is to its peers.
#[derive(Clone)]
pub struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Vec<u8>,
}

/// The process's own; peers are connected from everywhere in it.
static OWN: OnceLock<Identity> = OnceLock::new();

impl TlsFiles {
    /// What the files say; `Invalid` names the one that says nothing.
    pub fn read(&self) -> Result<Option<Identity>> {
        match (&self.tls_certificate, &self.tls_key, &self.tls_authority) {
            (Some(certificate), Some(key), Some(authority)) => {
                Identity::read(certificate, key, authority).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Identity {
    /// Reads the three files (PEM), and whether they make sense together. `Invalid` names what does not.
    pub fn read(certificate: &Path, key: &Path, authority: &Path) -> Result<Identity> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                let message = format!("cannot read {}", path.display());
                ErrorKind::Invalid.error(message).because(error)
            })
        };
        let identity = Identity {
            certificate: read(certificate)?,
            key: read(key)?,
            authority: read(authority)?,
        };
        identity.server().map(|_| identity)
    }

    /// Makes it what every [`Peer`](crate::Peer) of this process shows. The first stays.
    pub fn assume(&self) {
        let _ = OWN.set(self.clone());
    }

    /// What the process has assumed.
    pub(crate) fn own() -> Option<&'static Identity> {
        OWN.get()
    }

    /// For calling a peer: its certificate must name the host that is called.
    pub(crate) fn client(&self) -> ClientTlsConfig {
        choose_tls();
        ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.authority))
            .identity(tonic::transport::Identity::from_pem(&self.certificate, &self.key))
    }

    /// For answering: whoever calls must show a certificate of the same authority.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>> {
        choose_tls();
        let chain: Vec<_> = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(unsound("private key"))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.authority)? {
            roots.add(authority).map_err(unsound("authority"))?;
        }
        let callers = WebPkiClientVerifier::builder(Arc::new(roots)).build();
        let callers = callers.map_err(unsound("authority"))?;
        let config = ServerConfig::builder().with_client_cert_verifier(callers);
        let mut config =
            config.with_single_cert(chain, key).map_err(unsound("certificate or key"))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(unsound("certificate"))?;
    if all.is_empty() {
        return Err(ErrorKind::Invalid.error("a certificate file holds no certificate"));
    }
    Ok(all)
}

fn unsound<E: std::error::Error + Send + Sync + 'static>(what: &str) -> impl Fn(E) -> Error {
    move |error| ErrorKind::Invalid.error(format!("the {what} for TLS is not sound")).because(error)
}
