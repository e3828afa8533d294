//! The key picture as a Secondary Capture (PS3.3 A.8): for archives and viewers that show nothing else.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use domain::Result;
use imaging::{ColourPicture, View, captioned};

use super::element::{Element, bytes, sequence, text, whole};
use super::file::{self, Kind};
use super::seg::side;
use super::{DicomResult, Unmade, equipment};

pub const KIND: Kind = Kind {
    name: "capture.dcm",
    class: uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    modality: "OT",
    series_number: 9403,
    description: "medseg: key picture (research)",
};

pub fn written(of: &DicomResult, png: &[u8]) -> Result<Vec<u8>, Unmade> {
    let ascii = |words: &str| words.replace(|letter: char| !letter.is_ascii(), "?");
    let (name, version) = (equipment::model_name(&of.result), equipment::model_version(&of.result));
    let model = if of.result.model.is_some() { format!("{name} {version}") } else { name };
    let lines =
        ["RESEARCH USE ONLY, NOT FOR DIAGNOSIS".to_owned(), of.answer().to_owned(), ascii(&model)];
    let picture = captioned(png, &lines.each_ref().map(String::as_str))?;
    let mut elements = image(picture)?;
    elements.extend([
        text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY"),
        text(tags::CONVERSION_TYPE, VR::CS, "WSD"),
        text(tags::PATIENT_ORIENTATION, VR::CS, orientation(of)),
        // Letters and words are burnt in; and what the scan's own pixels hold, nobody has looked at. Who takes patients' names out of
        // images must look here.
        text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES"),
        text(tags::BODY_PART_EXAMINED, VR::CS, "BRAIN"),
        text(
            tags::DERIVATION_DESCRIPTION,
            VR::ST,
            "Key picture of a result, findings outlined; for research use only",
        ),
    ]);
    elements.extend(file::lossy(of));
    elements.extend(aspect(of));
    elements.extend(source(of));
    file::written(of, &KIND, &[], elements)
}

/// Where rows and columns lead in the patient: what stands at the right and at the lower edge of the picture. Empty: not known.
fn orientation(of: &DicomResult) -> String {
    let view = of.source.geometry.as_ref().and_then(View::of);
    view.map_or_else(String::new, |view| format!("{}\\{}", view.right, view.bottom))
}

/// How high a pixel is for its width, where these differ: viewers would show the head too narrow or too wide, and lengths on it wrong.
fn aspect(of: &DicomResult) -> Option<Element> {
    /// The attribute holds whole numbers: those of micrometres.
    const PER_MM: f64 = 1000.0;
    let [_, row_mm, column_mm] = of.source.geometry?.spacing();
    let [high, wide] = [row_mm, column_mm].map(|mm| (PER_MM * mm).round().max(1.0) as u32);
    (high != wide).then(|| text(tags::PIXEL_ASPECT_RATIO, VR::IS, format!("{high}\\{wide}")))
}

/// The slice of the images that is shown, if it is one of theirs: a picture across them is of all of them.
fn source(of: &DicomResult) -> Option<Element> {
    let shown = of.result.image.as_ref()?.shown_slice;
    let to_own = of.source.to_own_grid;
    let [slice, ..] = to_own.index([shown as f64, 0.0, 0.0], of.source.shape);
    let is_own = to_own.axes[0] == 0 && (slice as usize) < of.source.own_shape.slices;
    is_own.then(|| {
        sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![of.source.slice(slice as usize, Vec::new())])
    })
}

fn image(picture: ColourPicture) -> Result<Vec<Element>> {
    Ok(vec![
        whole(tags::SAMPLES_PER_PIXEL, 3),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB"),
        whole(tags::PLANAR_CONFIGURATION, 0),
        whole(tags::ROWS, side(picture.rows)?),
        whole(tags::COLUMNS, side(picture.columns)?),
        whole(tags::BITS_ALLOCATED, 8),
        whole(tags::BITS_STORED, 8),
        whole(tags::HIGH_BIT, 7),
        whole(tags::PIXEL_REPRESENTATION, 0),
        bytes(tags::PIXEL_DATA, picture.rgb),
    ])
}
