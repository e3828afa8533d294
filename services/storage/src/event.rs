use domain::{Answer, JobId, RefusalId, Result, ScanId, TenantId, Unanswered};
use proto::events::{
    FeedbackGiven, IncidentReported, Observation, ScanCompleted, ScanErased, UploadRefused,
};
use service::topics::{
    FEEDBACK_GIVEN, INCIDENT_REPORTED, SCAN_COMPLETED, SCAN_ERASED, UPLOAD_REFUSED,
};
use service::{CloudEvent, Origin};

const SOURCE: &str = "/medseg/storage";

/// The facts of a completed scan that the event reports.
pub struct Completed<'a> {
    pub tenant: TenantId,
    pub scan: ScanId,
    pub answer: Answer,
    /// The job, where the scan was analysed anew; None: this is its first analysis.
    pub renewed: Option<JobId>,
    /// When this analysis was asked for.
    pub asked_ms: i64,
    pub completed_ms: i64,
    /// None when nothing was observed.
    pub observation: Option<&'a Observation>,
    /// Why there is no answer, where there is none.
    pub unanswered: Option<Unanswered>,
    /// Where and with what the scan was made; empty: nobody says.
    pub site: &'a str,
    pub scanner: &'a str,
    /// The trace of its upload; empty: none.
    pub traceparent: &'a str,
}

/// The event `scan.completed`, as JSON.
///
/// An analysis is completed once. The first has the scan's id, and one anew that of its job: whoever receives an event twice can
/// tell.
pub fn completed(done: &Completed) -> Result<String> {
    let scan = done.scan.to_string();
    let origin = Origin {
        source: SOURCE,
        id: done.renewed.map_or_else(|| scan.clone(), |job| job.to_string()),
        subject: scan.clone(),
        at_ms: done.completed_ms,
        traceparent: done.traceparent,
    };
    let data = ScanCompleted {
        tenant: done.tenant.to_string(),
        scan_id: scan,
        answer: done.answer.name().to_owned(),
        completed_ms: done.completed_ms,
        response_ms: Some(done.completed_ms - done.asked_ms),
        observation: done
            .observation
            .map(|seen| Observation { scanner: said(done.scanner), ..seen.clone() }),
        site: said(done.site),
        refusal: done.unanswered.map(|why| why.name().to_owned()),
    };
    CloudEvent::new(SCAN_COMPLETED, origin, data)?.to_json()
}

pub fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The event `feedback.given`, as JSON. Each word is given once, so its id is the event's.
pub fn given(said: FeedbackGiven, traceparent: &str) -> Result<String> {
    let origin = Origin {
        source: SOURCE,
        id: said.feedback_id.clone(),
        subject: said.scan_id.clone(),
        at_ms: said.given_ms,
        traceparent,
    };
    CloudEvent::new(FEEDBACK_GIVEN, origin, said)?.to_json()
}

/// The event `incident.reported`, as JSON. Each report is one, so its id is the event's.
pub fn reported(said: IncidentReported, traceparent: &str) -> Result<String> {
    let origin = Origin {
        source: SOURCE,
        id: said.incident_id.clone(),
        subject: said.incident_id.clone(),
        at_ms: said.reported_ms,
        traceparent,
    };
    CloudEvent::new(INCIDENT_REPORTED, origin, said)?.to_json()
}

/// The event `upload.refused`, as JSON.
pub fn refused(id: RefusalId, said: UploadRefused, traceparent: &str) -> Result<String> {
    let origin = Origin {
        source: SOURCE,
        id: id.to_string(),
        subject: said.problem.clone(),
        at_ms: said.refused_ms,
        traceparent,
    };
    CloudEvent::new(UPLOAD_REFUSED, origin, said)?.to_json()
}

/// The event `scan.erased`, as JSON. A scan is erased once, so its id is the event's.
pub fn erased(tenant: TenantId, scan: ScanId, erased_ms: i64) -> Result<String> {
    let scan_id = scan.to_string();
    let origin = Origin {
        source: SOURCE,
        id: scan_id.clone(),
        subject: scan_id.clone(),
        at_ms: erased_ms,
        traceparent: "",
    };
    let data = ScanErased { tenant_id: tenant.to_string(), scan_id, erased_ms };
    CloudEvent::new(SCAN_ERASED, origin, data)?.to_json()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto::events::{Embedding, ModelIdentity, SliceCounts};
    use serde_json::Value;
    use service::{system_clock, system_random};

    use super::*;

    const SCHEMA: &str = include_str!("../../../docs/scan.completed.schema.json");
    const SCHEMA_OF_FEEDBACK: &str = include_str!("../../../docs/feedback.given.schema.json");

    const SCHEMA_OF_REFUSAL: &str = include_str!("../../../docs/upload.refused.schema.json");
    const SCHEMA_OF_INCIDENT: &str = include_str!("../../../docs/incident.reported.schema.json");
    const SCHEMA_OF_ERASURE: &str = include_str!("../../../docs/scan.erased.schema.json");

    /// The features of any image.
    const ALWAYS: [&str; 9] =
        ["mean", "std", "p01", "p99", "sharpness", "background", "noise", "rows", "columns"];

    /// What inference tells of a scan that was analysed in full.
    fn observation() -> Observation {
        let acquired = ["slices", "pixel_mm", "slice_mm", "tilt_degrees"];
        let protocol = ["repetition_ms", "echo_ms", "inversion_ms", "tesla"];
        let features = ALWAYS.into_iter().chain(acquired).chain(protocol);
        Observation {
            features: features.map(|name| (name.to_owned(), 0.5)).collect(),
            mask_fraction: Some(0.25),
            confidence: Some(0.9),
            model: Some(ModelIdentity::default()),
            image_kind: Some("flair".to_owned()),
            compute_ms: Some(40.5),
            expected_dice: Some(0.75),
            scanner: None,
            embedding: Some(Embedding::default()),
            orientation: Some("axial".to_owned()),
            sequence: Some("SE/IR 2D".to_owned()),
        }
    }

    fn event(observation: Option<&Observation>, traceparent: &str) -> Value {
        let (clock, random) = (system_clock(), system_random());
        let whole = observation.is_some_and(|seen| seen.confidence.is_some());
        let event = completed(&Completed {
            tenant: TenantId::new(&clock, &random),
            scan: ScanId::new(&clock, &random),
            answer: Answer::Found,
            renewed: None,
            asked_ms: 1_000,
            completed_ms: 3_000,
            observation,
            unanswered: whole.then_some(Unanswered::NoModel),
            site: if whole { "General" } else { "" },
            scanner: if whole { "Acme Maker 1.5 T" } else { "" },
            traceparent,
        });
        serde_json::from_str(&event.unwrap()).unwrap()
    }

    /// The paths of all fields below `value`.
    fn fields(value: &Value, path: &str) -> BTreeSet<String> {
        let Some(object) = value.as_object() else { return BTreeSet::new() };
        let below = object.iter().flat_map(|(name, value)| {
            let path = format!("{path}/{name}");
            fields(value, &path).into_iter().chain([path])
        });
        below.collect()
    }

    /// The paths of all fields that the schema names; of those that it requires, with `required`.
    fn documented(schema: &Value, path: &str, required: bool) -> BTreeSet<String> {
        let names = schema["properties"].as_object().into_iter().flatten();
        let needed = |name: &str| {
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        let shown = names.filter(|(name, _)| !required || needed(name));
        let below = shown.flat_map(|(name, schema)| {
            let path = format!("{path}/{name}");
            documented(schema, &path, required).into_iter().chain([path])
        });
        below.collect()
    }

    fn below(fields: BTreeSet<String>, part: &str) -> BTreeSet<String> {
        fields.into_iter().filter(|path| path.starts_with(part)).collect()
    }

    #[test]
    fn an_event_has_exactly_the_fields_that_the_document_names() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let full = fields(&event(Some(&observation()), "00-ab"), "");
        assert_eq!(full, documented(&schema, "", false));
    }

    #[test]
    fn an_event_never_lacks_what_the_document_requires() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        // As of a picture that no model may judge.
        let Observation { mut features, model, .. } = observation();
        features.retain(|name, _| ALWAYS.contains(&name.as_str()));
        let unjudged = Observation { features, model, ..Default::default() };
        assert_eq!(fields(&event(Some(&unjudged), ""), ""), documented(&schema, "", true));

        let failed = fields(&event(None, ""), "");
        let observed = below(documented(&schema, "", true), "/data/observation/");
        let required: BTreeSet<_> =
            documented(&schema, "", true).difference(&observed).cloned().collect();
        assert_eq!(failed, required);
        assert!(event(None, "")["data"]["observation"].is_null());
    }

    /// What is said of a correction; of the least that can be said, without what is optional.
    fn feedback(whole: bool) -> Value {
        let said = FeedbackGiven {
            tenant_id: "a hospital".to_owned(),
            scan_id: "a scan".to_owned(),
            feedback_id: "a word".to_owned(),
            given_ms: 3_000,
            verdict: "correct".to_owned(),
            truth: whole.then(|| "tumour".to_owned()),
            reader_digest: "ab".repeat(32),
            dice: whole.then_some(0.75),
            model: whole.then(ModelIdentity::default),
            answer: "found".to_owned(),
            image_kind: whole.then(|| "flair".to_owned()),
            mask_fraction: whole.then_some(0.25),
            adjudicates: if whole { vec!["another word".to_owned()] } else { Vec::new() },
            slices: whole.then(SliceCounts::default),
            reason: whole.then(|| "outline".to_owned()),
            finding_reasons: if whole { vec!["quality".to_owned()] } else { Vec::new() },
        };
        let event = given(said, if whole { "00-ab" } else { "" });
        serde_json::from_str(&event.unwrap()).unwrap()
    }

    #[test]
    fn a_readers_word_has_exactly_the_fields_that_the_document_names_and_requires() {
        let schema: Value = serde_json::from_str(SCHEMA_OF_FEEDBACK).unwrap();
        let whole = feedback(true);
        assert_eq!(fields(&whole, ""), documented(&schema, "", false));
        assert_eq!(fields(&feedback(false), ""), documented(&schema, "", true));
        assert_eq!((&whole["type"], &whole["id"]), (&"feedback.given".into(), &"a word".into()));
        assert_eq!(
            (&whole["subject"], &whole["time"]),
            (&"a scan".into(), &"1970-01-01T00:00:03.000Z".into())
        );
    }

    #[test]
    fn a_report_has_exactly_the_fields_that_the_document_names_and_requires() {
        let schema: Value = serde_json::from_str(SCHEMA_OF_INCIDENT).unwrap();
        let reported = |whole: bool| -> Value {
            let said = IncidentReported {
                tenant_id: "a hospital".to_owned(),
                incident_id: "a report".to_owned(),
                reported_ms: 3_000,
                scan_id: whole.then(|| "a scan".to_owned()),
            };
            let event = super::reported(said, if whole { "00-ab" } else { "" });
            serde_json::from_str(&event.unwrap()).unwrap()
        };
        assert_eq!(fields(&reported(true), ""), documented(&schema, "", false));
        assert_eq!(fields(&reported(false), ""), documented(&schema, "", true));
        assert_eq!(reported(true)["id"], "a report");
    }

    #[test]
    fn an_erasure_has_exactly_the_fields_that_the_document_names_and_requires() {
        let schema: Value = serde_json::from_str(SCHEMA_OF_ERASURE).unwrap();
        let (clock, random) = (system_clock(), system_random());
        let (tenant, scan) = (TenantId::new(&clock, &random), ScanId::new(&clock, &random));
        let event = super::erased(tenant, scan, 3_000).unwrap();
        let event: Value = serde_json::from_str(&event).unwrap();
        for required in [false, true] {
            assert_eq!(fields(&event, ""), documented(&schema, "", required));
        }
        assert_eq!((&event["id"], &event["subject"]), (&scan.to_string().into(), &event["id"]));
    }

    #[test]
    fn an_event_tells_when_and_how_long_and_of_what() {
        let event = event(None, "");
        assert_eq!((&event["type"], &event["id"]), (&"scan.completed".into(), &event["subject"]));
        assert_eq!(event["time"], "1970-01-01T00:00:03.000Z");
        assert_eq!(event["data"]["response_ms"], 2_000);
        assert_eq!(event["data"]["answer"], "found");
    }

    #[test]
    fn a_refusal_has_exactly_the_fields_that_the_document_names_and_requires() {
        let schema: Value = serde_json::from_str(SCHEMA_OF_REFUSAL).unwrap();
        for whole in [true, false] {
            let known = |text: &str| whole.then(|| text.to_owned());
            let said = UploadRefused {
                tenant_id: "a hospital".to_owned(),
                refused_ms: 3_000,
                problem: "not-a-head".to_owned(),
                site: known("General"),
                scanner: known("Acme Maker 1.5 T"),
                image_kind: known("flair"),
            };
            let id = RefusalId::new(&system_clock(), &system_random());
            let event = refused(id, said, if whole { "00-ab" } else { "" }).unwrap();
            let event: Value = serde_json::from_str(&event).unwrap();
            assert_eq!(fields(&event, ""), documented(&schema, "", !whole));
        }
    }
}
