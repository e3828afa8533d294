//! The Image Pixel module (PS3.3, C.7.6.3): from the pixel data of one file to stored values.

use std::borrow::Cow;

use dicom_dictionary_std::tags;

use super::codec::Codec;
use super::pixel_format::PixelFormat;
use super::reader::{DataSet, PixelData};
use crate::{Refusal, RefusalReason};

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
