//! The face towards people: the certificate that it shows, and where it may be answered without one.
//!
//! Apart from the [`Identity`](crate::Identity) that services show each other: this one is for a name that people type, from an
//! authority that their browsers trust.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use domain::{ErrorKind, Network, Result};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::choose_tls;
use crate::proxies::Proxies;
use crate::tls::{PROTOCOLS, certificates, invalid, read};

/// How often the files are looked at: a renewed certificate is shown this much later at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What whoever runs a service for people says about the way to it.
#[derive(Args, Clone, Debug, Default)]
pub struct PublicSettings {
    /// The certificate that callers from outside are shown (PEM, with what leads to an authority that they trust). With it they are
    /// answered by TLS alone. A renewed file is shown from the next connection on.
    #[arg(long, env, requires = "public_tls_key")]
    pub public_tls_certificate: Option<PathBuf>,

    /// That certificate's private key (PEM).
    #[arg(long, env, requires = "public_tls_certificate")]
    pub public_tls_key: Option<PathBuf>,

    /// Says that TLS ends in front, at a proxy, and that nobody reaches this address but by it. Without it, and without a certificate,
    /// an address that other machines reach is refused.
    #[arg(long, env)]
    pub behind_proxy: bool,

    /// The networks of the proxies in front, such as `10.20.0.0/16,192.0.2.7/32`. Of what comes by them the caller's address is the last
    /// of `X-Forwarded-For` that is no such proxy's; without them that header is ignored, and the address is that of the connection.
    #[arg(long, env, value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
}

impl PublicSettings {
    /// Reads the certificate, if one is configured. `Invalid` names the file, or the setting, that is not valid.
    pub fn open(&self) -> Result<Public> {
        if self.trusted_proxies.iter().any(|network| network.is_everything()) {
            return Err(ErrorKind::Invalid.error(
                "TRUSTED_PROXIES names every address there is, so that anybody could say where they come from: name the networks of the \
                 proxies in front",
            ));
        }
        let certificate = match (&self.public_tls_certificate, &self.public_tls_key) {
            (Some(certificate), Some(key)) => Some(Certificate::read(certificate, key)?),
            _ => None,
        };
        let proxies = Proxies::within(&self.trusted_proxies);
        Ok(Public { certificate, behind_proxy: self.behind_proxy, proxies })
    }
}

/// The way to a service that people call, who have no certificate of the mesh.
#[derive(Clone, Default)]
pub struct Public {
    /// What it shows them; without it there is no TLS here.
    pub certificate: Option<Certificate>,
    /// TLS ends in front of it, and nobody comes by another way.
    pub behind_proxy: bool,
    /// Who is believed of whom they ask for.
    pub proxies: Proxies,
}

impl Public {
    /// Whether callers come by TLS, here or in front.
    pub fn is_by_tls(&self) -> bool {
        self.certificate.is_some() || self.behind_proxy
    }

    /// Refuses an address that other machines reach, where passwords and scans would travel readable.
    pub fn check(&self, listen: SocketAddr) -> Result<()> {
        if self.is_by_tls() || listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(ErrorKind::Invalid.error(format!(
            "{listen} is reached by other machines, and without TLS passwords and scans are readable on the way: name a certificate \
             (PUBLIC_TLS_CERTIFICATE, PUBLIC_TLS_KEY), or say that a proxy in front ends TLS (BEHIND_PROXY=true), or listen on 127.0.0.1"
        )))
    }
}

/// A certificate for people, as its files hold it now.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    last_valid: Mutex<LastValid>,
}

/// What was read when the files last fitted together, and when they were last looked at.
struct LastValid {
    looked: Instant,
    pem: [Vec<u8>; 2],
    server: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads both files (PEM). `Invalid` names the one that is not valid, or says that they do not fit together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Certificate> {
        choose_tls();
        let pem = [read(certificate)?, read(key)?];
        let server = config(&pem)?;
        let last_valid = Mutex::new(LastValid { looked: Instant::now(), pem, server });
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Certificate(Arc::new(Inner { certificate, key, last_valid })))
    }

    /// For the next connection: what the files hold, or what was last valid while they do not fit together. Connections that are
    /// open stay as they are.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let mut last_valid = self.0.last_valid.lock().unwrap_or_else(PoisonError::into_inner);
        // Not for each of the connections that a stranger opens.
        if last_valid.looked.elapsed() >= LOOK_INTERVAL {
            last_valid.looked = Instant::now();
            self.renew(&mut last_valid);
        }
        last_valid.server.clone()
    }

    fn renew(&self, last_valid: &mut LastValid) {
        let files = read(&self.0.certificate).and_then(|it| Ok([it, read(&self.0.key)?]));
        let renewed = match files {
            // Not said again at each look: whether they make sense follows from what they hold.
            Ok(pem) if pem == last_valid.pem => return,
            Ok(pem) => {
                let renewed = config(&pem);
                last_valid.pem = pem;
                renewed
            }
            Err(error) => Err(error),
        };
        match renewed {
            Ok(server) => {
                tracing::info!(file = %self.0.certificate.display(), "certificate renewed");
                last_valid.server = server;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "kept the certificate from before: the files make no sense");
            }
        }
    }
}

/// TLS 1.2 and 1.3, HTTP/2 or HTTP/1.1 as the caller likes; who they are, their tokens say.
fn config([certificate, key]: &[Vec<u8>; 2]) -> Result<Arc<ServerConfig>> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(invalid("private key"))?;
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, key)
        .map_err(invalid("certificate or key"))?;
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(server))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_trusts_everybody_is_refused() {
        for (networks, said) in [
            (["10.0.0.0/8", "0.0.0.0/0"], Some("TRUSTED_PROXIES")),
            (["::/0", "10.0.0.0/8"], Some("TRUSTED_PROXIES")),
            (["10.0.0.0/8", "fd00::/8"], None),
        ] {
            let trusted_proxies = networks.iter().map(|network| network.parse().unwrap()).collect();
            let settings = PublicSettings { trusted_proxies, ..PublicSettings::default() };
            let refused = settings.open().err().map(|error| error.to_string());
            assert_eq!(refused.is_some(), said.is_some(), "{networks:?}");
            assert!(refused.unwrap_or_default().contains(said.unwrap_or_default()));
        }
    }

    #[test]
    fn an_address_of_other_machines_is_refused_in_the_clear() {
        let (open, proxied) =
            (Public::default(), Public { behind_proxy: true, ..Public::default() });
        for (listen, is_here) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.0.2.1:80", false),
        ] {
            let listen: SocketAddr = listen.parse().unwrap();
            let said = open.check(listen).map_err(|error| error.to_string());
            assert_eq!(said.is_ok(), is_here, "{listen}");
            if let Err(said) = said {
                for word in [listen.to_string().as_str(), "PUBLIC_TLS_CERTIFICATE", "BEHIND_PROXY"]
                {
                    assert!(said.contains(word), "{said}");
                }
            }
            assert!(proxied.check(listen).is_ok());
        }
    }
}
