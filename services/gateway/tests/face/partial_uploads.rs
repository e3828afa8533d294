//! Uploads in several requests, as clients of tus send them.

use gateway::Config;
use proto::ingest::UploadContents;
use proto::storage::Priority;
use reqwest::{Method, RequestBuilder, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::{Gateway, Way, json, problem, until};

const BYTES: &str = "application/offset+octet-stream";

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn at(gateway: &Gateway, method: Method, path: &str) -> RequestBuilder {
    let request = gateway.client.request(method, format!("{}{path}", gateway.url));
    request.bearer_auth(&gateway.token).header("tus-resumable", "1.0.0")
}

async fn begun(gateway: &Gateway, query: &str, length: usize) -> String {
    let begin = at(gateway, Method::POST, &format!("/v1/uploads{query}"));
    let answer = begin.header("upload-length", length).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    header(&answer, "location").unwrap()
}

async fn appended(gateway: &Gateway, upload: &str, offset: usize, bytes: &'static str) -> Response {
    let append = at(gateway, Method::PATCH, upload).header("upload-offset", offset);
    append.header("content-type", BYTES).body(bytes).send().await.unwrap()
}

#[tokio::test]
async fn an_upload_begins_goes_on_and_becomes_a_scan_in_the_words_of_the_protocol() {
    for way in [Way::Within, Way::Network] {
        let gateway = Gateway::with(Config::default(), way).await;
        let scan = gateway.mesh.done().await;
        gateway.ingest.becomes(scan.clone());
        let asked = "/v1/uploads?contents=files&priority=stat&patient_id=7&site=north";
        let begin = at(&gateway, Method::POST, asked);
        let begin = begin.header("idempotency-key", "key 1").header("upload-length", 6);
        let begin = begin.header("upload-metadata", "filename aGVhZC56aXA=,filetype YQ==");
        let answer = begin.send().await.unwrap();
        let said = ["tus-resumable", "upload-offset", "upload-length", "upload-expires"];
        let said = said.map(|name| header(&answer, name).unwrap());
        assert_eq!(said, ["1.0.0", "0", "6", "Sun, 06 Nov 1994 08:49:37 GMT"]);
        let upload = header(&answer, "location").unwrap();
        let kept = gateway.ingest.parts().remove(0).unwrap().beginning;
        let sent = kept.header.clone().unwrap();
        assert_eq!((kept.contents(), sent.priority()), (UploadContents::Files, Priority::Stat));
        assert_eq!(
            [sent.idempotency_key, sent.file_name, sent.patient_id, sent.site],
            ["key 1", "head.zip", "7", "north"]
        );

        let more = appended(&gateway, &upload, 0, "abc").await;
        assert_eq!(
            (more.status().as_u16(), header(&more, "upload-offset")),
            (204, Some("3".into()))
        );
        let asked = at(&gateway, Method::HEAD, &upload).send().await.unwrap();
        let said = ["upload-offset", "upload-length", "cache-control"];
        let said = said.map(|name| header(&asked, name).unwrap());
        assert_eq!(
            (asked.status().as_u16(), said),
            (200, ["3", "6", "no-store"].map(String::from))
        );

        let whole = appended(&gateway, &upload, 3, "def").await;
        let said = ["upload-offset", "location"].map(|name| header(&whole, name).unwrap());
        assert_eq!(said, ["6".to_owned(), format!("/v1/scans/{scan}")]);
        let (status, told) = json(gateway.get(&upload).send().await.unwrap()).await;
        assert_eq!((status, told["scan"]["id"].as_str()), (200, Some(scan.as_str())));
        assert_eq!(gateway.ingest.parts()[0].as_ref().unwrap().bytes, b"abcdef");

        let gone = at(&gateway, Method::DELETE, &upload).send().await.unwrap();
        assert_eq!(gone.status(), 204);
        assert_eq!(problem(gateway.get(&upload).send().await.unwrap()).await.0, 404);
    }
}

#[tokio::test]
async fn what_came_before_a_lost_line_is_there() {
    for way in [Way::Within, Way::Network] {
        let gateway = Gateway::with(Config::default(), way).await;
        let upload = begun(&gateway, "", 200_000).await;
        let mut line = TcpStream::connect(gateway.address()).await.unwrap();
        let head = format!(
            "PATCH {upload} HTTP/1.1\r\nhost: medseg\r\nauthorization: Bearer {}\r\ncontent-type: {BYTES}\r\n\
             upload-offset: 0\r\ncontent-length: 200000\r\n\r\n",
            gateway.token
        );
        line.write_all(head.as_bytes()).await.unwrap();
        // More than a gateway waits for before it opens a call.
        line.write_all(&[7; 100_000]).await.unwrap();
        let kept = || gateway.ingest.parts()[0].as_ref().unwrap().bytes.len();
        until(|| kept() > 0).await;
        drop(line);
        let asked = at(&gateway, Method::HEAD, &upload).send().await.unwrap();
        assert_ne!(header(&asked, "upload-offset").unwrap(), "0", "{way:?}");
    }
}

#[tokio::test]
async fn what_is_not_in_the_protocol_is_refused_and_told_why() {
    let gateway = Gateway::start().await;
    let upload = begun(&gateway, "", 6).await;
    let begin = || at(&gateway, Method::POST, "/v1/uploads");
    let append = || at(&gateway, Method::PATCH, &upload).header("content-type", BYTES).body("abc");
    let other = gateway.client.patch(format!("{}{upload}", gateway.url));
    let other = other.bearer_auth(&gateway.token).header("tus-resumable", "0.2.2");
    for (request, status, name) in [
        (begin(), 400, "invalid"),
        (begin().header("upload-length", "-1"), 400, "invalid"),
        (begin().header("upload-length", 1_u64 << 40), 413, "payload-too-large"),
        (
            begin().header("upload-length", 1).header("upload-metadata", "filename head.nii"),
            400,
            "invalid",
        ),
        (append(), 400, "invalid"),
        (append().header("upload-offset", 4), 409, "conflict"),
        (
            at(&gateway, Method::PATCH, &upload).header("upload-offset", 0).body("abc"),
            415,
            "unsupported-media-type",
        ),
        (other, 412, "tus-version"),
        (
            at(&gateway, Method::PATCH, "/v1/uploads/9")
                .header("content-type", BYTES)
                .header("upload-offset", 0),
            404,
            "not-found",
        ),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(header(&answer, "tus-resumable").as_deref(), Some("1.0.0"));
        let (answered, kind, body) = problem(answer).await;
        assert_eq!((answered, kind.as_str()), (status, name), "{body}");
    }
    assert_eq!(gateway.ingest.parts()[0].as_ref().unwrap().bytes, b"");
    let nobody = gateway.client.post(format!("{}/v1/uploads", gateway.url)).send().await.unwrap();
    assert_eq!(problem(nobody).await.0, 401);

    let refused = begun(&gateway, "", 6).await;
    let (status, name, _) = problem(appended(&gateway, &refused, 0, "refuse").await).await;
    assert_eq!((status, name.as_str()), (422, "too-small"));
    let (_, told) = json(gateway.get(&refused).send().await.unwrap()).await;
    assert_eq!(told["refusal"]["type"], "/problems/too-small");
}

#[tokio::test]
async fn anybody_is_told_what_of_the_protocol_is_spoken() {
    let gateway = Gateway::start().await;
    let url = format!("{}/v1/uploads", gateway.url);
    let answer = gateway.client.request(Method::OPTIONS, url).send().await.unwrap();
    let said = ["tus-resumable", "tus-version", "tus-extension", "tus-max-size"];
    let said = said.map(|name| header(&answer, name).unwrap());
    let size = (Config::default().upload_mib << 20).to_string();
    assert_eq!(
        (answer.status().as_u16(), said),
        (204, ["1.0.0", "1.0.0", "creation,expiration,termination", &size].map(String::from))
    );
}
