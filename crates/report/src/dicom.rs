//! A result as DICOM objects, for the archive that its images came from: segmentation, structured report, picture and document.
//!
//! Whose scan it is they say exactly as its images do. The same result is the same object, with the same UID: sent twice, it is there
//! once. All text is written as ISO_IR 192 (UTF-8), whatever the images are written in, so that each letter of a name is there. Moments
//! of an object's own making are UTC; those of the study stand as the images say them.

mod basic_text;
mod capture;
pub(crate) mod codes;
mod document;
pub(crate) mod element;
pub(crate) mod equipment;
pub(crate) mod file;
mod instance;
mod objects;
mod seg;
mod source;
mod sr;
pub(crate) mod uid;

use domain::artefact::{IMAGE, MASK, MASK_VOLUME, OVERLAY, SHOWN};
use domain::{Answer, Artefact, ErrorKind, Identity, Result};
use imaging::{Finding, Geometry, Laterality, ResultDocument, Role, StoredGrid};

use crate::{Language, Unmade, names, plain};

pub use instance::{Instance, TRANSFER_SYNTAXES};
pub use objects::ObjectFacts;
use source::Source;
pub use uid::is_uid;

/// One scan and its result, of which objects are made.
pub struct DicomResult {
    source: Source,
    result: ResultDocument,
}

/// The files of which one, the first that there is, is the mask that a segmentation is made of: that of the whole volume or, of a
/// slice that came alone, of that.
pub const MASKS: [Artefact; 2] = [MASK_VOLUME, MASK];

/// The same of the picture that a capture shows.
pub fn pictures(result: &ResultDocument) -> &'static [Artefact] {
    // An overlay without findings is the image, and there is none of a scan that was not analysed.
    if result.findings.is_empty() { &[SHOWN, IMAGE] } else { &[OVERLAY] }
}

impl DicomResult {
    /// The result of the scan that `identity` names, whose voxels lie on that grid. `Absent` where the scan did not come as DICOM: an
    /// object of a study that nobody else knows would be a patient's that nobody else knows. `Failed` where grid and result contradict
    /// each other, so that nothing is marked on the other side of a patient.
    pub fn new(
        identity: Identity,
        grid: &StoredGrid,
        result: ResultDocument,
    ) -> Result<DicomResult, Unmade> {
        let source = Source::new(identity, grid)?;
        if !agree(grid, &result) {
            let contradiction = "a result and the grid of its volume contradict each other";
            return Err(ErrorKind::Internal.error(contradiction).into());
        }
        Ok(DicomResult { source, result })
    }

    /// In words what its objects leave out of what the images say, because DICOM holds no such value.
    pub fn left_out(&self) -> Vec<&'static str> {
        let said = &self.source.identity;
        let values = [
            (
                &said.accession_number,
                "its accession number has more than 16 characters, and is left out",
            ),
            (&said.study_id, "its study id has more than 16 characters, and is left out"),
        ];
        let is_long = |value: &Option<String>| {
            value.as_deref().is_some_and(|value| !element::fits(dicom_core::VR::SH, value))
        };
        values.into_iter().filter(|(value, _)| is_long(value)).map(|(_, words)| words).collect()
    }

    /// A segmentation (DICOM SEG, BINARY) with a segment for each finding, on the slices of the images themselves. `mask` is the file
    /// that was kept with the result. `Absent` without a finding: a segmentation of nothing is refused by some readers, and taken for
    /// one that was never made by others; the structured report says that none was found.
    pub fn segmentation(&self, mask: &[u8], grid: &StoredGrid) -> Result<Vec<u8>, Unmade> {
        seg::written(self, mask, grid)
    }

    /// A structured report (Comprehensive 3D SR by TID 1500): the answer, whichever of the four it is, and each finding with its volume,
    /// its axes and its box in the patient.
    pub fn structured_report(&self) -> Result<Vec<u8>, Unmade> {
        sr::written(self)
    }

    /// The same in sentences (Basic Text SR by TID 2000), for archives and viewers that show no other structured report.
    pub fn basic_text(&self) -> Result<Vec<u8>, Unmade> {
        basic_text::written(self)
    }

    /// A picture (Secondary Capture) of what the PNG shows, with the answer, the model and what it is not for above it.
    pub fn capture(&self, png: &[u8]) -> Result<Vec<u8>, Unmade> {
        capture::written(self, png)
    }

    /// The PDF of a report, in the language it is written in (Encapsulated PDF). Another PDF is another object: readers' words are in it.
    pub fn document(&self, pdf: Vec<u8>, language: Language) -> Result<Vec<u8>, Unmade> {
        document::written(self, pdf, language)
    }

    /// The UID of something of this result.
    fn uid(&self, words: &[&str]) -> String {
        uid::uid(&names::of(&self.result, words))
    }

    fn answer(&self) -> &'static str {
        plain::answer(self.result.answer)
    }
}

/// Whether the grid is the one that the result was measured on: as many voxels, and each finding at its place in the patient.
pub(crate) fn agree(grid: &StoredGrid, result: &ResultDocument) -> bool {
    /// What single precision and decimals leave of two numbers that are one.
    const ROUNDING_MM: f64 = 0.01;
    let shaped = result.image.as_ref().is_none_or(|image| image.shape == grid.shape());
    let geometry = grid.geometry();
    let placed = |finding: &Finding| match (
        geometry.as_ref().and_then(Geometry::in_patient),
        finding.centroid_mm,
    ) {
        (Some(geometry), Some(told)) => {
            let [slice, row, column] = finding.centroid;
            let there = geometry.position(slice, row, column);
            there.iter().zip(told).all(|(there, told)| (there - told).abs() <= ROUNDING_MM)
        }
        (None, None) => true,
        _ => false,
    };
    shaped && result.findings.iter().all(placed)
}

/// What a finding is, coded.
pub(crate) fn kind_of(finding: &Finding) -> element::Code {
    match finding.role {
        Role::Main => codes::NEOPLASM,
        Role::Lesser => codes::MASS,
    }
}

/// Which of the four answers it is, coded: in a standard's words, as what is said of a neoplasm, and in our own.
pub(crate) fn coded(answer: Answer) -> [element::Code; 2] {
    match answer {
        Answer::Found => [codes::PRESENT, codes::FOUND],
        Answer::NoneFound => [codes::ABSENT, codes::NONE_FOUND],
        Answer::NotAnalysable => [codes::NOT_PERFORMED, codes::NOT_ANALYSABLE],
        Answer::Failed => [codes::INDETERMINATE, codes::FAILED],
    }
}

/// The patient's side that a finding is on, coded.
pub(crate) fn coded_side(side: Laterality) -> element::Code {
    match side {
        Laterality::Left => codes::LEFT,
        Laterality::Right => codes::RIGHT,
        Laterality::Midline => codes::MIDLINE,
    }
}
