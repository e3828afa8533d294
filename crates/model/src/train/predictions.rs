//! A network's predictions for labelled patients, input by input: what everything after training is chosen on.

use std::slice::from_ref;

use domain::Result;
use imaging::{ImageKind, NetworkInput};

use crate::Segmenter;
use crate::dataset::{Labelled, Patient};
use crate::evaluate::{Reliability, ScanPrediction, predict_with};
use crate::network::SIDE_MULTIPLE;

/// How a scan comes: as a volume, or as a slice alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Slices of one series, each with its neighbours.
    Volume,
    /// A slice that stands in for its neighbours.
    Slice,
}

impl Form {
    /// In the order in which figures are kept by form.
    pub const ALL: [Form; 2] = [Form::Volume, Form::Slice];

    /// As cards call it.
    pub fn title(self) -> &'static str {
        match self {
            Form::Volume => "volumes",
            Form::Slice => "slices alone",
        }
    }
}

/// What was predicted for patients with one input.
pub struct Predictions {
    /// How every scan was given to the network.
    pub input: NetworkInput,
    /// Of each patient: the volumes; and the slices that came alone, those of volumes shown alone among them.
    scans: [Vec<Vec<ScanPrediction>>; 2],
    /// The pixels of each patient, not calibrated.
    pixels: [Vec<Reliability>; 2],
}

impl Predictions {
    /// Shows all scans of these patients to the model.
    pub fn new(
        segmenter: &mut Segmenter,
        input: NetworkInput,
        patients: &[Patient],
    ) -> Result<Predictions> {
        let mut scans = [Vec::new(), Vec::new()];
        for patient in patients {
            let (mut volumes, mut slices) = (Vec::new(), Vec::new());
            for scan in patient.scans() {
                if scan.len() > 1 {
                    volumes.push(predict_with(segmenter, &Labelled::load(scan)?, input)?);
                }
                for slice in scan {
                    slices.push(predict_with(segmenter, &Labelled::load(from_ref(slice))?, input)?);
                }
            }
            scans[0].push(volumes);
            scans[1].push(slices);
        }
        let pixels =
            scans.each_ref().map(|form| form.iter().map(|of_patient| pixels(of_patient)).collect());
        Ok(Predictions { input, scans, pixels })
    }

    /// The scans of the patient at `index`.
    pub fn of(&self, form: Form, index: usize) -> &[ScanPrediction] {
        &self.scans[form as usize][index]
    }

    /// The pixels of the patient at `index`.
    pub fn pixels(&self, form: Form, index: usize) -> &Reliability {
        &self.pixels[form as usize][index]
    }

    /// These patients and, after them, those of `other`, predicted with the same input.
    pub fn append(&mut self, other: Predictions) {
        for (form, (scans, pixels)) in other.scans.into_iter().zip(other.pixels).enumerate() {
            self.scans[form].extend(scans);
            self.pixels[form].extend(pixels);
        }
    }
}

fn pixels(scans: &[ScanPrediction]) -> Reliability {
    let mut pixels = Reliability::default();
    scans.iter().for_each(|prediction| pixels.add(&prediction.probabilities, &prediction.truth));
    pixels
}

/// The inputs that are tried with a network that was trained on tiles of that side, the cheapest first: as large as
/// those, one step larger, and as large with test-time augmentation too where that is wanted.
pub fn inputs(side: usize, mirrored: bool) -> Vec<NetworkInput> {
    let straight = |side: usize| NetworkInput { side, mirrored: false };
    let mut inputs = vec![straight(side), straight(side + SIDE_MULTIPLE)];
    if mirrored {
        inputs.push(NetworkInput { side, mirrored: true });
    }
    inputs.sort_by_key(|input| cost(*input));
    inputs
}

/// What an input costs, in pixels.
pub fn cost(input: NetworkInput) -> usize {
    input.side * input.side * if input.mirrored { 2 } else { 1 }
}

/// The kinds of image among these patients, as far as they are known, in order.
pub fn kinds_of<'a>(patients: impl IntoIterator<Item = &'a Patient>) -> Vec<ImageKind> {
    let known = patients.into_iter().map(|patient| patient.kind);
    let mut kinds: Vec<ImageKind> = known.filter(|kind| *kind != ImageKind::Unknown).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[cfg(test)]
impl Predictions {
    /// What was predicted for patients who each have these slices, and no volume.
    pub fn of_slices(input: NetworkInput, patients: Vec<Vec<ScanPrediction>>) -> Predictions {
        let scans = [patients.iter().map(|_| Vec::new()).collect(), patients];
        let pixels =
            scans.each_ref().map(|form| form.iter().map(|of_patient| pixels(of_patient)).collect());
        Predictions { input, scans, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_by_what_they_cost_and_the_mirror_costs_twice() {
        let sides = |side: usize| {
            let inputs = inputs(side, true).into_iter();
            inputs.map(|input| (input.side, input.mirrored)).collect::<Vec<_>>()
        };
        // 65,536 pixels, 82,944 and 131,072.
        assert_eq!(sides(256), [(256, false), (288, false), (256, true)]);
        // 1,024 pixels, 2,048 and 4,096.
        assert_eq!(sides(32), [(32, false), (32, true), (64, false)]);
        assert!(inputs(256, false).iter().all(|input| !input.mirrored));
    }

    #[test]
    fn kinds_are_named_once_and_what_is_unknown_is_none() {
        let patient = |kind: ImageKind| Patient { kind, ..Patient::default() };
        let kinds = [ImageKind::T1Contrast, ImageKind::Unknown, ImageKind::Flair];
        let patients: Vec<Patient> = kinds.into_iter().cycle().take(7).map(patient).collect();
        assert_eq!(kinds_of(&patients), [ImageKind::Flair, ImageKind::T1Contrast]);
    }
}
