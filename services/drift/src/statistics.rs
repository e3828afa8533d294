//! How two samples differ: pure functions over finite numbers.

use std::f64::consts::PI;

/// How many bins PSI looks at: quantiles of the reference, so that each holds a tenth of it.
pub const BINS: usize = 10;

/// The least share of a bin: without it, one empty bin would make PSI infinite.
pub const SHARE_MIN: f64 = 1e-4;

/// The population stability index of `window` against `reference`, over [`BINS`] quantile bins of the reference:
/// the sum of (q - p) ln(q / p) over the shares p of the reference and q of the window, each at least [`SHARE_MIN`].
///
/// None when a side is empty.
pub fn psi(reference: &[f64], window: &[f64]) -> Option<f64> {
    if reference.is_empty() || window.is_empty() {
        return None;
    }
    let edges = quantile_edges(reference);
    let expected = shares(&edges, reference);
    let actual = shares(&edges, window);
    Some(expected.iter().zip(&actual).map(|(p, q)| (q - p) * (q / p).ln()).sum())
}

/// The inner edges of the bins. Ties, such as the many zeros of a mask fraction, make them fewer.
fn quantile_edges(sample: &[f64]) -> Vec<f64> {
    let sample = sorted(sample);
    let mut edges: Vec<f64> =
        (1..BINS).map(|bin| quantile_of_sorted(&sample, bin as f64 / BINS as f64)).collect();
    edges.dedup();
    edges
}

/// The share of `values` in each bin; a bin takes its upper edge, and the outer bins are open.
fn shares(edges: &[f64], values: &[f64]) -> Vec<f64> {
    let mut counts = vec![0_usize; edges.len() + 1];
    for value in values {
        counts[edges.partition_point(|edge| edge < value)] += 1;
    }
    counts.iter().map(|&count| (count as f64 / values.len() as f64).max(SHARE_MIN)).collect()
}

/// A two-sample Kolmogorov-Smirnov test, two-sided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// The largest distance between the two distribution functions, 0 to 1.
    pub statistic: f64,
    /// How probable a distance at least as large is between samples of one distribution.
    pub p_value: f64,
}

/// Compares two samples; None when one is empty.
///
/// The p-value is Kolmogorov's asymptotic one at the effective size n m / (n + m), with the correction of Stephens
/// (1970), which holds it within a few per cent of the exact value down to an effective size of about 4.
pub fn kolmogorov_smirnov(first: &[f64], second: &[f64]) -> Option<KolmogorovSmirnov> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let statistic = largest_distance(&sorted(first), &sorted(second));
    let (n, m) = (first.len() as f64, second.len() as f64);
    let root = (n * m / (n + m)).sqrt();
    let p_value = kolmogorov_survival((root + 0.12 + 0.11 / root) * statistic);
    Some(KolmogorovSmirnov { statistic, p_value })
}

fn largest_distance(first: &[f64], second: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < first.len() && j < second.len() {
        // Ties are stepped over together: between them the functions have no value.
        let at = first[i].min(second[j]);
        i += first[i..].partition_point(|value| *value <= at);
        j += second[j..].partition_point(|value| *value <= at);
        let distance = i as f64 / first.len() as f64 - j as f64 / second.len() as f64;
        largest = largest.max(distance.abs());
    }
    largest
}

/// The probability that Kolmogorov's limiting distribution exceeds `x`.
fn kolmogorov_survival(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    // Two series for one function: each is exact to the last digits on its side of 1.
    let survival = if x < 1.0 {
        let terms = (1..=5).map(|k| (-(f64::from(2 * k - 1) * PI / x).powi(2) / 8.0).exp());
        1.0 - (2.0 * PI).sqrt() / x * terms.sum::<f64>()
    } else {
        (1..=8)
            .map(|k| {
                let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
                sign * (-2.0 * (f64::from(k) * x).powi(2)).exp()
            })
            .sum()
    };
    survival.clamp(0.0, 1.0)
}

/// The quantile `q` (0 to 1) of `values`, linear between neighbours; None of nothing.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    (!values.is_empty()).then(|| quantile_of_sorted(&sorted(values), q))
}

fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    below + (above - below) * position.fract()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread over 0 to 1 in a scrambled order, alike in every language.
    fn spread(count: u32, start: f64) -> Vec<f64> {
        (1..=count).map(|k| (start + f64::from(k) * 0.618_033_988_749_894_9) % 1.0).collect()
    }

    /// One sample and three others: bent, stretched and alike.
    fn samples() -> (Vec<f64>, [Vec<f64>; 3]) {
        let bent = spread(120, 0.37).into_iter().map(|x| x.powf(1.5)).collect();
        let stretched = spread(40, 0.2).into_iter().map(|x| x * 1.3).collect();
        (spread(200, 0.1), [bent, stretched, spread(90, 0.77)])
    }

    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} is not {expected} +- {tolerance}");
    }

    #[test]
    fn psi_is_what_numpy_computes() {
        let (reference, others) = samples();
        let expected =
            [0.142_355_091_366_900_7, 0.370_472_351_289_337_53, 0.004_958_745_584_760_213];
        for (other, expected) in others.iter().zip(expected) {
            close(psi(&reference, other).unwrap(), expected, 1e-12);
        }
    }

    #[test]
    fn many_equal_values_are_one_bin() {
        let values = spread(80, 0.1);
        let reference = [&[0.0; 60], &values[..40]].concat();
        let window = [&[0.0; 10], &values[40..]].concat();
        close(psi(&reference, &window).unwrap(), 0.802_856_898_745_595_7, 1e-12);
        let test = kolmogorov_smirnov(&reference, &window).unwrap();
        close(test.statistic, 0.4, 1e-12);
        close(test.p_value, 2.810_641_887_770_379e-5, 5e-6);
    }

    #[test]
    fn kolmogorov_smirnov_is_what_scipy_computes() {
        let (reference, others) = samples();
        let expected =
            [(0.155, 0.048_643_476_517), (0.265, 0.015_539_650_998), (0.018_333_333_333, 1.0)];
        for (other, (statistic, p_value)) in others.iter().zip(expected) {
            let test = kolmogorov_smirnov(&reference, other).unwrap();
            close(test.statistic, statistic, 1e-9);
            // SciPy takes the one-sample distribution at the rounded effective size: 6 % at most from ours here.
            close(test.p_value, p_value, 0.06 * p_value);
        }
    }

    #[test]
    fn the_limiting_distribution_is_scipys() {
        let table = [
            (0.2, 0.999_999_999_999_495),
            (0.5, 0.963_945_243_664_875_1),
            (0.8276, 0.499_958_416_563_544_56),
            (1.0, 0.269_999_671_677_354_56),
            (1.3581, 0.049_999_630_431_667_4),
            (2.0, 0.000_670_925_255_779_695_3),
            (3.0, 3.045_995_948_942_526e-8),
        ];
        for (x, expected) in table {
            close(kolmogorov_survival(x), expected, 1e-12);
        }
        assert_eq!(kolmogorov_survival(0.0), 1.0);
    }

    #[test]
    fn a_sample_is_like_itself() {
        let values = spread(50, 0.3);
        assert_eq!(psi(&values, &values), Some(0.0));
        let test = kolmogorov_smirnov(&values, &values).unwrap();
        assert_eq!((test.statistic, test.p_value), (0.0, 1.0));
    }

    #[test]
    fn nothing_is_compared_with_nothing() {
        assert_eq!(psi(&[], &[1.0]), None);
        assert_eq!(kolmogorov_smirnov(&[1.0], &[]), None);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn quantiles_are_numpys() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0, 10.0, 7.0];
        for (q, expected) in [(0.0, 1.0), (0.5, 4.0), (0.95, 9.1), (0.99, 9.82), (1.0, 10.0)] {
            close(quantile(&values, q).unwrap(), expected, 1e-12);
        }
    }

    #[test]
    fn psi_of_a_window_in_one_bin_is_what_a_hand_computes() {
        // Ten values have nine quantiles between them: a tenth lies in each bin.
        let reference: Vec<f64> = (1..=10).map(f64::from).collect();
        // One bin holds all of the window, and each of the nine others the least share.
        let expected =
            (1.0 - 0.1) * (1.0_f64 / 0.1).ln() + 9.0 * (SHARE_MIN - 0.1) * (SHARE_MIN / 0.1).ln();
        close(psi(&reference, &[0.0; 5]).unwrap(), expected, 1e-9);
        close(psi(&reference, &[99.0; 7]).unwrap(), expected, 1e-9);
    }

    #[test]
    fn the_largest_distance_is_what_a_hand_counts() {
        for (first, second, distance) in [
            (&[1.0, 2.0, 3.0][..], &[4.0, 5.0, 6.0][..], 1.0),
            (&[3.0, 1.0, 4.0, 2.0], &[6.0, 3.0, 5.0, 4.0], 0.5),
            (&[1.0, 1.0, 1.0, 2.0], &[1.0, 2.0], 0.25),
            (&[1.0], &[1.0, 1.0, 1.0], 0.0),
        ] {
            let one = kolmogorov_smirnov(first, second).unwrap();
            close(one.statistic, distance, 1e-12);
            assert_eq!(kolmogorov_smirnov(second, first), Some(one), "from the other side");
        }
    }

    #[test]
    fn another_unit_of_measure_changes_no_difference() {
        let (reference, [bent, ..]) = samples();
        let scaled = |sample: &[f64]| sample.iter().map(|x| 1024.0 * x - 512.0).collect::<Vec<_>>();
        let (reference_too, bent_too) = (scaled(&reference), scaled(&bent));
        close(psi(&reference_too, &bent_too).unwrap(), psi(&reference, &bent).unwrap(), 1e-12);
        let tests = [(&reference, &bent), (&reference_too, &bent_too)]
            .map(|(one, other)| kolmogorov_smirnov(one, other).unwrap());
        assert_eq!(tests[0], tests[1]);
    }

    #[test]
    fn the_same_distance_between_larger_samples_is_less_probable() {
        let times = |count: usize| {
            let (first, second) = ([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]);
            kolmogorov_smirnov(&first.repeat(count), &second.repeat(count)).unwrap()
        };
        let tests = [2, 4, 6, 8].map(times);
        assert!(tests.iter().all(|test| (test.statistic - 0.5).abs() < 1e-12), "{tests:?}");
        assert!(tests.is_sorted_by(|less, more| less.p_value > 5.0 * more.p_value), "{tests:?}");
    }

    #[test]
    fn a_larger_distance_is_never_more_probable() {
        let survivals: Vec<f64> =
            (0..500).map(|step| kolmogorov_survival(f64::from(step) / 100.0)).collect();
        assert!(survivals.is_sorted_by(|nearer, farther| nearer >= farther));
        // Where one series gives way to the other.
        close(kolmogorov_survival(1.0 - 1e-9), kolmogorov_survival(1.0 + 1e-9), 1e-8);
    }
}
