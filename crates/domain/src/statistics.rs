//! Rates and means with what is known of them: whoever measures a model, offline or live, computes with these.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The normal distribution's 97.5th percentile: both intervals below are 95 % intervals.
const Z: f64 = 1.959_963_984_540_054;
const RESAMPLES: usize = 4000;

/// How often something happened, of how many times it could have, with Wilson's 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// None when it never could have.
    pub rate: Option<f64>,
    /// Wilson's 95 % interval, 0 to 1; all of it where nothing could have happened.
    pub interval: [f64; 2],
    /// How often it happened.
    pub count: usize,
    /// How often it could have happened.
    pub of: usize,
}

impl Rate {
    /// Wilson 1927: sound for few cases and for rates near 0 and 1. Of nothing, nothing is known.
    pub fn new(count: usize, of: usize) -> Rate {
        if of == 0 {
            return Rate { rate: None, interval: [0.0, 1.0], count, of };
        }
        let rate = count as f64 / of as f64;
        Rate { rate: Some(rate), interval: wilson(rate, of as f64), count, of }
    }
}

/// Wilson's 95 % interval of a rate over `n` cases, which are no whole number where they count by weight.
fn wilson(rate: f64, n: f64) -> [f64; 2] {
    let spread = 1.0 + Z * Z / n;
    let centre = (rate + Z * Z / (2.0 * n)) / spread;
    let half = Z / spread * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

/// How often something happens among cases that stand for others, with an approximate 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WeightedRate {
    /// The weights of those in which it happened, over all weights.
    pub rate: f64,
    /// Wilson's, over as many cases as the weights are worth.
    pub interval: [f64; 2],
    /// How many cases of equal weight would tell as much (Kish 1965).
    pub effective: f64,
}

impl WeightedRate {
    /// Of whether it happened in each case, and how many cases that stands for. None of nothing.
    pub fn new(cases: impl IntoIterator<Item = (bool, f64)>) -> Option<WeightedRate> {
        let (mut happened, mut all, mut squares) = (0.0, 0.0, 0.0);
        for (it_happened, weight) in cases {
            happened += if it_happened { weight } else { 0.0 };
            all += weight;
            squares += weight * weight;
        }
        if !(all > 0.0 && squares.is_finite()) {
            return None;
        }
        let (rate, effective) = (happened / all, all * all / squares);
        Some(WeightedRate { rate, interval: wilson(rate, effective), effective })
    }
}

/// The mean; None of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median, between the middle two of an even number; None of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// A 95 % interval of the mean of all values by the percentile bootstrap (Efron 1979) over their groups (a patient's
/// slices are alike, so a patient is drawn whole); the same seed gives the same interval. None of nothing.
pub fn bootstrap(groups: &[Vec<f64>], seed: u64) -> Option<[f64; 2]> {
    let groups = groups.iter().filter(|group| !group.is_empty());
    let sums: Vec<(f64, f64)> =
        groups.map(|group| (group.iter().sum(), group.len() as f64)).collect();
    resampled(&sums, seed)
}

/// The mean of values that stand for others, each with its weight, with a 95 % interval by the percentile bootstrap over the values.
/// None of nothing.
pub fn weighted_mean(values: &[(f64, f64)], seed: u64) -> Option<(f64, [f64; 2])> {
    let sums: Vec<(f64, f64)> =
        values.iter().map(|(value, weight)| (value * weight, *weight)).collect();
    let (sum, all) = sums.iter().fold((0.0, 0.0), |(a, n), (b, m)| (a + b, n + m));
    let interval = resampled(&sums, seed)?;
    Some((sum / all, interval))
}

/// The middle 95 % of what resampled sums come to, over their weights; None of nothing.
fn resampled(sums: &[(f64, f64)], seed: u64) -> Option<[f64; 2]> {
    if sums.is_empty() {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut resample = || {
        let drawn = (0..sums.len()).map(|_| sums[random.random_range(0..sums.len())]);
        let (sum, all) = drawn.fold((0.0, 0.0), |(a, n), (b, m)| (a + b, n + m));
        sum / all
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    let at = |part: f64| means[((RESAMPLES - 1) as f64 * part).round() as usize];
    Some([at(0.025), at(0.975)])
}

/// How far two masks on one grid mark the same (Dice): 1 where neither marks anything. Whatever is not 0 is marked.
pub fn dice(one: &[u8], other: &[u8]) -> f64 {
    let count = |mask: &[u8]| mask.iter().filter(|voxel| **voxel != 0).count();
    let both = one.iter().zip(other).filter(|(one, other)| **one != 0 && **other != 0).count();
    match count(one) + count(other) {
        0 => 1.0,
        all => 2.0 * both as f64 / all as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval_is(count: usize, of: usize, lower: f64, upper: f64) -> [f64; 2] {
        let [from, to] = Rate::new(count, of).interval;
        assert!(
            (from - lower).abs() < 5e-5 && (to - upper).abs() < 5e-5,
            "{count}/{of}: {from} {to}"
        );
        [from, to]
    }

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // Newcombe 1998, table I, method 3.
        for (count, of, lower, upper) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            interval_is(count, of, lower, upper);
        }
    }

    #[test]
    fn an_interval_is_never_a_point_and_the_same_from_either_side() {
        // z² / (n + z²), and for half of ten the textbook's 0.237 to 0.763.
        for (count, of, lower, upper) in [
            (0, 10, 0.0, 0.2775),
            (10, 10, 0.7225, 1.0),
            (1, 1, 0.2065, 1.0),
            (5, 10, 0.2366, 0.7634),
        ] {
            let [from, to] = interval_is(count, of, lower, upper);
            let [other_from, other_to] = Rate::new(of - count, of).interval;
            assert!((from + other_to - 1.0).abs() < 1e-12 && (to + other_from - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn of_nothing_nothing_is_known() {
        assert_eq!(Rate::new(0, 0), Rate { rate: None, interval: [0.0, 1.0], count: 0, of: 0 });
        assert_eq!((mean(&[]), median(&[]), bootstrap(&[], 1)), (None, None, None));
    }

    #[test]
    fn equal_weights_say_what_a_plain_rate_says_and_unequal_ones_less() {
        let plain = Rate::new(3, 12);
        let equal = WeightedRate::new((0..12).map(|case| (case < 3, 2.5))).unwrap();
        assert_eq!((Some(equal.rate), equal.effective), (plain.rate, 12.0));
        assert_eq!(equal.interval, plain.interval);
        // One of two stands for three: 3 / 4, worth (3 + 1)^2 / (9 + 1) cases.
        let unequal = WeightedRate::new([(true, 3.0), (false, 1.0)]).unwrap();
        assert_eq!((unequal.rate, unequal.effective), (0.75, 1.6));
        assert!(unequal.interval[1] - unequal.interval[0] > 0.6, "{unequal:?}");
        assert_eq!((WeightedRate::new([]), WeightedRate::new([(true, 0.0)])), (None, None));
    }

    #[test]
    fn a_weighted_mean_of_equal_weights_is_the_mean_with_its_interval() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(i % 7) / 7.0).collect();
        let each: Vec<Vec<f64>> = values.iter().map(|value| vec![*value]).collect();
        let equal: Vec<(f64, f64)> = values.iter().map(|value| (*value, 1.0)).collect();
        let (weighted, interval) = weighted_mean(&equal, 3).unwrap();
        assert_eq!((Some(weighted), Some(interval)), (mean(&values), bootstrap(&each, 3)));
        let (unequal, _) = weighted_mean(&[(1.0, 3.0), (0.0, 1.0)], 3).unwrap();
        assert_eq!((unequal, weighted_mean(&[], 3)), (0.75, None));
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(
            (median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])),
            (Some(2.0), Some(2.5))
        );
    }

    #[test]
    fn the_bootstrap_agrees_with_the_normal_interval_of_a_large_sample() {
        // 0, 0.001 … 0.999: deviation 0.28868, so the mean 0.4995 is known to 1.96 * 0.28868 / sqrt(1000).
        let values: Vec<Vec<f64>> = (0..1000).map(|i| vec![f64::from(i) / 1000.0]).collect();
        let half = Z * 0.288_675 / 1000_f64.sqrt();
        let [from, to] = bootstrap(&values, 7).unwrap();
        assert!(
            (from - (0.4995 - half)).abs() < 0.0015 && (to - (0.4995 + half)).abs() < 0.0015,
            "{from} {to}"
        );
        assert_eq!(bootstrap(&[vec![0.5], vec![0.5, 0.5], vec![]], 1), Some([0.5, 0.5]));
        // Of two values both means of a single one are drawn a quarter of the times.
        assert_eq!(bootstrap(&[vec![0.0], vec![1.0]], 1), Some([0.0, 1.0]));
        // Ten patients of a hundred equal slices each are ten values, not a thousand.
        let alike: Vec<Vec<f64>> = (0..10).map(|i| vec![f64::from(i % 2); 100]).collect();
        let [from, to] = bootstrap(&alike, 7).unwrap();
        assert!(to - from > 0.5, "{from} {to}");
    }
}
