//! Uploads that are interrupted: what was acknowledged is not sent twice, and one upload is one scan.

use anyhow::{Context, ensure};
use futures::stream;
use reqwest::{Body, Method, RequestBuilder, Response};
use serde_json::json;

use tests::client::{Client, id};
use tests::mesh::OneProcess;
use tests::scans;

/// Sent before the line is lost, in pieces of this size.
const PIECE_BYTES: usize = 32 * 1024;

pub async fn tell(client: &Client) -> anyhow::Result<()> {
    let before = client.count_scans().await?;
    // Large enough that something has come when the line is lost.
    let head = scans::dicom_as(&scans::stack(5), "LPS");
    let upload = begun(client, head.len()).await?;
    for cut in [head.len() / 7, head.len() / 2, head.len() - 1] {
        let from = kept(client, &upload).await?;
        ensure!(from <= cut, "{from} bytes are kept of {cut} that were sent");
        let lost = append(client, &upload, from).body(cut_off(&head[from..cut])).send().await;
        ensure!(lost.is_err(), "a body that is cut was answered: {lost:?}");
    }
    let colleague = client.reader("tus.colleague").await?;
    let asked = colleague.get(&upload).await?;
    ensure!(asked.status() == 404, "a colleague was told of the upload: {}", asked.status());

    let rest = kept(client, &upload).await?;
    let whole = append(client, &upload, rest).body(head[rest..].to_vec()).send().await?;
    ensure!(whole.status() == 204, "{}", whole.status());
    let location = said(&whole, "location")?;
    // The answer may have been lost, too: then the same is sent again.
    let replayed = append(client, &upload, rest).body(head[rest..].to_vec()).send().await?;
    ensure!(replayed.status() == 409, "{}", replayed.status());
    let ended = append(client, &upload, head.len()).body(Vec::new()).send().await?;
    ensure!(said(&ended, "location")? == location, "it has become another scan");
    let (_, told) = client.json(&upload).await?;
    ensure!(location == format!("/v1/scans/{}", id(&told["scan"])?), "{told}");
    let scan = client.until_done(&told["scan"]["id"]).await?;
    ensure!(scan["answer"] == "found" && scan["format"] == "zip", "{scan}");
    ensure!(client.count_scans().await? == before + 1, "one upload is one scan");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_and_becomes_one_scan() -> anyhow::Result<()> {
    let mut mesh = OneProcess::start().await?;
    let head = scans::dicom_as(&scans::stack(5), "LPS");
    let (third, half) = (head.len() / 3, head.len() / 2);
    let client = mesh.client().await?;
    let upload = begun(&client, head.len()).await?;
    let acknowledged = append(&client, &upload, 0).body(head[..third].to_vec()).send().await?;
    ensure!(said(&acknowledged, "upload-offset")? == third.to_string(), "{acknowledged:?}");
    let lost = append(&client, &upload, third).body(cut_off(&head[third..half])).send().await;
    ensure!(lost.is_err(), "{lost:?}");
    mesh.kill();
    mesh.restart().await?;

    let client = mesh.client().await?;
    let from = kept(&client, &upload).await?;
    ensure!((third..=half).contains(&from), "{from} bytes are kept of {third} to {half}");
    let whole = append(&client, &upload, from).body(head[from..].to_vec()).send().await?;
    let location = said(&whole, "location")?;
    mesh.kill();
    mesh.restart().await?;

    let client = mesh.client().await?;
    let (_, told) = client.json(&upload).await?;
    ensure!(location == format!("/v1/scans/{}", id(&told["scan"])?), "{told}");
    let scan = client.until_done(&told["scan"]["id"]).await?;
    ensure!(scan["answer"] == json!("found"), "{scan}");
    ensure!(client.count_scans().await? == 1, "one upload is one scan");
    Ok(())
}

fn at(client: &Client, method: Method, path: &str) -> RequestBuilder {
    let request = client.http.request(method, format!("{}{path}", client.url));
    request.bearer_auth(&client.token).header("tus-resumable", "1.0.0")
}

/// Begins an upload of so many bytes, and says where it is.
async fn begun(client: &Client, bytes: usize) -> anyhow::Result<String> {
    let begin = at(client, Method::POST, "/v1/uploads").header("upload-length", bytes);
    said(&begin.send().await?.error_for_status()?, "location")
}

fn append(client: &Client, upload: &str, offset: usize) -> RequestBuilder {
    at(client, Method::PATCH, upload)
        .header("upload-offset", offset)
        .header("content-type", "application/offset+octet-stream")
}

async fn kept(client: &Client, upload: &str) -> anyhow::Result<usize> {
    let asked = at(client, Method::HEAD, upload).send().await?.error_for_status()?;
    said(&asked, "upload-offset")?.parse().context("a number of bytes")
}

fn said(answer: &Response, name: &str) -> anyhow::Result<String> {
    let value = answer.headers().get(name).with_context(|| format!("{name}: {answer:?}"))?;
    Ok(value.to_str()?.to_owned())
}

/// A body that breaks off behind those bytes, as a line does.
pub fn cut_off(bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes.chunks(PIECE_BYTES).map(|piece| Ok(piece.to_vec())).collect();
    let lost = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    Body::wrap_stream(stream::iter(pieces.into_iter().chain([lost])))
}
