//! What all objects have in common, and how they become files.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use domain::{ErrorKind, Result};
use time::OffsetDateTime;

use super::element::{Element, fits, known, text};
use super::{DicomResult, Unmade, equipment};
use crate::written;

/// What tells one kind of object from another.
pub struct Kind {
    /// The artefact's name: part of its UIDs.
    pub name: &'static str,
    pub class: &'static str,
    pub modality: &'static str,
    /// Beyond those that scanners count to.
    pub series_number: u32,
    pub description: &'static str,
}

/// A file (PS3.10) with the kind's own elements beside those that all have; `instance` tells objects of one kind apart.
pub fn written(
    of: &DicomResult,
    kind: &Kind,
    instance: &[&str],
    own: Vec<Element>,
) -> Result<Vec<u8>, Unmade> {
    let uid = of.uid(&[&[kind.name, "instance"][..], instance].concat());
    let mut elements = study(of);
    elements.extend(series(of, kind, &uid));
    elements.extend(equipment::elements(&of.result));
    elements.extend(own);
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(kind.class)
        .media_storage_sop_instance_uid(uid);
    let unwritten = ErrorKind::Internal.error("a DICOM object cannot be written");
    let object = match InMemDicomObject::from_element_iter(elements).with_meta(meta) {
        Ok(object) => object,
        Err(error) => return Err(unwritten.because(error).into()),
    };
    let mut file = Vec::new();
    match object.write_all(&mut file) {
        Ok(()) => Ok(file),
        Err(error) => Err(unwritten.because(error).into()),
    }
}

/// The UID of the one series that objects of this kind are in.
pub fn series_uid(of: &DicomResult, kind: &Kind) -> String {
    of.uid(&[kind.name, "series"])
}

/// Patient and study, exactly as the images say them.
fn study(of: &DicomResult) -> Vec<Element> {
    let said = &of.source.identity;
    let mut elements = vec![
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        known(tags::PATIENT_NAME, VR::PN, said.patient_name.as_ref()),
        known(tags::PATIENT_ID, VR::LO, said.patient_id.as_ref()),
        known(tags::PATIENT_BIRTH_DATE, VR::DA, said.patient_birth_date.as_ref()),
        known(tags::PATIENT_SEX, VR::CS, said.patient_sex.as_ref()),
        text(tags::STUDY_INSTANCE_UID, VR::UI, &of.source.study),
        known(tags::STUDY_ID, VR::SH, said.study_id.as_ref()),
        known(tags::STUDY_DATE, VR::DA, said.study_date.as_ref()),
        known(tags::STUDY_TIME, VR::TM, said.study_time.as_ref()),
        known(tags::ACCESSION_NUMBER, VR::SH, said.accession_number.as_ref()),
        known(tags::REFERRING_PHYSICIAN_NAME, VR::PN, said.referring_physician_name.as_ref()),
    ];
    let optional = [
        (tags::ISSUER_OF_PATIENT_ID, VR::LO, &said.issuer_of_patient_id),
        (tags::PATIENT_AGE, VR::AS, &said.patient_age),
        (tags::STUDY_DESCRIPTION, VR::LO, &said.study_description),
    ];
    for (tag, vr, value) in optional {
        let value = value.as_ref().filter(|value| fits(vr, value));
        elements.extend(value.map(|value| text(tag, vr, value)));
    }
    elements
}

fn series(of: &DicomResult, kind: &Kind, uid: &str) -> Vec<Element> {
    let (date, time) = moment(of.result.timing.finished_ms);
    let mut elements = vec![
        text(tags::SOP_CLASS_UID, VR::UI, kind.class),
        text(tags::SOP_INSTANCE_UID, VR::UI, uid),
        text(tags::MODALITY, VR::CS, kind.modality),
        text(tags::SERIES_INSTANCE_UID, VR::UI, series_uid(of, kind)),
        text(tags::SERIES_NUMBER, VR::IS, kind.series_number.to_string()),
        text(tags::SERIES_DESCRIPTION, VR::LO, kind.description),
        text(tags::INSTANCE_NUMBER, VR::IS, "1"),
        text(tags::CONTENT_QUALIFICATION, VR::CS, "RESEARCH"),
    ];
    for tag in [tags::SERIES_DATE, tags::CONTENT_DATE, tags::INSTANCE_CREATION_DATE] {
        elements.push(text(tag, VR::DA, &date));
    }
    for tag in [tags::SERIES_TIME, tags::CONTENT_TIME, tags::INSTANCE_CREATION_TIME] {
        elements.push(text(tag, VR::TM, &time));
    }
    elements
}

/// Whether the images were ever compressed with loss, how much and how, as far as they say: what is made of them says so, too
/// (PS3.3, C.7.6.1.1.5).
pub fn lossy(of: &DicomResult) -> Vec<Element> {
    let said = &of.source.identity;
    if said.lossy_image_compression.as_deref() != Some("01") {
        return vec![text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00")];
    }
    let mut elements = vec![text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01")];
    let is_ratio = |part: &str| {
        part.len() <= 16 && part.trim().parse().is_ok_and(|ratio: f64| ratio.is_finite())
    };
    let is_method = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=16).contains(&part.len()) && part.bytes().all(plain)
    };
    let ratios = said.lossy_image_compression_ratio.as_deref();
    let ratios = ratios.filter(|ratios| ratios.split('\\').all(is_ratio));
    elements.extend(ratios.map(|all| text(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, all)));
    let methods = said.lossy_image_compression_method.as_deref();
    let methods = methods.filter(|methods| methods.split('\\').all(is_method));
    elements.extend(methods.map(|all| text(tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, all)));
    elements
}

/// Date and time (UTC) of a moment, given in milliseconds since 1970.
pub fn moment(ms: i64) -> (String, String) {
    let at = written::utc(ms).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let date = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
    (date, format!("{:02}{:02}{:02}", at.hour(), at.minute(), at.second()))
}
