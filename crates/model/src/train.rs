//! Training from scratch, from a folder of labelled slices to a model that can ship.

mod augment;
mod card;
mod cross_validation;
mod display;
mod doubt;
mod finish;
mod loader;
mod objective;
mod optimiser;
mod pool;
mod reference;
mod speed;
mod state;

use std::fs;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use imaging::Modality;
use tch::Tensor;

use crate::Device;
use crate::dataset::{self, Labelled, Patient, Split};
use crate::network::{Design, Network, SIDE_MULTIPLE};
use crate::parallel::in_parallel;
use crate::parameters::Parameters;
use crate::weights::{Folded, Weights};
use augment::Example;
use display::Display;
use loader::Loader;
use objective::{Batch, HeldOut, loss};
use pool::Pool;
use state::{Progress, State};

pub use cross_validation::{FIGURES_FILE, REPORT_FILE, cross_validate};
pub use finish::{CARD_FILE, REFERENCE_FILE, RELIABILITY_FILE, WORST_FOLDER};
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
    pub name: String,
    pub version: String,
    /// What the data is, whose, and under which licence: for the card.
    pub data: String,
    pub design: Design,
    /// A finished model to go on from, in place of random weights; of the same design. That no validation patient
    /// was learned from before is the caller's to know: the same seed and manifest draw the same split.
    pub from: Option<PathBuf>,
    /// The side of the squares at the end of training, in pixels. It begins at half of it, or at two thirds where it
    /// goes on from a model.
    pub side: usize,
    /// Whether the finished model also looks at each image in the mirror: a little better, at twice the cost.
    pub mirrored: bool,
    pub epochs: u64,
    /// Steps in an epoch.
    pub steps: u64,
    /// Squares in a step, shared out among the replicas.
    pub batch: usize,
    /// Copies of the network that work side by side, each normalising its own share of the batch.
    pub replicas: usize,
    /// The highest learning rate.
    pub rate: f64,
    pub decay: f64,
    /// The part of the patients that is kept for validation.
    pub validation: f64,
    /// Phantoms mixed in.
    pub phantoms: u64,
    /// Phantoms whose volumes the finished model measures, shared out among five spacings.
    pub judged_phantoms: u64,
    /// The report of a cross-validation of the same settings, for the card.
    pub cross_validation: Option<PathBuf>,
    pub seed: u64,
    /// Goes on from the run's last checkpoint.
    pub resume: bool,
}

/// What the slices of a manifest are made with: its masks are of FLAIR.
const MODALITIES: [Modality; 1] = [Modality::MagneticResonance];
/// Steps over which the learning rate rises.
const WARM_STEPS: f64 = 200.0;
/// The learning rate at the end, as a part of the highest.
const RATE_END: f64 = 0.01;
/// How much examples are varied at the end, as a part of the most.
const STRENGTH_END: f32 = 0.7;

impl Settings {
    /// The checkpoint after the last epoch.
    pub fn checkpoint(&self) -> PathBuf {
        self.run.join("last.safetensors")
    }

    /// Small squares first: they show most of what there is to learn at a quarter of the cost.
    fn side_of(&self, epoch: u64) -> usize {
        let done = epoch as f64 / self.epochs as f64;
        let side = match done {
            _ if done < 0.3 && self.from.is_none() => self.side / 2,
            _ if done < 0.55 => self.side * 2 / 3,
            _ => self.side,
        };
        side.next_multiple_of(SIDE_MULTIPLE)
    }

    /// A rise, then half a cosine down.
    fn rate_of(&self, step: u64) -> f64 {
        let done = step as f64 / (self.epochs * self.steps) as f64;
        let warm = ((step + 1) as f64 / WARM_STEPS).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.rate * warm * (RATE_END + (1.0 - RATE_END) * cosine)
    }

    /// Examples are varied in full for the first half, then less and less: the end is for the data as it is.
    fn strength_of(&self, step: u64) -> f32 {
        let done = step as f32 / (self.epochs * self.steps) as f32;
        1.0 - (1.0 - STRENGTH_END) * (2.0 * done - 1.0).max(0.0)
    }

    /// The patients of all manifests, on two sides.
    fn split(&self) -> Result<Split> {
        let nobody = Split { training: Vec::new(), validation: Vec::new() };
        self.manifests.iter().try_fold(nobody, |split, manifest| {
            split.and(Split::draw(dataset::read(manifest)?, self.validation, self.seed)?)
        })
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
        if self.epochs == 0 || self.steps == 0 {
            return invalid("training takes at least one epoch of one step");
        }
        Ok(())
    }
}

/// Trains a model and writes it, with its card and its drift reference, to `settings.model`. Answers where the card is.
///
/// The state is saved after every epoch. A loss that is no number stops training (`Internal`): what was saved is
/// then the last good state. `Invalid` and `NotFound` name the setting or file that is wrong.
pub fn run(settings: &Settings, device: Device) -> Result<PathBuf> {
    settings.check()?;
    let split = settings.split()?;
    for folder in [&settings.run, &settings.model] {
        fs::create_dir_all(folder).map_err(|error| {
            ErrorKind::Unavailable.error(format!("cannot make {}", folder.display())).because(error)
        })?;
    }
    let mut state = begin(settings, device, &split)?;
    if state.progress.epoch < settings.epochs {
        learn(settings, device, &split, &mut state, settings.epochs)?;
    }
    finish::finish(settings, device, &split, &state)
}

fn begin(settings: &Settings, device: Device, split: &Split) -> Result<State> {
    let checkpoint = settings.checkpoint();
    if settings.resume {
        let state = State::load(&checkpoint, settings.decay, device.place)?;
        let Progress { design, seed, split: learned, .. } = &state.progress;
        let invalid = |what| {
            let message = format!("{} is of {what}", checkpoint.display());
            Err(ErrorKind::Invalid.error(message))
        };
        if (*design, *seed) != (settings.design, settings.seed) {
            return invalid("another design or seed");
        }
        // What it learned from must not come to be what it is judged by.
        if *learned != split.digest() {
            return invalid("other patients");
        }
        return Ok(state);
    }
    if checkpoint.is_file() {
        let message =
            format!("{} is there already: resume, or choose another run", checkpoint.display());
        return Err(ErrorKind::Conflict.error(message));
    }
    let progress =
        Progress { design: settings.design, seed: settings.seed, split: split.digest(), epoch: 0 };
    let network = Network::new(settings.design);
    let parameters = match &settings.from {
        Some(model) => learned(settings, model, &network, &split.training, device)?,
        None => Parameters::fresh(&network, settings.seed as i64, device.place),
    };
    Ok(State::new(parameters, progress, settings.decay))
}

/// Training slices on which a finished model's normalisations are measured.
const MEASURED: usize = 64;

/// The parameters of a finished model. One that saw each slice alone begins to look at neighbours, which at first
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
    let scans: Vec<_> = training.iter().flat_map(|patient| patient.scans()).collect();
    let side = settings.side_of(0);
    let mut examples = Vec::new();
    for scan in scans.iter().step_by(scans.len().div_ceil(MEASURED).max(1)) {
        let squares = pool::squares(&Labelled::load(scan)?)?;
        examples.push(squares[squares.len() / 2].plain(side));
    }
    let batch = Batch::new(&examples, network.channels(), side, device.exact());
    Parameters::unfolded(network, &units, &batch.images).map_err(crate::segmenter::broken)
}

/// Trains on until that many epochs are done.
fn learn(
    settings: &Settings,
    device: Device,
    split: &Split,
    state: &mut State,
    epochs: u64,
) -> Result<()> {
    crate::device::keep_memory();
    let network = Network::new(settings.design);
    let display = Display::new(settings);
    let pool = Pool::load(&split.training, settings.phantoms, || display.loaded())?;
    let held_out = HeldOut::load(&split.validation, || display.loaded())?;
    let shares = [state.progress.epoch, epochs]
        .map(|epoch| epoch * settings.steps * settings.replicas as u64);
    std::thread::scope(|scope| {
        let loader = Loader::start(scope, settings, &pool, shares, device.loaders());
        let trainer = Trainer { settings, device, network: &network };
        while state.progress.epoch < epochs {
            let side = settings.side_of(state.progress.epoch);
            display.epoch(state.progress.epoch, side);
            for step in 0..settings.steps {
                let step = state.progress.epoch * settings.steps + step;
                let (loss, dice) = trainer.step(state, step, side, &loader)?;
                display.step(step, loss, dice);
            }
            state.progress.epoch += 1;
            let dice = held_out.validate(&network, &state.average, side, device)?;
            state.save(&settings.checkpoint())?;
            display.validated(&dice);
        }
        display.done();
        Ok(())
    })
}

/// What stays the same from step to step.
struct Trainer<'a> {
    settings: &'a Settings,
    device: Device,
    network: &'a Network,
}

/// What one replica made of its share of a batch.
struct Share {
    loss: f64,
    dice: f64,
    gradient: Tensor,
    statistics: Tensor,
}

impl Trainer<'_> {
    /// One step; answers the loss and the Dice of its batch.
    fn step(
        &self,
        state: &mut State,
        step: u64,
        side: usize,
        loader: &Loader,
    ) -> Result<(f64, f64)> {
        let replicas = self.settings.replicas as u64;
        let mut works = Vec::new();
        for replica in 0..replicas {
            let examples = loader.take(step * replicas + replica)?;
            let copy = state.parameters.sharing_weights();
            works.push(move || self.share(copy, &examples, side));
        }
        let shares = in_parallel(works.into_iter())?;
        let mean =
            |part: fn(&Share) -> f64| shares.iter().map(part).sum::<f64>() / shares.len() as f64;
        let (loss, dice) = (mean(|share| share.loss), mean(|share| share.dice));
        if !loss.is_finite() {
            let kept = self.settings.checkpoint();
            let message = format!(
                "the loss of step {step} is not a number: stopped; the last good state, after epoch {}, is {}",
                state.progress.epoch,
                kept.display()
            );
            return Err(ErrorKind::Internal.error(message));
        }
        tch::no_grad(|| {
            // The replicas are done: all cores for what is left, in the memory of the first.
            self.device.take_threads(self.device.cores());
            let mean = |part: fn(&Share) -> &Tensor| {
                let mut mean = part(&shares[0]).shallow_clone();
                for share in &shares[1..] {
                    let _ = mean.g_add_(part(share));
                }
                mean.g_div_scalar_(shares.len() as f64)
            };
            state.parameters.statistics.copy_(&mean(|share| &share.statistics));
            state.step(&mean(|share| &share.gradient), self.settings.rate_of(step));
        });
        Ok((loss, dice))
    }

    fn share(&self, parameters: Parameters, examples: &[Example], side: usize) -> Result<Share> {
        self.device.take_threads((self.device.cores() / self.settings.replicas).max(1));
        let Batch { images, targets } =
            Batch::new(examples, self.network.channels(), side, self.device);
        let cut = parameters.cut(self.network, true);
        let logits = cut.forward(&images, true).map_err(crate::segmenter::broken)?;
        let (loss, dice) = loss(&logits, &targets);
        let gradient = cut.gradient(&loss);
        Ok(Share {
            loss: loss.double_value(&[]),
            dice,
            gradient,
            statistics: parameters.statistics,
        })
    }
}

#[cfg(test)]
mod tests;
