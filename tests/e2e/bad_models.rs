//! Models that are broken, from the outside: what serves goes on serving.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use domain::hex;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::client::{Client, answer};
use tests::mesh::OneProcess;
use tests::scans;

use crate::models::{ASKED, CHALLENGER, challenger, evaluated, posted, promote, serving};

const NAN: &str = "0.0.0-nan";

/// The shipped weights with a NaN among them, as a version of their own.
pub async fn register_nan(client: &Client) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    challenger(folder.path(), NAN)?;
    make_nan(folder.path())?;
    register(client, folder.path(), NAN).await
}

/// What becomes of it, where `version` serves.
pub async fn nan_is_refused_by_the_gate_and_forced_it_answers_nothing(
    medseg: &OneProcess,
    version: &str,
) -> anyhow::Result<()> {
    let path = format!("/v1/models/medseg-mr/{NAN}");
    let evaluated = evaluated(medseg, &path).await?;
    let client = &medseg.client().await?;
    let failure = &evaluated["evaluation"]["failure"];
    ensure!(failure.to_string().contains("not finite"), "{evaluated}");
    let (status, refused) = posted(client, NAN, "promote", json!({})).await?;
    ensure!(status == 409 && refused["type"] == "/problems/gate-refused", "{status}: {refused}");
    ensure!(refused["detail"].to_string().contains("not finite"), "{refused}");

    let by_force = |reason: &str| json!({ "force": true, "reason": reason });
    let (status, forced) = posted(client, NAN, "promote", by_force("a try")).await?;
    ensure!(status == 200, "{status}: {forced}");
    let began = Instant::now();
    while began.elapsed() < ASKED {
        answered_by(client, version).await?;
    }
    let because = json!({ "reason": "a test" });
    let (status, back) = posted(client, NAN, "roll-back", because.clone()).await?;
    ensure!(status == 200 && back["version"] == version, "{status}: {back}");
    let (status, retired) = posted(client, NAN, "retire", because).await?;
    ensure!(status == 200 && retired["state"] == "retired", "{status}: {retired}");
    let (status, again) = posted(client, NAN, "promote", by_force("again")).await?;
    ensure!(status == 409, "{status}: {again}");
    answered_by(client, version).await
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_are_swapped_on_disk_are_given_to_nobody_and_what_serves_goes_on()
-> anyhow::Result<()> {
    let medseg = OneProcess::of_the_registry().await?;
    let client = medseg.client().await?;
    let (version, sha256) = serving(&client).await?;
    answered_by(&client, &version).await?;
    let folder = tempfile::tempdir()?;
    let others = challenger(folder.path(), CHALLENGER)?;
    register(&client, folder.path(), CHALLENGER).await?;
    // Each in the place of the other: whole files, and none of them the one that was signed.
    let objects = medseg.home().join("models/models");
    let [of_shipped, of_challenger] = [&sha256, &others].map(|digest| objects.join(digest));
    let bytes = [std::fs::read(&of_shipped)?, std::fs::read(&of_challenger)?];
    std::fs::write(&of_shipped, &bytes[1])?;
    std::fs::write(&of_challenger, &bytes[0])?;

    let forced = promote(&client, json!({ "force": true, "reason": "a try" })).await?;
    ensure!(forced.0 == 409 && forced.1["type"] == "/problems/conflict", "{forced:?}");
    ensure!(forced.1["detail"].to_string().contains("cannot serve"), "{forced:?}");
    let path = format!("/v1/models/medseg-mr/{version}/files/weights.safetensors");
    let read = client.get(&path).await?;
    let is_whole = read.status() == 200 && read.bytes().await.is_ok();
    ensure!(!is_whole, "weights were handed out that nobody signed");
    let began = Instant::now();
    while began.elapsed() < ASKED {
        answered_by(&client, &version).await?;
    }
    Ok(())
}

/// That a scan which is sent now is answered, by that version.
async fn answered_by(client: &Client, version: &str) -> anyhow::Result<()> {
    let (scan, result) = client.analyse(&scans::png(7, true)).await?;
    ensure!(scan["answer"] != "failed" && result["model"]["version"] == version, "{result}");
    Ok(())
}

/// Puts a NaN in the place of the first number that a weight is multiplied with, and lets the manifest vouch for that.
fn make_nan(folder: &Path) -> anyhow::Result<()> {
    let [weights, manifest] = ["weights.safetensors", "model.json"].map(|name| folder.join(name));
    let mut bytes = std::fs::read(&weights)?;
    let text = std::fs::read_to_string(&manifest)?;
    let before = hex(&Sha256::digest(&bytes));
    let length = u64::from_le_bytes(*bytes.first_chunk().context("a header")?);
    let data = 8 + usize::try_from(length)?;
    let header: Value = serde_json::from_slice(bytes.get(8..data).context("a header")?)?;
    let tensors = header.as_object().context("tensors")?;
    let (_, scale) =
        tensors.iter().find(|(name, _)| name.ends_with(".scale")).context("a scale")?;
    let from = scale["data_offsets"][0].as_u64().context("where it begins")?;
    let at = data + usize::try_from(from)?;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    ensure!(text.contains(&before), "{text}");
    std::fs::write(&manifest, text.replace(&before, &hex(&Sha256::digest(&bytes))))?;
    std::fs::write(&weights, bytes)?;
    Ok(())
}

/// Registers what lies there as it is: `medseg model import` would look at it first.
async fn register(client: &Client, folder: &Path, named: &str) -> anyhow::Result<()> {
    let mut form = Form::new();
    for name in ["model.json", "weights.safetensors"] {
        let bytes = std::fs::read(folder.join(name))?;
        form = form.part(name, Part::bytes(bytes).file_name(name));
    }
    let request = client.http.post(format!("{}/v1/models", client.url)).bearer_auth(&client.token);
    let (status, version) = answer(request.multipart(form).send().await?).await?;
    ensure!(status == 201 && version["version"] == named, "{status}: {version}");
    Ok(())
}
