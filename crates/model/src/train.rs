//! Training from scratch, from a folder of labelled slices to a model that can ship.

mod again;
mod card;
mod choice;
mod cross_validation;
mod darkroom;
mod dice_predictor;
mod display;
mod embedded;
mod finish;
mod learn;
mod learned;
mod losses;
mod objective;
mod optimiser;
mod picture;
mod pool;
mod predictions;
mod reference;
mod report;
mod schedule;
mod speed;
mod state;
mod variation;

use std::fs;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use imaging::Modality;

use crate::Device;
use crate::dataset::{self, Patient, Split};
use crate::network::{Design, Network, SIDE_MULTIPLE};
use crate::parameters::Parameters;
use crate::tracking::Tracking;
use crate::weights::{Folded, MANIFEST_FILE, Quantised, Weights};
use darkroom::Darkroom;
use learn::learn;
use learned::Learned;
use pool::Pool;
use schedule::Schedule;
use state::{Progress, State};

pub use again::Again;
pub use card::{CARD_FILE, RELIABILITY_FILE, data_version};
pub use cross_validation::{FIGURES_FILE, REPORT_FILE, cross_validate};
pub use finish::{WORST_FOLDER, finish_again, refer_again};
pub use losses::LOSSES_FILE;
pub use reference::REFERENCE_FILE;
pub use schedule::Length;
pub use speed::speed;

/// All that a training run depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `manifest.csv` of the labelled slices, one for each source.
    pub manifests: Vec<PathBuf>,
    /// Where checkpoints go; one is 16 bytes for each weight.
    pub run: PathBuf,
    /// Where the finished model goes.
    pub model: PathBuf,
    /// Whether evaluation is left for later: then the model's folder gets the weights as they are at each checkpoint, and
    /// nothing is chosen or measured. For a machine whose time is too dear for that.
    pub unjudged: bool,
    /// What the finished model is called.
    pub name: String,
    /// Which of the models of that name it will be.
    pub version: String,
    /// What the data is, whose, and under which licence: for the card.
    pub data: String,
    /// What the network is made of.
    pub design: Design,
    /// A finished model to go on from, in place of random weights; of the same design. That no validation patient
    /// was learned from before is the caller's to know: the same seed and manifest draw the same split.
    pub from: Option<PathBuf>,
    /// The side of the tiles at the end of training, in pixels. It begins at half of it, or at three quarters where it
    /// goes on from a model.
    pub side: usize,
    /// Whether the finished model may use test-time augmentation (a flip), where that pays: at twice the cost.
    pub mirrored: bool,
    /// How long training goes on.
    pub length: Length,
    /// How long training goes on between two checkpoints.
    pub checkpoint_minutes: f64,
    /// Squares in a step, shared out among the replicas.
    pub batch: usize,
    /// Copies of the network that work side by side on a CPU, and one after another on a GPU; each normalises its own
    /// share of the batch.
    pub replicas: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Weight decay of AdamW, for convolution weights only.
    pub decay: f64,
    /// The part of the patients that is kept for validation.
    pub validation: f64,
    /// Of a cross-validation, whose patients are kept for validation in place of such a part. For folds that are trained
    /// side by side on other machines, and evaluated together where they are brought.
    pub fold: Option<Fold>,
    /// Phantoms mixed in.
    pub phantoms: u64,
    /// Phantoms whose volumes the finished model measures, shared out among five spacings.
    pub judged_phantoms: u64,
    /// The report of a cross-validation of the same settings, for the card.
    pub cross_validation: Option<PathBuf>,
    /// Draws the split, the first weights and every picture: the same seed and data give the same run on the same machine.
    pub seed: u64,
    /// Goes on from the run's last checkpoint.
    pub resume: bool,
    /// Who hears how it goes; nothing depends on it.
    pub tracking: Tracking,
}

/// One of the folds of a cross-validation.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// From 1 to `of`.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

/// What the slices of a manifest are made with: its masks are of FLAIR.
const MODALITIES: [Modality; 1] = [Modality::MagneticResonance];
impl Settings {
    /// The last checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.run.join("last.safetensors")
    }

    fn schedule(&self) -> Schedule {
        Schedule {
            length: self.length,
            side: self.side,
            from_model: self.from.is_some(),
            rate: self.rate,
        }
    }

    /// The patients of all manifests, on two sides.
    fn split(&self) -> Result<Split> {
        match self.fold {
            Some(fold) => cross_validation::split(self, fold),
            None => Split::of_manifests(&self.manifests, self.validation, self.seed),
        }
    }

    fn check(&self) -> Result<()> {
        let invalid = |message: &str| Err(ErrorKind::Invalid.error(message));
        if self.side == 0 || !self.side.is_multiple_of(SIDE_MULTIPLE) {
            return invalid("the side is a multiple of 32");
        }
        if self.replicas == 0 || self.batch == 0 || !self.batch.is_multiple_of(self.replicas) {
            return invalid("the batch is a multiple of the replicas");
        }
        if self.manifests.is_empty() {
            return invalid("training needs a manifest");
        }
        let something = match self.length {
            Length::Minutes(minutes) => minutes > 0.0,
            Length::Views(views) => views > 0,
        };
        if !something {
            return invalid(
                "training takes time: give it more than no minute, or more than no view",
            );
        }
        Ok(())
    }
}

/// Trains a model and writes it, with its card and its drift reference, to `settings.model`. Answers where the card is.
///
/// The state is saved from time to time. A loss that is no number stops training (`Internal`): what was saved is
/// then the last good state. `Invalid` and `NotFound` name the setting or file that is wrong.
pub fn run(settings: &Settings, device: Device) -> Result<PathBuf> {
    settings.check()?;
    let split = settings.split()?;
    settings.tracking.over(|| {
        let data_version = dataset::version_of(&settings.manifests)?;
        let state = trained(settings, device, &split, &data_version)?;
        if settings.unjudged {
            let written = unjudged(settings, &split, &state, &data_version)?;
            report::model(&settings.tracking, &settings.model)?;
            return Ok(written);
        }
        finish::finish(settings, device, &split, &state, &data_version)
    })
}

/// Trains to the end, in folders that are made where they are missing.
fn trained(
    settings: &Settings,
    device: Device,
    split: &Split,
    data_version: &str,
) -> Result<State> {
    for folder in [&settings.run, &settings.model] {
        fs::create_dir_all(folder).map_err(|error| {
            ErrorKind::Unavailable.error(format!("cannot make {}", folder.display())).because(error)
        })?;
    }
    let mut state = begin(settings, device, split)?;
    settings.tracking.begin(report::beginning(settings, split, data_version));
    learn(settings, device, (split, data_version), &mut state, 1.0)?;
    Ok(state)
}

/// Writes the averaged weights as they are to the model's folder; answers where their manifest is.
fn unjudged(
    settings: &Settings,
    split: &Split,
    state: &State,
    data_version: &str,
) -> Result<PathBuf> {
    let network = Network::new(settings.design);
    let units = Quantised::new(&network, &state.average.by_unit(&network, false).folded());
    Learned::new(settings, split, state).write(&settings.model)?;
    Weights::write(&settings.model, &finish::facts(settings, data_version), &units, None)?;
    Ok(settings.model.join(MANIFEST_FILE))
}

fn begin(settings: &Settings, device: Device, split: &Split) -> Result<State> {
    let checkpoint = settings.checkpoint();
    if settings.resume {
        return resumed(settings, device, split);
    }
    if checkpoint.is_file() {
        let message =
            format!("{} is there already: resume, or choose another run", checkpoint.display());
        return Err(ErrorKind::Conflict.error(message));
    }
    let progress = Progress {
        design: settings.design,
        seed: settings.seed,
        split: split.digest(),
        views: 0,
        seconds: 0.0,
    };
    let network = Network::new(settings.design);
    let parameters = match &settings.from {
        Some(model) => learned(settings, model, &network, &split.training, device)?,
        None => Parameters::fresh(&network, settings.seed as i64, device.place),
    };
    Ok(State::new(parameters, progress, settings.decay))
}

/// The last state that can be gone on from; of a checkpoint that was cut short, the one before it.
fn resumed(settings: &Settings, device: Device, split: &Split) -> Result<State> {
    let last = settings.checkpoint();
    let refused = match fitting(settings, device, split, &last) {
        Ok(state) => return Ok(state),
        Err(refused) => refused,
    };
    match fitting(settings, device, split, &state::before(&last)) {
        Ok(state) => {
            eprintln!("{refused}: going on from the checkpoint before it");
            Ok(state)
        }
        Err(_) => Err(refused),
    }
}

fn fitting(settings: &Settings, device: Device, split: &Split, path: &Path) -> Result<State> {
    let state = State::load(path, settings.decay, device.place)?;
    let Progress { design, seed, split: learned, .. } = &state.progress;
    let invalid = |what| {
        let message = format!("{} is of {what}", path.display());
        Err(ErrorKind::Invalid.error(message))
    };
    if (*design, *seed) != (settings.design, settings.seed) {
        return invalid("another design or seed");
    }
    // What it learned from must not come to be what it is validated on.
    if *learned != split.digest() {
        return invalid("other patients or slices: the manifests are not those that it began with");
    }
    Ok(state)
}

/// Training slices on which a finished model's normalisations are measured.
const MEASURED: usize = 64;

/// The parameters of a finished model. One that saw each slice alone begins to see neighbours, which at first
/// change nothing.
fn learned(
    settings: &Settings,
    model: &Path,
    network: &Network,
    training: &[Patient],
    device: Device,
) -> Result<Parameters> {
    let Weights { facts, units, .. } = Weights::read(model)?;
    let design = Design { neighbours: settings.design.neighbours, ..facts.design };
    if design != settings.design || (facts.design.neighbours && !design.neighbours) {
        let message = format!("the model {} is of another design", model.display());
        return Err(ErrorKind::Invalid.error(message));
    }
    let units: Vec<Folded> =
        network.units().iter().zip(units).map(|(unit, folded)| folded.widened(unit)).collect();
    let some: Vec<Patient> = {
        let scans = training.iter().flat_map(|patient| {
            patient.scans().into_iter().map(move |scan| (patient, &scan[scan.len() / 2]))
        });
        let one = |(patient, slice): (&Patient, &dataset::Entry)| Patient {
            slices: vec![slice.clone()],
            ..patient.clone()
        };
        let all: Vec<Patient> = scans.map(one).collect();
        let step = all.len().div_ceil(MEASURED).max(1);
        all.into_iter().step_by(step).collect()
    };
    let exact = device.exact();
    let pool = Pool::load(&some, 0, exact, || {})?;
    let slices: Vec<_> = pool.views().iter().map(|(_, view)| view.together).collect();
    let side = settings.schedule().side(0.0);
    let batch = Darkroom::new(&pool, network.channels(), exact).plain(&slices, side);
    Parameters::unfolded(network, &units, &batch.images).map_err(crate::segmenter::torch_error)
}

#[cfg(test)]
mod finish_tests;
#[cfg(test)]
mod tests;
