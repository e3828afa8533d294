//! What holds of every answer, whatever it is about.

use gateway::Config;
use reqwest::{Method, Response};
use service::PublicSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Gateway, Way, problem};

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn head_says_what_get_says_its_length_included() {
    let gateway = Gateway::start().await;
    let (done, failed) = (gateway.mesh.done().await, gateway.mesh.failed().await);
    for path in [
        "/".to_owned(),
        "/openapi.json".to_owned(),
        "/v1/scans".to_owned(),
        format!("/v1/scans/{done}"),
        format!("/v1/scans/{done}/result"),
        format!("/v1/scans/{done}/events"),
        format!("/v1/scans/{done}/mask.nii.gz"),
        format!("/v1/scans/{failed}/result"),
        format!("/v1/scans/{done}/slices/9.png"),
        "/v1/scans/nobody".to_owned(),
        "/v1/nothing".to_owned(),
    ] {
        for coding in ["identity", "gzip"] {
            let ask = |method: Method| {
                let request = gateway.client.request(method, format!("{}{path}", gateway.url));
                let request = request.bearer_auth(&gateway.token).header("accept-encoding", coding);
                request.header("x-request-id", "one").send()
            };
            let (head, get) = (ask(Method::HEAD).await.unwrap(), ask(Method::GET).await.unwrap());
            assert_eq!(head.status(), get.status(), "{path}");
            for name in ["content-length", "content-type", "content-encoding", "etag", "vary"] {
                assert_eq!(header(&head, name), header(&get, name), "{path}: {name}, {coding}");
            }
            let length = header(&get, "content-length").map(|length| length.parse().unwrap());
            assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
            let body = get.bytes().await.unwrap().len();
            let untold = coding == "gzip" || path.ends_with("/events");
            assert!(length.map_or(untold, |length: usize| length == body), "{path}");
        }
    }
}

#[tokio::test]
async fn long_texts_are_packed_and_what_is_packed_already_is_not() {
    let gateway = Gateway::start().await;
    let scan = format!("/v1/scans/{}", gateway.mesh.done().await);
    let ask = |path: &str| gateway.get(path).header("accept-encoding", "gzip").send();
    for (path, packed) in [
        ("/openapi.json".to_owned(), true),
        ("/".to_owned(), false),
        (scan.clone(), false),
        (format!("{scan}/mask.nii.gz"), false),
        (format!("{scan}/image.png"), false),
        (format!("{scan}/events"), false),
    ] {
        let answer = ask(&path).await.unwrap();
        let coding = header(&answer, "content-encoding");
        assert_eq!(coding.as_deref(), packed.then_some("gzip"), "{path}");
    }
    let plain = gateway.get("/openapi.json").send().await.unwrap().bytes().await.unwrap();
    let packed = ask("/openapi.json").await.unwrap().bytes().await.unwrap();
    assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() * 4 < plain.len());
}

#[tokio::test]
async fn pages_from_elsewhere_call_only_if_they_are_named() {
    let viewer = "https://viewer.hospital.example";
    let config = Config { cors_origins: vec![viewer.parse().unwrap()], ..Config::default() };
    for (config, origin, allowed) in [
        (config.clone(), viewer, true),
        (config, "https://elsewhere.example", false),
        (Config::default(), viewer, false),
    ] {
        let gateway = Gateway::with(config, Way::Within).await;
        let url = format!("{}/v1/scans", gateway.url);
        let preflight = gateway.client.request(Method::OPTIONS, &url).header("origin", origin);
        let preflight = preflight
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "accept,authorization,idempotency-key");
        let preflight = preflight.send().await.unwrap();
        let headers = header(&preflight, "access-control-allow-headers").unwrap_or_default();
        for name in ["accept", "authorization", "idempotency-key"] {
            let taken = headers.split(',').any(|taken| taken.trim() == name);
            assert!(taken || !allowed, "{name}: {headers}");
        }
        let call = gateway.get("/v1/scans").header("origin", origin).send().await.unwrap();
        for answer in [preflight, call] {
            let named = header(&answer, "access-control-allow-origin");
            assert_eq!(named.as_deref(), allowed.then_some(viewer), "{origin}");
            assert_eq!(header(&answer, "access-control-allow-credentials"), None);
        }
    }
}

#[tokio::test]
async fn what_is_too_large_is_told_before_a_byte_is_sent() {
    let gateway = Gateway::with(Config { upload_mib: 1, ..Config::default() }, Way::Within).await;
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST /v1/scans HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        gateway.token,
        (1 << 20) + 1
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    let body = vec![0; (1 << 20) + 1];
    let (_, name, body) = problem(gateway.post("/v1/scans").body(body).send().await.unwrap()).await;
    assert_eq!(name, "payload-too-large");
    assert!(body["detail"].as_str().unwrap().contains("1 MiB"), "{body}");
}

#[tokio::test]
async fn browsers_are_told_to_come_by_tls_alone_where_they_can() {
    for behind_proxy in [false, true] {
        let public = PublicSettings { behind_proxy, ..PublicSettings::default() };
        let gateway = Gateway::with(Config { public, ..Config::default() }, Way::Within).await;
        for path in ["/", "/v1/scans", "/v1/nothing", "/openapi.json"] {
            let answer = gateway.get(path).send().await.unwrap();
            let told = behind_proxy.then_some("max-age=63072000; includeSubDomains");
            assert_eq!(header(&answer, "strict-transport-security").as_deref(), told, "{path}");
            for policy in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
                assert_eq!(header(&answer, policy).as_deref(), Some("same-origin"), "{path}");
            }
            assert!(header(&answer, "permissions-policy").unwrap().contains("camera=()"), "{path}");
            for (name, said) in [("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")] {
                assert_eq!(header(&answer, name).as_deref(), Some(said), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_names_two_hosts_is_refused() {
    let gateway = Gateway::start().await;
    for (hosts, status) in [("host: x\r\n", "401"), ("host: x\r\nhost: y\r\n", "400")] {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        let head = format!("GET /v1/scans HTTP/1.1\r\n{hosts}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"));
    }
}
