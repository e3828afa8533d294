use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, ensure};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::{
    deliveries, erased, feedback, hospitals, instances, learning, partial_uploads, quality, stops,
    worklist,
};
use tests::client::{Client, answer, id};
use tests::mesh::Mesh;
use tests::scans;

pub async fn tell(mesh: Mesh) -> anyhow::Result<()> {
    let client = mesh.client().await?;
    a_tumour_is_found_and_measured(&client).await?;
    a_healthy_head_has_none(&client).await?;
    one_head_is_one_picture_however_it_is_stored(&client).await?;
    a_result_goes_back_to_where_its_images_came_from(&client).await?;
    progress_is_streamed_until_the_answer(&client).await?;
    the_same_key_twice_is_one_scan(&client).await?;
    what_cannot_be_analysed_is_refused_in_words(&client).await?;
    nobody_gets_in_without_a_token(&client).await?;
    an_unknown_scan_is_not_found(&client).await?;
    a_zip_of_images_comes_back_as_a_zip_of_masks(&client).await?;
    drift_is_reported(&client).await?;
    one_upload_is_one_trace(&client, &mesh).await?;
    whose_scan_it_is_is_told_to_whom_may_know(&client).await?;
    a_prior_is_an_earlier_scan_of_the_same_patient_and_of_no_other_hospital(
        &client,
        &mesh.stranger()?,
    )
    .await?;
    feedback::tell(&client).await?;
    quality::tell(&client, &mesh).await?;
    learning::tell(&client, &mesh).await?;
    stops::tell(&client, &mesh).await?;
    partial_uploads::tell(&client).await?;
    deliveries::tell(&client).await?;
    worklist::tell(&client, &mesh.stranger()?).await?;
    instances::tell(&client).await?;
    hospitals::tell(&mesh).await?;
    no_object_shows_what_it_is_of(&client, &mesh).await?;
    nobody_else_can_read_what_is_kept(&mesh)?;
    no_log_names_what_was_uploaded(&mesh)?;
    mesh.terminate()
}

async fn a_tumour_is_found_and_measured(client: &Client) -> anyhow::Result<()> {
    let (scan, result) = client.analyse(&scans::png(1, true)).await?;
    ensure!((&scan["answer"], &scan["format"]) == (&json!("found"), &json!("png")), "{scan}");
    ensure!(result["answer"] == "found" && result["scan_id"] == scan["id"], "{result}");
    let findings = result["findings"].as_array().context("findings")?;
    ensure!(!findings.is_empty(), "found, but nothing is listed: {result}");

    let path = format!("/v1/scans/{}", id(&scan)?);
    let mask =
        image::load_from_memory(&client.bytes(&format!("{path}/mask.png")).await?)?.to_luma8();
    let overlay = image::load_from_memory(&client.bytes(&format!("{path}/overlay.png")).await?)?;
    ensure!(mask.dimensions() == (256, 256), "the mask is not in the scan's own geometry");
    ensure!(
        mask.pixels().all(|pixel| pixel.0 == [0] || pixel.0 == [255]),
        "a mask is black and white"
    );
    ensure!(mask.pixels().any(|pixel| pixel.0 == [255]), "found, but the mask is empty");
    ensure!(overlay.color().has_color(), "the outline has a colour");
    Ok(())
}

async fn one_upload_is_one_trace(client: &Client, mesh: &Mesh) -> anyhow::Result<()> {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let header = ("traceparent", traceparent.as_str());
    let (_, scan) = client.upload_with(header, &scans::png(6, true)).await?;
    client.until_done(&scan["id"]).await?;
    let expected = ["POST /v1/scans", "job", "analyse", "deliver", "observe"];
    let seen = async {
        loop {
            let spans = mesh.collector.trace(trace);
            let has = |end: String| spans.iter().any(|span| span.ends_with(&end));
            let from = |program: &&str| spans.iter().any(|span| span.starts_with(*program));
            let whole = expected.iter().all(|name| has(format!(": {name}")));
            if whole && mesh.programs.iter().all(from) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let seen = timeout(Duration::from_secs(30), seen).await;
    seen.with_context(|| format!("the trace has only {:?}", mesh.collector.trace(trace)))
}

async fn one_head_is_one_picture_however_it_is_stored(client: &Client) -> anyhow::Result<()> {
    let head = scans::stack(5);
    let mut uploads = vec![("DICOM", scans::dicom_as(&head, "LPS"), [96, 96, 12])];
    for (storage, own) in [
        ("LPS", [96, 96, 12]),
        ("RAS", [96, 96, 12]),
        ("LAS", [96, 96, 12]),
        ("RPS", [96, 96, 12]),
        ("LIA", [96, 12, 96]),
        ("PSR", [96, 12, 96]),
        ("PLI", [96, 96, 12]),
    ] {
        uploads.push((storage, scans::nifti_as(&head, storage), own));
    }
    let mut first: Option<(image::GrayImage, Value, Value)> = None;
    for (storage, file, own) in uploads {
        let (scan, result) = client.analyse(&file).await?;
        ensure!(scan["answer"] == "found", "{storage}: {scan}");
        let path = format!("/v1/scans/{}", id(&scan)?);
        let image = client.bytes(&format!("{path}/image.png")).await?;
        let image = image::load_from_memory(&image)?.into_luma8();
        let view =
            json!({ "plane": "axial", "left": "R", "right": "L", "top": "A", "bottom": "P" });
        ensure!(
            (&result["image"]["view"], &result["coordinates"]) == (&view, &json!("LPS")),
            "{storage}: {result}"
        );
        let findings = result["findings"].as_array().context("findings")?;
        let sides = findings.iter().map(|finding| finding["laterality"].clone()).collect::<Value>();
        ensure!(
            sides.as_array().is_some_and(|sides| !sides.contains(&Value::Null)),
            "{storage}: {sides}"
        );
        let mask = client.bytes(&format!("{path}/mask.nii.gz")).await?;
        let mut header = [0; 48];
        flate2::read::GzDecoder::new(&mask[..]).read_exact(&mut header)?;
        let lengths = [42, 44, 46].map(|at| i16::from_le_bytes([header[at], header[at + 1]]));
        ensure!(lengths == own, "{storage}: the mask's grid is {lengths:?} and not the file's");
        let volume_ml = result["totals"]["volume_ml"].clone();
        let (picture, side, size) =
            first.get_or_insert((image.clone(), sides.clone(), volume_ml.clone()));
        // DICOM's window ends one grey before NIfTI's range.
        let alike = picture.iter().zip(image.iter()).all(|(a, b)| a.abs_diff(*b) <= 2);
        ensure!(
            picture.dimensions() == image.dimensions() && alike,
            "{storage} shows another picture than DICOM"
        );
        ensure!(*side == sides, "{storage}: {sides} instead of {side}");
        let apart = volume_ml.as_f64().zip(size.as_f64()).map(|(a, b)| (a / b - 1.0).abs());
        ensure!(
            apart.is_some_and(|apart| apart < 0.01),
            "{storage}: {volume_ml} mL instead of {size}"
        );
    }
    Ok(())
}

async fn a_result_goes_back_to_where_its_images_came_from(client: &Client) -> anyhow::Result<()> {
    let objects = ["seg.dcm", "sr.dcm", "text.dcm", "capture.dcm", "report.dcm"];
    let reader = client.reader("dicom-reader").await?;
    let admin = client.colleague("dicom-admin", &["admin"]).await?;
    let (scan, _) = client.analyse(&scans::dicom_as(&scans::stack(5), "PLI")).await?;
    let path = format!("/v1/scans/{}", id(&scan)?);
    for name in objects {
        let object = reader.bytes(&format!("{path}/{name}")).await?;
        ensure!(object.get(128..132) == Some(&b"DICM"[..]), "{name} is no DICOM file");
        let again = reader.bytes(&format!("{path}/{name}")).await?;
        ensure!(object == again, "{name} is another object when it is asked for again");
        // An admin may not know whose scan it is.
        let (status, problem) = admin.json(&format!("{path}/{name}")).await?;
        ensure!(status == 403, "{name}: {problem}");
    }
    let (scan, _) = client.analyse(&scans::png(5, true)).await?;
    for name in objects {
        let (status, problem) = reader.json(&format!("/v1/scans/{}/{name}", id(&scan)?)).await?;
        let why = problem["detail"].as_str().unwrap_or_default();
        ensure!(status == 404 && why.contains("did not come as DICOM"), "{name}: {problem}");
    }
    Ok(())
}

async fn a_healthy_head_has_none(client: &Client) -> anyhow::Result<()> {
    let (scan, result) = client.analyse(&scans::png(2, false)).await?;
    ensure!(scan["answer"] == "none_found" && result["answer"] == "none_found", "{result}");
    ensure!(result["findings"] == json!([]), "{result}");
    Ok(())
}

async fn progress_is_streamed_until_the_answer(client: &Client) -> anyhow::Result<()> {
    let (_, scan) = client.upload(&scans::png(3, true)).await?;
    let events = client.get(&format!("/v1/scans/{}/events", id(&scan)?)).await?;
    let mut stream = events.bytes_stream();
    let mut text = String::new();
    let read = async {
        while let Some(part) = stream.next().await {
            text.push_str(std::str::from_utf8(&part?)?);
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_secs(60), read).await.context("the stream does not end")??;
    let last = text.lines().rfind(|line| line.starts_with("data:")).context("an event")?;
    let last: Value = serde_json::from_str(last.trim_start_matches("data:"))?;
    ensure!(last["state"] == "done" && last["answer"] == "found", "{text}");
    Ok(())
}

async fn the_same_key_twice_is_one_scan(client: &Client) -> anyhow::Result<()> {
    let png = scans::png(4, true);
    let (_, first) = client.upload_once("story-4", &png).await?;
    let (status, second) = client.upload_once("story-4", &png).await?;
    ensure!((status, &second["id"]) == (202, &first["id"]), "{first} {second}");
    let (status, problem) = client.upload_once("story-4", &scans::png(5, true)).await?;
    ensure!(status == 409 || status == 422, "another file under the same key: {status} {problem}");
    Ok(())
}

async fn what_cannot_be_analysed_is_refused_in_words(client: &Client) -> anyhow::Result<()> {
    let whole = scans::png(6, true);
    let uploads: [(&str, Vec<u8>); 4] = [
        ("not-an-image", b"a letter, not a scan".to_vec()),
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("too-small", scans::flat(32)),
        ("blank", scans::flat(256)),
    ];
    for (problem, body) in uploads {
        let response = client.post("/v1/scans", "application/octet-stream", body).await?;
        let kind = response.headers()["content-type"].to_str()?.to_owned();
        let (status, refusal) = answer(response).await?;
        let expected = (422, "application/problem+json", format!("/problems/{problem}"));
        let got = (status, kind.as_str(), refusal["type"].as_str().unwrap_or_default().to_owned());
        ensure!(got == expected, "{got:?} instead of {expected:?}: {refusal}");
        ensure!(refusal["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{refusal}");
    }
    Ok(())
}

async fn nobody_gets_in_without_a_token(client: &Client) -> anyhow::Result<()> {
    let stranger = Client { token: "none".to_owned(), ..client.clone() };
    for path in ["/v1/scans", "/v1/scans/0199b0f0-0000-7000-8000-000000000000"] {
        let (status, problem) = stranger.json(path).await?;
        ensure!(status == 401, "{path}: {status} {problem}");
    }
    let (status, problem) = stranger.upload(&scans::png(7, true)).await?;
    ensure!(status == 401, "{status} {problem}");
    Ok(())
}

async fn an_unknown_scan_is_not_found(client: &Client) -> anyhow::Result<()> {
    for unknown in ["0199b0f0-0000-7000-8000-000000000000", "none"] {
        let (status, problem) = client.json(&format!("/v1/scans/{unknown}")).await?;
        ensure!(status == 404, "{status} {problem}");
    }
    Ok(())
}

async fn a_zip_of_images_comes_back_as_a_zip_of_masks(client: &Client) -> anyhow::Result<()> {
    let images = [
        ("one.png", scans::png(8, true)),
        ("two.png", scans::png(9, false)),
        ("letter.txt", b"hello".to_vec()),
    ];
    let upload = client.post("/v1/batches", "application/zip", scans::zip(&images)).await?;
    let (status, batch) = answer(upload).await?;
    ensure!(status == 202, "{status} {batch}");
    let path = format!("/v1/batches/{}", id(&batch)?);
    let (_, batch) = client.json(&path).await?;
    let entries = batch["entries"].as_array().context("entries")?;
    ensure!(entries.len() == 3, "{batch}");
    for entry in entries.iter().filter(|entry| entry["scan"].is_object()) {
        client.until_done(&entry["scan"]["id"]).await?;
    }
    let archive = client.bytes(&format!("{path}/result.zip")).await?;
    let mut archive = zip::ZipArchive::new(Cursor::new(archive))?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned()));
    let names: Vec<String> = names.collect::<anyhow::Result<_>>()?;
    ensure!(names.iter().filter(|name| name.contains("mask")).count() == 2, "{names:?}");
    ensure!(names.iter().filter(|name| name.contains("overlay")).count() == 2, "{names:?}");
    let mut document = String::new();
    archive.by_name("batch.json")?.read_to_string(&mut document)?;
    ensure!(document.contains("not-an-image"), "the refused entry is not told: {document}");
    Ok(())
}

async fn drift_is_reported(client: &Client) -> anyhow::Result<()> {
    let told = async {
        loop {
            let (status, report) = client.post_json("/v1/drift/reports", &json!({})).await?;
            ensure!(status == 201, "{status} {report}");
            // Drift hears of a scan a moment after its result can be read.
            let has = |answer: &str| report["answers"][answer].as_u64() > Some(0);
            if has("found") && has("none_found") {
                return anyhow::Ok(report);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let report = timeout(Duration::from_secs(60), told).await.context("drift counts no scan")??;
    let answers = report["answers"].as_object().context("answers")?;
    let counted: Option<u64> = answers.values().map(Value::as_u64).sum();
    ensure!(counted.is_some() && counted == report["scans"].as_u64(), "{report}");
    let (status, again) = client.json(&format!("/v1/drift/reports/{}", id(&report)?)).await?;
    let told_again =
        ["id", "scans", "answers", "verdict"].iter().all(|of| again[*of] == report[*of]);
    ensure!(status == 200 && told_again, "{status} {again} after {report}");
    Ok(())
}

async fn whose_scan_it_is_is_told_to_whom_may_know(client: &Client) -> anyhow::Result<()> {
    let path = "/v1/scans?patient_id=canary-4711&accession_number=canary-1&reference=canary-order";
    let upload = client.post(path, "image/png", scans::png(10, true)).await?;
    let (status, scan) = answer(upload).await?;
    ensure!(status == 202, "{status} {scan}");
    let (status, identity) = client.json(&format!("/v1/scans/{}/identity", id(&scan)?)).await?;
    let known = ["patient_id", "accession_number", "reference"].map(|field| &identity[field]);
    ensure!(known == ["canary-4711", "canary-1", "canary-order"], "{status} {identity}");
    for query in ["patient_id=canary-4711", "accession_number=canary-1", "reference=canary-order"] {
        let (status, found) = client.json(&format!("/v1/scans?{query}")).await?;
        let ids: Vec<_> = found["scans"].as_array().context("scans")?.iter().collect();
        ensure!(ids.len() == 1 && ids[0]["id"] == scan["id"], "{query}: {status} {found}");
    }
    let (_, none) = client.json("/v1/scans?patient_id=CANARY-4711").await?;
    ensure!(none["scans"] == json!([]), "{none}");
    let (status, refused) = client.json("/v1/scans?patient=canary-4711").await?;
    ensure!(status == 400, "{status} {refused}");
    Ok(())
}

async fn a_prior_is_an_earlier_scan_of_the_same_patient_and_of_no_other_hospital(
    client: &Client,
    stranger: &Client,
) -> anyhow::Result<()> {
    let of = "/v1/scans?patient_id=canary-4713";
    let mut scans = Vec::new();
    for (sender, path, seed) in [
        (client, of, 31),
        (client, "/v1/scans?patient_id=canary-4714", 32),
        (stranger, of, 33),
        (client, of, 34),
    ] {
        let (status, scan) =
            answer(sender.post(path, "image/png", scans::png(seed, true)).await?).await?;
        ensure!(status == 202, "{status} {scan}");
        scans.push(sender.until_done(&scan["id"]).await?);
    }
    let (first, now) = (id(&scans[0])?, id(&scans[3])?);
    let (status, page) = client.json(&format!("/v1/scans/{now}/priors")).await?;
    let priors = page["priors"].as_array().context("priors")?;
    ensure!(status == 200 && priors.len() == 1 && priors[0]["id"] == first, "{status} {page}");
    let (_, none) = client.json(&format!("/v1/scans/{first}/priors")).await?;
    ensure!(none["priors"] == json!([]), "{none}");
    // Theirs is as if it never was, and what is not theirs, too.
    for (who, scan) in [(client, id(&scans[2])?), (stranger, now)] {
        for what in ["priors", "volume.nii"] {
            let refused = who.get(&format!("/v1/scans/{scan}/{what}")).await?.status().as_u16();
            ensure!(refused == 404 || refused == 403, "{what}: {refused}");
        }
    }
    let volume = client.bytes(&format!("/v1/scans/{now}/volume.nii")).await?;
    ensure!(volume.get(344..348) == Some(b"n+1\0".as_slice()), "no NIfTI: {} bytes", volume.len());
    Ok(())
}

/// What all stories have left in the object store is encrypted, and what is read back of it is not.
async fn no_object_shows_what_it_is_of(client: &Client, mesh: &Mesh) -> anyhow::Result<()> {
    let (scan, result) = client.analyse(&scans::dicom_as(&scans::stack(5), "LPS")).await?;
    ensure!(result["scan_id"] == scan["id"], "{result}");
    let scan = id(&scan)?;
    let needles = erased::told(client, scan).await?;
    let object = client.bytes(&format!("/v1/scans/{scan}/seg.dcm")).await?;
    let study = &needles[..1];
    let is_named = object.windows(study[0].len()).any(|some| some == study[0].as_bytes());
    ensure!(is_named, "what is read names no study");
    erased::are_encrypted(&mesh.objects_folder(), study)
}

/// Databases with what SQLite keeps beside them, objects, spool and keys. The test's own logs lie outside.
fn nobody_else_can_read_what_is_kept(mesh: &Mesh) -> anyhow::Result<()> {
    let home = mesh.data.path().join("home");
    let (mut folders, mut files) = (vec![home.clone()], 0);
    if !home.try_exists()? {
        return Ok(());
    }
    while let Some(folder) = folders.pop() {
        let mode = std::fs::metadata(&folder)?.permissions().mode() & 0o777;
        ensure!(mode == 0o700, "{} is {mode:o}", folder.display());
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
            ensure!(mode == 0o600, "{} is {mode:o}", path.display());
            files += 1;
        }
    }
    ensure!(files > 10, "only {files} files were looked at");
    Ok(())
}

fn no_log_names_what_was_uploaded(mesh: &Mesh) -> anyhow::Result<()> {
    let mut read = Vec::new();
    for entry in std::fs::read_dir(mesh.data.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let log = std::fs::read_to_string(&path)?;
            for secret in [mesh.password.as_str(), "Bearer ", "one.png", "eyJ", "canary"] {
                ensure!(!log.contains(secret), "{} tells `{secret}`", path.display());
            }
            // One that tells nothing names nobody either.
            if log.contains("INFO") {
                read.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
            }
        }
    }
    let unread = mesh.programs.iter().filter(|program| !read.iter().any(|log| log == *program));
    let unread: Vec<_> = unread.collect();
    ensure!(unread.is_empty(), "nothing is logged by {unread:?}: only {read:?} were read");
    Ok(())
}
