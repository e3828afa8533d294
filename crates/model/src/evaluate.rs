//! Evaluates a model on labelled patients.

mod figures;
mod gate;
mod phantoms;
mod plot;
mod reliability;
mod worst;

use std::time::Instant;

use domain::Result;
use imaging::{
    Assessment, ClassifiedKind, Findings, Framed, KindPrediction, ModelInfo, NetworkInput, Reading,
    Role, Shape, TilePlacement, TilePrediction, Volume, restored,
};

pub use domain::statistics::{Rate, bootstrap, mean, median};
pub use figures::{Case, Evaluation, Group, GroupedBy, KindAccuracy, Outcome, WithLesser};
pub use gate::{
    CaseFigures, GATE_SET, GOLDEN_FILE, GateFigures, KindFigures, gate_figures, golden_dice,
    golden_mask,
};
pub use phantoms::{Measured, measure_phantoms};
pub use plot::plot;
pub use reliability::{Reliability, ReliabilityBin, reliability_plot};
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

/// The model's prediction for one labelled scan.
#[derive(Clone)]
pub struct ScanPrediction {
    /// Slices, rows and columns of the scan's own grid.
    pub shape: Shape,
    /// How it was given to the network.
    pub input: NetworkInput,
    /// What kind of image it was taken for.
    pub classified: ClassifiedKind,
    /// Of the scan's own voxels, as the network gives them: not calibrated.
    pub probabilities: Vec<f32>,
    /// One for each slice.
    pub placements: Vec<TilePlacement>,
    /// 1 where there is tumour, else 0; the order of the probabilities.
    pub truth: Vec<u8>,
    /// Milliseconds from voxels to probabilities, without reading files.
    pub ms: f64,
}

/// The result of one scan and its score against the truth.
pub struct Scored {
    /// The counts that figures are computed from.
    pub outcome: Outcome,
    /// What was compared, and what the service says besides.
    pub assessment: Assessment,
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

/// The batch size, in slices.
const BATCH: usize = 16;

/// Predicts a scan exactly as the service does: a second time where the kind that the model predicts has another input.
pub fn predict(segmenter: &mut Segmenter, labelled: &Labelled) -> Result<ScanPrediction> {
    let Labelled { volume, .. } = labelled;
    let (readings, slices) = (segmenter.model_info().facts.readings.clone(), volume.shape.slices);
    let first = readings.of(volume.kind, slices).input;
    let prediction = predict_with(segmenter, labelled, first)?;
    let then = readings.of(prediction.classified.kind, slices).input;
    if then == first {
        return Ok(prediction);
    }
    let again = predict_with(segmenter, labelled, then)?;
    Ok(ScanPrediction { classified: prediction.classified, ms: prediction.ms + again.ms, ..again })
}

/// Predicts a scan with that input.
pub fn predict_with(
    segmenter: &mut Segmenter,
    labelled: &Labelled,
    input: NetworkInput,
) -> Result<ScanPrediction> {
    let Labelled { volume, truth } = labelled;
    let framed = Framed::new(volume, segmenter.model_info().preprocessing()?)?;
    let began = Instant::now();
    let (mut predictions, mut placements) = (Vec::new(), Vec::new());
    let slices: Vec<usize> = (0..volume.shape.slices).collect();
    for shown in slices.chunks(BATCH) {
        let tiles = shown.iter().map(|slice| framed.slice(*slice, input.side));
        let tiles = tiles.collect::<Result<Vec<_>>>()?;
        predictions.extend(segmenter.predict(&tiles, input.mirrored)?);
        placements.extend(tiles.iter().map(|tile| tile.placement));
    }
    let classified = classified(segmenter.model_info(), volume, &predictions);
    let probabilities = restored(&placements, &predictions);
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    let (shape, truth) = (volume.shape, truth.clone());
    Ok(ScanPrediction { shape, input, classified, probabilities, placements, truth, ms })
}

fn classified(
    model_info: &ModelInfo,
    volume: &Volume,
    predictions: &[TilePrediction],
) -> ClassifiedKind {
    let votes = predictions.iter().map(|prediction| prediction.kinds.as_slice());
    let facts = &model_info.facts;
    facts.readings.classify(volume.kind, KindPrediction::of(&facts.classes, votes))
}

/// Assesses a prediction exactly as the service does, and compares the findings with the truth.
pub fn score(model_info: &ModelInfo, prediction: &ScanPrediction) -> Result<Scored> {
    score_with(
        model_info.facts.readings.of(prediction.classified.kind, prediction.shape.slices),
        prediction,
    )
}

/// As [`score`], by that reading.
pub fn score_with(reading: &Reading, prediction: &ScanPrediction) -> Result<Scored> {
    let began = Instant::now();
    let probabilities = prediction.probabilities.clone();
    let assessment =
        reading.assess(probabilities, prediction.shape, None, &prediction.placements)?;
    let ms = prediction.ms + began.elapsed().as_secs_f64() * 1000.0;
    let outcome = Outcome {
        slices: counted(prediction, &assessment.findings, |label| label == Role::Main.label()),
        marked: counted(prediction, &assessment.findings, |label| label != 0),
        slice_pixels: prediction.shape.slice_len(),
        classified: prediction.classified.kind,
        expected: assessment.expected_dice,
        ms,
    };
    Ok(Scored { outcome, assessment })
}

/// Of each slice, where the mask has a label that counts.
fn counted(
    prediction: &ScanPrediction,
    findings: &Findings,
    counts: impl Fn(u8) -> bool,
) -> Vec<Counts> {
    let length = prediction.shape.slice_len();
    let slices = findings.mask.chunks(length).zip(prediction.truth.chunks(length));
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

/// Evaluates a model on all scans of `patients`, or on each slice as if it had come alone; `report` hears of each scan.
pub fn evaluate(
    segmenter: &mut Segmenter,
    patients: &[Patient],
    alone: bool,
    mut report: impl FnMut(&Patient, &[Entry], &ScanPrediction, &Scored) -> Result<()>,
) -> Result<Evaluation> {
    let model_info = segmenter.model_info().clone();
    let mut reliability = Reliability::default();
    let mut cases = Vec::new();
    for patient in patients {
        let mut case = Case::new(patient);
        let scans = if alone { patient.slices.chunks(1).collect() } else { patient.scans() };
        for scan in scans {
            let prediction = predict(segmenter, &Labelled::load(scan)?)?;
            let scored = score(&model_info, &prediction)?;
            report(patient, scan, &prediction, &scored)?;
            reliability.add(&scored.assessment.probabilities, &prediction.truth);
            case.scans.push(scored.outcome);
        }
        cases.push(case);
    }
    Ok(Evaluation::new(&model_info, &cases, &reliability))
}

#[cfg(test)]
mod tests {
    use imaging::{ModelFacts, OperatingPoint, Readings};

    use super::*;

    pub(super) fn model_info() -> ModelInfo {
        let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
        let facts = ModelFacts {
            name: "test".into(),
            version: "1".into(),
            data_version: String::new(),
            preprocessing: imaging::Preprocessing::NEWEST.name().into(),
            modalities: vec![],
            classes: vec![],
            readings: Readings::alike(Reading::plain(32, operating_point)),
        };
        ModelInfo { facts, sha256: String::new(), device: "cpu".into() }
    }

    #[test]
    fn a_scan_is_compared_pixel_by_pixel_after_specks_are_gone() {
        let placement = TilePlacement {
            rows: 2,
            columns: 4,
            side: 4,
            top: -0.5,
            left: -0.5,
            extent: 4.0,
            aspect: 1.0,
        };
        let prediction = ScanPrediction {
            shape: Shape { slices: 2, rows: 2, columns: 4 },
            input: NetworkInput { side: 4, mirrored: false },
            classified: ClassifiedKind::default(),
            probabilities: vec![
                0.9, 0.8, 0.1, 0.0, 0.7, 0.1, 0.1, 0.6, // one region, and a speck
                0.9, 0.1, 0.1, 0.0, 0.1, 0.1, 0.1, 0.1, // more of the region above
            ],
            placements: vec![placement; 2],
            truth: vec![1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
            ms: 1.0,
        };
        let reading = Reading::plain(4, OperatingPoint { threshold: 0.5, minimum_pixels: 2 });
        let scored = score_with(&reading, &prediction).unwrap();
        assert_eq!(scored.assessment.findings.mask[..8], [1, 1, 0, 0, 1, 0, 0, 0]);
        let first = Counts { overlap: 2, found: 3, truth: 3 };
        let slices = [first, Counts { overlap: 1, found: 1, truth: 2 }];
        assert_eq!(
            (&scored.outcome.slices, &scored.outcome.marked),
            (&slices.to_vec(), &slices.to_vec())
        );
        // What lies apart from the largest region is marked, and not counted.
        let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
        let reading = Reading { grows_from: Some(0.3), ..Reading::plain(4, operating_point) };
        let scored = score_with(&reading, &prediction).unwrap();
        assert_eq!(scored.assessment.findings.mask[..8], [1, 1, 0, 0, 1, 0, 0, 2]);
        assert_eq!(scored.outcome.slices, slices);
        assert_eq!(scored.outcome.marked[0], Counts { overlap: 2, found: 4, truth: 3 });
    }
}
