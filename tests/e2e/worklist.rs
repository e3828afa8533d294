//! A list that follows its scans: one stream tells of all of them, and what is deleted is gone.

use anyhow::{Context, ensure};
use futures::{Stream, StreamExt};
use reqwest::Method;
use serde_json::json;
use tokio::time::{Duration, timeout};

use tests::client::{Client, answer, id};
use tests::scans;

const PATIENCE: Duration = Duration::from_secs(30);

pub async fn tell(client: &Client, stranger: &Client) -> anyhow::Result<()> {
    let stream = client.get("/v1/events").await?;
    ensure!(stream.status() == 200, "{}", stream.status());
    let (mut stream, mut text) = (stream.bytes_stream(), String::new());
    let (scan, _) = client.analyse(&scans::png(41, true)).await?;
    let scan = id(&scan)?;
    // What it was for less than a look's while is not told.
    let done = format!(r#""id":"{scan}","state":"done""#);
    heard(&mut stream, &mut text, &done).await?;
    let path = format!("/v1/scans/{scan}");

    let small = image::load_from_memory(&client.bytes(&format!("{path}/thumbnail.png")).await?)?;
    ensure!((small.width(), small.height()) == (96, 96), "{}", small.width());
    let again = client.post(&format!("{path}/retry"), "application/json", Vec::new()).await?;
    let (status, refused) = answer(again).await?;
    ensure!(status == 409, "what has an answer was analysed anew: {status} {refused}");
    let urgent = asked(client, Method::PATCH, &path).json(&json!({ "priority": "stat" }));
    let (status, refused) = answer(urgent.send().await?).await?;
    ensure!(status == 409, "what is done was made urgent: {status} {refused}");

    let foreign = asked(stranger, Method::DELETE, &path).send().await?;
    ensure!(foreign.status() == 404, "a stranger deletes: {}", foreign.status());
    for _ in 0..2 {
        let deleted = asked(client, Method::DELETE, &path).send().await?;
        ensure!(deleted.status() == 204, "{}", deleted.status());
    }
    for part in ["", "/result", "/thumbnail.png", "/original"] {
        let gone = client.get(&format!("{path}{part}")).await?;
        ensure!(gone.status() == 404, "{part}: {}", gone.status());
    }
    heard(&mut stream, &mut text, "event: deleted").await
}

fn asked(client: &Client, method: Method, path: &str) -> reqwest::RequestBuilder {
    client.http.request(method, format!("{}{path}", client.url)).bearer_auth(&client.token)
}

/// What the stream says until it has said that.
async fn heard<B: AsRef<[u8]>>(
    pieces: &mut (impl Stream<Item = reqwest::Result<B>> + Unpin),
    text: &mut String,
    last: &str,
) -> anyhow::Result<()> {
    let hear = async {
        while !text.contains(last) {
            let piece = pieces.next().await.context("the stream ended")??;
            text.push_str(std::str::from_utf8(piece.as_ref())?);
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, hear).await.with_context(|| format!("{last} is not told in time"))?
}
