//! From a correction to a data set of the next model, from the outside; and what people report that went wrong.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tests::client::{Client, answer, id};
use tests::mesh::Mesh;
use tests::process::built;
use tests::scans;
use tokio::process::Command;

use crate::feedback::voxels;

pub async fn tell(client: &Client, mesh: &Mesh) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("confirmed");
    nothing_leaves_without_consent(client, mesh, &out).await?;
    let scan = a_corrected_scan(client).await?;
    a_head_without_a_tumour_is_agreed_upon(client).await?;
    a_conflict_is_settled(client, &scan).await?;
    consent(client, true).await?;
    what_was_corrected_is_in_the_data_set(client, mesh, &scan, &out).await?;
    images_leave_without_whose_they_are(client, mesh, &out).await?;
    another_hospital_sees_nothing_of_it(&mesh.stranger()?, &scan).await?;
    a_report_reaches_whoever_runs_it(client, mesh, &scan).await?;
    what_is_withdrawn_leaves(client, mesh, &out).await
}

async fn nothing_leaves_without_consent(
    client: &Client,
    mesh: &Mesh,
    out: &Path,
) -> anyhow::Result<()> {
    let (status, consent) = client.json("/v1/consent").await?;
    let nobody = json!({ "learning": false, "decided_by": null, "decided_at": null });
    ensure!(status == 200 && consent == nobody, "{status} {consent}");
    let (status, refusal) = client.json("/v1/dataset").await?;
    ensure!(status == 403 && refusal["type"] == "/problems/no-consent", "{status} {refusal}");
    let (succeeded, said) = export(mesh, out).await?;
    ensure!(!succeeded && said.contains("/v1/consent") && !out.try_exists()?, "{said}");
    Ok(())
}

/// A scan that one reader has outlined anew.
async fn a_corrected_scan(client: &Client) -> anyhow::Result<String> {
    let (scan, _) = client.analyse(&scans::nifti_as(&scans::stack(8), "LIA")).await?;
    let scan = id(&scan)?.to_owned();
    let own = client.bytes(&format!("/v1/scans/{scan}/mask.nii.gz")).await?;
    let word = json!({ "verdict": "correct", "truth": "tumour", "reason": "outline" });
    let path = format!("/v1/scans/{scan}");
    let (status, given) = client.correct(&path, &word, ("mask.nii.gz", own), None).await?;
    ensure!(status == 201 && given["mask"] == true, "{status} {given}");
    Ok(scan)
}

async fn a_head_without_a_tumour_is_agreed_upon(client: &Client) -> anyhow::Result<()> {
    let (scan, _) = client.analyse(&scans::png(2, false)).await?;
    ensure!(scan["answer"] == "none_found", "{scan}");
    let feedback = format!("/v1/scans/{}/feedback", id(&scan)?);
    let (status, given) = client.post_json(&feedback, &json!({ "verdict": "agree" })).await?;
    ensure!(status == 201, "{status} {given}");
    Ok(())
}

/// A second reader says otherwise, and an adjudicator who has given neither of the two verdicts settles it.
async fn a_conflict_is_settled(client: &Client, scan: &str) -> anyhow::Result<()> {
    let reader = client.reader("third-reader").await?;
    let feedback = format!("/v1/scans/{scan}/feedback");
    let (status, other) = reader.post_json(&feedback, &json!({ "verdict": "unsure" })).await?;
    ensure!(status == 201, "{status} {other}");
    let (_, all) = client.json(&feedback).await?;
    ensure!(all["state"] == "conflict", "{all}");

    let (words, theirs) = (all["feedback"].as_array().context("words")?, id(&other)?);
    let own = words.iter().find(|word| word["mask"] == true).context("the correction")?;
    let mask = client.bytes(&format!("{feedback}/{}/mask", id(own)?)).await?;
    let both = json!([theirs, id(own)?]);
    let why = json!({ "label": 1, "verdict": "unsure", "reason": "outline", "note": "canary" });
    let settling = json!({
        "verdict": "correct", "truth": "tumour", "adjudicates": both, "findings": [why],
    });
    // Of whoever is no adjudicator it is not taken, nor of one who has given one of the verdicts.
    for (who, settled, expected) in [(&reader, id(own)?, 403), (client, theirs, 422)] {
        let word = json!({ "verdict": "agree", "adjudicates": [settled] });
        let (status, refused) = who.post_json(&feedback, &word).await?;
        ensure!(status == expected, "{status} {refused}");
    }
    let path = format!("/v1/scans/{scan}");
    let chief = client.colleague("chief-reader", &["clinician", "adjudicator"]).await?;
    let (status, given) = chief.correct(&path, &settling, ("mask.nii.gz", mask), None).await?;
    ensure!(status == 201 && given["adjudicates"] == both, "{status} {given}");
    let (_, all) = client.json(&feedback).await?;
    ensure!(all["state"] == "corrected", "{all}");
    ensure!(all["feedback"].as_array().map(Vec::len) == Some(3), "nothing is gone: {all}");
    Ok(())
}

async fn what_was_corrected_is_in_the_data_set(
    client: &Client,
    mesh: &Mesh,
    scan: &str,
    out: &Path,
) -> anyhow::Result<()> {
    let (status, page) = client.json("/v1/dataset").await?;
    ensure!(status == 200, "{status} {page}");
    let scans = page["scans"].as_array().context("scans")?;
    let listed = scans.iter().find(|it| it["scan_id"] == scan).context("the corrected scan")?;
    ensure!(listed["mask_source"] == "reader" && listed["truth"] == "tumour", "{listed}");

    let (succeeded, said) = export(mesh, out).await?;
    ensure!(succeeded && said.contains("data version"), "{said}");
    let manifest = std::fs::read_to_string(out.join("manifest.csv"))?;
    let name = listed["id"].as_str().context("a name")?;
    let slices = manifest.lines().filter(|line| line.starts_with(name)).count();
    ensure!(slices > 0 && !manifest.contains(scan), "{manifest}");
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json"))?)?;
    let judged = json!([{ "label": 1, "verdict": "unsure", "reason": "outline" }]);
    ensure!(report["findings"][name] == judged, "{report}");
    // All that is confirmed, pictures too, which say nothing of how the patient lies.
    ensure!(report["scans"] == scans.len(), "{report} {page}");
    let negative = scans.iter().filter(|it| it["truth"] == "no_tumour").count();
    ensure!(negative > 0 && report["without_tumour"] == negative, "{report} {page}");
    let left_out = page["left_out"].as_array().context("what was left out")?;
    let by_why = report["left_out_by_why"].as_object().context("why they were left out")?;
    let counted: u64 = by_why.values().filter_map(Value::as_u64).sum();
    ensure!(counted == left_out.len() as u64, "{report} {page}");
    let (succeeded, said) = medseg(mesh, &["dataset", "validate", path(out)?]).await?;
    let sound = succeeded && said.contains("nothing is wrong");
    ensure!(sound && said.contains(&format!("without a tumour: {negative},")), "{said}");
    the_truth_is_as_it_was_drawn(client, scan, out, name).await?;

    // Once more: nothing has changed, and so neither has the data.
    let (succeeded, again) = export(mesh, out).await?;
    let version = report["data_version"].as_str().context("a version")?;
    ensure!(succeeded && again.contains(&format!("data version {version}\n")), "{version} {again}");
    Ok(())
}

/// A series that names a patient in all places that its writer knows comes out in a zip in which that name is nowhere.
async fn images_leave_without_whose_they_are(
    client: &Client,
    mesh: &Mesh,
    out: &Path,
) -> anyhow::Result<()> {
    let (scan, _) =
        client.analyse(&scans::zip_of(scans::slices_as(&scans::stack(12), "LPS", 12))).await?;
    let scan = id(&scan)?.to_owned();
    let feedback = format!("/v1/scans/{scan}/feedback");
    let (status, given) = client.post_json(&feedback, &json!({ "verdict": "agree" })).await?;
    ensure!(status == 201, "{status} {given}");
    let arguments = ["dataset", "export", "--from", &mesh.url, "--out", path(out)?, "--dicom"];
    let (succeeded, said) = medseg(mesh, &arguments).await?;
    ensure!(succeeded, "{said}");

    let (_, page) = client.json("/v1/dataset").await?;
    let listed = page["scans"].as_array().context("scans")?;
    let listed = listed.iter().find(|it| it["scan_id"] == scan).context("the series")?;
    let (name, patient) = (text(&listed["id"])?, text(&listed["patient"])?);
    let zip = std::fs::read(out.join("dicom").join(format!("{name}.zip")))?;
    let has = |words: &str| zip.windows(words.len()).any(|window| window == words.as_bytes());
    ensure!(zip.starts_with(b"PK") && has("report.json") && has(patient), "it is no such zip");
    ensure!(!has("PHANTOM-12") && !has("Phantom^Seed") && !has(&scan), "the patient left with it");
    // Pictures and volumes of other forms say that they have none.
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json"))?)?;
    let without = report["without_dicom"].as_array().context("scans without DICOM images")?;
    ensure!(without.iter().all(|it| it["id"] != name) && !without.is_empty(), "{report}");
    let whole = std::fs::read(out.join("report.json"))?;
    ensure!(!String::from_utf8_lossy(&whole).contains("PHANTOM-12"), "{report}");
    Ok(())
}

fn text(value: &Value) -> anyhow::Result<&str> {
    value.as_str().context("a text")
}

/// As many voxels are marked as the reader has marked, whichever way the file was stored.
async fn the_truth_is_as_it_was_drawn(
    client: &Client,
    scan: &str,
    out: &Path,
    name: &str,
) -> anyhow::Result<()> {
    let (_, all) = client.json(&format!("/v1/scans/{scan}/feedback")).await?;
    let newest = id(&all["feedback"][0])?;
    let drawn = client.bytes(&format!("/v1/scans/{scan}/feedback/{newest}/mask")).await?;
    let drawn = voxels(&drawn)?.iter().filter(|voxel| **voxel > 0.0).count();
    let patients = model::dataset::read(out)?;
    let patient = patients.iter().find(|patient| patient.id == name).context("the scan")?;
    let labelled = model::dataset::Labelled::load(&patient.slices)?;
    let marked = labelled.truth.iter().filter(|voxel| **voxel == 1).count();
    ensure!(drawn > 0 && drawn == marked, "{drawn} voxels were drawn, {marked} are learned from");
    Ok(())
}

async fn another_hospital_sees_nothing_of_it(stranger: &Client, scan: &str) -> anyhow::Result<()> {
    for path in ["dataset-image", "dataset-mask", "dataset-dicom"] {
        let (status, problem) = stranger.json(&format!("/v1/scans/{scan}/{path}")).await?;
        // It has consented to nothing, and may not know whether there is such a scan.
        ensure!(status == 403, "{path}: {status} {problem}");
    }
    let (status, problem) = stranger.json("/v1/dataset").await?;
    ensure!(status == 403, "{status} {problem}");
    let (status, listed) = stranger.json("/v1/incidents").await?;
    ensure!(status == 200 && listed["incidents"] == json!([]), "{status} {listed}");
    Ok(())
}

async fn a_report_reaches_whoever_runs_it(
    client: &Client,
    mesh: &Mesh,
    scan: &str,
) -> anyhow::Result<()> {
    let words = "a canary's report: the outline is on the wrong side";
    let new = json!({ "words": words, "scan_id": scan });
    let (status, kept) = client.post_json("/v1/incidents", &new).await?;
    ensure!(status == 201 && kept["words"] == words && kept["scan_id"] == scan, "{status} {kept}");
    let (_, listed) = client.json("/v1/incidents").await?;
    ensure!(listed["incidents"][0] == kept, "{listed}");
    let (status, refused) = mesh.stranger()?.post_json("/v1/incidents", &new).await?;
    ensure!(status == 404, "another hospital's scan: {status} {refused}");
    Ok(())
}

async fn what_is_withdrawn_leaves(client: &Client, mesh: &Mesh, out: &Path) -> anyhow::Result<()> {
    consent(client, false).await?;
    let (succeeded, said) = export(mesh, out).await?;
    ensure!(!succeeded && said.contains("is gone"), "{said}");
    ensure!(!out.try_exists()?, "what was exported is still there");
    let downloads = out.with_file_name("confirmed.scans");
    ensure!(std::fs::read_dir(downloads)?.next().is_none(), "downloads are still there");
    Ok(())
}

async fn consent(client: &Client, learning: bool) -> anyhow::Result<()> {
    let request = client.http.put(format!("{}/v1/consent", client.url));
    let request = request.bearer_auth(&client.token).json(&json!({ "learning": learning }));
    let (status, decided) = answer(request.send().await?).await?;
    ensure!(status == 200 && decided["learning"] == learning, "{status} {decided}");
    ensure!(decided["decided_by"] == "admin" && decided["decided_at"].is_string(), "{decided}");
    Ok(())
}

/// Whether an export by the admin succeeds, and what it says.
async fn export(mesh: &Mesh, out: &Path) -> anyhow::Result<(bool, String)> {
    medseg(mesh, &["dataset", "export", "--from", &mesh.url, "--out", path(out)?]).await
}

async fn medseg(mesh: &Mesh, words: &[&str]) -> anyhow::Result<(bool, String)> {
    let mut command = Command::new(built("medseg")?);
    command.args(words).env("MEDSEG_PASSWORD", &mesh.password).env_remove("MEDSEG_USER");
    let ended = command.output().await?;
    let said = [ended.stdout, ended.stderr].concat();
    Ok((ended.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path in UTF-8")
}
