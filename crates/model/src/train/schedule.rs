use std::f64::consts::PI;

use crate::network::SIDE_MULTIPLE;

/// How long training lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// So many minutes of training, loading and validating not counted: whatever the machine, all of its time is used.
    Minutes(f64),
    /// So many pictures: whatever else the machine does, all of them are seen.
    Views(u64),
}

impl std::fmt::Display for Length {
    /// For cards: `30 minutes`, `590000 slices`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Length::Minutes(minutes) => write!(f, "{minutes} minutes"),
            Length::Views(views) => write!(f, "{views} slices"),
        }
    }
}

/// How far training has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gone {
    /// Pictures that were learned from.
    pub views: u64,
    /// Spent on training, over all runs that led here.
    pub seconds: f64,
}

/// What changes while training goes on: a function of the part that is done, and so of nothing that a machine's speed
/// could spoil.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// When all is done.
    pub length: Length,
    /// The side of the squares at the end, in pixels.
    pub side: usize,
    /// Whether training goes on from a finished model, which has seen small squares before.
    pub from_model: bool,
    /// The highest learning rate.
    pub rate: f64,
}

/// Steps over which the learning rate rises.
const WARM_STEPS: f64 = 300.0;
/// The learning rate at the end, as a part of the highest.
const RATE_END: f64 = 0.01;
/// Until here examples are varied in full; then only so much: the end is for the data as it is.
const VARIED_PART: f64 = 0.85;
const STRENGTH_END: f32 = 0.3;

impl Schedule {
    /// The part that is done, up to 1.
    pub fn done(&self, gone: Gone) -> f64 {
        let part = match self.length {
            Length::Minutes(minutes) => gone.seconds / (60.0 * minutes),
            Length::Views(views) => gone.views as f64 / views as f64,
        };
        part.min(1.0)
    }

    /// Small squares first: they show most of what there is to learn at a quarter of the cost.
    pub fn side(&self, done: f64) -> usize {
        // About as many views of each size, as time on a larger square goes faster than views.
        let [small, medium] = match self.length {
            Length::Minutes(_) => [0.15, 0.60],
            Length::Views(_) => [0.30, 0.75],
        };
        let side = match done {
            _ if done < small && !self.from_model => self.side / 2,
            _ if done < medium => self.side * 3 / 4,
            _ => self.side,
        };
        side.next_multiple_of(SIDE_MULTIPLE)
    }

    /// A rise over the first steps, then half a cosine down.
    pub fn rate(&self, step: u64, done: f64) -> f64 {
        let warm = ((step + 1) as f64 / WARM_STEPS).min(1.0);
        let cosine = 0.5 * (1.0 + (PI * done).cos());
        self.rate * warm * (RATE_END + (1.0 - RATE_END) * cosine)
    }

    /// How much pictures are varied, up to 1.
    pub fn strength(&self, done: f64) -> f32 {
        if done < VARIED_PART { 1.0 } else { STRENGTH_END }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(length: Length) -> Schedule {
        Schedule { length, side: 256, from_model: false, rate: 1e-3 }
    }

    #[test]
    fn a_fast_and_a_slow_machine_go_through_the_same_training() {
        let timed = schedule(Length::Minutes(10.0));
        for (part, side, strength) in
            [(0.1, 128, 1.0), (0.3, 192, 1.0), (0.7, 256, 1.0), (0.9, 256, 0.3)]
        {
            for views in [10, 1_000_000] {
                let done = timed.done(Gone { views, seconds: part * 600.0 });
                assert_eq!((timed.side(done), timed.strength(done)), (side, strength), "{part}");
            }
        }
        let counted = schedule(Length::Views(1000));
        assert_eq!(counted.done(Gone { views: 250, seconds: 1e6 }), 0.25);
        assert_eq!(counted.done(Gone { views: 1040, seconds: 0.0 }), 1.0);
    }

    #[test]
    fn the_rate_rises_once_and_falls_to_the_end() {
        let schedule = schedule(Length::Views(1000));
        let rates = [(0, 0.0), (150, 0.1), (299, 0.2), (400, 0.5), (900, 1.0)];
        let rates = rates.map(|(step, done)| schedule.rate(step, done));
        assert!(
            rates[0] < 1e-5 && rates[1] < rates[2] && rates[2] > rates[3] && rates[3] > rates[4]
        );
        assert!((rates[4] - 1e-5).abs() < 1e-9);
    }

    #[test]
    fn what_goes_on_from_a_model_does_not_begin_small() {
        let schedule = Schedule { from_model: true, ..schedule(Length::Views(1000)) };
        assert_eq!((schedule.side(0.0), schedule.side(0.8)), (192, 256));
    }

    #[test]
    fn every_side_fits_the_network_and_none_is_larger_than_the_last() {
        for side in (1..=32).map(|times| times * SIDE_MULTIPLE) {
            for length in [Length::Minutes(1.0), Length::Views(1)] {
                for from_model in [false, true] {
                    let schedule = Schedule { side, from_model, ..schedule(length) };
                    let sides = (0..=100).map(|part| schedule.side(f64::from(part) / 100.0));
                    let sides: Vec<usize> = sides.collect();
                    assert!(sides.is_sorted() && sides[100] == side, "{side}: {sides:?}");
                    let fits = |side: &usize| *side > 0 && side.is_multiple_of(SIDE_MULTIPLE);
                    assert!(sides.iter().all(fits), "{side}: {sides:?}");
                }
            }
        }
    }
}
