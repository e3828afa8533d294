//! What readers say of results, from the outside.

use anyhow::{Context, anyhow, ensure};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tests::client::{Client, answer, id};
use tests::scans;

const READER: &str = "second-reader";
const PASSWORD: &str = "a long and right one";

pub async fn tell(client: &Client) -> anyhow::Result<()> {
    let (scan, _) = client.analyse(&scans::nifti_as(&scans::stack(5), "LIA")).await?;
    let path = format!("/v1/scans/{}", id(&scan)?);
    a_correction_is_kept_as_it_was_drawn(client, &path).await?;
    what_does_not_fit_is_refused_in_words(client, &path).await?;
    a_second_reader_judges_without_seeing_the_first(client, &path).await
}

async fn a_correction_is_kept_as_it_was_drawn(client: &Client, path: &str) -> anyhow::Result<()> {
    let own = client.bytes(&format!("{path}/mask.nii.gz")).await?;
    let word = json!({
        "verdict": "correct", "truth": "tumour", "reason": "outline", "note": "a canary's note",
    });
    let (status, given) = correct(client, path, &word, &own).await?;
    ensure!(status == 201, "{status} {given}");
    ensure!(given["mask"] == true && given["reader"] == "admin", "{given}");
    ensure!(given["dice"].as_f64().is_some_and(|dice| dice > 0.5), "{given}");
    ensure!(given["model"]["version"].is_string(), "{given}");
    let (status, again) = correct(client, path, &word, &own).await?;
    ensure!(status == 201 && again == given, "the same key gives again: {given} {again}");

    let kept = client.bytes(&format!("{path}/feedback/{}/mask", id(&given)?)).await?;
    let drawn: Vec<f32> =
        voxels(&own)?.into_iter().map(|voxel| if voxel > 0.0 { 1.0 } else { 0.0 }).collect();
    ensure!(drawn.contains(&1.0) && voxels(&kept)? == drawn, "the mask is not as it was drawn");

    let (_, all) = client.json(&format!("{path}/feedback")).await?;
    ensure!(all["feedback"] == json!([given]) && all["state"] == "corrected", "{all}");
    let (_, listed) = client.json("/v1/feedback?state=corrected").await?;
    ensure!(listed["scans"][0]["id"] == given["scan_id"], "{listed}");
    Ok(())
}

async fn what_does_not_fit_is_refused_in_words(client: &Client, path: &str) -> anyhow::Result<()> {
    let picture = client.bytes(&format!("{path}/mask.png")).await?;
    let form = Form::new()
        .text("feedback", json!({ "verdict": "correct" }).to_string())
        .part("mask", Part::bytes(picture).file_name("mask.png"));
    let request = client.http.post(format!("{}{path}/feedback", client.url));
    let of_a_slice = request.bearer_auth(&client.token).multipart(form).send().await?;
    let word = json!({ "verdict": "correct" }).to_string().into_bytes();
    let bare = client.post(&format!("{path}/feedback"), "application/json", word).await?;
    for response in [of_a_slice, bare] {
        let (status, refusal) = answer(response).await?;
        let is_misfit = refusal["type"] == "/problems/feedback-misfit";
        ensure!(status == 422 && is_misfit, "{status} {refusal}");
        ensure!(refusal["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{refusal}");
    }
    Ok(())
}

async fn a_second_reader_judges_without_seeing_the_first(
    client: &Client,
    path: &str,
) -> anyhow::Result<()> {
    let user = json!({ "user_name": READER, "password": PASSWORD, "roles": ["clinician"] });
    let user = user.to_string().into_bytes();
    let (status, made) = answer(client.post("/v1/users", "application/json", user).await?).await?;
    ensure!(status == 201, "{status} {made}");
    let reader = Client::sign_in(&client.url, READER, PASSWORD).await?;
    let feedback = format!("{path}/feedback");
    let (_, blind) = reader.json(&feedback).await?;
    let expected = json!({ "feedback": [], "state": null, "hidden": 1, "overlaps": [] });
    ensure!(blind == expected, "{blind}");

    let word = json!({ "verdict": "reject", "truth": "no_tumour" }).to_string().into_bytes();
    let (status, given) = answer(reader.post(&feedback, "application/json", word).await?).await?;
    ensure!(status == 201 && given["reader"] == READER, "{status} {given}");
    let (_, seen) = reader.json(&feedback).await?;
    let words = seen["feedback"].as_array().context("words")?.len();
    ensure!(words == 2 && seen["state"] == "conflict", "{seen}");
    Ok(())
}

/// Gives the word with that mask, by a key that is always the same.
async fn correct(
    client: &Client,
    path: &str,
    word: &Value,
    mask: &[u8],
) -> anyhow::Result<(u16, Value)> {
    let file = Part::bytes(mask.to_vec()).file_name("mask.nii.gz");
    let form = Form::new().text("feedback", word.to_string()).part("mask", file);
    let request = client.http.post(format!("{}{path}/feedback", client.url));
    let request = request.bearer_auth(&client.token).header("idempotency-key", "correction-1");
    answer(request.multipart(form).send().await?).await
}

fn voxels(file: &[u8]) -> anyhow::Result<Vec<f32>> {
    let decoded = imaging::decode(file, &imaging::Limits::default());
    Ok(decoded.map_err(|refusal| anyhow!("{}", refusal.detail))?.volume.voxels)
}
