//! What is handed to people and to other systems: the report of one scan as a PDF of one page; its result as [DICOM objects](dicom),
//! as a [FHIR bundle](fhir) and as an [HL7 message](hl7); its mask as [contours]; and
//! entries of the audit trail as [audit messages](audit).
//!
//! Everything here is pure: the same [`Report`] is the same bytes. Who may know whose scan it is, and who may know what readers have
//! said, was decided before; what the report leaves out for that it says.

#![deny(missing_docs)]

pub mod audit;
pub mod contours;
pub mod dicom;
mod face;
pub mod fhir;
pub mod hl7;
mod names;
mod pdf;
mod plain;
mod words;
mod written;

use domain::feedback::{JudgedFinding, Reason, Truth, Verdict};
use domain::{Error, Identity, Result};
use imaging::ResultDocument;

/// The media type of what [`Report::to_pdf`] gives.
pub const MEDIA_TYPE: &str = "application/pdf";

/// So many findings are listed in a file, the first ones first: a mask of noise must not become a report that nobody can hold.
const FINDINGS_MAX: usize = 1024;

/// Why a file was not made.
#[derive(Debug)]
pub enum Unmade {
    /// It cannot be, and this is why, in words.
    Absent(&'static str),
    /// Something is wrong with what it was to be made of.
    Failed(Error),
}

impl From<Error> for Unmade {
    fn from(error: Error) -> Unmade {
        Unmade::Failed(error)
    }
}

/// What the report of one scan says. Nothing of it has a `Debug` form: names and notes stand in no log.
#[derive(Clone)]
pub struct Report {
    /// In which language.
    pub language: Language,
    /// Whose scan it is.
    pub subject: Subject,
    /// What was found, or why nothing was looked for.
    pub result: ResultDocument,
    /// Those that fit are shown, the first ones first.
    pub pictures: Vec<KeyPicture>,
    /// What readers have said of the result.
    pub readers: Readers,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
}

/// The languages that a report is written in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// French.
    French,
}

/// Whose scan it is, as far as the report may tell.
#[derive(Clone)]
pub enum Subject {
    /// What the file or its sender says, and what its sender calls the scan.
    Known(Box<Identity>, Option<String>),
    /// Left out, because its reader may not know or did not ask.
    LeftOut,
}

/// A picture of one slice.
#[derive(Clone)]
pub struct KeyPicture {
    /// As a PNG.
    pub png: Vec<u8>,
    /// Which slice (from 0); None where it is not known.
    pub slice: Option<usize>,
    /// What is drawn in it already.
    pub drawn: Drawn,
}

/// What is drawn in a picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Drawn {
    /// Nothing: the report adds the patient's sides, and boxes around findings.
    Nothing,
    /// The patient's sides.
    Letters,
    /// The patient's sides and the outlines of findings.
    Outlines,
}

/// What readers have said, as far as the report may tell.
#[derive(Clone)]
pub enum Readers {
    /// The latest word of each, the newest first; none: nobody has said anything.
    Told(Vec<ReaderWord>),
    /// So many words, which whoever asks is shown once they have given their own.
    Hidden(u32),
    /// Not for the role of whoever asks.
    LeftOut,
}

/// The latest word of one reader.
#[derive(Clone)]
pub struct ReaderWord {
    /// The user's name.
    pub reader: String,
    /// When it was given, in milliseconds since 1970.
    pub given_ms: i64,
    /// What they make of the result.
    pub verdict: Verdict,
    /// Whether the head has a tumour.
    pub truth: Option<Truth>,
    /// Why they do not agree.
    pub reason: Option<Reason>,
    /// In their own words.
    pub note: String,
    /// What they make of single findings.
    pub findings: Vec<JudgedFinding>,
}

impl Report {
    /// The report as a PDF (PDF/A-2b) of one A4 page. `Internal` for a picture that is none.
    pub fn to_pdf(&self) -> Result<Vec<u8>> {
        pdf::write(self)
    }
}
