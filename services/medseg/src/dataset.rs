mod confirmed;
mod deidentify;
mod series;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use imaging::ImageKind;
use model::dataset::{self, Import, Imported, LeftOut, Part, Shares, Validated};
use secrecy::SecretString;

use confirmed::Confirmed;
use series::{Accuracy, KINDS, Looking};

/// `medseg dataset …`
#[derive(clap::Args)]
pub struct Dataset {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write labelled data of somebody's own layout as a manifest and slices.
    ///
    /// Taken are series of DICOM files with a mask (one NIfTI volume, or a PNG for each file), pairs of NIfTI volumes as
    /// BraTS ships them, and pictures with a mask beside each (`7.tif`, `7_mask.tif`). What is not taken is told with its
    /// reason; where that is an image or a mask, the command fails, and what could be taken lies there all the same.
    Import {
        /// The folder with the data.
        source: PathBuf,
        /// Where the data set goes: a folder that is empty or not there.
        #[arg(long)]
        out: PathBuf,
        /// Which sequence is taken where there are several, and what kind of image it is.
        #[arg(long)]
        sequence: Option<Sequence>,
    },
    /// Look through a data set for all that must not be learned from.
    Validate {
        /// A manifest.csv, or its folder.
        manifest: PathBuf,
    },
    /// Draw who is learned from, and write it into the manifest's column `part`.
    Split {
        /// A manifest.csv, or its folder.
        manifest: PathBuf,
        /// The part of the patients that models are chosen on.
        #[arg(long, default_value_t = 0.17)]
        validation: f64,
        /// The part of the patients that finished models are measured on.
        #[arg(long, default_value_t = 0.1)]
        test: f64,
        /// Decides who is where.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Also where the manifest has a split already: models that learned from it know who is then to measure them.
        #[arg(long)]
        again: bool,
    },
    /// Copy a data set into a folder that needs nothing beside it, with the digests of all files; or make one of the scans that the
    /// readers of a running medseg have confirmed.
    Export {
        /// A manifest.csv, or the folder of a data set.
        #[arg(required_unless_present = "from")]
        manifest: Option<PathBuf>,
        /// Where it goes: a folder that is empty or not there; with --from also one that an earlier export has made.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        confirmed: Box<Confirmed>,
        /// Only this part of the split; may be given several times.
        #[arg(long)]
        part: Vec<Side>,
    },
    /// Write DICOM images without whose they are, by the Basic Profile of PS3.15.
    ///
    /// Kept are numbers and terms that say how an image was taken and where it lies; dates are shifted by as many days for all files of
    /// a patient, UIDs and names of patients are replaced by keyed digests, pixels are written anew, and all else goes. What may
    /// have text in its pixels is refused, and `report.json` says what was done. A head's pixels still show a face.
    Deidentify {
        /// A file, or a folder with files.
        source: PathBuf,
        /// Where they go: a folder that is empty or not there.
        #[arg(long)]
        out: PathBuf,
        /// What the digests are keyed with, 32 characters or more: by the environment, where other users of the machine do not see it.
        /// The same key gives the same patient the same name again.
        #[arg(long, env = "MEDSEG_DEIDENTIFY_KEY", hide_env_values = true)]
        key: SecretString,
    },
    /// Measure how often the choice among a study's DICOM series is right.
    ///
    /// In the folder lie the series, each in `study/series/`, and `labels.csv`, which says of each what it is: `study,series,kind`
    /// with the kinds `flair`, `t1_contrast` and `other`. Printed are rates with Wilson's intervals, and each mistake with its reason.
    Series {
        /// The folder with the studies.
        folder: PathBuf,
        /// The model that is asked what series look like, where nothing but their descriptions tells their kind: its folder, or its
        /// weights. Without it descriptions tell.
        #[arg(long)]
        model: Option<PathBuf>,
        /// Where the network runs: `auto`, `cpu`, `openvino` (the processor, faster) or `cuda:N`.
        #[arg(long, env, default_value = "auto")]
        device: String,
        /// Choose for models of this kind alone.
        #[arg(long)]
        only: Option<Sequence>,
    },
    /// Print the version of the data: it changes with every pixel, patient and part, and not with names of files.
    Version {
        /// One manifest.csv or several: together they are what a model learns from.
        #[arg(required = true)]
        manifest: Vec<PathBuf>,
    },
}

/// A sequence that models are made for.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Sequence {
    Flair,
    T1Contrast,
}

impl Sequence {
    fn kind(self) -> ImageKind {
        match self {
            Sequence::Flair => ImageKind::Flair,
            Sequence::T1Contrast => ImageKind::T1Contrast,
        }
    }
}

/// A part of a data set.
#[derive(Clone, Copy, ValueEnum)]
pub enum Side {
    Training,
    Validation,
    Test,
}

impl Side {
    pub fn part(self) -> Part {
        match self {
            Side::Training => Part::Training,
            Side::Validation => Part::Validation,
            Side::Test => Part::Test,
        }
    }
}

impl Dataset {
    /// Does what was asked for, and prints what came of it.
    pub fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Import { source, out, sequence } => {
                let sequence = sequence.map(Sequence::kind);
                imported(&Import { source, out, sequence }.run()?)
            }
            Action::Validate { manifest } => validated(&manifest, &dataset::validate(&manifest)?),
            Action::Split { manifest, validation, test, seed, again } => {
                let shares = Shares { validation, test };
                for (part, count) in dataset::write_parts(&manifest, shares, seed, again)? {
                    println!("{:10} {count}", part.name());
                }
                Ok(())
            }
            Action::Export { manifest, out, mut confirmed, part } => {
                if let Some(url) = confirmed.from.take() {
                    return confirmed.run(url, &out);
                }
                let manifest = manifest.context("a manifest")?;
                // Whoever names one twice means it once.
                let parts: BTreeSet<Part> = part.into_iter().map(Side::part).collect();
                let parts: Vec<Part> = parts.into_iter().collect();
                println!("{}", dataset::export(&manifest, &out, &parts)?.display());
                Ok(())
            }
            Action::Deidentify { source, out, key } => deidentify::run(&source, &out, &key),
            Action::Series { folder, model, device, only } => {
                let looking = model.map(|model| Looking::with(&model, &device)).transpose()?;
                let kinds = only.map_or_else(|| KINDS.to_vec(), |only| vec![only.kind()]);
                println!("{}", Accuracy::of(&folder, &kinds, looking)?);
                Ok(())
            }
            Action::Version { manifest } => {
                println!("{}", dataset::version_of(&manifest)?);
                Ok(())
            }
        }
    }
}

fn imported(imported: &Imported) -> anyhow::Result<()> {
    let Imported { manifest, patients, slices, left_out, passed_over } = imported;
    let tell = |how: &str, all: &[LeftOut]| {
        all.iter().for_each(|LeftOut { name, why }| println!("{how}: {name}: {why}"));
    };
    tell("passed over", passed_over);
    tell("left out", left_out);
    println!("{}: patients: {patients}, slices: {slices}", manifest.display());
    if !left_out.is_empty() {
        bail!("left out, as is listed above: {}; all else was taken", left_out.len());
    }
    Ok(())
}

fn validated(manifest: &Path, validated: &Validated) -> anyhow::Result<()> {
    let manifest = manifest.display();
    let Validated { patients, without_tumour, slices, faults } = validated;
    faults.iter().for_each(|fault| println!("{fault}"));
    if !faults.is_empty() {
        bail!("{manifest}: faults, as is listed above: {}", faults.len());
    }
    println!(
        "{manifest}: patients: {patients}, without a tumour: {without_tumour}, slices: {slices}, nothing is wrong"
    );
    Ok(())
}
