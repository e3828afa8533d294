//! The Modality LUT module (PS3.3, C.11.1): from stored values to what they measure.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::reader::DataSet;
use crate::{Refusal, RefusalReason};

/// From stored values to what they measure.
pub(super) enum ModalityLut {
    Linear { slope: f64, intercept: f64 },
    Table { first: i64, values: Vec<u16> },
}

impl ModalityLut {
    /// `signed`: whether the stored values are (PixelRepresentation).
    pub fn read(set: &DataSet, signed: bool) -> Result<ModalityLut, Refusal> {
        if let Some(item) = set.items(tags::MODALITY_LUT_SEQUENCE)?.first() {
            return ModalityLut::table(item, signed).ok_or_else(|| {
                RefusalReason::Corrupt.refuse("The DICOM file's modality table is broken.")
            });
        }
        let single = |tag: Tag, default: f64| -> Result<f64, Refusal> {
            Ok(set.stated(tag)?.map_or(default, |[value]| value))
        };
        let slope = single(tags::RESCALE_SLOPE, 1.0)?;
        let intercept = single(tags::RESCALE_INTERCEPT, 0.0)?;
        if slope == 0.0 {
            return Err(
                RefusalReason::Corrupt.refuse("The DICOM file scales all its values to nothing.")
            );
        }
        Ok(ModalityLut::Linear { slope, intercept })
    }

    fn table(item: &DataSet, signed: bool) -> Option<ModalityLut> {
        let descriptor = item.shorts(tags::LUT_DESCRIPTOR)?;
        let [entries, first, bits] = *descriptor.first_chunk()?;
        // 65536 does not fit, and is written as nought.
        let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
        // It has the stored values' sign, whatever representation a writer gave it.
        let signed = signed || item.elements.get(&tags::LUT_DESCRIPTOR)?.vr == *b"SS";
        let first = if signed { i64::from(first as i16) } else { i64::from(first) };
        let mut values = ModalityLut::entries(item, bits, entries)?;
        values.truncate(entries);
        (values.len() == entries).then_some(ModalityLut::Table { first, values })
    }

    /// The table's entries, and what pads them. Entries of 8 bits are packed; that some writers give each of them a word,
    /// the value's length tells (PS3.3, C.11.1.1.1, note).
    fn entries(item: &DataSet, bits: u16, entries: usize) -> Option<Vec<u16>> {
        let data = item.elements.get(&tags::LUT_DATA)?;
        if bits != 8 || data.bytes.len() >= 2 * entries {
            return item.shorts(tags::LUT_DATA);
        }
        // Bytes that are written as words are swapped with them (PS3.5, 7.3).
        let swapped = usize::from(data.encoding.big_endian && data.vr != *b"OB");
        let byte = |at: usize| data.bytes.get(at ^ swapped).map(|byte| u16::from(*byte));
        (0..entries).map(byte).collect()
    }

    /// Turns stored values into what they measure.
    pub fn apply(&self, voxels: &mut [f32]) {
        match self {
            ModalityLut::Linear { slope, intercept } if (*slope, *intercept) == (1.0, 0.0) => {}
            ModalityLut::Linear { slope, intercept } => {
                voxels
                    .iter_mut()
                    .for_each(|voxel| *voxel = (f64::from(*voxel) * slope + intercept) as f32);
            }
            ModalityLut::Table { first, values } => {
                let last = values.len() as i64 - 1;
                let at = |voxel: f32| values[(voxel as i64 - first).clamp(0, last) as usize];
                voxels.iter_mut().for_each(|voxel| *voxel = f32::from(at(*voxel)));
            }
        }
    }
}
