//! What a DICOM file is, by its SOP class (PS3.4, B.5) and by what stands in it: a slice, a label map, or neither.

use dicom_dictionary_std::tags;

use super::reader::{DataSet, File};
use crate::{Refusal, RefusalReason};

pub(super) enum Class {
    Image,
    LabelMap,
    /// In words.
    Other(&'static str),
}

/// How the UIDs of all classes begin that are stored (PS3.4, B.5).
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

/// SOP classes that hold no slice, though some of them have pixels: a class's UID, or how those of its family begin.
const OTHERS: [(&str, &str); 17] = [
    ("1.2.840.10008.1.3.10", "a directory (DICOMDIR)"),
    ("1.2.840.10008.5.1.4.1.1.88.59", "a key object selection"),
    ("1.2.840.10008.5.1.4.1.1.88.", "a structured report"),
    ("1.2.840.10008.5.1.4.1.1.11.", "a presentation state"),
    ("1.2.840.10008.5.1.4.1.1.104.", "an encapsulated document"),
    ("1.2.840.10008.5.1.4.1.1.9.", "a waveform"),
    ("1.2.840.10008.5.1.4.1.1.481.", "a part of a radiotherapy plan"),
    ("1.2.840.10008.5.1.4.1.1.66.1", "a spatial registration"),
    ("1.2.840.10008.5.1.4.1.1.66.2", "a list of fiducials"),
    ("1.2.840.10008.5.1.4.1.1.66.3", "a deformable registration"),
    ("1.2.840.10008.5.1.4.1.1.66.5", "a surface"),
    ("1.2.840.10008.5.1.4.1.1.66", "raw data"),
    ("1.2.840.10008.5.1.4.1.1.67", "a mapping of values"),
    ("1.2.840.10008.5.1.4.1.1.30", "a parametric map"),
    ("1.2.840.10008.5.1.4.1.1.4.2", "a spectroscopy"),
    // Among both of these families are classes that are asked, and nothing is stored of them.
    ("1.2.840.10008.5.1.4.1.1.200.", "a protocol"),
    ("1.2.840.10008.5.1.4.1.1.201.", "an inventory"),
];
/// Segmentations: of bits or probabilities, and as label maps.
const LABEL_MAPS: [&str; 2] = ["1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"];

pub(super) fn of(file: &File, set: &DataSet) -> Result<Class, Refusal> {
    let class =
        set.text(tags::SOP_CLASS_UID).or_else(|| file.sop_class.clone()).unwrap_or_default();
    if LABEL_MAPS.contains(&class.as_str()) || set.text(tags::MODALITY).as_deref() == Some("SEG") {
        return Ok(Class::LabelMap);
    }
    if let Some(what) = other(&class) {
        return Ok(Class::Other(what));
    }
    let has = |tag| set.elements.contains_key(&tag);
    if has(tags::PIXEL_DATA) {
        return Ok(Class::Image);
    }
    if has(tags::FLOAT_PIXEL_DATA) || has(tags::DOUBLE_FLOAT_PIXEL_DATA) {
        return Err(RefusalReason::Unsupported.refuse("Its pixels are floating-point numbers."));
    }
    // What describes pixels and has none was cut where they begin.
    if has(tags::ROWS) || has(tags::BITS_ALLOCATED) {
        return Err(RefusalReason::Truncated.refuse("The file ends before its pixels begin."));
    }
    Ok(Class::Other("a file without pixels"))
}

/// Whether files of that SOP class may hold slices that are read here. What one holds, only the file tells.
pub(in crate::decode) fn may_be_image(class: &str) -> bool {
    class.starts_with(STORAGE) && is_of_slices(class)
}

/// Whether a file of that SOP class holds a slice if it has pixels.
pub(in crate::decode) fn is_of_slices(class: &str) -> bool {
    other(class).is_none() && !LABEL_MAPS.contains(&class)
}

/// What else than a slice files of that SOP class hold.
fn other(class: &str) -> Option<&'static str> {
    let of_class =
        |uid: &str| if uid.ends_with('.') { class.starts_with(uid) } else { class == uid };
    OTHERS.into_iter().find(|(uid, _)| of_class(uid)).map(|(_, what)| what)
}

/// Whether files of that class are pictures of a screen, however they came about.
pub(in crate::decode) fn is_capture(class: Option<&str>) -> bool {
    let rest = class.and_then(|class| class.strip_prefix(SECONDARY_CAPTURE));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
