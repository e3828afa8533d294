//! Where drift stands, as a metric: of all hospitals together, for whoever runs the mesh.

use std::collections::{BTreeMap, BTreeSet};

use domain::Result;
use metrics::Unit::Count as Number;
use metrics::{describe_gauge, gauge};
use platform::db;
use sqlx::FromRow;

use crate::store::Store;

/// How the groups of each model stand that have had a window since then.
const STANDINGS: &str = "SELECT model_name, model_version, drifted, COUNT(*) AS groups_
     FROM drift_windows w
     WHERE created_ms >= ? AND number = (SELECT MAX(number) FROM drift_windows l
         WHERE l.tenant_id = w.tenant_id AND l.model_name = w.model_name AND l.model_version = w.model_version
             AND l.image_kind = w.image_kind AND l.scanner = w.scanner AND l.site = w.site)
     GROUP BY model_name, model_version, drifted";

/// The groups of a model whose last window stands like that.
#[derive(Clone, Debug, FromRow)]
pub struct Count {
    pub model_name: String,
    pub model_version: String,
    pub drifted: i64,
    #[sqlx(rename = "groups_")]
    pub groups: i64,
}

impl Store {
    /// How the groups stand that have had a window since then.
    pub async fn standings(&self, since_ms: i64) -> Result<Vec<Count>> {
        sqlx::query_as(STANDINGS)
            .bind(since_ms)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)
    }
}

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
        "Hospitals' scans of one site, scanner and kind of image with a window in the last 28 days, by model and by whether they have drifted"
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
