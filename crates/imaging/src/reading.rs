use std::collections::BTreeMap;

use domain::Result;
use serde::{Deserialize, Serialize};

use crate::{
    ClassifiedKind, Criteria, DicePredictor, ExpectedDice, Findings, Geometry, ImageKind,
    KindPrediction, Shape, TilePlacement, confidence, dice_features, restore,
};

/// A model's output for one input tile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TilePrediction {
    /// Of tumour, one for each pixel of the tile, as the network gives them.
    pub probabilities: Vec<f32>,
    /// Of each of the model's classes of image kinds; empty from one that has none.
    pub kinds: Vec<f32>,
    /// Where the tile lies in what the network knows of images (see [`Projection`](crate::Projection)); empty from what makes
    /// none.
    pub embedding: Vec<f32>,
}

/// The probabilities of whole slices, resampled from their tiles to the scan's own pixels, and clamped: interpolation
/// weights sum to one but for rounding.
pub fn restored(placements: &[TilePlacement], predictions: &[TilePrediction]) -> Vec<f32> {
    let slices = placements.iter().zip(predictions);
    slices
        .flat_map(|(placement, prediction)| restore(&prediction.probabilities, placement))
        .map(|p| p.clamp(0.0, 1.0))
        .collect()
}

/// How slices are given to the network.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Look))]
pub struct NetworkInput {
    /// The side of an input tile in pixels.
    pub side: usize,
    /// Whether a tile is also predicted flipped and averaged (test-time augmentation), which costs twice the time.
    #[serde(default)]
    pub mirrored: bool,
}

/// What counts as tumour.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Cut))]
pub struct OperatingPoint {
    /// The calibrated probability from which on a voxel counts.
    pub threshold: f32,
    /// Regions of fewer pixels, in the tiles that the model sees, are noise.
    pub minimum_pixels: usize,
}

/// A line through the logits that makes probabilities true (Platt 1999): of the pixels called 0.7, seven in ten are
/// tumour.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Calibration {
    /// Above 0, so that what is likelier stays likelier.
    pub slope: f32,
    /// Added to the logit after the slope was applied.
    pub offset: f32,
}

impl Default for Calibration {
    /// Changes nothing.
    fn default() -> Calibration {
        Calibration { slope: 1.0, offset: 0.0 }
    }
}

impl Calibration {
    /// The calibrated probability; of what is no probability, NaN.
    pub fn apply(self, p: f32) -> f32 {
        // Most voxels lie outside of the head.
        if self == Calibration::default() || p == 0.0 {
            return p;
        }
        let logit = (p / (1.0 - p)).ln();
        1.0 / (1.0 + (-self.slope * logit - self.offset).exp())
    }
}

/// How scans of one kind are predicted, and what counts in them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reading {
    /// What is shown to the network.
    #[serde(flatten)]
    pub input: NetworkInput,
    /// From which probability on, and from which size on, something is a finding.
    #[serde(flatten)]
    pub operating_point: OperatingPoint,
    /// What makes the network's probabilities true, before the cut.
    #[serde(default)]
    pub calibration: Calibration,
    /// Where one tumour is to be expected: the calibrated probability from which on its largest region goes on into
    /// the slices beyond its ends. What lies apart from it are lesser findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grows_from: Option<f32>,
    /// How well masks fit, as far as that can be predicted; None where nobody measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_dice: Option<DicePredictor>,
}

/// How scans of one kind are read: slices that come alone, and volumes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Forms {
    /// Of slices that come alone, without neighbours.
    pub slice: Reading,
    /// Of several slices of one series.
    pub volume: Reading,
}

/// How a model reads scans, by what is known of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Readings {
    /// Of any kind, and of an unknown one.
    pub general: Forms,
    /// Of the kinds that are read in a way of their own; the others are read as `general` says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<ImageKind, Forms>,
    /// How sure the model must be of a scan's kind to be believed.
    #[serde(default = "sure_from")]
    pub sure_from: f64,
}

/// Nobody has measured what is sure enough.
fn sure_from() -> f64 {
    0.9
}

impl Readings {
    /// One reading for everything.
    pub fn alike(reading: Reading) -> Readings {
        let general = Forms { slice: reading.clone(), volume: reading };
        Readings { general, kinds: BTreeMap::new(), sure_from: sure_from() }
    }

    /// How a scan of that kind and that many slices is read.
    pub fn of(&self, kind: ImageKind, slices: usize) -> &Reading {
        let forms = self.kinds.get(&kind).unwrap_or(&self.general);
        if slices > 1 { &forms.volume } else { &forms.slice }
    }

    /// What kind of image a scan is taken for.
    pub fn classify(&self, header: ImageKind, model: Option<KindPrediction>) -> ClassifiedKind {
        ClassifiedKind::new(header, model, self.sure_from)
    }

    /// What a reader should know of how the kind was classified.
    pub fn remark(&self, classified: &ClassifiedKind) -> Option<String> {
        classified.remark(!self.kinds.is_empty())
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Reading> {
        let forms = std::iter::once(&self.general).chain(self.kinds.values());
        forms.flat_map(|forms| [&forms.slice, &forms.volume])
    }
}

/// What a reading makes of a scan's probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Calibrated, of the scan's own voxels.
    pub probabilities: Vec<f32>,
    /// The mask and its regions, in the scan's own grid.
    pub findings: Findings,
    /// How sure the model is of the answer.
    pub confidence: f64,
    /// None of an empty mask, or where nobody measured it.
    pub expected_dice: Option<ExpectedDice>,
}

impl Reading {
    /// The network's own probabilities as they are, one input, all findings alike.
    pub fn plain(side: usize, operating_point: OperatingPoint) -> Reading {
        Reading {
            input: NetworkInput { side, mirrored: false },
            operating_point,
            calibration: Calibration::default(),
            grows_from: None,
            expected_dice: None,
        }
    }

    /// Decides what in a scan is a finding: the one way from the network's probabilities (of the scan's own voxels)
    /// to an answer, for the service, for evaluation and for training alike.
    ///
    /// `Internal` when one is no probability.
    pub fn assess(
        &self,
        mut probabilities: Vec<f32>,
        shape: Shape,
        geometry: Option<&Geometry>,
        placements: &[TilePlacement],
    ) -> Result<Assessment> {
        probabilities.iter_mut().for_each(|p| *p = self.calibration.apply(*p));
        let findings = Findings::new(&probabilities, shape, geometry, self.criteria(placements))?;
        let confidence = confidence(&probabilities, &findings.findings);
        let predictable = self.expected_dice.zip(dice_features(&probabilities, &findings));
        let expected_dice = predictable.map(|(predictor, features)| predictor.expected(features));
        Ok(Assessment { probabilities, findings, confidence, expected_dice })
    }

    /// What counts as tumour in a scan whose slices were prepared at `placements`: the smallest region, counted in
    /// the scan's own pixels.
    pub fn criteria(&self, placements: &[TilePlacement]) -> Criteria {
        let areas: f64 = placements.iter().map(TilePlacement::pixel_area).sum();
        let pixels =
            self.operating_point.minimum_pixels as f64 * areas / placements.len().max(1) as f64;
        Criteria {
            threshold: self.operating_point.threshold,
            minimum_voxels: pixels.round() as usize,
            grows_from: self.grows_from.filter(|_| placements.len() > 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(threshold: f32, minimum_pixels: usize) -> Reading {
        Reading::plain(4, OperatingPoint { threshold, minimum_pixels })
    }

    fn readings() -> Readings {
        let forms =
            |first: f32| Forms { slice: reading(first, 8), volume: reading(first + 0.1, 96) };
        Readings {
            general: forms(0.3),
            kinds: BTreeMap::from([
                (ImageKind::Flair, forms(0.5)),
                (ImageKind::T1Contrast, forms(0.7)),
            ]),
            sure_from: 0.9,
        }
    }

    #[test]
    fn each_kind_and_form_has_its_own_cut_and_what_is_unknown_the_general_one() {
        let readings = readings();
        let threshold = |kind, slices| readings.of(kind, slices).operating_point.threshold;
        assert_eq!(threshold(ImageKind::Flair, 1), 0.5);
        assert_eq!(threshold(ImageKind::Flair, 2), 0.5 + 0.1);
        assert_eq!(threshold(ImageKind::T1Contrast, 1), 0.7);
        for kind in [ImageKind::Unknown, ImageKind::Other] {
            assert_eq!((threshold(kind, 1), threshold(kind, 9)), (0.3, 0.3 + 0.1));
        }
        let alike = Readings::alike(reading(0.2, 1));
        assert_eq!(alike.of(ImageKind::Flair, 1), alike.of(ImageKind::T1Contrast, 30));
    }

    #[test]
    fn readings_survive_json() {
        let json = serde_json::to_string(&readings()).unwrap();
        assert_eq!(serde_json::from_str::<Readings>(&json).unwrap(), readings());
    }

    #[test]
    fn the_smallest_region_is_counted_in_the_scans_own_pixels() {
        let placement = TilePlacement {
            rows: 8,
            columns: 8,
            side: 4,
            top: 0.0,
            left: 0.0,
            extent: 8.0,
            aspect: 1.0,
        };
        let criteria =
            |slices| readings().of(ImageKind::Unknown, slices).criteria(&vec![placement; slices]);
        assert_eq!((criteria(1).threshold, criteria(1).minimum_voxels), (0.3, 32));
        assert_eq!(criteria(2).minimum_voxels, 384);
    }

    #[test]
    fn a_cut_of_calibrated_probabilities_marks_what_the_same_cut_before_did() {
        let shape = Shape { slices: 1, rows: 1, columns: 9 };
        let raw: Vec<f32> = (0..9).map(|i| i as f32 / 8.0).collect();
        let placement = TilePlacement {
            rows: 1,
            columns: 9,
            side: 9,
            top: 0.0,
            left: 0.0,
            extent: 9.0,
            aspect: 1.0,
        };
        let plain = reading(0.375, 1).assess(raw.clone(), shape, None, &[placement]).unwrap();
        let calibration = Calibration { slope: 0.5, offset: -0.3 };
        let operating_point =
            OperatingPoint { threshold: calibration.apply(0.375), minimum_pixels: 1 };
        let reading = Reading { operating_point, calibration, ..reading(0.0, 1) };
        let calibrated = reading.assess(raw, shape, None, &[placement]).unwrap();
        assert_eq!(plain.findings.mask, calibrated.findings.mask);
        assert!(calibrated.confidence < plain.confidence);
        assert!(reading.assess(vec![1.5; 9], shape, None, &[placement]).is_err());
    }
}
