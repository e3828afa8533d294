//! How well a model does on labelled patients.

mod figures;
mod phantoms;
mod plot;
mod reliability;
mod statistics;
mod worst;

use std::time::Instant;

use domain::Result;
use imaging::{
    Findings, Framed, Judgement, Look, Opinion, Passport, Placement, Reading, Role, Shape, Sight,
    Told, Volume, restored,
};

pub use figures::{Case, Evaluation, Group, GroupedBy, KindsTold, Outcome, WithLesser};
pub use phantoms::{Measured, measure_phantoms};
pub use plot::plot;
pub use reliability::{Reliability, Stretch, reliability_plot};
pub use statistics::{Rate, bootstrap, mean, median};
pub use worst::Worst;

use crate::Segmenter;
use crate::dataset::{Entry, Labelled, Patient};

/// Pixels in both masks, in the one found, and in the true one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// In both.
    pub overlap: usize,
    /// In the mask that was found.
    pub found: usize,
    /// In the true mask.
    pub truth: usize,
}

/// One scan as the model saw it.
#[derive(Clone)]
pub struct Seen {
    /// Slices, rows and columns of the scan's own grid.
    pub shape: Shape,
    /// How it was looked at.
    pub look: Look,
    /// What kind of image it was taken for.
    pub told: Told,
    /// Of the scan's own voxels, as the network gives them: not calibrated.
    pub probabilities: Vec<f32>,
    /// One for each slice.
    pub placements: Vec<Placement>,
    /// 1 where there is tumour, else 0; the order of the probabilities.
    pub truth: Vec<u8>,
    /// Milliseconds from voxels to probabilities, without reading files.
    pub ms: f64,
}

/// What a scan came to.
pub struct Judged {
    /// What figures are counted from.
    pub outcome: Outcome,
    /// What was compared, and what the service says besides.
    pub judgement: Judgement,
}

impl Counts {
    /// 2 * overlap / (found + truth); 1 where both are empty.
    pub fn dice(self) -> f64 {
        match self.found + self.truth {
            0 => 1.0,
            both => 2.0 * self.overlap as f64 / both as f64,
        }
    }

    /// Of both together.
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            overlap: self.overlap + other.overlap,
            found: self.found + other.found,
            truth: self.truth + other.truth,
        }
    }
}

/// Slices that the model is shown at once.
const SHOWN: usize = 16;

/// Shows a scan to the model, exactly as the service does: once more where what it is taken for is looked at otherwise.
pub fn look(segmenter: &mut Segmenter, labelled: &Labelled) -> Result<Seen> {
    let Labelled { volume, .. } = labelled;
    let (readings, slices) = (segmenter.passport().readings.clone(), volume.shape.slices);
    let first = readings.of(volume.kind, slices).look;
    let seen = look_in(segmenter, labelled, first)?;
    let then = readings.of(seen.told.kind, slices).look;
    if then == first {
        return Ok(seen);
    }
    let again = look_in(segmenter, labelled, then)?;
    Ok(Seen { told: seen.told, ms: seen.ms + again.ms, ..again })
}

/// Shows a scan to the model in that look.
pub fn look_in(segmenter: &mut Segmenter, labelled: &Labelled, look: Look) -> Result<Seen> {
    let Labelled { volume, truth } = labelled;
    let framed = Framed::new(volume, segmenter.passport().preprocessing()?)?;
    let began = Instant::now();
    let (mut sights, mut placements) = (Vec::new(), Vec::new());
    let slices: Vec<usize> = (0..volume.shape.slices).collect();
    for shown in slices.chunks(SHOWN) {
        let squares = shown.iter().map(|slice| framed.slice(*slice, look.side));
        let squares = squares.collect::<Result<Vec<_>>>()?;
        sights.extend(segmenter.look(&squares, look.mirrored)?);
        placements.extend(squares.iter().map(|square| square.placement));
    }
    let told = told(segmenter.passport(), volume, &sights);
    let probabilities = restored(&placements, &sights);
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    let (shape, truth) = (volume.shape, truth.clone());
    Ok(Seen { shape, look, told, probabilities, placements, truth, ms })
}

fn told(passport: &Passport, volume: &Volume, sights: &[Sight]) -> Told {
    let votes = sights.iter().map(|sight| sight.kinds.as_slice());
    passport.readings.told(volume.kind, Opinion::of(&passport.tells, votes))
}

/// Decides what in a scan is a finding, exactly as the service does, and compares it with the truth.
pub fn judge(passport: &Passport, seen: &Seen) -> Result<Judged> {
    judge_as(passport.readings.of(seen.told.kind, seen.shape.slices), seen)
}

/// The same by that reading.
pub fn judge_as(reading: &Reading, seen: &Seen) -> Result<Judged> {
    let began = Instant::now();
    let probabilities = seen.probabilities.clone();
    let judgement = reading.judge(probabilities, seen.shape, None, &seen.placements)?;
    let ms = seen.ms + began.elapsed().as_secs_f64() * 1000.0;
    let outcome = Outcome {
        slices: counted(seen, &judgement.findings, |label| label == Role::Main.label()),
        marked: counted(seen, &judgement.findings, |label| label != 0),
        slice_pixels: seen.shape.slice_len(),
        told: seen.told.kind,
        expected: judgement.expected_dice,
        ms,
    };
    Ok(Judged { outcome, judgement })
}

/// Of each slice, where the mask has a label that counts.
fn counted(seen: &Seen, findings: &Findings, counts: impl Fn(u8) -> bool) -> Vec<Counts> {
    let length = seen.shape.slice_len();
    let slices = findings.mask.chunks(length).zip(seen.truth.chunks(length));
    let slice = |(mask, truth): (&[u8], &[u8])| {
        let mut slice = Counts::default();
        for (label, truth) in mask.iter().zip(truth) {
            let (found, truth) = (usize::from(counts(*label)), usize::from(*truth));
            slice.found += found;
            slice.truth += truth;
            slice.overlap += found & truth;
        }
        slice
    };
    slices.map(slice).collect()
}

/// Judges a model by all scans of `patients`, or by each slice as if it had come alone; `judged` hears of each scan.
pub fn evaluate(
    segmenter: &mut Segmenter,
    patients: &[Patient],
    alone: bool,
    mut judged: impl FnMut(&Patient, &[Entry], &Seen, &Judged) -> Result<()>,
) -> Result<Evaluation> {
    let passport = segmenter.passport().clone();
    let mut reliability = Reliability::default();
    let mut cases = Vec::new();
    for patient in patients {
        let mut case = Case::new(patient);
        let scans = if alone { patient.slices.chunks(1).collect() } else { patient.scans() };
        for scan in scans {
            let seen = look(segmenter, &Labelled::load(scan)?)?;
            let came_to = judge(&passport, &seen)?;
            judged(patient, scan, &seen, &came_to)?;
            reliability.add(&came_to.judgement.probabilities, &seen.truth);
            case.scans.push(came_to.outcome);
        }
        cases.push(case);
    }
    Ok(Evaluation::new(&passport, &cases, &reliability))
}

#[cfg(test)]
mod tests {
    use imaging::{Cut, Readings};

    use super::*;

    pub(super) fn passport() -> Passport {
        let cut = Cut { threshold: 0.5, minimum_pixels: 1 };
        Passport {
            name: "test".into(),
            version: "1".into(),
            sha256: String::new(),
            preprocessing: imaging::Preprocessing::NEWEST.name().into(),
            modalities: vec![],
            device: "cpu".into(),
            tells: vec![],
            readings: Readings::alike(Reading::plain(32, cut)),
        }
    }

    #[test]
    fn a_scan_is_compared_pixel_by_pixel_after_specks_are_gone() {
        let placement = Placement {
            rows: 2,
            columns: 4,
            side: 4,
            top: -0.5,
            left: -0.5,
            extent: 4.0,
            aspect: 1.0,
        };
        let seen = Seen {
            shape: Shape { slices: 2, rows: 2, columns: 4 },
            look: Look { side: 4, mirrored: false },
            told: Told::default(),
            probabilities: vec![
                0.9, 0.8, 0.1, 0.0, 0.7, 0.1, 0.1, 0.6, // one region, and a speck
                0.9, 0.1, 0.1, 0.0, 0.1, 0.1, 0.1, 0.1, // more of the region above
            ],
            placements: vec![placement; 2],
            truth: vec![1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
            ms: 1.0,
        };
        let reading = Reading::plain(4, Cut { threshold: 0.5, minimum_pixels: 2 });
        let judged = judge_as(&reading, &seen).unwrap();
        assert_eq!(judged.judgement.findings.mask[..8], [1, 1, 0, 0, 1, 0, 0, 0]);
        let first = Counts { overlap: 2, found: 3, truth: 3 };
        let slices = [first, Counts { overlap: 1, found: 1, truth: 2 }];
        assert_eq!(
            (&judged.outcome.slices, &judged.outcome.marked),
            (&slices.to_vec(), &slices.to_vec())
        );
        // What lies apart from the largest region is marked, and not counted.
        let cut = Cut { threshold: 0.5, minimum_pixels: 1 };
        let reading = Reading { grows_from: Some(0.3), ..Reading::plain(4, cut) };
        let judged = judge_as(&reading, &seen).unwrap();
        assert_eq!(judged.judgement.findings.mask[..8], [1, 1, 0, 0, 1, 0, 0, 2]);
        assert_eq!(judged.outcome.slices, slices);
        assert_eq!(judged.outcome.marked[0], Counts { overlap: 2, found: 4, truth: 3 });
    }
}
