use imaging::ResultDocument;
use serde_json::json;

use crate::between::Fault;
use crate::mesh::{ANALYSIS_MS, NOW_MS};
use crate::{Gateway, json, problem};

#[tokio::test]
async fn each_artefact_has_its_media_type_and_a_tag_that_saves_the_second_download() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    for (name, media) in [
        ("mask.png", "image/png"),
        ("overlay.png", "image/png"),
        ("image.png", "image/png"),
        ("mask.nii.gz", "application/gzip"),
    ] {
        let path = format!("/v1/scans/{scan}/{name}");
        let answer = gateway.get(&path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((answer.status().as_u16(), header("content-type").as_str()), (200, media));
        assert_eq!(
            (header("cache-control").as_str(), header("x-content-type-options").as_str()),
            ("private, no-cache", "nosniff")
        );
        let shown = format!("inline; filename=\"{scan}-{name}\"");
        assert_eq!(header("content-disposition"), shown);
        let tag = header("etag");
        assert_eq!(answer.text().await.unwrap(), format!("bytes of {name}"));

        let again = gateway.get(&path).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(
            (again.status().as_u16(), again.headers()["etag"].to_str().unwrap()),
            (304, tag.as_str())
        );
        let other = gateway.get(&path).header("if-none-match", "\"another\"").send().await.unwrap();
        assert_eq!(other.status(), 200);
    }
}

#[tokio::test]
async fn what_is_not_there_yet_says_when_to_ask_again() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.running().await;
    for name in ["result", "mask.png", "overlay.png", "mask.nii.gz"] {
        let answer = gateway.get(&format!("/v1/scans/{scan}/{name}")).send().await.unwrap();
        assert_eq!(answer.headers()["retry-after"], "1");
        let (status, kind, _) = problem(answer).await;
        assert_eq!((status, kind.as_str()), (409, "not-ready"), "{name}");
    }
    let image = gateway.get(&format!("/v1/scans/{scan}/image.png")).send().await.unwrap();
    assert_eq!(image.status(), 200);
}

#[tokio::test]
async fn the_image_becomes_the_slice_that_mask_and_overlay_show() {
    let gateway = Gateway::start().await;
    for (scan, shown) in [
        (gateway.mesh.running().await, "image.png"),
        (gateway.mesh.done().await, "image.png"),
        (gateway.mesh.volume().await, "shown.png"),
    ] {
        let answer = gateway.get(&format!("/v1/scans/{scan}/image.png")).send().await.unwrap();
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        assert!(tag.ends_with(&format!("/{shown}\"")), "{scan}: {tag}");
        assert_eq!(answer.text().await.unwrap(), format!("bytes of {shown}"), "{scan}");
    }
}

#[tokio::test]
async fn the_result_is_the_document_that_was_kept() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let result = gateway.get(&format!("/v1/scans/{scan}/result")).send().await.unwrap();
    let result = json(result).await;
    assert_eq!(result, (200, json!({"answer": "found", "findings": [{}]})));
}

#[tokio::test]
async fn a_scan_that_failed_has_a_result_that_says_so_and_no_mask() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.failed().await;
    let result = gateway.get(&format!("/v1/scans/{scan}/result")).send().await.unwrap();
    let (status, result) = json(result).await;
    let (answer, reason) = (result["answer"].as_str(), result["reason"].as_str());
    assert_eq!(
        (status, answer, reason),
        (200, Some("failed"), Some("the worker died three times"))
    );
    let document: ResultDocument = serde_json::from_value(result).unwrap();
    let reason = Some("the worker died three times".to_owned());
    let (accepted_ms, completed_ms) = (NOW_MS, NOW_MS + ANALYSIS_MS);
    let expected = ResultDocument::failed(scan.clone(), reason, accepted_ms, completed_ms);
    assert_eq!(document, expected);
    let mask = gateway.get(&format!("/v1/scans/{scan}/mask.png")).send().await.unwrap();
    assert_eq!(problem(mask).await.0, 404);
}

#[tokio::test]
async fn the_original_is_only_ever_downloaded() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let answer = gateway.get(&format!("/v1/scans/{scan}/original")).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    let (media, shown) = (header("content-type"), header("content-disposition"));
    let download = format!("attachment; filename=\"{scan}.png\"");
    assert_eq!((media, shown), ("application/octet-stream", download.as_str()));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").starts_with("default-src 'none'"));
}

#[tokio::test]
async fn a_part_of_an_artefact_is_that_part_of_it() {
    let gateway = Gateway::start().await;
    let path = format!("/v1/scans/{}/mask.nii.gz", gateway.mesh.done().await);
    let whole = gateway.get(&path).send().await.unwrap();
    let header = |name: &str| whole.headers()[name].to_str().unwrap().to_owned();
    let (tag, length) = (header("etag"), header("content-length"));
    assert_eq!((header("accept-ranges").as_str(), length.as_str()), ("bytes", "20"));
    assert_eq!(whole.text().await.unwrap(), "bytes of mask.nii.gz");

    let part = |range: &str, tag: &str| {
        let request = gateway.get(&path);
        request.header("range", range).header("if-range", tag).send()
    };
    for (range, said, expected) in [
        ("bytes=0-4", "bytes 0-4/20", "bytes"),
        ("bytes=6-12", "bytes 6-12/20", "of mask"),
        ("bytes=-6", "bytes 14-19/20", "nii.gz"),
        ("bytes=9-", "bytes 9-19/20", "mask.nii.gz"),
    ] {
        let answer = part(range, &tag).await.unwrap();
        let length = answer.content_length();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-range"]),
            (206, &said.parse().unwrap())
        );
        let text = answer.text().await.unwrap();
        assert_eq!((text.as_str(), length), (expected, Some(expected.len() as u64)), "{range}");
    }
    assert_eq!(part("bytes=0-4", "\"older\"").await.unwrap().status(), 200);
    let beyond = part("bytes=20-", &tag).await.unwrap();
    assert_eq!(beyond.headers()["content-range"], "bytes */20");
    assert_eq!(problem(beyond).await.1, "range-not-satisfiable");
    // Of a size that nobody tells there are no parts.
    gateway.mesh.between.fails(Fault::Sizeless);
    let untold = part("bytes=0-4", &tag).await.unwrap();
    assert_eq!((untold.status().as_u16(), untold.headers().get("accept-ranges")), (200, None));
    assert_eq!(untold.text().await.unwrap(), "bytes of mask.nii.gz");
}
