use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use domain::{ErrorKind, Result};
use imaging::ModelInfo;
use serde::Serialize;

use super::card::{groups, number, percent, table, trials};
use super::choice::{Choice, KindBy};
use super::finish::{few, figures, trials as trials_of};
use super::predictions::{Form, Predictions, inputs};
use super::{Fold, Learned, Settings, report, trained, unjudged};
use crate::dataset::{self, Part, Patient, Split};
use crate::evaluate::{Evaluation, Rate};
use crate::tracking;
use crate::weights::MANIFEST_FILE;
use crate::{Device, Segmenter};

/// The report in the run's folder, for the card.
pub const REPORT_FILE: &str = "cross-validation.md";
/// The same figures as JSON, for programs.
pub const FIGURES_FILE: &str = "cross-validation.json";

/// Held-out patients, and the predictions of networks that have not learned from them.
struct HeldOut {
    model_info: ModelInfo,
    patients: Vec<Patient>,
    /// Which fold each of them is in.
    folds: Vec<usize>,
    /// What each fold's network was shown, in slices.
    views: Vec<u64>,
    predictions: Vec<Predictions>,
}

/// The figures of all folds together.
#[derive(Serialize)]
struct Figures {
    folds: usize,
    /// What each fold's network was shown, in slices.
    views: Vec<u64>,
    sources: Vec<SourceFigures>,
    /// What the report says of each step of choosing.
    #[serde(skip)]
    steps: String,
}

#[derive(Serialize)]
struct SourceFigures {
    source: String,
    /// `volumes` or `slices alone`.
    form: &'static str,
    figures: Evaluation,
    /// FAR and FRR where few slices with a tumour may be missed; None where all slices show one.
    missing_few: Option<[Rate; 2]>,
}

/// Trains one network for each fold, from the same settings, and evaluates each on the patients that it has not learned
/// from. Whatever is chosen (input, cut, calibration, main region, expected Dice) is chosen for each fold on the others.
/// Folds that are finished are not trained again: a run that was cut off goes on, and weights that were trained elsewhere
/// as one fold ([`Settings::fold`]) and lie in the run's `fold-N` are evaluated here. Answers where the report is.
///
/// `Invalid` where such weights are unfinished or learned from a patient of their own fold.
pub fn cross_validate(settings: &Settings, folds: usize, device: Device) -> Result<PathBuf> {
    settings.check()?;
    let splits = splits(settings, folds)?;
    let data_version = dataset::version_of(&settings.manifests)?;
    settings.tracking.begin(report::of_folds(settings, folds, &data_version));
    settings.tracking.over(|| {
        let figures = trained_and_judged(settings, splits, device, &data_version)?;
        written(settings, &figures)
    })
}

/// Each fold is a run within this one.
fn trained_and_judged(
    settings: &Settings,
    splits: Vec<Split>,
    device: Device,
    data_version: &str,
) -> Result<Figures> {
    let folds = splits.len();
    let mut all: Option<HeldOut> = None;
    for (index, split) in splits.into_iter().enumerate() {
        let name = format!("fold-{}", index + 1);
        let run = settings.run.join(&name);
        let tracking = settings.tracking.nested(&name, &run);
        let settings = Settings { run, tracking, ..settings.clone() };
        let held_out = fold(&settings, device, (index, split), data_version)?;
        all = Some(match all {
            Some(all) => all.with(held_out),
            None => held_out,
        });
    }
    let none = || ErrorKind::Invalid.error("a cross-validation needs folds");
    evaluated(folds, all.ok_or_else(none)?, settings.side)
}

fn written(settings: &Settings, figures: &Figures) -> Result<PathBuf> {
    let write = |name: &str, text: String| {
        let path = settings.run.join(name);
        crate::weights::replace(&path, text.as_bytes())?;
        settings.tracking.artefact(name, text.as_bytes());
        Ok(path)
    };
    for SourceFigures { source, form, figures, .. } in &figures.sources {
        settings.tracking.metrics(0, &tracking::figures(&[form, source], figures));
    }
    write(FIGURES_FILE, serde_json::to_string_pretty(figures).expect("figures are plain data"))?;
    write(REPORT_FILE, markdown(settings, figures))
}

/// The split of one fold, as [`cross_validate`] draws it.
pub fn split(settings: &Settings, fold: Fold) -> Result<Split> {
    let Fold { number, of } = fold;
    let split = number.checked_sub(1).and_then(|index| {
        splits(settings, of)
            .map(|mut all| (index < all.len()).then(|| all.swap_remove(index)))
            .transpose()
    });
    split.unwrap_or_else(|| {
        Err(ErrorKind::Invalid.error(format!("the folds are 1 to {of}, and {number} is none")))
    })
}

fn splits(settings: &Settings, folds: usize) -> Result<Vec<Split>> {
    let mut all: Vec<Split> = Vec::new();
    for manifest in &settings.manifests {
        let mut patients = dataset::read(manifest)?;
        // They measure the finished model: no fold learns from them.
        patients.retain(|patient| patient.part != Some(Part::Test));
        let of_source = Split::folds(patients, folds, settings.seed)?;
        all = match all.is_empty() {
            true => of_source,
            false => {
                all.into_iter().zip(of_source).map(|(a, b)| a.and(b)).collect::<Result<_>>()?
            }
        };
    }
    Ok(all)
}

fn fold(
    settings: &Settings,
    device: Device,
    (index, split): (usize, Split),
    data_version: &str,
) -> Result<HeldOut> {
    let checkpoint = settings.checkpoint();
    let begun = checkpoint.is_file() || super::state::before(&checkpoint).is_file();
    let brought = !begun && settings.run.join(MANIFEST_FILE).is_file();
    if !brought {
        let settings = Settings { resume: begun, model: settings.run.clone(), ..settings.clone() };
        settings.tracking.over(|| {
            let state = trained(&settings, device, &split, data_version)?;
            unjudged(&settings, &split, &state, data_version)?;
            report::model(&settings.tracking, &settings.model)
        })?;
    }
    let views = Learned::read(&settings.run, &split.validation)?.views;
    let mut segmenter = Segmenter::load(&settings.run, device)?;
    let patients = split.validation;
    let inputs = inputs(settings.side, settings.mirrored).into_iter();
    let predictions = inputs.map(|input| Predictions::new(&mut segmenter, input, &patients));
    Ok(HeldOut {
        predictions: predictions.collect::<Result<_>>()?,
        model_info: segmenter.model_info().clone(),
        folds: vec![index; patients.len()],
        views: vec![views],
        patients,
    })
}

impl HeldOut {
    fn with(mut self, other: HeldOut) -> HeldOut {
        self.patients.extend(other.patients);
        self.folds.extend(other.folds);
        self.views.extend(other.views);
        for (mine, other) in self.predictions.iter_mut().zip(other.predictions) {
            mine.append(other);
        }
        self
    }
}

fn evaluated(folds: usize, held_out: HeldOut, side: usize) -> Result<Figures> {
    let HeldOut { model_info, patients, folds: of_patients, views, predictions } = held_out;
    let choice = Choice::new(&patients, predictions, KindBy::Data, side)?;
    let nested = choice.nested(&choice.everything(), &of_patients)?;
    let mut few: BTreeMap<_, _> = few(&choice, &of_patients, &model_info, &nested);
    let mut sources = Vec::new();
    for (form, of_form) in Form::ALL.into_iter().zip(figures(&nested, &model_info)) {
        for (source, figures) in of_form {
            let missing_few = few.remove(&(source.clone(), form.title()));
            sources.push(SourceFigures { source, form: form.title(), figures, missing_few });
        }
    }
    let steps = trials(&trials_of(&choice, &of_patients, &model_info, &nested)?);
    Ok(Figures { folds, views, sources, steps })
}

/// Markdown, to stand in a card.
fn markdown(settings: &Settings, figures: &Figures) -> String {
    let views: Vec<String> = figures.views.iter().map(u64::to_string).collect();
    let begun = if settings.from.is_some() { "a finished model" } else { "random weights" };
    let mut text = format!(
        "## Cross-validation

{} folds by patient, or the data's own where it has them: each network learned from the other folds ({} slices, {} at a time, up to \
{} pixels, from {begun}, seed {}) and was judged by its own. Network inputs, calibrations and cuts of a fold were \
chosen on the others; the kind of image was known.
",
        figures.folds, views.join(", "), settings.batch, settings.side, settings.seed,
    );
    for SourceFigures { source, form, figures, missing_few } in &figures.sources {
        let _ = write!(
            text,
            "\n### {source}: {} {form} of {} patients\n\n{}",
            figures.scans,
            figures.patients.len(),
            table(figures)
        );
        if let Some([far, frr]) = missing_few.map(|rates| rates.map(percent)) {
            let _ =
                writeln!(text, "\nWhere at most 5 % were to be missed: FAR {far} at FRR {frr}.");
        }
        let _ = writeln!(
            text,
            "\nExpected calibration error (pixels of probability at least 0.01): {}. The interval of the expected Dice held for {}.",
            number(figures.calibration_error),
            percent(figures.expected_dice_covers)
        );
        text.push_str(&groups(figures));
    }
    text.push_str(&figures.steps);
    text
}
