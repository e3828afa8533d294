//! How good the answers are by what readers say of them, from the outside.

use std::time::Duration;

use anyhow::{Context, ensure};
use domain::rfc3339;
use serde_json::{Value, json};
use tests::client::{Client, answer, id};
use tests::mesh::Mesh;
use tests::scans;
use tokio::time::{sleep, timeout};

/// How long a word may take to be counted on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn tell(client: &Client, mesh: &Mesh) -> anyhow::Result<()> {
    let (scan, result) = client.analyse(&scans::png(1, true)).await?;
    ensure!(scan["answer"] == "found", "{scan}");
    // No other scan is completed from then on.
    let completed_ms = scan["completed_ms"].as_i64().context("when it was completed")?;
    let from = rfc3339(completed_ms).context("a time that a calendar has")?;
    let figures = format!("/v1/quality?from={from}");
    let feedback = format!("/v1/scans/{}/feedback", id(&scan)?);
    let given = a_false_finding_is_counted(client, &feedback, &figures, &result).await?;
    the_same_readers_later_word_is_counted_instead(client, &feedback, &figures).await?;
    let mask = format!("{feedback}/{}/mask", id(&given)?);
    another_hospital_sees_nothing_of_it(&mesh.stranger()?, &[feedback, mask], &figures).await?;
    a_scan_is_counted_where_it_was_made(client, &figures).await?;
    a_refused_file_is_counted_where_it_was_made(client, &mesh.stranger()?).await?;
    what_was_measured_offline_is_kept(client, &mesh.stranger()?).await
}

async fn a_false_finding_is_counted(
    client: &Client,
    feedback: &str,
    figures: &str,
    result: &Value,
) -> anyhow::Result<Value> {
    let findings = result["findings"].as_array().context("findings")?;
    let none = |finding: &Value| json!({ "label": finding["label"], "verdict": "reject" });
    let word = json!({
        "verdict": "correct", "truth": "no_tumour", "reason": "false_finding",
        "findings": findings.iter().map(none).collect::<Value>(),
    });
    let given = give(client, feedback, &word).await?;
    let seen = |group: &Value| group["reviewed"] == 1 && group["response_ms"]["scans"] == 1;
    let group = until(client, figures, seen).await?;
    ensure!(group["scans"] == 1 && group["share_reviewed"] == 1.0, "{group}");
    ensure!(group["name"].as_str().is_some_and(|name| name.contains('/')), "{group}");
    ensure!(counts(&group["far"]) == (1, 1) && group["frr"].is_null(), "{group}");
    ensure!(counts(&group["agree"]) == (0, 1), "{group}");
    ensure!(group["dice"]["mean"] == 0.0 && group["dice"]["count"] == 1, "{group}");
    // One slice, which the model marks and the reader does not; by weight the scan stands for itself.
    ensure!(counts(&group["slices"]["far"]) == (1, 1), "{group}");
    ensure!(
        group["weighted"]["far"]["rate"] == 1.0 && group["weighted"]["covered"] == 1.0,
        "{group}"
    );
    ensure!(group["alarm"]["errors"] == 1 && group["alarm"]["of"] == 1, "{group}");
    ensure!(group["refusals"] == json!({}), "{group}");
    for by in ["week", "kind", "size", "site", "scanner"] {
        let (status, quality) = client.json(&format!("{figures}&by={by}")).await?;
        let groups = quality["groups"].as_array().context("groups")?;
        ensure!(groups.len() == 1 && groups[0]["reviewed"] == 1, "{status} {quality}");
    }
    Ok(given)
}

async fn the_same_readers_later_word_is_counted_instead(
    client: &Client,
    feedback: &str,
    figures: &str,
) -> anyhow::Result<()> {
    give(client, feedback, &json!({ "verdict": "agree" })).await?;
    let group = until(client, figures, |group| counts(&group["agree"]) == (1, 1)).await?;
    ensure!(group["reviewed"] == 1 && group["disputed"] == 0, "{group}");
    ensure!(group["far"].is_null() && counts(&group["frr"]) == (0, 1), "{group}");
    Ok(())
}

async fn another_hospital_sees_nothing_of_it(
    stranger: &Client,
    paths: &[String; 2],
    figures: &str,
) -> anyhow::Result<()> {
    for path in paths {
        let (status, problem) = stranger.json(path).await?;
        ensure!(status == 404, "{path}: {status} {problem}");
    }
    let (status, problem) = stranger.post_json(&paths[0], &json!({ "verdict": "agree" })).await?;
    ensure!(status == 404, "{status} {problem}");
    let (status, listed) = stranger.json("/v1/feedback").await?;
    ensure!(status == 200 && listed["scans"] == json!([]), "{status} {listed}");
    for figures in [figures, "/v1/quality"] {
        let (status, quality) = stranger.json(figures).await?;
        ensure!(status == 200 && quality["groups"] == json!([]), "{status} {quality}");
    }
    Ok(())
}

async fn a_scan_is_counted_where_it_was_made(client: &Client, figures: &str) -> anyhow::Result<()> {
    let (png, kind) = (scans::png(2, true), "application/octet-stream");
    let (status, scan) =
        answer(client.post("/v1/scans?site=West%20wing", kind, png).await?).await?;
    ensure!(status == 202, "{status} {scan}");
    client.until_done(&scan["id"]).await?;
    let poll = async {
        loop {
            let (status, quality) = client.json(&format!("{figures}&by=site")).await?;
            ensure!(status == 200, "{status} {quality}");
            let groups = quality["groups"].as_array().context("groups")?;
            if let Some(group) = groups.iter().find(|group| group["name"] == "West wing") {
                ensure!(group["scans"] == 1 && group["response_ms"]["scans"] == 1, "{group}");
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, poll).await.context("nobody has heard where a scan was made")?
}

async fn a_refused_file_is_counted_where_it_was_made(
    client: &Client,
    stranger: &Client,
) -> anyhow::Result<()> {
    let (place, kind) = ("/v1/scans?site=Door%20of%20the%20story", "application/octet-stream");
    let (status, problem) = answer(client.post(place, kind, b"no image".to_vec()).await?).await?;
    ensure!(status == 422, "{status} {problem}");
    let name = problem["type"].as_str().context("a type")?.rsplit('/').next().unwrap_or_default();
    let poll = async {
        loop {
            let (status, quality) = client.json("/v1/quality?by=site").await?;
            ensure!(status == 200, "{status} {quality}");
            let groups = quality["groups"].as_array().context("groups")?;
            if let Some(group) = groups.iter().find(|group| group["name"] == "Door of the story") {
                ensure!(group["scans"] == 0, "{group}");
                ensure!(group["refused_uploads"] == json!({ name: 1 }), "{group}");
                ensure!(quality["refused_uploads"][name].as_u64() >= Some(1), "{quality}");
                return anyhow::Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, poll).await.context("nobody has heard of a refused file")??;
    let (_, quality) = stranger.json("/v1/quality?by=site").await?;
    let groups = quality["groups"].as_array().context("groups")?;
    ensure!(groups.iter().all(|group| group["name"] != "Door of the story"), "{quality}");
    Ok(())
}

/// As `medseg evaluate --report-to` says it.
async fn what_was_measured_offline_is_kept(
    client: &Client,
    stranger: &Client,
) -> anyhow::Result<()> {
    let evaluation = json!({
        "model": { "name": "of-the-story", "version": "1", "sha256": "ab" },
        "data_version": "kept", "patients": 2, "slices": 20,
        "dice": { "mean": 0.5, "low": 0.25, "high": 0.75, "count": 2, "empty": 0 },
        "far": { "count": 1, "of": 10 }, "frr": { "count": 0, "of": 10 },
    });
    let (status, kept) = client.post_json("/v1/evaluations", &evaluation).await?;
    ensure!(status == 201 && kept["far"]["rate"] == 0.1, "{status} {kept}");
    let place = "/v1/evaluations?model_name=of-the-story";
    let (status, listed) = client.json(place).await?;
    ensure!(status == 200 && listed["evaluations"] == json!([kept]), "{status} {listed}");
    let (status, listed) = stranger.json(place).await?;
    ensure!(status == 200 && listed["evaluations"] == json!([]), "{status} {listed}");
    Ok(())
}

async fn give(client: &Client, feedback: &str, word: &Value) -> anyhow::Result<Value> {
    let (status, given) = client.post_json(feedback, word).await?;
    ensure!(status == 201, "{status} {given}");
    Ok(given)
}

/// The one group that there is, once it is as wished.
async fn until(
    client: &Client,
    figures: &str,
    wish: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let poll = async {
        loop {
            let (status, quality) = client.json(figures).await?;
            ensure!(status == 200, "{status} {quality}");
            let groups = quality["groups"].as_array().context("groups")?;
            if let [group] = &groups[..]
                && wish(group)
            {
                return Ok(group.clone());
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, poll).await.context("a reader's word is not counted")?
}

/// How often, of how many.
fn counts(rate: &Value) -> (u64, u64) {
    let count = |name: &str| rate[name].as_u64().unwrap_or(u64::MAX);
    (count("count"), count("of"))
}
