//! The Image Pixel module (PS3.3, C.7.6.3): from the pixel data of one file to stored values.

use std::borrow::Cow;

use dicom_dictionary_std::tags;

use super::codec::Codec;
use super::reader::{DataSet, PixelData};
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
    fn append_grey(&self, samples: &[i64], values: &mut Vec<f32>) {
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

/// The stored values that fill what was not measured (PS3.3, C.7.5.1.1.2): one, or those between two.
pub(super) struct Padding {
    from: f32,
    to: f32,
}

impl Padding {
    /// As the data set says it; None where it names no such values, or a pixel has several samples.
    pub fn read(set: &DataSet, format: &PixelFormat) -> Option<Padding> {
        let [_, high] = format.ends();
        let value = |tag| {
            let stored = set.short(tag)?;
            if !format.signed {
                return Some(f32::from(stored));
            }
            // It is written in 16 bits, whatever the image's are; some writers leave the sign at the highest stored one.
            let value = i64::from(stored as i16);
            Some(if value > high { value - 2 * (high + 1) } else { value } as f32)
        };
        let one = value(tags::PIXEL_PADDING_VALUE).filter(|_| format.samples == 1)?;
        let other = value(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(one);
        Some(Padding { from: one.min(other), to: one.max(other) })
    }

    /// Whether a pixel of that stored value was not measured.
    pub fn holds(&self, value: f32) -> bool {
        (self.from..=self.to).contains(&value)
    }
}

/// The bits of a whole number that single precision keeps.
const EXACT_BITS: u32 = 24;
/// Steps of single precision in an image's range; with fewer, they would be its grey levels.
const STEPS_MIN: i64 = 1024;

/// Refuses pixels of 32 bits whose values lie so close together, far from nought, that they would run into one another.
fn told_apart(format: &PixelFormat, samples: &[i64]) -> Result<(), Refusal> {
    let Some((low, high)) = samples.iter().min().zip(samples.iter().max()) else { return Ok(()) };
    let step = low.abs().max(high.abs()) >> EXACT_BITS;
    if format.bits_stored <= EXACT_BITS || high == low || high - low >= STEPS_MIN * step {
        return Ok(());
    }
    Err(RefusalReason::Unsupported.refuse(format!(
        "Its pixels have values between {low} and {high}: too large to be told apart in single precision."
    )))
}

/// The refusal of pixel data that holds more frames than are declared: nobody can tell which of them is meant.
fn surplus() -> Refusal {
    RefusalReason::Corrupt.refuse("The file holds the pixels of more frames than it declares.")
}

/// Refuses pixel data with more frames than are declared, as far as its size or its offset table tells. Less than a
/// frame is padding.
fn no_surplus(data: &PixelData, format: &PixelFormat) -> Result<(), Refusal> {
    let frames = format.shape.slices;
    let held = match data {
        PixelData::Native { bytes, .. } => {
            let frame = format.samples_per_frame() * format.bytes_per_sample;
            // An odd length is made even (PS3.5, 7.1.1).
            bytes.len().saturating_sub(frame * frames % 2) / frame
        }
        PixelData::Encapsulated { offsets, .. } => offsets.len(),
    };
    if held > frames { Err(surplus()) } else { Ok(()) }
}

/// The stored values of all frames (of a colour image: their luma).
pub(super) fn stored_values(
    set: &DataSet,
    transfer_syntax: &str,
    format: &PixelFormat,
) -> Result<Vec<f32>, Refusal> {
    let Some(data) = set.pixel_data()? else {
        return Err(RefusalReason::NotAnImage.refuse("The DICOM file holds no image."));
    };
    let codec = Codec::of(transfer_syntax)?;
    // Two bytes a pixel (PS3.3, C.7.6.3.1.2), unless a writer unpacked them and left the name.
    if let PixelData::Native { bytes, .. } = &data
        && set.text(tags::PHOTOMETRIC_INTERPRETATION).as_deref() == Some("YBR_FULL_422")
        && bytes.len() / format.shape.len() == 2
    {
        return Err(RefusalReason::Unsupported
            .refuse("Its colours are stored in half the resolution of its brightness."));
    }
    let mut format = format.clone();
    codec.adjust(&mut format);
    no_surplus(&data, &format)?;
    let mut values = Vec::with_capacity(format.shape.len());
    for index in 0..format.shape.slices {
        let samples =
            samples(&data, &format, codec, index).map_err(|refusal| match format.shape.slices {
                1 => refusal,
                all => refusal.at(&format!("Slice {} of {all}", index + 1)),
            })?;
        told_apart(&format, &samples)?;
        format.append_grey(&samples, &mut values);
    }
    Ok(values)
}

/// The samples of one frame.
fn samples(
    data: &PixelData,
    format: &PixelFormat,
    codec: Codec,
    index: usize,
) -> Result<Vec<i64>, Refusal> {
    let frame = frame(data, format, codec, index)?;
    let samples = match data {
        PixelData::Native { big_endian, words, .. } => native(&frame, format, *big_endian, *words),
        PixelData::Encapsulated { .. } => codec.decode(&frame, format)?,
    };
    if samples.len() != format.samples_per_frame() {
        return Err(RefusalReason::Corrupt
            .refuse("The image data does not have the size that the file declares."));
    }
    Ok(samples)
}

/// The bytes of one frame.
fn frame<'a>(
    data: &PixelData<'a>,
    format: &PixelFormat,
    codec: Codec,
    index: usize,
) -> Result<Cow<'a, [u8]>, Refusal> {
    let missing = || {
        RefusalReason::Truncated.refuse("The file does not hold all the pixels that it declares.")
    };
    let frames = format.shape.slices;
    match data {
        PixelData::Native { bytes, .. } => {
            let length = format.samples_per_frame() * format.bytes_per_sample;
            let start = index.checked_mul(length).ok_or_else(missing)?;
            let end = start.checked_add(length).ok_or_else(missing)?;
            bytes.get(start..end).map(Cow::Borrowed).ok_or_else(missing)
        }
        PixelData::Encapsulated { fragments, .. } if fragments.len() == frames => {
            Ok(Cow::Borrowed(fragments[index].1))
        }
        PixelData::Encapsulated { fragments, .. } if fragments.len() < frames => Err(missing()),
        PixelData::Encapsulated { offsets, fragments } => {
            let end = offsets.get(index + 1).map_or(usize::MAX, |end| *end as usize);
            let start = match offsets.get(index) {
                Some(start) => *start as usize,
                None if frames == 1 => 0,
                None => {
                    return Err(RefusalReason::Corrupt
                        .refuse("The file does not say where its frames begin."));
                }
            };
            let parts = fragments.iter().filter(|(at, _)| (start..end).contains(at));
            let parts: Vec<&[u8]> = parts.map(|(_, bytes)| *bytes).collect();
            if parts.iter().skip(1).any(|part| codec.begins(part)) {
                return Err(surplus());
            }
            Ok(Cow::Owned(parts.concat()))
        }
    }
}

fn native(bytes: &[u8], format: &PixelFormat, big_endian: bool, words: bool) -> Vec<i64> {
    let value = |bytes: &[u8]| {
        let step = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        let ordered =
            if big_endian { bytes.iter().fold(0, step) } else { bytes.iter().rev().fold(0, step) };
        format.value(ordered)
    };
    if format.bytes_per_sample == 1 && big_endian && words {
        // PS3.5, 8.2: bytes that are written as words are swapped with them.
        let swapped: Vec<u8> =
            bytes.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
        return swapped.chunks_exact(1).map(value).collect();
    }
    bytes.chunks_exact(format.bytes_per_sample).map(value).collect()
}
