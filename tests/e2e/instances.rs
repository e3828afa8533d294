//! Instances that come one by one: by STOW-RS, in a form and in a zip the same series has the same mask. That it has it by C-STORE, too,
//! `scripts/check-dicom.sh` tells with the programs that hospitals have.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tests::client::{Client, answer};
use tests::scans;

/// Beyond it a series is lost.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn tell(client: &Client) -> anyhow::Result<()> {
    let slices = scans::slices_as(&scans::stack(5), "LPS", 77);
    let (zipped, _) = client.analyse(&scans::zip_of(slices.clone())).await?;
    let formed = in_a_form(client, &slices).await?;
    let mask = mask(client, &zipped["id"]).await?;
    ensure!(self::mask(client, &formed["id"]).await? == mask, "a form has another mask than a zip");

    let before = client.count_scans().await?;
    let study = stored(client, "/dicomweb/studies", &slices).await?;
    let complete = format!("/v1/studies/{study}/complete");
    let (status, fewer) = client.post_json(&complete, &json!({ "instances": 13 })).await?;
    ensure!(status == 409, "12 instances are told to be 13: {fewer}");
    let (status, whole) = client.post_json(&complete, &json!({ "instances": 12 })).await?;
    ensure!(status == 202 && whole["series"] == 1, "{whole}");
    until_scans(client, before + 1).await?;

    // Once more, and of its own study: nothing new.
    stored(client, &format!("/dicomweb/studies/{study}"), &slices).await?;
    client.post_json(&complete, &json!({})).await?;
    let (_, page) = client.json(&format!("/v1/scans?study_uid={study}")).await?;
    let scans = page["scans"].as_array().context("a list of scans")?;
    ensure!(scans.len() == 3, "a zip, a form and STOW-RS have made {} scans", scans.len());
    for scan in scans {
        let done = client.until_done(&scan["id"]).await?;
        ensure!(done["volume_sha256"] == zipped["volume_sha256"], "it has other voxels: {done}");
        ensure!(self::mask(client, &scan["id"]).await? == mask, "it has another mask: {done}");
    }
    Ok(())
}

async fn in_a_form(client: &Client, slices: &[Vec<u8>]) -> anyhow::Result<Value> {
    let mut form = Form::new();
    for (number, slice) in slices.iter().enumerate() {
        let file = Part::bytes(slice.clone()).file_name(format!("{number:03}.dcm"));
        form = form.part("file", file);
    }
    let request = client.http.post(format!("{}/v1/scans", client.url)).bearer_auth(&client.token);
    let (status, scan) = answer(request.multipart(form).send().await?).await?;
    ensure!(status == 202, "{scan}");
    client.until_done(&scan["id"]).await
}

async fn mask(client: &Client, scan: &Value) -> anyhow::Result<Vec<u8>> {
    let scan = scan.as_str().context("an id")?;
    client.bytes(&format!("/v1/scans/{scan}/mask.nii.gz")).await
}

/// Stores them all in one request; the study that they are of.
async fn stored(client: &Client, path: &str, slices: &[Vec<u8>]) -> anyhow::Result<String> {
    let mut body = Vec::new();
    for slice in slices {
        body.extend(b"\r\n--parts\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend(slice);
    }
    body.extend(b"\r\n--parts--\r\n");
    let kind = "multipart/related; type=\"application/dicom\"; boundary=parts";
    let stored = client.post(path, kind, body).await?;
    let (status, said) = answer(stored).await?;
    let items = said["00081199"]["Value"].as_array().map_or(0, Vec::len);
    ensure!(status == 200 && items == slices.len(), "{status}: {said}");
    let study = said["00081190"]["Value"][0].as_str().and_then(|url| url.rsplit('/').next());
    Ok(study.context("the study's address")?.to_owned())
}

async fn until_scans(client: &Client, count: usize) -> anyhow::Result<()> {
    let waiting = async {
        while client.count_scans().await? < count {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, waiting).await.context("a series became no scan")?
}
