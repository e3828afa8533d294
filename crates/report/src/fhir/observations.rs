//! What was found: the answer, and of each finding its measures.

use domain::Answer;
use imaging::{Finding, Unit};

use super::codes::{self, coding, concept};
use super::model::{
    Annotation, Component, Concept, Entry, Observation, Quantity, Reference, Resource, Value,
};
use super::{DEVICE, Of, PRELIMINARY, meta, uid_identifier};
use crate::dicom::element::Code;
use crate::dicom::{coded, coded_side, codes as dicom, kind_of};
use crate::{FINDINGS_MAX, names, plain};

/// All of them; and references to those that stand for others: the answer, then each finding.
pub fn all(of: &Of<'_>) -> (Vec<Entry>, Vec<Reference>) {
    let mut entries = vec![of.entry(ANSWER, observed(answer(of)))];
    let mut told = vec![of.reference(ANSWER)];
    for finding in of.result.findings.iter().take(FINDINGS_MAX) {
        let label = finding.label.to_string();
        let words = ["finding", label.as_str()];
        let measures = measures(of, finding);
        let members =
            measures.iter().map(|(name, _)| of.reference(&[&words[..], &[*name]].concat()));
        let group = Observation { has_member: members.collect(), ..group(of, finding, &words) };
        told.push(of.reference(&words));
        entries.push(of.entry(&words, observed(group)));
        entries.extend(
            measures.into_iter().map(|(name, measure)| {
                of.entry(&[&words[..], &[name]].concat(), observed(measure))
            }),
        );
    }
    (entries, told)
}

const ANSWER: &[&str] = &["answer"];

fn observed(observation: Observation) -> Resource {
    Resource::Observation(Box::new(observation))
}

/// Whether there is a tumour region, or why nobody knows.
fn answer(of: &Of<'_>) -> Observation {
    let [presence, own] = coded(of.result.answer);
    let both = |first| Concept {
        coding: vec![first, coding(own)],
        text: Some(plain::conclusion(of.result)),
    };
    let value = match of.result.answer {
        Answer::Found | Answer::NoneFound => Value::Concept(both(coding(presence))),
        Answer::NotAnalysable => Value::Absent(both(codes::NOT_PERFORMED)),
        Answer::Failed => Value::Absent(both(codes::ERROR)),
    };
    let notes = plain::remarks(of.result).into_iter().map(|text| Annotation { text });
    Observation {
        note: notes.collect(),
        body_site: Some(concept(dicom::BRAIN)),
        ..plainly(of, ANSWER, dicom::NEOPLASM, value)
    }
}

/// What a finding is and where.
fn group(of: &Of<'_>, finding: &Finding, words: &[&str]) -> Observation {
    let side = finding.laterality.map(|side| Component {
        code: concept(dicom::LATERALITY),
        value: Value::Concept(concept(coded_side(side))),
    });
    let tracked = names::tracking_uid(of.result, finding);
    let note = Annotation { text: plain::described(finding) };
    Observation {
        identifier: vec![uid_identifier(&tracked)],
        note: vec![note],
        body_site: Some(concept(dicom::BRAIN)),
        component: side.into_iter().collect(),
        ..plainly(of, words, dicom::FINDING, Value::Concept(concept(kind_of(finding))))
    }
}

/// The numbers of a finding, each with its name among them.
fn measures(of: &Of<'_>, finding: &Finding) -> Vec<(&'static str, Observation)> {
    let unit = match finding.unit {
        Unit::Millimetre => dicom::MILLIMETRE,
        Unit::Pixel => dicom::PIXEL,
    };
    // Of a slice of unknown thickness there is no volume.
    let area = finding.area_mm2.filter(|_| finding.volume_ml.is_none());
    let numbers = [
        ("volume", dicom::VOLUME, finding.volume_ml, dicom::MILLILITRE),
        ("area", dicom::AREA, area, dicom::SQUARE_MILLIMETRE),
        ("long-axis", dicom::LONG_AXIS, Some(finding.longest_diameter.length), unit),
        ("short-axis", dicom::SHORT_AXIS, Some(finding.perpendicular_diameter.length), unit),
        ("certainty", dicom::CERTAINTY, Some(100.0 * finding.confidence), dicom::PERCENT),
    ];
    let label = finding.label.to_string();
    let measured = |(name, measure, value, unit): (&'static str, Code, Option<f64>, Code)| {
        let value = Value::Quantity(quantity(value?, unit));
        Some((name, plainly(of, &["finding", label.as_str(), name], measure, value)))
    };
    numbers.into_iter().filter_map(measured).collect()
}

/// To a millionth, as all formats have it.
fn quantity(value: f64, Code(code, _, unit): Code) -> Quantity {
    const PARTS: f64 = 1e6;
    let value = (value * PARTS).round() / PARTS;
    Quantity { value, unit, system: "http://unitsofmeasure.org", code }
}

/// With what all observations have.
fn plainly(of: &Of<'_>, words: &[&str], what: Code, value: Value) -> Observation {
    Observation {
        id: of.id(words),
        meta: meta(),
        identifier: Vec::new(),
        status: PRELIMINARY,
        category: vec![Concept { coding: vec![codes::IMAGING], text: None }],
        code: concept(what),
        subject: of.subject(),
        effective_date_time: of.effective.clone(),
        issued: of.issued.clone(),
        value,
        note: Vec::new(),
        body_site: None,
        device: of.reference(DEVICE),
        has_member: Vec::new(),
        derived_from: of.studies(),
        component: Vec::new(),
    }
}
