//! Shows that the ledger sees: the rows are played with a bug in every process, and must not be sound.
//!
//! The product has no bugs to choose from: `make seeded` builds a copy of it with the patches of `tests/seeded`, and plays this there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::mesh::Mesh;
use tests::patches::{self, SWITCH};

use super::ledger::{Play, masks};
use super::{disk, played, rows};

const UPLOADS: u64 = 24;
/// Shorter than in earnest: what is lost is waited for in vain. Longer than what an emptied queue takes to fill again.
const PATIENCE: Duration = Duration::from_secs(45);

/// Each bug of the mesh, with the row that should see it.
const BUGS: [(&str, &str); 13] = [
    ("ack_first", "P1 drift killed"),
    ("answer_without_commit", "D2"),
    ("attempts_without_end", "B9"),
    ("half_believed", "P1 the DICOM door"),
    ("heard_anew", "B6 news"),
    ("no_fence", "P5"),
    ("no_key", "S2 the answers to clients"),
    ("no_sweep", "B2"),
    ("no_tenant", "P3"),
    ("sent_unconfirmed", "N2 the broker"),
    ("stored_unkept", "P1 ingest"),
    ("swapped", "B6 every"),
    ("unchecked_output", "G6 a model that says NaN"),
];

/// Each bug of the disk and what lies on it, with what its row should say. Anything else that fails there shows nothing.
const BUGS_ON_DISK: [(&str, &str); 2] = [
    ("no_fsync", "is named before it is flushed"),
    ("unverified_model", "it serves with a damaged model"),
];

#[test]
fn each_bug_that_is_played_has_a_patch_and_each_patch_is_played() -> anyhow::Result<()> {
    let played = BUGS.iter().chain(&BUGS_ON_DISK).map(|(bug, _)| (*bug).to_owned());
    let patches = patches::all()?.into_iter().map(|patch| patch.name);
    assert_eq!(
        played.collect::<BTreeSet<_>>(),
        patches.filter(|name| name != SWITCH).collect::<BTreeSet<_>>()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make seeded"]
async fn every_seeded_bug_is_caught() -> anyhow::Result<()> {
    let queue = std::env::var("TEST_AMQP_URL").context("TEST_AMQP_URL names no broker")?;
    let mut missed = Vec::new();
    for (bug, row) in BUGS.into_iter().filter(|(bug, _)| super::is_asked_for("FAULT_BUGS", bug)) {
        let begun = Instant::now();
        let seen = symptoms(&queue, bug, row).await?;
        println!("{bug:<24} {row:<28} {:>4} s  {}", begun.elapsed().as_secs(), seen.join(", "));
        if seen.is_empty() {
            missed.push(bug);
        }
    }
    for (bug, symptom) in BUGS_ON_DISK {
        let begun = Instant::now();
        let seen = said_on_disk(bug).await;
        println!("{bug:<24} {:>4} s  {seen}", begun.elapsed().as_secs());
        if !seen.contains(symptom) {
            missed.push(bug);
        }
    }
    ensure!(missed.is_empty(), "not seen: {missed:?}");
    Ok(())
}

/// What the ledger sees of the bug in that row; nothing: the bug is missed.
async fn symptoms(queue: &str, bug: &'static str, row: &str) -> anyhow::Result<Vec<String>> {
    let row = rows::named(row)?;
    let mut mesh = Mesh::through_proxies(queue).await?;
    let masks = masks(&mesh).await?;
    mesh.seed(bug)?;
    let play = Play { uploads: UPLOADS, rounds: 1, patience: PATIENCE, pause: Duration::ZERO };
    let judged = played(&mut mesh, &row, play, &masks).await?;
    ensure!(
        mesh.has_met(bug)?,
        "no process came to the bug {bug}: were they built without tests/seeded/*.patch? `make seeded` applies them"
    );
    let symptoms = [
        (judged.lost, "lost"),
        (judged.doubled, "doubled"),
        (judged.swapped, "swapped"),
        (judged.leaked, "leaked"),
        (judged.unclean, "unclean"),
    ];
    let seen = symptoms.iter().filter(|(count, _)| *count > 0);
    Ok(seen.map(|(count, what)| format!("{count} {what}")).collect())
}

/// How the row of that bug fails; nothing: the bug is missed.
async fn said_on_disk(bug: &'static str) -> String {
    let played = match bug {
        "no_fsync" => disk::order(Some(bug), 3).await,
        _ => disk::damaged_models(Some(bug), 3).await,
    };
    played.err().map(|error| format!("{error:#}")).unwrap_or_default()
}
