//! The figures of one group of scans.

use std::collections::BTreeMap;

use proto::drift;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::drift_report::Times;

/// The model that has answered, the week of ISO 8601 in which the scan was completed (in UTC), the kind of image, the size of what
/// the model has marked, the site where the scan was made, or the scanner.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QualityBy {
    #[default]
    Model,
    Week,
    Kind,
    Size,
    Site,
    Scanner,
}

impl From<QualityBy> for drift::QualityBy {
    fn from(by: QualityBy) -> drift::QualityBy {
        match by {
            QualityBy::Model => drift::QualityBy::Model,
            QualityBy::Week => drift::QualityBy::Week,
            QualityBy::Kind => drift::QualityBy::Kind,
            QualityBy::Size => drift::QualityBy::Size,
            QualityBy::Site => drift::QualityBy::Site,
            QualityBy::Scanner => drift::QualityBy::Scanner,
        }
    }
}

/// The figures of one group of scans.
#[derive(Serialize, ToSchema)]
pub struct QualityGroup {
    by: QualityBy,
    /// Such as `medseg-mr/0.4.0`, `2026-W48`, `flair` or `over 1 %`.
    name: String,
    /// Scans that were answered.
    scans: u64,
    /// Those that a reader has given a verdict on. They are not drawn by chance.
    reviewed: u64,
    share_reviewed: Option<f64>,
    /// Reviewed scans whose readers differ on whether there is a tumour; neither `far` nor `frr` counts them.
    disputed: u64,
    /// Of readers' masks beside the model's; `null` where it is known of no scan.
    dice: Option<QualityDice>,
    /// False acceptance rate, by scan: a tumour was found, of all scans without one. `null` where there are none.
    far: Option<QualityRate>,
    /// False rejection rate, by scan: none was found, of all scans with a tumour. `null` where there are none.
    frr: Option<QualityRate>,
    /// Scans on which all readers agree who are sure, of all on which anybody is sure.
    agree: QualityRate,
    /// The same rates over slices; `null` where no reader's word says what is in each.
    slices: Option<QualitySlices>,
    /// The same figures with each reviewed scan standing for those like it; `null` where nothing was reviewed.
    weighted: Option<QualityWeighted>,
    /// The Dice that the model expects without a truth; `null` where it expects none.
    expected_dice: Option<QualityExpected>,
    /// From upload accepted to result readable, of all scans, answered or not, in milliseconds; `null`: not measured.
    response_ms: Option<Times>,
    /// Scans without an answer, by why: `no_model`, `stopped` (the hospital takes no answer of the model) or `failed`. Files that were
    /// refused at the door are no scans, and not among them.
    refusals: BTreeMap<String, u64>,
    /// Files that were refused at the door, by the name of the problem that they were answered with, such as `not-a-head`; by week, kind,
    /// site and scanner, as far as it was known. No file has a model, or a size.
    refused_uploads: BTreeMap<String, u64>,
    /// Whether confirmed errors speak against their bound; `null` unless grouped by model.
    alarm: Option<QualityAlarm>,
}

/// Rates over the slices of scans of which readers' words say what is in each. Slices of one scan are alike, so that the intervals are
/// narrower than what is known.
#[derive(Serialize, ToSchema)]
struct QualitySlices {
    /// Marked by the model, of all slices that no reader marks. `null` where there are none.
    far: Option<QualityRate>,
    /// Not marked by the model, of all slices that a reader marks. `null` where there are none.
    frr: Option<QualityRate>,
    scans: u64,
}

/// Each reviewed scan counts as many times as there are scans, for each one reviewed, of its answer of which the model is about as sure
/// (inverse probability of review).
#[derive(Serialize, ToSchema)]
struct QualityWeighted {
    far: Option<QualityWeightedRate>,
    frr: Option<QualityWeightedRate>,
    agree: Option<QualityWeightedRate>,
    dice: Option<QualityWeightedDice>,
    /// The part of all scans that are like one that was reviewed: of the rest nothing is known.
    covered: f64,
}

#[derive(Serialize, ToSchema)]
struct QualityWeightedRate {
    rate: f64,
    /// 95 %, Wilson, over `effective` scans.
    low: f64,
    high: f64,
    /// How many scans of equal weight would say as much.
    effective: f64,
}

#[derive(Serialize, ToSchema)]
struct QualityWeightedDice {
    mean: f64,
    /// 95 %, bootstrap over scans.
    low: f64,
    high: f64,
}

/// What the model expects of its own masks, beside what readers have measured.
#[derive(Serialize, ToSchema)]
struct QualityExpected {
    /// Over the scans of which both are known; `null` where there are none.
    expected: Option<f64>,
    /// Over the same scans.
    observed: Option<f64>,
    count: u64,
    /// Over all scans of which the model expects a Dice.
    all: f64,
    all_count: u64,
}

/// A sequential test of whether more of the model's answers are wrong than may be. It may be looked at after each scan, and of a model
/// that is no worse it raises one alarm in `budget_scans` confirmed scans at most, on average.
#[derive(Serialize, ToSchema)]
struct QualityAlarm {
    /// The part of confirmed answers that may be wrong.
    error_max: f64,
    budget_scans: u32,
    /// Scans of which the truth is known.
    of: u64,
    errors: u64,
    /// After the last of them; 1 and less speaks for nothing.
    evidence: f64,
    /// The most that there was.
    peak: f64,
    /// Whether that has reached the budget.
    stands: bool,
}

/// How often something happened, with Wilson's 95 % interval.
#[derive(Serialize, ToSchema)]
pub struct QualityRate {
    /// `null` where it never could have.
    pub rate: Option<f64>,
    pub low: f64,
    pub high: f64,
    /// How often it happened.
    pub count: u64,
    /// How often it could have.
    pub of: u64,
}

/// The mean over scans, with a 95 % interval (bootstrap over scans). A scan that is empty in both masks counts 1.
#[derive(Serialize, ToSchema)]
struct QualityDice {
    mean: f64,
    low: f64,
    high: f64,
    /// Scans of which it is the mean.
    count: u64,
    /// Of them, those that are empty in both masks.
    empty: u64,
    /// Of all others; `null` where there are none.
    mean_not_empty: Option<f64>,
}

impl QualityGroup {
    pub fn of(by: QualityBy, group: drift::QualityGroup) -> QualityGroup {
        QualityGroup {
            by,
            name: group.name,
            scans: group.scans,
            reviewed: group.reviewed,
            share_reviewed: group.share_reviewed,
            disputed: group.disputed,
            dice: group.dice.map(QualityDice::from),
            far: known(group.far),
            frr: known(group.frr),
            agree: group.agree.map_or(NOTHING_KNOWN, QualityRate::from),
            slices: group.slices.map(QualitySlices::from),
            weighted: group.weighted.map(QualityWeighted::from),
            expected_dice: group.expected.map(QualityExpected::from),
            response_ms: group.response_ms.map(Times::from),
            refusals: group.refusals.into_iter().collect(),
            refused_uploads: group.refused_uploads.into_iter().collect(),
            alarm: group.alarm.map(QualityAlarm::from),
        }
    }
}

/// None where it never could have happened.
fn known(share: Option<drift::Share>) -> Option<QualityRate> {
    share.filter(|share| share.of > 0).map(QualityRate::from)
}

/// What is said of a rate that nobody has told.
const NOTHING_KNOWN: QualityRate = QualityRate { rate: None, low: 0.0, high: 1.0, count: 0, of: 0 };

impl From<drift::Share> for QualityRate {
    fn from(drift::Share { rate, low, high, count, of }: drift::Share) -> QualityRate {
        QualityRate { rate, low, high, count, of }
    }
}

impl From<drift::MeanDice> for QualityDice {
    fn from(dice: drift::MeanDice) -> QualityDice {
        let drift::MeanDice { mean, low, high, count, empty, mean_not_empty } = dice;
        QualityDice { mean, low, high, count, empty, mean_not_empty }
    }
}

impl From<drift::SliceShares> for QualitySlices {
    fn from(drift::SliceShares { far, frr, scans }: drift::SliceShares) -> QualitySlices {
        QualitySlices { far: known(far), frr: known(frr), scans }
    }
}

impl From<drift::Weighted> for QualityWeighted {
    fn from(
        drift::Weighted { far, frr, agree, dice, covered }: drift::Weighted,
    ) -> QualityWeighted {
        let rate = |share: Option<drift::WeightedShare>| share.map(QualityWeightedRate::from);
        let dice = dice.map(|drift::WeightedMean { mean, low, high }| QualityWeightedDice {
            mean,
            low,
            high,
        });
        QualityWeighted { far: rate(far), frr: rate(frr), agree: rate(agree), dice, covered }
    }
}

impl From<drift::WeightedShare> for QualityWeightedRate {
    fn from(share: drift::WeightedShare) -> QualityWeightedRate {
        let drift::WeightedShare { rate, low, high, effective } = share;
        QualityWeightedRate { rate, low, high, effective }
    }
}

impl From<drift::Expected> for QualityExpected {
    fn from(told: drift::Expected) -> QualityExpected {
        let drift::Expected { expected, observed, count, all, all_count } = told;
        QualityExpected { expected, observed, count, all, all_count }
    }
}

impl From<drift::Alarm> for QualityAlarm {
    fn from(alarm: drift::Alarm) -> QualityAlarm {
        let drift::Alarm { error_max, budget_scans, of, errors, evidence, peak, stands } = alarm;
        QualityAlarm { error_max, budget_scans, of, errors, evidence, peak, stands }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(count: u64, of: u64) -> Option<drift::Share> {
        let rate = (of > 0).then(|| count as f64 / of as f64);
        Some(drift::Share { rate, low: 0.25, high: 0.75, count, of })
    }

    #[test]
    fn figures_are_json_in_which_no_rate_stands_without_its_count() {
        let group = drift::QualityGroup {
            name: "2026-W48".into(),
            scans: 8,
            reviewed: 2,
            share_reviewed: Some(0.25),
            disputed: 1,
            dice: Some(drift::MeanDice {
                mean: 0.5,
                low: 0.125,
                high: 0.875,
                count: 3,
                empty: 1,
                mean_not_empty: None,
            }),
            far: share(0, 0),
            frr: share(1, 2),
            agree: share(0, 0),
            slices: Some(drift::SliceShares { far: share(0, 0), frr: share(1, 4), scans: 2 }),
            weighted: Some(drift::Weighted {
                frr: Some(drift::WeightedShare {
                    rate: 0.5,
                    low: 0.25,
                    high: 0.75,
                    effective: 1.5,
                }),
                dice: Some(drift::WeightedMean { mean: 0.5, low: 0.25, high: 0.75 }),
                covered: 0.75,
                ..drift::Weighted::default()
            }),
            expected: Some(drift::Expected {
                expected: None,
                observed: None,
                count: 0,
                all: 0.75,
                all_count: 5,
            }),
            response_ms: Some(drift::Times { scans: 9, p50: 1.0, p95: 2.0, p99: 3.0 }),
            refusals: [("failed".to_owned(), 1)].into(),
            refused_uploads: [("blank".to_owned(), 2)].into(),
            alarm: Some(drift::Alarm {
                error_max: 0.25,
                budget_scans: 100,
                of: 8,
                errors: 2,
                evidence: 0.5,
                peak: 2.0,
                stands: false,
            }),
        };
        let json = concat!(
            r#"{"by":"week","name":"2026-W48","scans":8,"reviewed":2,"share_reviewed":0.25,"disputed":1,"#,
            r#""dice":{"mean":0.5,"low":0.125,"high":0.875,"count":3,"empty":1,"mean_not_empty":null},"far":null,"#,
            r#""frr":{"rate":0.5,"low":0.25,"high":0.75,"count":1,"of":2},"#,
            r#""agree":{"rate":null,"low":0.25,"high":0.75,"count":0,"of":0},"#,
            r#""slices":{"far":null,"frr":{"rate":0.25,"low":0.25,"high":0.75,"count":1,"of":4},"scans":2},"#,
            r#""weighted":{"far":null,"frr":{"rate":0.5,"low":0.25,"high":0.75,"effective":1.5},"agree":null,"#,
            r#""dice":{"mean":0.5,"low":0.25,"high":0.75},"covered":0.75},"#,
            r#""expected_dice":{"expected":null,"observed":null,"count":0,"all":0.75,"all_count":5},"#,
            r#""response_ms":{"scans":9,"p50":1.0,"p95":2.0,"p99":3.0},"refusals":{"failed":1},"refused_uploads":{"blank":2},"#,
            r#""alarm":{"error_max":0.25,"budget_scans":100,"of":8,"errors":2,"evidence":0.5,"peak":2.0,"stands":false}}"#,
        );
        let said = QualityGroup::of(QualityBy::Week, group);
        assert_eq!(serde_json::to_string(&said).unwrap(), json);
    }
}
