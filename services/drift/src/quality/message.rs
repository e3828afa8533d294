//! The message of figures.

use std::collections::BTreeMap;

use domain::statistics::{Rate, WeightedRate};
use proto::drift;

use super::Period;
use super::bound::Alarm;
use super::figures::{Expected, Group, MeanDice, Remark, SliceRates};
use super::reasons::Counts;
use super::weights::Weighted;
use crate::message::times;

pub fn message(
    groups: Vec<Group>,
    refused_uploads: BTreeMap<String, usize>,
    reasons: Counts,
    period: Period,
    remarks: Vec<Remark>,
) -> drift::Quality {
    let kind = |remark: &Remark| drift::RemarkKind {
        name: remark.name.to_owned(),
        scans: remark.scans as u64,
    };
    drift::Quality {
        remark_kinds: remarks.iter().map(kind).collect(),
        groups: groups.into_iter().map(group).collect(),
        from_ms: period.from_ms,
        to_ms: period.to_ms,
        remarks: remarks.into_iter().map(|remark| remark.words).collect(),
        refused_uploads: counts(refused_uploads).collect(),
        reasons: counts(reasons.of_results).collect(),
        finding_reasons: counts(reasons.of_findings).collect(),
    }
}

/// How often each, as messages have it.
fn counts(by_name: BTreeMap<String, usize>) -> impl Iterator<Item = (String, u64)> {
    by_name.into_iter().map(|(name, count)| (name, count as u64))
}

fn group(group: Group) -> drift::QualityGroup {
    drift::QualityGroup {
        share_reviewed: group.share_reviewed(),
        name: group.name,
        scans: group.scans as u64,
        reviewed: group.reviewed as u64,
        disputed: group.disputed as u64,
        dice: group.dice.map(dice),
        far: Some(share(group.far)),
        frr: Some(share(group.frr)),
        agree: Some(share(group.agree)),
        slices: group.slices.map(slices),
        weighted: group.weighted.map(weighted),
        expected: group.expected.map(expected),
        response_ms: group.response.map(times),
        refusals: counts(group.refusals).collect(),
        refused_uploads: counts(group.refused_uploads).collect(),
        alarm: group.alarm.map(alarm),
    }
}

fn slices(SliceRates { far, frr, scans }: SliceRates) -> drift::SliceShares {
    drift::SliceShares { far: Some(share(far)), frr: Some(share(frr)), scans: scans as u64 }
}

fn weighted(Weighted { far, frr, agree, dice, covered }: Weighted) -> drift::Weighted {
    let dice = dice.map(|(mean, [low, high])| drift::WeightedMean { mean, low, high });
    let [far, frr, agree] = [far, frr, agree].map(|rate| rate.map(weighted_share));
    drift::Weighted { far, frr, agree, dice, covered }
}

fn weighted_share(
    WeightedRate { rate, interval: [low, high], effective }: WeightedRate,
) -> drift::WeightedShare {
    drift::WeightedShare { rate, low, high, effective }
}

fn expected(Expected { expected, observed, count, all, all_count }: Expected) -> drift::Expected {
    let (count, all_count) = (count as u64, all_count as u64);
    drift::Expected { expected, observed, count, all, all_count }
}

fn alarm(Alarm { bound, evidence }: Alarm) -> drift::Alarm {
    drift::Alarm {
        error_max: bound.error_max,
        budget_scans: bound.budget_scans,
        of: evidence.of as u64,
        errors: evidence.errors as u64,
        evidence: evidence.now,
        peak: evidence.peak,
        stands: evidence.is_alarm,
    }
}

fn dice(
    MeanDice { mean, interval: [low, high], count, empty, mean_not_empty }: MeanDice,
) -> drift::MeanDice {
    let (count, empty) = (count as u64, empty as u64);
    drift::MeanDice { mean, low, high, count, empty, mean_not_empty }
}

pub fn share(Rate { rate, interval: [low, high], count, of }: Rate) -> drift::Share {
    drift::Share { rate, low, high, count: count as u64, of: of as u64 }
}

#[cfg(test)]
mod tests {
    use domain::evidence::Evidence;

    use super::*;
    use crate::quality::bound::Bound;
    use crate::report::Times;

    /// Each of its numbers is another one, so that none can stand in a place that is not its own.
    #[test]
    fn a_message_says_of_a_group_what_was_counted() {
        let rate = |count| Rate { rate: Some(0.5), interval: [0.25, 0.75], count, of: 20 };
        let by_weight = |rate| Some(WeightedRate { rate, interval: [0.05, 0.95], effective: 7.5 });
        let weighted_share =
            |rate| Some(drift::WeightedShare { rate, low: 0.05, high: 0.95, effective: 7.5 });
        let group = Group {
            name: "m/1".into(),
            scans: 40,
            reviewed: 10,
            disputed: 3,
            dice: Some(MeanDice {
                mean: 0.6,
                interval: [0.4, 0.8],
                count: 7,
                empty: 2,
                mean_not_empty: Some(0.3),
            }),
            far: rate(11),
            frr: rate(12),
            agree: rate(13),
            slices: Some(SliceRates { far: rate(14), frr: rate(15), scans: 16 }),
            weighted: Some(Weighted {
                far: by_weight(0.1),
                frr: by_weight(0.2),
                agree: by_weight(0.3),
                dice: Some((0.61, [0.41, 0.81])),
                covered: 0.9,
            }),
            expected: Some(Expected {
                expected: Some(0.62),
                observed: Some(0.63),
                count: 17,
                all: 0.64,
                all_count: 18,
            }),
            response: Some(Times { scans: 19, p50: 21.0, p95: 22.0, p99: 23.0 }),
            refusals: [("stopped".to_owned(), 24)].into(),
            refused_uploads: [("blank".to_owned(), 31)].into(),
            alarm: Some(Alarm {
                bound: Bound { error_max: 0.25, budget_scans: 26 },
                evidence: Evidence { of: 27, errors: 28, now: 29.0, peak: 30.0, is_alarm: true },
            }),
        };
        let share =
            |count| Some(drift::Share { rate: Some(0.5), low: 0.25, high: 0.75, count, of: 20 });
        let said = drift::QualityGroup {
            name: "m/1".into(),
            scans: 40,
            reviewed: 10,
            share_reviewed: Some(0.25),
            disputed: 3,
            dice: Some(drift::MeanDice {
                mean: 0.6,
                low: 0.4,
                high: 0.8,
                count: 7,
                empty: 2,
                mean_not_empty: Some(0.3),
            }),
            far: share(11),
            frr: share(12),
            agree: share(13),
            slices: Some(drift::SliceShares { far: share(14), frr: share(15), scans: 16 }),
            weighted: Some(drift::Weighted {
                far: weighted_share(0.1),
                frr: weighted_share(0.2),
                agree: weighted_share(0.3),
                dice: Some(drift::WeightedMean { mean: 0.61, low: 0.41, high: 0.81 }),
                covered: 0.9,
            }),
            expected: Some(drift::Expected {
                expected: Some(0.62),
                observed: Some(0.63),
                count: 17,
                all: 0.64,
                all_count: 18,
            }),
            response_ms: Some(drift::Times { scans: 19, p50: 21.0, p95: 22.0, p99: 23.0 }),
            refusals: [("stopped".to_owned(), 24)].into(),
            refused_uploads: [("blank".to_owned(), 31)].into(),
            alarm: Some(drift::Alarm {
                error_max: 0.25,
                budget_scans: 26,
                of: 27,
                errors: 28,
                evidence: 29.0,
                peak: 30.0,
                stands: true,
            }),
        };
        let remarks = vec![Remark { name: "n", scans: 33, words: "r".into() }];
        let refused = BTreeMap::from([("blank".to_owned(), 32)]);
        let period = Period { from_ms: 5, to_ms: 6 };
        let reasons = Counts {
            of_results: [("outline".to_owned(), 34)].into(),
            of_findings: [("outline".to_owned(), 35)].into(),
        };
        let message = message(vec![group], refused, reasons, period, remarks);
        assert_eq!(message.refused_uploads["blank"], 32);
        assert_eq!((message.reasons["outline"], message.finding_reasons["outline"]), (34, 35));
        assert_eq!((message.from_ms, message.to_ms), (5, 6));
        assert_eq!(message.remarks, ["r"]);
        assert_eq!(message.remark_kinds, [drift::RemarkKind { name: "n".into(), scans: 33 }]);
        assert_eq!(message.groups, [said]);
    }
}
