mod begun;
mod report;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use imaging::mask_png;
use model::dataset::{self, Entry, Part, Patient, Split};
use model::evaluate::{
    Evaluation, Group, GroupedBy, KindAccuracy, Measured, Rate, ScanPrediction, Scored, WithLesser,
    Worst, evaluate, gate_figures, golden_mask, measure_phantoms, plot,
};
use model::tracking::{self, Tracking};
use model::{Device, Segmenter};

use self::report::Reporting;
use self::tables::{metrics, table, write};
use crate::dataset::Side;
use crate::mlflow::Options;
use crate::models;

/// `medseg evaluate`
#[derive(clap::Args)]
pub struct Evaluate {
    /// The labelled slices: a CSV file with the columns patient, slice, image and mask, paths relative to it. Slices of
    /// a patient that are numbered from 1 without a gap are evaluated as one volume, others alone.
    #[arg(long, required_unless_present_any = ["phantoms", "gate"])]
    manifest: Option<PathBuf>,

    /// Instead, measure the volumes of so many phantoms, shared out among five spacings.
    #[arg(long, conflicts_with = "manifest")]
    phantoms: Option<u64>,

    /// Instead, what the registry's gate compares: the figures on the bundled gate set, as JSON.
    #[arg(long, conflicts_with_all = ["manifest", "phantoms"])]
    gate: bool,

    /// Also write the model's mask of the golden phantom (golden.pbm), which belongs beside its weights.
    #[arg(long, requires = "gate")]
    golden: Option<PathBuf>,

    /// The model: its folder, its manifest or its weights file; without it, the model that came with this program.
    #[arg(long)]
    model: Option<PathBuf>,

    /// Print JSON in place of text.
    #[arg(long)]
    json: bool,

    /// Where the plot of each patient's Dice goes (SVG).
    #[arg(long, default_value = "evaluate.svg")]
    plot: PathBuf,

    /// Also write the figures that models are compared by, each a number of its own, as JSON to this file.
    #[arg(long)]
    metrics: Option<PathBuf>,

    /// Also write a table with each patient's Dice, the worst first, as CSV to this file.
    #[arg(long)]
    table: Option<PathBuf>,

    /// Also write each slice's mask, as FOLDER/patient/slice.png: 255 in main findings, 127 in lesser ones.
    #[arg(long)]
    masks: Option<PathBuf>,

    /// Also write pictures of the ten worst scans, the truth outlined in blue and the mask in yellow, to this folder.
    #[arg(long)]
    worst: Option<PathBuf>,

    /// Evaluate each slice as if it had come alone, not as a part of its patient's volume.
    #[arg(long)]
    alone: bool,

    /// Only these patients: ids separated by commas, or a file with one on each line.
    #[arg(long)]
    patients: Option<String>,

    /// Only one part of the split: as the manifest's column `part` says, else as `train` draws it with this seed and part.
    #[arg(long)]
    split: Option<Side>,

    /// The split's seed.
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// The part of the patients that `train` kept for validation.
    #[arg(long, default_value_t = 0.17)]
    validation: f64,

    /// Where to calculate: auto, cpu, openvino or cuda:0.
    #[arg(long, default_value = "auto")]
    device: String,

    #[command(flatten)]
    mlflow: Options,

    #[command(flatten)]
    reporting: Reporting,
}

impl Evaluate {
    /// Evaluates the model scan by scan, as the service would, and prints the figures.
    pub fn run(self) -> anyhow::Result<()> {
        // What is wrong with the data, or with who reports, is said before the model has been waited for.
        self.reporting.check()?;
        let patients =
            self.manifest.as_deref().map(|manifest| self.chosen(manifest)).transpose()?;
        let model = self.model.clone().map_or_else(models::shipped, Ok)?;
        let mut segmenter = Segmenter::load(&model, Device::choose(&self.device)?)?;
        if let Some(path) = &self.golden {
            fs::write(path, golden_mask(&mut segmenter)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.gate {
            println!(
                "{}",
                serde_json::to_string_pretty(&gate_figures(&mut segmenter, || Ok(()))?)?
            );
            return Ok(());
        }
        let Some(patients) = patients else {
            return self.phantoms(&mut segmenter, self.phantoms.unwrap_or_default());
        };
        let tracked = self
            .mlflow
            .is_told()
            .then(|| self.mlflow.track(&self.plot.with_extension("run"), "evaluate"));
        let tracked = tracked.transpose()?;
        let tracking = tracked.as_ref().map(|tracked| tracked.tracking.clone()).unwrap_or_default();
        let evaluation = tracking.over(|| self.evaluated(&mut segmenter, &patients, &tracking));
        if let Some(tracked) = tracked {
            tracked.finish();
        }
        let evaluation = evaluation?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&evaluation)?);
        } else {
            print(&evaluation);
        }
        self.reporting.send(&evaluation, &patients)
    }

    fn evaluated(
        &self,
        segmenter: &mut Segmenter,
        patients: &[Patient],
        tracking: &Tracking,
    ) -> anyhow::Result<Evaluation> {
        tracking.begin(begun::beginning(self, segmenter.model_info(), patients)?);
        let mut worst = Worst::default();
        let evaluation =
            evaluate(segmenter, patients, self.alone, |patient, scan, prediction, scored| {
                worst.add(patient, scan, scored);
                match &self.masks {
                    Some(folder) => write_masks(folder, patient, scan, prediction, scored),
                    None => Ok(()),
                }
            })?;
        if let Some(folder) = &self.worst {
            tracking.pictures("", &worst.write(folder)?)?;
        }
        let plot = plot(&evaluation);
        tracking.metrics(0, &tracking::figures(&[], &evaluation));
        tracking.artefact("plots/evaluate.svg", plot.as_bytes());
        tracking.artefact("evaluation.json", &serde_json::to_vec_pretty(&evaluation)?);
        write(&self.plot, plot)?;
        if let Some(path) = &self.metrics {
            write(path, serde_json::to_string_pretty(&metrics(&evaluation))? + "\n")?;
        }
        if let Some(path) = &self.table {
            write(path, table(&evaluation))?;
        }
        Ok(evaluation)
    }

    fn phantoms(&self, segmenter: &mut Segmenter, count: u64) -> anyhow::Result<()> {
        let measured = measure_phantoms(segmenter, count)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&measured)?);
            return Ok(());
        }
        for Measured { spacing_mm, slices, volume_error, volume_error_p90, missed } in measured {
            println!(
                "{spacing_mm:?} mm, {slices} slices: volume off by {} (median), {} (nine in ten below), missed {}",
                number(volume_error),
                number(volume_error_p90),
                rate(missed)
            );
        }
        Ok(())
    }

    fn chosen(&self, manifest: &Path) -> anyhow::Result<Vec<Patient>> {
        let mut patients = dataset::read(manifest)?;
        if let Some(side) = self.split {
            patients = self.part(side.part(), patients)?;
        }
        if let Some(wanted) = &self.patients {
            let wanted = ids(wanted)?;
            if let Some(unknown) = wanted.iter().find(|id| !patients.iter().any(|p| p.id == **id)) {
                bail!("no patient {unknown} in {}", manifest.display());
            }
            patients.retain(|patient| wanted.contains(&patient.id));
        }
        ensure!(!patients.is_empty(), "no patient in {}", manifest.display());
        Ok(patients)
    }

    /// Those of `patients` who are in that part.
    fn part(&self, part: Part, patients: Vec<Patient>) -> anyhow::Result<Vec<Patient>> {
        if Part::are_given(&patients)? {
            return Ok(part.of(&patients));
        }
        let split = match part {
            Part::Test => {
                bail!("no column part says who is in part test: `medseg dataset split` writes it")
            }
            _ => Split::draw(patients, self.validation, self.seed)?,
        };
        Ok(if part == Part::Training { split.training } else { split.validation })
    }
}

fn ids(wanted: &str) -> anyhow::Result<Vec<String>> {
    let text = match Path::new(wanted).is_file() {
        true => fs::read_to_string(wanted).with_context(|| format!("cannot read {wanted}"))?,
        false => wanted.replace(',', "\n"),
    };
    Ok(text.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

fn write_masks(
    folder: &Path,
    patient: &Patient,
    scan: &[Entry],
    prediction: &ScanPrediction,
    scored: &Scored,
) -> domain::Result<()> {
    // An id is data: it must not choose a folder outside of this one.
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let folder = folder.join(patient.id.replace("..", "__").chars().map(safe).collect::<String>());
    for (index, entry) in scan.iter().enumerate() {
        let png = mask_png(prediction.shape, &scored.assessment.findings, index)?;
        let path = folder.join(format!("{:03}.png", entry.slice));
        fs::create_dir_all(&folder).and_then(|()| fs::write(&path, png)).map_err(|error| {
            domain::ErrorKind::Unavailable
                .error(format!("cannot write {}", path.display()))
                .because(error)
        })?;
    }
    Ok(())
}

fn print(evaluation: &Evaluation) {
    for patient in &evaluation.patients {
        println!("{:32} {:4} slices  Dice {:.4}", patient.id, patient.slices, patient.dice);
    }
    for group in &evaluation.groups {
        let Group { by, name, count, dice_mean, dice_interval, far, frr } = group;
        let (what, by) = match by {
            GroupedBy::Site => ("patients", "site"),
            GroupedBy::Size => ("slices", "tumour"),
        };
        let name = format!("{by} {name}");
        println!(
            "{name:32} {count:4} {what}  Dice {} {}, falsely found {}, missed {}",
            number(*dice_mean),
            between(*dice_interval),
            rate(*far),
            rate(*frr)
        );
    }
    println!(
        "Dice per patient    mean {} {}, median {}",
        number(evaluation.dice_mean),
        between(evaluation.dice_interval),
        number(evaluation.dice_median)
    );
    println!(
        "Dice per slice      mean {} {} over {} slices with tumour",
        number(evaluation.slice_dice_mean),
        between(evaluation.slice_dice_interval),
        evaluation.slices_with_tumour
    );
    println!("slices falsely found     {}", rate(evaluation.far));
    println!("slices missed            {}", rate(evaluation.frr));
    if let Some(WithLesser { slices, dice_mean, far, frr }) = evaluation.with_lesser {
        println!(
            "with lesser findings     Dice per patient {}, falsely found {}, missed {}; nothing else in {slices} slices",
            number(dice_mean),
            rate(far),
            rate(frr)
        );
    }
    if let Some(KindAccuracy { right, unsure, wrong }) = evaluation.kinds {
        println!("kinds of scans           {right} told right, {unsure} unsure, {wrong} wrong");
    }
    println!("calibration error        {}", number(evaluation.calibration_error));
    println!("expected Dice held       {}", rate(evaluation.expected_dice_covers));
    println!("milliseconds per slice   {}", number(evaluation.ms_per_slice));
    let imaging::ModelInfo { facts, sha256, device } = &evaluation.model;
    println!("model {} {} {sha256} on {device}", facts.name, facts.version);
    if !facts.data_version.is_empty() {
        println!("trained on data version  {}", facts.data_version);
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| format!("{value:.4}"))
}

fn between(interval: Option<[f64; 2]>) -> String {
    interval.map_or(String::new(), |[from, to]| format!("[{from:.4}, {to:.4}]"))
}

fn rate(Rate { rate, interval, count, of }: Rate) -> String {
    format!("{} {} ({count} of {of})", number(rate), between(Some(interval)))
}
