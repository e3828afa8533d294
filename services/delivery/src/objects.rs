//! A result as DICOM objects: pixels and identity joined, one scan at a time.

use domain::artefact::{CAPTURE, DOCUMENT, SEGMENTATION, STRUCTURED_REPORT, TEXT_REPORT};
use domain::{Identity, Result};
use imaging::{ResultDocument, StoredGrid};
use report::dicom::{DicomResult, MASKS, pictures};
use report::{Drawn, KeyPicture, Language, Readers, Report, Subject, Unmade};

use crate::handed::{Handed, Of};

/// What the objects of one scan are made of.
struct Material {
    result: DicomResult,
    grid: StoredGrid,
    mask: Vec<u8>,
    picture: Option<Vec<u8>>,
    /// What is printed, where that is wanted.
    printed: Option<Report>,
}

/// One object, and the name of its format.
pub struct Object {
    pub name: String,
    pub file: Vec<u8>,
}

/// The objects that could be made, and why others could not.
#[derive(Default)]
pub struct Objects {
    pub made: Vec<Object>,
    pub absent: Vec<&'static str>,
    /// What they leave out of what the images say.
    pub left_out: Vec<&'static str>,
}

/// The objects of those names.
pub async fn objects(handed: &Handed, of: Of, formats: &[String]) -> Result<Objects> {
    let document = handed.document(of).await?;
    let material = match gathered(handed, of, formats, document.result).await {
        Ok(material) => material,
        Err(Unmade::Absent(why)) => return Ok(Objects { absent: vec![why], ..Objects::default() }),
        Err(Unmade::Failed(error)) => return Err(error),
    };
    let formats = formats.to_vec();
    let written = tokio::task::spawn_blocking(move || written(&material, &formats));
    written.await.map_err(|error| {
        domain::ErrorKind::Internal.error("a DICOM object could not be written").because(error)
    })?
}

async fn gathered(
    handed: &Handed,
    of: Of,
    formats: &[String],
    document: ResultDocument,
) -> Result<Material, Unmade> {
    let wanted = |name: &str| formats.iter().any(|format| format == name);
    let grid = handed.grid(of).await?;
    let mask = if wanted(SEGMENTATION.name) { mask(handed, of).await? } else { Vec::new() };
    let printed = wanted(DOCUMENT.name);
    let is_shown = printed || wanted(CAPTURE.name);
    let picture = if is_shown { picture(handed, of, &document).await? } else { None };
    let patient = handed.patient(of).await?;
    let printed = printed.then(|| printed_report(&patient, &document, picture.as_deref()));
    let result = DicomResult::new(patient, &grid, document)?;
    Ok(Material { result, grid, mask, picture, printed })
}

/// What is printed: made when the result was, so that the same result is the same document. What readers say of it is in the report that
/// medseg itself shows: here it would be what they had said by some attempt.
fn printed_report(patient: &Identity, document: &ResultDocument, picture: Option<&[u8]>) -> Report {
    let drawn = if document.findings.is_empty() { Drawn::Letters } else { Drawn::Outlines };
    let slice = document.image.as_ref().map(|image| image.shown_slice);
    let pictures = picture.map(|png| KeyPicture { png: png.to_vec(), slice, drawn });
    Report {
        language: Language::English,
        subject: Subject::Known(Box::new(patient.clone()), None),
        pictures: pictures.into_iter().collect(),
        readers: Readers::LeftOut,
        made_ms: document.timing.finished_ms,
        result: document.clone(),
    }
}

/// The mask of the whole volume or, of a slice that came alone, of that; empty where nothing was analysed.
async fn mask(handed: &Handed, of: Of) -> Result<Vec<u8>> {
    for artefact in MASKS {
        if let Some(file) = handed.file(of, artefact.name).await? {
            return Ok(file);
        }
    }
    Ok(Vec::new())
}

async fn picture(handed: &Handed, of: Of, document: &ResultDocument) -> Result<Option<Vec<u8>>> {
    for artefact in pictures(document) {
        if let Some(png) = handed.file(of, artefact.name).await? {
            return Ok(Some(png));
        }
    }
    Ok(None)
}

fn written(material: &Material, formats: &[String]) -> Result<Objects> {
    let mut objects = Objects { left_out: material.result.left_out(), ..Objects::default() };
    for format in formats {
        match object(material, format) {
            Ok(file) => objects.made.push(Object { name: format.clone(), file }),
            Err(Unmade::Absent(why)) => objects.absent.push(why),
            Err(Unmade::Failed(error)) => return Err(error),
        }
    }
    Ok(objects)
}

fn object(material: &Material, format: &str) -> Result<Vec<u8>, Unmade> {
    let Material { result, grid, mask, picture, printed } = material;
    if let Some(printed) = printed.as_ref().filter(|_| format == DOCUMENT.name) {
        return result.document(printed.to_pdf()?, printed.language);
    }
    match (format, picture) {
        (name, _) if name == SEGMENTATION.name => result.segmentation(mask, grid),
        (name, _) if name == STRUCTURED_REPORT.name => result.structured_report(),
        (name, _) if name == TEXT_REPORT.name => result.basic_text(),
        (name, Some(png)) if name == CAPTURE.name => result.capture(png),
        (name, None) if name == CAPTURE.name => {
            Err(Unmade::Absent("there is no picture of this scan"))
        }
        _ => Err(Unmade::Absent("there is no such object of a scan")),
    }
}
