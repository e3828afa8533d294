use proto::storage::Answer;
use reqwest::Response;
use serde_json::Value;

use crate::{Gateway, problem};

/// What a stream says until it has said that.
async fn heard(stream: &mut Response, last: &str) -> String {
    let mut text = String::new();
    while !text.contains(last) {
        let piece = stream.chunk().await.unwrap().unwrap_or_else(|| panic!("no {last}: {text}"));
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

/// The events of a stream: name, id, data.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |event: &str, name: &str| {
        let value = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_default().to_owned()
    };
    let events = text.split("\n\n").filter(|event| !event.is_empty());
    events
        .map(|event| {
            (
                field(event, "event"),
                field(event, "id"),
                serde_json::from_str(&field(event, "data")).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_events_tell_of_each_change_in_order_and_end() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.queued().await;
    let mut stream = gateway.get(&format!("/v1/scans/{scan}/events")).send().await.unwrap();
    let media = stream.headers()["content-type"].to_str().unwrap().to_owned();
    let mut text = heard(&mut stream, "queued-0").await;
    let job = gateway.mesh.claim(&scan).await;
    text += &heard(&mut stream, "running-1").await;
    gateway.mesh.complete(&job, Answer::Found, &[]).await;
    text += &stream.text().await.unwrap();
    let told = events(&text);
    let told: Vec<_> = told
        .iter()
        .map(|(name, id, scan)| (name.as_str(), id.as_str(), scan["state"].as_str().unwrap()))
        .collect();
    assert_eq!(media, "text/event-stream");
    assert_eq!(
        told,
        [
            ("scan", "queued-0", "queued"),
            ("scan", "running-1", "running"),
            ("scan", "done-1", "done")
        ]
    );
}

#[tokio::test]
async fn who_comes_back_hears_only_what_is_new() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.queued().await;
    let path = format!("/v1/scans/{scan}/events");
    let mut again = gateway.get(&path).header("last-event-id", "queued-0").send().await.unwrap();
    let job = gateway.mesh.claim(&scan).await;
    let mut text = heard(&mut again, "running-1").await;
    gateway.mesh.complete(&job, Answer::Found, &[]).await;
    text += &again.text().await.unwrap();
    let ids: Vec<_> = events(&text).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, ["running-1", "done-1"]);

    let over = gateway.get(&path).header("last-event-id", "done-1").send().await.unwrap();
    assert_eq!(over.status(), 204);
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_no_more() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.running().await;
    let mut stream = gateway.get(&format!("/v1/scans/{scan}/events")).send().await.unwrap();
    let mut text = heard(&mut stream, "running-1").await;
    gateway.mesh.lose_the_scans().await;
    text += &stream.text().await.unwrap();
    let told = events(&text);
    assert_eq!(
        (told.len(), told[1].0.as_str(), told[1].2["status"].as_u64()),
        (2, "problem", Some(500))
    );
    assert!(!text.contains("no such table"), "{text}");
}

#[tokio::test]
async fn the_events_of_an_unknown_scan_are_a_problem_and_no_stream() {
    let gateway = Gateway::start().await;
    assert_eq!(problem(gateway.get("/v1/scans/nobody/events").send().await.unwrap()).await.0, 404);
}
