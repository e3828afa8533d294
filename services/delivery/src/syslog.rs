//! Syslog over TLS (RFC 5424, RFC 5425), by which audit record repositories take audit messages (DICOM PS3.15, A.6; IHE ITI-20).
//!
//! Syslog has no answer. What TLS has is its end: who has read all that came before answers `close_notify` with its own (RFC 5425,
//! 4.4). So each connection carries some messages, and these count as taken once its other end has closed in that way.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use domain::{Error, ErrorKind, Result, TenantId};
use reqwest::Url;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Rules;
use crate::dial::{Own, Stream, tls};
use crate::post::clipped;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a repository has to take what one connection carries.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);

/// The port of syslog over TLS.
const PORT: u16 = 6514;
/// As its row keeps it.
const ADDRESS_CHARS_MAX: usize = 190;

/// Facility 10 (security), severity 5 (notice): DICOM PS3.15, A.6.
const PRIORITY: u8 = 10 * 8 + 5;
/// What it is: an audit message as DICOM has it.
const MESSAGE_ID: &str = "DICOM+RFC3881";
/// What RFC 5424 has where nothing is known.
const NIL: &str = "-";

/// Where an audit record repository listens, and which hospital's entries it takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repository {
    host: String,
    port: u16,
    /// None: every hospital's, and those of operators.
    tenant: Option<TenantId>,
}

impl Repository {
    /// Whether it is sent the entries of that tenant.
    pub fn takes(&self, tenant_id: &str) -> bool {
        self.tenant.is_none_or(|tenant| tenant.to_string() == tenant_id)
    }
}

impl FromStr for Repository {
    type Err = String;

    fn from_str(text: &str) -> Result<Repository, String> {
        let bad = || {
            format!(
                "`{text}` is no address of an audit record repository, such as tls://arr.example.org:6514 or, for the entries of one \
                 hospital, tls://arr.example.org:6514?tenant=ID"
            )
        };
        let url = Url::parse(text.trim()).map_err(|_| bad())?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_whole = matches!(url.path(), "" | "/") && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        if url.scheme() != "tls" || !is_plain || !is_whole {
            return Err(bad());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let named = url.query().map(|query| query.strip_prefix("tenant=").ok_or_else(bad));
        let tenant = named.transpose()?.map(|id| id.parse::<TenantId>().map_err(|_| bad()));
        let tenant = tenant.transpose()?;
        let repository = Repository { host, port: url.port().unwrap_or(PORT), tenant };
        match repository.to_string().len() {
            0..=ADDRESS_CHARS_MAX => Ok(repository),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "tls://[{}]:{}", self.host, self.port)?,
            false => write!(f, "tls://{}:{}", self.host, self.port)?,
        }
        match self.tenant {
            Some(tenant) => write!(f, "?tenant={tenant}"),
            None => Ok(()),
        }
    }
}

/// Sends; cheap to clone.
#[derive(Clone)]
pub struct Line {
    tls: TlsConnector,
    /// What this machine is called.
    host: String,
}

impl Line {
    /// `Invalid` where a file of the settings cannot be read, or is not what it should be.
    pub fn new(rules: &Rules) -> Result<Line> {
        let pem = match &rules.audit_syslog_authorities {
            Some(path) => read(path, "AUDIT_SYSLOG_AUTHORITIES")?,
            None => Vec::new(),
        };
        let tls = tls(&pem, own(rules)?).map_err(|error| {
            let unusable = "cannot prepare TLS to audit record repositories (AUDIT_SYSLOG_AUTHORITIES, AUDIT_SYSLOG_CERTIFICATE)";
            ErrorKind::Invalid.error(unusable).because(error)
        })?;
        Ok(Line { tls, host: host_name() })
    }

    /// An audit message of that time as the piece of a stream that RFC 5425 has for it.
    pub fn frame(&self, at: Option<&str>, message: &str) -> String {
        framed(&self.host, at, message)
    }

    /// Sends all of `frames`; in words why it is not known that they were taken.
    pub async fn send(&self, to: &Repository, frames: &[u8]) -> Result<(), String> {
        let reached = TcpStream::connect((to.host.as_str(), to.port));
        let stream = match timeout(CONNECT_TIMEOUT, reached).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(clipped(&format!("it cannot be reached: {error}"))),
            Err(_) => return Err("it did not answer in time".to_owned()),
        };
        let name = ServerName::try_from(to.host.clone())
            .map_err(|_| "its name is none that a certificate could be for".to_owned())?;
        let mut stream = match timeout(TLS_TIMEOUT, self.tls.connect(name, stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(clipped(&format!("no TLS with it: {error}"))),
            Err(_) => return Err("it did not finish the handshake of TLS".to_owned()),
        };
        match timeout(TAKEN_WITHIN, taken(&mut stream, frames)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err("it closed the connection without TLS's close_notify (RFC 5425, 4.4), so that nobody knows what it has \
                     taken: that is sent again"
                    .to_owned())
            }
            Ok(Err(error)) => Err(clipped(&format!("it broke off: {error}"))),
            Err(_) => Err(format!("it did not take them within {} s", TAKEN_WITHIN.as_secs())),
        }
    }
}

fn framed(host: &str, at: Option<&str>, message: &str) -> String {
    let (at, process, message) = (at.unwrap_or(NIL), std::process::id(), message.trim_end());
    let text = format!(
        "<{PRIORITY}>1 {at} {host} medseg {process} {MESSAGE_ID} {NIL} \u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>{message}"
    );
    format!("{} {text}", text.len())
}

/// Writes all, ends, and waits until the other end has ended, too.
async fn taken(stream: &mut impl Stream, frames: &[u8]) -> io::Result<()> {
    stream.write_all(frames).await?;
    stream.shutdown().await?;
    // Nothing is said in that direction; whatever is, is passed over.
    let mut said = [0; 256];
    while stream.read(&mut said).await? > 0 {}
    Ok(())
}

/// What repositories are shown that ask who connects; None where nothing is named.
fn own(rules: &Rules) -> Result<Option<Own>> {
    let (certificate, key) = match (&rules.audit_syslog_certificate, &rules.audit_syslog_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        _ => {
            let half =
                "AUDIT_SYSLOG_CERTIFICATE and AUDIT_SYSLOG_KEY go together: one of them is missing";
            return Err(ErrorKind::Invalid.error(half));
        }
    };
    let chain = read(certificate, "AUDIT_SYSLOG_CERTIFICATE")?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(certificate, "AUDIT_SYSLOG_CERTIFICATE").because(error))?;
    let unusable = || unreadable(key, "AUDIT_SYSLOG_KEY");
    // The cause is dropped on purpose: a parser's message may quote what it read.
    let private = PrivateKeyDer::from_pem_slice(&read(key, "AUDIT_SYSLOG_KEY")?);
    Ok(Some((chain, private.map_err(|_| unusable())?)))
}

fn read(path: &Path, setting: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, setting).because(error))
}

fn unreadable(path: &Path, setting: &str) -> Error {
    ErrorKind::Invalid.error(format!("cannot read {} ({setting})", path.display()))
}

/// What this machine is called, as a header of syslog can say it.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { NIL.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_and_whose_entries() {
        let id = "01890000-0000-7000-8000-000000000001";
        for (text, kept) in [
            ("tls://ARR.example.org", "tls://arr.example.org:6514"),
            (" tls://10.0.0.7:16514/", "tls://10.0.0.7:16514"),
            ("tls://[fd00::1]:6514", "tls://[fd00::1]:6514"),
        ] {
            let repository: Repository = text.parse().unwrap();
            assert_eq!(repository.to_string(), kept);
            assert_eq!(kept.parse::<Repository>(), Ok(repository.clone()), "as it is kept");
            assert!(repository.takes(id));
        }
        let own: Repository = format!("tls://arr:6514?tenant={id}").parse().unwrap();
        assert!(own.takes(id) && !own.takes("01890000-0000-7000-8000-000000000002"));
        for bad in [
            "",
            "arr.example.org:6514",
            "tcp://arr:6514",
            "tls://",
            "tls://name@arr",
            "tls://arr/path",
            "tls://arr?tenant=x",
            "tls://arr?hospital=x",
        ] {
            let refused = bad.parse::<Repository>().unwrap_err();
            assert!(refused.contains("is no address of an audit record repository"), "{bad}");
        }
        assert!(format!("tls://{}", "a".repeat(200)).parse::<Repository>().is_err());
    }

    #[test]
    fn a_frame_says_its_length_in_bytes_and_what_the_message_is() {
        let at = Some("2023-11-14T22:13:20.000Z");
        let frame = framed("here", at, "<AuditMessage>é</AuditMessage>\n");
        let (length, text) = frame.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>(), Ok(text.len()));
        let head = "<85>1 2023-11-14T22:13:20.000Z here medseg ";
        let rest = text.strip_prefix(head).unwrap();
        let (process, rest) = rest.split_once(' ').unwrap();
        assert_eq!(process.parse::<u32>(), Ok(std::process::id()));
        assert_eq!(
            rest,
            "DICOM+RFC3881 - \u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>é</AuditMessage>"
        );
        assert!(framed("here", None, "").contains("<85>1 - here"));
    }
}
