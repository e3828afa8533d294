//! When drift is told, and when it is said to be over; pure.

use super::P_WINDOW;
use crate::report::{Feature, Thresholds, Verdict, gravest};

/// Whoever has drifted is calm again when not even this would have been taken for a difference: a mark that is far easier
/// to cross than the one that told of it.
const P_CALM: f64 = 0.05;

/// Calm windows in a row after which it is over.
const CALM_WINDOWS: i64 = 2;

/// How things stand after a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// From `drift.detected` until `drift.cleared`.
    pub drifted: bool,
    /// Calm windows in a row, up to this one.
    pub calm: i64,
}

/// What whoever listens is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    Detected,
    Cleared,
}

impl Standing {
    /// How things stand after a window with these features, and what is to be told.
    pub fn after(self, features: &[Feature], thresholds: Thresholds) -> (Standing, Option<Change>) {
        let verdict = gravest(features);
        let calm = if is_calm(features, thresholds) { self.calm + 1 } else { 0 };
        match (self.drifted, verdict) {
            (false, Verdict::Drift) => (Standing { drifted: true, calm }, Some(Change::Detected)),
            (true, _) if calm >= CALM_WINDOWS => {
                (Standing { drifted: false, calm }, Some(Change::Cleared))
            }
            (drifted, _) => (Standing { drifted, calm }, None),
        }
    }
}

/// Whether something could be judged, and nothing would be a difference even by the easier mark.
fn is_calm(features: &[Feature], thresholds: Thresholds) -> bool {
    let easier = Thresholds { p_max: thresholds.p_max * (P_CALM / P_WINDOW), ..thresholds };
    let judged = features.iter().filter(|feature| feature.verdict >= Verdict::Stable);
    let verdicts: Vec<Verdict> = judged.filter_map(|feature| feature.judged(easier)).collect();
    !verdicts.is_empty() && verdicts.iter().all(|verdict| *verdict == Verdict::Stable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::judge;

    const THRESHOLDS: Thresholds =
        Thresholds { scans_min: 30, psi_watch: 0.1, psi_drift: 0.25, p_max: P_WINDOW };

    /// A feature that differs by that much, so improbably.
    fn feature(psi: f64, p_value: f64) -> Feature {
        Feature {
            scans: 40,
            psi: Some(psi),
            ks_p_value: Some(p_value),
            ..Feature::new("mean", judge(psi, p_value, THRESHOLDS))
        }
    }

    fn told(windows: &[(f64, f64)]) -> Vec<Option<Change>> {
        let mut standing = Standing::default();
        let mut told = Vec::new();
        for (psi, p_value) in windows {
            let (after, change) = standing.after(&[feature(*psi, *p_value)], THRESHOLDS);
            standing = after;
            told.push(change);
        }
        told
    }

    #[test]
    fn drift_is_told_once_and_cleared_after_two_calm_windows_in_a_row() {
        let (far, calm) = ((0.5, 1e-6), (0.02, 0.6));
        let expected =
            [None, Some(Change::Detected), None, None, None, None, Some(Change::Cleared), None];
        assert_eq!(told(&[calm, far, far, calm, far, calm, calm, calm]), expected);
    }

    #[test]
    fn what_is_neither_far_nor_calm_changes_nothing() {
        // Improbable at one in a hundred: too little to tell of, too much to be over.
        let (far, between, calm) = ((0.5, 1e-6), (0.5, 0.01), (0.02, 0.6));
        assert_eq!(told(&[between, between, between]), [None; 3]);
        let expected = [Some(Change::Detected), None, None, None, None];
        assert_eq!(told(&[far, calm, between, calm, between]), expected);
    }

    #[test]
    fn a_difference_too_small_to_matter_is_calm_however_sure_it_is() {
        let expected = [Some(Change::Detected), None, Some(Change::Cleared)];
        assert_eq!(told(&[(0.5, 1e-6), (0.05, 1e-9), (0.05, 1e-9)]), expected);
    }

    #[test]
    fn embeddings_that_are_not_calm_keep_drift_standing() {
        let embedded = |mmd2: f64, p_value: f64| {
            let (mmd2, mmd_p_value) = (Some(mmd2), Some(p_value));
            let feature =
                Feature { mmd2, mmd_p_value, ..Feature::new("embedding", Verdict::Stable) };
            let verdict = feature.judged(THRESHOLDS).unwrap();
            [Feature { verdict, ..feature }, self::feature(0.02, 0.6)]
        };
        let after =
            |standing: Standing, features: &[Feature]| standing.after(features, THRESHOLDS).1;
        let calm = Standing { drifted: true, calm: 1 };
        let detected = Some(Change::Detected);
        assert_eq!(after(Standing::default(), &embedded(0.06, 1e-4)), detected);
        assert_eq!(after(Standing::default(), &embedded(0.06, 0.01)), None);
        assert_eq!(after(Standing::default(), &embedded(0.03, 1e-4)), None);
        assert_eq!(after(calm, &embedded(0.06, 0.01)), None);
        assert_eq!(after(calm, &embedded(0.06, 0.5)), Some(Change::Cleared));
    }

    #[test]
    fn what_cannot_be_judged_neither_alarms_nor_calms() {
        let unknown = Feature { verdict: Verdict::NoReference, psi: None, ..feature(0.0, 1.0) };
        let few = Feature { verdict: Verdict::TooFewScans, ..feature(9.0, 1e-9) };
        let drifted = Standing { drifted: true, calm: 1 };
        for features in [vec![unknown], vec![few], Vec::new()] {
            let after = drifted.after(&features, THRESHOLDS);
            assert_eq!(after, (Standing { drifted: true, calm: 0 }, None));
        }
    }
}
