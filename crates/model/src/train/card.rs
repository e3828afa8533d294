use std::fmt::Write;
use std::fs;

use domain::{ErrorKind, Result, hex};
use sha2::{Digest, Sha256};

use super::Settings;
use super::state::State;
use crate::dataset::{Patient, Split};
use crate::evaluate::{Evaluation, Rate};
use crate::weights::{Manifest, Weights};

/// The model card: what it was made of, how well it does, and what it must not be used for. Markdown.
pub fn card(
    settings: &Settings,
    split: &Split,
    state: &State,
    manifest: &Manifest,
    evaluation: &Evaluation,
) -> Result<String> {
    let data = fs::read(&settings.manifest).map_err(|error| {
        ErrorKind::NotFound.error("cannot read the manifest again").because(error)
    })?;
    let facts = &manifest.facts;
    let slices = |patients: &[Patient]| patients.iter().map(|p| p.slices.len()).sum::<usize>();
    let mut text = format!(
        "# {} {}

Finds tumours in axial slices of head MRI (FLAIR), one slice at a time.

| | |
|---|---|
| weights | `{}`, {} bytes, int8 per output channel |
| SHA-256 | `{}` |
| network | U-Net with a ResNet-50 encoder (width {}, bottlenecks {:?}), {} x {} pixels, one channel, one logit |
| preprocessing | `{}` |
| threshold | {:.2}; findings of fewer than {} of the network's pixels are dropped |
| modalities | {} |
| looks in the mirror too | {} |

",
        facts.name,
        facts.version,
        manifest.file,
        manifest.bytes,
        manifest.sha256,
        facts.design.width,
        facts.design.depths,
        facts.side,
        facts.side,
        facts.preprocessing,
        facts.threshold,
        facts.minimum_pixels,
        facts.modalities.iter().map(|modality| modality.term()).collect::<Vec<_>>().join(", "),
        if facts.mirrored { "yes" } else { "no" },
    );
    let _ = write!(
        text,
        "## Data

{}

Manifest SHA-256 `{}`. Split by patient (seed {}): {} patients with {} slices to learn from, {} patients with {} \
slices for validation. {} generated phantoms were mixed in, 8 % of what was shown.

## Training

From {}; {} epochs of {} steps of {} slices in {} replicas, growing from {} to {} pixels a side; AdamW, \
learning rate up to {}, weight decay {}; cross-entropy plus Dice; weights averaged over steps.

## Figures

On the {} validation patients, with the shipped (quantised) weights. They were not learned from, but the threshold \
and the smallest finding were chosen on them, so expect a little less on others.

| | | 95 % interval |
|---|---|---|
",
        settings.data,
        hex(&Sha256::digest(&data)),
        settings.seed,
        split.training.len(),
        slices(&split.training),
        split.validation.len(),
        slices(&split.validation),
        settings.phantoms,
        start(settings)?,
        state.progress.epoch,
        settings.steps,
        settings.batch,
        settings.replicas,
        settings.side_of(0),
        settings.side,
        settings.rate,
        settings.decay,
        split.validation.len(),
    );
    text.push_str(&figures(evaluation));
    text.push_str(LIMITS);
    Ok(text)
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

fn figures(evaluation: &Evaluation) -> String {
    let number =
        |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.3}"));
    let between = |[from, to]: [f64; 2]| format!("{from:.3} to {to:.3}");
    let rate = |name: &str, Rate { rate, interval, count, of }: Rate| {
        format!("| {name} | {} ({count} of {of}) | {} |\n", number(rate), between(interval))
    };
    let mut text = format!(
        "| volumetric Dice, mean over patients | {} | {} |\n| median | {} | |\n",
        number(evaluation.dice_mean),
        evaluation.dice_interval.map_or(String::new(), between),
        number(evaluation.dice_median),
    );
    let _ = writeln!(
        text,
        "| Dice of slices with tumour, mean | {} | |",
        number(evaluation.slice_dice_mean)
    );
    text.push_str(&rate("slices falsely found (FAR)", evaluation.far));
    text.push_str(&rate("slices missed (FRR)", evaluation.frr));
    text.push_str("\n| patient | slices | Dice |\n|---|--:|--:|\n");
    for patient in &evaluation.patients {
        let _ = writeln!(text, "| {} | {} | {:.3} |", patient.id, patient.slices, patient.dice);
    }
    text
}

const LIMITS: &str = "
## Use and limits

For research and for showing how the software works. It is no medical device and no diagnosis: a qualified person must \
look at every scan.

- It learned from adults with lower-grade glioma on FLAIR. Other tumours, other sequences, children, contrast agents, \
implants and scans after surgery are untried: a mask may be wrong there, and so may its absence.
- It sees one slice at a time, and small tumours worst: see the lowest rows above.
- The truth it learned from marks the whole FLAIR abnormality, oedema included, not the tumour's core.
- A confidence is the mean probability over the finding, not the chance of being right.
";
