//! Figures in which reviewed scans stand for those that nobody has reviewed; pure.
//!
//! What is reviewed is not drawn by chance: readers look at what they doubt. Within a stratum of scans of one answer, of which the
//! model is about as sure, a scan is as likely to be reviewed as any other, as far as anybody knows; so each that was reviewed counts
//! as many times as there are scans for each reviewed one (inverse probability of review: Horvitz and Thompson 1952, over the sum of
//! the weights as in Hájek 1971). Of a stratum in which nothing was reviewed nothing is known: `covered` says how much that is.

use std::collections::BTreeMap;

use domain::Answer;
use domain::feedback::Truth;
use domain::statistics::{WeightedRate, weighted_mean};

use super::groups::Stratum;
use super::reviewed::Reviewed;

/// The bootstrap's seed: the same scans have the same interval.
pub const SEED: u64 = 1;

/// The figures of a group by weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    pub far: Option<WeightedRate>,
    pub frr: Option<WeightedRate>,
    pub agree: Option<WeightedRate>,
    /// With its 95 % interval.
    pub dice: Option<(f64, [f64; 2])>,
    /// The part of the scans that are in a stratum of which anything was reviewed.
    pub covered: f64,
}

impl Weighted {
    /// Of reviewed scans, and how many scans there are of each stratum. None where nothing was reviewed.
    pub fn of(reviewed: &[&Reviewed], scans: &BTreeMap<Stratum, usize>) -> Option<Weighted> {
        if reviewed.is_empty() {
            return None;
        }
        let strata = Strata::of(reviewed, scans);
        let weighed: Vec<(&Reviewed, f64)> =
            reviewed.iter().map(|scan| (*scan, strata.weight(scan))).collect();
        let agree = weighed.iter().filter_map(|(scan, weight)| Some((scan.is_agreed()?, *weight)));
        let dice: Vec<(f64, f64)> =
            weighed.iter().filter_map(|(scan, weight)| Some((scan.dice()?, *weight))).collect();
        Some(Weighted {
            far: answered(&weighed, Truth::NoTumour, Answer::Found),
            frr: answered(&weighed, Truth::Tumour, Answer::NoneFound),
            agree: WeightedRate::new(agree),
            dice: weighted_mean(&dice, SEED),
            covered: strata.covered(),
        })
    }
}

/// How often that was the answer, of the scans of which that is the truth.
fn answered(weighed: &[(&Reviewed, f64)], truth: Truth, answer: Answer) -> Option<WeightedRate> {
    let of = weighed.iter().filter(|(scan, _)| scan.truth() == Some(truth));
    WeightedRate::new(of.map(|(scan, weight)| (scan.answer == answer, *weight)))
}

/// Of each stratum how many scans there are, and how many of them were reviewed.
struct Strata(BTreeMap<Stratum, (usize, usize)>);

impl Strata {
    fn of(reviewed: &[&Reviewed], scans: &BTreeMap<Stratum, usize>) -> Strata {
        let mut strata: BTreeMap<Stratum, (usize, usize)> =
            scans.iter().map(|(stratum, scans)| (*stratum, (*scans, 0))).collect();
        for scan in reviewed {
            let (scans, reviewed) = strata.entry(scan.stratum()).or_default();
            *reviewed += 1;
            // What a pod of the version before has noted stands in another stratum: no scan counts less than once.
            *scans = (*scans).max(*reviewed);
        }
        Strata(strata)
    }

    fn weight(&self, scan: &Reviewed) -> f64 {
        match self.0.get(&scan.stratum()) {
            Some((scans, reviewed)) if *reviewed > 0 => *scans as f64 / *reviewed as f64,
            _ => 1.0,
        }
    }

    fn covered(&self) -> f64 {
        let all: usize = self.0.values().map(|(scans, _)| scans).sum();
        let known = self.0.values().filter(|(_, reviewed)| *reviewed > 0);
        let covered: usize = known.map(|(scans, _)| scans).sum();
        covered as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
