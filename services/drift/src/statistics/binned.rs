//! Measures over the shares that two samples have of the same bins.

/// Up to so many different values of the reference, each value is a bin of its own.
const DISTINCT_MAX: usize = 20;

/// What an empty bin is taken to hold: without it, one would make the stability index infinite.
const SHARE_OF_NOTHING: f64 = 1e-4;
/// Where a sample is so large that a bin may hold less than that, it is the least share divided by this.
const LESS_THAN_THE_LEAST: f64 = 1e6;

/// The shares of reference and window in each bin; a bin that both leave empty is in it, too.
pub struct Shares {
    reference: Vec<f64>,
    window: Vec<f64>,
}

impl Shares {
    /// Of two rising samples of at least one value each: over bins of equal width between the least and the greatest of both
    /// (as many as Sturges 1926 says), or over single values where the reference has few different ones.
    pub fn of_values(reference: &[f64], window: &[f64]) -> Shares {
        let least = reference[0].min(window[0]);
        let greatest = reference[reference.len() - 1].max(window[window.len() - 1]);
        let [of_reference, of_window] = if distinct(reference) > DISTINCT_MAX {
            let edges = edges(least, greatest, reference.len() + window.len());
            [reference, window].map(|sample| counts_between(&edges, sample))
        } else {
            let values = values_of_both(reference, window);
            [reference, window].map(|sample| counts_of_each(&values, sample))
        };
        Shares::of_counts(&of_reference, &of_window)
    }

    /// Of counts in the same bins, or of the same categories; neither side may count nothing.
    pub fn of_counts(reference: &[usize], window: &[usize]) -> Shares {
        Shares { reference: shares(reference), window: shares(window) }
    }

    /// The population stability index: the sum of (p - q) ln(p / q) over the shares p of the reference and q of the window, where
    /// what is empty counts a little.
    pub fn psi(&self) -> f64 {
        let (reference, window) = (filled(&self.reference), filled(&self.window));
        reference.iter().zip(&window).map(|(p, q)| (p - q) * (p / q).ln()).sum()
    }

    /// The Jensen-Shannon distance: the root of the divergence, with the natural logarithm.
    pub fn jensen_shannon(&self) -> f64 {
        let both = self.reference.iter().zip(&self.window);
        let halves = both.map(|(p, q)| {
            let middle = (p + q) / 2.0;
            relative_entropy(*p, middle) + relative_entropy(*q, middle)
        });
        // Rounding may leave less than nothing between samples that are alike.
        (halves.sum::<f64>() / 2.0).max(0.0).sqrt()
    }
}

fn relative_entropy(share: f64, of: f64) -> f64 {
    if share > 0.0 { share * (share / of).ln() } else { 0.0 }
}

fn shares(counts: &[usize]) -> Vec<f64> {
    let all = counts.iter().sum::<usize>() as f64;
    counts.iter().map(|&count| count as f64 / all).collect()
}

fn filled(shares: &[f64]) -> Vec<f64> {
    let held = shares.iter().copied().filter(|share| *share > 0.0);
    let least = held.fold(f64::INFINITY, f64::min);
    let little =
        if least <= SHARE_OF_NOTHING { least / LESS_THAN_THE_LEAST } else { SHARE_OF_NOTHING };
    shares.iter().map(|&share| if share > 0.0 { share } else { little }).collect()
}

fn distinct(sorted: &[f64]) -> usize {
    1 + sorted.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Computed step by step as NumPy does: which side of an edge a value lies on may hang on the last digit.
fn edges(least: f64, greatest: f64, values: usize) -> Vec<f64> {
    let range = greatest - least;
    let width = range / ((values as f64).log2() + 1.0);
    let bins = (range / width).ceil();
    let step = range / bins;
    let inner = (0..bins as usize).map(|edge| edge as f64 * step + least);
    inner.chain([greatest]).collect()
}

/// A bin takes its lower edge, the last one both.
fn counts_between(edges: &[f64], sorted: &[f64]) -> Vec<usize> {
    let last = edges.len() - 1;
    let below = |edge: usize| match edge {
        edge if edge == last => sorted.partition_point(|value| *value <= edges[edge]),
        edge => sorted.partition_point(|value| *value < edges[edge]),
    };
    (0..last).map(|bin| below(bin + 1) - below(bin)).collect()
}

fn values_of_both(reference: &[f64], window: &[f64]) -> Vec<f64> {
    let mut values = [reference, window].concat();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

fn counts_of_each(values: &[f64], sorted: &[f64]) -> Vec<usize> {
    let up_to = |value: f64| sorted.partition_point(|one| *one <= value);
    let below = |value: f64| sorted.partition_point(|one| *one < value);
    values.iter().map(|value| up_to(*value) - below(*value)).collect()
}
