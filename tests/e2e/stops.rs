//! A model that is stopped by its hospital's rule gives no answer, until an administrator decides.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tests::client::{Client, answer, id};
use tests::mesh::Mesh;
use tests::scans;

/// More wrong answers in a row than the rule below asks for, whatever readers have said before.
const WRONG_MAX: u64 = 12;

pub async fn tell(client: &Client, mesh: &Mesh) -> anyhow::Result<()> {
    let before = set_rule(client, 0.2, 10).await?;
    ensure!(before["rule"]["error_max"] == 0.2, "{before}");
    let stopped = wrong_answers_stop_the_model(client).await?;
    no_answer_of_it_passes(client, &stopped).await?;
    another_hospital_is_answered_as_before(&mesh.stranger()?).await?;
    it_answers_again_once_somebody_has_decided(client, &stopped).await
}

/// The stop that stands, once readers have found enough answers wrong.
async fn wrong_answers_stop_the_model(client: &Client) -> anyhow::Result<Value> {
    for seed in 0..WRONG_MAX {
        let (_, state) = client.json("/v1/stops").await?;
        let stops = state["stops"].as_array().context("stops")?;
        if let Some(stop) = stops.iter().find(|stop| stop["stands"] == true) {
            ensure!(stop["reason"].as_str().is_some_and(|why| why.contains("wrong")), "{stop}");
            return Ok(stop.clone());
        }
        let (scan, _) = client.analyse(&scans::png(9_000 + seed, true)).await?;
        if scan["answer"] == "found" {
            let word = json!({ "verdict": "reject", "truth": "no_tumour" });
            let path = format!("/v1/scans/{}/feedback", id(&scan)?);
            let (status, given) = client.post_json(&path, &word).await?;
            ensure!(status == 201, "{status} {given}");
        }
    }
    anyhow::bail!("{WRONG_MAX} wrong answers have stopped no model")
}

async fn no_answer_of_it_passes(client: &Client, stopped: &Value) -> anyhow::Result<()> {
    let (scan, result) = client.analyse(&scans::png(9_100, true)).await?;
    let version = stopped["version"].as_str().context("a version")?;
    for said in [&scan, &result] {
        ensure!(said["answer"] == "not_analysable", "{said}");
        let reason = said["reason"].as_str().context("a reason")?;
        ensure!(reason.contains(version) && reason.contains("administrator"), "{reason}");
    }
    ensure!(result["findings"] == json!([]) && result["totals"].is_null(), "{result}");
    let (status, problem) = client.json(&format!("/v1/scans/{}/mask.png", id(&scan)?)).await?;
    ensure!(status == 404, "{status} {problem}");
    Ok(())
}

async fn another_hospital_is_answered_as_before(stranger: &Client) -> anyhow::Result<()> {
    let (status, state) = stranger.json("/v1/stops").await?;
    ensure!(status == 200 && state["stops"] == json!([]), "{status} {state}");
    Ok(())
}

async fn it_answers_again_once_somebody_has_decided(
    client: &Client,
    stopped: &Value,
) -> anyhow::Result<()> {
    // Without a rule first: other stories have their wrong answers, too.
    let off = set_rule(client, 0.0, 10).await?;
    ensure!(off["rule"].is_null() && off["stops"][0]["stands"] == true, "{off}");
    let lift = |reason: &str| json!({ "name": stopped["name"], "version": stopped["version"], "reason": reason });
    let (status, refused) = client.post_json("/v1/stops/lift", &lift(" ")).await?;
    ensure!(status == 400, "{status} {refused}");
    let (status, lifted) = client.post_json("/v1/stops/lift", &lift("the coil was broken")).await?;
    ensure!(status == 200 && lifted["stops"][0]["stands"] == false, "{status} {lifted}");
    ensure!(lifted["stops"][0]["reason"] == "the coil was broken", "{lifted}");
    let (scan, _) = client.analyse(&scans::png(9_101, true)).await?;
    ensure!(scan["answer"] == "found", "{scan}");
    Ok(())
}

async fn set_rule(client: &Client, error_max: f64, budget_scans: u32) -> anyhow::Result<Value> {
    let rule = json!({ "error_max": error_max, "budget_scans": budget_scans });
    let request = client.http.put(format!("{}/v1/stops", client.url));
    let request = request.bearer_auth(&client.token).json(&rule);
    let (status, state) = answer(request.send().await?).await?;
    ensure!(status == 200, "{status} {state}");
    Ok(state)
}
