//! What readers say of results, from the outside.

use std::collections::BTreeMap;
use std::io::Cursor;

use anyhow::{Context, anyhow, bail, ensure};
use futures::future::join_all;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tests::client::{Client, id};
use tests::proxy::Proxy;
use tests::scans;
use tokio::time::Duration;

use crate::partial_uploads::cut_off;

const READER: &str = "second-reader";
/// Each reader speaks so often while the other does.
const AT_ONCE: usize = 4;
/// For so long nobody hears what is answered.
const UNHEARD: Duration = Duration::from_secs(5);

pub async fn tell(client: &Client) -> anyhow::Result<()> {
    let (scan, _) = client.analyse(&scans::nifti_as(&scans::stack(5), "LIA")).await?;
    let path = format!("/v1/scans/{}", id(&scan)?);
    a_correction_is_kept_as_it_was_drawn(client, &path).await?;
    what_does_not_fit_is_refused_in_words(client, &path).await?;
    a_second_reader_judges_without_seeing_the_first(client, &path).await?;
    a_segmentation_is_laid_on_the_scan_that_it_is_drawn_on(client, &path).await?;

    let (scan, _) = client.analyse(&scans::png(3, true)).await?;
    let path = format!("/v1/scans/{}", id(&scan)?);
    a_mask_of_another_size_is_refused_and_leaves_nothing(client, &path).await?;
    a_lost_connection_loses_nothing_and_doubles_nothing(client, &path).await?;
    outlines_that_differ_are_compared(client, &path).await?;
    readers_who_save_at_once_are_all_kept(client, &path).await
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

/// As another program gives it back: here the result's own, which is the hardest to tell apart from the mask.
async fn a_segmentation_is_laid_on_the_scan_that_it_is_drawn_on(
    client: &Client,
    unplaced: &str,
) -> anyhow::Result<()> {
    let reader = client.reader("segmentation-reader").await?;
    let (scan, _) = client.analyse(&scans::dicom_as(&scans::stack(5), "PLI")).await?;
    let path = format!("/v1/scans/{}", id(&scan)?);
    let drawn = reader.bytes(&format!("{path}/seg.dcm")).await?;
    let word = json!({ "verdict": "correct", "truth": "tumour" });
    let (status, given) = reader.correct(&path, &word, ("seg.dcm", drawn.clone()), None).await?;
    ensure!(status == 201 && given["mask"] == true, "{status} {given}");
    let kept = reader.bytes(&format!("{path}/feedback/{}/mask", id(&given)?)).await?;
    let own = voxels(&reader.bytes(&format!("{path}/mask.nii.gz")).await?)?;
    let own: Vec<f32> = own.into_iter().map(|voxel| if voxel > 0.0 { 1.0 } else { 0.0 }).collect();
    ensure!(own.contains(&1.0) && voxels(&kept)? == own, "the segmentation is not as it was drawn");

    let (status, refusal) = reader.correct(unplaced, &word, ("seg.dcm", drawn), None).await?;
    let why = refusal["detail"].as_str().unwrap_or_default();
    let is_misfit = refusal["type"] == "/problems/feedback-misfit";
    ensure!(status == 422 && is_misfit && why.contains("do not say where"), "{status} {refusal}");
    // So that the scan is confirmed for no story that comes after.
    let unsure = json!({ "verdict": "unsure" });
    let (status, given) = reader.post_json(&format!("{path}/feedback"), &unsure).await?;
    ensure!(status == 201, "{status} {given}");
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

async fn a_mask_of_another_size_is_refused_and_leaves_nothing(
    client: &Client,
    path: &str,
) -> anyhow::Result<()> {
    let word = json!({ "verdict": "correct", "truth": "tumour" });
    let (other, _) = client.analyse(&scans::oblong(3)).await?;
    let mask = client.bytes(&format!("/v1/scans/{}/mask.png", id(&other)?)).await?;
    let key = Some("another size");
    let (status, refusal) = client.correct(path, &word, ("mask.png", mask), key).await?;
    let is_misfit = refusal["type"] == "/problems/feedback-misfit";
    ensure!(status == 422 && is_misfit, "{status} {refusal}");
    ensure!(words(client, path).await?.is_empty(), "what was refused is kept");
    Ok(())
}

/// The line is lost amid the sending, and again when the answer is on its way; the same is sent until it is acknowledged.
async fn a_lost_connection_loses_nothing_and_doubles_nothing(
    client: &Client,
    path: &str,
) -> anyhow::Result<()> {
    let own = client.bytes(&format!("{path}/mask.png")).await?;
    let (word, key) = (json!({ "verdict": "correct", "truth": "tumour" }), "lost line");
    let half = br#"{ "verdict": "correct", "truth""#;
    let request = client.http.post(format!("{}{path}/feedback", client.url));
    let request = request.bearer_auth(&client.token).header("idempotency-key", key);
    let lost = request.header(CONTENT_TYPE, "application/json").body(cut_off(half)).send().await;
    ensure!(lost.is_err(), "a body that is cut was answered: {lost:?}");
    ensure!(words(client, path).await?.is_empty(), "half a word is kept");

    let line = Proxy::start(client.url.trim_start_matches("http://")).await?;
    let far = Client::with_token(&format!("http://{}", line.address), client.token.clone());
    let (_, unheard) = tokio::join!(
        line.lose_replies(1, UNHEARD, Duration::ZERO),
        far.correct(path, &word, ("mask.png", own.clone()), Some(key)),
    );
    ensure!(unheard.is_err(), "an answer came through a line that holds them: {unheard:?}");
    let (status, given) = far.correct(path, &word, ("mask.png", own.clone()), Some(key)).await?;
    ensure!(status == 201 && given["mask"] == true, "{status} {given}");
    let (status, replayed) = client.correct(path, &word, ("mask.png", own), Some(key)).await?;
    ensure!(status == 201 && replayed["id"] == given["id"], "{status} {replayed}");
    let kept = words(client, path).await?;
    ensure!(kept.len() == 1 && kept[0]["id"] == given["id"], "{kept:?}");

    let other = json!({ "verdict": "unsure" });
    let request = client.http.post(format!("{}{path}/feedback", client.url)).json(&other);
    let request = request.bearer_auth(&client.token).header("idempotency-key", key);
    let status = request.send().await?.status();
    ensure!(status == 409, "another word under the same key is answered with {status}");
    Ok(())
}

/// One reader has outlined it before; another draws half of that.
async fn outlines_that_differ_are_compared(client: &Client, path: &str) -> anyhow::Result<()> {
    let reader = client.reader("half-reader").await?;
    let mut drawn =
        image::load_from_memory(&client.bytes(&format!("{path}/mask.png")).await?)?.into_luma8();
    let marked = drawn.pixels().filter(|pixel| pixel.0[0] > 0).count();
    for pixel in drawn.pixels_mut().filter(|pixel| pixel.0[0] > 0).take(marked / 2) {
        pixel.0[0] = 0;
    }
    let (all, left) = (u32::try_from(marked)?, u32::try_from(marked - marked / 2)?);
    ensure!(left < all, "nothing was left out of {all} pixels");
    let mut half = Cursor::new(Vec::new());
    drawn.write_to(&mut half, image::ImageFormat::Png)?;
    let word = json!({ "verdict": "correct", "truth": "tumour" });
    let (status, given) =
        reader.correct(path, &word, ("mask.png", half.into_inner()), None).await?;
    ensure!(status == 201 && given["mask"] == true, "{status} {given}");

    let (_, said) = client.json(&format!("{path}/feedback")).await?;
    let overlaps = said["overlaps"].as_array().context("overlaps")?;
    let [overlap] = overlaps.as_slice() else { bail!("two outlines make one pair: {said}") };
    let of = overlap["feedback"].as_array().context("whose outlines")?;
    ensure!(of.len() == 2 && of.contains(&given["id"]), "{overlap}");
    let expected = f64::from(2 * left) / f64::from(all + left);
    let is_so = overlap["dice"].as_f64().is_some_and(|dice| (dice - expected).abs() < 1e-9);
    ensure!(is_so, "{left} of {all} pixels are {expected}, and not {overlap}");
    // Nothing is compared with what its reader does not stand by any more.
    let unsure = json!({ "verdict": "unsure" });
    let (status, given) = reader.post_json(&format!("{path}/feedback"), &unsure).await?;
    ensure!(status == 201, "{status} {given}");
    let (_, said) = client.json(&format!("{path}/feedback")).await?;
    ensure!(said["overlaps"] == json!([]), "{said}");
    Ok(())
}

async fn readers_who_save_at_once_are_all_kept(client: &Client, path: &str) -> anyhow::Result<()> {
    let before = words(client, path).await?.len();
    let readers =
        [client.reader("reader-at-once-1").await?, client.reader("reader-at-once-2").await?];
    let own = client.bytes(&format!("{path}/mask.png")).await?;
    // Each says everything twice, as a client does that heard no answer in time.
    let sent = readers.iter().enumerate().flat_map(|(reader, speaker)| {
        (0..AT_ONCE * 2).map(move |time| (reader, speaker, time / 2))
    });
    let said = join_all(sent.map(|(reader, speaker, number)| {
        let (own, key) = (own.clone(), format!("{reader}-{number}"));
        async move {
            let note = format!("note {number}");
            let word = json!({ "verdict": "correct", "truth": "tumour", "note": note });
            let given = speaker.correct(path, &word, ("mask.png", own), Some(&key)).await?;
            anyhow::Ok((key, given))
        }
    }))
    .await;
    let mut acknowledged = BTreeMap::new();
    for one in said {
        let (key, (status, given)) = one?;
        ensure!(status == 201, "{key}: {status} {given}");
        let known = acknowledged.entry(key).or_insert_with(|| given["id"].clone());
        ensure!(*known == given["id"], "one word is kept twice: {known} {given}");
    }
    let kept = words(client, path).await?;
    ensure!(kept.len() == before + acknowledged.len(), "{} are kept", kept.len());
    for given in acknowledged.values() {
        ensure!(kept.iter().any(|word| word["id"] == *given), "{given} is not kept");
    }
    // So that the scan is confirmed for no story that comes after.
    for reader in readers.iter().chain([client]) {
        let unsure = json!({ "verdict": "unsure" });
        let (status, given) = reader.post_json(&format!("{path}/feedback"), &unsure).await?;
        ensure!(status == 201, "{status} {given}");
    }
    Ok(())
}

/// All that is said of a scan, as an admin sees it.
async fn words(admin: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let (status, all) = admin.json(&format!("{path}/feedback")).await?;
    ensure!(status == 200, "{status} {all}");
    Ok(all["feedback"].as_array().context("words")?.clone())
}

pub fn voxels(file: &[u8]) -> anyhow::Result<Vec<f32>> {
    let decoded = imaging::decode(file, &imaging::Limits::default());
    Ok(decoded.map_err(|refusal| anyhow!("{}", refusal.detail))?.volume.voxels)
}
