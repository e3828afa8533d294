mod tables;

use std::fmt::Write;
use std::fs;

use domain::{ErrorKind, Result, hex};
use imaging::Cut;
use sha2::{Digest, Sha256};

use super::Settings;
use super::finish::{RELIABILITY_FILE, Tried};
use super::state::State;
use crate::dataset::{Patient, Split};
use crate::evaluate::{Evaluation, Measured, Rate};
use crate::weights::{Manifest, Weights};

pub use tables::{groups, number, patients, percent, table};

/// All that a card tells.
pub struct Card<'a> {
    pub settings: &'a Settings,
    pub split: &'a Split,
    pub state: &'a State,
    pub manifest: &'a Manifest,
    /// The figures of each source's validation patients: of volumes, and of slices that come alone, those of volumes
    /// among them.
    pub volumes: &'a [(String, Evaluation)],
    pub slices: &'a [(String, Evaluation)],
    /// All thresholds with all smallest findings, of volumes and of slices.
    pub tried: [&'a [Tried]; 2],
    /// Before calibration, and after.
    pub calibration_errors: [Option<f64>; 2],
    /// How often the interval of the expected Dice held, for volumes and for slices.
    pub covered: [Rate; 2],
    pub phantoms: &'a [Measured],
}

/// The highest part of the slices with a tumour that may be missed where false alarms are compared.
pub const FRR_MAX: f64 = 0.05;

/// The model card: what it was made of, how well it does, and what it must not be used for. Markdown.
pub fn card(card: &Card) -> Result<String> {
    let mut text = identity(card);
    text.push_str(&data(card)?);
    text.push_str(&training(card)?);
    text.push_str(FIGURES);
    for (kind, sources) in [("volumes", card.volumes), ("slices alone", card.slices)] {
        for (source, figures) in sources.iter().filter(|(_, figures)| figures.scans > 0) {
            let _ = write!(text, "\n### {source}: {} {kind}\n\n{}", figures.scans, table(figures));
            text.push_str(&groups(figures));
            text.push_str(&patients(figures));
        }
    }
    text.push_str(&operating_points(card.tried));
    text.push_str(&doubt(card));
    text.push_str(&phantoms(card.phantoms));
    if let Some(report) = &card.settings.cross_validation {
        let report = fs::read_to_string(report).map_err(|error| {
            ErrorKind::NotFound.error(format!("cannot read {}", report.display())).because(error)
        })?;
        let _ = write!(text, "\n{report}");
    }
    text.push_str(LIMITS);
    Ok(text)
}

fn identity(card: &Card) -> String {
    let Manifest { file, bytes, sha256, facts } = card.manifest;
    let [width, depths] = [facts.design.width.to_string(), format!("{:?}", facts.design.depths)];
    let channels = match facts.design.neighbours {
        true => "a slice with the ones before and after it",
        false => "one slice",
    };
    let alone = Cut { threshold: facts.threshold, minimum_pixels: facts.minimum_pixels };
    let volumes = facts.volumes.unwrap_or(alone);
    let modalities: Vec<&str> = facts.modalities.iter().map(|modality| modality.term()).collect();
    format!(
        "# {} {}

Finds tumours in head MRI: in FLAIR and in contrast-enhanced T1, in volumes and in slices that come alone.

| | |
|---|---|
| weights | `{file}`, {bytes} bytes, int8 per output channel |
| SHA-256 | `{sha256}` |
| network | U-Net with a ResNet-50 encoder (width {width}, bottlenecks {depths}), {side} x {side} pixels, sees {channels}, one logit; one network for both kinds of image |
| preprocessing | `{}` |
| threshold | slices alone: {:.2}, findings of fewer than {} of the network's pixels are dropped; volumes: {:.2}, {} |
| calibration | logit x {:.3} {:+.3} |
| modalities | {} |
| looks in the mirror too | {} |
",
        facts.name,
        facts.version,
        facts.preprocessing,
        facts.threshold,
        facts.minimum_pixels,
        volumes.threshold,
        volumes.minimum_pixels,
        facts.calibration.slope,
        facts.calibration.offset,
        modalities.join(", "),
        if facts.mirrored { "yes" } else { "no" },
        side = facts.side,
    )
}

fn data(card: &Card) -> Result<String> {
    let Card { settings, split, .. } = card;
    let mut text = format!("\n## Data\n\n{}\n\n", settings.data);
    for manifest in &settings.manifests {
        let bytes = fs::read(manifest).map_err(|error| {
            ErrorKind::NotFound.error("cannot read the manifest again").because(error)
        })?;
        let folder = manifest.parent().and_then(|folder| folder.file_name());
        let source = folder.map_or_else(String::new, |name| name.to_string_lossy().into());
        let count = |side: &[Patient]| {
            let patients = side.iter().filter(|patient| patient.source == source);
            let slices: usize = patients.clone().map(|patient| patient.slices.len()).sum();
            format!("{} patients with {slices} slices", patients.count())
        };
        let _ = writeln!(
            text,
            "- `{source}`: {} to learn from, {} for validation; manifest SHA-256 `{}`",
            count(&split.training),
            count(&split.validation),
            hex(&Sha256::digest(&bytes)),
        );
    }
    let _ = writeln!(
        text,
        "
Split by patient, or by the data's own folds where it has them (seed {}, part {}). {} generated phantoms were mixed in, 8 % of \
what was shown; the sources had equal parts of the rest.",
        settings.seed, settings.validation, settings.phantoms,
    );
    Ok(text)
}

fn training(card: &Card) -> Result<String> {
    let Card { settings, state, .. } = card;
    Ok(format!(
        "
## Training

From {}; {} views of slices in {:.0} minutes (asked: {}), {} at a time in {} shares, growing from {} to {} pixels a side; \
AdamW, learning rate up to {}, weight decay {}; cross-entropy plus Dice, half of it over all slices and half for each slice with \
a tumour; weights averaged over steps, their statistics measured anew at the end. Patients of volumes are drawn before their \
slices, and small tumours more often. Examples are turned, zoomed and bent; some are relit (gamma, contrast, uneven light), \
blurred, coarsened or made noisy; some tumours are faded, given a dark core, or pasted in from another patient; less so at the end. \
A part of the slices of volumes is shown as if each had come alone.
",
        start(settings)?,
        state.progress.views,
        state.progress.seconds / 60.0,
        settings.length,
        settings.batch,
        settings.replicas,
        settings.schedule().side(0.0),
        settings.side,
        settings.rate,
        settings.decay,
    ))
}

/// What training began with. The card of the model that it went on from tells the rest.
fn start(settings: &Settings) -> Result<String> {
    let Some(model) = &settings.from else { return Ok("random weights".into()) };
    let Weights { facts, sha256, .. } = Weights::read(model)?;
    Ok(format!(
        "the weights of {} {} (SHA-256 `{sha256}`, made by the same program)",
        facts.name, facts.version
    ))
}

const FIGURES: &str = "
## Figures

On the validation patients, with the shipped (quantised) weights. They were not learned from, but the threshold, the smallest \
finding, the calibration and the expected Dice were chosen on them, so expect a little less on others. Intervals are 95 %: \
Wilson for rates, bootstrap over patients for Dice.
";

/// How many false alarms it costs to miss few tumours.
fn operating_points(kinds: [&[Tried]; 2]) -> String {
    let mut text = "\n## False alarms where few tumours are missed\n\n".to_owned();
    for (kind, tried) in ["volumes", "slices alone"].into_iter().zip(kinds) {
        let sources = tried.first().map_or(&[][..], |tried| &tried.sources);
        for (index, (source, figures)) in sources.iter().enumerate() {
            if figures.far.of > 0 && figures.frr.of > 0 {
                let point = missing_few(tried, index);
                let _ = writeln!(text, "- `{source}`, {kind}: {point}");
            }
        }
    }
    text
}

/// Where the fewest slices of that source are falsely found, if 5 % or fewer may be missed.
fn missing_few(tried: &[Tried], source: usize) -> String {
    let figures = |tried: &Tried| tried.sources[source].1.clone();
    let few = |tried: &&Tried| figures(tried).frr.rate.is_some_and(|rate| rate <= FRR_MAX);
    let Some(best) = tried.iter().filter(few).min_by_key(|tried| figures(tried).far.count) else {
        return "whatever was tried, more than 5 % were missed".into();
    };
    let Evaluation { far, frr, dice_mean, .. } = figures(best);
    format!(
        "FAR {} at FRR {} (threshold {:.1}, findings of at least {} pixels; volumetric Dice {} there)",
        percent(far),
        percent(frr),
        best.cut.threshold,
        best.cut.minimum_pixels,
        number(dice_mean),
    )
}

fn doubt(card: &Card) -> String {
    let [before, after] = card.calibration_errors;
    let mut text = format!(
        "
## Doubt

Expected calibration error over the pixels that are not ruled out (probability at least 0.01): {} before calibration, {} after, \
each patient calibrated without being looked at.

![what was called against what was observed]({RELIABILITY_FILE})

For each scan with a finding a Dice is foretold, with an interval that is to hold nine times in ten. Each patient judged by what \
was learned from the others:

| scans | the interval held |
|---|--:|
",
        number(before),
        number(after),
    );
    for (name, rate) in ["volumes", "slices alone"].into_iter().zip(card.covered) {
        let _ = writeln!(text, "| {name} | {} |", percent(rate));
    }
    text
}

fn phantoms(measured: &[Measured]) -> String {
    if measured.is_empty() {
        return String::new();
    }
    let mut text = "
## Volumes of phantoms

Generated heads with a lesion of exactly known volume, each with a seed of its own. A missed lesion counts as an error of 1.

| mm between slices, rows, columns | slices | median error | nine in ten below | missed |
|---|--:|--:|--:|--:|
"
    .to_owned();
    for Measured { spacing_mm: [a, b, c], slices, volume_error, volume_error_p90, missed } in
        measured
    {
        let _ = writeln!(
            text,
            "| {a} x {b} x {c} | {slices} | {} | {} | {} |",
            number(*volume_error),
            number(*volume_error_p90),
            percent(*missed),
        );
    }
    text
}

const LIMITS: &str = "
## Use and limits

For research and for showing how the software works. It is no medical device and no diagnosis: a qualified person must \
look at every scan.

- It learned from adults with glioma on FLAIR, and with glioma, meningioma or pituitary tumour on contrast-enhanced T1. Other \
tumours, other sequences, children, implants and scans after surgery are untried: a mask may be wrong there, and so may its absence.
- Every contrast-enhanced image that it learned from shows a tumour: how often it finds one there in a healthy head was never measured.
- Small tumours are found worst: see the tables by size.
- On FLAIR the truth that it learned from marks the whole abnormality, oedema included; on contrast-enhanced T1, the lesion.
- A slice that comes alone is judged without its neighbours, and a little worse than within its volume.
- A finding's confidence is the mean calibrated probability over it: about the part of it that is tumour, not the chance that it is one.
";
