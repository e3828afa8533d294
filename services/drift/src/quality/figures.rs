//! The figures of groups of scans; pure.

use std::collections::BTreeMap;

use domain::Answer;
use domain::feedback::Truth;
use domain::statistics::{Rate, bootstrap, mean};
use proto::events::SliceCounts;

use super::bound::{Alarm, Bound};
use super::ended::{Ended, refusals, response};
use super::groups::{By, Certainty, Key, Stratum, Traits};
use super::reviewed::Reviewed;
use super::weights::{SEED, Weighted};
use crate::report::{SCANS_MIN, Times};

/// Of fewer reviewed scans than this, a period that is cut out for them tells what others have said of single ones.
pub const READERS_SCANS_MIN: usize = 5;

/// Scans that were answered with `found` or `none_found`, and have in common what they are grouped by.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub answer: Answer,
    pub certainty: Certainty,
    /// The sum of the Dice that the model expects, over those of which it expects one, and how many they are.
    pub expected: (f64, usize),
    pub traits: Traits,
    /// The day on which they were completed begins then, in UTC.
    pub at_ms: i64,
    pub scans: usize,
}

/// The figures of one group; none without how many scans it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub name: String,
    /// That were answered.
    pub scans: usize,
    /// Of them, that a reader has given a verdict on.
    pub reviewed: usize,
    /// Of those, whose readers differ on whether there is a tumour.
    pub disputed: usize,
    pub dice: Option<MeanDice>,
    /// Scans without a tumour in which one was found, of all without.
    pub far: Rate,
    /// Scans with a tumour in which none was found, of all with.
    pub frr: Rate,
    /// Scans on which all readers agree who are sure, of all on which anybody is sure.
    pub agree: Rate,
    pub slices: Option<SliceRates>,
    /// None where nothing was reviewed.
    pub weighted: Option<Weighted>,
    /// None where the model expects nothing of any scan.
    pub expected: Option<Expected>,
    /// Of all scans, answered or not.
    pub response: Option<Times>,
    /// Scans without an answer, by why.
    pub refusals: BTreeMap<String, usize>,
    /// Files that were refused at the door, by why.
    pub refused_uploads: BTreeMap<String, usize>,
    /// Of one model's scans only.
    pub alarm: Option<Alarm>,
}

/// Over the slices of scans of which words say what is in each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceRates {
    /// Marked by the model, of those that no reader marks.
    pub far: Rate,
    /// Not marked by the model, of those that a reader marks.
    pub frr: Rate,
    pub scans: usize,
}

/// The Dice that the model expects without a truth, beside what readers have measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Over the scans of which both are known.
    pub expected: Option<f64>,
    pub observed: Option<f64>,
    pub count: usize,
    /// Over all scans of which the model expects one.
    pub all: f64,
    pub all_count: usize,
}

/// Over scans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanDice {
    pub mean: f64,
    /// 95 %, bootstrap over scans.
    pub interval: [f64; 2],
    pub count: usize,
    /// Of them, in which neither model nor readers see a tumour: each counts 1.
    pub empty: usize,
    /// Of all others; None where there are none.
    pub mean_not_empty: Option<f64>,
}

/// What there is to know of the scans of one group.
#[derive(Default)]
pub struct Pool<'a> {
    scans: usize,
    strata: BTreeMap<Stratum, usize>,
    expected: (f64, usize),
    reviewed: Vec<&'a Reviewed>,
    ended: Vec<&'a Ended>,
}

/// The groups in the order of their names; sizes from small to large.
pub fn figures(
    by: By,
    seen: &[Seen],
    reviewed: &[Reviewed],
    ended: &[Ended],
    bound: Bound,
) -> Vec<Group> {
    let mut pools = BTreeMap::<Key, Pool<'_>>::new();
    for one in seen {
        pools.entry(by.group(&one.traits, one.at_ms)).or_default().see(one);
    }
    for scan in reviewed {
        pools.entry(by.group(&scan.traits, scan.at_ms)).or_default().review(scan);
    }
    for scan in ended {
        pools.entry(by.group(&scan.traits, scan.at_ms)).or_default().ended.push(scan);
    }
    let figures = pools.into_iter().map(|(key, pool)| {
        let alarm = if by == By::Model { bound.alarm(&pool.reviewed) } else { None };
        Group { alarm, ..Group::of(key.name, &pool) }
    });
    figures.collect()
}

impl<'a> Pool<'a> {
    fn see(&mut self, seen: &Seen) {
        self.scans += seen.scans;
        *self.strata.entry(Stratum::of(seen.answer, seen.certainty)).or_default() += seen.scans;
        self.expected.0 += seen.expected.0;
        self.expected.1 += seen.expected.1;
    }

    fn review(&mut self, scan: &'a Reviewed) {
        if !scan.is_seen {
            self.scans += 1;
            *self.strata.entry(scan.stratum()).or_default() += 1;
        }
        self.reviewed.push(scan);
    }
}

impl Group {
    pub fn of(name: String, pool: &Pool<'_>) -> Group {
        let reviewed = &pool.reviewed[..];
        let agreed: Vec<bool> = reviewed.iter().filter_map(|scan| scan.is_agreed()).collect();
        Group {
            name,
            // What a pod of the version before has noted has no model and no kind, and stands in another group.
            scans: pool.scans.max(reviewed.len()),
            reviewed: reviewed.len(),
            disputed: reviewed.iter().filter(|scan| scan.is_disputed()).count(),
            dice: MeanDice::of(reviewed),
            far: answered(reviewed, Truth::NoTumour, Answer::Found),
            frr: answered(reviewed, Truth::Tumour, Answer::NoneFound),
            agree: Rate::new(agreed.iter().filter(|agreed| **agreed).count(), agreed.len()),
            slices: SliceRates::of(reviewed),
            weighted: Weighted::of(reviewed, &pool.strata),
            expected: Expected::of(reviewed, pool.expected),
            response: response(&pool.ended),
            refusals: refusals(&pool.ended),
            refused_uploads: BTreeMap::new(),
            alarm: None,
        }
    }

    /// As it is shown to readers, who judge without knowing what others think.
    pub fn for_readers(self) -> Group {
        if self.reviewed >= READERS_SCANS_MIN {
            return self;
        }
        let Group { name, scans, reviewed, expected, response, refusals, refused_uploads, .. } =
            self;
        let expected =
            expected.map(|known| Expected { expected: None, observed: None, count: 0, ..known });
        let nothing = Group::of(name, &Pool::default());
        Group { scans, reviewed, expected, response, refusals, refused_uploads, ..nothing }
    }

    /// None of no scan.
    pub fn share_reviewed(&self) -> Option<f64> {
        (self.scans > 0).then(|| self.reviewed as f64 / self.scans as f64)
    }
}

/// How often that was the answer, of the scans of which that is the truth.
fn answered(reviewed: &[&Reviewed], truth: Truth, answer: Answer) -> Rate {
    let of: Vec<_> = reviewed.iter().filter(|scan| scan.truth() == Some(truth)).collect();
    Rate::new(of.iter().filter(|scan| scan.answer == answer).count(), of.len())
}

impl SliceRates {
    /// None where no word says what is in each slice.
    fn of(reviewed: &[&Reviewed]) -> Option<SliceRates> {
        let known: Vec<SliceCounts> = reviewed.iter().filter_map(|scan| scan.slices()).collect();
        let sum = |count: fn(&SliceCounts) -> u32| -> usize {
            known.iter().map(|of| count(of) as usize).sum()
        };
        let [both, model_only, reader_only, neither] = [
            sum(|of| of.both),
            sum(|of| of.model_only),
            sum(|of| of.reader_only),
            sum(|of| of.neither),
        ];
        (!known.is_empty()).then(|| SliceRates {
            far: Rate::new(model_only, model_only + neither),
            frr: Rate::new(reader_only, reader_only + both),
            scans: known.len(),
        })
    }
}

impl Expected {
    /// `all`: the sum over all scans of which the model expects a Dice, and how many they are.
    fn of(reviewed: &[&Reviewed], (sum, all_count): (f64, usize)) -> Option<Expected> {
        let both: Vec<(f64, f64)> =
            reviewed.iter().filter_map(|scan| Some((scan.expected_dice?, scan.dice()?))).collect();
        let (expected, observed): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
        (all_count > 0).then(|| Expected {
            expected: mean(&expected),
            observed: mean(&observed),
            count: expected.len(),
            all: sum / all_count as f64,
            all_count,
        })
    }
}

impl MeanDice {
    /// None where the Dice of no scan is known.
    fn of(reviewed: &[&Reviewed]) -> Option<MeanDice> {
        let known: Vec<(f64, bool)> =
            reviewed.iter().filter_map(|scan| Some((scan.dice()?, scan.is_empty()))).collect();
        let all: Vec<f64> = known.iter().map(|(dice, _)| *dice).collect();
        let not_empty: Vec<f64> =
            known.iter().filter(|(_, empty)| !empty).map(|(dice, _)| *dice).collect();
        let each: Vec<Vec<f64>> = all.iter().map(|dice| vec![*dice]).collect();
        Some(MeanDice {
            mean: mean(&all)?,
            interval: bootstrap(&each, SEED)?,
            count: all.len(),
            empty: all.len() - not_empty.len(),
            mean_not_empty: mean(&not_empty),
        })
    }
}

/// What whoever reads the figures has to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Remark {
    /// What it is about, for whoever says it in words of their own.
    pub name: &'static str,
    /// The number of scans that it names, fewer than which are meant; 0: none.
    pub scans: usize,
    /// In the words of the interface: they name its fields.
    pub words: String,
}

impl Remark {
    fn new(name: &'static str, words: &str) -> Remark {
        Remark { name, scans: 0, words: words.to_owned() }
    }
}

/// Of every figure.
fn general() -> [Remark; 4] {
    [
        Remark::new(
            "not_by_chance",
            "What is reviewed is not drawn by chance: readers look at what they doubt, so that all other scans may be better or \
             worse than these. `share_reviewed` says how many were reviewed; in `weighted` each reviewed scan stands for those of the \
             same answer of which the model is about as sure, and `covered` says of what part of all scans anything is known so.",
        ),
        Remark::new(
            "slices_alike",
            "Rates of `slices` are of scans whose words say what is in each slice. Slices of one scan are alike: their intervals, \
             which take each for a case of its own, are narrower than what is known.",
        ),
        Remark::new(
            "latest_words",
            "Rates count scans, by the latest word of each reader. A scan whose readers differ on whether there is a tumour, or \
             do not say, is in neither `far` nor `frr`.",
        ),
        Remark::new(
            "outlined_only",
            "Dice is of scans whose tumour a reader has outlined, and of those in which model or readers see none; a tumour that \
             was found and agreed on without an outline has none.",
        ),
    ]
}

/// Of the figures of these groups; `cut`: not all that is kept was counted.
pub fn remarks(by: By, groups: &[Group], cut: bool) -> Vec<Remark> {
    let mut remarks = Vec::from(general());
    if by == By::Size {
        remarks.push(Remark::new(
            "sizes_of_marks",
            "Sizes are of what the model has marked, as parts of the volume: a tumour that was missed is of size `nothing \
             marked`.",
        ));
    }
    let few = groups.iter().filter(|group| group.reviewed < SCANS_MIN);
    let few: Vec<_> = few.map(|group| format!("{} ({})", group.name, group.reviewed)).collect();
    if !few.is_empty() {
        let words = format!(
            "Fewer than {SCANS_MIN} reviewed scans, too few to conclude anything: {}.",
            few.join(", ")
        );
        remarks.push(Remark { name: "few_reviewed", scans: SCANS_MIN, words });
    }
    if cut {
        remarks.push(Remark::new(
            "cut",
            "There are too many words, or too many scans to time: the oldest were left out.",
        ));
    }
    remarks
}

/// What readers have to know besides, who are not shown all of it.
pub fn remark_for_readers() -> Remark {
    let words = format!(
        "Of fewer than {READERS_SCANS_MIN} reviewed scans readers are shown no figures: they judge without knowing what others \
         think."
    );
    Remark { name: "hidden_from_readers", scans: READERS_SCANS_MIN, words }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
