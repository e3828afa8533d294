//! The result in sentences: a Basic Text SR (PS3.3 A.35.1) by TID 2000 (PS3.16), which has no numbers of its own and no coordinates.

use dicom_dictionary_std::uids;
use domain::Result;

use super::element::Element;
use super::file::{self, Kind};
use super::sr::content::{Content, Relation};
use super::{DicomResult, Unmade, coded, codes, sr};
use crate::{FINDINGS_MAX, plain};

pub const KIND: Kind = Kind {
    name: "text.dcm",
    class: uids::BASIC_TEXT_SR_STORAGE,
    modality: "SR",
    series_number: 9405,
    description: "medseg: result in words (research)",
};

pub fn written(of: &DicomResult) -> Result<Vec<u8>, Unmade> {
    let mut elements = sr::general(of, None);
    elements.extend(root(of));
    file::written(of, &KIND, &[], elements)
}

/// The root of the content tree, with all that is below.
fn root(of: &DicomResult) -> Vec<Element> {
    let mut below = vec![Content::code(Relation::Modifies, codes::LANGUAGE, codes::ENGLISH)];
    below.extend(sr::observer(of));
    let text = |concept, words: &str| Content::text(Relation::Contains, concept, words);
    let section = |concept, below| Content::container(Relation::Contains, concept, None, below);
    let findings = of.result.findings.iter().take(FINDINGS_MAX);
    let findings: Vec<_> =
        findings.map(|finding| text(codes::FINDING, &plain::described(finding))).collect();
    if !findings.is_empty() {
        below.push(section(codes::FINDINGS, findings));
    }
    let [_, own] = coded(of.result.answer);
    let mut concluded = vec![
        Content::code(Relation::Contains, codes::ANSWER, own),
        text(codes::CONCLUSION, &plain::conclusion(&of.result)),
    ];
    let remarks = plain::remarks(&of.result);
    concluded.extend(remarks.iter().map(|words| text(codes::COMMENT, words)));
    below.push(section(codes::CONCLUSIONS, concluded));
    let container =
        Content::container(Relation::Contains, codes::DIAGNOSTIC_REPORT, Some("2000"), below);
    // The root itself is related to nothing.
    container.elements().into_iter().skip(1).collect()
}
