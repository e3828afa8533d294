//! Mutual TLS between services: each shows a certificate, and trusts those of one authority only.
//!
//! Where a mesh such as Linkerd does this, none of it is configured.

mod callers;

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

use self::callers::Callers;
use crate::choose_tls;
use crate::public::Certificate;

type Connecting = <HttpsConnector<HttpConnector> as Service<Uri>>::Future;

/// Where a process finds who it is: all three files, or none.
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

    /// Who of that authority's may call, by the names in their certificates, with commas between; everybody without.
    #[arg(long, env, value_delimiter = ',')]
    tls_callers: Vec<String>,
}

/// The TLS identity of a process, as its files hold it now: a renewed certificate is shown from the next connection on.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    files: Files<PathBuf>,
    callers: Callers,
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

/// What both ends may speak over TLS, the liked one first.
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How a listener answers by TLS.
#[derive(Clone)]
pub(crate) enum Tls {
    /// Peers, who show a certificate of the same authority.
    Mutual(Identity),
    /// People, who show none.
    Public(Certificate),
}

impl Tls {
    /// What the next connection is answered with.
    pub fn server(&self) -> Arc<ServerConfig> {
        match self {
            Tls::Mutual(identity) => identity.server(),
            Tls::Public(certificate) => certificate.server(),
        }
    }
}

/// The process's own identity: peers are connected from everywhere in it.
static OWN: OnceLock<Identity> = OnceLock::new();

impl TlsFiles {
    /// Reads the identity, if one is configured. `Invalid` names the file that is not valid.
    pub fn read(&self) -> Result<Option<Identity>> {
        match (&self.tls_certificate, &self.tls_key, &self.tls_authority) {
            (Some(certificate), Some(key), Some(authority)) => {
                Identity::read_for(certificate, key, authority, &self.tls_callers).map(Some)
            }
            // Else everybody would be answered where somebody is named.
            _ if self.tls_callers.iter().any(|name| !name.is_empty()) => Err(ErrorKind::Invalid
                .error("TLS_CALLERS names who may call, and without TLS_CERTIFICATE nobody shows a name")),
            _ => Ok(None),
        }
    }
}

impl Identity {
    /// Reads the three files (PEM). `Invalid` names the one that is not valid, or does not fit the others. Everybody of the authority
    /// may call.
    pub fn read(certificate: &Path, key: &Path, authority: &Path) -> Result<Identity> {
        Identity::read_for(certificate, key, authority, &[])
    }

    /// As [`read`](Identity::read), and only those may call whose certificates have one of the names `callers`, if there are any.
    pub fn read_for(
        certificate: &Path,
        key: &Path,
        authority: &Path,
        callers: &[String],
    ) -> Result<Identity> {
        choose_tls();
        let callers = Callers::named(callers)?;
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            authority: authority.to_owned(),
        };
        let last_valid = Mutex::new(LastValid::of(files.read()?, &callers)?);
        Ok(Identity(Arc::new(Inner { files, callers, last_valid })))
    }

    /// Installs it as the identity of this process: every [`Peer`](crate::Peer) shows it. Only the first call has an effect.
    pub fn install(&self) {
        let _ = OWN.set(self.clone());
    }

    /// The identity that the process has installed.
    pub(crate) fn own() -> Option<&'static Identity> {
        OWN.get()
    }

    /// Whether only callers of certain names are answered.
    pub(crate) fn names_callers(&self) -> bool {
        self.0.callers.are_named()
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
    fn server(&self) -> Arc<ServerConfig> {
        self.now().server.clone()
    }

    /// What the files hold now, or what was last valid while they do not fit together (one may be replaced before the others).
    fn now(&self) -> MutexGuard<'_, LastValid> {
        let mut last_valid = self.0.last_valid.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.files.read() {
            Ok(pem) if pem == last_valid.pem => (),
            read => match read.and_then(|pem| LastValid::of(pem, &self.0.callers)) {
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
        Ok(Files {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            authority: read(&self.authority)?,
        })
    }
}

impl LastValid {
    fn of(pem: Files<Vec<u8>>, callers: &Callers) -> Result<LastValid> {
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
        let any = WebPkiClientVerifier::builder(roots).build().map_err(invalid("authority"))?;
        let mut server = ServerConfig::builder()
            .with_client_cert_verifier(callers.of(any))
            .with_single_cert(chain, key)
            .map_err(invalid("certificate or key"))?;
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(LastValid { pem, client, server: Arc::new(server) })
    }
}

/// The file at `path`; `Invalid` names it where it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let message = format!("cannot read {}", path.display());
        ErrorKind::Invalid.error(message).because(error)
    })
}

pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(invalid("certificate"))?;
    if all.is_empty() {
        return Err(ErrorKind::Invalid.error("a certificate file holds no certificate"));
    }
    Ok(all)
}

pub(crate) fn invalid<E>(what: &str) -> impl Fn(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| ErrorKind::Invalid.error(format!("the {what} for TLS is not sound")).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_named_only_where_they_show_a_name() {
        let naming =
            |name: &str| TlsFiles { tls_callers: vec![name.to_owned()], ..TlsFiles::default() };
        assert!(naming("").read().is_ok_and(|identity| identity.is_none()));
        let refused = naming("medseg-gateway").read().err().map(|error| error.to_string());
        assert!(refused.is_some_and(|words| words.contains("TLS_CERTIFICATE")));
    }
}
