mod data;
mod tables;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use domain::{ErrorKind, Result};

use super::Settings;
use super::again::Again;
use super::pool::PHANTOM_PART;
use super::predictions::Form;
use super::state::State;
use crate::dataset::Split;
use crate::evaluate::{Evaluation, Measured, Rate};
use crate::weights::{Manifest, Weights, WeightsFacts, missing};

pub use data::data_version;
use data::{data, digest, drawn};
pub use tables::{groups, number, overview, patients, percent, table, trials};
use tables::{phantoms, readings};

/// The model card; it lies beside the weights.
pub const CARD_FILE: &str = "card.md";
/// The reliability plot, which the card shows; it lies there, too.
pub const RELIABILITY_FILE: &str = "reliability.svg";

/// All that a card says.
pub struct Card<'a> {
    /// How the weights came about.
    pub story: &'a Story,
    /// What lies beside the weights file.
    pub manifest: &'a Manifest,
    /// The figures of each source's validation patients: of volumes, and of slices that come alone, those of volumes
    /// among them.
    pub figures: [Vec<(String, Evaluation)>; 2],
    /// The same, each patient assessed by what was chosen on others.
    pub nested: [Vec<(String, Evaluation)>; 2],
    /// What each step of choosing gained, in the order of the steps.
    pub trials: Vec<Trial>,
    /// FAR and FRR where few may be missed, by source and form.
    pub few: BTreeMap<(String, &'static str), [Rate; 2]>,
    /// How well volumes are measured, one for each spacing.
    pub phantoms: &'a [Measured],
}

/// What a step of choosing brings: figures of volumes and of slices alone, each patient assessed by what was chosen on
/// others.
pub struct Trial {
    /// What was allowed in this step, in words.
    pub name: String,
    /// By source: of volumes, and of slices alone.
    pub figures: [Vec<(String, Evaluation)>; 2],
}

/// How the weights came about: sections of the card that stay when only what is chosen afterwards is chosen anew.
pub struct Story {
    data: String,
    training: String,
    /// Empty without one.
    cross_validation: String,
}

const TRAINED_ELSEWHERE: &str = "
## Training

By `medseg train --unjudged`, on another machine or at another time: the log of that run tells how.
";

/// The highest part of the slices with a tumour that may be missed where false alarms are compared.
pub const FRR_MAX: f64 = 0.05;

impl Story {
    /// Of weights that this run made.
    pub fn of_run(
        settings: &Settings,
        split: &Split,
        state: &State,
        data_version: &str,
    ) -> Result<Story> {
        let report = settings.cross_validation.as_deref().map(report).transpose()?;
        Ok(Story {
            data: data(
                &settings.manifests,
                &settings.data,
                split,
                &drawn(settings.seed, settings.validation),
                data_version,
            )?,
            training: training(settings, state)?,
            cross_validation: report.unwrap_or_default(),
        })
    }

    /// Of weights that came without a card. That they were trained with this split is for the caller to know.
    pub fn without_card(again: &Again, split: &Split, data_version: &str) -> Result<Story> {
        let report = again.cross_validation.as_deref().map(report).transpose()?;
        let drawn = drawn(again.seed, again.validation);
        Ok(Story {
            data: data(&again.manifests, &again.data, split, &drawn, data_version)?,
            training: TRAINED_ELSEWHERE.into(),
            cross_validation: report.unwrap_or_default(),
        })
    }

    /// Of weights whose card has it.
    ///
    /// `Invalid` where that names other manifests or another split than are to evaluate them now.
    pub fn from_card(card: &str, again: &Again) -> Result<Story> {
        let section = |title: &str| {
            let from = card.find(&format!("\n## {title}\n"))?;
            let rest = &card[from + 1..];
            let length = rest.find("\n## ").map_or(rest.len(), |end| end + 1);
            Some(format!("\n{}\n", rest[..length].trim_end()))
        };
        let refused = |why: &str| {
            let from = again.from.display();
            ErrorKind::Invalid.error(format!("the card of {from} {why}"))
        };
        let lacks = |title: &str| refused(&format!("has no section `{title}`"));
        let data = section("Data").ok_or_else(|| lacks("Data"))?;
        let mut known = vec![drawn(again.seed, again.validation)];
        for manifest in &again.manifests {
            known.push(digest(manifest)?);
        }
        if !known.iter().all(|words| data.contains(words)) {
            return Err(refused(
                "tells of other manifests or another split: it would be evaluated on patients that it learned from",
            ));
        }
        let report = again.cross_validation.as_deref().map(report).transpose()?;
        Ok(Story {
            data,
            training: section("Training").ok_or_else(|| lacks("Training"))?,
            cross_validation: report.or_else(|| section("Cross-validation")).unwrap_or_default(),
        })
    }

    /// The version of the data that the weights were learned from; None of a card from before there was any.
    pub fn data_version(&self) -> Option<&str> {
        data_version(&self.data)
    }
}

fn report(path: &Path) -> Result<String> {
    let report = fs::read_to_string(path).map_err(|error| missing(path, error))?;
    Ok(format!("\n{report}"))
}

/// The model card: what it was made of, how well it does, and what it must not be used for. Markdown.
pub fn card(card: &Card) -> String {
    let mut text = identity(card);
    text.push_str(&card.story.data);
    text.push_str(&card.story.training);
    text.push_str(FIGURES);
    for (form, sources) in Form::ALL.into_iter().zip(&card.figures) {
        for (source, figures) in sources {
            let _ = write!(
                text,
                "\n### {source}: {} {}\n\n{}",
                figures.scans,
                form.title(),
                table(figures)
            );
            text.push_str(&groups(figures));
            text.push_str(&patients(figures));
        }
    }
    text.push_str(NESTED);
    text.push_str(&overview(&card.nested));
    text.push_str(&trials(&card.trials));
    text.push_str(&operating_points(&card.few));
    text.push_str(DOUBT);
    text.push_str(&phantoms(card.phantoms));
    text.push_str(&card.story.cross_validation);
    text.push_str(LIMITS);
    text
}

fn identity(card: &Card) -> String {
    let Manifest { file, bytes, sha256, facts } = card.manifest;
    let [width, depths] = [facts.design.width.to_string(), format!("{:?}", facts.design.depths)];
    let channels = match facts.design.neighbours {
        true => "a slice with the ones before and after it",
        false => "one slice",
    };
    let modalities: Vec<&str> =
        facts.model.modalities.iter().map(|modality| modality.term()).collect();
    let mut text = format!(
        "# {} {}

Finds tumours in head MRI: in FLAIR and in contrast-enhanced T1, in volumes and in slices that come alone.

| | |
|---|---|
| weights | `{file}`, {bytes} bytes, int8 per output channel |
| SHA-256 | `{sha256}` |
| network | U-Net with a ResNet-50 encoder (width {width}, bottlenecks {depths}), trained on {side} x {side} pixels, sees {channels}, one logit; one network for both kinds of image |
| preprocessing | `{}` |
| modalities | {} |
| kinds that it classifies | {} |
",
        facts.model.name,
        facts.model.version,
        facts.model.preprocessing,
        modalities.join(", "),
        classes(facts),
        side = facts.side,
    );
    text.push_str(&readings(&facts.model.readings));
    text
}

fn classes(facts: &WeightsFacts) -> String {
    if facts.model.classes.is_empty() {
        return "none".into();
    }
    let kinds: Vec<&str> = facts.model.classes.iter().map(|kind| kind.title()).collect();
    format!(
        "{}: by a linear layer on the averaged features of the bottleneck, where the DICOM header does not say it; believed \
         from a probability of {} on",
        kinds.join(", "),
        facts.model.readings.sure_from
    )
}

const FIGURES: &str = "
## Figures

On the validation patients, with the shipped (quantised) weights, each scan read as the service reads it where no header tells its kind. \
They were not learned from, but network inputs, cuts, calibrations and the expected Dice were chosen on them: the section after this one judges \
each by what was chosen on others. Main findings count, lesser ones do not; what changes when they do is said. Intervals are 95 %: \
Wilson for rates, bootstrap over patients for Dice.
";

const NESTED: &str = "
## Judged by what was chosen on others

The same patients in 15 groups: of each group, network input, calibration, cut, main region and expected Dice were chosen on the others.

";

/// How many false alarms it costs to miss few tumours.
fn operating_points(few: &BTreeMap<(String, &'static str), [Rate; 2]>) -> String {
    let mut text = "
## False alarms where few tumours are missed

Where at most 5 % of the slices with a tumour were to be missed, the cut chosen on other patients:

"
    .to_owned();
    for ((source, form), [far, frr]) in few {
        let _ =
            writeln!(text, "- `{source}`, {form}: FAR {} at FRR {}", percent(*far), percent(*frr));
    }
    text
}

const DOUBT: &str = "
## Doubt

A calibration is a line through the logits, fitted for each kind and form. The calibration errors above are over the pixels that are not \
ruled out (probability at least 0.01), and for each scan with a finding a Dice is predicted, with an interval that is to hold nine times in \
ten: both are of patients that were not used for it.

![what was called against what was observed](reliability.svg)
";

fn training(settings: &Settings, state: &State) -> Result<String> {
    Ok(format!(
        "
## Training

From {}; {} generated phantoms were mixed in, {} % of what was shown; the sources had equal parts of the rest. {} views of slices in {:.0} minutes (asked: {}), {} at a time in {} shares, growing from {} to {} pixels a side; \
AdamW, learning rate up to {}, weight decay {}; cross-entropy plus Dice, half of it over all slices and half for each slice with \
a tumour; weights averaged over steps, their statistics measured anew at the end. Patients of volumes are drawn before their \
slices, and small tumours more often. Examples are turned, zoomed and bent; some are relit (gamma, contrast, uneven light), \
blurred, coarsened or made noisy; some tumours are faded, given a dark core, or pasted in from another patient; less so at the end. \
A part of the slices of volumes is shown as if each had come alone.
",
        start(settings)?,
        settings.phantoms,
        100.0 * PHANTOM_PART,
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
        facts.model.name, facts.model.version
    ))
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
