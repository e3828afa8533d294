//! The printed report as an Encapsulated PDF (PS3.3 A.45).

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use domain::{Result, hex};
use sha2::{Digest, Sha256};

use super::element::{bytes, code, sequence, text, wholes};
use super::file::{self, Kind};
use super::{DicomResult, Unmade, codes};
use crate::{Language, MEDIA_TYPE};

pub const KIND: Kind = Kind {
    name: "report.dcm",
    class: uids::ENCAPSULATED_PDF_STORAGE,
    modality: "DOC",
    series_number: 9404,
    description: "medseg: report (research)",
};

pub fn written(of: &DicomResult, pdf: Vec<u8>, language: Language) -> Result<Vec<u8>, Unmade> {
    // Other bytes are another document: nobody finds two under one name.
    let digest = hex(&Sha256::digest(&pdf));
    let length = u32::try_from(pdf.len()).unwrap_or(u32::MAX);
    let elements = vec![
        text(tags::CONVERSION_TYPE, VR::CS, "WSD"),
        text(tags::ACQUISITION_DATE_TIME, VR::DT, ""),
        // It says whose scan it is, in words on its page.
        text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES"),
        text(tags::DOCUMENT_TITLE, VR::ST, language.words().title),
        code(tags::CONCEPT_NAME_CODE_SEQUENCE, codes::DIAGNOSTIC_REPORT),
        text(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, VR::LO, MEDIA_TYPE),
        wholes(tags::ENCAPSULATED_DOCUMENT_LENGTH, VR::UL, vec![length]),
        sequence(tags::SOURCE_INSTANCE_SEQUENCE, of.source.instances()),
        bytes(tags::ENCAPSULATED_DOCUMENT, pdf),
    ];
    file::written(of, &KIND, &[digest.as_str()], elements)
}
