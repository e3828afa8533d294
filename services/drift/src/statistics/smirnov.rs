//! The two-sample Kolmogorov-Smirnov test, as SciPy has it: exact up to ten thousand values a side.

use std::f64::consts::PI;

/// Samples beyond that have the asymptotic p-value.
const EXACT_MAX: usize = 10_000;

/// A two-sample Kolmogorov-Smirnov test, two-sided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// The largest distance between the two distribution functions, 0 to 1.
    pub statistic: f64,
    /// How probable a distance at least as large is between samples of one distribution.
    pub p_value: f64,
}

/// Compares two rising samples of at least one value each.
///
/// The p-value is exact (Hodges 1958) where no sample has more than ten thousand values. Beyond that it is Kolmogorov's asymptotic one
/// at the effective size n m / (n + m), with the correction of Stephens (1970).
pub fn kolmogorov_smirnov(first: &[f64], second: &[f64]) -> KolmogorovSmirnov {
    let distance = largest_distance(first, second);
    let (n, m) = (first.len(), second.len());
    if n.max(m) > EXACT_MAX {
        return KolmogorovSmirnov { statistic: distance, p_value: asymptotic(distance, n, m) };
    }
    let divisor = greatest_common_divisor(n, m);
    let multiple = n / divisor * m;
    // Both functions change in steps of 1 / n and 1 / m: the distance is a whole number of their common part.
    let steps = (distance * multiple as f64).round() as usize;
    let p_value = match steps {
        0 => 1.0,
        steps if n == m => outside_of_a_square(n, steps),
        steps => outside(n.max(m), n.min(m), divisor, steps),
    };
    KolmogorovSmirnov {
        statistic: steps as f64 / multiple as f64,
        p_value: p_value.clamp(0.0, 1.0),
    }
}

fn largest_distance(first: &[f64], second: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < first.len() && j < second.len() {
        // Ties are stepped over together: between them the functions have no value.
        let at = first[i].min(second[j]);
        i += first[i..].iter().take_while(|value| **value <= at).count();
        j += second[j..].iter().take_while(|value| **value <= at).count();
        let distance = i as f64 / first.len() as f64 - j as f64 / second.len() as f64;
        largest = largest.max(distance.abs());
    }
    largest
}

fn greatest_common_divisor(n: usize, m: usize) -> usize {
    if m == 0 { n } else { greatest_common_divisor(m, n % m) }
}

/// The part of the lattice paths from (0, 0) to (n, n) that go as far from the diagonal as `steps`.
///
/// The alternating sum of binomials over binom(2n, n), each term divided before it is added, innermost first: nothing cancels.
fn outside_of_a_square(n: usize, steps: usize) -> f64 {
    let terms = (0..=n / steps).rev();
    let sum = terms.fold(0.0, |inner, term| {
        let far = term * steps;
        let part = (0..steps).fold(1.0, |part, j| {
            // Beyond the corner there is no path.
            n.saturating_sub(far + j) as f64 * part / (n + far + j + 1) as f64
        });
        part * (1.0 - inner)
    });
    2.0 * sum
}

/// The part of the lattice paths from (0, 0) to (m, n) that go as far from the diagonal as `steps` of 1 / lcm(m, n); m is the
/// larger.
///
/// Column by column, the part of the paths to each point that have gone so far; only points between the two lines are kept, for beyond
/// them it is all.
fn outside(m: usize, n: usize, divisor: usize, steps: usize) -> f64 {
    let (along, across) = (m / divisor, n / divisor);
    let mut from = 0;
    let mut to = steps.div_ceil(along).min(n + 1);
    let mut column = vec![1.0; (2 * to + 2).min(n + 1)];
    column[from..to].fill(0.0);
    for i in 1..=m {
        let (from_before, length_before) = (from, to - from);
        let first = (across * i).checked_sub(steps).map_or(0, |least| least / along + 1);
        from = first.min(n);
        to = (across * i + steps).div_ceil(along).min(n + 1);
        if to <= from {
            return 1.0;
        }
        let mut part = if from == 0 { 0.0 } else { 1.0 };
        for j in from..to {
            let before = column[j - from_before];
            part = (before * i as f64 + part * j as f64) / (i + j) as f64;
            column[j - from] = part;
        }
        let length = to - from;
        if length_before > length {
            column[length..length_before].fill(1.0);
        }
    }
    column[to - from - 1]
}

fn asymptotic(distance: f64, n: usize, m: usize) -> f64 {
    let (n, m) = (n as f64, m as f64);
    let root = (n * m / (n + m)).sqrt();
    kolmogorov_survival((root + 0.12 + 0.11 / root) * distance)
}

/// The probability that Kolmogorov's limiting distribution exceeds `x`.
pub(super) fn kolmogorov_survival(x: f64) -> f64 {
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
