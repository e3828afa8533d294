//! What readers say of results, from the outside.

use anyhow::{Context, anyhow, ensure};
use serde_json::json;
use tests::client::{Client, id};
use tests::scans;

const READER: &str = "second-reader";

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
    let key = Some("correction-1");
    let (status, given) = client.correct(path, &word, ("mask.nii.gz", own.clone()), key).await?;
    ensure!(status == 201, "{status} {given}");
    ensure!(given["mask"] == true && given["reader"] == "admin", "{given}");
    ensure!(given["dice"].as_f64().is_some_and(|dice| dice > 0.5), "{given}");
    ensure!(given["model"]["version"].is_string(), "{given}");
    let (status, again) = client.correct(path, &word, ("mask.nii.gz", own.clone()), key).await?;
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
    let word = json!({ "verdict": "correct" });
    let of_a_slice = client.correct(path, &word, ("mask.png", picture), None).await?;
    let bare = client.post_json(&format!("{path}/feedback"), &word).await?;
    for (status, refusal) in [of_a_slice, bare] {
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
    let reader = client.reader(READER).await?;
    let feedback = format!("{path}/feedback");
    let (_, blind) = reader.json(&feedback).await?;
    let expected = json!({ "feedback": [], "state": null, "hidden": 1, "overlaps": [] });
    ensure!(blind == expected, "{blind}");

    let word = json!({ "verdict": "reject", "truth": "no_tumour" });
    let (status, given) = reader.post_json(&feedback, &word).await?;
    ensure!(status == 201 && given["reader"] == READER, "{status} {given}");
    let (_, seen) = reader.json(&feedback).await?;
    let words = seen["feedback"].as_array().context("words")?.len();
    ensure!(words == 2 && seen["state"] == "conflict", "{seen}");
    Ok(())
}

pub fn voxels(file: &[u8]) -> anyhow::Result<Vec<f32>> {
    let decoded = imaging::decode(file, &imaging::Limits::default());
    Ok(decoded.map_err(|refusal| anyhow!("{}", refusal.detail))?.volume.voxels)
}
