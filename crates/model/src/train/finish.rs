use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use domain::Result;
use imaging::{Framed, ImageKind, ModelFacts, ModelInfo, NetworkInput, Reading, Readings};

use super::again::Again;
use super::card::{CARD_FILE, Card, FRR_MAX, RELIABILITY_FILE, Story, Trial, card};
use super::choice::{Allowed, Choice, KindBy, Nested, UNTRIED, merged};
use super::embedded::Embedded;
use super::predictions::{Form, Predictions, inputs, kinds_of};
use super::reference::{REFERENCE_FILE, Said, filled, reference};
use super::report;
use super::state::State;
use super::{MODALITIES, Settings};
use crate::dataset::{self, Labelled, Patient, Split};
use crate::evaluate::{
    Evaluation, GOLDEN_FILE, Rate, Worst, golden_mask, measure_phantoms, reliability_plot,
};
use crate::kind_head::KindHead;
use crate::network::Network;
use crate::tracking::Tracking;
use crate::weights::{Quantised, Weights, WeightsFacts, replace};
use crate::{Device, Segmenter};

/// Where the run's folder keeps pictures of the worst validation scans.
pub const WORST_FOLDER: &str = "worst";

/// Weights that are to become a model, and all that this depends on.
struct Making<'a> {
    /// Where pictures of patients and unfinished models go.
    run: &'a Path,
    /// Where the model goes.
    model: &'a Path,
    /// What is known of it before anybody has measured what it does.
    facts: WeightsFacts,
    units: Quantised,
    split: &'a Split,
    /// Whether test-time augmentation may be chosen.
    mirrored: bool,
    judged_phantoms: u64,
    story: Story,
    tracking: &'a Tracking,
}

/// Makes a model of the averaged weights: quantises them, fits what classifies kinds of image, and chooses on the
/// validation patients how each kind is given to the network, its calibration and its cut, and how far its masks can be trusted;
/// and writes weights, manifest, card, reliability plot and drift reference to the model's folder, and pictures of the
/// worst to the run's.
///
/// What is evaluated are the quantised weights, the very ones that ship.
pub fn finish(
    settings: &Settings,
    device: Device,
    split: &Split,
    state: &State,
    data_version: &str,
) -> Result<PathBuf> {
    let network = Network::new(settings.design);
    let units = state.average.by_unit(&network, false).folded();
    make(
        Making {
            run: &settings.run,
            model: &settings.model,
            facts: facts(settings, data_version),
            units: Quantised::new(&network, &units),
            split,
            mirrored: settings.mirrored,
            judged_phantoms: settings.judged_phantoms,
            story: Story::of_run(settings, split, state, data_version)?,
            tracking: &settings.tracking,
        },
        device,
    )
}

/// Does for a finished model, or for weights that were left unjudged, what [`finish`] does for new ones, without a step of
/// training. Answers where the card is.
///
/// `Invalid` where its card says that it was trained with other data or another split: it would be evaluated on patients
/// that it learned from.
pub fn finish_again(again: &Again, device: Device) -> Result<PathBuf> {
    let split = Split::of_manifests(&again.manifests, again.validation, again.seed)?;
    let data_version = dataset::version_of(&again.manifests)?;
    let story = story(again, &split, &data_version)?;
    let facts = Weights::read(&again.from)?.facts;
    let unchosen = Reading::plain(facts.side, UNTRIED);
    let model = ModelFacts {
        version: again.version.clone(),
        // As the card tells it: that of what the weights were learned from.
        data_version: story.data_version().unwrap_or(&facts.model.data_version).to_owned(),
        classes: Vec::new(),
        readings: Readings::alike(unchosen),
        ..facts.model
    };
    let facts = WeightsFacts { model, ..facts };
    for folder in [&again.run, &again.model] {
        fs::create_dir_all(folder).map_err(|error| {
            domain::ErrorKind::Unavailable
                .error(format!("cannot make {}", folder.display()))
                .because(error)
        })?;
    }
    let making = Making {
        run: &again.run,
        model: &again.model,
        facts,
        units: Weights::quantised(&again.from)?,
        split: &split,
        mirrored: again.mirrored,
        judged_phantoms: again.judged_phantoms,
        story,
        tracking: &again.tracking,
    };
    again.tracking.begin(report::of_finishing(again, &split, &data_version));
    again.tracking.over(|| make(making, device))
}

/// Fills in, in a finished model's reference, where the scans that it comes from lie in its network's bottleneck, and what it does not
/// tell yet of how they look and were taken; all else of the model stays as it is. Answers where the reference is.
///
/// `Invalid` as [`finish_again`], and where the model has no reference.
pub fn refer_again(again: &Again, device: Device) -> Result<PathBuf> {
    let split = Split::of_manifests(&again.manifests, again.validation, again.seed)?;
    story(again, &split, &dataset::version_of(&again.manifests)?)?;
    let path = again.from.join(REFERENCE_FILE);
    let reference = fs::read_to_string(&path).map_err(|error| {
        let message = format!("cannot read {}: `medseg finish` makes one", path.display());
        domain::ErrorKind::Invalid.error(message).because(error)
    })?;
    let embedding = Embedded::new(&mut Segmenter::load(&again.from, device)?, &split)?;
    replace(&path, filled(&reference, &split, &embedding)?.as_bytes())?;
    Ok(path)
}

/// What the model's card tells; of weights that nobody has evaluated yet, what is known without one.
///
/// `Invalid` where it tells of other data or another split.
fn story(again: &Again, split: &Split, data_version: &str) -> Result<Story> {
    let path = again.from.join(CARD_FILE);
    match fs::read_to_string(&path) {
        Ok(card) => Story::from_card(&card, again),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Story::without_card(again, split, data_version)
        }
        Err(error) => {
            let message = format!("cannot read {}", path.display());
            Err(domain::ErrorKind::Unavailable.error(message).because(error))
        }
    }
}

/// What is known of a model before anybody has measured what it does.
pub fn facts(settings: &Settings, data_version: &str) -> WeightsFacts {
    let model = ModelFacts {
        name: settings.name.clone(),
        version: settings.version.clone(),
        data_version: data_version.to_owned(),
        preprocessing: imaging::Preprocessing::NEWEST.name().to_owned(),
        modalities: MODALITIES.to_vec(),
        classes: Vec::new(),
        readings: Readings::alike(Reading::plain(settings.side, UNTRIED)),
    };
    WeightsFacts { model, design: settings.design, side: settings.side }
}

fn make(making: Making, device: Device) -> Result<PathBuf> {
    let Making { run, model, facts, units, split, .. } = &making;
    Weights::write(run, facts, units, None)?;
    let classes = kinds_of(&split.training);
    let head = kind_head(&mut Segmenter::load(run, device)?, &split.training, &classes)?;
    let mut facts = facts.clone();
    facts.model.classes = head.as_ref().map_or(Vec::new(), |_| classes);
    Weights::write(run, &facts, units, head.as_ref())?;

    let mut segmenter = Segmenter::load(run, device)?;
    let patients = &split.validation;
    let predictions = inputs(facts.side, making.mirrored)
        .into_iter()
        .map(|input| Predictions::new(&mut segmenter, input, patients))
        .collect::<Result<Vec<_>>>()?;
    let kind_by = if head.is_some() { KindBy::Model } else { KindBy::Data };
    let choice = Choice::new(patients, predictions, kind_by, facts.side)?;
    facts.model.readings = choice.readings(&choice.everything(), &choice.all())?;
    let manifest = Weights::write(model, &facts, units, head.as_ref())?;

    let mut segmenter = Segmenter::load(model, device)?;
    let model_info = segmenter.model_info().clone();
    replace(&model.join(GOLDEN_FILE), &golden_mask(&mut segmenter)?)?;
    let phantoms = measure_phantoms(&mut segmenter, making.judged_phantoms)?;
    let readings = &facts.model.readings;
    let figures_of = |form: Form| -> Result<Vec<(String, Evaluation)>> {
        Ok(choice.outcome(readings, form, &choice.all())?.figures(&model_info))
    };
    let groups = choice.groups();
    let nested = choice.nested(&choice.everything(), &groups)?;
    let forms = [figures_of(Form::Volume)?, figures_of(Form::Slice)?];
    report::figures(making.tracking, &forms);
    let text = card(&Card {
        story: &making.story,
        manifest: &manifest,
        figures: forms,
        nested: figures(&nested, &model_info),
        trials: trials(&choice, &groups, &model_info, &nested)?,
        few: few(&choice, &groups, &model_info, &nested),
        phantoms: &phantoms,
    });
    let card = model.join(CARD_FILE);
    replace(&card, text.as_bytes())?;
    let pixels = nested.forms.iter().flat_map(|outcome| outcome.pixels.values());
    let title = format!("{} {}: validation pixels", facts.model.name, facts.model.version);
    let plot = reliability_plot(&merged(pixels).curve(), &title);
    replace(&model.join(RELIABILITY_FILE), plot.as_bytes())?;
    write_worst(&making, &choice, readings)?;
    let mut said = Vec::new();
    choice.each(readings, Form::Slice, |_, _, scored| {
        let mask_fraction = scored.outcome.mask_fraction();
        said.push(Said { mask_fraction, confidence: scored.assessment.confidence });
        Ok(())
    })?;
    let embedding = Embedded::new(&mut segmenter, split)?;
    replace(&model.join(REFERENCE_FILE), reference(split, &said, embedding)?.as_bytes())?;
    report::model(making.tracking, model)?;
    making.tracking.made(&facts.model.name, &facts.model.version);
    Ok(card)
}

/// Slices that the head is shown at once, and about how many of each kind it is fitted to: evenly drawn, they say as much
/// as all.
const SHOWN: usize = 16;
const SLICES_OF_KIND: usize = 400;

/// Fits what classifies these kinds to the slices of patients that were learned from, each shown alone: no kind is then
/// recognised by how its scans happened to come. None with fewer than two kinds.
fn kind_head(
    segmenter: &mut Segmenter,
    training: &[Patient],
    kinds: &[ImageKind],
) -> Result<Option<KindHead>> {
    if kinds.len() < 2 {
        return Ok(None);
    }
    let side = segmenter.model_info().facts.readings.general.slice.input.side;
    let preprocessing = segmenter.model_info().preprocessing()?;
    let mut images = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let slices = training.iter().filter(|patient| patient.kind == *kind);
        let slices: Vec<_> = slices.flat_map(|patient| &patient.slices).collect();
        let step = slices.len().div_ceil(SLICES_OF_KIND).max(1);
        let slices: Vec<_> = slices.into_iter().step_by(step).collect();
        for shown in slices.chunks(SHOWN) {
            let tile = |entry: &&dataset::Entry| {
                let Labelled { volume, .. } = Labelled::load(from_ref(*entry))?;
                Framed::new(&volume, preprocessing)?.slice(0, side)
            };
            let tiles = shown.iter().map(tile).collect::<Result<Vec<_>>>()?;
            images.extend(segmenter.features(&tiles)?.into_iter().map(|of| (of, number)));
        }
    }
    Ok(KindHead::fit(&images, kinds.len()))
}

/// The figures of each source, of volumes and of slices that came alone.
pub fn figures(nested: &Nested, model_info: &ModelInfo) -> [Vec<(String, Evaluation)>; 2] {
    nested.forms.each_ref().map(|outcome| outcome.figures(model_info))
}

/// What each step of choosing brings: every patient assessed by what was chosen on others. The last step allows everything,
/// which has been `nested` already.
pub fn trials(
    choice: &Choice,
    groups: &[usize],
    model_info: &ModelInfo,
    nested: &Nested,
) -> Result<Vec<Trial>> {
    let Allowed { inputs, .. } = choice.everything();
    // The ways before there were kinds.
    let one: Vec<_> = inputs.into_iter().filter(|input| input.side == choice.side()).collect();
    let one: Vec<_> = one.into_iter().max_by_key(|input| input.mirrored).into_iter().collect();
    let steps = [
        ("one way for all", false, false, one.clone()),
        ("a calibration and a cut for each kind", true, false, one.clone()),
        ("in volumes, what is apart from the main finding is lesser", true, true, one),
    ];
    let of = |name: &str, nested: &Nested| Trial {
        name: name.to_owned(),
        figures: figures(nested, model_info),
    };
    let trial = |(name, kinds, grows, inputs): (&str, bool, bool, Vec<NetworkInput>)| {
        Ok(of(name, &choice.nested(&Allowed { kinds, grows, inputs }, groups)?))
    };
    let mut trials = steps.into_iter().map(trial).collect::<Result<Vec<_>>>()?;
    trials.push(of("a network input for each kind", nested));
    Ok(trials)
}

/// FAR and FRR where few may be missed, of each form and source whose slices have both.
pub fn few(
    choice: &Choice,
    groups: &[usize],
    model_info: &ModelInfo,
    nested: &Nested,
) -> BTreeMap<(String, &'static str), [Rate; 2]> {
    let mut few = BTreeMap::new();
    for (form, outcome) in Form::ALL.into_iter().zip(&nested.forms) {
        for (source, figures) in outcome.figures(model_info) {
            if figures.far.of > 0 && figures.frr.of > 0 {
                let rates = choice.missing_few(form, &source, groups, FRR_MAX);
                few.insert((source, form.title()), rates);
            }
        }
    }
    few
}

fn write_worst(making: &Making, choice: &Choice, readings: &Readings) -> Result<()> {
    let mut worst = BTreeMap::<String, Worst>::new();
    for form in Form::ALL {
        choice.each(readings, form, |patient, index, scored| {
            let scan = match form {
                Form::Volume => patient.scans()[index],
                // Slices of volumes are in their volume already.
                Form::Slice if patient.scans()[0].len() > 1 => return Ok(()),
                Form::Slice => from_ref(&patient.slices[index]),
            };
            worst.entry(patient.source.clone()).or_default().add(patient, scan, scored);
            Ok(())
        })?;
    }
    worst.iter().try_for_each(|(source, worst)| {
        let written = worst.write(&making.run.join(WORST_FOLDER).join(source))?;
        making.tracking.pictures(source, &written)
    })
}
