//! What was found, as observations (OBX).

use domain::{Answer, Identity};
use imaging::{Finding, ResultDocument, Unit};

use super::segment::{escaped, joined, segment};
use super::{at, is_long, study};
use crate::dicom::element::Code;
use crate::dicom::{coded, coded_side, codes, equipment, kind_of};
use crate::{FINDINGS_MAX, names, plain};

/// One OBX.
struct Observation {
    value_type: &'static str,
    concept: Code,
    /// The finding that it is of (OBX-4).
    finding: Option<usize>,
    /// Empty: it could not be obtained, which is neither present nor absent.
    value: String,
    unit: Option<Code>,
}

/// The observations as segments: the answer, what is known of examination and model, each finding, and remarks.
pub fn all(identity: &Identity, result: &ResultDocument) -> Vec<String> {
    let mut all = answer(result);
    all.extend(about(identity, result));
    let findings = result.findings.iter().take(FINDINGS_MAX);
    all.extend(findings.flat_map(|finding| measured(result, finding)));
    let remarks = plain::remarks(result);
    all.extend(remarks.iter().map(|words| text(codes::COMMENT, words)));
    let [_, accession, _] = identity.keys();
    if is_long(&accession) {
        all.push(text(
            codes::COMMENT,
            "The accession number is longer than HL7 holds, and is left out.",
        ));
    }
    let at = at(result);
    (1..).zip(all).map(|(number, one)| one.segment(number, &at)).collect()
}

fn answer(result: &ResultDocument) -> Vec<Observation> {
    let [presence, own] = coded(result.answer);
    let was_analysed = matches!(result.answer, Answer::Found | Answer::NoneFound);
    let value = if was_analysed { coded_element(presence) } else { String::new() };
    vec![
        new("CE", codes::NEOPLASM, value),
        code(codes::ANSWER, own),
        text(codes::CONCLUSION, &plain::conclusion(result)),
    ]
}

/// Which examination, and which model.
fn about(identity: &Identity, result: &ResultDocument) -> Vec<Observation> {
    let study = study(identity).map(|uid| string(codes::STUDY_UID, &uid));
    let model = [
        string(codes::ALGORITHM_NAME, &equipment::model_name(result)),
        string(codes::ALGORITHM_VERSION, &equipment::model_version(result)),
        string(codes::DEVICE_SERIAL, &equipment::serial_number(result)),
        string(codes::DEVICE_NAME, &result.header.software),
    ];
    study.into_iter().chain(model).collect()
}

fn measured(result: &ResultDocument, finding: &Finding) -> Vec<Observation> {
    let unit = match finding.unit {
        Unit::Millimetre => codes::MILLIMETRE,
        Unit::Pixel => codes::PIXEL,
    };
    let volume = finding.volume_ml.map(|ml| number(codes::VOLUME, ml, codes::MILLILITRE));
    // Of a slice of unknown thickness there is no volume.
    let area = finding.area_mm2.filter(|_| finding.volume_ml.is_none());
    let area = area.map(|mm2| number(codes::AREA, mm2, codes::SQUARE_MILLIMETRE));
    let mut all = vec![
        code(codes::FINDING, kind_of(finding)),
        string(codes::TRACKING_IDENTIFIER, &plain::called(finding)),
        string(codes::TRACKING_UID, &names::tracking_uid(result, finding)),
    ];
    all.extend(finding.laterality.map(|side| code(codes::LATERALITY, coded_side(side))));
    all.extend(volume);
    all.extend(area);
    all.extend([
        number(codes::LONG_AXIS, finding.longest_diameter.length, unit),
        number(codes::SHORT_AXIS, finding.perpendicular_diameter.length, unit),
        number(codes::CERTAINTY, 100.0 * finding.confidence, codes::PERCENT),
    ]);
    let of = Some(finding.label);
    all.into_iter().map(|one| Observation { finding: of, ..one }).collect()
}

fn code(concept: Code, value: Code) -> Observation {
    new("CE", concept, coded_element(value))
}

fn string(concept: Code, value: &str) -> Observation {
    new("ST", concept, escaped(value))
}

fn text(concept: Code, words: &str) -> Observation {
    new("TX", concept, escaped(words))
}

/// Without an exponent, to a millionth.
fn number(concept: Code, value: f64, unit: Code) -> Observation {
    const PARTS: f64 = 1e6;
    let value = ((value * PARTS).round() / PARTS).to_string();
    Observation { unit: Some(unit), ..new("NM", concept, value) }
}

fn new(value_type: &'static str, concept: Code, value: String) -> Observation {
    Observation { value_type, concept, finding: None, value, unit: None }
}

fn coded_element(Code(value, scheme, meaning): Code) -> String {
    joined(&[value, meaning, scheme])
}

impl Observation {
    fn segment(&self, number: usize, at: &str) -> String {
        // Preliminary, or not to be had.
        let status = if self.value.is_empty() { "X" } else { "P" };
        segment(
            "OBX",
            &[
                (1, number.to_string()),
                (2, self.value_type.into()),
                (3, coded_element(self.concept)),
                (4, self.finding.map_or_else(String::new, |label| label.to_string())),
                (5, self.value.clone()),
                (6, self.unit.map_or_else(String::new, coded_element)),
                (11, status.into()),
                (14, at.into()),
                (17, coded_element(codes::ARTIFICIAL_INTELLIGENCE)),
            ],
        )
    }
}
