use std::collections::{BTreeMap, BTreeSet};

use domain::TenantId;
use proto::events::ModelIdentity;
use serde_json::Value;
use service::{system_clock, system_random};

use super::*;
use crate::report::{Feature, Thresholds};
use crate::windows::Seen;
use crate::windows::alarm::Standing;

const SCHEMA_OF_DETECTED: &str = include_str!("../../../../docs/drift.detected.schema.json");
const SCHEMA_OF_CLEARED: &str = include_str!("../../../../docs/drift.cleared.schema.json");

fn feature(name: &str, verdict: Verdict) -> Feature {
    Feature { scans: 40, psi: Some(0.75), ks_p_value: Some(0.0005), ..Feature::new(name, verdict) }
}

fn window() -> Window {
    let tenant = TenantId::new(&system_clock(), &system_random());
    let [model_name, model_version, image_kind, scanner, site] =
        ["medseg-mr", "1", "flair", "Acme Maker 3", "West"].map(str::to_owned);
    let model =
        ModelIdentity { name: "medseg-mr".into(), version: "1".into(), sha256: "ab".into() };
    let embedding = Feature {
        psi: None,
        ks_p_value: None,
        mmd2: Some(0.125),
        mmd_p_value: Some(0.0001),
        ..feature("embedding", Verdict::Drift)
    };
    let features =
        vec![embedding, feature("mean", Verdict::Drift), feature("std", Verdict::Stable)];
    let thresholds = Thresholds { scans_min: 30, psi_watch: 0.1, psi_drift: 0.25, p_max: 0.001 };
    Window {
        id: "0198c2a4-6f0e-7c31-9d55-3b1f0c2e4a77".into(),
        group: Group { tenant, model_name, model_version, image_kind, scanner, site },
        number: 3,
        from_ms: 5,
        to_ms: 6,
        created_ms: 7,
        scans: 40,
        standing: Standing::default(),
        seen: Seen { model, answers: BTreeMap::new(), features, thresholds },
    }
}

fn told(change: Change) -> (Told, Value) {
    let told = Told::new(&window(), change).unwrap();
    let event = serde_json::from_str(&told.body).unwrap();
    (told, event)
}

/// The paths of all fields below `value`; of a list, those of its first.
fn fields(value: &Value, path: &str) -> BTreeSet<String> {
    let value = value.as_array().and_then(|all| all.first()).unwrap_or(value);
    let below = value.as_object().into_iter().flatten().flat_map(|(name, value)| {
        let path = format!("{path}/{name}");
        fields(value, &path).into_iter().chain([path])
    });
    below.collect()
}

/// The paths of all fields that the schema names.
fn documented(schema: &Value, path: &str) -> BTreeSet<String> {
    let schema = schema.get("items").unwrap_or(schema);
    let names = schema["properties"].as_object().into_iter().flatten();
    let below = names.flat_map(|(name, schema)| {
        let path = format!("{path}/{name}");
        documented(schema, &path).into_iter().chain([path])
    });
    below.collect()
}

#[test]
fn an_event_has_exactly_the_fields_that_the_document_names() {
    for (change, schema) in
        [(Change::Detected, SCHEMA_OF_DETECTED), (Change::Cleared, SCHEMA_OF_CLEARED)]
    {
        let mut documented = documented(&serde_json::from_str(schema).unwrap(), "");
        // What is told in no request has no trace.
        documented.remove("/traceparent");
        assert_eq!(fields(&told(change).1, ""), documented, "{change:?}");
    }
}

#[test]
fn what_has_drifted_is_named_and_nothing_else() {
    let (told, event) = told(Change::Detected);
    assert_eq!((told.event, told.id.as_str()), (DRIFT_DETECTED, event["id"].as_str().unwrap()));
    let features = event["data"]["features"].as_array().unwrap();
    let expected = serde_json::json!([
        { "name": "embedding", "psi": 0.0, "p_value": 0.0001, "mmd2": 0.125 },
        { "name": "mean", "psi": 0.75, "p_value": 0.0005 },
    ]);
    assert_eq!(*features, *expected.as_array().unwrap());
    assert_eq!(event["data"]["group"]["scanner"], "Acme Maker 3");
    assert_eq!(event["data"]["group"]["site"], "West");
    assert_eq!((&event["type"], &event["source"]), (&"drift.detected".into(), &SOURCE.into()));
    let (told, event) = self::told(Change::Cleared);
    assert_eq!((told.event, event["type"].as_str()), (DRIFT_CLEARED, Some("drift.cleared")));
}
