use std::path::PathBuf;

use anyhow::Context;
use model::tracking::Tracking;
use model::train::{Fold, Length, Settings};
use model::{Design, Device};

use crate::mlflow::Options;

/// `medseg train`
#[derive(clap::Args)]
pub struct Train {
    /// The labelled slices: a CSV file with the columns patient, slice, image and mask, paths relative to it; or a folder of
    /// images with a mask beside each (`7.png`, `7_mask.png`). Slices of
    /// a patient that are numbered from 1 without a gap are one volume. What kind of image they are stands in a column
    /// `kind` (flair, t1_contrast) or in the folder's name. Given several times, all are learned from.
    #[arg(long, required_unless_present_any = ["speed", "mlflow_resume"])]
    manifest: Vec<PathBuf>,

    /// Only measure: train on phantoms for some steps, and print how many images a second that was.
    #[arg(long, conflicts_with_all = ["manifest", "folds", "resume"])]
    speed: bool,

    /// Where the finished model goes: weights, manifest, card and drift reference.
    #[arg(long, default_value = "model")]
    out: PathBuf,

    /// Where checkpoints go (400 MB each).
    #[arg(long, default_value = "run")]
    run: PathBuf,

    /// Go on from the run's last checkpoint.
    #[arg(long)]
    resume: bool,

    /// A finished model to go on from, in place of random weights; train with the seed and manifest that it was
    /// trained with, so that no validation patient was learned from.
    #[arg(long)]
    from: Option<PathBuf>,

    /// Leave the judging to `medseg finish`: the model's folder gets the weights at each checkpoint, and no card.
    #[arg(long)]
    unjudged: bool,

    /// The model's name.
    #[arg(long, default_value = "medseg-mr")]
    name: String,

    /// The model's version.
    #[arg(long, default_value = "0.1.0")]
    model_version: String,

    /// What the data is, whose, and under which licence, for the model card.
    #[arg(long, default_value = "Not described.")]
    data: String,

    /// How long to train: what changes in training follows the clock, so that any machine uses all of the time.
    #[arg(long, conflicts_with = "views")]
    minutes: Option<f64>,

    /// How many slices to show, where the machine has other things to do and the clock would say little.
    #[arg(long, default_value_t = 150_000)]
    views: u64,

    /// Minutes of training between two checkpoints.
    #[arg(long, default_value_t = 10.0)]
    checkpoint_minutes: f64,

    /// Steps to measure.
    #[arg(long, requires = "speed", default_value_t = 20)]
    steps: u64,

    /// Slices in a step.
    #[arg(long, default_value_t = 16)]
    batch: usize,

    /// Copies of the network that share a step: on a CPU each on a core of its own, on a GPU one after another.
    #[arg(long, default_value_t = 2)]
    replicas: usize,

    /// The side of the network's square input at the end of training, in pixels: a multiple of 32.
    #[arg(long, default_value_t = 128)]
    side: usize,

    /// Let the finished model use test-time augmentation (a flip), where that pays on the validation patients: it costs twice
    /// the time.
    #[arg(long)]
    mirrored: bool,

    /// The highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,

    /// Weight decay.
    #[arg(long, default_value_t = 0.05)]
    decay: f64,

    /// The part of the patients that is kept for validation.
    #[arg(long, default_value_t = 0.17)]
    validation: f64,

    /// Train no model to ship, but one for each of so many folds, and judge each by its own: the report goes to the run's
    /// folder. Started again, it goes on where it was cut off.
    #[arg(long, conflicts_with = "validation")]
    folds: Option<usize>,

    /// Train only this one of the folds, on another machine or beside the others, and leave it unjudged: brought into the
    /// run's `fold-N`, `--folds` judges it with the rest.
    #[arg(long, requires = "folds", requires = "unjudged")]
    fold: Option<usize>,

    /// Generated phantoms that are mixed in.
    #[arg(long, default_value_t = 240)]
    phantoms: u64,

    /// Phantoms whose volumes the finished model measures for its card, shared out among five spacings.
    #[arg(long, default_value_t = 200)]
    judged_phantoms: u64,

    /// The report of a cross-validation (`cross-validation.md` in its run), to be part of the card.
    #[arg(long)]
    cross_validation: Option<PathBuf>,

    /// Decides the split, the first weights and the order of everything.
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// Where to calculate: auto, cpu or cuda:0.
    #[arg(long, default_value = "auto")]
    device: String,

    #[command(flatten)]
    mlflow: Options,

    /// Only send what MLflow lacks of the run in this folder, which is over.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["manifest", "speed", "folds", "resume"])]
    mlflow_resume: Option<PathBuf>,
}

impl Train {
    /// Trains until it is done, and says where the model is.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(run) = &self.mlflow_resume {
            return self.mlflow.resume(run);
        }
        let device = Device::choose(&self.device)?;
        anyhow::ensure!(
            self.folds.is_none() || self.fold.is_some() || !(self.unjudged || self.resume),
            "a cross-validation goes on by itself and is judged at its end: --resume and --unjudged are for one --fold"
        );
        if self.speed {
            let steps = self.steps;
            let settings = self.settings(Tracking::default());
            println!("{:.2}", model::train::speed(&settings, steps, device)?);
            return Ok(());
        }
        let folds = self.folds.filter(|_| self.fold.is_none());
        let tracked = self.mlflow.track(&self.run, "train")?;
        let settings = self.settings(tracked.tracking.clone());
        let written = match folds {
            Some(folds) => model::train::cross_validate(&settings, folds, device),
            None => model::train::run(&settings, device),
        };
        tracked.finish();
        println!("{}", written.context("training stopped")?.display());
        Ok(())
    }

    fn settings(self, tracking: Tracking) -> Settings {
        Settings {
            manifests: self.manifest,
            run: self.run,
            model: self.out,
            unjudged: self.unjudged,
            name: self.name,
            version: self.model_version,
            data: self.data,
            design: Design::RESNET50,
            from: self.from,
            side: self.side,
            mirrored: self.mirrored,
            length: self.minutes.map_or(Length::Views(self.views), Length::Minutes),
            checkpoint_minutes: self.checkpoint_minutes,
            batch: self.batch,
            replicas: self.replicas,
            rate: self.rate,
            decay: self.decay,
            validation: self.validation,
            fold: self.folds.zip(self.fold).map(|(of, number)| Fold { number, of }),
            phantoms: self.phantoms,
            judged_phantoms: self.judged_phantoms,
            cross_validation: self.cross_validation,
            seed: self.seed,
            resume: self.resume,
            tracking,
        }
    }
}
