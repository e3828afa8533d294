//! Which scans carry the difference between a window and the training; pure.

use std::collections::BTreeMap;

use super::{Member, Seen, looked_at};
use crate::embedding::{self, EMBEDDING};
use crate::event;
use crate::reference::Reference;
use crate::report::Verdict;
use crate::statistics::{quantile_of_sorted, range, sorted};

/// A scan, and its part of the difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Carrier {
    pub scan_id: String,
    pub completed_ms: i64,
    /// Of 1, over all scans of the window.
    pub contribution: f64,
    pub values: BTreeMap<String, f64>,
}

/// The features that scans are looked at by: those that have drifted, or without any the one that differs most.
pub fn carrying(seen: &Seen) -> Vec<String> {
    let drifted = seen.features.iter().filter(|feature| feature.verdict == Verdict::Drift);
    let drifted: Vec<String> = drifted.map(|feature| feature.name.clone()).collect();
    if !drifted.is_empty() {
        return drifted;
    }
    let tested = seen.features.iter().filter_map(|feature| Some((feature.p_value()?, feature)));
    let most = tested.min_by(|one, other| one.0.total_cmp(&other.0));
    most.map(|(_, feature)| feature.name.clone()).into_iter().collect()
}

/// The members with their parts, the largest first.
///
/// Of one feature, that is how far a scan's value has to be moved for the window to become the reference, of how far all have to
/// be (what the Wasserstein distance adds up): the k-th smallest value of n moves to the reference's quantile (k - 1/2) / n. Of
/// several, it is the mean. Of how scans were taken, it is the same for each that lies beyond the training, and nothing for the others.
/// Of embeddings, it is by how much a scan is nearer to the others of the window than to the training, of how much all are that are
/// nearer: what their discrepancy adds up.
pub fn carriers(members: &[Member], reference: &Reference, features: &[String]) -> Vec<Carrier> {
    let mut carriers: Vec<Carrier> =
        members.iter().map(|member| carrier(member, features)).collect();
    let mut moved = 0;
    for feature in features {
        let parts = if feature == EMBEDDING {
            embedded_parts(&mut carriers, embedding::carried(looked_at(members), reference))
        } else if let Some(distribution) = reference.features.get(feature) {
            parts(&carriers, feature, &sorted(&distribution.sample))
        } else if let Some(distribution) = reference.acquisition.get(feature) {
            parts_beyond(&carriers, feature, &distribution.sample)
        } else {
            continue;
        };
        moved += usize::from(!parts.is_empty());
        for (place, part) in parts {
            carriers[place].contribution += part;
        }
    }
    carriers.iter_mut().for_each(|carrier| carrier.contribution /= moved.max(1) as f64);
    carriers.sort_by(|one, other| other.contribution.total_cmp(&one.contribution));
    carriers
}

fn carrier(member: &Member, features: &[String]) -> Carrier {
    let seen = member.observation.iter().flat_map(event::values);
    let named = seen.filter(|(name, _)| features.iter().any(|feature| feature == name));
    Carrier {
        scan_id: member.scan_id.clone(),
        completed_ms: member.completed_ms,
        contribution: 0.0,
        values: named.map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// The place of each scan that has a value, with its part; nothing where the window is the reference.
fn parts(carriers: &[Carrier], feature: &str, reference: &[f64]) -> Vec<(usize, f64)> {
    let valued = carriers.iter().enumerate();
    let mut places: Vec<(f64, usize)> = valued
        .filter_map(|(place, carrier)| Some((*carrier.values.get(feature)?, place)))
        .collect();
    places.sort_by(|one, other| one.0.total_cmp(&other.0));
    let count = places.len() as f64;
    let ways: Vec<(usize, f64)> = places
        .iter()
        .enumerate()
        .filter_map(|(rank, (value, place))| {
            let goal = quantile_of_sorted(reference, (rank as f64 + 0.5) / count)?;
            Some((*place, (value - goal).abs()))
        })
        .collect();
    shares(ways)
}

/// The same of how scans were taken: what is judged of that is how many lie beyond the reference, and not how they are spread within.
fn parts_beyond(carriers: &[Carrier], feature: &str, reference: &[f64]) -> Vec<(usize, f64)> {
    let Some(trained) = range(reference) else { return Vec::new() };
    let is_beyond = |carrier: &Carrier| {
        carrier.values.get(feature).is_some_and(|value| !trained.contains(value))
    };
    let beyond = carriers.iter().enumerate().filter(|(_, carrier)| is_beyond(carrier));
    shares(beyond.map(|(place, _)| (place, 1.0)).collect())
}

/// The same of embeddings, of what each scan says of the training; that is the scan's value, too.
fn embedded_parts(carriers: &mut [Carrier], nearer: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    for (place, value) in &nearer {
        carriers[*place].values.insert(EMBEDDING.to_owned(), *value);
    }
    shares(nearer.into_iter().map(|(place, value)| (place, value.max(0.0))).collect())
}

/// Each as a part of all; nothing where they come to nothing.
fn shares(ways: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    let all: f64 = ways.iter().map(|(_, way)| way).sum();
    if all > 0.0 {
        ways.into_iter().map(|(place, way)| (place, way / all)).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use domain::Answer;
    use proto::events::{ModelIdentity, Observation};

    use super::*;
    use crate::reference::Distribution;

    fn member(id: usize, features: &[(&str, f64)]) -> Member {
        let features = features.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let observation = Some(Observation { features, ..Observation::default() });
        let id = id.to_string();
        Member {
            event_id: id.clone(),
            scan_id: id,
            answer: Answer::Found,
            completed_ms: 7,
            site: None,
            observation,
        }
    }

    fn reference() -> Reference {
        let sample = (0..=100).map(|k| f64::from(k) / 100.0).collect();
        let distribution = Distribution { edges: vec![0.0, 1.0], counts: vec![101], sample };
        let named = |name: &str| (name.to_owned(), distribution.clone());
        Reference { features: [named("mean"), named("std")].into(), ..Reference::default() }
    }

    #[test]
    fn of_how_scans_were_taken_those_beyond_the_training_are_first() {
        let sample = vec![87.0, 95.0, 120.0, 140.0];
        let distribution = Distribution { edges: vec![87.0, 140.0], counts: vec![4], sample };
        let acquisition = [("echo_ms".to_owned(), distribution)].into();
        let reference = Reference { acquisition, ..Reference::default() };
        // Most are at one end of what was trained on, and two a little beyond the other.
        let members: Vec<Member> =
            (0..8).map(|k| member(k, &[("echo_ms", if k < 6 { 140.0 } else { 80.0 })])).collect();
        let carried = carriers(&members, &reference, &["echo_ms".to_owned()]);
        let parts: Vec<(&str, f64)> =
            carried.iter().map(|one| (one.scan_id.as_str(), one.contribution)).collect();
        assert_eq!(parts[..2], [("6", 0.5), ("7", 0.5)]);
        assert!(parts[2..].iter().all(|(_, part)| *part == 0.0), "{parts:?}");
    }

    #[test]
    fn the_scans_that_lie_farthest_are_first_and_all_parts_make_one() {
        // 0.05, 0.15 … 0.95 but for two, which lie far above.
        let value = |k: usize| if k < 8 { 0.05 + k as f64 / 10.0 } else { 3.0 + k as f64 };
        let members: Vec<Member> = (0..10).map(|k| member(k, &[("mean", value(k))])).collect();
        let found = carriers(&members, &reference(), &["mean".to_owned()]);
        let ids: Vec<_> = found.iter().map(|carrier| carrier.scan_id.as_str()).collect();
        assert_eq!(ids[..2], ["9", "8"]);
        // From 12 to 0.95 and from 11 to 0.85; all others are where they belong.
        let expected = 11.05 / (11.05 + 10.15);
        assert!((found[0].contribution - expected).abs() < 1e-12, "{found:?}");
        assert!(
            (found.iter().map(|carrier| carrier.contribution).sum::<f64>() - 1.0).abs() < 1e-12
        );
        assert_eq!(found[0].values, BTreeMap::from([("mean".to_owned(), 12.0)]));
    }

    #[test]
    fn of_two_features_it_is_the_mean_and_who_has_no_value_carries_nothing() {
        let members = [
            member(0, &[("mean", 0.5), ("std", 2.5)]),
            member(1, &[("mean", 4.5)]),
            member(2, &[]),
        ];
        let features = ["mean", "std", "never seen"].map(str::to_owned);
        let found = carriers(&members, &reference(), &features);
        let parts: Vec<_> =
            found.iter().map(|carrier| (carrier.scan_id.as_str(), carrier.contribution)).collect();
        // Of the mean, 0.25 and 3.75 of 4; of the deviation, all.
        let (mean, other) = (0.25 / 4.0, 3.75 / 4.0);
        assert_eq!(parts, [("0", (mean + 1.0) / 2.0), ("1", other / 2.0), ("2", 0.0)]);
    }

    #[test]
    fn without_drift_the_feature_that_differs_most_is_looked_at() {
        let members: Vec<Member> = (0..40)
            .map(|k| {
                member(
                    k,
                    &[("mean", k as f64 / 40.0), ("std", (k as f64 / 40.0).powi(2)), ("new", 1.0)],
                )
            })
            .collect();
        let seen = Seen::new(&members, ModelIdentity::default(), &reference());
        assert!(seen.verdict() < Verdict::Drift, "{:?}", seen.features);
        assert_eq!(carrying(&seen), ["std"]);
        let far: Vec<Member> =
            (0..40).map(|k| member(k, &[("mean", k as f64 / 40.0), ("std", 5.0)])).collect();
        assert_eq!(carrying(&Seen::new(&far, ModelIdentity::default(), &reference())), ["std"]);
        assert!(
            carrying(&Seen::new(&far, ModelIdentity::default(), &Reference::default())).is_empty()
        );
    }
}
