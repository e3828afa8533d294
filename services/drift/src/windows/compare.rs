//! Two windows beside each other; pure.

use std::collections::BTreeMap;

use super::{Member, looked_at, observations};
use crate::embedding::Embedded;
use crate::report::{Feature, P_MAX, Sample, Thresholds, features, values};
use crate::statistics::{Shares, chi_squared};

/// How the second of two windows differs from the first.
pub struct Comparison {
    pub features: Vec<Feature>,
    pub thresholds: Thresholds,
    pub categories: Vec<Category>,
}

/// What scans are counted by.
#[derive(Debug, PartialEq)]
pub struct Category {
    pub name: &'static str,
    /// How often each value is in either window; an empty value: nobody says.
    pub counts: BTreeMap<String, [usize; 2]>,
    pub psi: Option<f64>,
    pub jensen_shannon: Option<f64>,
    /// None: there is one value only.
    pub p_value: Option<f64>,
}

/// What a scan is counted by.
type Of = fn(&Member) -> String;

/// Compares `b` with `a`, which stands for the training.
pub fn compare(a: &[Member], b: &[Member]) -> Comparison {
    let [mut reference, mut seen] =
        [a, b].map(|members| Sample::from(values(observations(members))));
    let [of_a, of_b] = [a, b].map(|members| Embedded::of(looked_at(members)));
    // What two networks know has nothing in common.
    if let (Some(of_a), Some(of_b)) = (of_a, of_b)
        && of_a.space == of_b.space
    {
        (reference.embeddings, seen.embeddings) = (of_a.vectors, of_b.vectors);
    }
    let (features, thresholds) = features(&reference, &seen, P_MAX);
    let category = |name, of| category(name, of, a, b);
    let categories = vec![
        category("answer", answer as Of),
        category("image_kind", image_kind),
        category("model", model),
        category("scanner", scanner),
        category("site", site),
        category("orientation", orientation),
        category("sequence", sequence),
    ];
    Comparison { features, thresholds, categories }
}

fn answer(member: &Member) -> String {
    member.answer.name().to_owned()
}

fn image_kind(member: &Member) -> String {
    member.observation.as_ref().and_then(|seen| seen.image_kind.clone()).unwrap_or_default()
}

fn model(member: &Member) -> String {
    let model = member.observation.as_ref().and_then(|seen| seen.model.as_ref());
    model.map(|model| format!("{}/{}", model.name, model.version)).unwrap_or_default()
}

fn scanner(member: &Member) -> String {
    member.observation.as_ref().and_then(|seen| seen.scanner.clone()).unwrap_or_default()
}

fn orientation(member: &Member) -> String {
    member.observation.as_ref().and_then(|seen| seen.orientation.clone()).unwrap_or_default()
}

fn sequence(member: &Member) -> String {
    member.observation.as_ref().and_then(|seen| seen.sequence.clone()).unwrap_or_default()
}

fn site(member: &Member) -> String {
    member.site.clone().unwrap_or_default()
}

fn category(name: &'static str, of: Of, a: &[Member], b: &[Member]) -> Category {
    let mut counts = BTreeMap::<String, [usize; 2]>::new();
    for (side, members) in [a, b].into_iter().enumerate() {
        for member in members {
            counts.entry(of(member)).or_default()[side] += 1;
        }
    }
    let [of_a, of_b] =
        [0, 1].map(|side| counts.values().map(|count| count[side]).collect::<Vec<_>>());
    let shares = (!a.is_empty() && !b.is_empty()).then(|| Shares::of_counts(&of_a, &of_b));
    Category {
        name,
        psi: shares.as_ref().map(Shares::psi),
        jensen_shannon: shares.as_ref().map(Shares::jensen_shannon),
        p_value: chi_squared(&of_a, &of_b),
        counts,
    }
}

#[cfg(test)]
mod tests {
    use domain::Answer;
    use proto::events::Observation;

    use super::*;
    use crate::report::Verdict;

    fn members(count: usize, answer: Answer, mean: impl Fn(usize) -> f64) -> Vec<Member> {
        let member = |k| {
            let features = [("mean".to_owned(), mean(k))].into();
            let scanner = Some("Acme Maker 3".to_owned());
            let orientation = Some("axial".to_owned());
            let sequence = Some(if k.is_multiple_of(2) { "SE/IR 2D" } else { "IR 3D" }.to_owned());
            let observation = Some(Observation {
                features,
                scanner,
                orientation,
                sequence,
                ..Observation::default()
            });
            let id = format!("{}{k}", answer.name());
            Member {
                event_id: id.clone(),
                scan_id: id,
                answer,
                completed_ms: 7,
                site: Some("West".to_owned()),
                observation,
            }
        };
        (0..count).map(member).collect()
    }

    #[test]
    fn a_window_is_compared_with_another_as_with_the_training() {
        let (a, b) = (
            members(40, Answer::Found, |k| k as f64),
            members(50, Answer::Found, |k| k as f64 + 30.0),
        );
        let found = compare(&a, &b);
        let [mean] = &found.features[..] else { panic!("one feature") };
        assert_eq!((mean.name.as_str(), mean.verdict, mean.scans), ("mean", Verdict::Drift, 50));
        assert_eq!((mean.reference_median, mean.median), (Some(19.5), Some(54.5)));
        assert_eq!(found.thresholds.p_max, P_MAX);
        let same = compare(&a, &a);
        assert_eq!((same.features[0].verdict, same.features[0].psi), (Verdict::Stable, Some(0.0)));
    }

    #[test]
    fn what_scans_are_counted_by_is_compared_by_its_counts() {
        let mean = |_| 0.5;
        let a = [members(20, Answer::Found, mean), members(30, Answer::NoneFound, mean)].concat();
        let b = [members(5, Answer::Found, mean), members(45, Answer::NoneFound, mean)].concat();
        let found = compare(&a, &b);
        let names: Vec<_> = found.categories.iter().map(|category| category.name).collect();
        let expected =
            ["answer", "image_kind", "model", "scanner", "site", "orientation", "sequence"];
        assert_eq!(names, expected);
        let (answers, scanners) = (&found.categories[0], &found.categories[3]);
        let counts = [("found".to_owned(), [20, 5]), ("none_found".to_owned(), [30, 45])];
        assert_eq!(answers.counts, BTreeMap::from(counts));
        // Of a chi-squared of 18.75 with one degree of freedom.
        assert!((answers.p_value.unwrap() - 1.490_233_579_242_77e-5).abs() < 1e-14, "{answers:?}");
        let psi = 0.3 * (4.0_f64).ln() - 0.3 * (0.6_f64 / 0.9).ln();
        assert!((answers.psi.unwrap() - psi).abs() < 1e-12, "{answers:?}");
        assert_eq!(scanners.counts, BTreeMap::from([("Acme Maker 3".to_owned(), [50, 50])]));
        assert_eq!((scanners.psi, scanners.p_value), (Some(0.0), None));
        assert_eq!(found.categories[4].counts, BTreeMap::from([("West".to_owned(), [50, 50])]));
        assert_eq!(found.categories[5].counts, BTreeMap::from([("axial".to_owned(), [50, 50])]));
        assert_eq!(found.categories[6].counts["SE/IR 2D"], [25, 26]);
    }

    #[test]
    fn nothing_is_compared_with_an_empty_window() {
        let a = members(3, Answer::Found, |_| 0.5);
        let found = compare(&a, &[]);
        assert_eq!(found.features[0].verdict, Verdict::TooFewScans);
        assert!(found.categories.iter().all(|one| one.psi.is_none() && one.p_value.is_none()));
    }
}
