//! TLS: who may call whom between services, and what people are shown, with certificates made here.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use proto::drift::ReportRef;
use proto::drift::drift_client::DriftClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use service::{
    Certificate, Identity, Listeners, Peer, Public, Service, choose_tls, serve, serve_at,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
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
async fn where_callers_are_named_nobody_else_of_the_authority_is_answered() {
    let ours = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    ours.write(named("localhost"), &ours, folder.path());
    let file = |name: &str| folder.path().join(name);
    let only = |callers: &[&str]| {
        let callers: Vec<_> = callers.iter().map(|name| (*name).to_owned()).collect();
        Identity::read_for(&file("certificate"), &file("key"), &file("authority"), &callers)
    };
    let (url, _) = start(only(&["medseg-gateway", "medseg-storage"]).unwrap()).await;
    for (caller, answered) in
        [("medseg-gateway", true), ("medseg-storage", true), ("medseg-drift", false)]
    {
        let code = call(&url, &ours.identity(caller, &ours)).await;
        assert_eq!(code == Code::Unimplemented, answered, "{caller}: {code:?}");
    }
    let (url, _) = start(only(&[""]).unwrap()).await;
    assert_eq!(call(&url, &ours.identity("anybody", &ours)).await, Code::Unimplemented);
    let nobody = only(&["not a host"]).err().unwrap();
    assert!(nobody.to_string().contains("`not a host` in TLS_CALLERS"), "{nobody}");
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

/// A service for people, with the certificate in `folder`.
async fn open_to_people(folder: &Path) -> SocketAddr {
    let certificate = Certificate::read(&folder.join("certificate"), &folder.join("key")).unwrap();
    let public = Public { certificate: Some(certificate), ..Public::default() };
    let http = Router::new().route("/hello", get(|| async { "hello" }));
    let service = Service { name: "open", http, public: Some(public), ..Service::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(service, listener, CancellationToken::new()));
    address
}

/// A line of somebody who trusts `authority` alone, has no certificate, and speaks `protocol`.
async fn visit(
    address: SocketAddr,
    authority: &Authority,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    choose_tls();
    let mut roots = RootCertStore::empty();
    let pem = authority.0.pem();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let host = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(host, stream).await
}

/// The first words of what it answers on a line that stays open.
async fn greet(line: &mut TlsStream<TcpStream>) -> String {
    line.write_all(b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut piece = [0; 256];
        let read = line.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer[..12]).into_owned()
}

#[tokio::test]
async fn people_need_no_certificate_and_see_a_renewed_one_while_open_lines_stay() {
    let (first, second) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    first.write(named("localhost"), &first, folder.path());
    let address = open_to_people(folder.path()).await;
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let line = visit(address, &first, protocol).await.unwrap();
        assert_eq!(line.get_ref().1.alpn_protocol(), Some(protocol));
    }
    let mut line = visit(address, &first, b"http/1.1").await.unwrap();
    assert_eq!(greet(&mut line).await, "HTTP/1.1 200");
    assert!(visit(address, &second, b"h2").await.is_err());
    assert!(reqwest::get(format!("http://{address}/hello")).await.is_err(), "without TLS, nothing");

    second.write(named("localhost"), &second, folder.path());
    while visit(address, &second, b"h2").await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(visit(address, &first, b"h2").await.is_err());
    assert_eq!(greet(&mut line).await, "HTTP/1.1 200");

    // What makes no sense is looked at and changes nothing.
    std::fs::write(folder.path().join("key"), KeyPair::generate().unwrap().serialize_pem())
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(visit(address, &second, b"h2").await.is_ok());
}

#[tokio::test]
async fn whoever_asks_for_nothing_once_the_line_is_made_is_closed() {
    let ours = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    ours.write(named("localhost"), &ours, folder.path());
    let address = open_to_people(folder.path()).await;
    let mut line = visit(address, &ours, b"h2").await.unwrap();
    let mut byte = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(60), line.read(&mut byte));
    let closed = read.await.unwrap();
    assert!(!matches!(closed, Ok(1)), "{closed:?}");
}

#[test]
fn a_certificate_for_people_that_will_not_do_is_named() {
    let ours = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    ours.write(named("localhost"), &ours, folder.path());
    let (certificate, key) = (folder.path().join("certificate"), folder.path().join("key"));
    let missing = Certificate::read(Path::new("/nowhere/tls.crt"), &key).err().unwrap();
    assert!(missing.to_string().contains("/nowhere/tls.crt"), "{missing}");
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let of_another = Certificate::read(&certificate, &key).err().unwrap();
    assert!(of_another.to_string().contains("certificate or key"), "{of_another}");
}
