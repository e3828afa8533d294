//! A scan's result as DICOM objects and in other forms that programs read.
//!
//! They join pixels and identity, which are kept apart everywhere else; so each is made when it is asked for, of what storage lets the
//! caller's own token see, and kept nowhere. Storage notes in the audit trail that the identity was read.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::artefact::{
    CAPTURE, CONTOURS, DOCUMENT, FHIR_REPORT, HL7_REPORT, SEGMENTATION, STRUCTURED_REPORT,
    TEXT_REPORT, VOLUME,
};
use domain::{Artefact, ErrorKind, Identity};
use futures::TryStreamExt;
use imaging::{ResultDocument, StoredGrid};
use proto::storage::ScanRef;
use report::dicom::{DicomResult, MASKS, ObjectFacts, pictures};
use report::{Readers, Report, Subject, Unmade, contours, fhir, hl7};
use serde::Deserialize;

use crate::caller::Caller;
use crate::problem::{INTERNAL, NOT_FOUND, NOT_READY, Problem};
use crate::scan_report::{self, ReportLanguage};
use crate::scans::Scan;
use crate::{Gateway, artefacts, identity};

/// How an object is written.
#[derive(Deserialize)]
pub struct Wish {
    /// In which language the report is; what has none within has no language.
    #[serde(default)]
    lang: ReportLanguage,
    /// Whether a bundle has the report within.
    #[serde(default)]
    pdf: bool,
}

/// The object that a row of the table of artefacts describes.
pub async fn show(
    mut gateway: Gateway,
    caller: Caller,
    id: String,
    wish: Wish,
    artefact: &'static Artefact,
) -> Result<Response, Problem> {
    let scan = gateway.scans.get(caller.request(ScanRef { id })).await?.into_inner();
    let scan = Scan::try_from(scan)?;
    if !scan.is_done() {
        return Err(NOT_READY.problem(format!("the scan is {}", scan.state)));
    }
    // Each has its pictures or its mask in memory until it is written.
    let place = gateway.reports.take(caller.tenant()).await;
    let writing = writing(&mut gateway, &caller, &scan, &wish, artefact).await?;
    let written = tokio::task::spawn_blocking(move || {
        let _place = place;
        writing()
    });
    let written = written.await.map_err(|error| {
        ErrorKind::Internal.error("a result could not be written").because(error)
    })?;
    let file = written.map_err(|unmade| match unmade {
        Unmade::Absent(why) => NOT_FOUND.problem(why),
        Unmade::Failed(error) => unsound(&error),
    })?;
    let shown = [
        (header::CONTENT_TYPE, artefact.media_type.to_owned()),
        // The scan's name, never a patient's: names of files end up in lists of downloads.
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}-{}\"", scan.id, artefact.name),
        ),
    ];
    Ok((shown, file).into_response())
}

/// What was kept was made here: anything wrong with it is ours to mend.
fn unsound(error: &domain::Error) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a stored result cannot be written in another form"
    );
    INTERNAL.problem("internal error")
}

/// Which objects there are of the scan's result; none while it is not done, nor of a scan that belongs to no study.
pub async fn objects(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    identity: &Identity,
) -> Result<Vec<ObjectFacts>, Problem> {
    if !scan.is_done() {
        return Ok(Vec::new());
    }
    let result = scan_report::result(gateway, caller, scan).await?;
    let grid = grid(gateway, caller, &scan.id).await?;
    match DicomResult::new(identity.clone(), &grid, result) {
        Ok(dicom) => Ok(dicom.objects()),
        Err(Unmade::Absent(_)) => Ok(Vec::new()),
        Err(Unmade::Failed(error)) => Err(unsound(&error)),
    }
}

/// One of these objects, of a scan whose identity the caller was told.
pub async fn object(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    whose: (&Identity, &Option<String>),
    artefact: &Artefact,
) -> Result<Vec<u8>, Problem> {
    let place = gateway.reports.take(caller.tenant()).await;
    let (identity, reference) = (whose.0.clone(), whose.1.clone());
    let result = scan_report::result(gateway, caller, scan).await?;
    let printed = if *artefact == DOCUMENT {
        let subject = Subject::Known(Box::new(identity.clone()), reference);
        let language = ReportLanguage::default().language();
        let report = scan_report::of(gateway, caller, scan, language, subject, result.clone());
        Some(Box::new(as_of_what_it_says(report.await?)))
    } else {
        None
    };
    let part = Part::gathered(gateway, caller, &result, printed, artefact).await?;
    let grid = grid(gateway, caller, &scan.id).await?;
    let written = tokio::task::spawn_blocking(move || {
        let _place = place;
        Material { identity, grid, result, part }.written()
    });
    let written = written.await.map_err(|error| {
        ErrorKind::Internal.error("a result could not be written").because(error)
    })?;
    written.map_err(|unmade| match unmade {
        Unmade::Absent(why) => NOT_FOUND.problem(why),
        Unmade::Failed(error) => unsound(&error),
    })
}

/// Writes a file of what was gathered for it.
type Writing = Box<dyn FnOnce() -> Result<Vec<u8>, Unmade> + Send>;

async fn writing(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    wish: &Wish,
    artefact: &Artefact,
) -> Result<Writing, Problem> {
    let result = scan_report::result(gateway, caller, scan).await?;
    if *artefact == CONTOURS {
        // They say nothing of whose scan it is, which so is not asked for.
        let grid = grid(gateway, caller, &scan.id).await?;
        let mask = mask(gateway, caller, &scan.id).await?;
        return Ok(Box::new(move || contours::written(&mask, &grid, &result)));
    }
    let asked = caller.request(ScanRef { id: scan.id.clone() });
    // Who may not know whose scan it is, is told so.
    let kept = gateway.scans.get_identity(asked).await?.into_inner();
    let (identity, reference) = identity::said(kept);
    let language = wish.lang.language();
    let printed = *artefact == DOCUMENT || (*artefact == FHIR_REPORT && wish.pdf);
    let printed = if printed {
        let subject = Subject::Known(Box::new(identity.clone()), reference);
        let report = scan_report::of(gateway, caller, scan, language, subject, result.clone());
        Some(Box::new(as_of_what_it_says(report.await?)))
    } else {
        None
    };
    if *artefact == HL7_REPORT {
        return Ok(Box::new(move || Ok(hl7::message(&identity, &result))));
    }
    if *artefact == FHIR_REPORT {
        return Ok(Box::new(move || {
            let pdf = printed.map(|report| report.to_pdf()).transpose()?;
            let pdf = pdf.as_deref().map(|pdf| (pdf, language));
            Ok(fhir::bundle(&identity, &result, pdf)?)
        }));
    }
    let part = Part::gathered(gateway, caller, &result, printed, artefact).await?;
    let grid = grid(gateway, caller, &scan.id).await?;
    Ok(Box::new(move || Material { identity, grid, result, part }.written()))
}

/// What a DICOM object is made of.
struct Material {
    identity: Identity,
    grid: StoredGrid,
    result: ResultDocument,
    part: Part,
}

/// What one kind of object needs besides.
enum Part {
    Segmentation(Vec<u8>),
    StructuredReport,
    TextReport,
    Capture(Vec<u8>),
    Document(Box<Report>),
}

impl Part {
    /// `printed` is the report, where the object is one of it.
    async fn gathered(
        gateway: &mut Gateway,
        caller: &Caller,
        result: &ResultDocument,
        printed: Option<Box<Report>>,
        artefact: &Artefact,
    ) -> Result<Part, Problem> {
        let id = &result.scan_id;
        let part = match (artefact.name, printed) {
            (name, _) if name == SEGMENTATION.name => {
                Part::Segmentation(mask(gateway, caller, id).await?)
            }
            (name, _) if name == STRUCTURED_REPORT.name => Part::StructuredReport,
            (name, _) if name == TEXT_REPORT.name => Part::TextReport,
            (name, _) if name == CAPTURE.name => {
                Part::Capture(picture(gateway, caller, id, result).await?)
            }
            (name, Some(report)) if name == DOCUMENT.name => Part::Document(report),
            _ => return Err(NOT_FOUND.problem("there is no such object of a scan")),
        };
        Ok(part)
    }
}

impl Material {
    fn written(self) -> Result<Vec<u8>, Unmade> {
        let Material { identity, grid, result, part } = self;
        let dicom = DicomResult::new(identity, &grid, result)?;
        match part {
            Part::Segmentation(mask) => dicom.segmentation(&mask, &grid),
            Part::StructuredReport => dicom.structured_report(),
            Part::TextReport => dicom.basic_text(),
            Part::Capture(png) => dicom.capture(&png),
            Part::Document(report) => dicom.document(report.to_pdf()?, report.language),
        }
    }
}

/// Made when its latest word was said, and not when it was asked for: the same words are the same object.
fn as_of_what_it_says(report: Report) -> Report {
    let said = match &report.readers {
        Readers::Told(words) => words.iter().map(|word| word.given_ms).max(),
        Readers::Hidden(_) | Readers::LeftOut => None,
    };
    let finished_ms = report.result.timing.finished_ms;
    Report { made_ms: said.map_or(finished_ms, |said| said.max(finished_ms)), ..report }
}

/// The grid of the stored volume, which its first bytes tell.
pub async fn grid(gateway: &mut Gateway, caller: &Caller, id: &str) -> Result<StoredGrid, Problem> {
    let mut bytes = artefacts::read(gateway, caller, id, VOLUME.name).await?.bytes;
    let mut first = Vec::new();
    while let Some(part) = bytes.try_next().await? {
        first.extend_from_slice(&part);
        if let Some(grid) = StoredGrid::read(&first).map_err(|error| unsound(&error))? {
            return Ok(grid);
        }
    }
    Err(unsound(&ErrorKind::Invalid.error("a stored volume ends within its header")))
}

/// The mask of the whole volume or, of a slice that came alone, of that; empty where nothing was analysed.
async fn mask(gateway: &mut Gateway, caller: &Caller, id: &str) -> Result<Vec<u8>, Problem> {
    for artefact in MASKS {
        if let Some(file) = artefacts::whole(gateway, caller, id, artefact.name).await? {
            return Ok(file);
        }
    }
    Ok(Vec::new())
}

/// The picture that the result shows.
pub async fn picture(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    result: &ResultDocument,
) -> Result<Vec<u8>, Problem> {
    for artefact in pictures(result) {
        if let Some(png) = artefacts::whole(gateway, caller, id, artefact.name).await? {
            return Ok(png);
        }
    }
    Err(NOT_FOUND.problem("there is no picture of this scan"))
}
