//! NIfTI-1 and NIfTI-2, single file.

mod header;
#[cfg(test)]
mod tests;

use self::header::{Header, Type};
use super::{Limits, fill_with_air, range};
use crate::{Format, ImageKind, Orientation, Problem, Refusal, Volume};

pub(super) use header::is_header;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Volume, Refusal> {
    let header = Header::read(bytes)?;
    let [columns, rows, slices] = header.sizes()?;
    let shape = limits.shape(slices, rows, columns)?;
    let values = header.data_type()?;
    let geometry = header.geometry()?;
    let data = bytes.get(header.data_offset()?..).unwrap_or_default();
    // The shape is within limits: the product cannot overflow.
    let Some(data) = data.get(..shape.len() * values.bytes()) else {
        return Err(Problem::Truncated
            .refuse("The NIfTI file does not hold all the voxels that it declares."));
    };
    let mut voxels = values.read(data, header.big_endian);
    if let Some((slope, intercept)) = header.scaling() {
        voxels.iter_mut().for_each(|voxel| *voxel = (f64::from(*voxel) * slope + intercept) as f32);
    }
    fill(&mut voxels)?;
    fill_with_air(&mut voxels);
    let window = range(&voxels);
    Ok(Volume {
        shape,
        voxels,
        geometry: Some(geometry),
        modality: None,
        kind: ImageKind::Unknown,
        format: Format::Nifti,
        window,
        remarks: Vec::new(),
        stored: Orientation::default(),
    })
}

/// Tools mark what lies outside of the head as NaN: it becomes the darkest value there is.
fn fill(voxels: &mut [f32]) -> Result<(), Refusal> {
    let finite = voxels.iter().copied().filter(|voxel| voxel.is_finite());
    let darkest = finite.fold(f32::INFINITY, f32::min);
    if darkest == f32::INFINITY {
        return Err(Problem::Blank.refuse("None of its voxels has a value."));
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

    fn read(self, data: &[u8], big_endian: bool) -> Vec<f32> {
        macro_rules! numbers {
            ($number:ty) => {{
                let (numbers, _) = data.as_chunks::<{ size_of::<$number>() }>();
                let of =
                    if big_endian { <$number>::from_be_bytes } else { <$number>::from_le_bytes };
                numbers.iter().map(|bytes| of(*bytes) as f32).collect()
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
