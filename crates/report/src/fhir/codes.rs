//! Coded concepts as FHIR names their schemes.

use std::borrow::Cow;

use super::model::{Coding, Concept};
use crate::dicom::element::Code;

/// Of reports: what kind of document it is. LOINC's own words, which PS3.16 varies.
pub const IMAGING_REPORT: Coding =
    constant("http://loinc.org", "18748-4", "Diagnostic imaging study");
pub const RADIOLOGY: Coding =
    constant("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology");
pub const IMAGING: Coding =
    constant("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging");
pub const ACCESSION: Coding =
    constant("http://terminology.hl7.org/CodeSystem/v2-0203", "ACSN", "Accession ID");
/// What it may be used for.
pub const RESEARCH: Coding =
    constant("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HRESCH", "healthcare research");
pub const RESEARCH_ONLY: Code =
    Code("RESEARCH_ONLY", "99MEDSEG", "Research use only, not for diagnosis");
pub const NOT_PERFORMED: Coding = constant(ABSENT, "not-performed", "Not Performed");
pub const ERROR: Coding = constant(ABSENT, "error", "Error");

const ABSENT: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";

const fn constant(system: &'static str, code: &'static str, display: &'static str) -> Coding {
    Coding { system, code: Cow::Borrowed(code), display: Some(display) }
}

pub fn coding(Code(value, scheme, meaning): Code) -> Coding {
    constant(system(scheme), value, meaning)
}

pub fn concept(code: Code) -> Concept {
    Concept { coding: vec![coding(code)], text: Some(code.2.to_owned()) }
}

/// What FHIR calls the scheme that PS3.16 designates so.
fn system(scheme: &str) -> &'static str {
    match scheme {
        "SCT" => "http://snomed.info/sct",
        "DCM" => "http://dicom.nema.org/resources/ontology/DCM",
        "UCUM" => "http://unitsofmeasure.org",
        "LN" => "http://loinc.org",
        // Our own, which nobody else knows.
        _ => "urn:medseg:codes",
    }
}
