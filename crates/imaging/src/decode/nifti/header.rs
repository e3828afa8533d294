//! The header of NIfTI-1 (nifti1.h) and NIfTI-2 (nifti2.h): fields at fixed places, in either byte order.

use super::forms::{forms_agree, placed, sizes_agree};
use crate::volume::length;
use crate::{Geometry, Refusal, RefusalReason};

/// How one voxel is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

/// Where the two versions keep the fields that are read here.
struct Layout {
    size: usize,
    /// Of the eight sizes, and whether they are 64 bit.
    dim: usize,
    wide: bool,
    data_type: usize,
    pixdim: usize,
    data_offset: usize,
    slope: usize,
    units: usize,
    form_codes: usize,
    quaternion: usize,
    sform: usize,
}

const NIFTI_1: Layout = Layout {
    size: 348,
    dim: 40,
    wide: false,
    data_type: 70,
    pixdim: 76,
    data_offset: 108,
    slope: 112,
    units: 123,
    form_codes: 252,
    quaternion: 256,
    sform: 280,
};
const NIFTI_2: Layout = Layout {
    size: 540,
    dim: 16,
    wide: true,
    data_type: 12,
    pixdim: 104,
    data_offset: 168,
    slope: 176,
    units: 500,
    form_codes: 344,
    quaternion: 352,
    sform: 400,
};

/// A header whose fields can all be read.
pub(super) struct Header<'a> {
    bytes: &'a [u8],
    layout: &'static Layout,
    pub big_endian: bool,
}

/// Whether these bytes begin like a NIfTI file.
pub(in crate::decode) fn is_header(bytes: &[u8]) -> bool {
    recognised(bytes).is_some()
}

fn recognised(bytes: &[u8]) -> Option<(&'static Layout, bool)> {
    let size = bytes.first_chunk::<4>()?;
    for (layout, magic_at) in [(&NIFTI_1, 344), (&NIFTI_2, 4)] {
        let big_endian = u32::from_be_bytes(*size) as usize == layout.size;
        let little_endian = u32::from_le_bytes(*size) as usize == layout.size;
        // A header that ends before its magic is a truncated one.
        let magic =
            bytes.get(magic_at..magic_at + 2).is_none_or(|magic| matches!(magic, b"n+" | b"ni"));
        if (big_endian || little_endian) && magic {
            return Some((layout, big_endian));
        }
    }
    None
}

impl<'a> Header<'a> {
    /// Reads the header of NIfTI-1 or NIfTI-2, in either byte order. A refusal where it is neither, or contradicts itself.
    pub fn read(bytes: &'a [u8]) -> Result<Header<'a>, Refusal> {
        let truncated =
            || RefusalReason::Truncated.refuse("The NIfTI file ends within its header.");
        let (layout, big_endian) = recognised(bytes).ok_or_else(truncated)?;
        let header = bytes.get(..layout.size).ok_or_else(truncated)?;
        let magic = &header[if layout.wide { 4 } else { 344 }..];
        if magic.starts_with(b"ni") {
            return Err(
                RefusalReason::Unsupported.refuse("The NIfTI header comes without its .img file.")
            );
        }
        Ok(Header { bytes: header, layout, big_endian })
    }

    /// Columns, rows and slices.
    pub fn sizes(&self) -> Result<[usize; 3], Refusal> {
        let width = if self.layout.wide { 8 } else { 2 };
        let dim = |index: usize| self.integer(self.layout.dim + index * width, width);
        let dimensions = self.dimensions();
        if !(2..=7).contains(&dimensions) {
            return Err(RefusalReason::Corrupt
                .refuse("The NIfTI file declares an impossible number of dimensions."));
        }
        let size = |index: usize| if index as i64 <= dimensions { dim(index) } else { 1 };
        if (4..=7).any(|index| size(index) > 1) {
            return Err(
                RefusalReason::Unsupported.refuse("The NIfTI file holds several volumes, not one.")
            );
        }
        let sizes = [size(1), size(2), size(3)].map(|size| usize::try_from(size).unwrap_or(0));
        if sizes.contains(&0) {
            return Err(
                RefusalReason::Corrupt.refuse("The NIfTI file declares an impossible size.")
            );
        }
        Ok(sizes)
    }

    fn dimensions(&self) -> i64 {
        self.integer(self.layout.dim, if self.layout.wide { 8 } else { 2 })
    }

    /// The type of one stored voxel (`datatype`); a refusal for colours, complex numbers and those wider than 64 bits.
    pub fn data_type(&self) -> Result<Type, Refusal> {
        Ok(match self.integer(self.layout.data_type, 2) {
            2 => Type::U8,
            4 => Type::I16,
            8 => Type::I32,
            16 => Type::F32,
            64 => Type::F64,
            256 => Type::I8,
            512 => Type::U16,
            768 => Type::U32,
            1024 => Type::I64,
            1280 => Type::U64,
            _ => {
                return Err(RefusalReason::Unsupported
                    .refuse("The NIfTI file's voxels are no plain numbers."));
            }
        })
    }

    /// Where the voxels begin.
    pub fn data_offset(&self) -> Result<usize, Refusal> {
        let offset = match self.layout.wide {
            true => self.integer(self.layout.data_offset, 8) as f64,
            false => f64::from(self.float(self.layout.data_offset)),
        };
        // The four bytes behind the header say whether extensions follow.
        if !(offset >= (self.layout.size + 4) as f64 && offset < 1e15 && offset.fract() == 0.0) {
            return Err(RefusalReason::Corrupt
                .refuse("The NIfTI file's voxels begin at an impossible place."));
        }
        Ok(offset as usize)
    }

    /// Slope and intercept, unless values are to be taken as they are: a slope of zero means none.
    pub fn scaling(&self) -> Option<(f64, f64)> {
        let [slope, intercept] = self.reals(self.layout.slope);
        let sound = slope.is_finite() && intercept.is_finite() && slope != 0.0;
        (sound && (slope, intercept) != (1.0, 0.0)).then_some((slope, intercept))
    }

    /// The sform if there is one, else the qform, in DICOM's LPS instead of NIfTI's RAS, in millimetres.
    ///
    /// Voxel sizes and directions that contradict each other are refused: nothing tells which of them is the patient's.
    pub fn geometry(&self) -> Result<Geometry, Refusal> {
        let [qform_code, sform_code] = self.form_codes();
        let unit = self.millimetres()?;
        let pixdim = self.voxel_sizes()?.map(|size| size * unit);
        let sform = (sform_code > 0).then(|| placed(self.sform(), unit)).transpose()?;
        let qform = (qform_code > 0).then(|| placed(self.qform(), unit)).transpose()?;
        for (form, name) in [(&sform, "sform"), (&qform, "qform")] {
            if let Some(form) = form {
                sizes_agree(form, name, pixdim)?;
            }
        }
        if let (Some(sform), Some(qform)) = (&sform, &qform) {
            forms_agree(sform, qform, self.middle()?, sform_code == qform_code)?;
        }
        sform.or(qform).ok_or_else(|| {
            RefusalReason::UnknownOrientation
                .refuse("The NIfTI file does not say which way the patient lies.")
        })
    }

    /// That it says nothing of where it lies, and that its pixels are square; a refusal where it is not so.
    pub fn flat(&self) -> Result<(), Refusal> {
        /// The part by which sizes differ that were rounded.
        const ROUNDING: f64 = 1e-3;
        let [width, height, _] = self.voxel_sizes()?;
        if self.form_codes().iter().any(|code| *code > 0) {
            return Err(RefusalReason::Unsupported
                .refuse("The NIfTI file is no picture: it says where it lies."));
        }
        if (width / height - 1.0).abs() > ROUNDING {
            return Err(RefusalReason::UnknownOrientation.refuse(
                "The NIfTI file does not say which way the patient lies, and its pixels are not square.",
            ));
        }
        Ok(())
    }

    /// Of the qform and the sform; nought: there is none.
    fn form_codes(&self) -> [i64; 2] {
        let width = if self.layout.wide { 4 } else { 2 };
        [0, width].map(|at| self.integer(self.layout.form_codes + at, width))
    }

    /// The slice, row and column in the middle.
    fn middle(&self) -> Result<[f64; 3], Refusal> {
        let [columns, rows, slices] = self.sizes()?;
        Ok([slices, rows, columns].map(|size| (size - 1) as f64 / 2.0))
    }

    /// The three voxel sizes of pixdim, in the file's unit.
    fn voxel_sizes(&self) -> Result<[f64; 3], Refusal> {
        let [_, sizes @ ..] = self.reals::<4>(self.layout.pixdim);
        // The third size means nothing where there is no third dimension.
        let told = if self.dimensions() < 3 { 2 } else { 3 };
        if !sizes[..told].iter().all(|size| size.is_finite() && *size > 0.0) {
            let [x, y, z] = sizes;
            return Err(RefusalReason::Corrupt.refuse(format!(
                "The NIfTI file's pixdim declares voxels of {x} x {y} x {z}, which no voxel can be."
            )));
        }
        Ok(sizes)
    }

    /// How many millimetres the file's unit of length has; files that name none mean millimetres.
    fn millimetres(&self) -> Result<f64, Refusal> {
        match self.integer(self.layout.units, if self.layout.wide { 4 } else { 1 }) & 7 {
            0 | 2 => Ok(1.0),
            1 => Ok(1000.0),
            3 => Ok(0.001),
            _ => Err(RefusalReason::Corrupt
                .refuse("The NIfTI file measures in a unit that there is not.")),
        }
    }

    fn sform(&self) -> [[f64; 4]; 3] {
        let width = self.real_width();
        std::array::from_fn(|row| self.reals(self.layout.sform + row * 4 * width))
    }

    /// nifti1.h, "method 2": a rotation as a quaternion, voxel sizes, and an offset.
    ///
    /// A quaternion that is (nearly) as long as one, or longer, is a half turn about its axis, whatever its length: as
    /// nifti1_io.c (`nifti_quatern_to_mat44`) has it, so that sizes are what pixdim says.
    fn qform(&self) -> [[f64; 4]; 3] {
        const HALF_TURN: f64 = 1e-7;
        let [b, c, d, x, y, z] = self.reals(self.layout.quaternion);
        let vector = length([b, c, d]);
        let left = 1.0 - vector * vector;
        let ([b, c, d], a) = match left < HALF_TURN {
            true => ([b, c, d].map(|part| part / vector), 0.0),
            false => ([b, c, d], left.sqrt()),
        };
        let [sign, dx, dy, dz] = self.reals(self.layout.pixdim);
        let dz = if sign < 0.0 { -dz } else { dz };
        let row = |rotation: [f64; 3], offset| {
            [rotation[0] * dx, rotation[1] * dy, rotation[2] * dz, offset]
        };
        [
            row([a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)], x),
            row([2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)], y),
            row([2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b], z),
        ]
    }

    fn real_width(&self) -> usize {
        if self.layout.wide { 8 } else { 4 }
    }

    /// `N` neighbouring floating-point fields.
    fn reals<const N: usize>(&self, at: usize) -> [f64; N] {
        let width = self.real_width();
        std::array::from_fn(|index| match self.layout.wide {
            true => f64::from_bits(self.bits(at + index * width, width)),
            false => f64::from(self.float(at + index * width)),
        })
    }

    fn float(&self, at: usize) -> f32 {
        f32::from_bits(self.bits(at, 4) as u32)
    }

    fn integer(&self, at: usize, width: usize) -> i64 {
        let unused = 64 - 8 * width;
        (self.bits(at, width) << unused) as i64 >> unused
    }

    /// A field's bits; [`read`](Header::read) has checked that all fields are there.
    fn bits(&self, at: usize, width: usize) -> u64 {
        let field = &self.bytes[at..at + width];
        let step = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.big_endian { field.iter().fold(0, step) } else { field.iter().rev().fold(0, step) }
    }
}
