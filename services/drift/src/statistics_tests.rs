use super::smirnov::{kolmogorov_smirnov, kolmogorov_survival};
use super::*;

/// Evenly spread over 0 to 1 in a scrambled order, alike in every language.
fn spread(count: u32, start: f64) -> Vec<f64> {
    (1..=count).map(|k| (start + f64::from(k) * 0.618_033_988_749_894_9) % 1.0).collect()
}

fn bent(count: u32) -> Vec<f64> {
    spread(count, 0.37).into_iter().map(|x| x.powf(1.5)).collect()
}

/// One sample and four others: bent, stretched, alike, and alike in their number, too.
fn samples() -> (Vec<f64>, [Vec<f64>; 4]) {
    let stretched = spread(40, 0.2).into_iter().map(|x| x * 1.3).collect();
    (spread(200, 0.1), [bent(120), stretched, spread(90, 0.77), spread(200, 0.55)])
}

fn close(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not {expected} +- {tolerance}");
}

/// PSI, Jensen-Shannon, Wasserstein, the distance and its p-value, each as Evidently 0.7.23 computes it (SciPy 1.17.1).
fn is(reference: &[f64], window: &[f64], [psi, jensen_shannon, wasserstein, d, p]: [f64; 5]) {
    let found = difference(reference, window).unwrap();
    close(found.psi, psi, 1e-9);
    close(found.jensen_shannon, jensen_shannon, 1e-9);
    close(found.wasserstein, wasserstein, 1e-9);
    close(found.test.statistic, d, 1e-12);
    close(found.test.p_value, p, 1e-12);
}

#[test]
fn each_measure_is_the_one_that_evidently_computes() {
    let (reference, others) = samples();
    let expected = [
        [
            0.142_084_313_740_296_23,
            0.132_283_083_205_363_4,
            0.344_726_821_495_340_23,
            0.155,
            0.049_399_244_044_462_99,
        ],
        [
            1.865_376_867_944_449_6,
            0.311_604_192_060_544_85,
            0.600_530_374_975_111_2,
            0.265,
            0.015_949_319_738_186_016,
        ],
        [
            0.004_576_935_449_434_067,
            0.023_910_054_016_565_603,
            0.016_049_237_627_289_09,
            0.018_333_333_333_333_333,
            1.0,
        ],
        [
            0.000_988_318_934_479_229_9,
            0.011_114_282_712_163_082,
            0.017_337_335_147_910_88,
            0.015,
            1.0,
        ],
    ];
    for (other, expected) in others.iter().zip(expected) {
        is(&reference, other, expected);
    }
}

#[test]
fn many_equal_values_are_compared_as_evidently_does() {
    let values = spread(80, 0.1);
    let reference = [&[0.0; 60], &values[..40]].concat();
    let window = [&[0.0; 10], &values[40..]].concat();
    let expected = [
        0.525_744_627_120_551_8,
        0.251_916_792_511_819_4,
        0.592_472_286_461_184_5,
        0.4,
        3.377_570_652_571_202e-5,
    ];
    is(&reference, &window, expected);
}

#[test]
fn each_of_few_values_is_a_bin_of_its_own() {
    let (reference, window) = ([1.0, 1.0, 2.0, 3.0, 3.0, 3.0], [1.0, 3.0, 3.0, 4.0]);
    let expected = [
        3.214_890_896_518_382_4,
        0.383_916_735_428_836_36,
        0.649_933_683_619_681_4,
        0.25,
        0.995_238_095_238_095_3,
    ];
    is(&reference, &window, expected);
}

#[test]
fn counts_of_categories_are_compared_as_scipy_does() {
    for (window, reference, p_value) in [
        (&[20, 30, 50][..], &[30, 30, 40][..], 0.054_113_766_222_821_58),
        (&[5, 1, 0], &[10, 10, 10], 0.030_197_383_422_318_5),
        (&[50, 50], &[48, 52], 0.688_920_555_804_460_5),
        (&[9, 8, 7, 6, 5], &[5, 6, 7, 8, 9], 0.188_617_642_008_332_3),
        // Nobody has seen the second category before.
        (&[5, 1], &[10, 0], 0.0),
        (&[5, 5], &[7, 7], 1.0),
    ] {
        close(chi_squared(reference, window).unwrap(), p_value, 1e-12);
    }
    for (reference, window) in
        [(&[3][..], &[4][..]), (&[0, 0], &[1, 2]), (&[1, 2], &[0, 0]), (&[], &[])]
    {
        assert_eq!(chi_squared(reference, window), None);
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
fn the_asymptotic_p_value_goes_on_where_the_exact_one_ends() {
    // A shift that both see as rare: of 10,000 values it is counted, of 10,001 it is approximated.
    let sample = |count: u32, by: f64| {
        let values: Vec<f64> = (0..count).map(|k| f64::from(k) / f64::from(count) + by).collect();
        values
    };
    let p = |count| kolmogorov_smirnov(&sample(count, 0.0), &sample(500, 0.08)).p_value;
    let (exact, asymptotic) = (p(10_000), p(10_001));
    assert!(exact > 1e-4 && exact < 1e-2, "{exact}");
    assert!((asymptotic / exact - 1.0).abs() < 0.06, "{asymptotic} beside {exact}");
}

#[test]
fn a_sample_is_like_itself() {
    let values = spread(50, 0.3);
    let same = difference(&values, &values).unwrap();
    let nothing = KolmogorovSmirnov { statistic: 0.0, p_value: 1.0 };
    assert_eq!(same, Difference { psi: 0.0, test: nothing, wasserstein: 0.0, jensen_shannon: 0.0 });
}

#[test]
fn nothing_is_compared_with_nothing() {
    assert_eq!(difference(&[], &[1.0]), None);
    assert_eq!(difference(&[1.0], &[]), None);
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
fn the_largest_distance_is_what_a_hand_counts() {
    for (first, second, distance) in [
        (&[1.0, 2.0, 3.0][..], &[4.0, 5.0, 6.0][..], 1.0),
        (&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0], 0.5),
        (&[1.0, 1.0, 1.0, 2.0], &[1.0, 2.0], 0.25),
        (&[1.0], &[1.0, 1.0, 1.0], 0.0),
    ] {
        let one = kolmogorov_smirnov(first, second);
        close(one.statistic, distance, 1e-12);
        let other = kolmogorov_smirnov(second, first);
        assert_eq!(other.statistic, one.statistic, "from the other side");
        close(other.p_value, one.p_value, 1e-12);
    }
}

#[test]
fn the_probability_of_a_distance_is_what_a_hand_counts() {
    // Of the twenty orders of three and three, two leave all of one side before the other; of the six of two and two, the same.
    close(kolmogorov_smirnov(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).p_value, 0.1, 1e-12);
    close(kolmogorov_smirnov(&[1.0, 2.0], &[4.0, 5.0]).p_value, 1.0 / 3.0, 1e-12);
    // Of the ten of three and two.
    close(kolmogorov_smirnov(&[1.0, 2.0, 3.0], &[4.0, 5.0]).p_value, 0.2, 1e-12);
}

#[test]
fn another_unit_of_measure_changes_no_difference() {
    let (reference, [bent, ..]) = samples();
    let scaled = |sample: &[f64]| sample.iter().map(|x| 1024.0 * x - 512.0).collect::<Vec<_>>();
    let one = difference(&reference, &bent).unwrap();
    let other = difference(&scaled(&reference), &scaled(&bent)).unwrap();
    assert_eq!(one.test, other.test);
    close(other.psi, one.psi, 1e-12);
    close(other.wasserstein, one.wasserstein, 1e-9);
    close(other.jensen_shannon, one.jensen_shannon, 1e-12);
}

#[test]
fn the_same_distance_between_larger_samples_is_less_probable() {
    let times = |count: usize| {
        let (mut first, mut second) =
            ([1.0, 2.0, 3.0, 4.0].repeat(count), [3.0, 4.0, 5.0, 6.0].repeat(count));
        first.sort_by(f64::total_cmp);
        second.sort_by(f64::total_cmp);
        kolmogorov_smirnov(&first, &second)
    };
    let tests = [2, 4, 6, 8].map(times);
    assert!(tests.iter().all(|test| (test.statistic - 0.5).abs() < 1e-12), "{tests:?}");
    assert!(tests.is_sorted_by(|less, more| less.p_value > 3.0 * more.p_value), "{tests:?}");
}

#[test]
fn a_larger_distance_is_never_more_probable() {
    let survivals: Vec<f64> =
        (0..500).map(|step| kolmogorov_survival(f64::from(step) / 100.0)).collect();
    assert!(survivals.is_sorted_by(|nearer, farther| nearer >= farther));
    // Where one series gives way to the other.
    close(kolmogorov_survival(1.0 - 1e-9), kolmogorov_survival(1.0 + 1e-9), 1e-8);
}
