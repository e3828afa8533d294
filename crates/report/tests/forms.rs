//! Results as other programs read them: FHIR, HL7 v2 and GeoJSON.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod analysis;

use std::collections::BTreeSet;

use domain::{Answer, ErrorKind, Identity};
use imaging::phantom::{Phantom, Settings};
use imaging::{
    ClassifiedKind, Criteria, Findings, ImageFacts, ResultDocument, Role, Shape, StoredGrid,
    Timing, Totals, Volume, mask_nifti,
};
use report::{Language, Unmade, contours, fhir, hl7};
use serde_json::Value;

use analysis::{NOW_MS, SCAN, model};

const ANSWERS: [Answer; 4] =
    [Answer::Found, Answer::NoneFound, Answer::NotAnalysable, Answer::Failed];

struct Head {
    volume: Volume,
    found: Findings,
    grid: StoredGrid,
}

/// A head with a finding that has a hole, and with lesser ones: pixels that meet at corners alone, one of them at the picture's edge.
fn head(order: &str) -> Head {
    let settings = Settings {
        shape: Shape { slices: 66, rows: 72, columns: 80 },
        spacing: [3.0, 3.0, 2.8],
        lesion_ml: Some(12.0),
        ..Settings::slice(2)
    };
    let Phantom { volume, truth, .. } = Phantom::new(&settings).unwrap();
    let stored = volume.stored_as(order).unwrap().radiological();
    let mut probabilities: Vec<f32> = truth.iter().map(|&inside| 0.9 * f32::from(inside)).collect();
    let shape = stored.shape;
    let inside = |index: &usize| {
        let around = [index - 1, index + 1, index - shape.columns, index + shape.columns];
        truth[*index] > 0 && around.iter().all(|other| truth[*other] > 0)
    };
    let hole = (shape.slice_len()..shape.len() - shape.slice_len()).find(inside).unwrap();
    probabilities[hole] = 0.0;
    for index in [0, shape.columns + 1, 2] {
        probabilities[index] = 0.8;
    }
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: Some(0.4) };
    let found = Findings::new(&probabilities, shape, stored.geometry.as_ref(), criteria);
    let found = found.unwrap().located(&stored).unwrap();
    assert!(found.findings.iter().any(|finding| finding.role == Role::Lesser));
    let grid = StoredGrid::read(&stored.to_bytes()).unwrap().unwrap();
    Head { volume: stored, found, grid }
}

fn identity() -> Identity {
    let some = |text: &str| Some(text.to_owned());
    Identity {
        patient_name: some("Diallo^Aïssatou"),
        patient_id: some("04711"),
        issuer_of_patient_id: some("H1"),
        patient_birth_date: some("19700131"),
        patient_sex: some("F"),
        accession_number: some("A-77"),
        study_date: some("20231114"),
        study_time: some("101112"),
        study_instance_uid: some("1.2.3"),
        series_instance_uid: some("1.2.3.4"),
        sop_class_uid: some("1.2.840.10008.5.1.4.1.1.4"),
        sop_instance_uids: vec!["1.2.3.4.1".into(), "1.2.3.4.2".into()],
        ..Identity::default()
    }
}

fn result(head: &Head, answer: Answer) -> ResultDocument {
    let findings = if answer == Answer::Found { head.found.findings.clone() } else { Vec::new() };
    let reason = matches!(answer, Answer::NotAnalysable | Answer::Failed)
        .then(|| "why|not\nat all".to_owned());
    ResultDocument {
        answer,
        totals: Some(Totals::new(&findings, head.volume.shape)),
        image: Some(ImageFacts::new(&head.volume, ClassifiedKind::default(), 0)),
        model: Some(model()),
        timing: Timing::new(NOW_MS, NOW_MS, NOW_MS, 1.0),
        findings,
        ..ResultDocument::failed(SCAN.into(), reason, NOW_MS, NOW_MS)
    }
}

fn outlined(head: &Head, answer: Answer) -> Value {
    let mask = mask_nifti(&head.volume, &head.found).unwrap();
    let file = contours::written(&mask, &head.grid, &result(head, answer)).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn bundle(identity: &Identity, result: &ResultDocument) -> Value {
    serde_json::from_slice(&fhir::bundle(identity, result, None).unwrap()).unwrap()
}

/// The types in a list, each once.
fn kinds<'v>(of: impl Iterator<Item = &'v Value>) -> BTreeSet<&'v str> {
    of.filter_map(Value::as_str).collect()
}

#[test]
fn the_capability_statement_names_what_is_offered_and_what_a_transaction_makes() {
    let call = "GET /v1/scans/{id}/report.fhir.json".to_owned();
    let offered = [fhir::Offered { call: call.clone(), summary: "Gives the result" }];
    let statement = fhir::capability_statement("1.2.3", &offered);
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    let [serving, sending] = [0_usize, 1].map(|index| &statement["rest"][index]);
    let about = serving["documentation"].as_str().unwrap();
    assert!(about.contains(&format!("`{call}`: Gives the result")), "{about}");
    // Nothing is read or searched by FHIR's own addresses, and nothing says that it is.
    assert_eq!((&serving["mode"], &serving["resource"]), (&Value::from("server"), &Value::Null));

    let sent = fhir::transaction(&identity(), &result(&head("LPS"), Answer::Found)).unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    let entries = sent["entry"].as_array().unwrap();
    let told = sending["resource"].as_array().unwrap();
    let made = kinds(entries.iter().map(|entry| &entry["request"]["url"]));
    assert_eq!(made, kinds(told.iter().map(|resource| &resource["type"])));
    assert_eq!(made.len(), told.len(), "a type is told twice");
}

/// The segments of a message, each as its fields.
fn segments(identity: &Identity, result: &ResultDocument) -> Vec<Vec<String>> {
    let message = String::from_utf8(hl7::message(identity, result)).unwrap();
    let segments = message.split_terminator('\r');
    segments.map(|segment| segment.split('|').map(str::to_owned).collect()).collect()
}

type Ring = Vec<[f64; 2]>;

/// Whether a position lies within a ring, by how often a line to its right crosses it.
fn is_within(ring: &Ring, [x, y]: [f64; 2]) -> bool {
    let crosses = |ends: &&[[f64; 2]]| {
        let [[from_x, from_y], [_, to_y]] = [ends[0], ends[1]];
        (from_y > y) != (to_y > y) && from_x > x
    };
    ring.windows(2).filter(crosses).count() % 2 == 1
}

#[test]
fn outlines_that_are_filled_are_the_mask() {
    for order in ["LPS", "ASL"] {
        let head = head(order);
        let shape = head.volume.shape;
        let (mut filled, mut holes) = (vec![0_u8; shape.len()], 0);
        let file = outlined(&head, Answer::Found);
        for feature in file["features"].as_array().unwrap() {
            let told = &feature["properties"];
            let slice = told["slice"].as_u64().unwrap() as usize;
            let label = if told["role"] == "main" { 1 } else { 2 };
            let polygons = feature["geometry"]["coordinates"].clone();
            let polygons: Vec<Vec<Ring>> = serde_json::from_value(polygons).unwrap();
            holes += polygons.iter().filter(|rings| rings.len() > 1).count();
            let mut pixels = 0_u64;
            for index in 0..shape.slice_len() {
                let at = [(index % shape.columns) as f64, (index / shape.columns) as f64];
                let fills = |polygon: &Vec<Ring>| {
                    polygon.iter().filter(|ring| is_within(ring, at)).count() % 2 == 1
                };
                if polygons.iter().any(fills) {
                    filled[slice * shape.slice_len() + index] = label;
                    pixels += 1;
                }
            }
            assert_eq!(told["pixels"], pixels);
        }
        assert!(filled == head.found.mask, "{order}");
        assert!(holes > 0, "{order}: a hole was to be drawn");
    }
}

#[test]
fn outlines_lie_in_the_patient_where_the_result_says() {
    for order in ["LPS", "RAS", "LIA", "SRA"] {
        let head = head(order);
        let file = outlined(&head, Answer::Found);
        let affine: [[f64; 4]; 4] =
            serde_json::from_value(file["medseg"]["affine_lps"].clone()).unwrap();
        for finding in &head.found.findings {
            let [slice, row, column] = finding.centroid;
            let index = [column, row, slice, 1.0];
            for (axis, expected) in finding.centroid_mm.unwrap().iter().enumerate() {
                let there: f64 = affine[axis].iter().zip(index).map(|(step, at)| step * at).sum();
                assert!((there - expected).abs() < 1e-3, "{order}: {there} {expected}");
            }
        }
        assert!(file.to_string().contains("not longitude and latitude"));
        assert!(!file.to_string().contains("Diallo"));
    }
}

#[test]
fn each_answer_has_outlines_a_bundle_and_a_message_that_say_it() {
    let head = head("LPS");
    for (answer, told, absent) in [
        (Answer::Found, "found", Value::Null),
        (Answer::NoneFound, "none_found", Value::Null),
        (Answer::NotAnalysable, "not_analysable", "not-performed".into()),
        (Answer::Failed, "failed", "error".into()),
    ] {
        let file = outlined(&head, answer);
        assert_eq!(file["medseg"]["answer"], told);
        assert_eq!(file["features"] == Value::Array(Vec::new()), answer != Answer::Found);

        let result = result(&head, answer);
        let bundle = bundle(&identity(), &result);
        let entries = bundle["entry"].as_array().unwrap();
        let said = &entries[1]["resource"];
        assert_eq!(said["dataAbsentReason"]["coding"][0]["code"], absent, "{said}");
        assert_eq!(said.get("valueCodeableConcept").is_some(), absent.is_null());
        let own = &entries[0]["resource"]["conclusionCode"][0]["coding"][0]["code"];
        assert_eq!(*own, told.to_uppercase());

        let segments = segments(&identity(), &result);
        let own =
            segments.iter().find(|fields| fields.len() > 5 && fields[3].starts_with("ANSWER^"));
        assert!(own.unwrap()[5].starts_with(&format!("{}^", told.to_uppercase())));
        let presence = segments.iter().find(|fields| fields[0] == "OBX").unwrap();
        let expected = if absent.is_null() { "P" } else { "X" };
        assert_eq!((presence[11].as_str(), presence[5].is_empty()), (expected, expected == "X"));
        let lines: Vec<&str> = segments.iter().map(|fields| fields[0].as_str()).collect();
        assert_eq!(lines[..3], ["MSH", "PID", "OBR"]);
        assert!(lines[3..].iter().all(|name| *name == "OBX"), "{lines:?}");
    }
}

/// All literal references in a document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
            Value::String(reference) if name == "reference" => found.push(reference.clone()),
            value => references(value, found),
        }),
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn all_references_of_a_bundle_are_to_its_entries_and_each_is_said_to_be_research() {
    let head = head("LPS");
    for answer in ANSWERS {
        for identity in [identity(), Identity::default()] {
            let result = result(&head, answer);
            let bundle = bundle(&identity, &result);
            assert_eq!(bundle, self::bundle(&identity, &result));
            let entries = bundle["entry"].as_array().unwrap();
            let mut names: Vec<&str> =
                entries.iter().map(|entry| entry["fullUrl"].as_str().unwrap()).collect();
            let mut found = Vec::new();
            references(&bundle, &mut found);
            assert!(!found.is_empty());
            assert!(found.iter().all(|reference| names.contains(&reference.as_str())));
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), entries.len());
            for entry in entries {
                let resource = &entry["resource"];
                assert_eq!(resource["meta"]["security"][0]["code"], "HRESCH");
                let id = resource["id"].as_str().unwrap();
                assert_eq!(entry["fullUrl"], format!("urn:uuid:{id}"));
            }
            let kinds: Vec<&str> = entries
                .iter()
                .map(|entry| entry["resource"]["resourceType"].as_str().unwrap())
                .collect();
            let is_known = identity != Identity::default();
            for kind in ["Patient", "ImagingStudy"] {
                assert_eq!(kinds.contains(&kind), is_known, "{kind}");
            }
            assert!(!bundle.to_string().contains("Diallo"), "a patient is a number");
        }
    }
}

#[test]
fn the_measures_of_a_finding_are_those_of_the_result() {
    let head = head("LPS");
    let result = result(&head, Answer::Found);
    let finding = &result.findings[0];
    let expected = [
        ("118565006", finding.volume_ml.unwrap(), "mL"),
        ("103339001", finding.longest_diameter.length, "mm"),
        ("103340004", finding.perpendicular_diameter.length, "mm"),
    ];
    let bundle = bundle(&identity(), &result);
    let entries = bundle["entry"].as_array().unwrap();
    let segments = segments(&identity(), &result);
    for (code, value, unit) in expected {
        let observation = entries
            .iter()
            .map(|entry| &entry["resource"])
            .find(|resource| resource["code"]["coding"][0]["code"] == code)
            .unwrap();
        let quantity = &observation["valueQuantity"];
        assert!((quantity["value"].as_f64().unwrap() - value).abs() < 1e-6, "{quantity}");
        assert_eq!(quantity["code"], unit);

        let numbers =
            segments.iter().find(|fields| fields[0] == "OBX" && fields[3].starts_with(code));
        let fields = numbers.unwrap();
        let told: f64 = fields[5].parse().unwrap();
        assert!((told - value).abs() < 1e-6 && fields[6].starts_with(unit), "{fields:?}");
        assert_eq!((fields[2].as_str(), fields[4].as_str()), ("NM", "1"));
    }
}

#[test]
fn a_bundle_has_the_printed_report_if_that_is_asked_for() {
    let head = head("LPS");
    let result = result(&head, Answer::Found);
    let printed = Some((&b"%PDF-"[..], Language::French));
    let file = fhir::bundle(&identity(), &result, printed).unwrap();
    let bundle: Value = serde_json::from_slice(&file).unwrap();
    let form = &bundle["entry"][0]["resource"]["presentedForm"][0];
    let expected = ["application/pdf", "fr", "JVBERi0="];
    assert_eq!(["contentType", "language", "data"].map(|name| &form[name]), expected);
}

#[test]
fn a_mask_of_another_result_has_no_outlines() {
    let head = head("LPS");
    let empty = Findings { mask: vec![0; head.volume.shape.len()], findings: Vec::new() };
    let mask = mask_nifti(&head.volume, &empty).unwrap();
    let made = contours::written(&mask, &head.grid, &result(&head, Answer::Found));
    let Err(Unmade::Failed(error)) = made else { panic!("it was made") };
    assert_eq!(error.kind(), ErrorKind::Internal);
}
