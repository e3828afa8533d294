use serde::{Deserialize, Serialize};

use crate::Findings;

/// The Dice that a scan's mask is expected to reach, judged without a truth.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExpectedDice {
    /// The likeliest value, 0 to 1.
    pub dice: f64,
    /// Where the real one lies for nine scans in ten like those that this was fitted on.
    pub interval: [f64; 2],
}

/// A linear regression of Dice on the [`dice_features`] of scans that the model had not learned from, with its errors.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DiceModel))]
pub struct DicePredictor {
    /// One for each feature.
    pub weights: [f64; DICE_FEATURES],
    /// The errors between which nine in ten lie (split conformal prediction, Lei et al. 2018), each divided by
    /// its scale.
    pub errors: [f64; 2],
}

/// How many [`dice_features`] there are.
pub const DICE_FEATURES: usize = 3;
/// Even the best masks differ from a radiologist's by so much, and by so much in turn.
const SCALE_MIN: f64 = 0.05;

impl DicePredictor {
    /// The Dice expected at these features, with its interval.
    pub fn expected(&self, features: [f64; DICE_FEATURES]) -> ExpectedDice {
        let dice = self.dice(features);
        let scale = DicePredictor::scale(dice);
        let interval = self.errors.map(|error| (dice + error * scale).clamp(0.0, 1.0));
        ExpectedDice { dice, interval }
    }

    /// The expected Dice alone.
    pub fn dice(&self, features: [f64; DICE_FEATURES]) -> f64 {
        let sum: f64 =
            self.weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum();
        sum.clamp(0.0, 1.0 - SCALE_MIN)
    }

    /// How large errors are where this Dice is expected: a mask that should fit well seldom fits badly.
    pub fn scale(dice: f64) -> f64 {
        1.0 - dice
    }
}

/// The features that predict a mask's Dice: the constant one, the Dice that the probabilities themselves expect, and the
/// decimal logarithm of the marked part. None of an empty mask. Lesser findings are no part of the mask.
pub fn dice_features(probabilities: &[f32], found: &Findings) -> Option<[f64; DICE_FEATURES]> {
    let voxels: usize = found.main().map(|finding| finding.voxels).sum();
    if voxels == 0 {
        return None;
    }
    let all: f64 = probabilities.iter().map(|p| f64::from(*p)).sum();
    let inside: f64 = found.main().map(|finding| finding.confidence * finding.voxels as f64).sum();
    let size = voxels as f64 / probabilities.len() as f64;
    Some([1.0, 2.0 * inside / (voxels as f64 + all), size.log10()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Criteria, Shape};

    const MODEL: DicePredictor = DicePredictor { weights: [0.0, 1.0, 0.0], errors: [-1.0, 0.5] };

    fn found(probabilities: &[f32]) -> Findings {
        let shape = Shape { slices: 1, rows: 4, columns: 4 };
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
        Findings::new(probabilities, shape, None, criteria).unwrap()
    }

    #[test]
    fn a_sure_mask_is_expected_to_fit_and_an_unsure_one_to_fit_less() {
        let expected = |inside: f32, around: f32| {
            let mut probabilities = [around; 16];
            probabilities[..4].fill(inside);
            MODEL.expected(dice_features(&probabilities, &found(&probabilities)).unwrap())
        };
        // Never a perfect fit.
        let sure = expected(1.0, 0.0);
        assert_eq!(sure.dice, 0.95);
        assert!((sure.interval[0] - 0.9).abs() < 1e-9 && (sure.interval[1] - 0.975).abs() < 1e-9);
        // 2 * 3 / (4 + 3 + 12 * 0.25), and errors of that scale about it.
        let unsure = expected(0.75, 0.25);
        assert!((unsure.dice - 0.6).abs() < 1e-9, "{unsure:?}");
        assert!((unsure.interval[0] - 0.2).abs() < 1e-9 && (unsure.interval[1] - 0.8).abs() < 1e-9);
    }

    #[test]
    fn of_an_empty_mask_nothing_is_expected() {
        assert_eq!(dice_features(&[0.1; 16], &found(&[0.1; 16])), None);
    }
}
