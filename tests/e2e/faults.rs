//! Faults between the services of the mesh, and the ledger by which each run is judged: everything that was accepted ends
//! in one result, none is doubled, no result is another patient's, and no other hospital sees it.
//!
//! `FAULT_UPLOADS` says how many uploads a row takes and `FAULT_ROUNDS` how often each part is killed; with `FAULT_SERVERS`
//! the servers themselves are killed too, and told to refuse. `make faults` plays everything, `make seeded` shows that the
//! ledger sees.

mod archives;
#[path = "../../services/delivery/tests/suite/association.rs"]
mod association;
mod disk;
mod doors;
mod ledger;
mod receivers;
mod rows;
mod scanner;
mod seeded;
mod servers;
mod steps;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::mesh::{Mesh, broker};

use ledger::{Judged, Play, judge, masks, send_all};
use receivers::Receivers;
use rows::{Row, Stage};

const UPLOADS: u64 = 24;
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_swapped_whatever_fails() -> anyhow::Result<()> {
    let Some(queue) = broker() else { return Ok(()) };
    let mut mesh = Mesh::through_proxies(&queue).await?;
    let masks = masks(&mesh).await?;
    println!(
        "{:<58} {:>7} {:>5} {:>6} {:>5} {:>5} {:>7} {:>11}",
        "fault", "uploads", "lost", "double", "swap", "leak", "unclean", "recovery s"
    );
    let mut unsound = Vec::new();
    for row in rows::all().into_iter().filter(|row| is_asked_for("FAULT_ROWS", row.name)) {
        let play = Play {
            uploads: number("FAULT_UPLOADS", UPLOADS),
            rounds: number("FAULT_ROUNDS", 1),
            patience: PATIENCE,
            pause: Duration::from_millis(number("FAULT_PAUSE_MS", 0)),
        };
        let judged = played(&mut mesh, &row, play, &masks).await;
        let judged = judged.with_context(|| row.name.to_owned())?;
        let Judged { uploads, lost, doubled, swapped, leaked, unclean, recovery } = judged;
        let recovery = recovery.as_secs_f64();
        println!(
            "{:<58} {uploads:>7} {lost:>5} {doubled:>6} {swapped:>5} {leaked:>5} {unclean:>7} {recovery:>11.1}",
            row.name
        );
        if !judged.is_sound() {
            unsound.push(row.name);
        }
    }
    ensure!(unsound.is_empty(), "not sound: {unsound:?}");
    mesh.terminate()
}

async fn played(
    mesh: &mut Mesh,
    row: &Row,
    play: Play,
    masks: &[String],
) -> anyhow::Result<Judged> {
    if let Some(whole) = row.whole {
        return whole(mesh, play).await;
    }
    let receivers = if row.pushed { Some(Receivers::start(mesh).await?) } else { None };
    let before = mesh.client().await?.count_scans().await?;
    let short = row.name.split(' ').next().unwrap_or(row.name);
    let sending = send_all(mesh, &format!("{short}-{before}"), play, row.poisons);
    let stage = Stage { before, play };
    (row.fault)(mesh, stage).await?;
    let healed = Instant::now();
    let ledger = sending.await.context("the uploads")??;
    let judged = judge(mesh, &ledger, before, healed, masks, row.expected, play.patience);
    let mut judged = judged.await?;
    if let Some(receivers) = receivers {
        receivers.judge(mesh, &ledger, play.patience, &mut judged).await?;
    }
    Ok(judged)
}

/// Whether the variable, a list with commas, says how that name begins, or nothing.
fn is_asked_for(variable: &str, name: &str) -> bool {
    let asked = std::env::var(variable).unwrap_or_default();
    asked.split(',').any(|start| name.starts_with(start))
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
