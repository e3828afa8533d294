use dicom_dictionary_std::tags;

use super::reader::DataSet;
use crate::decode::{Limits, raster};
use crate::{Refusal, RefusalReason, Shape};

/// How a pixel is stored.
#[derive(Clone, Debug)]
pub(super) struct PixelFormat {
    /// Frames, rows and columns.
    pub shape: Shape,
    pub samples: usize,
    pub bytes_per_sample: usize,
    pub bits_stored: u32,
    pub high_bit: u32,
    pub signed: bool,
    pub inverted: bool,
    /// Of several samples only the first is grey (YBR).
    pub first_is_grey: bool,
    pub planar: bool,
}

impl PixelFormat {
    /// As the Image Pixel module says it (PS3.3, C.7.6.3). A refusal where something needed is missing, contradicts the rest or
    /// exceeds `limits`.
    pub fn read(set: &DataSet, limits: &Limits) -> Result<PixelFormat, Refusal> {
        let required = |tag| {
            set.short(tag).map(u32::from).ok_or_else(|| {
                RefusalReason::Corrupt
                    .refuse("The DICOM file does not say how its pixels are stored.")
            })
        };
        let frames =
            set.decimals(tags::NUMBER_OF_FRAMES).and_then(|n| n.first().copied()).unwrap_or(1.0);
        let rows = required(tags::ROWS)? as usize;
        let shape = limits.shape(
            frames.clamp(0.0, 1e9) as usize,
            rows,
            required(tags::COLUMNS)? as usize,
        )?;
        let bits_allocated = required(tags::BITS_ALLOCATED)?;
        let bits_stored = set.short(tags::BITS_STORED).map_or(bits_allocated, u32::from);
        let high_bit = set.short(tags::HIGH_BIT).map_or(bits_stored.wrapping_sub(1), u32::from);
        if !matches!(bits_allocated, 8 | 16 | 32) {
            return Err(RefusalReason::Unsupported
                .refuse(format!("Its pixels have {bits_allocated} bits.")));
        }
        if bits_stored == 0 || high_bit >= bits_allocated || high_bit + 1 < bits_stored {
            return Err(RefusalReason::Corrupt
                .refuse("The DICOM file contradicts itself about its pixels' bits."));
        }
        let Some(photometric) = set.text(tags::PHOTOMETRIC_INTERPRETATION) else {
            return Err(RefusalReason::Corrupt.refuse(
                "The DICOM file does not say whether its lowest value is black, white or a colour.",
            ));
        };
        let samples = set.short(tags::SAMPLES_PER_PIXEL).map_or(1, usize::from);
        let grey = photometric.starts_with("MONOCHROME") && samples == 1;
        let colour =
            matches!(&*photometric, "RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_RCT" | "YBR_ICT");
        if !(grey || colour && samples == 3 && bits_allocated == 8) {
            return Err(RefusalReason::Unsupported
                .refuse("Its pixels are in colours that are not read here."));
        }
        Ok(PixelFormat {
            shape,
            samples,
            bytes_per_sample: bits_allocated as usize / 8,
            bits_stored,
            high_bit,
            signed: set.short(tags::PIXEL_REPRESENTATION) == Some(1),
            // Both say one and the same (PS3.3, C.11.6.1.2).
            inverted: photometric == "MONOCHROME1"
                || set.text(tags::PRESENTATION_LUT_SHAPE).as_deref() == Some("INVERSE"),
            first_is_grey: photometric.starts_with("YBR_FULL"),
            planar: samples > 1 && set.short(tags::PLANAR_CONFIGURATION) == Some(1),
        })
    }

    /// The lowest and the highest value that can be stored.
    pub fn ends(&self) -> [i64; 2] {
        let all = (1_i64 << self.bits_stored) - 1;
        let half = all >> 1;
        if self.signed { [-half - 1, half] } else { [0, all] }
    }

    /// Samples of one frame.
    pub fn samples_per_frame(&self) -> usize {
        self.shape.slice_len() * self.samples
    }

    /// The stored value in a sample's bits: PS3.5, 8.1.1. What stands outside of the stored bits is not the image's.
    pub fn value(&self, sample: u32) -> i64 {
        let aligned = sample << (31 - self.high_bit);
        let unused = 32 - self.bits_stored;
        // Shifted right, a signed number keeps its sign.
        if self.signed { (aligned as i32 >> unused).into() } else { (aligned >> unused).into() }
    }

    /// Appends one value per pixel of a frame's samples.
    pub fn append_grey(&self, samples: &[i64], values: &mut Vec<f32>) {
        if self.samples == 1 {
            return values.extend(samples.iter().map(|&value| value as f32));
        }
        let pixels = self.shape.slice_len();
        let (across, along) = if self.planar { (pixels, 1) } else { (1, self.samples) };
        let sample = |pixel: usize, index: usize| samples[pixel * along + index * across] as f32;
        let grey = |pixel| match self.first_is_grey {
            true => sample(pixel, 0),
            false => raster::luma(sample(pixel, 0), sample(pixel, 1), sample(pixel, 2)),
        };
        values.extend((0..pixels).map(grey));
    }
}
