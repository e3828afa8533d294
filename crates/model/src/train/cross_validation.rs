use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use domain::{ErrorKind, Result};
use imaging::{Cut, Passport};
use serde::Serialize;

use super::card::{FRR_MAX, groups, number, percent, table};
use super::doubt;
use super::finish::{
    Pixels, Tried, by_kind, cases, facts, merged, pixels, samples, seen, sources_of, tried,
};
use super::{Settings, State, begin, learn};
use crate::dataset::{self, Patient, Split};
use crate::evaluate::{Case, Evaluation, Rate, Reliability, Seen};
use crate::network::Network;
use crate::weights::Weights;
use crate::{Device, Segmenter};

/// The report in the run's folder: for the card, and for programs.
pub const REPORT_FILE: &str = "cross-validation.md";
pub const FIGURES_FILE: &str = "cross-validation.json";

/// One fold: patients that its network has not learned from, and what it sees in them.
struct Fold {
    passport: Passport,
    patients: Vec<Patient>,
    /// In volumes, and in slices that came alone.
    seen: [Vec<Vec<Seen>>; 2],
    pixels: Pixels,
    /// All thresholds with all smallest findings, of volumes and of slices.
    tried: [Vec<Tried>; 2],
}

/// The figures of all folds together.
#[derive(Serialize)]
struct Figures {
    folds: usize,
    sources: Vec<SourceFigures>,
    /// How often the interval of the expected Dice held: of volumes, and of slices that came alone.
    expected_dice_covers: [Rate; 2],
}

#[derive(Serialize)]
struct SourceFigures {
    source: String,
    figures: Evaluation,
    /// FAR and FRR where few slices with a tumour may be missed.
    missing_few: [Rate; 2],
}

/// Trains one network for each fold, from the same settings, and judges each by the patients that it has not learned
/// from. Whatever is chosen (threshold, smallest finding, calibration, expected Dice) is chosen for each fold on the
/// others. Folds that are finished are not trained again, so a run that was cut off goes on. Answers where the report is.
pub fn cross_validate(settings: &Settings, folds: usize, device: Device) -> Result<PathBuf> {
    settings.check()?;
    let mut done = Vec::new();
    for (index, split) in splits(settings, folds)?.into_iter().enumerate() {
        let settings =
            Settings { run: settings.run.join(format!("fold-{}", index + 1)), ..settings.clone() };
        done.push(fold(&settings, device, split)?);
    }
    let figures = figures(&done)?;
    let write = |name: &str, text: String| {
        let path = settings.run.join(name);
        crate::weights::replace(&path, text.as_bytes()).map(|()| path)
    };
    write(FIGURES_FILE, serde_json::to_string_pretty(&figures).expect("figures are plain data"))?;
    write(REPORT_FILE, report(settings, &figures))
}

fn splits(settings: &Settings, folds: usize) -> Result<Vec<Split>> {
    let mut all: Vec<Split> = Vec::new();
    for manifest in &settings.manifests {
        let of_source = Split::folds(dataset::read(manifest)?, folds, settings.seed)?;
        all = match all.is_empty() {
            true => of_source,
            false => {
                all.into_iter().zip(of_source).map(|(a, b)| a.and(b)).collect::<Result<_>>()?
            }
        };
    }
    Ok(all)
}

fn fold(settings: &Settings, device: Device, split: Split) -> Result<Fold> {
    fs::create_dir_all(&settings.run).map_err(|error| {
        let message = format!("cannot make {}", settings.run.display());
        ErrorKind::Unavailable.error(message).because(error)
    })?;
    let checkpoint = settings.checkpoint();
    let resume = checkpoint.is_file() || super::state::before(&checkpoint).is_file();
    let settings = Settings { resume, ..settings.clone() };
    let mut state: State = begin(&settings, device, &split)?;
    learn(&settings, device, &split, &mut state, 1.0)?;
    let units = state.average.cut(&Network::new(settings.design), false).folded();
    Weights::write(&settings.run, &facts(&settings), &units)?;
    let passport = Segmenter::load(&settings.run, device)?.passport().clone();
    let patients = split.validation;
    let seen = seen(&settings, device, &patients)?;
    let pixels = pixels(&patients, &seen);
    let [volumes, slices] = by_kind(seen);
    let tried = [tried(&passport, &patients, &volumes)?, tried(&passport, &patients, &slices)?];
    let seen = [volumes, slices];
    Ok(Fold { passport, patients, seen, pixels, tried })
}

fn figures(folds: &[Fold]) -> Result<Figures> {
    let (mut all, mut samples) = (Vec::new(), Vec::new());
    let mut patients_before = 0;
    for (index, fold) in folds.iter().enumerate() {
        let others = others(folds, index);
        let (passport, cases) = fold.judged([0, 1].map(|kind| best_dice(&others, kind)))?;
        all.extend(cases);
        for seen in &fold.seen {
            for mut sample in self::samples(&passport, seen)? {
                sample.patient += patients_before;
                samples.push(sample);
            }
        }
        patients_before += fold.patients.len();
    }
    let passport = &folds[0].passport;
    let figures = |source: String| {
        let mut few = Vec::new();
        for (index, fold) in folds.iter().enumerate() {
            let others = others(folds, index);
            few.extend(fold.judged([0, 1].map(|kind| missing_few(&others, kind, &source)))?.1);
        }
        let reliability = calibrated(folds, &source);
        let evaluated = |mut cases: Vec<Case>| {
            cases.retain(|case| case.source == source);
            Evaluation::new(passport, &cases, &reliability)
        };
        let few = evaluated(few);
        Ok(SourceFigures {
            figures: evaluated(all.clone()),
            missing_few: [few.far, few.frr],
            source,
        })
    };
    let names = sources_of(folds.iter().flat_map(|fold| &fold.patients));
    let sources = names.into_iter().map(figures).collect::<Result<_>>()?;
    Ok(Figures { folds: folds.len(), sources, expected_dice_covers: doubt::covered(&samples) })
}

impl Fold {
    /// What its patients come to with what stands at these places among what was tried, for volumes and for slices.
    fn judged(&self, [volumes, slices]: [usize; 2]) -> Result<(Passport, Vec<Case>)> {
        let Cut { threshold, minimum_pixels } = self.tried[1][slices].cut;
        let volumes = Some(self.tried[0][volumes].cut);
        let passport = Passport { threshold, minimum_pixels, volumes, ..self.passport.clone() };
        let mut all = Vec::new();
        for seen in &self.seen {
            all.extend(cases(&passport, &self.patients, seen)?);
        }
        Ok((passport, all))
    }
}

fn others(folds: &[Fold], index: usize) -> Vec<&Fold> {
    let others = folds.iter().enumerate().filter(|(other, _)| *other != index);
    others.map(|(_, fold)| fold).collect()
}

/// The place of what has the best Dice over these folds, in scans of that kind.
fn best_dice(folds: &[&Fold], kind: usize) -> usize {
    let dice = |at: &usize| folds.iter().map(|fold| fold.tried[kind][*at].dice()).sum::<f64>();
    let places = 0..folds[0].tried[kind].len();
    places.max_by(|a, b| dice(a).total_cmp(&dice(b))).expect("something was tried")
}

/// The place of what has the fewest false alarms in a source where at most 5 % are missed; where more are missed
/// whatever is tried, of what misses fewest.
fn missing_few(folds: &[&Fold], kind: usize, source: &str) -> usize {
    let wrong = |at: &usize| {
        let figures = folds.iter().flat_map(|fold| &fold.tried[kind][*at].sources);
        let of_source = figures.filter(|(name, _)| name == source);
        of_source.fold((0, 0, 0), |(missed, with, falsely), (_, figures)| {
            (missed + figures.frr.count, with + figures.frr.of, falsely + figures.far.count)
        })
    };
    let order = |at: &usize| {
        let (missed, with, falsely) = wrong(at);
        let few = missed as f64 <= FRR_MAX * with as f64;
        if few { (0, falsely) } else { (missed, falsely) }
    };
    (0..folds[0].tried[kind].len()).min_by_key(order).expect("something was tried")
}

/// The pixels of a source, those of each fold calibrated as the other folds say.
fn calibrated(folds: &[Fold], source: &str) -> Reliability {
    let mut all = Reliability::default();
    for (index, fold) in folds.iter().enumerate() {
        let others = others(folds, index);
        let known = merged(others.iter().flat_map(|fold| fold.pixels.values()));
        if let Some(pixels) = fold.pixels.get(source) {
            all.merge(&pixels.calibrated(known.fit()));
        }
    }
    all
}

/// Markdown, to stand in a card.
fn report(settings: &Settings, figures: &Figures) -> String {
    let begun = if settings.from.is_some() { "a finished model" } else { "random weights" };
    let mut text = format!(
        "## Cross-validation

{} folds by patient, or the data's own where it has them: each network learned from the other folds ({}, {} at a time, up to {} pixels, from {begun}, seed {}) and was judged by its own. Threshold, smallest finding and calibration of a \
fold were chosen on the others.
",
        figures.folds, settings.length, settings.batch, settings.side, settings.seed,
    );
    for SourceFigures { source, figures, missing_few: [far, frr] } in &figures.sources {
        let _ = write!(
            text,
            "\n### {source}: {} scans of {} patients\n\n{}",
            figures.scans,
            figures.patients.len(),
            table(figures)
        );
        if far.of > 0 {
            let (far, frr) = (percent(*far), percent(*frr));
            let _ =
                writeln!(text, "\nWhere at most 5 % were to be missed: FAR {far} at FRR {frr}.");
        }
        let _ = writeln!(
            text,
            "\nExpected calibration error (pixels of probability at least 0.01): {}.",
            number(figures.calibration_error)
        );
        text.push_str(&groups(figures));
    }
    let [volumes, slices] = figures.expected_dice_covers.map(percent);
    let _ = writeln!(
        text,
        "\nThe interval of the expected Dice held for {volumes} of volumes and for {slices} of slices alone, each judged by what was \
learned from other patients."
    );
    text
}
