//! Connections that are not HTTP's: to nobody that the guard does not let through, and with TLS where the address says so.

use std::sync::Arc;
use std::time::Duration;

use domain::{ErrorKind, Result};
use guard::{Address, Guard};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Rules;
use crate::post::{DESTINATIONS, authorities, clipped};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read from and written to.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A certificate of our own, with those between it and its authority, and its key.
pub type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// TLS to whom the system's authorities vouch for, or one of those in `pem`; with a certificate for whoever asks for one.
pub fn tls(pem: &[u8], own: Option<Own>) -> Result<TlsConnector> {
    let unusable =
        |error: rustls::Error| ErrorKind::Invalid.error("TLS cannot be prepared").because(error);
    let authorities: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| ErrorKind::Invalid.error("the authorities are no PEM").because(error))?;
    let provider = Arc::new(ring::default_provider());
    // The verifier that HTTP's client has, so that an authority counts for all destinations or for none.
    let verifier =
        Verifier::new_with_extra_roots(authorities, provider.clone()).map_err(unusable)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match own {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(unusable)?,
        None => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects; cheap to clone.
#[derive(Clone)]
pub struct Dial {
    guard: Guard,
    tls: TlsConnector,
}

impl Dial {
    /// `Invalid` where the authorities cannot be read.
    pub fn new(rules: &Rules) -> Result<Dial> {
        let pem = authorities(rules)?.unwrap_or_default();
        let tls = tls(&pem, None).map_err(|error| {
            let unusable = "cannot prepare TLS to destinations (DELIVERY_AUTHORITIES)";
            ErrorKind::Invalid.error(unusable).because(error)
        })?;
        Ok(Dial { guard: Guard::new(DESTINATIONS, &rules.delivery_networks), tls })
    }

    /// A connection to an address of that scheme, or in words why there is none.
    pub async fn connect(&self, url: &str, scheme: &str) -> Result<Box<dyn Stream>, String> {
        let (_, to) = self.guard.checked_line(url, scheme).map_err(|error| error.to_string())?;
        let stream = self.reached(&to).await?;
        // Small pieces that wait for an answer are not held back; without it they go, only later.
        let _ = stream.set_nodelay(true);
        if !to.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(to.host)
            .map_err(|_| "its name is none that a certificate could be for".to_owned())?;
        match timeout(TLS_TIMEOUT, self.tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(clipped(&format!("no TLS with it: {error}"))),
            Err(_) => Err("it did not finish the handshake of TLS".to_owned()),
        }
    }

    async fn reached(&self, to: &Address) -> Result<TcpStream, String> {
        let mut why = String::new();
        for address in self.guard.addresses(to).await? {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = "it did not answer in time".to_owned(),
            }
        }
        Err(clipped(&format!("it cannot be reached: {why}")))
    }
}
