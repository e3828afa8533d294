use serde_json::json;
use service::claims::Role;

use crate::mesh::NOW_MS;
use crate::{Gateway, json};

#[tokio::test]
async fn a_report_is_json_for_programs_and_a_page_for_people() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    let answer = gateway.post("/v1/drift/reports").send().await.unwrap();
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    let (status, report) = json(answer).await;
    assert_eq!(place, format!("/v1/drift/reports/{}", report["id"].as_str().unwrap()));
    let window = (&report["from_ms"], &report["to_ms"]);
    assert_eq!((status, window), (201, (&json!(0), &json!(NOW_MS))));

    let window = json!({"from_ms": 7, "to_ms": 9});
    let answer = gateway.post("/v1/drift/reports").json(&window).send().await.unwrap();
    let (_, of_window) = json(answer).await;
    assert_eq!((&of_window["from_ms"], &of_window["to_ms"]), (&json!(7), &json!(9)));
    let window = json!({"from_ms": 7});
    let answer = gateway.post("/v1/drift/reports").json(&window).send().await.unwrap();
    let (_, of_window) = json(answer).await;
    assert_eq!((&of_window["from_ms"], &of_window["to_ms"]), (&json!(7), &json!(NOW_MS)));

    let page =
        gateway.post("/v1/drift/reports").header("accept", "text/html").send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(page.text().await.unwrap().contains("<h1>Drift report"));

    assert_eq!(json(gateway.get(&place).send().await.unwrap()).await, (200, report));
    let page = gateway.get(&format!("{place}.html")).send().await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
}

const FIRST: &str = "0198c2a4-6f0e-7c31-9d55-3b1f0c2e4a77";
const SECOND: &str = "0198c2b1-2a77-7d10-8f0e-5c1a9be04d21";
const THEIRS: &str = "0198c3d0-5b1e-7f40-9a6c-2d7e8f901234";

/// Two windows of one's own and one of another hospital's.
async fn watched() -> Gateway {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    for (id, number, other) in [(FIRST, 1, false), (SECOND, 2, false), (THEIRS, 1, true)] {
        gateway.mesh.window(id, number, other).await;
    }
    gateway
}

#[tokio::test]
async fn windows_are_listed_page_by_page_and_shown_with_their_scans() {
    let gateway = watched().await;
    let answer = gateway.get("/v1/drift/windows?limit=1&image_kind=flair").send().await.unwrap();
    let link = answer.headers()["link"].to_str().unwrap().to_owned();
    let (status, page) = json(answer).await;
    assert_eq!((status, &page["windows"][0]["id"]), (200, &json!(SECOND)));
    let next = link.split(['<', '>']).nth(1).unwrap().to_owned();
    assert!(next.contains("image_kind=flair"), "{next}");
    let (_, page) = json(gateway.get(&next).send().await.unwrap()).await;
    let [window] = &page["windows"].as_array().unwrap()[..] else { panic!("{page}") };
    assert_eq!((&window["id"], &window["scanner"]), (&json!(FIRST), &json!(null)));
    assert_eq!(
        (&page["next_cursor"], &window["to"]),
        (&json!(null), &json!("2023-11-14T22:13:20.001Z"))
    );

    let shown = gateway.get(&format!("/v1/drift/windows/{FIRST}?carriers=3")).send().await.unwrap();
    let (status, shown) = json(shown).await;
    assert_eq!((status, &shown["window"]), (200, window));
    // Without a reference there is nothing that a scan could be far from.
    assert_eq!(
        (&shown["carried_by"], &shown["carriers"][0]["contribution"]),
        (&json!([]), &json!(0.0))
    );
}

#[tokio::test]
async fn windows_are_compared_and_their_rows_handed_out() {
    let gateway = watched().await;
    let of = format!("/v1/drift/compare?a={FIRST}&b={SECOND}");
    let (status, compared) = json(gateway.get(&of).send().await.unwrap()).await;
    let ends = (&compared["a"]["id"], &compared["b"]["id"]);
    assert_eq!((status, ends), (200, (&json!(FIRST), &json!(SECOND))));
    assert_eq!(compared["features"][0]["verdict"], "too_few_scans");
    let kinds = json!([{ "value": "flair", "a": 1, "b": 1 }]);
    assert_eq!(compared["categories"][1]["counts"], kinds);

    let rows = gateway.get("/v1/drift/rows.csv?from=2023-11-14T22:00:00Z").send().await.unwrap();
    assert!(rows.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    let rows = rows.text().await.unwrap();
    let lines: Vec<_> = rows.lines().collect();
    assert_eq!(lines.len(), 3, "{rows}");
    assert!(
        lines[1].starts_with(&format!("scan of {SECOND},2023-11-14T22:13:19.998Z,{SECOND},found")),
        "{rows}"
    );

    let rows = gateway.get("/v1/drift/rows.parquet").send().await.unwrap();
    let kind = rows.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!((rows.status().as_u16(), kind.as_str()), (200, "application/vnd.apache.parquet"));
    let rows = rows.bytes().await.unwrap();
    assert!(rows.starts_with(b"PAR1") && rows.ends_with(b"PAR1"));
}

#[tokio::test]
async fn what_is_no_window_of_ones_own_is_not_found() {
    let gateway = watched().await;
    for path in [
        format!("/v1/drift/windows/{THEIRS}"),
        "/v1/drift/windows/nonsense".to_owned(),
        format!("/v1/drift/compare?a={FIRST}&b={THEIRS}"),
    ] {
        assert_eq!(gateway.get(&path).send().await.unwrap().status(), 404, "{path}");
    }
    for query in ["limit=0", "cursor=17", "from=yesterday", "place=1"] {
        let answer = gateway.get(&format!("/v1/drift/windows?{query}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
    }
    let clinician = Gateway::start().await.signed_in_as(Role::Clinician);
    for path in ["/v1/drift/rows.csv", "/v1/drift/rows.parquet"] {
        assert_eq!(clinician.get(path).send().await.unwrap().status(), 403, "{path}");
    }
}
