//! Where the scans that a model comes from lie in its network's bottleneck: what drift compares those of new scans with.

use domain::{ErrorKind, Result};
use imaging::{EMBEDDING, Framed, ImageKind, embedding};
use serde::Serialize;

use super::predictions::{Form, kinds_of};
use crate::Segmenter;
use crate::dataset::{Entry, Labelled, Patient, Split};

/// So many scans of a kind and form tell where they lie.
const SCANS_MAX: usize = 200;
/// Drift concludes nothing from fewer.
const SCANS_MIN: usize = 30;
/// Slices that the network is shown at once.
const SHOWN: usize = 16;

/// The part of a reference that tells of embeddings.
#[derive(Debug, Serialize)]
pub struct Embedded {
    /// The digest of the weights that have made them.
    weights: String,
    /// How they were made.
    projection: &'static str,
    scans: Vec<EmbeddedScan>,
}

/// A volume, or a slice that came alone.
#[derive(Debug, Serialize)]
struct EmbeddedScan {
    image_kind: &'static str,
    slices: usize,
    /// To as many digits as the network has.
    values: Vec<f32>,
}

impl Embedded {
    /// Shows scans of both sides of the split to the model, each in the way in which it reads such scans.
    pub fn new(segmenter: &mut Segmenter, split: &Split) -> Result<Embedded> {
        let mut kinds = kinds_of(split.training.iter().chain(&split.validation));
        kinds.push(ImageKind::Unknown);
        let mut scans = Vec::new();
        for kind in kinds {
            for form in Form::ALL {
                for scan in drawn(split, kind, form) {
                    scans.push(embedded(segmenter, scan, kind)?);
                }
            }
        }
        let weights = segmenter.model_info().sha256.clone();
        Ok(Embedded { weights, projection: EMBEDDING, scans })
    }
}

/// The scans that stand for all of that kind and form: of patients that the network has not learned from, as it knows the others
/// better; or of all, where those are too few.
fn drawn(split: &Split, kind: ImageKind, form: Form) -> Vec<&[Entry]> {
    let mut scans = scans_of(&split.validation, kind, form);
    if scans.len() < SCANS_MIN {
        scans.extend(scans_of(&split.training, kind, form));
    }
    let taken = scans.len().min(SCANS_MAX);
    (0..taken).map(|place| scans[place * scans.len() / taken]).collect()
}

fn scans_of(patients: &[Patient], kind: ImageKind, form: Form) -> Vec<&[Entry]> {
    let of_kind = patients.iter().filter(|patient| patient.kind == kind);
    let scans = of_kind.flat_map(|patient| patient.scans());
    match form {
        Form::Volume => scans.filter(|scan| scan.len() > 1).collect(),
        Form::Slice => scans.flat_map(|scan| scan.chunks(1)).collect(),
    }
}

fn embedded(segmenter: &mut Segmenter, scan: &[Entry], kind: ImageKind) -> Result<EmbeddedScan> {
    let Labelled { volume, .. } = Labelled::load(scan)?;
    let slices = volume.shape.slices;
    let input = segmenter.model_info().facts.readings.of(kind, slices).input;
    let framed = Framed::new(&volume, segmenter.model_info().preprocessing()?)?;
    let mut seen = Vec::with_capacity(slices);
    for first in (0..slices).step_by(SHOWN) {
        let shown = first..slices.min(first + SHOWN);
        let tiles =
            shown.map(|slice| framed.slice(slice, input.side)).collect::<Result<Vec<_>>>()?;
        seen.extend(segmenter.predict(&tiles, input.mirrored)?);
    }
    let values = embedding(&seen).ok_or_else(|| {
        let first = scan.first().map(|entry| entry.image.display().to_string());
        let message = format!("the network knows nothing of {}", first.unwrap_or_default());
        ErrorKind::Internal.error(message)
    })?;
    let values = values.into_iter().map(|figure| figure as f32).collect();
    Ok(EmbeddedScan { image_kind: kind.name(), slices, values })
}
