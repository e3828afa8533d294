//! Associations by TLS (PS3.15, annex B): who connects sees whom it sends to, and shows who it is where that is demanded.

use std::io;
use std::path::Path;
use std::sync::Arc;

use domain::{Error, ErrorKind, Result, hex};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::DicomSettings;

/// How the door answers by TLS; None where no certificate is set. `Invalid` names the file that is not sound.
pub fn server(settings: &DicomSettings) -> Result<Option<Arc<ServerConfig>>> {
    let DicomSettings { dicom_tls_certificate, dicom_tls_key, dicom_tls_authority, .. } = settings;
    let (certificate, key) = match (dicom_tls_certificate, dicom_tls_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if dicom_tls_authority.is_none() => return Ok(None),
        _ => {
            return Err(ErrorKind::Invalid.error(
                "DICOM by TLS needs DICOM_TLS_CERTIFICATE and DICOM_TLS_KEY, both or neither",
            ));
        }
    };
    service::choose_tls();
    let chain = certificates(certificate, "DICOM_TLS_CERTIFICATE")?;
    let bad_key = || unsound("DICOM_TLS_KEY");
    let key = PrivateKeyDer::from_pem_slice(&read(key, "DICOM_TLS_KEY")?)
        .map_err(|error| bad_key().because(error))?;
    let server = ServerConfig::builder();
    let server = match dicom_tls_authority {
        None => server.with_no_client_auth(),
        Some(authority) => {
            let roots = roots(authority, "DICOM_TLS_AUTHORITY")?;
            let callers = WebPkiClientVerifier::builder(Arc::new(roots))
                .build()
                .map_err(|error| unsound("DICOM_TLS_AUTHORITY").because(error))?;
            server.with_client_cert_verifier(callers)
        }
    };
    let server = server.with_single_cert(chain, key).map_err(|error| bad_key().because(error))?;
    Ok(Some(Arc::new(server)))
}

/// The certificate that somebody has shown who has connected.
pub struct Shown(CertificateDer<'static>);

impl Shown {
    /// None: they have shown none.
    pub fn over(stream: &tokio_rustls::server::TlsStream<TcpStream>) -> Option<Shown> {
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates()?.first()?;
        Some(Shown::of(shown.clone()))
    }

    pub fn of(certificate: CertificateDer<'static>) -> Shown {
        Shown(certificate)
    }

    /// Its SHA-256, in lower-case hex.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.0))
    }
}

/// A certificate, as an operator names it.
pub enum Named {
    /// By a name that it is for.
    Name(ServerName<'static>),
    /// By its SHA-256, in lower-case hex.
    Sha256(String),
}

impl Named {
    /// A host's name or address, or 64 hexadecimal digits, with colons or without; None: it is neither.
    pub fn read(text: &str) -> Option<Named> {
        const DIGEST_CHARS: usize = 64;
        let digits = text.replace(':', "").to_ascii_lowercase();
        if digits.len() == DIGEST_CHARS && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Some(Named::Sha256(digits));
        }
        ServerName::try_from(text.to_owned()).ok().map(Named::Name)
    }

    pub fn is(&self, shown: &Shown) -> bool {
        match self {
            Named::Sha256(sha256) => *sha256 == shown.sha256(),
            Named::Name(name) => ParsedCertificate::try_from(&shown.0)
                .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok()),
        }
    }
}

/// By what somebody is connected to by TLS, and whose certificate they have to show.
#[derive(Clone)]
pub struct Client {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Client {
    /// Whose certificate is for `name`, and signed by the authority in that file. `Invalid` says what is not sound.
    pub fn of(authority: &Path, name: String) -> Result<Client> {
        service::choose_tls();
        let roots = roots(authority, "report_authority (DICOM_SENDERS)")?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let no_name =
            |_| ErrorKind::Invalid.error("report_name (DICOM_SENDERS) is no name of a host");
        let name = ServerName::try_from(name).map_err(no_name)?;
        Ok(Client { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// The same connection by TLS, once the other side has shown who it is.
    pub async fn over(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn roots(authority: &Path, setting: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for trusted in certificates(authority, setting)? {
        roots.add(trusted).map_err(|error| unsound(setting).because(error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path, setting)?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unsound(setting).because(error))?;
    if all.is_empty() { Err(unsound(setting)) } else { Ok(all) }
}

fn read(path: &Path, setting: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        ErrorKind::Invalid
            .error(format!("the file that {setting} names cannot be read"))
            .because(error)
    })
}

fn unsound(setting: &str) -> Error {
    ErrorKind::Invalid.error(format!(
        "the file that {setting} names is not sound, or does not go with the others"
    ))
}
