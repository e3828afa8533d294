use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};

use super::again::Again;
use super::card::{CARD_FILE, RELIABILITY_FILE};
use super::learned::Learned;
use super::predictions::Form;
use super::reference::REFERENCE_FILE;
use super::schedule::Gone;
use super::{Fold, Settings, State};
use crate::dataset::{Patient, Split};
use crate::evaluate::{Evaluation, GOLDEN_FILE, plot};
use crate::tracking::{self, Beginning, Tracking, metric_name};
use crate::weights::{MANIFEST_FILE, WEIGHTS_FILE};

/// What a model's folder may hold.
const MODEL_FILES: [&str; 7] = [
    MANIFEST_FILE,
    WEIGHTS_FILE,
    CARD_FILE,
    REFERENCE_FILE,
    RELIABILITY_FILE,
    GOLDEN_FILE,
    Learned::FILE,
];

/// Tells a tracker how training goes.
pub struct Reporter<'a> {
    settings: &'a Settings,
    /// How far training had come when it was told last.
    last: Cell<Gone>,
}

impl<'a> Reporter<'a> {
    /// From that state on.
    pub fn new(settings: &'a Settings, state: &State) -> Reporter<'a> {
        Reporter { settings, last: Cell::new(state.gone()) }
    }

    /// After a step that began when that part of the training was done.
    pub fn step(&self, state: &State, done: f64, loss: f64, dice: f64) {
        let (step, gone) = (state.optimiser.steps as u64, state.gone());
        let last = self.last.replace(gone);
        let schedule = self.settings.schedule();
        let seconds = gone.seconds - last.seconds;
        // Where no time has gone it is no number, and is not told.
        let speed = (gone.views - last.views) as f64 / seconds;
        let metrics = [
            ("loss", loss),
            ("dice", dice),
            ("learning_rate", schedule.rate(step.saturating_sub(1), done)),
            ("side", schedule.side(done) as f64),
            ("images_per_second", speed),
            ("views", gone.views as f64),
        ];
        let metrics = metrics.map(|(name, value)| (name.to_owned(), value));
        self.settings.tracking.metrics(step, &metrics);
    }

    /// Of each source's validation slices, the mean Dice.
    pub fn validated(&self, state: &State, dice: &BTreeMap<String, f64>) {
        let of =
            |(source, dice): (&String, &f64)| (metric_name(&["validation_dice", source]), *dice);
        let metrics: Vec<_> = dice.iter().map(of).collect();
        self.settings.tracking.metrics(state.optimiser.steps as u64, &metrics);
    }
}

/// What a training run begins with.
pub fn beginning(settings: &Settings, split: &Split, data_version: &str) -> Beginning {
    let mut parameters = parameters(settings);
    parameters.extend(sides(split));
    let mut tags = data_tags(data_version);
    tags.push(("split", split.digest()));
    tags.push(("model", format!("{} {}", settings.name, settings.version)));
    if let Some(Fold { number, of }) = settings.fold {
        tags.push(("fold", format!("{number} of {of}")));
    }
    Beginning { goes_on: settings.resume, parameters, tags }
}

/// What a cross-validation begins with. Started again, it goes on.
pub fn of_folds(settings: &Settings, folds: usize, data_version: &str) -> Beginning {
    let mut parameters = parameters(settings);
    parameters.push(("folds", folds.to_string()));
    Beginning { goes_on: true, parameters, tags: data_tags(data_version) }
}

/// What finishing a model again begins with.
pub fn of_finishing(again: &Again, split: &Split, data_version: &str) -> Beginning {
    let mut parameters = vec![
        ("manifests", sources(&again.manifests)),
        ("mirrored", again.mirrored.to_string()),
        ("validation", again.validation.to_string()),
        ("seed", again.seed.to_string()),
        ("judged_phantoms", again.judged_phantoms.to_string()),
    ];
    parameters.extend(sides(split));
    let mut tags = data_tags(data_version);
    tags.push(("split", split.digest()));
    Beginning { goes_on: false, parameters, tags }
}

fn parameters(settings: &Settings) -> Vec<(&'static str, String)> {
    let begun = if settings.from.is_some() { "a finished model" } else { "random weights" };
    let design = &settings.design;
    vec![
        ("manifests", sources(&settings.manifests)),
        ("begun_from", begun.to_owned()),
        ("width", design.width.to_string()),
        ("depths", format!("{:?}", design.depths)),
        ("neighbours", design.neighbours.to_string()),
        ("side", settings.side.to_string()),
        ("mirrored", settings.mirrored.to_string()),
        ("length", settings.length.to_string()),
        ("batch", settings.batch.to_string()),
        ("replicas", settings.replicas.to_string()),
        ("rate", settings.rate.to_string()),
        ("decay", settings.decay.to_string()),
        ("validation", settings.validation.to_string()),
        ("phantoms", settings.phantoms.to_string()),
        ("judged_phantoms", settings.judged_phantoms.to_string()),
        ("seed", settings.seed.to_string()),
        ("preprocessing", imaging::Preprocessing::NEWEST.name().to_owned()),
    ]
}

fn sides(split: &Split) -> [(&'static str, String); 4] {
    let slices = |side: &[Patient]| {
        side.iter().map(|patient| patient.slices.len()).sum::<usize>().to_string()
    };
    [
        ("training_patients", split.training.len().to_string()),
        ("training_slices", slices(&split.training)),
        ("validation_patients", split.validation.len().to_string()),
        ("validation_slices", slices(&split.validation)),
    ]
}

/// What each manifest's data is called, as cards say it: where it lies on this machine is nobody's business.
fn sources(manifests: &[PathBuf]) -> String {
    let source = |path: &PathBuf| {
        let folder = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
        folder
            .and_then(Path::file_name)
            .map_or_else(String::new, |name| name.to_string_lossy().into())
    };
    manifests.iter().map(source).collect::<Vec<_>>().join(", ")
}

fn data_tags(data_version: &str) -> Vec<(&'static str, String)> {
    vec![("data_version", data_version.to_owned())]
}

/// The figures of volumes and of slices alone, and a plot of each source's patients.
pub fn figures(tracking: &Tracking, forms: &[Vec<(String, Evaluation)>; 2]) {
    for (form, sources) in Form::ALL.into_iter().zip(forms) {
        for (source, evaluation) in sources {
            tracking.metrics(0, &tracking::figures(&[form.title(), source], evaluation));
            let name =
                format!("plots/{}.svg", metric_name(&[&format!("{source} {}", form.title())]));
            tracking.artefact(&name, plot(evaluation).as_bytes());
        }
    }
}

/// The files of the model in that folder.
pub fn model(tracking: &Tracking, folder: &Path) -> Result<()> {
    for name in MODEL_FILES {
        let path = folder.join(name);
        if path.is_file() {
            tracking.artefact(&format!("model/{name}"), &read(&path)?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| cannot_read(path, error))
}

fn cannot_read(path: &Path, error: std::io::Error) -> domain::Error {
    ErrorKind::Unavailable.error(format!("cannot read {}", path.display())).because(error)
}
