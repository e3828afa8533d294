use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use imaging::{Shape, mask_png};
use model::dataset::{self, Patient, Split};
use model::evaluate::{Evaluation, Judged, Rate, Seen, evaluate, plot};
use model::{Device, Segmenter};

/// `medseg evaluate`
#[derive(clap::Args)]
pub struct Evaluate {
    /// The labelled slices: a CSV file with the columns patient, slice, image and mask, paths relative to it.
    #[arg(long)]
    manifest: PathBuf,

    /// The model: its folder, its manifest or its weights file.
    #[arg(long, default_value = "models/medseg-mr")]
    model: PathBuf,

    /// Print JSON in place of text.
    #[arg(long)]
    json: bool,

    /// Where the plot of each patient's Dice goes (SVG).
    #[arg(long, default_value = "evaluate.svg")]
    plot: PathBuf,

    /// Also write each slice's mask, as FOLDER/patient/slice.png.
    #[arg(long)]
    masks: Option<PathBuf>,

    /// Only these patients: ids separated by commas, or a file with one on each line.
    #[arg(long)]
    patients: Option<String>,

    /// Only one side of the split that `train` draws with this seed and part.
    #[arg(long)]
    split: Option<Side>,

    /// The split's seed.
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// The part of the patients that `train` kept for validation.
    #[arg(long, default_value_t = 0.17)]
    validation: f64,

    /// Where to calculate: auto, cpu or cuda:0.
    #[arg(long, default_value = "auto")]
    device: String,
}

/// A side of a split.
#[derive(Clone, Copy, ValueEnum)]
enum Side {
    Training,
    Validation,
}

impl Evaluate {
    /// Judges the model slice by slice, as the service would, and prints the figures.
    pub fn run(self) -> anyhow::Result<()> {
        let patients = self.chosen()?;
        let mut segmenter = Segmenter::load(&self.model, Device::choose(&self.device)?)?;
        let evaluation = evaluate(&mut segmenter, &patients, |patient, slice, seen, judged| {
            match &self.masks {
                Some(folder) => write_mask(folder, patient, slice, seen, judged),
                None => Ok(()),
            }
        })?;
        fs::write(&self.plot, plot(&evaluation))
            .with_context(|| format!("cannot write {}", self.plot.display()))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&evaluation)?);
        } else {
            print(&evaluation);
        }
        Ok(())
    }

    fn chosen(&self) -> anyhow::Result<Vec<Patient>> {
        let mut patients = dataset::read(&self.manifest)?;
        if let Some(side) = self.split {
            let split = Split::draw(patients, self.validation, self.seed)?;
            patients = match side {
                Side::Training => split.training,
                Side::Validation => split.validation,
            };
        }
        if let Some(wanted) = &self.patients {
            let wanted = ids(wanted)?;
            if let Some(unknown) = wanted.iter().find(|id| !patients.iter().any(|p| p.id == **id)) {
                bail!("no patient {unknown} in {}", self.manifest.display());
            }
            patients.retain(|patient| wanted.contains(&patient.id));
        }
        ensure!(!patients.is_empty(), "no patient in {}", self.manifest.display());
        Ok(patients)
    }
}

fn ids(wanted: &str) -> anyhow::Result<Vec<String>> {
    let text = match Path::new(wanted).is_file() {
        true => fs::read_to_string(wanted).with_context(|| format!("cannot read {wanted}"))?,
        false => wanted.replace(',', "\n"),
    };
    Ok(text.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

fn write_mask(
    folder: &Path,
    patient: &Patient,
    slice: u32,
    seen: &Seen,
    judged: &Judged,
) -> domain::Result<()> {
    // An id is data: it must not choose a folder outside of this one.
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let folder = folder.join(patient.id.replace("..", "__").chars().map(safe).collect::<String>());
    let shape = Shape { slices: 1, rows: seen.placement.rows, columns: seen.placement.columns };
    let png = mask_png(shape, &judged.findings, 0)?;
    let path = folder.join(format!("{slice:03}.png"));
    fs::create_dir_all(&folder).and_then(|()| fs::write(&path, png)).map_err(|error| {
        domain::ErrorKind::Unavailable
            .error(format!("cannot write {}", path.display()))
            .because(error)
    })
}

fn print(evaluation: &Evaluation) {
    let number =
        |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.4}"));
    let between = |[from, to]: [f64; 2]| format!("[{from:.4}, {to:.4}]");
    let rate = |Rate { rate, interval, count, of }: Rate| {
        format!("{} {} ({count} of {of})", number(rate), between(interval))
    };
    for patient in &evaluation.patients {
        println!("{:32} {:4} slices  Dice {:.4}", patient.id, patient.slices, patient.dice);
    }
    let interval = evaluation.dice_interval.map_or(String::new(), between);
    println!(
        "Dice per patient    mean {} {interval}, median {}",
        number(evaluation.dice_mean),
        number(evaluation.dice_median)
    );
    println!(
        "Dice per slice      mean {} over {} slices with tumour",
        number(evaluation.slice_dice_mean),
        evaluation.slices_with_tumour
    );
    println!("slices falsely found     {}", rate(evaluation.far));
    println!("slices missed            {}", rate(evaluation.frr));
    println!("milliseconds per slice   {}", number(evaluation.ms_per_slice));
    let model = &evaluation.model;
    println!("model {} {} {} on {}", model.name, model.version, model.sha256, model.device);
}
