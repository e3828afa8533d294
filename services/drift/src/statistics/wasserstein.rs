/// The least deviation that distances are measured in: a reference of equal values would make each infinite.
const DEVIATION_MIN: f64 = 0.001;

/// The first Wasserstein distance (the area between the two distribution functions) of two rising samples, in standard deviations
/// of the reference.
pub fn wasserstein(reference: &[f64], window: &[f64]) -> f64 {
    let (mut i, mut j, mut area) = (0, 0, 0.0);
    let mut at = reference[0].min(window[0]);
    while i < reference.len() || j < window.len() {
        let next = [reference.get(i), window.get(j)];
        let value = next.into_iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let gap = i as f64 / reference.len() as f64 - j as f64 / window.len() as f64;
        area += gap.abs() * (value - at);
        i += usize::from(next[0].is_some_and(|one| *one <= value));
        j += usize::from(next[1].is_some_and(|one| *one <= value));
        at = value;
    }
    area / deviation(reference).max(DEVIATION_MIN)
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}
