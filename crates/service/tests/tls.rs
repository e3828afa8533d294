//! Mutual TLS: who may call whom, with certificates made here.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::Path;

use proto::drift::ReportRef;
use proto::drift::drift_client::DriftClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use service::{Identity, Listeners, Peer, Service, choose_tls, serve_at};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

/// Signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// One that it has signed for `host`, and whom its holder trusts.
    fn identity(&self, host: &str, trusted: &Authority) -> Identity {
        self.signed(named(host), trusted)
    }

    fn expired(&self, host: &str) -> Identity {
        self.signed(expired(host), self)
    }

    fn signed(&self, params: CertificateParams, trusted: &Authority) -> Identity {
        let folder = tempfile::tempdir().unwrap();
        self.write(params, trusted, folder.path());
        // Gone with the folder: what was read stays.
        read(folder.path()).unwrap()
    }

    /// Puts a new certificate, its key and whom its holder trusts into `folder`.
    fn write(&self, params: CertificateParams, trusted: &Authority, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let file = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
        file("certificate", certificate.pem());
        file("key", key.serialize_pem());
        file("authority", trusted.0.pem());
    }
}

fn read(folder: &Path) -> domain::Result<Identity> {
    Identity::read(&folder.join("certificate"), &folder.join("key"), &folder.join("authority"))
}

fn named(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).unwrap()
}

fn expired(host: &str) -> CertificateParams {
    let mut params = named(host);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    params
}

/// A service that knows nobody's report, for callers of the authority; and where its probes are answered.
async fn start(identity: Identity) -> (String, String) {
    let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (listener, probes) = (listen().await, listen().await);
    let urls = (
        format!("https://localhost:{}", listener.local_addr().unwrap().port()),
        format!("http://{}", probes.local_addr().unwrap()),
    );
    tokio::spawn(async move {
        let service = Service { name: "closed", ..Service::default() };
        let listeners =
            Listeners { calls: listener, probes: Some(probes), identity: Some(identity) };
        serve_at(service, listeners, CancellationToken::new()).await
    });
    urls
}

/// What a caller gets: `Unimplemented` is an answer, `Unavailable` is none.
async fn call(url: &str, identity: &Identity) -> Code {
    ask(Peer::connect_as(url, Some(identity)).unwrap()).await
}

async fn ask(peer: Peer) -> Code {
    let ask = Request::new(ReportRef::default());
    DriftClient::new(peer).get_report(ask).await.unwrap_err().code()
}

#[tokio::test]
async fn only_who_shows_a_certificate_of_the_same_authority_is_answered() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (url, _) = start(ours.identity("localhost", &ours)).await;
    assert_eq!(call(&url, &ours.identity("worker", &ours)).await, Code::Unimplemented);
    let strangers = [theirs.identity("worker", &ours), ours.expired("worker")];
    for stranger in strangers {
        assert_ne!(call(&url, &stranger).await, Code::Unimplemented);
    }
    choose_tls();
    let plain = url.replace("https", "http");
    assert!(reqwest::get(format!("{plain}/healthz")).await.is_err(), "without TLS, nothing");
}

#[tokio::test]
async fn only_a_peer_that_is_who_it_should_be_is_told_anything() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let caller = ours.identity("worker", &ours);
    let wrong = [
        theirs.identity("localhost", &ours),
        ours.identity("another-host", &ours),
        ours.expired("localhost"),
    ];
    for peer in wrong {
        let (url, _) = start(peer).await;
        assert_ne!(call(&url, &caller).await, Code::Unimplemented);
    }
}

#[tokio::test]
async fn probes_are_answered_without_a_certificate_and_nothing_else_is() {
    let ours = Authority::new();
    let (_, probes) = start(ours.identity("localhost", &ours)).await;
    choose_tls();
    let status =
        async |path: &str| reqwest::get(format!("{probes}{path}")).await.unwrap().status().as_u16();
    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 200));
    assert_eq!(status("/medseg.drift.v1.Drift/GetReport").await, 404);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_new_authority_trusted_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let (server, caller) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    old.write(expired("localhost"), &old, server.path());
    old.write(expired("worker"), &old, caller.path());
    let (url, _) = start(read(server.path()).unwrap()).await;
    let peer = Peer::connect_as(&url, Some(&read(caller.path()).unwrap())).unwrap();
    assert_ne!(ask(peer.clone()).await, Code::Unimplemented);
    new.write(named("localhost"), &new, server.path());
    assert_ne!(ask(peer.clone()).await, Code::Unimplemented, "only one of them is renewed");
    new.write(named("worker"), &new, caller.path());
    assert_eq!(ask(peer).await, Code::Unimplemented);
    assert_ne!(call(&url, &old.identity("worker", &new)).await, Code::Unimplemented);
}

#[tokio::test]
async fn files_that_make_no_sense_for_a_while_change_nothing() {
    let ours = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    ours.write(named("localhost"), &ours, folder.path());
    let (url, _) = start(read(folder.path()).unwrap()).await;
    let caller = ours.identity("worker", &ours);
    std::fs::write(folder.path().join("key"), KeyPair::generate().unwrap().serialize_pem())
        .unwrap();
    assert!(read(folder.path()).is_err(), "the key is of another certificate");
    assert_eq!(call(&url, &caller).await, Code::Unimplemented);
    std::fs::remove_file(folder.path().join("certificate")).unwrap();
    assert_eq!(call(&url, &caller).await, Code::Unimplemented);
}

#[test]
fn what_is_no_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let missing = Identity::read(Path::new("/nowhere/tls.crt"), &empty, &empty).err().unwrap();
    assert!(missing.to_string().contains("/nowhere/tls.crt"), "{missing}");
    let nothing = Identity::read(&empty, &empty, &empty).err().unwrap();
    assert!(nothing.to_string().contains("holds no certificate"), "{nothing}");
    let nobody = Peer::connect_as("https://peer", None).map(drop).unwrap_err();
    assert!(nobody.to_string().contains("TLS_CERTIFICATE"), "{nobody}");
}
