use proto::storage::Answer;
use reqwest::{Method, Response};
use serde_json::Value;
use service::claims::Role;

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

#[tokio::test]
async fn one_stream_tells_of_all_scans_and_goes_on_where_it_was_left() {
    let gateway = Gateway::start().await;
    let mut stream = gateway.get("/v1/events").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = heard(&mut stream, "event: begin").await;
    let one = gateway.mesh.queued().await;
    text += &heard(&mut stream, "queued").await;
    let two = gateway.mesh.queued().await;
    text += &heard(&mut stream, &two).await;
    let path = format!("/v1/scans/{one}");
    assert_eq!(gateway.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    text += &heard(&mut stream, "event: deleted").await;
    let told = events(text.trim_end());
    let names: Vec<_> = told.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, ["begin", "scan", "scan", "deleted"]);
    assert_eq!(told[3].2["id"], one);
    assert_eq!((&told[1].2["id"], &told[2].2["id"]), (&one.into(), &two.clone().into()));
    drop(stream);

    gateway.mesh.clock.advance(60_000);
    gateway.mesh.claim(&two).await;
    let again = gateway.get("/v1/events").header("last-event-id", &told[3].1);
    let mut again = again.send().await.unwrap();
    assert!(heard(&mut again, "running").await.contains(&two));
    for none in ["queued-0", "-1", "0", ""] {
        let answer = gateway.get("/v1/events").header("last-event-id", none).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 400, "{none}");
    }
}

#[tokio::test]
async fn a_stream_of_all_scans_is_for_those_who_may_see_them() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    assert_eq!(problem(gateway.get("/v1/events").send().await.unwrap()).await.0, 403);
}
