use imaging::{DICE_FEATURES, DicePredictor};

/// A sample of the regression: a scan with a finding that the model had not learned from.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Scans of one patient are alike: they stay together.
    pub patient: usize,
    /// The regression's inputs; see [`imaging::dice_features`].
    pub features: [f64; DICE_FEATURES],
    /// The Dice that its mask reached in truth.
    pub dice: f64,
}

/// The part of the scans that an interval is to cover.
pub const COVERED: f64 = 0.9;
/// Fewer scans say too little about the next.
const SAMPLES_MIN: usize = 8;
/// Patients are left out in so many groups.
const FOLDS: usize = 10;
/// Keeps a fit to few samples from running off.
const RIDGE: f64 = 1e-3;

/// The samples of the patients in a group, and all others.
fn parted(samples: &[Sample], fold: usize) -> (Vec<Sample>, Vec<Sample>) {
    samples.iter().partition(|sample| sample.patient % FOLDS == fold)
}

/// Fits what can be predicted of a mask's Dice without a truth: a line through all samples, with the errors of lines that
/// were drawn without the patient (cross-conformal prediction, Vovk 2015). None of too few samples.
pub fn fit(samples: &[Sample]) -> Option<DicePredictor> {
    if samples.len() < SAMPLES_MIN {
        return None;
    }
    let mut errors = Vec::new();
    for fold in 0..FOLDS {
        let (held_out, others) = parted(samples, fold);
        let line = DicePredictor { weights: line(&others), errors: [0.0; 2] };
        errors.extend(held_out.iter().map(|sample| {
            let dice = line.dice(sample.features);
            (sample.dice - dice) / DicePredictor::scale(dice)
        }));
    }
    errors.sort_by(f64::total_cmp);
    // The ranks that hold for the next scan, too: of n + 1, not of n.
    let tail = (1.0 - COVERED) / 2.0 * (errors.len() + 1) as f64;
    let below = (tail.floor() as usize).max(1) - 1;
    Some(DicePredictor {
        weights: line(samples),
        errors: [errors[below], errors[errors.len() - 1 - below]],
    })
}

/// The weights of least squares, slightly drawn towards zero.
fn line(samples: &[Sample]) -> [f64; DICE_FEATURES] {
    let mut matrix = [[0.0; DICE_FEATURES + 1]; DICE_FEATURES];
    for (at, row) in matrix.iter_mut().enumerate() {
        row[at] = RIDGE * samples.len().max(1) as f64;
        for sample in samples {
            for (cell, feature) in row.iter_mut().zip(sample.features) {
                *cell += sample.features[at] * feature;
            }
            row[DICE_FEATURES] += sample.features[at] * sample.dice;
        }
    }
    // Gauss's elimination: the ridge keeps every pivot above zero.
    for column in 0..DICE_FEATURES {
        let pivot = matrix[column].map(|cell| cell / matrix[column][column]);
        matrix[column] = pivot;
        for (_, other) in matrix.iter_mut().enumerate().filter(|(row, _)| *row != column) {
            let factor = other[column];
            other.iter_mut().zip(pivot).for_each(|(cell, part)| *cell -= factor * part);
        }
    }
    matrix.map(|row| row[DICE_FEATURES])
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Scans whose Dice follows one sign, but for errors that grow where little is expected.
    fn samples(count: usize, seed: u64) -> Vec<Sample> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sample = |patient: usize| {
            let soft: f64 = random.random_range(0.4..0.95);
            let error: f64 = random.random_range(-0.5..0.5);
            let dice = (0.1 + 0.8 * soft) + error * (1.0 - soft);
            let features = [1.0, soft, random.random_range(-3.0..-1.0)];
            Sample { patient: patient / 3, features, dice: dice.clamp(0.0, 1.0) }
        };
        (0..count).map(&mut sample).collect()
    }

    #[test]
    fn nine_in_ten_of_new_scans_lie_in_their_interval() {
        let model = fit(&samples(600, 1)).unwrap();
        assert!((model.weights[1] - 0.8).abs() < 0.1 && model.weights[2].abs() < 0.02, "{model:?}");
        let new = samples(2000, 2);
        let covered = new.iter().filter(|sample| {
            let [from, to] = model.expected(sample.features).interval;
            (from..=to).contains(&sample.dice)
        });
        let part = covered.count() as f64 / 2000.0;
        assert!((0.87..=0.93).contains(&part), "{part}");
    }

    #[test]
    fn an_interval_is_narrow_where_much_is_expected() {
        let model = fit(&samples(600, 1)).unwrap();
        let width = |soft: f64| {
            let [from, to] = model.expected([1.0, soft, -2.0]).interval;
            to - from
        };
        assert!(width(0.9) < 0.6 * width(0.6), "{} {}", width(0.9), width(0.6));
    }

    #[test]
    fn of_a_few_scans_nothing_is_said() {
        assert_eq!(fit(&samples(SAMPLES_MIN - 1, 1)), None);
    }
}
