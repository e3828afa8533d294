//! NIfTI-1 and NIfTI-2, single file.

mod forms;
mod header;
#[cfg(test)]
mod tests;

use self::header::{Header, Type};
use super::{Limits, fill_with_air, range};
use crate::{Format, Geometry, ImageKind, Orientation, Protocol, Refusal, RefusalReason, Volume};

pub(super) use header::is_header;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Volume, Refusal> {
    read(bytes, limits, |header| header.geometry().map(Some))
}

/// The same of a file that does not say where it lies, and whose pixels are square.
pub(super) fn decode_flat(bytes: &[u8], limits: &Limits) -> Result<Volume, Refusal> {
    read(bytes, limits, |header| header.flat().map(|()| None))
}

fn read(
    bytes: &[u8],
    limits: &Limits,
    place: impl FnOnce(&Header) -> Result<Option<Geometry>, Refusal>,
) -> Result<Volume, Refusal> {
    let header = Header::read(bytes)?;
    let [columns, rows, slices] = header.sizes()?;
    let shape = limits.shape(slices, rows, columns)?;
    let values = header.data_type()?;
    let geometry = place(&header)?;
    let data = bytes.get(header.data_offset()?..).unwrap_or_default();
    // The shape is within limits: the product cannot overflow.
    let Some((data, rest)) = data.split_at_checked(shape.len() * values.bytes()) else {
        return Err(RefusalReason::Truncated
            .refuse("The NIfTI file does not hold all the voxels that it declares."));
    };
    no_surplus(rest, shape.slice_len() * values.bytes())?;
    let mut voxels = scaled(values, data, &header)?;
    fill(&mut voxels)?;
    fill_with_air(&mut voxels);
    let window = range(&voxels);
    Ok(Volume {
        shape,
        voxels,
        geometry,
        modality: None,
        kind: ImageKind::Unknown,
        format: Format::Nifti,
        window,
        remarks: Vec::new(),
        stored: Orientation::default(),
        protocol: Protocol::default(),
    })
}

/// Refuses more slices than are declared, and a second file behind the first: nobody can tell which of them are meant.
/// Less than a slice is padding.
fn no_surplus(rest: &[u8], slice: usize) -> Result<(), Refusal> {
    /// As long as the shorter of the two headers.
    const HEADER: usize = 348;
    if rest.len() < slice && (rest.len() < HEADER || !is_header(rest)) {
        return Ok(());
    }
    Err(RefusalReason::Corrupt.refuse("The NIfTI file holds more slices than it declares."))
}

/// Real-world values in single precision. Refused where that cannot hold them: too large, or so close together, for
/// how large they are, that different ones would become one.
fn scaled(values: Type, data: &[u8], header: &Header) -> Result<Vec<f32>, Refusal> {
    /// Steps of single precision in an image's range; with fewer, they would be its grey levels.
    const STEPS_MIN: f64 = 1024.0;
    let scaling = header.scaling();
    let (slope, intercept) = scaling.unwrap_or((1.0, 0.0));
    let mut voxels = Vec::with_capacity(data.len() / values.bytes());
    let [mut low, mut high] = [f64::INFINITY, f64::NEG_INFINITY];
    values.each(data, header.big_endian, |stored| {
        let value = stored * slope + intercept;
        // What is no number is fill, and says so whatever it is scaled by.
        if stored.is_finite() {
            [low, high] = [low.min(value), high.max(value)];
        }
        voxels.push(value as f32);
    });
    let largest = low.abs().max(high.abs());
    let step = (largest * f64::from(f32::EPSILON)).max(f64::from(f32::from_bits(1)));
    let same = values == Type::F32 && scaling.is_none();
    let merged = !same && high > low && high - low < STEPS_MIN * step;
    let beyond = high >= low && largest > f64::from(f32::MAX);
    if merged || beyond {
        return Err(RefusalReason::Unsupported.refuse(format!(
            "Its voxels have values between {low:e} and {high:e}, which single precision cannot tell apart."
        )));
    }
    Ok(voxels)
}

/// Tools mark what lies outside of the head as NaN: it becomes the darkest value there is.
fn fill(voxels: &mut [f32]) -> Result<(), Refusal> {
    let finite = voxels.iter().copied().filter(|voxel| voxel.is_finite());
    let darkest = finite.fold(f32::INFINITY, f32::min);
    if darkest == f32::INFINITY {
        return Err(RefusalReason::Blank.refuse("None of its voxels has a value."));
    }
    voxels.iter_mut().filter(|voxel| !voxel.is_finite()).for_each(|voxel| *voxel = darkest);
    Ok(())
}

impl Type {
    fn bytes(self) -> usize {
        match self {
            Type::U8 | Type::I8 => 1,
            Type::I16 | Type::U16 => 2,
            Type::I32 | Type::U32 | Type::F32 => 4,
            Type::I64 | Type::U64 | Type::F64 => 8,
        }
    }

    /// Gives one number after another.
    fn each(self, data: &[u8], big_endian: bool, mut take: impl FnMut(f64)) {
        macro_rules! numbers {
            ($number:ty) => {{
                let (numbers, _) = data.as_chunks::<{ size_of::<$number>() }>();
                let of =
                    if big_endian { <$number>::from_be_bytes } else { <$number>::from_le_bytes };
                numbers.iter().for_each(|bytes| take(of(*bytes) as f64))
            }};
        }
        match self {
            Type::U8 => numbers!(u8),
            Type::I8 => numbers!(i8),
            Type::U16 => numbers!(u16),
            Type::I16 => numbers!(i16),
            Type::U32 => numbers!(u32),
            Type::I32 => numbers!(i32),
            Type::U64 => numbers!(u64),
            Type::I64 => numbers!(i64),
            Type::F32 => numbers!(f32),
            Type::F64 => numbers!(f64),
        }
    }
}
