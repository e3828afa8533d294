//! What classifies kinds of image: a linear layer on what the network knows of the whole image.
//!
//! It is no part of the network: its features are the bottleneck's, averaged over the image, and the network is trained
//! without it. So it is fitted afterwards, in seconds, to any weights.

/// One row of weights and one bias for each kind.
#[derive(Clone, Debug, PartialEq)]
pub struct KindHead {
    /// One row for each kind; as long as there are features.
    pub weights: Vec<Vec<f32>>,
    /// One for each kind, in the same order.
    pub biases: Vec<f32>,
}

/// Draws weights towards zero, so that classes that are far apart do not make it too sure.
const RIDGE: f64 = 0.01;
/// Of accelerated gradient descent, which by then has converged to the last digit that matters.
const STEPS: usize = 400;
const POWER_STEPS: usize = 30;

impl KindHead {
    /// The probability of each kind, of an image with these features.
    pub fn probabilities(&self, features: &[f32]) -> Vec<f32> {
        let logit = |(weights, bias): (&Vec<f32>, &f32)| {
            bias + weights.iter().zip(features).map(|(weight, value)| weight * value).sum::<f32>()
        };
        softmax(self.weights.iter().zip(&self.biases).map(logit).collect())
    }

    /// Fits it by logistic regression to images of `kinds` kinds: the features of each, and the number of its kind. The
    /// same images give the same head.
    ///
    /// None with fewer than two kinds among them.
    pub fn fit(images: &[(Vec<f32>, usize)], kinds: usize) -> Option<KindHead> {
        let present = |kind: &usize| images.iter().any(|(_, of)| of == kind);
        if kinds < 2 || !(0..kinds).all(|kind| present(&kind)) {
            return None;
        }
        let scale = Scale::of(images);
        let rows: Vec<(Vec<f64>, usize)> =
            images.iter().map(|(features, kind)| (scale.applied(features), *kind)).collect();
        // As many of each kind as of the other, however many there are.
        let shares: Vec<f64> = (0..kinds)
            .map(|kind| {
                let count = rows.iter().filter(|(_, of)| *of == kind).count();
                1.0 / (count * kinds) as f64
            })
            .collect();
        let fitted = descended(&rows, &shares);
        Some(scale.undone(&fitted))
    }
}

fn softmax(logits: Vec<f32>) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.into_iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Each feature's mean and deviation.
struct Scale {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Scale {
    fn of(images: &[(Vec<f32>, usize)]) -> Scale {
        let count = images.len() as f64;
        let mut means = vec![0.0; images[0].0.len()];
        let mut squares = means.clone();
        for (features, _) in images {
            for ((mean, square), value) in means.iter_mut().zip(&mut squares).zip(features) {
                let value = f64::from(*value);
                *mean += value / count;
                *square += value * value / count;
            }
        }
        let deviation = |(mean, square): (&f64, f64)| (square - mean * mean).max(0.0).sqrt();
        let deviations = means.iter().zip(squares).map(deviation);
        // A feature that is always the same tells nothing.
        let deviations = deviations.map(|sd| if sd > 1e-9 { sd } else { f64::INFINITY });
        Scale { deviations: deviations.collect(), means }
    }

    /// With a one for the bias.
    fn applied(&self, features: &[f32]) -> Vec<f64> {
        let scales = self.means.iter().zip(&self.deviations);
        let scaled = features.iter().zip(scales).map(|(v, (mean, sd))| (f64::from(*v) - mean) / sd);
        scaled.chain([1.0]).collect()
    }

    /// The same head for features as they are.
    fn undone(&self, fitted: &[Vec<f64>]) -> KindHead {
        let scales = || self.means.iter().zip(&self.deviations);
        let weights = fitted.iter().map(|row| {
            row.iter().zip(scales()).map(|(weight, (_, sd))| (weight / sd) as f32).collect()
        });
        let biases = fitted.iter().map(|row| {
            let moved = row.iter().zip(scales()).map(|(weight, (mean, sd))| weight * mean / sd);
            (row[row.len() - 1] - moved.sum::<f64>()) as f32
        });
        KindHead { weights: weights.collect(), biases: biases.collect() }
    }
}

/// Nesterov's descent on the mean cross-entropy, each image weighted by its kind's share.
fn descended(rows: &[(Vec<f64>, usize)], shares: &[f64]) -> Vec<Vec<f64>> {
    let width = rows[0].0.len();
    // Half of the largest curvature of a softmax is its bound.
    let rate = 1.0 / (0.5 * curvature(rows, shares) + RIDGE);
    let mut at = vec![vec![0.0; width]; shares.len()];
    let mut ahead = at.clone();
    for step in 0..STEPS {
        let slope = gradient(rows, shares, &ahead);
        let momentum = step as f64 / (step + 3) as f64;
        for ((at, ahead), slope) in at.iter_mut().zip(&mut ahead).zip(&slope) {
            for ((at, ahead), slope) in at.iter_mut().zip(ahead).zip(slope) {
                let next = *ahead - rate * slope;
                *ahead = next + momentum * (next - *at);
                *at = next;
            }
        }
    }
    at
}

fn gradient(rows: &[(Vec<f64>, usize)], shares: &[f64], weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    // The bias, which stands last, is not drawn to zero.
    let drawn = |row: &Vec<f64>| {
        let last = row.len() - 1;
        row.iter().enumerate().map(|(i, w)| if i == last { 0.0 } else { RIDGE * w }).collect()
    };
    let mut slope: Vec<Vec<f64>> = weights.iter().map(drawn).collect();
    for (values, kind) in rows {
        let logits = weights.iter().map(|row| dot(row, values) as f32).collect();
        for ((of, p), slope) in softmax(logits).into_iter().enumerate().zip(&mut slope) {
            let error = shares[*kind] * (f64::from(p) - f64::from(u8::from(of == *kind)));
            slope.iter_mut().zip(values).for_each(|(slope, value)| *slope += error * value);
        }
    }
    slope
}

/// The largest eigenvalue of the features' weighted scatter, by the power method.
fn curvature(rows: &[(Vec<f64>, usize)], shares: &[f64]) -> f64 {
    let mut direction = vec![1.0; rows[0].0.len()];
    let mut length = 0.0;
    for _ in 0..POWER_STEPS {
        let mut next = vec![0.0; direction.len()];
        for (values, kind) in rows {
            let along = shares[*kind] * dot(values, &direction);
            next.iter_mut().zip(values).for_each(|(next, value)| *next += along * value);
        }
        length = dot(&next, &next).sqrt();
        direction = next.into_iter().map(|part| part / length).collect();
    }
    length
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Images of two kinds, one of them ten times rarer, that differ in one feature of five; another is always the same.
    fn images(seed: u64) -> Vec<(Vec<f32>, usize)> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut image = |index: usize| {
            let kind = usize::from(index.is_multiple_of(10));
            let mut features: Vec<f32> = (0..5).map(|_| random.random_range(-1.0..1.0)).collect();
            features[2] = 100.0 + 3.0 * kind as f32 + random.random_range(-1.0..1.0);
            features[4] = 7.0;
            (features, kind)
        };
        (0..400).map(&mut image).collect()
    }

    #[test]
    fn what_differs_in_one_feature_is_told_by_it() {
        let head = KindHead::fit(&images(1), 2).unwrap();
        let mut right = Vec::new();
        for (features, kind) in images(2) {
            let p = head.probabilities(&features);
            // The nearest to the border lie a sixth of the way from it.
            assert!(p[kind] > 0.6 && (p.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{p:?}");
            right.push(p[kind]);
        }
        assert!(right.iter().sum::<f32>() / right.len() as f32 > 0.9);
        let row = &head.weights[1];
        assert!(row[2] > 5.0 * row[0].abs() && row[4] == 0.0, "{row:?}");
        assert_eq!(KindHead::fit(&images(1), 2), Some(head));
    }

    #[test]
    fn what_lies_between_two_kinds_is_not_sure() {
        let head = KindHead::fit(&images(1), 2).unwrap();
        let p = head.probabilities(&[0.0, 0.0, 101.5, 0.0, 7.0]);
        assert!((p[0] - 0.5).abs() < 0.1, "{p:?}");
    }

    #[test]
    fn of_one_kind_nothing_can_be_told() {
        let images: Vec<_> = images(1).into_iter().filter(|(_, kind)| *kind == 0).collect();
        assert_eq!(KindHead::fit(&images, 2), None);
        assert_eq!(KindHead::fit(&images, 1), None);
    }

    #[test]
    fn logits_of_any_size_are_probabilities() {
        let head = |weights: &[f32]| KindHead {
            weights: weights.iter().map(|weight| vec![*weight]).collect(),
            biases: vec![0.0; weights.len()],
        };
        assert_eq!(head(&[1000.0, -1000.0]).probabilities(&[1.0]), [1.0, 0.0]);
        assert_eq!(head(&[1000.0, -1000.0]).probabilities(&[-1.0]), [0.0, 1.0]);
        assert_eq!(head(&[500.0; 4]).probabilities(&[2.0]), [0.25; 4]);
        // Logits of nought and of the logarithm of three.
        let p = head(&[0.0, 3.0_f32.ln()]).probabilities(&[1.0]);
        assert!((p[0] - 0.25).abs() < 1e-6 && (p[1] - 0.75).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn three_kinds_are_told_apart_and_one_that_nobody_showed_is_not() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        // Corners of a triangle.
        let corners = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]];
        let mut image = |index: usize| {
            let kind = index % 3;
            let features = corners[kind].map(|at: f32| at + random.random_range(-1.0..1.0));
            (features.to_vec(), kind)
        };
        let images: Vec<_> = (0..150).map(&mut image).collect();
        let head = KindHead::fit(&images, 3).unwrap();
        for (kind, corner) in corners.iter().enumerate() {
            let p = head.probabilities(corner);
            assert!(p[kind] > 0.9 && (p.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{kind}: {p:?}");
        }
        assert_eq!(KindHead::fit(&images, 4), None);
    }
}
