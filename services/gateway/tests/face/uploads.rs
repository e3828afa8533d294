use std::time::Duration;

use gateway::Config;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ingest::ReceivedUpload;
use crate::{Gateway, Way, json, problem, until};

const WAYS: [Way; 2] = [Way::Within, Way::Network];

fn seen(key: &str, file_name: &str, bytes: &[u8]) -> ReceivedUpload {
    let (key, file_name) = (key.to_owned(), file_name.to_owned());
    let (start, length) = (bytes.to_vec(), bytes.len());
    ReceivedUpload { key, file_name, start, length, whole: true, ..ReceivedUpload::default() }
}

#[tokio::test]
async fn the_body_is_the_file() {
    for way in WAYS {
        let gateway = Gateway::with(Config::default(), way).await;
        let request = gateway.post("/v1/scans").header("idempotency-key", "key 1").body("pixels");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["location"], "/v1/scans/queued");
        let (status, scan) = json(answer).await;
        let (state, answer) = (scan["state"].as_str(), &scan["answer"]);
        assert_eq!(
            (status, state, answer, &scan["completed_ms"]),
            (202, Some("queued"), &json!(null), &json!(null))
        );
        assert_eq!(gateway.ingest.seen(), [seen("key 1", "", b"pixels")], "{way:?}");
    }
}

#[tokio::test]
async fn an_upload_may_be_urgent_and_nothing_else_than_urgent_or_routine() {
    let gateway = Gateway::start().await;
    for path in ["/v1/scans?priority=stat", "/v1/batches?priority=stat"] {
        let answer = gateway.post(path).body("pixels").send().await.unwrap();
        assert_eq!(answer.status(), 202, "{path}");
    }
    let answer = gateway.post("/v1/scans?priority=routine").body("pixels").send().await.unwrap();
    let (_, scan) = json(answer).await;
    assert_eq!(scan["priority"], "routine");
    let stat: Vec<_> = gateway.ingest.seen().iter().map(|seen| seen.stat).collect();
    assert_eq!(stat, [true, true, false]);

    let refused = gateway.post("/v1/scans?priority=urgent").body("pixels").send().await.unwrap();
    let (status, _, body) = problem(refused).await;
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(status == 400 && detail.contains("`routine` or `stat`"), "{status}: {detail}");
    assert_eq!(gateway.ingest.seen().len(), 3);
}

#[tokio::test]
async fn what_the_sender_states_of_a_file_goes_along_and_must_be_a_text() {
    let gateway = Gateway::start().await;
    for path in ["/v1/scans", "/v1/batches"] {
        let path =
            format!("{path}?reference=order%207&patient_id=47%2F11&accession_number=%C3%84%201");
        assert_eq!(gateway.post(&path).body("pixels").send().await.unwrap().status(), 202);
        let stated = gateway.ingest.seen().pop().unwrap().stated;
        assert_eq!(stated, ["order 7", "47/11", "Ä 1"], "{path}");
    }
    for query in ["patient_id=", "patient_id=a%5Cb", "reference=a%0Ab", "patient=4711"] {
        let refused = gateway.post(&format!("/v1/scans?{query}")).body("pixels").send().await;
        let (status, _, body) = problem(refused.unwrap()).await;
        let name = query.split('=').next().unwrap();
        assert_eq!(status, 400, "{query}");
        assert!(body["detail"].as_str().unwrap().contains(&format!("`{name}`")), "{body}");
    }
    assert_eq!(gateway.ingest.seen().len(), 2);
}

#[tokio::test]
async fn every_file_of_a_form_is_sent_on() {
    let gateway = Gateway::start().await;
    let file = |name: &'static str, bytes: &'static str| Part::text(bytes).file_name(name);
    let form = Form::new()
        .text("note", "not a file")
        .part("scan", file("a.png", "pixels"))
        .part("b", file("b.png", " and more"));
    let answer = gateway.post("/v1/scans").multipart(form).send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/v1/scans/queued");
    assert_eq!(answer.status(), 202);
    assert_eq!(gateway.ingest.seen(), [seen("", "a.png, b.png", b"pixels and more")]);

    // Which are one scan and which are several, ingest tells.
    let scan = gateway.mesh.queued().await;
    gateway.ingest.makes(gateway.mesh.batch(&scan).await);
    let form = Form::new().part("a", file("a", "seve")).part("b", file("b", "ral"));
    let answer = gateway.post("/v1/scans").multipart(form).send().await.unwrap();
    assert!(answer.headers()["location"].to_str().unwrap().starts_with("/v1/batches/"));
    let (status, batch) = json(answer).await;
    assert_eq!((status, &batch["entries"][0]["scan"]["id"]), (202, &json!(scan)));

    let form = Form::new().text("note", "not a file");
    let (status, _, body) =
        problem(gateway.post("/v1/scans").multipart(form).send().await.unwrap()).await;
    assert_eq!((status, body["detail"].as_str()), (400, Some("there is no file in the form")));
}

#[tokio::test]
async fn what_the_query_says_is_never_passed_over_in_a_form() {
    let gateway = Gateway::start().await;
    for name in
        ["priority", "reference", "patient_id", "accession_number", "Patient_ID", "patientId"]
    {
        for (path, first) in [("/v1/scans", true), ("/v1/scans", false), ("/v1/batches", true)] {
            let file = Part::text("pixels").file_name("a.png");
            let form = match first {
                true => Form::new().text(name, "stat").part("file", file),
                false => Form::new().part("file", file).text(name, "stat"),
            };
            let answer = gateway.post(path).multipart(form).send().await.unwrap();
            let (status, _, body) = problem(answer).await;
            assert_eq!(status, 400, "{path}, {name}");
            assert!(body["detail"].as_str().unwrap().contains(&format!("`{name}`")), "{body}");
        }
    }
    assert!(gateway.ingest.seen().iter().all(|seen| !seen.whole));
}

#[tokio::test]
async fn a_refusal_is_a_problem_of_its_own_type_with_a_page() {
    let gateway = Gateway::start().await;
    let (status, name, body) =
        problem(gateway.post("/v1/scans").body("refuse").send().await.unwrap()).await;
    assert_eq!(
        (status, name.as_str(), body["title"].as_str()),
        (422, "too-small", Some("The image is too small"))
    );
    let (status, page) =
        json(gateway.get(body["type"].as_str().unwrap()).send().await.unwrap()).await;
    assert_eq!((status, page["title"].as_str()), (200, body["title"].as_str()));
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_no_upload() {
    // So much that it has begun.
    let begin = "x".repeat(70_000);
    let form = "--b\r\ncontent-disposition: form-data; name=f; filename=f\r\n\r\n";
    let cut = [
        format!("content-length: 90000\r\n\r\n{begin}"),
        format!("transfer-encoding: chunked\r\n\r\n11170\r\n{begin}\r\n"),
        format!(
            "content-type: multipart/form-data; boundary=b\r\ncontent-length: 90000\r\n\r\n{form}{begin}"
        ),
    ];
    for way in WAYS {
        for (index, cut) in cut.iter().enumerate() {
            let gateway = Gateway::with(Config::default(), way).await;
            let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
            let request = format!(
                "POST /v1/scans HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{cut}",
                gateway.token
            );
            socket.write_all(request.as_bytes()).await.unwrap();
            let begun = |seen: &ReceivedUpload| seen.length > 0 || seen.file_name == "f";
            until(|| gateway.ingest.seen().first().is_some_and(begun)).await;
            drop(socket);
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(!gateway.ingest.seen()[0].whole, "{way:?}, cut {index}");
        }
    }
}

#[tokio::test]
async fn a_form_without_its_end_is_no_upload() {
    for way in WAYS {
        let gateway = Gateway::with(Config::default(), way).await;
        let form = "--b\r\ncontent-disposition: form-data; name=f; filename=f\r\n\r\nthe whole file, but\r\n--b\r\n";
        let request = gateway
            .post("/v1/scans")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(form);
        let (status, name, _) = problem(request.send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (400, "invalid"));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(gateway.ingest.seen().iter().all(|seen| !seen.whole), "{way:?}");
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_before_a_byte_of_the_body() {
    let gateway = Gateway::start().await;
    for header in ["", "authorization: Bearer made.up.token\r\n", "expect: 100-continue\r\n"] {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        let head = format!(
            "POST /v1/scans HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n{header}\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
    }
    assert_eq!(gateway.ingest.seen(), []);
}

#[tokio::test]
async fn who_is_refused_before_his_last_byte_still_gets_the_answer() {
    let gateway = Gateway::with(Config { upload_mib: 1, ..Config::default() }, Way::Within).await;
    let token = format!("authorization: Bearer {}\r\n", gateway.token);
    for (token, status) in [("", 401), (token.as_str(), 413)] {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        let bytes = vec![0; 8 << 20];
        let head = format!(
            "POST /v1/scans HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n{token}\r\n",
            bytes.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&bytes).await.unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, *format!("HTTP/1.1 {status}").as_bytes());
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_at_the_limit_and_not_below() {
    let config = Config { upload_mib: 1, ..Config::default() };
    const MIB: usize = 1 << 20;
    for (length, expected) in [(MIB - 1, 202), (MIB, 202), (MIB + 1, 413), (3 * MIB, 413)] {
        for streamed in [false, true] {
            let gateway = Gateway::with(config.clone(), Way::Within).await;
            let bytes = vec![b'x'; length];
            let body = match streamed {
                true => {
                    reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(
                        bytes,
                    )]))
                }
                false => bytes.into(),
            };
            let answer = gateway.post("/v1/scans").body(body).send().await.unwrap();
            assert_eq!(answer.status(), expected, "{length} bytes, streamed: {streamed}");
            let whole = gateway.ingest.seen().first().is_some_and(|seen| seen.whole);
            assert_eq!(whole, expected == 202);
        }
    }
}

#[tokio::test]
async fn more_uploads_than_allowed_are_told_to_come_back() {
    let gateway = Gateway::with(Config { max_uploads: 1, ..Config::default() }, Way::Within).await;
    let mut first = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST /v1/scans HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 70005\r\n\r\n",
        gateway.token
    );
    first.write_all(head.as_bytes()).await.unwrap();
    // Who has sent nothing keeps nobody out.
    assert_eq!(gateway.post("/v1/scans").body("pixels").send().await.unwrap().status(), 202);
    let before = gateway.ingest.seen().len();
    first.write_all(&[b'x'; 70_000]).await.unwrap();
    until(|| gateway.ingest.seen().len() > before).await;

    let second = gateway.post("/v1/scans").body("pixels").send().await.unwrap();
    assert_eq!(second.headers()["retry-after"], "1");
    let (status, name, _) = problem(second).await;
    assert_eq!((status, name.as_str()), (503, "unavailable"));

    first.write_all(b" end.").await.unwrap();
    until(|| gateway.ingest.seen()[before].whole).await;
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 202");
    assert_eq!(gateway.post("/v1/scans").body("pixels").send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn a_full_disk_is_told_without_its_name() {
    let gateway = Gateway::start().await;
    let answer = gateway.post("/v1/scans").body("full").send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "1");
    let (status, _, body) = problem(answer).await;
    assert_eq!((status, body.to_string().contains("sdb1")), (503, false));
}

#[tokio::test]
async fn a_packed_body_is_refused() {
    let gateway = Gateway::start().await;
    let answer = gateway
        .post("/v1/scans")
        .header("content-encoding", "gzip")
        .body("pixels")
        .send()
        .await
        .unwrap();
    assert_eq!(problem(answer).await.0, 415);
    let answer =
        gateway.post("/v1/scans").header("idempotency-key", "k".repeat(256)).body("pixels").send();
    assert_eq!(problem(answer.await.unwrap()).await.0, 400);
    assert_eq!(gateway.ingest.seen(), []);
}
