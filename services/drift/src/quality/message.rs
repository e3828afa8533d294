//! The message of figures.

use domain::statistics::Rate;
use proto::drift;

use super::Period;
use super::figures::{Group, MeanDice};

pub fn message(groups: Vec<Group>, period: Period, remarks: Vec<String>) -> drift::Quality {
    drift::Quality {
        groups: groups.into_iter().map(group).collect(),
        from_ms: period.from_ms,
        to_ms: period.to_ms,
        remarks,
    }
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
    }
}

fn dice(
    MeanDice { mean, interval: [low, high], count, empty, mean_not_empty }: MeanDice,
) -> drift::MeanDice {
    let (count, empty) = (count as u64, empty as u64);
    drift::MeanDice { mean, low, high, count, empty, mean_not_empty }
}

fn share(Rate { rate, interval: [low, high], count, of }: Rate) -> drift::Share {
    drift::Share { rate, low, high, count: count as u64, of: of as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of its numbers is another one, so that none can stand in a place that is not its own.
    #[test]
    fn a_message_says_of_a_group_what_was_counted() {
        let rate = |count| Rate { rate: Some(0.5), interval: [0.25, 0.75], count, of: 20 };
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
        };
        let remarks = vec!["r".to_owned()];
        let message = message(vec![group], Period { from_ms: 5, to_ms: 6 }, remarks.clone());
        assert_eq!((message.from_ms, message.to_ms, message.remarks), (5, 6, remarks));
        assert_eq!(message.groups, [said]);
    }
}
