//! What a network sees in labelled patients, look by look: what everything after training is chosen on.

use std::slice::from_ref;

use domain::Result;
use imaging::{ImageKind, Look};

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

/// What was seen of patients in one look.
pub struct Sightings {
    /// How everything here was looked at.
    pub look: Look,
    /// Of each patient: the volumes; and the slices that came alone, those of volumes shown alone among them.
    seen: [Vec<Vec<ScanPrediction>>; 2],
    /// The pixels of each patient, not calibrated.
    pixels: [Vec<Reliability>; 2],
}

impl Sightings {
    /// Shows all scans of these patients to the model.
    pub fn new(segmenter: &mut Segmenter, look: Look, patients: &[Patient]) -> Result<Sightings> {
        let mut seen = [Vec::new(), Vec::new()];
        for patient in patients {
            let (mut volumes, mut slices) = (Vec::new(), Vec::new());
            for scan in patient.scans() {
                if scan.len() > 1 {
                    volumes.push(predict_with(segmenter, &Labelled::load(scan)?, look)?);
                }
                for slice in scan {
                    slices.push(predict_with(segmenter, &Labelled::load(from_ref(slice))?, look)?);
                }
            }
            seen[0].push(volumes);
            seen[1].push(slices);
        }
        let pixels = seen.each_ref().map(|form| form.iter().map(|scans| pixels(scans)).collect());
        Ok(Sightings { look, seen, pixels })
    }

    /// The scans of the patient at `index`.
    pub fn of(&self, form: Form, index: usize) -> &[ScanPrediction] {
        &self.seen[form as usize][index]
    }

    /// The pixels of the patient at `index`.
    pub fn pixels(&self, form: Form, index: usize) -> &Reliability {
        &self.pixels[form as usize][index]
    }

    /// These patients and, after them, those of `other`, seen in the same look.
    pub fn append(&mut self, other: Sightings) {
        for (form, (seen, pixels)) in other.seen.into_iter().zip(other.pixels).enumerate() {
            self.seen[form].extend(seen);
            self.pixels[form].extend(pixels);
        }
    }
}

fn pixels(scans: &[ScanPrediction]) -> Reliability {
    let mut pixels = Reliability::default();
    scans.iter().for_each(|seen| pixels.add(&seen.probabilities, &seen.truth));
    pixels
}

/// The looks that are tried with a network that was trained on squares of that side, the cheapest first: as large as
/// those, one step larger, and as large in the mirror too where that is wanted.
pub fn looks(side: usize, mirrored: bool) -> Vec<Look> {
    let straight = |side: usize| Look { side, mirrored: false };
    let mut looks = vec![straight(side), straight(side + SIDE_MULTIPLE)];
    if mirrored {
        looks.push(Look { side, mirrored: true });
    }
    looks.sort_by_key(|look| cost(*look));
    looks
}

/// What a look costs, in pixels.
pub fn cost(look: Look) -> usize {
    look.side * look.side * if look.mirrored { 2 } else { 1 }
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
impl Sightings {
    /// What was seen of patients who each have these slices, and no volume.
    pub fn of_slices(look: Look, patients: Vec<Vec<ScanPrediction>>) -> Sightings {
        let seen = [patients.iter().map(|_| Vec::new()).collect(), patients];
        let pixels = seen.each_ref().map(|form| form.iter().map(|scans| pixels(scans)).collect());
        Sightings { look, seen, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_by_what_they_cost_and_the_mirror_costs_twice() {
        let sides = |side: usize| {
            let looks = looks(side, true).into_iter();
            looks.map(|look| (look.side, look.mirrored)).collect::<Vec<_>>()
        };
        // 65,536 pixels, 82,944 and 131,072.
        assert_eq!(sides(256), [(256, false), (288, false), (256, true)]);
        // 1,024 pixels, 2,048 and 4,096.
        assert_eq!(sides(32), [(32, false), (32, true), (64, false)]);
        assert!(looks(256, false).iter().all(|look| !look.mirrored));
    }

    #[test]
    fn kinds_are_named_once_and_what_is_unknown_is_none() {
        let patient = |kind: ImageKind| Patient { kind, ..Patient::default() };
        let kinds = [ImageKind::T1Contrast, ImageKind::Unknown, ImageKind::Flair];
        let patients: Vec<Patient> = kinds.into_iter().cycle().take(7).map(patient).collect();
        assert_eq!(kinds_of(&patients), [ImageKind::Flair, ImageKind::T1Contrast]);
    }
}
