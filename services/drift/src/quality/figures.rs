//! The figures of groups of scans; pure.

use std::collections::BTreeMap;

use domain::Answer;
use domain::feedback::Truth;
use domain::statistics::{Rate, bootstrap, mean};

use super::groups::{By, Key, Traits};
use super::reviewed::Reviewed;
use crate::report::SCANS_MIN;

/// The bootstrap's seed: the same scans have the same interval.
const SEED: u64 = 1;
/// Of fewer reviewed scans than this, a period that is cut out for them tells what others have said of single ones.
const READERS_SCANS_MIN: usize = 5;

/// Scans that were answered with `found` or `none_found`, and have in common what they are grouped by.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
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

/// The groups in the order of their names; sizes from small to large.
pub fn figures(by: By, seen: &[Seen], reviewed: &[Reviewed]) -> Vec<Group> {
    let mut groups = BTreeMap::<Key, (usize, Vec<&Reviewed>)>::new();
    for Seen { traits, at_ms, scans } in seen {
        groups.entry(by.group(traits, *at_ms)).or_default().0 += scans;
    }
    for scan in reviewed {
        let (scans, of_group) = groups.entry(by.group(&scan.traits, scan.at_ms)).or_default();
        *scans += usize::from(!scan.is_seen);
        of_group.push(scan);
    }
    groups
        .into_iter()
        .map(|(key, (scans, reviewed))| Group::of(key.name, scans, &reviewed))
        .collect()
}

impl Group {
    pub fn of(name: String, scans: usize, reviewed: &[&Reviewed]) -> Group {
        let agreed: Vec<bool> = reviewed.iter().filter_map(|scan| scan.is_agreed()).collect();
        Group {
            name,
            // What a pod of the version before has noted has no model and no kind, and stands in another group.
            scans: scans.max(reviewed.len()),
            reviewed: reviewed.len(),
            disputed: reviewed.iter().filter(|scan| scan.is_disputed()).count(),
            dice: MeanDice::of(reviewed),
            far: answered(reviewed, Truth::NoTumour, Answer::Found),
            frr: answered(reviewed, Truth::Tumour, Answer::NoneFound),
            agree: Rate::new(agreed.iter().filter(|agreed| **agreed).count(), agreed.len()),
        }
    }

    /// As it is shown to readers, who judge without knowing what others think.
    pub fn for_readers(self) -> Group {
        if self.reviewed >= READERS_SCANS_MIN {
            return self;
        }
        let Group { name, scans, reviewed, .. } = self;
        Group { scans, reviewed, ..Group::of(name, 0, &[]) }
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
pub fn remarks(by: By, groups: &[Group], cut: bool) -> Vec<String> {
    let mut remarks = vec![
        "What is reviewed is not drawn by chance: readers look at what they doubt, so that all other scans may be better or \
         worse than these. `share_reviewed` says how many were reviewed."
            .to_owned(),
        "Rates count scans, by the latest word of each reader. A scan whose readers differ on whether there is a tumour, or \
         do not say, is in neither `far` nor `frr`."
            .to_owned(),
        "Dice is of scans whose tumour a reader has outlined, and of those in which model or readers see none; a tumour that \
         was found and agreed on without an outline has none."
            .to_owned(),
    ];
    if by == By::Size {
        remarks.push(
            "Sizes are of what the model has marked, as parts of the volume: a tumour that was missed is of size `nothing \
             marked`."
                .to_owned(),
        );
    }
    let few = groups.iter().filter(|group| group.reviewed < SCANS_MIN);
    let few: Vec<_> = few.map(|group| format!("{} ({})", group.name, group.reviewed)).collect();
    if !few.is_empty() {
        remarks.push(format!(
            "Fewer than {SCANS_MIN} reviewed scans, too few to conclude anything: {}.",
            few.join(", ")
        ));
    }
    if cut {
        remarks.push("There are too many words: the oldest were left out.".to_owned());
    }
    remarks
}

/// What readers have to know besides, who are not shown all of it.
pub fn remark_for_readers() -> String {
    format!(
        "Of fewer than {READERS_SCANS_MIN} reviewed scans readers are shown no figures: they judge without knowing what others \
         think."
    )
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
