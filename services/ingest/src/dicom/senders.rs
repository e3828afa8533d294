//! Who may send: application entities by their titles, and the API client in whose name each of them does.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Error, ErrorKind, Result, TenantId, hex};
use secrecy::SecretString;
use serde::Deserialize;
use service::Peer;
use service::claims::{ServiceToken, Verifier};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::rpc::SENDERS;

/// PS3.5, 6.2: an AE title has 16 characters.
const TITLE_CHARS_MAX: usize = 16;
/// The section of the REST face that sending scans belongs to.
const SCOPE: &str = "scans";
/// How long a sender's API client is asked about before an association goes on without the answer.
const ASKING: Duration = Duration::from_secs(5);

/// The table of senders, as it is written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    senders: Vec<WrittenSender>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSender {
    ae_title: String,
    /// What it has to call us; left out: anything.
    called_ae_title: Option<String>,
    /// Where it may come from; none: anywhere.
    #[serde(default)]
    addresses: Vec<IpAddr>,
    client_id: String,
    client_secret: String,
    /// Where its scans are made, in place of what they say.
    #[serde(default)]
    site: String,
}

/// An application entity that may send.
pub struct Sender {
    title: String,
    called: Option<String>,
    addresses: Vec<IpAddr>,
    pub site: String,
    token: ServiceToken,
    /// Names the folder of what it sends. Senders of one API client and one site have one: their instances are put together.
    pub folder: String,
}

/// In whose name something is sent on.
pub struct Acting {
    pub token: String,
    pub tenant: TenantId,
}

/// Why somebody may not send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stranger {
    /// Nobody of that title is known to send from there.
    Calling,
    /// Whoever it is knows us by another title.
    Called,
}

/// All that may send.
pub struct Senders {
    senders: Vec<Arc<Sender>>,
    verifier: Verifier,
}

impl Senders {
    /// Reads the table. Fails where it cannot be read or contradicts itself, and says where.
    pub fn read(path: &Path, auth: &Peer, clock: &Clock) -> Result<Senders> {
        let table = std::fs::read(path).map_err(|error| {
            ErrorKind::Invalid.error("DICOM_SENDERS cannot be read").because(error)
        })?;
        Senders::of_table(&table, auth, clock)
    }

    fn of_table(table: &[u8], auth: &Peer, clock: &Clock) -> Result<Senders> {
        // A parser's own words may quote a secret.
        let Written { senders } = serde_json::from_slice(table).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            wrong(format!("is no table of senders at line {line}, column {column}"))
        })?;
        if senders.is_empty() {
            return Err(wrong("has no senders in it"));
        }
        let mut seen = HashSet::new();
        for sender in &senders {
            sender.check()?;
            if !seen.insert((sender.ae_title.clone(), sender.called_ae_title.clone())) {
                return Err(wrong(format!("has {} twice", sender.ae_title)));
            }
        }
        let sender = |written| Arc::new(Sender::of(written, auth.clone(), clock.clone()));
        Ok(Senders {
            senders: senders.into_iter().map(sender).collect(),
            verifier: Verifier::new(auth.clone(), clock.clone()),
        })
    }

    /// Who calls, if they may.
    pub fn find(
        &self,
        calling: &str,
        called: &str,
        address: IpAddr,
    ) -> Result<Arc<Sender>, Stranger> {
        // IPv4 over a socket of both kinds has another form.
        let address = address.to_canonical();
        let may_come = |sender: &&Arc<Sender>| {
            sender.title == calling
                && (sender.addresses.is_empty() || sender.addresses.contains(&address))
        };
        let known: Vec<_> = self.senders.iter().filter(may_come).collect();
        if known.is_empty() {
            return Err(Stranger::Calling);
        }
        // Who names our title comes before who takes any.
        let named = known.iter().find(|sender| sender.called.as_deref() == Some(called));
        let any = || known.iter().find(|sender| sender.called.is_none());
        let found = named.or_else(any).ok_or(Stranger::Called)?;
        Ok(Arc::clone(found))
    }

    /// One sender of each folder.
    pub fn of_folders(&self) -> Vec<Arc<Sender>> {
        let mut seen = HashSet::new();
        self.senders.iter().filter(|sender| seen.insert(&sender.folder)).map(Arc::clone).collect()
    }

    /// In whose name the sender acts: fails where its API client may not send scans, and while auth is away.
    pub async fn acting(&self, sender: &Sender) -> Result<Acting> {
        let token = sender.token.get().await?;
        let claims = self.verifier.verify(&token).await?;
        claims.require(&SENDERS)?;
        claims.require_scope(SCOPE)?;
        Ok(Acting { token, tenant: claims.tenant().id() })
    }

    /// Whether it is known that the sender's API client may send nothing. While that cannot be told, whoever is in the table may
    /// send: it is kept until it can be.
    pub async fn is_barred(&self, sender: &Sender) -> bool {
        let barred = |error: &Error| {
            matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::Forbidden)
        };
        match timeout(ASKING, self.acting(sender)).await {
            Ok(Err(error)) => barred(&error),
            Ok(Ok(_)) | Err(_) => false,
        }
    }
}

impl WrittenSender {
    fn check(&self) -> Result<()> {
        let titles = std::iter::once(&self.ae_title).chain(&self.called_ae_title);
        for title in titles {
            let fits = (1..=TITLE_CHARS_MAX).contains(&title.len()) && title.trim() == title;
            let is_said = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'\\';
            if !fits || !title.bytes().all(is_said) {
                return Err(wrong(format!("has an AE title that is none: {title:?}")));
            }
        }
        if self.client_id.is_empty() || self.client_secret.is_empty() {
            return Err(wrong(format!("names no API client for {}", self.ae_title)));
        }
        Ok(())
    }
}

impl Sender {
    fn of(written: WrittenSender, auth: Peer, clock: Clock) -> Sender {
        let WrittenSender { ae_title, called_ae_title, addresses, client_id, .. } = written;
        let folder = hex(&Sha256::digest(format!("{client_id}\n{}", written.site)));
        let secret = SecretString::from(written.client_secret);
        Sender {
            title: ae_title,
            called: called_ae_title,
            addresses,
            site: written.site,
            token: ServiceToken::of_client(auth, client_id, secret, clock),
            folder,
        }
    }

    /// What it is called, as a log may say it.
    pub fn title(&self) -> &str {
        &self.title
    }
}

fn wrong(what: impl std::fmt::Display) -> Error {
    ErrorKind::Invalid.error(format!("the file that DICOM_SENDERS names {what}"))
}

#[cfg(test)]
mod tests {
    use domain::ManualClock;
    use service::Service;

    use super::*;

    const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn table(text: &str) -> Result<Senders> {
        let nobody = Peer::within(&Service::default());
        Senders::of_table(text.as_bytes(), &nobody, &ManualClock::at(0).clock())
    }

    fn sender(more: &str) -> String {
        format!(r#"{{"client_id": "c", "client_secret": "open sesame", {more}}}"#)
    }

    fn senders(all: &[&str]) -> Result<Senders> {
        let all: Vec<_> = all.iter().map(|more| sender(more)).collect();
        table(&format!(r#"{{"senders": [{}]}}"#, all.join(",")))
    }

    #[tokio::test]
    async fn whoever_is_not_in_the_table_is_told_which_title_is_unknown() {
        let senders = senders(&[
            r#""ae_title": "MR1", "called_ae_title": "MEDSEG", "site": "north""#,
            r#""ae_title": "MR1", "called_ae_title": "OTHER", "site": "south""#,
            r#""ae_title": "CT1", "addresses": ["10.0.0.1"]"#,
        ])
        .unwrap();
        let site = |calling, called, address| {
            senders.find(calling, called, address).map(|sender| sender.site.clone())
        };
        assert_eq!(site("MR1", "MEDSEG", ANYWHERE).as_deref(), Ok("north"));
        assert_eq!(site("MR1", "OTHER", ANYWHERE).as_deref(), Ok("south"));
        assert_eq!(site("MR1", "THIRD", ANYWHERE), Err(Stranger::Called));
        assert_eq!(site("MR2", "MEDSEG", ANYWHERE), Err(Stranger::Calling));
        assert_eq!(site("mr1", "MEDSEG", ANYWHERE), Err(Stranger::Calling));
        assert_eq!(site("CT1", "ANY", ANYWHERE).as_deref(), Ok(""));
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(site("CT1", "ANY", mapped).as_deref(), Ok(""));
        let elsewhere = "10.0.0.2".parse().unwrap();
        assert_eq!(site("CT1", "ANY", elsewhere), Err(Stranger::Calling));
        // One client at three sites.
        assert_eq!(senders.of_folders().len(), 3);
    }

    #[tokio::test]
    async fn a_table_that_is_wrong_is_refused_without_a_word_of_its_secrets() {
        let cases = [
            table("{"),
            table(r#"{"senders": []}"#),
            senders(&[r#""ae_title": "MR1""#, r#""ae_title": "MR1""#]),
            senders(&[r#""ae_title": "SEVENTEEN LETTERS""#]),
            senders(&[r#""ae_title": " MR1""#]),
            senders(&[r#""ae_title": "M\\R""#]),
            senders(&[r#""ae_title": "MR1", "adresses": []"#]),
            table(
                r#"{"senders": [{"ae_title": "A", "client_id": "c", "client_secret": ["open sesame"]}]}"#,
            ),
        ];
        for case in cases {
            let error = case.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let words = format!("{error} {:?}", std::error::Error::source(&error));
            assert!(words.contains("DICOM_SENDERS") && !words.contains("sesame"), "{words}");
        }
    }
}
