//! Who may send: application entities by their titles, and the API client in whose name each of them does.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use domain::{Clock, Error, ErrorKind, Result, TenantId, hex};
use secrecy::SecretString;
use serde::Deserialize;
use service::Peer;
use service::claims::{ServiceToken, Verifier};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::report::{ReportTo, Titles};
use super::studies::Ask;
use super::tls::{Client, Named, Shown};
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
    /// Which certificates it shows (DICOM_TLS_AUTHORITY): each by a name that it is for, or by its SHA-256. None: any that is no other's.
    #[serde(default)]
    certificates: Vec<String>,
    client_id: String,
    client_secret: String,
    /// Where its scans are made, in place of what they say.
    #[serde(default)]
    site: String,
    /// Where it takes what is said of a commitment once its own association has ended, such as `10.1.2.3:104`.
    report_to: Option<SocketAddr>,
    /// The file with the authority (PEM) that has signed the certificate which it shows there: then it is told by TLS, and in no other way.
    report_authority: Option<PathBuf>,
    /// What that certificate is for; left out: the address.
    report_name: Option<String>,
}

/// Who may send instances: an application entity of the table, or a caller of STOW-RS.
pub struct Sender {
    title: String,
    called: Option<String>,
    addresses: Vec<IpAddr>,
    certificates: Vec<Named>,
    pub site: String,
    means: Means,
    /// The hospital of its API client, once auth has told it: a client has one for good.
    tenant: OnceLock<TenantId>,
    /// Names the folder of what it sends. Senders of one API client and one site have one: their instances are put together.
    pub folder: String,
    pub report_to: Option<ReportTo>,
    /// Told when something of it has come, or is asked about.
    pub news: Arc<Notify>,
    asks: Mutex<Vec<Ask>>,
}

/// By what a sender acts.
enum Means {
    /// An API client that signs in.
    Client(ServiceToken),
    /// The newest token that whoever sends has shown, for that hospital.
    Shown(Mutex<String>, TenantId),
}

/// In whose name something is sent on.
pub struct Acting {
    pub token: String,
    pub tenant: TenantId,
}

/// From where somebody connects, and what they show there.
pub struct Origin {
    pub address: IpAddr,
    pub certificate: Option<Shown>,
}

/// Why somebody may not send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stranger {
    /// Nobody of that title is known to send from there.
    Calling,
    /// Whoever it is knows us by another title.
    Called,
    /// The certificate that was shown is not that sender's, or is another's.
    Certificate,
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
        let mut news = HashMap::<String, Arc<Notify>>::new();
        let sender = |written| -> Result<Arc<Sender>> {
            let mut sender = Sender::of(written, auth.clone(), clock.clone())?;
            // Who gathers what lies in a folder waits for all who send into it.
            sender.news = Arc::clone(news.entry(sender.folder.clone()).or_default());
            Ok(Arc::new(sender))
        };
        Ok(Senders {
            senders: senders.into_iter().map(sender).collect::<Result<_>>()?,
            verifier: Verifier::new(auth.clone(), clock.clone()),
        })
    }

    /// Who calls, if they may.
    pub fn find(
        &self,
        calling: &str,
        called: &str,
        origin: &Origin,
    ) -> Result<Arc<Sender>, Stranger> {
        // IPv4 over a socket of both kinds has another form.
        let address = origin.address.to_canonical();
        let may_come = |sender: &&Arc<Sender>| {
            sender.title == calling
                && (sender.addresses.is_empty() || sender.addresses.contains(&address))
        };
        let mut known: Vec<_> = self.senders.iter().filter(may_come).collect();
        if known.is_empty() {
            return Err(Stranger::Calling);
        }
        known.retain(|sender| self.may_show(sender, origin.certificate.as_ref()));
        if known.is_empty() {
            return Err(Stranger::Certificate);
        }
        // Who names our title comes before who takes any.
        let named = known.iter().find(|sender| sender.called.as_deref() == Some(called));
        let any = || known.iter().find(|sender| sender.called.is_none());
        let found = named.or_else(any).ok_or(Stranger::Called)?;
        Ok(Arc::clone(found))
    }

    /// Whether the sender may come with that certificate: with its own, or where none is named for it, with any that is not named for
    /// another, who would then pass for it.
    fn may_show(&self, sender: &Sender, shown: Option<&Shown>) -> bool {
        if sender.certificates.is_empty() {
            return !self.senders.iter().any(|other| other.has_certificate(shown));
        }
        sender.has_certificate(shown)
    }

    /// One of those for whom certificates are named, if there are any.
    pub fn certified(&self) -> Option<&str> {
        let certified = self.senders.iter().find(|sender| !sender.certificates.is_empty());
        certified.map(|sender| sender.title())
    }

    /// Where whoever had those titles, and sent into that folder, takes reports now.
    pub fn report_to(&self, titles: &Titles, folder: &str) -> Option<ReportTo> {
        let is_it =
            |sender: &&Arc<Sender>| sender.title == titles.theirs && sender.folder == folder;
        let known = || self.senders.iter().filter(is_it);
        let named = known().find(|sender| sender.called.as_deref() == Some(titles.ours.as_str()));
        let found = named.or_else(|| known().find(|sender| sender.called.is_none()));
        found.and_then(|sender| sender.report_to.clone())
    }

    /// One sender of each folder.
    pub fn of_folders(&self) -> Vec<Arc<Sender>> {
        let mut seen = HashSet::new();
        self.senders.iter().filter(|sender| seen.insert(&sender.folder)).map(Arc::clone).collect()
    }

    /// Whether it is known that the sender's API client may send nothing. While that cannot be told, whoever is in the table may
    /// send: it is kept until it can be.
    pub async fn is_barred(&self, sender: &Sender) -> bool {
        match timeout(ASKING, sender.acting(&self.verifier)).await {
            Ok(Err(error)) => is_barred(&error),
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
        if let Some(bad) = self.certificates.iter().find(|one| Named::read(one).is_none()) {
            return Err(wrong(format!(
                "names a certificate for {} by what is no host's name and no SHA-256: {bad:?}",
                self.ae_title
            )));
        }
        if self.client_id.is_empty() || self.client_secret.is_empty() {
            return Err(wrong(format!("names no API client for {}", self.ae_title)));
        }
        let says_how = self.report_authority.is_some() || self.report_name.is_some();
        if (self.report_to.is_none() || self.report_authority.is_none()) && says_how {
            let title = &self.ae_title;
            return Err(wrong(format!(
                "names for {title} by what it is told, without both report_to and report_authority"
            )));
        }
        Ok(())
    }

    /// Where it takes reports; `Invalid` where the authority of its certificate cannot be read.
    fn report_to(&self) -> Result<Option<ReportTo>> {
        let Some(address) = self.report_to else { return Ok(None) };
        let name = || self.report_name.clone().unwrap_or_else(|| address.ip().to_string());
        let tls = self.report_authority.as_deref().map(|file| Client::of(file, name()));
        Ok(Some(ReportTo { address, tls: tls.transpose()? }))
    }
}

impl Sender {
    fn of(written: WrittenSender, auth: Peer, clock: Clock) -> Result<Sender> {
        let report_to = written.report_to()?;
        let WrittenSender { ae_title, called_ae_title, addresses, client_id, .. } = written;
        let folder = hex(&Sha256::digest(format!("{client_id}\n{}", written.site)));
        let certificates = written.certificates.iter().filter_map(|one| Named::read(one)).collect();
        // As whoever connects is compared with them.
        let addresses = addresses.into_iter().map(|address| address.to_canonical()).collect();
        let secret = SecretString::from(written.client_secret);
        Ok(Sender {
            title: ae_title,
            called: called_ae_title,
            addresses,
            certificates,
            site: written.site,
            means: Means::Client(ServiceToken::of_client(auth, client_id, secret, clock)),
            tenant: OnceLock::new(),
            folder,
            report_to,
            news: Arc::default(),
            asks: Mutex::default(),
        })
    }

    /// A caller of STOW-RS, who has shown that token, of that hospital.
    pub fn caller(tenant: TenantId, token: String, site: String, folder: String) -> Sender {
        Sender {
            title: "STOW-RS".to_owned(),
            called: None,
            addresses: Vec::new(),
            certificates: Vec::new(),
            site,
            means: Means::Shown(Mutex::new(token), tenant),
            tenant: OnceLock::from(tenant),
            folder,
            report_to: None,
            news: Arc::default(),
            asks: Mutex::default(),
        }
    }

    fn has_certificate(&self, shown: Option<&Shown>) -> bool {
        shown.is_some_and(|shown| self.certificates.iter().any(|named| named.is(shown)))
    }

    /// Whether that is the newest token that the caller has shown.
    pub fn has_shown(&self, token: &str) -> bool {
        let Means::Shown(newest, _) = &self.means else { return false };
        *newest.lock().unwrap_or_else(PoisonError::into_inner) == token
    }

    /// The caller has shown that token, which is kept beside what they send.
    pub fn show(&self, token: &str) {
        let Means::Shown(newest, _) = &self.means else { return };
        token.clone_into(&mut newest.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// In whose name the sender acts: fails where it may not send scans any more, and while auth is away.
    ///
    /// What a caller has sent was let in with their token: it has ended when the series is complete, as it may have when an
    /// upload is, and is refused only where what it allowed was taken away.
    pub async fn acting(&self, verifier: &Verifier) -> Result<Acting> {
        match &self.means {
            Means::Client(client) => {
                let token = client.get().await?;
                let claims = verifier.verify(&token).await?;
                claims.require(&SENDERS)?;
                claims.require_scope(SCOPE)?;
                let tenant = *self.tenant.get_or_init(|| claims.tenant().id());
                Ok(Acting { token, tenant })
            }
            Means::Shown(newest, tenant) => {
                let token = newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
                verifier.still(&token).await?;
                Ok(Acting { token, tenant: *tenant })
            }
        }
    }

    /// Whether it sends for that hospital. Where that cannot be told now it is taken to: what it has sent may be missing.
    pub async fn is_of(self: &Arc<Self>, tenant: TenantId, verifier: &Verifier) -> bool {
        if let Some(own) = self.tenant.get() {
            return *own == tenant;
        }
        let (sender, verifier) = (Arc::clone(self), verifier.clone());
        // In a task of its own: whose token is verified there is not who asks here.
        let acting = tokio::spawn(async move { sender.acting(&verifier).await });
        match timeout(ASKING, acting).await {
            Ok(Ok(Ok(acting))) => acting.tenant == tenant,
            Ok(Ok(Err(error))) => !is_barred(&error),
            Ok(Err(_)) | Err(_) => true,
        }
    }

    /// The hospital that it sends for, once that is known.
    pub fn hospital(&self) -> Option<TenantId> {
        self.tenant.get().copied()
    }

    /// Whether it sends by STOW-RS: with nothing but the token that it has shown.
    pub fn is_caller(&self) -> bool {
        matches!(self.means, Means::Shown(..))
    }

    /// Something is asked about what has come.
    pub fn ask(&self, ask: Ask) {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner).push(ask);
        self.news.notify_one();
    }

    /// What is asked.
    pub fn asked(&self) -> Vec<Ask> {
        std::mem::take(&mut *self.asks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What it is called, as a log may say it.
    pub fn title(&self) -> &str {
        &self.title
    }
}

/// Whether somebody may not do what they could once.
pub fn is_barred(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::Forbidden)
}

fn wrong(what: impl std::fmt::Display) -> Error {
    ErrorKind::Invalid.error(format!("the file that DICOM_SENDERS names {what}"))
}

#[cfg(test)]
mod tests {
    use domain::ManualClock;
    use rustls::pki_types::CertificateDer;
    use service::Service;

    use super::*;

    const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn from(address: IpAddr) -> Origin {
        Origin { address, certificate: None }
    }

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
            r#""ae_title": "CT2", "addresses": ["::ffff:10.0.0.1"]"#,
        ])
        .unwrap();
        let site = |calling, called, address| {
            senders.find(calling, called, &from(address)).map(|sender| sender.site.clone())
        };
        assert_eq!(site("MR1", "MEDSEG", ANYWHERE).as_deref(), Ok("north"));
        assert_eq!(site("MR1", "OTHER", ANYWHERE).as_deref(), Ok("south"));
        assert_eq!(site("MR1", "THIRD", ANYWHERE), Err(Stranger::Called));
        assert_eq!(site("MR2", "MEDSEG", ANYWHERE), Err(Stranger::Calling));
        assert_eq!(site("mr1", "MEDSEG", ANYWHERE), Err(Stranger::Calling));
        assert_eq!(site("CT1", "ANY", ANYWHERE).as_deref(), Ok(""));
        assert_eq!(site("CT2", "ANY", ANYWHERE).as_deref(), Ok(""));
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(site("CT1", "ANY", mapped).as_deref(), Ok(""));
        let elsewhere = "10.0.0.2".parse().unwrap();
        assert_eq!(site("CT1", "ANY", elsewhere), Err(Stranger::Calling));
        // One client at three sites.
        assert_eq!(senders.of_folders().len(), 3);
    }

    #[tokio::test]
    async fn a_title_comes_with_a_certificate_of_its_own_and_with_nobody_elses() {
        let certificate = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.self_signed(&key).unwrap().der().clone()
        };
        let [named, digested, other] =
            ["mr1.example", "mr2.example", "mr3.example"].map(certificate);
        let sha256 = Shown::of(digested.clone()).sha256().to_ascii_uppercase();
        let senders = senders(&[
            r#""ae_title": "MR1", "certificates": ["old.example", "mr1.example"]"#,
            &format!(r#""ae_title": "MR2", "certificates": ["{sha256}"]"#),
            r#""ae_title": "MR3""#,
        ])
        .unwrap();
        let find = |calling: &str, shown: Option<&CertificateDer<'static>>| {
            let certificate = shown.cloned().map(Shown::of);
            let found = senders.find(calling, "ANY", &Origin { address: ANYWHERE, certificate });
            found.map(|sender| sender.title().to_owned())
        };
        for (calling, own) in [("MR1", &named), ("MR2", &digested), ("MR3", &other)] {
            assert_eq!(find(calling, Some(own)).as_deref(), Ok(calling));
            for another in [&named, &digested, &other] {
                let expected = another == own;
                assert_eq!(find(calling, Some(another)).is_ok(), expected, "{calling}");
            }
        }
        assert_eq!(find("MR1", Some(&digested)), Err(Stranger::Certificate));
        assert_eq!(find("MR2", None), Err(Stranger::Certificate));
        assert_eq!(find("MR3", None).as_deref(), Ok("MR3"));
        assert_eq!(senders.certified(), Some("MR1"));
    }

    #[tokio::test]
    async fn whoever_gathers_a_folder_hears_of_all_who_send_into_it() {
        let senders = senders(&[r#""ae_title": "MR1""#, r#""ae_title": "MR2""#]).unwrap();
        let [gathered] = &senders.of_folders()[..] else { panic!("two folders") };
        let other = senders.find("MR2", "ANY", &from(ANYWHERE)).unwrap();
        other.news.notify_one();
        let heard = timeout(ASKING, gathered.news.notified()).await;
        assert!(heard.is_ok());
    }

    #[tokio::test]
    async fn a_sender_is_asked_for_its_own_hospital_and_for_any_until_it_is_known() {
        let [one, other] = ["1", "2"].map(|last| {
            format!("00000000-0000-7000-8000-00000000000{last}").parse::<TenantId>().unwrap()
        });
        let nobody = Peer::within(&Service::default());
        let verifier = Verifier::new(nobody, ManualClock::at(0).clock());
        let caller = Arc::new(Sender::caller(one, "token".into(), String::new(), "folder".into()));
        assert!(caller.is_of(one, &verifier).await && !caller.is_of(other, &verifier).await);
        let client = senders(&[r#""ae_title": "MR1""#]).unwrap();
        let client = client.find("MR1", "ANY", &from(ANYWHERE)).unwrap();
        assert!(client.is_of(one, &verifier).await && client.is_of(other, &verifier).await);
        let _ = client.tenant.set(one);
        assert!(client.is_of(one, &verifier).await && !client.is_of(other, &verifier).await);
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
            senders(&[r#""ae_title": "MR1", "certificates": ["no host"]"#]),
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
