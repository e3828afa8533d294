//! How two samples differ: pure functions over finite numbers.
//!
//! Each but the discrepancy of vectors and the share beyond a range is defined as Evidently 0.7 defines its method of that name, which `scripts/check-drift.sh` compares: whoever runs that on
//! the same rows finds the same numbers.

mod beyond;
mod binned;
mod chi_squared;
mod discrepancy;
mod smirnov;
mod wasserstein;

pub use beyond::{beyond, range};
pub use binned::Shares;
pub use chi_squared::chi_squared;
pub use discrepancy::{discrepancy, witnesses};
pub use smirnov::KolmogorovSmirnov;

/// How a window differs from a reference in one feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The population stability index.
    pub psi: f64,
    pub test: KolmogorovSmirnov,
    /// The first Wasserstein distance, in standard deviations of the reference.
    pub wasserstein: f64,
    /// The Jensen-Shannon distance, natural logarithm: 0 to 0.833.
    pub jensen_shannon: f64,
}

/// Compares two samples in any order; None when one is empty.
pub fn difference(reference: &[f64], window: &[f64]) -> Option<Difference> {
    if reference.is_empty() || window.is_empty() {
        return None;
    }
    let (reference, window) = (sorted(reference), sorted(window));
    let shares = Shares::of_values(&reference, &window);
    Some(Difference {
        psi: shares.psi(),
        test: smirnov::kolmogorov_smirnov(&reference, &window),
        wasserstein: wasserstein::wasserstein(&reference, &window),
        jensen_shannon: shares.jensen_shannon(),
    })
}

/// The quantile `q` (0 to 1) of `values`, linear between neighbours; None of nothing.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    quantile_of_sorted(&sorted(values), q)
}

/// The same of values that rise.
pub fn quantile_of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q * sorted.len().checked_sub(1)? as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    Some(below + (above - below) * position.fract())
}

/// The values, rising.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
#[path = "statistics_tests.rs"]
mod tests;
