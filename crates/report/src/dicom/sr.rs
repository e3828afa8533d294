//! The structured report: a Comprehensive 3D SR (PS3.3 A.35.13) by TID 1500 (PS3.16).

pub mod content;
mod group;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use domain::Result;
use imaging::Modality;

use super::element::{Code, Element, Item, code, item, sequence, text};
use super::file::{self, Kind};
use super::{DicomResult, Unmade, coded, codes, equipment, seg};
use crate::{names, plain};

use content::{Content, Relation};

pub const KIND: Kind = Kind {
    name: "sr.dcm",
    class: uids::COMPREHENSIVE3_DSR_STORAGE,
    modality: "SR",
    series_number: 9402,
    description: "medseg: measurements (research)",
};

pub fn written(of: &DicomResult) -> Result<Vec<u8>, Unmade> {
    let segmentation = match seg::instance_uid(of) {
        Ok(uid) => Some(uid),
        Err(Unmade::Absent(_)) => None,
        Err(failed) => return Err(failed),
    };
    let mut elements = general(of, segmentation.as_deref());
    elements.extend(root(of, segmentation.as_deref()));
    file::written(of, &KIND, &[], elements)
}

/// The SR Document General module, beside what all objects have.
pub fn general(of: &DicomResult, segmentation: Option<&str>) -> Vec<Element> {
    let series = |uid: &str, instances: Vec<Item>| {
        item(vec![
            text(tags::SERIES_INSTANCE_UID, VR::UI, uid),
            sequence(tags::REFERENCED_SOP_SEQUENCE, instances),
        ])
    };
    let mut evidence = vec![series(&of.source.series, of.source.instances())];
    if let Some(uid) = segmentation {
        let segmentation = super::element::reference(seg::KIND.class, uid, None);
        evidence.push(series(&file::series_uid(of, &seg::KIND), vec![segmentation]));
    }
    let of_study = item(vec![
        text(tags::STUDY_INSTANCE_UID, VR::UI, &of.source.study),
        sequence(tags::REFERENCED_SERIES_SEQUENCE, evidence),
    ]);
    vec![
        text(tags::COMPLETION_FLAG, VR::CS, "COMPLETE"),
        text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED"),
        sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new()),
        sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new()),
        sequence(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, vec![of_study]),
    ]
}

/// The root of the content tree, with all that is below.
fn root(of: &DicomResult, segmentation: Option<&str>) -> Vec<Element> {
    let mut below = vec![Content::code(Relation::Modifies, codes::LANGUAGE, codes::ENGLISH)];
    below.extend(observer(of));
    below.push(Content::code(Relation::Modifies, codes::PROCEDURE, procedure(of)));
    below.push(library(of));
    let groups = group::all(of, segmentation);
    if !groups.is_empty() {
        below.push(Content::container(Relation::Contains, codes::MEASUREMENTS, None, groups));
    }
    below.push(answer(of));
    let container =
        Content::container(Relation::Contains, codes::MEASUREMENT_REPORT, Some("1500"), below);
    // The root itself is related to nothing.
    container.elements().into_iter().skip(1).collect()
}

/// Who has observed it: this device, and nobody (TID 1002, 1004).
pub fn observer(of: &DicomResult) -> Vec<Content> {
    let text = |concept: Code, words: &str| Content::text(Relation::Observes, concept, words);
    vec![
        Content::code(Relation::Observes, codes::OBSERVER_TYPE, codes::DEVICE),
        Content::uid(Relation::Observes, codes::DEVICE_UID, &names::uid_of_model(&of.result)),
        text(codes::DEVICE_NAME, &of.result.header.software),
        text(codes::DEVICE_MANUFACTURER, equipment::MANUFACTURER),
        text(codes::DEVICE_MODEL, &equipment::model_name(&of.result)),
        text(codes::DEVICE_SERIAL, &equipment::serial_number(&of.result)),
    ]
}

fn modality(of: &DicomResult) -> Option<Modality> {
    of.result.image.as_ref()?.modality
}

fn procedure(of: &DicomResult) -> Code {
    match modality(of) {
        Some(Modality::MagneticResonance) => codes::MR_IMAGING,
        Some(Modality::ComputedTomography) => codes::CT_IMAGING,
        None => codes::IMAGING,
    }
}

/// The images that were looked at (TID 1600).
fn library(of: &DicomResult) -> Content {
    let modality = modality(of).map(|modality| match modality {
        Modality::MagneticResonance => codes::MR,
        Modality::ComputedTomography => codes::CT,
    });
    let taken =
        modality.map(|modality| Content::code(Relation::Acquired, codes::MODALITY, modality));
    let images = of
        .source
        .instances()
        .into_iter()
        .map(|image| Content::image(Relation::Contains, None, image));
    let group = taken.into_iter().chain(images).collect();
    let group = Content::container(Relation::Contains, codes::LIBRARY_GROUP, None, group);
    Content::container(Relation::Contains, codes::IMAGE_LIBRARY, None, vec![group])
}

/// Which of the four answers it is, in a standard's words and in our own, and why.
fn answer(of: &DicomResult) -> Content {
    let [presence, own] = coded(of.result.answer);
    let mut below = vec![
        Content::code(Relation::Contains, codes::NEOPLASM, presence),
        Content::code(Relation::Contains, codes::ANSWER, own),
    ];
    let comment = |words: &str| Content::text(Relation::Contains, codes::COMMENT, words);
    let reason = of.result.reason.iter().map(|reason| comment(reason));
    below.extend(reason.chain(plain::remarks(&of.result).iter().map(|words| comment(words))));
    Content::container(Relation::Contains, codes::QUALITATIVE, None, below)
}

/// The template that a container follows.
fn template(identifier: &str) -> Element {
    let named = item(vec![
        text(tags::MAPPING_RESOURCE, VR::CS, "DCMR"),
        text(tags::TEMPLATE_IDENTIFIER, VR::CS, identifier),
    ]);
    sequence(tags::CONTENT_TEMPLATE_SEQUENCE, vec![named])
}

/// The name of a content item.
fn named(concept: Code) -> Element {
    code(tags::CONCEPT_NAME_CODE_SEQUENCE, concept)
}
