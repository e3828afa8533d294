//! Where drift stands, as a metric: of all hospitals together, for whoever runs the mesh.

use std::collections::{BTreeMap, BTreeSet};

use metrics::Unit::Count as Number;
use metrics::{describe_gauge, gauge};

use super::store::Count;

/// Shows the counts. A model that has no group any more has none that stands in any way.
pub fn show(counts: &[Count], shown: &mut BTreeSet<String>) {
    let mut groups = BTreeMap::<String, [i64; 2]>::new();
    for count in counts {
        let model = format!("{}/{}", count.model_name, count.model_version);
        groups.entry(model).or_default()[usize::from(count.drifted != 0)] += count.groups;
    }
    let there: BTreeSet<String> = groups.keys().cloned().collect();
    let gone = shown.difference(&there).map(|model| (model.clone(), [0, 0]));
    for (model, [stable, drifted]) in gone.collect::<Vec<_>>().into_iter().chain(groups) {
        for (state, groups) in [("stable", stable), ("drifted", drifted)] {
            gauge!("medseg_drift_groups", "model" => model.clone(), "state" => state)
                .set(groups as f64);
        }
    }
    *shown = there;
}

pub fn describe() {
    describe_gauge!(
        "medseg_drift_groups",
        Number,
        "Hospitals' scans of one scanner and kind of image with a window in the last 28 days, by model and by whether they have drifted"
    );
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn count(version: &str, drifted: i64, groups: i64) -> Count {
        Count { model_name: "m".into(), model_version: version.into(), drifted, groups }
    }

    #[test]
    fn groups_are_shown_by_model_and_state_until_there_are_none() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let mut shown = BTreeSet::new();
        let mut shown_by = |counts: &[Count]| {
            metrics::with_local_recorder(&recorder, || show(counts, &mut shown));
            recorder.handle().render()
        };
        let text = shown_by(&[count("1", 0, 5), count("1", 1, 2), count("2", 0, 1)]);
        for line in [
            r#"medseg_drift_groups{model="m/1",state="stable"} 5"#,
            r#"medseg_drift_groups{model="m/1",state="drifted"} 2"#,
            r#"medseg_drift_groups{model="m/2",state="drifted"} 0"#,
        ] {
            assert!(text.lines().any(|said| said == line), "{line}: {text}");
        }
        let text = shown_by(&[count("2", 1, 1)]);
        for line in [
            r#"medseg_drift_groups{model="m/1",state="drifted"} 0"#,
            r#"medseg_drift_groups{model="m/2",state="drifted"} 1"#,
            r#"medseg_drift_groups{model="m/2",state="stable"} 0"#,
        ] {
            assert!(text.lines().any(|said| said == line), "{line}: {text}");
        }
    }
}
