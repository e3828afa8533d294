//! Evaluates model versions on the gate set, and tells the registry.

use std::time::{Duration, Instant};

use domain::{ErrorKind, Result};
use model::evaluate::{CaseFigures, GATE_SET, GOLDEN_FILE, gate_figures, golden_dice};
use model::{Device, Segmenter};
use proto::registry::{Evaluation, KindFigures};
use service::claims::authorised;

use crate::follow::{Engines, Registry};

/// How long a scan of the gate set lets others past: a worker that is never idle evaluates, too.
const YIELDING_MAX: Duration = Duration::from_secs(5);

/// Evaluates the version that a message names (`NAME/VERSION`).
///
/// A version that cannot be loaded has failed, and why is told; that the registry is away may pass.
pub async fn evaluate(registry: Registry, engines: Engines, message: Vec<u8>) -> Result<()> {
    let named = String::from_utf8(message).unwrap_or_default();
    let Some((name, version)) = named.split_once('/') else {
        return Err(ErrorKind::Invalid.error("the message names no version"));
    };
    if registry.is_evaluated(name, version).await? {
        return Ok(());
    }
    let evaluation = match measured(&registry, engines, name, version).await {
        Err(error) if error.kind().is_transient() => return Err(error),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => Evaluation { failure: error.to_string(), ..Evaluation::default() },
        Ok(evaluation) => evaluation,
    };
    let (name, version) = (name.to_owned(), version.to_owned());
    let evaluation = Evaluation { name, version, gate_set: GATE_SET.into(), ..evaluation };
    let (mut routing, token) = registry.routing().await?;
    routing.record_evaluation(authorised(evaluation, &token)).await?;
    Ok(())
}

async fn measured(
    registry: &Registry,
    engines: Engines,
    name: &str,
    version: &str,
) -> Result<Evaluation> {
    let files = registry.fetch(name, version).await?;
    let golden = match registry.file(name, version, GOLDEN_FILE, files.folder()).await {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        golden => Some(golden?),
    };
    let measure = move || {
        let device = Device::choose(&engines.device)?;
        let mut segmenter = Segmenter::load(files.folder(), device)?;
        // Whoever waits for an answer goes first, and a process that is to end does not wait for this.
        let before_each = || {
            let (begun, ending) = (Instant::now(), &engines.ending);
            let waits = || begun.elapsed() < YIELDING_MAX && !ending.is_cancelled();
            engines.in_hand.wait_for_none(waits);
            match ending.is_cancelled() {
                true => Err(ErrorKind::Unavailable.error("the worker was told to stop")),
                false => Ok(()),
            }
        };
        gate_set(&mut segmenter, golden.as_deref(), before_each)
    };
    let panicked = |error| ErrorKind::Internal.error("the evaluation panicked").because(error);
    tokio::task::spawn_blocking(measure).await.map_err(panicked)?
}

fn gate_set(
    segmenter: &mut Segmenter,
    golden: Option<&[u8]>,
    before_each: impl FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let figures = gate_figures(segmenter, before_each)?;
    let all = told("", &figures.all);
    let kinds = figures.kinds.iter().map(|of| told(of.kind.name(), &of.figures));
    let without_cases = figures.kinds_without_cases.iter().map(|kind| kind.name().to_owned());
    Ok(Evaluation {
        device: segmenter.model_info().device.clone(),
        scans_with_tumour: all.scans_with_tumour,
        scans_without_tumour: all.scans_without_tumour,
        dice_mean: all.dice_mean,
        dice_low: all.dice_low,
        dice_high: all.dice_high,
        far: all.far,
        far_low: all.far_low,
        far_high: all.far_high,
        frr: all.frr,
        frr_low: all.frr_low,
        frr_high: all.frr_high,
        ms_per_slice: figures.ms_per_slice,
        golden_dice: golden.map(|stored| golden_dice(segmenter, stored)).transpose()?,
        kinds: kinds.collect(),
        kinds_without_cases: without_cases.collect(),
        ..Evaluation::default()
    })
}

fn told(image_kind: &str, figures: &CaseFigures) -> KindFigures {
    let [scans_with_tumour, scans_without_tumour] = figures.scans.map(|scans| scans as u32);
    let [dice_low, dice_high] = figures.dice_interval;
    let ([far_low, far_high], [frr_low, frr_high]) = (figures.far.interval, figures.frr.interval);
    KindFigures {
        image_kind: image_kind.to_owned(),
        scans_with_tumour,
        scans_without_tumour,
        dice_mean: figures.dice_mean,
        dice_low,
        dice_high,
        far: figures.far.rate.unwrap_or_default(),
        far_low,
        far_high,
        frr: figures.frr.rate.unwrap_or_default(),
        frr_low,
        frr_high,
    }
}
