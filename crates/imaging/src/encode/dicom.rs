use std::iter;

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use domain::{ErrorKind, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Geometry, Shape, Volume};

/// What the images of one made-up series have in common; nobody's data.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    patient_name: String,
    patient_id: String,
    study_uid: String,
    series_uid: String,
    frame_of_reference_uid: String,
    /// The instances' UIDs are this and a number.
    instance_root: u64,
    /// Millimetres of a slice; None: they touch each other.
    thickness_mm: Option<f64>,
    description: String,
    image_type: String,
}

impl Series {
    /// The series of a phantom: equal seeds give equal identities.
    pub fn of_seed(seed: u64) -> Series {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let [study_uid, series_uid, frame_of_reference_uid] =
            std::array::from_fn(|_| uid(random.random()));
        Series {
            patient_name: format!("Phantom^Seed {seed}"),
            patient_id: format!("PHANTOM-{seed}"),
            study_uid,
            series_uid,
            frame_of_reference_uid,
            instance_root: random.random(),
            thickness_mm: None,
            description: "Phantom, axial, FLAIR-like".to_owned(),
            image_type: "ORIGINAL\\PRIMARY\\OTHER".to_owned(),
        }
    }

    /// Another series of the same patient's same study.
    pub fn beside(&self, seed: u64) -> Series {
        let Series { series_uid, instance_root, .. } = Series::of_seed(seed);
        Series { series_uid, instance_root, ..self.clone() }
    }

    /// The same, described and typed (ImageType) so.
    pub fn described(self, description: &str, image_type: &str) -> Series {
        let [description, image_type] = [description, image_type].map(str::to_owned);
        Series { description, image_type, ..self }
    }

    /// The same with slices that are so thick, in millimetres, whatever lies between their middles.
    pub fn with_thickness(self, mm: f64) -> Series {
        Series { thickness_mm: Some(mm), ..self }
    }
}

/// One slice as a DICOM MR image (Explicit VR little endian, 16 bits, values rounded to whole numbers).
///
/// `Invalid` when the volume has no geometry, or an image too large for DICOM.
pub fn dicom(volume: &Volume, series: &Series, slice: usize) -> Result<Vec<u8>> {
    let geometry = volume
        .geometry
        .filter(|geometry| geometry.in_patient().is_some())
        .ok_or_else(|| ErrorKind::Invalid.error("a DICOM image needs a geometry"))?;
    let instance_uid = uid(u128::from(series.instance_root) << 64 | slice as u128);
    let mut elements = described(series, slice, &instance_uid);
    elements.extend(located(&geometry, slice, series.thickness_mm));
    elements.extend(pictured(volume, slice)?);
    let failed = ErrorKind::Internal.error("a DICOM image could not be written");
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(uids::MR_IMAGE_STORAGE)
        .media_storage_sop_instance_uid(instance_uid);
    let object = match InMemDicomObject::from_element_iter(elements).with_meta(meta) {
        Ok(object) => object,
        Err(error) => return Err(failed.because(error)),
    };
    let mut file = Vec::with_capacity(2 * volume.shape.slice_len() + 4096);
    match object.write_all(&mut file) {
        Ok(()) => Ok(file),
        Err(error) => Err(failed.because(error)),
    }
}

type Element = DataElement<InMemDicomObject>;

fn text(tag: Tag, vr: VR, value: impl Into<String>) -> Element {
    DataElement::new(tag, vr, PrimitiveValue::from(value.into()))
}

/// A number as a decimal string, which holds 16 characters (PS3.5 6.2): as exactly as they can say it.
pub fn decimal_string(value: f64) -> String {
    let rounded = (0..=14).rev().map(|digits| format!("{value:.digits$}"));
    iter::once(value.to_string()).chain(rounded).find(|text| text.len() <= 16).unwrap_or_default()
}

fn decimals(tag: Tag, values: &[f64]) -> Element {
    let decimals: Vec<String> = values.iter().copied().map(decimal_string).collect();
    text(tag, VR::DS, decimals.join("\\"))
}

fn whole(tag: Tag, value: u16) -> Element {
    DataElement::new(tag, VR::US, PrimitiveValue::from(value))
}

fn described(series: &Series, slice: usize, instance_uid: &str) -> Vec<Element> {
    vec![
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        text(tags::IMAGE_TYPE, VR::CS, &series.image_type),
        text(tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE),
        text(tags::SOP_INSTANCE_UID, VR::UI, instance_uid),
        text(tags::STUDY_DATE, VR::DA, "20260101"),
        text(tags::STUDY_TIME, VR::TM, "120000"),
        text(tags::ACCESSION_NUMBER, VR::SH, ""),
        text(tags::MODALITY, VR::CS, "MR"),
        text(tags::MANUFACTURER, VR::LO, "medseg phantom"),
        text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, ""),
        text(tags::SERIES_DESCRIPTION, VR::LO, &series.description),
        text(tags::PATIENT_NAME, VR::PN, &series.patient_name),
        text(tags::PATIENT_ID, VR::LO, &series.patient_id),
        text(tags::PATIENT_BIRTH_DATE, VR::DA, ""),
        text(tags::PATIENT_SEX, VR::CS, "O"),
        text(tags::BODY_PART_EXAMINED, VR::CS, "BRAIN"),
        text(tags::SCANNING_SEQUENCE, VR::CS, "RM"),
        text(tags::SEQUENCE_VARIANT, VR::CS, "NONE"),
        text(tags::MR_ACQUISITION_TYPE, VR::CS, "2D"),
        text(tags::PATIENT_POSITION, VR::CS, "HFS"),
        text(tags::STUDY_INSTANCE_UID, VR::UI, &series.study_uid),
        text(tags::SERIES_INSTANCE_UID, VR::UI, &series.series_uid),
        text(tags::STUDY_ID, VR::SH, "1"),
        text(tags::SERIES_NUMBER, VR::IS, "1"),
        text(tags::INSTANCE_NUMBER, VR::IS, (slice + 1).to_string()),
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, &series.frame_of_reference_uid),
    ]
}

fn located(geometry: &Geometry, slice: usize, thickness_mm: Option<f64>) -> Vec<Element> {
    let [slice_mm, row_mm, column_mm] = geometry.spacing();
    let direction = |step: [f64; 3], mm: f64| step.map(|part| part / mm);
    let across = direction(geometry.column_step, column_mm);
    let down = direction(geometry.row_step, row_mm);
    let mut elements = vec![
        decimals(tags::IMAGE_POSITION_PATIENT, &geometry.position(slice as f64, 0.0, 0.0)),
        decimals(tags::IMAGE_ORIENTATION_PATIENT, &[across, down].concat()),
        decimals(tags::PIXEL_SPACING, &[row_mm, column_mm]),
    ];
    if slice_mm > 0.0 {
        elements.push(decimals(tags::SLICE_THICKNESS, &[thickness_mm.unwrap_or(slice_mm)]));
        elements.push(decimals(tags::SPACING_BETWEEN_SLICES, &[slice_mm]));
    }
    elements
}

fn pictured(volume: &Volume, slice: usize) -> Result<Vec<Element>> {
    let Shape { rows, columns, .. } = volume.shape;
    let length = |count: usize| {
        u16::try_from(count)
            .map_err(|error| ErrorKind::Invalid.error("too large for DICOM").because(error))
    };
    let pixels: Vec<u16> =
        volume.slice(slice).iter().map(|value| value.round().clamp(0.0, 65535.0) as u16).collect();
    let [black, white] = volume.window.map(f64::from);
    Ok(vec![
        whole(tags::SAMPLES_PER_PIXEL, 1),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        whole(tags::ROWS, length(rows)?),
        whole(tags::COLUMNS, length(columns)?),
        whole(tags::BITS_ALLOCATED, 16),
        whole(tags::BITS_STORED, 16),
        whole(tags::HIGH_BIT, 15),
        whole(tags::PIXEL_REPRESENTATION, 0),
        decimals(tags::WINDOW_CENTER, &[(black + white) / 2.0]),
        decimals(tags::WINDOW_WIDTH, &[white - black]),
        DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())),
    ])
}

/// A UID from a number of 128 bits (PS3.5 B.2), made to look like the UUID that it must be.
fn uid(bits: u128) -> String {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    format!("2.25.{}", bits & !VERSION & !VARIANT | 0x4 << 76 | 0x2 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{Phantom, Settings};

    #[test]
    fn a_slice_is_read_back_as_it_was_written() {
        let shape = Shape { slices: 3, rows: 64, columns: 80 };
        let settings =
            Settings { shape, spacing: [5.0, 3.0, 2.5], tumour: false, ..Settings::slice(4) };
        let Phantom { volume, .. } = Phantom::new(&settings).unwrap();
        let series = Series::of_seed(4);
        let files: Vec<_> = (0..3).map(|slice| dicom(&volume, &series, slice).unwrap()).collect();
        let read =
            |file: &Vec<u8>| dicom_object::from_reader(std::io::Cursor::new(file.clone())).unwrap();
        let position = |file| {
            read(file).element(tags::IMAGE_POSITION_PATIENT).unwrap().to_multi_float64().unwrap()
        };
        let steps: Vec<f64> = files.iter().map(|file| position(file)[2]).collect();
        assert!(
            (steps[1] - steps[0] - 5.0).abs() < 1e-9 && (steps[2] - steps[1] - 5.0).abs() < 1e-9
        );
        let pixels =
            read(&files[1]).element(tags::PIXEL_DATA).unwrap().to_multi_int::<u16>().unwrap();
        let written: Vec<u16> = volume.slice(1).iter().map(|value| value.round() as u16).collect();
        assert_eq!(pixels, written);
        let instance = |file| {
            read(file).element(tags::SOP_INSTANCE_UID).unwrap().to_str().unwrap().into_owned()
        };
        assert_ne!(instance(&files[0]), instance(&files[1]));
    }

    #[test]
    fn uids_fit_and_differ() {
        let (a, b) = (Series::of_seed(1), Series::of_seed(2));
        assert!(
            a.study_uid.len() <= 64 && a.study_uid != b.study_uid && a.study_uid != a.series_uid
        );
    }

    #[test]
    fn decimals_fit_their_sixteen_characters() {
        let element = decimals(tags::PIXEL_SPACING, &[-119.531_250_123_456_78, 1.0 / 3.0]);
        let text = element.to_str().unwrap().into_owned();
        assert!(
            text.split('\\').all(|part| part.len() <= 16 && part.parse::<f64>().is_ok()),
            "{text}"
        );
    }
}
