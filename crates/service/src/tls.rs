//! Mutual TLS between services: each shows a certificate, and trusts those of one authority only.
//!
//! Where a mesh such as Linkerd does this, none of it is configured.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use clap::Args;
use domain::{Error, ErrorKind, Result};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tower::Service;

use crate::choose_tls;

type Connecting = <HttpsConnector<HttpConnector> as Service<Uri>>::Future;

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

/// The TLS identity of a process, as its files hold it now: a renewed certificate is shown from the next connection on.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    files: Files<PathBuf>,
    last_valid: Mutex<LastValid>,
}

/// What was read when the files were last valid together.
struct LastValid {
    pem: Files<Vec<u8>>,
    client: ClientConfig,
    server: Arc<ServerConfig>,
}

/// One thing for each file.
#[derive(PartialEq)]
struct Files<T> {
    certificate: T,
    key: T,
    authority: T,
}

/// The process's own identity: peers are connected from everywhere in it.
static OWN: OnceLock<Identity> = OnceLock::new();

impl TlsFiles {
    /// Reads the identity, if one is configured. `Invalid` names the file that is not valid.
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
    /// Reads the three files (PEM). `Invalid` names the one that is not valid, or does not fit the others.
    pub fn read(certificate: &Path, key: &Path, authority: &Path) -> Result<Identity> {
        choose_tls();
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            authority: authority.to_owned(),
        };
        let last_valid = Mutex::new(LastValid::of(files.read()?)?);
        Ok(Identity(Arc::new(Inner { files, last_valid })))
    }

    /// Installs it as the identity of this process: every [`Peer`](crate::Peer) shows it. Only the first call has an effect.
    pub fn install(&self) {
        let _ = OWN.set(self.clone());
    }

    /// The identity that the process has installed.
    pub(crate) fn own() -> Option<&'static Identity> {
        OWN.get()
    }

    /// Connects to the peer at `uri`, whose certificate must name the host that is called.
    pub(crate) fn connect(&self, uri: Uri) -> Connecting {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        HttpsConnectorBuilder::new()
            .with_tls_config(self.now().client.clone())
            .https_only()
            .enable_http2()
            .wrap_connector(tcp)
            .call(uri)
    }

    /// For answering: whoever calls must show a certificate of the same authority.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.now().server.clone()
    }

    /// What the files hold now, or what was last valid while they do not fit together (one may be replaced before the others).
    fn now(&self) -> MutexGuard<'_, LastValid> {
        let mut last_valid = self.0.last_valid.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.files.read() {
            Ok(pem) if pem == last_valid.pem => (),
            read => match read.and_then(LastValid::of) {
                Ok(renewed) => {
                    tracing::info!(file = %self.0.files.certificate.display(), "certificate renewed");
                    *last_valid = renewed;
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "kept the certificate from before: the files make no sense"
                    );
                }
            },
        }
        last_valid
    }
}

impl Files<PathBuf> {
    fn read(&self) -> Result<Files<Vec<u8>>> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                let message = format!("cannot read {}", path.display());
                ErrorKind::Invalid.error(message).because(error)
            })
        };
        Ok(Files {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            authority: read(&self.authority)?,
        })
    }
}

impl LastValid {
    fn of(pem: Files<Vec<u8>>) -> Result<LastValid> {
        let chain = certificates(&pem.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(invalid("private key"))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(&pem.authority)? {
            roots.add(authority).map_err(invalid("authority"))?;
        }
        let roots = Arc::new(roots);
        let client = ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(invalid("certificate or key"))?;
        let callers = WebPkiClientVerifier::builder(roots).build().map_err(invalid("authority"))?;
        let mut server = ServerConfig::builder()
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)
            .map_err(invalid("certificate or key"))?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(LastValid { pem, client, server: Arc::new(server) })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(invalid("certificate"))?;
    if all.is_empty() {
        return Err(ErrorKind::Invalid.error("a certificate file holds no certificate"));
    }
    Ok(all)
}

fn invalid<E: std::error::Error + Send + Sync + 'static>(what: &str) -> impl Fn(E) -> Error {
    move |error| ErrorKind::Invalid.error(format!("the {what} for TLS is not sound")).because(error)
}
