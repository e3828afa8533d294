//! What becomes of each attribute (PS3.15, Table E.1-1). What is not named here goes.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::super::reader::Element;

/// What becomes of one attribute.
pub enum Action {
    /// K: this value stays, in little endian.
    Keep([u8; 2], Vec<u8>),
    /// Z: without a value.
    Empty([u8; 2]),
    /// D: the name that names nobody.
    Name([u8; 2]),
    /// U: another UID.
    Uid,
    /// C: a date, shifted as all of the patient's are.
    Shift,
    /// The same for what its items hold.
    Items,
    /// X.
    Remove,
}

/// Attributes that must be there, and may be empty (Type 2).
const EMPTIED: [Tag; 9] = [
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_TIME,
    tags::STUDY_ID,
    tags::ACCESSION_NUMBER,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::MANUFACTURER,
    tags::POSITION_REFERENCE_INDICATOR,
    tags::LATERALITY,
];

/// What the patient is called.
const NAMED: [Tag; 2] = [tags::PATIENT_NAME, tags::PATIENT_ID];

/// Retain Longitudinal Temporal Information with Modified Dates: what tells which examination came first.
const DATES: [Tag; 4] =
    [tags::STUDY_DATE, tags::SERIES_DATE, tags::ACQUISITION_DATE, tags::CONTENT_DATE];

/// Sequences that say how and where images were taken. Those that name people, orders and other files go.
const SEQUENCES: [Tag; 24] = [
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PIXEL_MEASURES_SEQUENCE,
    tags::PLANE_POSITION_SEQUENCE,
    tags::PLANE_ORIENTATION_SEQUENCE,
    tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    tags::FRAME_VOILUT_SEQUENCE,
    tags::FRAME_CONTENT_SEQUENCE,
    tags::FRAME_ANATOMY_SEQUENCE,
    tags::DIMENSION_INDEX_SEQUENCE,
    tags::DIMENSION_ORGANIZATION_SEQUENCE,
    tags::MR_IMAGE_FRAME_TYPE_SEQUENCE,
    tags::CT_IMAGE_FRAME_TYPE_SEQUENCE,
    tags::MR_TIMING_AND_RELATED_PARAMETERS_SEQUENCE,
    tags::MRFOV_GEOMETRY_SEQUENCE,
    tags::MR_ECHO_SEQUENCE,
    tags::MR_MODIFIER_SEQUENCE,
    tags::MR_IMAGING_MODIFIER_SEQUENCE,
    tags::MR_AVERAGES_SEQUENCE,
    tags::MR_DIFFUSION_SEQUENCE,
    tags::TEMPORAL_POSITION_SEQUENCE,
    tags::CT_RECONSTRUCTION_SEQUENCE,
    tags::MODALITY_LUT_SEQUENCE,
    tags::UNASSIGNED_SHARED_CONVERTED_ATTRIBUTES_SEQUENCE,
];

/// The standard has retired it, and files still have it.
const OTHER_STUDY_NUMBERS: Tag = Tag(0x0020, 0x1070);
/// Numbers that count something of the patient, or of the hospital.
const NUMBERS_THAT_NAME: [Tag; 2] = [OTHER_STUDY_NUMBERS, tags::DEVICE_SERIAL_NUMBER];

/// The groups in which numbers and terms say how an image was taken, how it lies and how it is stored.
const GROUPS: [u16; 5] = [0x0008, 0x0018, 0x0020, 0x0028, 0x2050];

/// Terms that the standard defines for what is kept (PS3.3). A value with any other goes as a whole: who knows what was typed there.
const TERMS: &str = "ORIGINAL DERIVED PRIMARY SECONDARY M ND NORM DIS2D DIS3D FM FS OTHER MPR LOCALIZER AXIAL MOSAIC MIXED NONE \
    MR CT OT MONOCHROME1 MONOCHROME2 HFS HFP HFDR HFDL FFS FFP FFDR FFDL SE IR GR EP RM SK MTC SS TRSS SP MP OSP \
    1D 2D 3D Y N YES NO 00 01 ROW COL COLUMN HEAD BRAIN SKULL NECK IDENTITY INVERSE LINEAR LINEAR_EXACT SIGMOID \
    T1 T2 T2_STAR PROTON_DENSITY FLUID_ATTENUATED DIFFUSION PERFUSION FLOW_ENCODED STIR TAGGING TOF UNKNOWN MAGNITUDE PHASE \
    REAL IMAGINARY COLOR MONOCHROME TRUE_COLOR VOLUME SAMPLED DISTORTED PRESERVED VOLUME_MIX MAX_IP MIN_IP \
    SPIN GRADIENT ECHO_PLANAR SPIRAL SINGLE PARTIAL 3 RECTILINEAR RADIAL US HU ISO_10918_1 ISO_14495_1 ISO_15444_1 \
    PRODUCT RESEARCH SERVICE FREQUENCY_PHASE STATIC DIRECTIONAL ISOTROPIC BOTH TIME EDDY W F IP OP IN_PHASE WATER FAT ADD DIFF \
    HORIZONTAL VERTICAL L R U B";

/// Whether the standard itself gives that UID: those of SOP classes and of transfer syntaxes name nobody.
pub fn is_of_the_standard(uid: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    uid.starts_with("1.2.840.10008.") && uid.len() <= 64 && uid.bytes().all(plain)
}

pub fn action(tag: Tag, element: &Element) -> Action {
    if tag.group() % 2 == 1 {
        return Action::Remove;
    }
    let Some(vr) = said(tag, element) else { return Action::Remove };
    match vr {
        _ if NAMED.contains(&tag) => Action::Name(vr.to_bytes()),
        _ if EMPTIED.contains(&tag) => Action::Empty(vr.to_bytes()),
        _ if DATES.contains(&tag) => Action::Shift,
        _ if NUMBERS_THAT_NAME.contains(&tag) => Action::Remove,
        VR::UI if GROUPS.contains(&tag.group()) => Action::Uid,
        VR::SQ if SEQUENCES.contains(&tag) => Action::Items,
        _ if tag.group() == 2 || !GROUPS.contains(&tag.group()) => Action::Remove,
        _ => value(tag, vr, element)
            .map_or(Action::Remove, |value| Action::Keep(vr.to_bytes(), value)),
    }
}

/// The representation that the dictionary says, where the file says no other: whoever calls a name a number is not believed.
fn said(tag: Tag, element: &Element) -> Option<VR> {
    let known = StandardDataDictionary.by_tag(tag)?.vr();
    match (known.exact(), &element.vr) {
        (Some(vr), b"  ") => Some(vr),
        (Some(vr), said) => (vr.to_bytes() == *said).then_some(vr),
        (None, b"US") => Some(VR::US),
        (None, b"SS") => Some(VR::SS),
        (None, b"OW") if tag == tags::LUT_DATA => Some(VR::OW),
        (None, b"  ") => Some(known.relaxed()),
        (None, _) => None,
    }
}

/// The value in little endian, if it is one that names nobody.
fn value(tag: Tag, vr: VR, element: &Element) -> Option<Vec<u8>> {
    let width = match vr {
        VR::US | VR::SS | VR::AT => 2,
        VR::OW if tag == tags::LUT_DATA => 2,
        VR::UL | VR::SL | VR::FL => 4,
        VR::FD => 8,
        VR::DS | VR::IS => return text(element, is_number),
        VR::CS => return text(element, is_term),
        VR::LO if tag == tags::RESCALE_TYPE => return text(element, is_term),
        _ => return None,
    };
    if element.undefined || !element.bytes.len().is_multiple_of(width) {
        return None;
    }
    let mut bytes = element.bytes.to_vec();
    if element.encoding.big_endian {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    Some(bytes)
}

/// The text, if each of its values is one of those.
fn text(element: &Element, is_one: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(element.bytes).ok().filter(|text| text.is_ascii())?;
    let text = text.trim_matches([' ', '\0']);
    let sound = text.split('\\').map(str::trim).all(|value| value.is_empty() || is_one(value));
    sound.then(|| text.as_bytes().to_vec())
}

fn is_number(text: &str) -> bool {
    // 16 characters at most (PS3.5, 6.2: DS).
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    text.len() <= 16 && text.bytes().all(plain) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_term(text: &str) -> bool {
    TERMS.split_ascii_whitespace().any(|term| term == text)
}
