//! Instances as clients of STOW-RS send them (PS3.18, 10.5), and studies that are complete.

use gateway::Config;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::ingest::Ingest;
use crate::{Gateway, Way, json, problem};

const PARTS: &str = "multipart/related; type=\"application/dicom\"; boundary=\"a boundary\"";

/// A body of those instances, each with what its part says beside.
fn body(instances: &[(&str, &str)]) -> String {
    let part = |(parameters, bytes): &(&str, &str)| {
        format!("\r\n--a boundary\r\nContent-Type: application/dicom{parameters}\r\n\r\n{bytes}")
    };
    let parts: Vec<_> = instances.iter().map(part).collect();
    format!("{}\r\n--a boundary--", parts.concat())
}

fn storing(gateway: &Gateway, path: &str, instances: &[(&str, &str)]) -> RequestBuilder {
    let request = gateway.post(path).header("content-type", PARTS);
    request.header("accept", "application/dicom+json").body(body(instances))
}

async fn told(response: Response) -> (u16, Value) {
    assert_eq!(response.headers()["content-type"], "application/dicom+json");
    json(response).await
}

/// The instances of that sequence of an answer.
fn instances(answer: &Value, sequence: &str) -> Vec<String> {
    let items = answer[sequence]["Value"].as_array().cloned().unwrap_or_default();
    let uid = |item: &Value| item["00081155"]["Value"][0].as_str().unwrap().to_owned();
    items.iter().map(uid).collect()
}

#[tokio::test]
async fn each_instance_is_sent_on_by_itself_and_answered_by_itself() {
    for way in [Way::Within, Way::Network] {
        let gateway = Gateway::with(Config::default(), way).await;
        let sent = [("", "one"), ("; transfer-syntax=1.2.840.10008.1.2.1", "second")];
        let answer = storing(&gateway, "/dicomweb/studies?site=north", &sent).send().await.unwrap();
        let (status, said) = told(answer).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(instances(&said, "00081199"), ["1.2.3.3", "1.2.3.6"]);
        assert_eq!(said["00081190"], json!({"vr": "UR", "Value": ["/dicomweb/studies/1.2"]}));
        assert!(said.get("00081198").is_none(), "{said}");

        let seen = gateway.ingest.stored().remove(0);
        assert_eq!((seen.header.study_uid.as_str(), seen.header.site.as_str()), ("", "north"));
        let syntax = "1.2.840.10008.1.2.1".to_owned();
        let came = [(String::new(), b"one".to_vec()), (syntax, b"second".to_vec())];
        assert_eq!((seen.instances.as_slice(), seen.whole), (came.as_slice(), true), "{way:?}");
    }
}

#[tokio::test]
async fn some_or_all_that_fail_are_listed_with_reasons_and_the_status_says_so() {
    let gateway = Gateway::start().await;
    let sent = [("", "one"), ("", "refuse this")];
    let answer = storing(&gateway, "/dicomweb/studies/1.2", &sent).send().await.unwrap();
    let (status, said) = told(answer).await;
    assert_eq!((status, instances(&said, "00081199")), (202, vec!["1.2.3.3".to_owned()]));
    assert_eq!(said["00081198"]["Value"][0]["00081197"]["Value"], json!([0xa900]));
    assert_eq!(gateway.ingest.stored()[0].header.study_uid, "1.2");

    let answer = storing(&gateway, "/dicomweb/studies/1.2", &sent[1..]).send().await.unwrap();
    let (status, said) = told(answer).await;
    assert_eq!((status, instances(&said, "00081198")), (409, vec!["1.2.3.11".to_owned()]));
    assert!(said.get("00081199").is_none(), "{said}");
}

#[tokio::test]
async fn one_instance_may_be_the_whole_body() {
    let gateway = Gateway::start().await;
    let request = gateway.post("/dicomweb/studies").header("content-type", "application/dicom");
    let (status, said) = told(request.body("alone").send().await.unwrap()).await;
    assert_eq!((status, instances(&said, "00081199")), (200, vec!["1.2.3.5".to_owned()]));
    let seen = gateway.ingest.stored().remove(0);
    assert_eq!(seen.instances, [(String::new(), b"alone".to_vec())]);
}

#[tokio::test]
async fn what_is_not_spoken_here_is_refused_in_words() {
    let gateway = Gateway::start().await;
    let of = |content_type: &str| {
        let request = gateway.post("/dicomweb/studies").header("content-type", content_type);
        request.body(body(&[("", "one")]))
    };
    let wanting = |accept: &str| of(PARTS).header("accept", accept);
    for (request, status, name) in [
        (wanting("application/dicom+xml"), 406, "not-acceptable"),
        (of("application/zip"), 415, "unsupported-media-type"),
        (
            of("multipart/related; type=\"application/dicom+json\"; boundary=b"),
            415,
            "unsupported-media-type",
        ),
        (of("multipart/form-data; boundary=b"), 415, "unsupported-media-type"),
        (of("multipart/related; type=\"application/dicom\""), 400, "invalid"),
        (of(PARTS).header("content-encoding", "gzip"), 415, "unsupported-media-type"),
        (storing(&gateway, "/dicomweb/studies", &[]), 400, "invalid"),
        (storing(&gateway, "/dicomweb/studies", &[("", "full")]), 429, "too-many-requests"),
        (storing(&gateway, "/dicomweb/studies?patient_id=7", &[("", "one")]), 400, "invalid"),
    ] {
        let (said, problem, body) = problem(request.send().await.unwrap()).await;
        assert_eq!((said, problem.as_str()), (status, name), "{body}");
    }
    let full = storing(&gateway, "/dicomweb/studies", &[("", "full")]).send().await.unwrap();
    assert!(full.headers().contains_key("retry-after"));
    let nobody = gateway.client.post(format!("{}/dicomweb/studies", gateway.url));
    let nobody = nobody.header("content-type", PARTS).body(body(&[("", "one")]));
    assert_eq!(problem(nobody.send().await.unwrap()).await.0, 401);
}

#[tokio::test]
async fn a_request_that_is_larger_than_an_upload_may_be_is_refused() {
    let gateway = Gateway::with(Config { upload_mib: 1, ..Config::default() }, Way::Within).await;
    let large = "x".repeat(1 << 20);
    let answer = storing(&gateway, "/dicomweb/studies", &[("", &large)]).send().await.unwrap();
    assert_eq!(problem(answer).await.0, 413);
}

#[tokio::test]
async fn a_study_is_completed_with_a_number_or_without() {
    let gateway = Gateway::start().await;
    let complete = || gateway.post("/v1/studies/1.2.3/complete");
    let (status, said) = json(complete().send().await.unwrap()).await;
    assert_eq!((status, said), (202, json!({"series": 2, "instances": 24})));
    let (status, _) = json(complete().json(&json!({"instances": 24})).send().await.unwrap()).await;
    assert_eq!(status, 202);
    let other = complete().json(&json!({"instances": 23})).send().await.unwrap();
    let (status, _, body) = problem(other).await;
    assert_eq!((status, body["detail"].as_str()), (409, Some("there are 24 instances")));
    let unknown = complete().json(&json!({"slices": 23})).send().await.unwrap();
    assert_eq!(problem(unknown).await.0, 400);
    let asked: Vec<_> = gateway.ingest.completed().iter().map(|asked| asked.instances).collect();
    assert_eq!(asked, [None, Some(24), Some(23)]);
    assert!(gateway.ingest.completed().iter().all(|asked| asked.study_uid == "1.2.3"));
}

/// Each ingest knows its own inbox only: what comes to two of them would be two halves of a series.
#[tokio::test]
async fn instances_go_to_the_one_ingest_with_the_inbox_and_uploads_to_any() {
    let inbox = Ingest::default();
    let gateway = Gateway::beside(Some(inbox.clone()), Config::default(), Way::Within).await;
    let stored = storing(&gateway, "/dicomweb/studies", &[("", "one")]).send().await.unwrap();
    assert_eq!(told(stored).await.0, 200);
    let completed = gateway.post("/v1/studies/1.2.3/complete").send().await.unwrap();
    assert_eq!(json(completed).await.0, 202);
    let uploaded = gateway.post("/v1/scans").body("pixels").send().await.unwrap();
    assert_eq!(json(uploaded).await.0, 202);
    let came = |to: &Ingest| (to.stored().len(), to.completed().len(), to.seen().len());
    assert_eq!((came(&inbox), came(&gateway.ingest)), ((1, 1, 0), (0, 0, 1)));
    let (status, peers) = json(gateway.get("/peers").send().await.unwrap()).await;
    assert_eq!((status, &peers["inbox"]), (200, &json!("ok")));
}
