use std::f64::consts::PI;

/// Where series and continued fraction have come as near as doubles go, and after how many terms they have for certain.
const NEAR: f64 = 1e-15;
const TERMS_MAX: usize = 10_000;

/// The p-value of Pearson's test that the window's counts of categories are distributed as the reference's are.
///
/// None with fewer than two categories, or where a side counts nothing. A category that the reference does not know makes it 0.
pub fn chi_squared(reference: &[usize], window: &[usize]) -> Option<f64> {
    let [of_reference, of_window] = [reference, window].map(|side| side.iter().sum::<usize>());
    if reference.len() < 2 || of_reference == 0 || of_window == 0 {
        return None;
    }
    let scale = of_window as f64 / of_reference as f64;
    let terms = reference.iter().zip(window).map(|(&reference, &window)| {
        let expected = reference as f64 * scale;
        (window as f64 - expected).powi(2) / expected
    });
    Some(survival(terms.sum(), reference.len() - 1))
}

/// How probable it is that a sum of `freedom` squares of normal numbers exceeds `x`.
fn survival(x: f64, freedom: usize) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    let (a, x) = (freedom as f64 / 2.0, x / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma_of_half(freedom)).exp();
    if x < a + 1.0 { 1.0 - scale * series(a, x) } else { scale * fraction(a, x) }
}

/// The logarithm of the gamma function of half of `twice`.
fn ln_gamma_of_half(twice: usize) -> f64 {
    let first = if twice.is_multiple_of(2) { 0.0 } else { PI.sqrt().ln() };
    let start = if twice.is_multiple_of(2) { 2 } else { 1 };
    first + (start..twice).step_by(2).map(|k| (k as f64 / 2.0).ln()).sum::<f64>()
}

/// The lower incomplete gamma function by its series, without its scale.
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0 / a, 1.0 / a);
    for k in 1..TERMS_MAX {
        term *= x / (a + k as f64);
        sum += term;
        if term < sum * NEAR {
            break;
        }
    }
    sum
}

/// The upper one by its continued fraction, in Lentz's way.
fn fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (f64::MAX, 1.0 / b);
    let mut value = d;
    for k in 1..TERMS_MAX {
        let k = k as f64;
        let numerator = -k * (k - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let step = c * d;
        value *= step;
        if (step - 1.0).abs() < NEAR {
            break;
        }
    }
    value
}
