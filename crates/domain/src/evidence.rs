//! Whether answers that were found wrong speak against a bound on their rate, with a stated budget of false alarms.

/// What the evidence is cut at: whatever is more alarms anyway, and a product of many factors stays a number.
const EVIDENCE_MAX: f64 = 1e12;

/// A sequential test of whether more than a part of the answers is wrong, looked at after each of them and for as long as one likes.
///
/// The e-CUSUM of Shin, Ramdas and Rinaldo ("E-detectors: a nonparametric framework for sequential change detection", New England
/// Journal of Statistics in Data Science, 2024): a gambler bets on each answer at odds that are fair where the rate of errors is the
/// bound, and begins anew with 1 whenever less is left. While answers are wrong no more often than the bound allows, a bet loses on
/// average, and so on average at least `budget` answers pass until the gambler has `budget`: **that is how often it cries wolf, one
/// false alarm in `budget` answers at most**, whatever came before, however often it is looked at, and with no model of the errors but
/// that the next is wrong with the bound's probability at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorTest {
    /// What a wrong and a right answer multiply the evidence by.
    wrong: f64,
    right: f64,
    budget: f64,
}

/// What a sequence of answers comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Answers of which is known whether they were right.
    pub of: usize,
    /// Of them, those that were wrong.
    pub errors: usize,
    /// After the last: what the gambler has. 1 and less speaks for nothing.
    pub now: f64,
    /// The most that there was.
    pub peak: f64,
    /// Whether that is as much as the test asks for.
    pub is_alarm: bool,
}

impl ErrorTest {
    /// A test of whether more than the part `error_max` of all is wrong, with one false alarm in `budget` answers at most. None of a
    /// part that is not between 0 and 1, and of no budget.
    pub fn new(error_max: f64, budget: u32) -> Option<ErrorTest> {
        if !(error_max > 0.0 && error_max < 1.0) || budget == 0 {
            return None;
        }
        // The bet that grows fastest where errors are twice as frequent; of a high bound half the way to always.
        let worse = (2.0 * error_max).min((1.0 + error_max) / 2.0);
        let right = (1.0 - worse) / (1.0 - error_max);
        Some(ErrorTest { wrong: worse / error_max, right, budget: budget.into() })
    }

    /// What these answers come to, in their order; true: it was wrong.
    ///
    /// Of a later beginning there is never more evidence than of an earlier one at the same answer: whoever moves a window over the
    /// answers raises no alarm that the whole would not have raised.
    pub fn evidence(&self, answers: impl IntoIterator<Item = bool>) -> Evidence {
        let mut seen = Evidence::default();
        for is_wrong in answers {
            let factor = if is_wrong { self.wrong } else { self.right };
            seen.of += 1;
            seen.errors += usize::from(is_wrong);
            seen.now = (seen.now.max(1.0) * factor).min(EVIDENCE_MAX);
            seen.peak = seen.peak.max(seen.now);
        }
        seen.is_alarm = seen.peak >= self.budget;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform in [0, 1), by `SplitMix64`: the same from each seed.
    struct Chance(u64);

    impl Chance {
        fn draw(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (bits ^ (bits >> 31)) as f64 / 2_f64.powi(64)
        }
    }

    /// How many answers pass until the alarm, of a model that errs at that rate; `most` where it never comes.
    fn run(test: ErrorTest, rate: f64, most: usize, chance: &mut Chance) -> usize {
        let (mut evidence, mut answers) = (0.0_f64, 0);
        while answers < most && evidence < test.budget {
            let factor = if chance.draw() < rate { test.wrong } else { test.right };
            evidence = evidence.max(1.0) * factor;
            answers += 1;
        }
        answers
    }

    #[test]
    fn evidence_is_counted_by_hand() {
        // At a bound of 0.2 a wrong answer doubles it, and a right one leaves (1 - 0.4) / (1 - 0.2) of it.
        let test = ErrorTest::new(0.2, 4).unwrap();
        let seen = test.evidence([false, true, false, true, true]);
        let close =
            |value: f64, expected: f64| assert!((value - expected).abs() < 1e-12, "{value}");
        // 0.75; from 1 again 2, 1.5, 3, 6.
        close(seen.now, 6.0);
        close(seen.peak, 6.0);
        assert_eq!((seen.of, seen.errors, seen.is_alarm), (5, 3, true));
        assert!(!test.evidence([true, false, false]).is_alarm);
        // What was reached stays told, however right all answers are that follow.
        let later = test.evidence([true, true, true].into_iter().chain([false; 50]));
        assert!(later.is_alarm && later.now < 1.0);
        assert_eq!(test.evidence([]), Evidence::default());
    }

    #[test]
    fn a_bound_that_is_none_is_no_test() {
        for bad in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(ErrorTest::new(bad, 100), None, "{bad}");
        }
        assert_eq!(ErrorTest::new(0.1, 0), None);
        // Odds are fair at the bound, also where twice as many errors would be all.
        for bound in [0.01, 0.2, 0.5, 0.9] {
            let test = ErrorTest::new(bound, 100).unwrap();
            let mean = bound * test.wrong + (1.0 - bound) * test.right;
            assert!((mean - 1.0).abs() < 1e-12 && test.right > 0.0, "{bound}: {mean}");
        }
    }

    #[test]
    fn a_model_that_errs_as_often_as_it_may_cries_wolf_no_oftener_than_the_budget_allows() {
        const BUDGET: u32 = 100;
        const RUNS: usize = 400;
        let mut chance = Chance(7);
        for bound in [0.02, 0.1, 0.3] {
            let test = ErrorTest::new(bound, BUDGET).unwrap();
            for rate in [bound, bound / 2.0] {
                // Runs that are cut count as shorter than they are.
                let all: usize = (0..RUNS).map(|_| run(test, rate, 5_000, &mut chance)).sum();
                let mean = all as f64 / RUNS as f64;
                assert!(mean >= f64::from(BUDGET), "{bound} {rate}: {mean} answers");
            }
        }
    }

    #[test]
    fn a_model_that_errs_three_times_as_often_is_told_soon() {
        let mut chance = Chance(11);
        for (bound, within) in [(0.05, 250), (0.1, 120), (0.3, 40)] {
            let test = ErrorTest::new(bound, 1000).unwrap();
            let mut runs: Vec<usize> =
                (0..101).map(|_| run(test, 3.0 * bound, 10_000, &mut chance)).collect();
            runs.sort_unstable();
            assert!(runs[50] <= within, "{bound}: {} answers", runs[50]);
        }
    }

    #[test]
    fn a_window_that_moves_raises_no_alarm_that_the_whole_would_not_have() {
        let test = ErrorTest::new(0.1, 20).unwrap();
        let mut chance = Chance(3);
        for _ in 0..50 {
            let answers: Vec<bool> = (0..300).map(|_| chance.draw() < 0.15).collect();
            let whole = test.evidence(answers.iter().copied());
            for from in 0..answers.len() {
                let late = test.evidence(answers[from..].iter().copied());
                assert!(late.now <= whole.now && late.peak <= whole.peak, "from {from}");
            }
        }
    }
}
