//! A model's life from the outside: it is registered, evaluated, promoted under load, rolled back, and looks on.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use model::{Weights, WeightsFacts};
use serde_json::{Value, json};
use tests::client::Client;
use tests::mesh::OneProcess;
use tests::process::built;
use tests::scans;

use crate::bad_models;

/// A promotion is on every worker within this.
pub const ASKED: Duration = Duration::from_secs(10);
/// What serves is evaluated meanwhile, beside whatever else this machine does.
const PATIENCE: Duration = Duration::from_secs(600);
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/medseg-mr");
pub const CHALLENGER: &str = "0.0.0-challenger";

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_reaches_the_worker_and_no_scan_is_refused_lost_or_read_by_two_models()
-> anyhow::Result<()> {
    let medseg = OneProcess::of_the_registry().await?;
    let client = medseg.client().await?;
    let shipped = serving(&client).await?;
    let folder = tempfile::tempdir()?;
    let digest = challenger(folder.path(), CHALLENGER)?;
    import(&medseg, folder.path())?;

    let refused = promote(&client, json!({})).await?;
    ensure!(refused.0 == 409 && refused.1["type"] == "/problems/gate-refused", "{refused:?}");

    let load = Load::start(&client);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let forced = promote(&client, json!({ "force": true, "reason": "to be seen" })).await?;
    ensure!(forced.0 == 200, "{forced:?}");
    let promoted = until_answered_by(&client, CHALLENGER).await?;
    ensure!(promoted < ASKED, "the promotion took {promoted:?}");
    let (status, back) = change(&client, "roll-back").await?;
    ensure!(status == 200 && back["version"] == shipped.0.as_str(), "{status}: {back}");
    let rolled_back = until_answered_by(&client, &shipped.0).await?;
    ensure!(rolled_back < ASKED, "the way back took {rolled_back:?}");

    let results = load.end().await?;
    let known = BTreeMap::from([shipped, (CHALLENGER.to_owned(), digest)]);
    let mut by_version = BTreeMap::<String, usize>::new();
    for result in &results {
        let version = result["model"]["version"].as_str().context("a version")?;
        ensure!(
            known.get(version).map(String::as_str) == result["model"]["sha256"].as_str(),
            "weights of another version: {}",
            result["model"]
        );
        let remarks = result["quality"]["remarks"].to_string();
        ensure!(remarks.contains("to be seen") == (version == CHALLENGER), "{version}: {remarks}");
        *by_version.entry(version.to_owned()).or_default() += 1;
    }
    ensure!(by_version.len() == 2, "not by both: {by_version:?}");
    // Whichever serves now, a result is made again by the one that made it.
    for version in by_version.keys() {
        let of = |result: &&Value| result["model"]["version"] == version.as_str();
        let scan = results.iter().find(of).context("a result")?["scan_id"].to_string();
        let said = replayed(&medseg, scan.trim_matches('"'))?;
        ensure!(said.contains("  signed by the key "), "{said}");
        ensure!(said.contains(version.as_str()) && said.ends_with("the same\n"), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_image_is_read_by_its_own_model_and_what_says_none_by_its_modalitys()
-> anyhow::Result<()> {
    let medseg = OneProcess::of_the_registry().await?;
    let client = medseg.client().await?;
    let (own, _) = serving(&client).await?;
    let folder = tempfile::tempdir()?;
    challenger(folder.path(), CHALLENGER)?;
    import(&medseg, folder.path())?;
    let flair = json!({ "force": true, "reason": "to be seen", "image_kind": "flair" });
    let (status, said) = promote(&client, flair).await?;
    ensure!(status == 200, "{status}: {said}");

    let scan = scans::dicom_as(&scans::stack(3), "LPS");
    let began = Instant::now();
    loop {
        let (_, result) = client.analyse(&scan).await?;
        let kind = &result["image"]["kind"];
        ensure!(kind["kind"] == "flair" && kind["told_by"] == "dicom", "{kind}");
        if result["model"]["version"] == CHALLENGER {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "the kind's own model never answered");
    }
    // A picture says nothing of itself, whatever a model makes of it.
    for seed in 1..4 {
        let (_, result) = client.analyse(&scans::png(seed, true)).await?;
        ensure!(result["model"]["version"] == own.as_str(), "{}", result["model"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_evaluated_by_a_worker_a_shadow_is_compared_and_nan_is_refused()
-> anyhow::Result<()> {
    let medseg = OneProcess::of_the_registry().await?;
    let client = medseg.client().await?;
    let (version, _) = serving(&client).await?;
    // On one server, for what serves is evaluated first and takes long; before the challenger, which would take as long.
    bad_models::register_nan(&client).await?;
    let folder = tempfile::tempdir()?;
    challenger(folder.path(), CHALLENGER)?;
    import(&medseg, folder.path())?;
    let (status, shadow) = change(&client, "shadow").await?;
    ensure!(status == 200 && shadow["state"] == "shadow", "{status}: {shadow}");

    let path = format!("/v1/models/medseg-mr/{version}");
    let evaluated = evaluated(&medseg, &path).await?;
    let figures = &evaluated["evaluation"];
    ensure!(figures["failure"].is_null() && figures["scans_with_tumour"] == 80, "{figures}");
    let kinds = figures["kinds"].as_array().context("figures by kind")?;
    let counted = kinds.iter().map(|of| (&of["image_kind"], &of["scans_with_tumour"]));
    let expected = json!([["flair", 40], ["t1_contrast", 40], ["unknown", 80]]);
    ensure!(json!(counted.collect::<Vec<_>>()) == expected, "{figures}");
    ensure!(kinds[0]["dice"]["value"].as_f64() > Some(0.5), "{figures}");

    let client = medseg.client().await?;
    let (scan, result) = client.analyse(&scans::png(1, true)).await?;
    ensure!(result["model"]["version"] == version.as_str(), "a shadow has answered: {result}");
    let path = format!("/v1/models/medseg-mr/{CHALLENGER}/shadow");
    // The first scan may have come before the shadow was loaded.
    let mut report = Value::Null;
    for seed in 2..40 {
        report = client.json(&path).await?.1;
        if report["scans"].as_u64() > Some(0) {
            break;
        }
        client.analyse(&scans::png(seed, true)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let furthest = &report["furthest"][0];
    ensure!(furthest["serving_version"] == version.as_str(), "{report} after {scan}");
    ensure!(furthest["dice"].as_f64() > Some(0.5), "the same weights, cut elsewhere: {report}");
    bad_models::nan_is_refused_by_the_gate_and_forced_it_answers_nothing(&medseg, &version).await
}

/// The shipped weights under another version, cut elsewhere: what a result says tells which of the two has answered.
pub fn challenger(folder: &Path, version: &str) -> anyhow::Result<String> {
    let shipped = Path::new(SHIPPED);
    let Weights { mut facts, kind_head, .. } = Weights::read(shipped)?;
    facts.model.version = version.to_owned();
    let general = &mut facts.model.readings.general;
    for reading in [&mut general.slice, &mut general.volume] {
        reading.operating_point.threshold = 0.4;
    }
    let quantised = Weights::quantised(shipped)?;
    let facts: WeightsFacts = facts;
    Ok(Weights::write(folder, &facts, &quantised, kind_head.as_ref())?.sha256)
}

fn import(medseg: &OneProcess, folder: &Path) -> anyhow::Result<()> {
    let imported = Command::new(built("medseg")?)
        .args(["model", "import", "--url", &medseg.url])
        .arg(folder)
        .env("MEDSEG_PASSWORD", &medseg.password)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&imported.stderr).into_owned();
    ensure!(imported.status.success(), "{said}");
    Ok(())
}

/// What `medseg replay` says of a scan whose result is the same when it is made again.
fn replayed(medseg: &OneProcess, scan: &str) -> anyhow::Result<String> {
    let replayed = Command::new(built("medseg")?)
        // Where the server calculates: masks are the same on the same kind of device.
        .args(["replay", scan, "--url", &medseg.url, "--device", "cpu"])
        .env("MEDSEG_PASSWORD", &medseg.password)
        .stdin(Stdio::null())
        .output()?;
    let said =
        [replayed.stdout, replayed.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    ensure!(replayed.status.success(), "{said:?}");
    Ok(said.concat())
}

/// The version that serves, and the digest of its weights.
pub async fn serving(client: &Client) -> anyhow::Result<(String, String)> {
    let of = |model: &Value| {
        let serving = model["versions"].as_array()?.iter().find(|it| it["state"] == "serving")?;
        let text = |name: &str| Some(serving[name].as_str()?.to_owned());
        Some((text("version")?, text("sha256")?))
    };
    let listed =
        until(async || client.json("/v1/models").await, |listed| of(listed).is_some()).await?;
    of(&listed).context("a version that serves")
}

async fn until(
    ask: impl AsyncFn() -> anyhow::Result<(u16, Value)>,
    wish: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let began = Instant::now();
    loop {
        let (status, value) = ask().await?;
        if status == 200 && wish(&value) {
            return Ok(value);
        }
        ensure!(began.elapsed() < PATIENCE, "it did not come about: {status}: {value}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The version once it is evaluated, which may last longer than anybody is signed in.
pub async fn evaluated(medseg: &OneProcess, path: &str) -> anyhow::Result<Value> {
    let ask = async || medseg.client().await?.json(path).await;
    until(ask, |version| !version["evaluation"].is_null()).await
}

pub async fn promote(client: &Client, body: Value) -> anyhow::Result<(u16, Value)> {
    posted(client, CHALLENGER, "promote", body).await
}

async fn change(client: &Client, what: &str) -> anyhow::Result<(u16, Value)> {
    posted(client, CHALLENGER, what, json!({ "reason": "a test" })).await
}

pub async fn posted(
    client: &Client,
    version: &str,
    what: &str,
    body: Value,
) -> anyhow::Result<(u16, Value)> {
    let path = format!("/v1/models/medseg-mr/{version}/{what}");
    client.post_json(&path, &body).await
}

/// How long it takes until a scan that is sent is answered by that version.
async fn until_answered_by(client: &Client, version: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let sent = began.elapsed();
        let (_, result) = client.analyse(&scans::png(7, true)).await?;
        if result["model"]["version"] == version {
            // When it was sent: what an analysis takes on a busy machine is not the promotion's.
            return Ok(sent);
        }
    }
    anyhow::bail!("{version} never answered")
}

/// Scans that are sent all the time.
struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<tokio::task::JoinHandle<anyhow::Result<Vec<Value>>>>,
}

impl Load {
    fn start(client: &Client) -> Load {
        let stop = Arc::<AtomicBool>::default();
        let senders = (0..3).map(|sender| {
            let (client, stop) = (client.clone(), stop.clone());
            tokio::spawn(async move {
                let mut results = Vec::new();
                for seed in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // Refused, lost or failed: any of it is an error here.
                    let (scan, result) =
                        client.analyse(&scans::png(100 * sender + seed, true)).await?;
                    ensure!(scan["answer"] != "failed", "{scan}");
                    results.push(result);
                }
                Ok(results)
            })
        });
        let senders = senders.collect();
        Load { stop, senders }
    }

    async fn end(self) -> anyhow::Result<Vec<Value>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for sender in self.senders {
            all.extend(sender.await??);
        }
        Ok(all)
    }
}
