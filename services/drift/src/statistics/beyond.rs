use std::ops::RangeInclusive;

/// By how much of the outermost value another one has to pass it: files round.
const ROUNDING: f64 = 0.02;

/// How much of a window lies beyond all values of a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beyond {
    /// From 0 to 1.
    pub share: f64,
    /// How improbable it is that so many do, or more, of samples that are alike.
    pub p_value: f64,
}

/// Looks for values beyond the least and the greatest of the reference; None when one is empty.
///
/// The p-value is exact where no two values are equal, whatever they are distributed like, and too large otherwise.
pub fn beyond(reference: &[f64], window: &[f64]) -> Option<Beyond> {
    let trained = range(reference)?;
    let count = window.iter().filter(|value| !trained.contains(*value)).count();
    (!window.is_empty()).then(|| Beyond {
        share: count as f64 / window.len() as f64,
        p_value: p_value(reference.len(), window.len(), count),
    })
}

/// Where values lie that are not beyond those of the reference; None when it is empty.
pub fn range(reference: &[f64]) -> Option<RangeInclusive<f64>> {
    let least = reference.iter().copied().min_by(f64::total_cmp)?;
    let greatest = reference.iter().copied().max_by(f64::total_cmp)?;
    Some(least - ROUNDING * least.abs()..=greatest + ROUNDING * greatest.abs())
}

/// The probability that of `n` values `least` or more lie beyond the range of `m` others that are drawn alike: all orders of both are
/// equally probable, and j of the n stand outside in (j + 1) C(m + n - j - 2, m - 2) of C(m + n, m).
fn p_value(m: usize, n: usize, least: usize) -> f64 {
    // One value has no range.
    if least == 0 || m < 2 {
        return 1.0;
    }
    let all = (m + n) as f64;
    let mut of_j = m as f64 * (m - 1) as f64 / (all * (all - 1.0));
    let mut sum = 0.0;
    for j in 0..=n {
        if j >= least {
            sum += of_j;
        }
        let (within, j) = ((n - j) as f64, j as f64);
        of_j *= (j + 2.0) / (j + 1.0) * within / (all - j - 2.0);
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by counting all orders of both, as bits: 1 is one of the others.
    fn counted(m: u32, n: u32, least: u32) -> f64 {
        let orders = (0_u32..1 << (m + n)).filter(|order| order.count_ones() == m);
        let outside = |order: &u32| order.trailing_zeros() + m + n - (32 - order.leading_zeros());
        let of_all: Vec<u32> = orders.map(|order| outside(&order)).collect();
        of_all.iter().filter(|outside| **outside >= least).count() as f64 / of_all.len() as f64
    }

    #[test]
    fn the_probability_is_the_share_of_all_orders() {
        for (m, n) in [(2, 3), (4, 3), (5, 8), (9, 4)] {
            for least in 0..=n {
                let found = p_value(m as usize, n as usize, least as usize);
                let expected = counted(m, n, least);
                assert!((found - expected).abs() < 1e-12, "{m} {n} {least}: {found} {expected}");
            }
        }
    }

    #[test]
    fn what_is_within_or_rounded_is_not_beyond() {
        let trained = [256.0, 512.0, 512.0, 256.0];
        let share = |window: &[f64]| beyond(&trained, window).map(|found| found.share);
        assert_eq!(share(&[512.0; 40]), Some(0.0));
        assert_eq!(share(&[320.0, 256.0, 1024.0, 128.0]), Some(0.5));
        assert_eq!(
            beyond(&[0.468_75; 40], &[0.4688; 40]).unwrap(),
            Beyond { share: 0.0, p_value: 1.0 }
        );
        assert_eq!((share(&[]), beyond(&[], &[1.0])), (None, None));
        // One site's scans of another size, beside many of the training.
        assert!(beyond(&[256.0; 500], &[320.0; 30]).unwrap().p_value < 1e-30);
        assert_eq!(beyond(&[256.0], &[320.0; 30]).unwrap().p_value, 1.0);
    }
}
