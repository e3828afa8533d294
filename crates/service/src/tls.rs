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

/// Who a process is to its peers: always what its files say, so that a renewed certificate is shown from the next connection on.
#[derive(Clone)]
pub struct Identity(Arc<Kept>);

struct Kept {
    files: Files<PathBuf>,
    sound: Mutex<Sound>,
}

/// What the files said when they last made sense.
struct Sound {
    said: Files<Vec<u8>>,
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
        choose_tls();
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            authority: authority.to_owned(),
        };
        let sound = Mutex::new(Sound::of(files.read()?)?);
        Ok(Identity(Arc::new(Kept { files, sound })))
    }

    /// Makes it what every [`Peer`](crate::Peer) of this process shows. The first stays.
    pub fn assume(&self) {
        let _ = OWN.set(self.clone());
    }

    /// What the process has assumed.
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

    /// What the files say now; what they said before, while they make no sense (one of them may be replaced before the others).
    fn now(&self) -> MutexGuard<'_, Sound> {
        let mut sound = self.0.sound.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.files.read() {
            Ok(said) if said == sound.said => (),
            read => match read.and_then(Sound::of) {
                Ok(renewed) => {
                    tracing::info!(file = %self.0.files.certificate.display(), "certificate renewed");
                    *sound = renewed;
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
        sound
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

impl Sound {
    fn of(said: Files<Vec<u8>>) -> Result<Sound> {
        let chain = certificates(&said.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&said.key).map_err(unsound("private key"))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(&said.authority)? {
            roots.add(authority).map_err(unsound("authority"))?;
        }
        let roots = Arc::new(roots);
        let client = ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unsound("certificate or key"))?;
        let callers = WebPkiClientVerifier::builder(roots).build().map_err(unsound("authority"))?;
        let mut server = ServerConfig::builder()
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)
            .map_err(unsound("certificate or key"))?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Sound { said, client, server: Arc::new(server) })
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
