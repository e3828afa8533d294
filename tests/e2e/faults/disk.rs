//! The disk and what lies on it: in what order things get there, what a full one does, and models that are damaged.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tests::mesh::{OneProcess, seeded};
use tests::process::Process;
use tests::{client, scans};

use super::ledger::PATIENTS;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_flushed_before_they_are_named_and_named_before_the_commit_and_the_answer()
-> anyhow::Result<()> {
    order(None, super::number("FAULT_TRACED", 10)).await
}

#[tokio::test]
async fn a_damaged_model_is_refused_wherever_the_damage_is() -> anyhow::Result<()> {
    damaged_models(None, super::number("FAULT_MODELS", 6)).await
}

/// Row S7: uploads one after another while every flush, rename and answer of the process is written down.
pub async fn order(bug: Option<&str>, uploads: u64) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let trace = data.path().join("trace");
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto";
    let strace = ["strace", "-D", "-f", "-y", "--seccomp-bpf", "-s", "24", "-e", calls, "-o"];
    let mut through: Vec<String> = strace.map(str::to_owned).into();
    through.push(trace.display().to_string());
    through.extend(seeded(bug));
    let mut one = OneProcess::start_through(&through, data, &[])?;
    let client = one.client().await?;
    for round in 0..uploads {
        let (status, scan) = client.upload(&scans::png(round % PATIENTS, true)).await?;
        ensure!(status == 202, "{status}: {scan}");
        client.until_done(&scan["id"]).await?;
    }
    one.kill();
    let accepted = in_order(&std::fs::read_to_string(&trace)?)?;
    ensure!(accepted == uploads, "{accepted} of {uploads} answers are in the trace");
    Ok(())
}

/// Counts the answers 202 in a trace, each with what must have been flushed before it.
fn in_order(trace: &str) -> anyhow::Result<u64> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    // Since the last answer: files that were flushed and not yet named, names that their folder does not yet hold for good.
    let (mut flushed, mut named, mut kept, mut committed) = (Vec::new(), Vec::new(), 0, false);
    let mut accepted = 0;
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').context("a thread and a call")?;
        let call = call.trim_start();
        if let Some((start, _)) = call.split_once(" <unfinished") {
            begun.insert(thread, start);
        }
        // A flush counts when it has ended, anything else when it begins.
        let is_flush = |call: &str| call.starts_with("fsync(") || call.starts_with("fdatasync(");
        let ended = match call.starts_with("<... f") && call.ends_with("= 0") {
            true => begun.get(thread).copied().unwrap_or_default(),
            false if is_flush(call) && call.ends_with("= 0") => call,
            false => "",
        };
        if is_flush(ended) {
            let path = between(ended, '<', '>').unwrap_or_default();
            if path.ends_with("-wal") {
                committed |= kept > 0;
            } else if path.contains("/.staging/") {
                flushed.push(path.to_owned());
            } else {
                let before = named.len();
                named.retain(|name: &String| Path::new(name).parent() != Some(Path::new(path)));
                kept += before - named.len();
            }
        } else if call.starts_with("rename") && call.contains("/.staging/") {
            let mut names = call.split('"').skip(1).step_by(2);
            let (from, to) = (names.next().context("from")?, names.next().context("to")?);
            let at = flushed.iter().position(|path| path == from);
            flushed.remove(at.with_context(|| format!("{from} is named before it is flushed"))?);
            named.push(to.to_owned());
        } else if call.contains("\"HTTP/1.1 202 Accepted") {
            ensure!(kept >= 3, "answered with {kept} objects that their folders hold for good");
            ensure!(committed, "answered before the commit was flushed");
            accepted += 1;
            (kept, committed) = (0, false);
        }
    }
    Ok(accepted)
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    let (_, rest) = text.split_once(open)?;
    Some(rest.split_once(close)?.0)
}

/// Row G5: a worker is started with a weights file of which one bit is another, or that is cut.
pub async fn damaged_models(bug: Option<&str>, damages: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/medseg-mr");
    for file in ["model.json", "reference.json", "card.md"] {
        let (from, to) = (shipped.join(file), folder.path().join(file));
        if from.try_exists()? {
            std::fs::copy(from, to)?;
        }
    }
    let sound = std::fs::read(shipped.join("weights.safetensors"))?;
    let weights = folder.path().join("weights.safetensors");
    for damage in 0..damages {
        let mut bytes = sound.clone();
        // Behind the header, which is checked by its form.
        let at = bytes.len() / 8 + (bytes.len() as u64 * 3 / 4 * damage / damages) as usize;
        match damage % 3 {
            2 => bytes.truncate(at),
            _ => bytes[at] ^= 1,
        }
        std::fs::write(&weights, bytes)?;
        refused(bug, folder.path(), &weights).await.with_context(|| format!("damage at {at}"))?;
    }
    Ok(())
}

/// Starts `medseg serve`, which loads its model before it answers.
async fn refused(bug: Option<&str>, folder: &Path, weights: &Path) -> anyhow::Result<()> {
    let log = folder.join("log");
    let arguments = [
        "serve".to_owned(),
        format!("--data={}", folder.join("home").display()),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--model-url={}", weights.display()),
    ];
    let started = Process::start_through(
        &seeded(bug),
        "medseg",
        &arguments,
        &log,
        Some("medseg answers on "),
    );
    ensure!(started.is_err(), "it serves with a damaged model");
    let said = std::fs::read_to_string(&log)?;
    ensure!(said.contains("weights.safetensors"), "it does not say which file: {said}");
    Ok(std::fs::remove_file(&log)?)
}

/// Row S5, on a small disk of its own that is filled up to a different mark before each upload.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_keeps_what_it_took_and_goes_on_when_there_is_room()
-> anyhow::Result<()> {
    if !std::process::Command::new("unshare").args(["-m", "true"]).status()?.success() {
        println!("skipped: no disk of its own may be mounted here");
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let disk = data.path().join("home");
    std::fs::create_dir(&disk)?;
    let rounds = super::number("FAULT_FULL_DISKS", 20);
    // What is kept of each round, and something to begin with.
    let mib = 16 + rounds;
    let mount = format!("mount -t tmpfs -o size={mib}m tmpfs {} && exec \"$@\"", disk.display());
    let through = ["unshare", "-m", "sh", "-c", &mount, "sh"].map(str::to_owned);
    let small = ["--disk-reserve-mib=0".to_owned()];
    let mut one = OneProcess::start_through(&through, data, &small)?;
    let client = one.client().await?;
    // Its own view of the disk.
    let ballast = format!("/proc/{}/root{}/ballast", one.id(), disk.display());
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for round in 0..rounds {
        let room = round * 16 * 1024 % (320 * 1024);
        fill(&ballast, room)?;
        let (status, answer) = client.upload(&scans::png(round % PATIENTS, true)).await?;
        match status {
            202 => accepted.push(answer["id"].clone()),
            503 => refused += 1,
            _ => bail!("{status} with {room} bytes of room: {answer}\n{}", one.log()?),
        }
        std::fs::remove_file(&ballast)?;
        accepted.push(
            accepted_soon(&client, round).await.with_context(|| one.log().unwrap_or_default())?,
        );
    }
    ensure!(refused > 0, "the disk was never full: nothing is shown");
    all_are_found(&client, &accepted).await?;
    one.kill();
    Ok(())
}

/// With room again, an upload is taken within five seconds, and nothing but want of room keeps it.
async fn accepted_soon(client: &client::Client, round: u64) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let (status, answer) = client.upload(&scans::png(round % PATIENTS, true)).await?;
        match status {
            202 => return Ok(answer["id"].clone()),
            503 if begun.elapsed() < Duration::from_secs(5) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            _ => bail!("{status} with room again: {answer}"),
        }
    }
}

/// Leaves so many bytes free.
fn fill(ballast: &str, room: u64) -> anyhow::Result<()> {
    let write = |bytes: &[u8]| {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(ballast)
            .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
    };
    let piece = vec![1; 16 * 1024];
    while write(&piece).is_ok() {}
    let full = std::fs::OpenOptions::new().write(true).open(ballast)?;
    let length = full.metadata()?.len();
    Ok(full.set_len(length.saturating_sub(room))?)
}

async fn all_are_found(client: &client::Client, accepted: &[Value]) -> anyhow::Result<()> {
    for scan in accepted {
        let done = client.until_done(scan).await?;
        ensure!(done["answer"] == "found", "{done}");
    }
    ensure!(client.count_scans().await? == accepted.len(), "there is what nobody accepted");
    Ok(())
}
