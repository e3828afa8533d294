use domain::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::{ImageKind, Orientation, Protocol};

/// Voxels in slice, row, column order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shape {
    /// Images of the stack; 1 for a single one.
    pub slices: usize,
    /// Height of a slice in pixels.
    pub rows: usize,
    /// Width of a slice in pixels.
    pub columns: usize,
}

impl Shape {
    /// Voxels in one slice.
    pub fn slice_len(self) -> usize {
        self.rows * self.columns
    }

    /// Voxels in all slices.
    pub fn len(self) -> usize {
        self.slices * self.slice_len()
    }

    /// Slices, rows and columns.
    pub fn lengths(self) -> [usize; 3] {
        [self.slices, self.rows, self.columns]
    }

    /// Whether there is no voxel at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// How much a file says of where its voxels lie. What is said includes what stands before it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// How far apart they are: sizes are in millimetres, and nobody knows which side is which.
    Distances,
    /// And which way the patient lies.
    Directions,
    /// And where in the patient they are.
    #[default]
    Place,
}

/// Where voxels lie in the patient, in DICOM's patient coordinate system (PS3.3 C.7.6.2.1.1):
/// millimetres, x to the patient's left, y to the back, z to the head (LPS).
///
/// The centre of voxel (slice s, row r, column c) is `origin + s*slice_step + r*row_step + c*column_step`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Geometry {
    /// The centre of voxel (0, 0, 0).
    pub origin: [f64; 3],
    /// From one slice to the next. For a single slice its length is the slice thickness if that is
    /// known, else zero: then areas are known and volumes are not.
    pub slice_step: [f64; 3],
    /// From one row to the next (down the image).
    pub row_step: [f64; 3],
    /// From one column to the next (to the right in the image).
    pub column_step: [f64; 3],
    /// What of this is true of the patient: below `Place` the origin means nothing, and below `Directions` only the
    /// steps' lengths mean something.
    #[serde(default)]
    pub known: Known,
}

impl Geometry {
    /// A grid of which only the distances between slices, rows and columns are known, in millimetres.
    pub fn of_distances([slice_mm, row_mm, column_mm]: [f64; 3]) -> Geometry {
        Geometry {
            origin: [0.0; 3],
            slice_step: [0.0, 0.0, slice_mm],
            row_step: [0.0, row_mm, 0.0],
            column_step: [column_mm, 0.0, 0.0],
            known: Known::Distances,
        }
    }

    /// This geometry, if positions in it are positions in the patient.
    pub fn in_patient(&self) -> Option<&Geometry> {
        Some(self).filter(|geometry| geometry.known == Known::Place)
    }

    /// The steps from one slice, row and column to the next.
    pub fn steps(&self) -> [[f64; 3]; 3] {
        [self.slice_step, self.row_step, self.column_step]
    }

    /// Millimetres between slices, rows and columns.
    pub fn spacing(&self) -> [f64; 3] {
        self.steps().map(length)
    }

    /// The steps' directions, each of length one; a single slice's is its normal.
    pub(crate) fn directions(&self) -> [[f64; 3]; 3] {
        let [_, row, column] = self.steps();
        let normal = cross(column, row);
        let slice = if self.slice_step == [0.0; 3] { normal } else { self.slice_step };
        [slice, row, column].map(|step| step.map(|part| part / length(step)))
    }

    /// Cubic millimetres of one voxel: the determinant, so that sheared stacks are measured right.
    pub fn voxel_mm3(&self) -> f64 {
        let [a, b, c] = self.steps();
        dot(a, cross(b, c)).abs()
    }

    /// The patient position of a (possibly fractional) voxel index, in millimetres (LPS).
    pub fn position(&self, slice: f64, row: f64, column: f64) -> [f64; 3] {
        std::array::from_fn(|axis| {
            self.origin[axis]
                + slice * self.slice_step[axis]
                + row * self.row_step[axis]
                + column * self.column_step[axis]
        })
    }
}

/// The voxel index (slice, row, column) of a position, the inverse of [`Geometry::position`]; of a single slice of
/// unknown thickness the millimetres beside it stand for slices.
pub(crate) fn index_of(geometry: &Geometry, position: [f64; 3]) -> [f64; 3] {
    let [mut a, b, c] = geometry.steps();
    if a == [0.0; 3] {
        [a, ..] = geometry.directions();
    }
    let from = std::array::from_fn(|axis| position[axis] - geometry.origin[axis]);
    let volume = dot(a, cross(b, c));
    [cross(b, c), cross(c, a), cross(a, b)].map(|normal| dot(from, normal) / volume)
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn length(step: [f64; 3]) -> f64 {
    dot(step, step).sqrt()
}

/// What made the image, as DICOM's Modality (0008,0060) names it.
#[derive(Clone, Copy, Debug, Deserialize, EnumString, Eq, IntoStaticStr, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Modality {
    /// Magnetic resonance: voxels have no unit.
    #[serde(rename = "MR")]
    #[strum(serialize = "MR")]
    MagneticResonance,
    /// Computed tomography: voxels are Hounsfield units.
    #[serde(rename = "CT")]
    #[strum(serialize = "CT")]
    ComputedTomography,
}

impl Modality {
    /// DICOM's defined term.
    pub fn term(self) -> &'static str {
        self.into()
    }

    /// The modality of DICOM's defined term.
    pub fn of_term(term: &str) -> Option<Modality> {
        term.parse().ok()
    }
}

/// The file format that a volume was read from.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, IntoStaticStr, PartialEq, Serialize, VariantArray,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Format {
    /// Portable Network Graphics, 8 or 16 bits.
    Png,
    /// JPEG, mostly with the loss that 8 bits and a codec bring.
    Jpeg,
    /// TIFF, of one page or of several.
    Tiff,
    /// WebP, lossy or lossless.
    WebP,
    /// One DICOM file (PS3.10), of one frame or of several.
    Dicom,
    /// NIfTI-1 or NIfTI-2 in one file, gzipped or not.
    Nifti,
    /// A zip of slices.
    Zip,
}

impl Format {
    /// The name used in SQL, JSON, logs and pages.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A scan's voxels and where they lie; no identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Slices, rows and columns of `voxels`.
    pub shape: Shape,
    /// Real-world values (after DICOM's modality LUT, NIfTI's slope), [`Shape`]'s order, all finite.
    pub voxels: Vec<f32>,
    /// None: the file does not say where its pixels lie, so that sizes are in pixels.
    pub geometry: Option<Geometry>,
    /// None: the file does not say.
    pub modality: Option<Modality>,
    /// What kind of image it is, as far as the file says.
    pub kind: ImageKind,
    /// What kind of file it came in.
    pub format: Format,
    /// The values shown as black and as white (DICOM's window, or the range of an 8 or 16 bit file).
    pub window: [f32; 2],
    /// What a reader of the result should know of how the file was read (what was left out of it), in words.
    pub remarks: Vec<String>,
    /// How it runs through the grid that its file stores.
    pub stored: Orientation,
    /// How it was taken, as far as its file says.
    pub protocol: Protocol,
}

/// What stands before the voxels in the stored form.
#[derive(Deserialize, Serialize)]
pub(crate) struct Header {
    pub(crate) shape: Shape,
    pub(crate) geometry: Option<Geometry>,
    modality: Option<Modality>,
    #[serde(default, skip_serializing_if = "ImageKind::is_unknown")]
    kind: ImageKind,
    format: Format,
    pub(crate) window: [f32; 2],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
    #[serde(default)]
    pub(crate) stored: Orientation,
    #[serde(default, skip_serializing_if = "Protocol::is_empty")]
    protocol: Protocol,
}

const MAGIC: &[u8; 8] = b"MSVOL\x00\x00\x01";
/// A header is a few hundred bytes, and a few thousand with remarks; more is not ours.
const HEADER_BYTES_MAX: usize = 16 << 10;

impl Volume {
    /// The voxels of one slice, row by row.
    pub fn slice(&self, index: usize) -> &[f32] {
        &self.voxels[index * self.shape.slice_len()..][..self.shape.slice_len()]
    }

    /// How high a pixel of its slices is for its width: 1 where the file does not say, or where its pixels are square but
    /// for rounding.
    pub fn pixel_aspect(&self) -> f64 {
        pixel_aspect(self.geometry.as_ref())
    }

    /// The same scan as radiologists look at it, where the file says which way the patient lies; else as stored.
    ///
    /// All that comes after decoding sees this one orientation.
    pub fn radiological(self) -> Volume {
        let turn = Orientation::radiological(self.shape, self.geometry.as_ref());
        if turn == Orientation::default() {
            return self;
        }
        Volume {
            shape: turn.shape(self.shape),
            voxels: turn.turned(&self.voxels, self.shape),
            geometry: self.geometry.map(|geometry| turn.geometry(&geometry, self.shape)),
            stored: self.stored.then(turn),
            ..self
        }
    }

    /// The shape and the geometry of the file's own grid.
    pub fn own_grid(&self) -> (Shape, Option<Geometry>) {
        let back = self.stored.inverse();
        (back.shape(self.shape), self.geometry.map(|geometry| back.geometry(&geometry, self.shape)))
    }

    /// The stored form: magic, the header's length (u32, little endian), the header as JSON, then the
    /// voxels as little-endian f32. Equal volumes have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Volume { shape, geometry, modality, kind, format, window, stored, .. } = *self;
        let (remarks, protocol) = (self.remarks.clone(), self.protocol.clone());
        let header =
            Header { shape, geometry, modality, kind, format, window, remarks, stored, protocol };
        let header = serde_json::to_vec(&header).expect("a header is plain data");
        let mut bytes = Vec::with_capacity(12 + header.len() + 4 * self.voxels.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend(self.voxels.iter().flat_map(|voxel| voxel.to_le_bytes()));
        bytes
    }

    /// Reads the stored form. Anything but exactly what [`to_bytes`](Volume::to_bytes) wrote is `Invalid`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Volume> {
        let (header, begins) = beginning(bytes)?.ok_or_else(no_volume)?;
        let Header { shape, geometry, modality, kind, format, window, remarks, stored, protocol } =
            header;
        let voxels = &bytes[begins..];
        if voxel_bytes(shape) != Some(voxels.len()) {
            return Err(no_volume());
        }
        let (voxels, _) = voxels.as_chunks::<4>();
        let voxels = voxels.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Volume {
            shape,
            voxels,
            geometry,
            modality,
            kind,
            format,
            window,
            remarks,
            stored,
            protocol,
        })
    }

    /// The kind of image that the stored form says, without reading a voxel: what was known before a model looked.
    pub fn kind_of_bytes(bytes: &[u8]) -> Result<ImageKind> {
        let (header, _) = beginning(bytes)?.ok_or_else(no_volume)?;
        Ok(header.kind)
    }
}

/// See [`Volume::pixel_aspect`].
pub(crate) fn pixel_aspect(geometry: Option<&Geometry>) -> f64 {
    const ROUNDING: f64 = 1e-3;
    let aspect = geometry.map(Geometry::spacing).map(|[_, row_mm, column_mm]| row_mm / column_mm);
    let oblong = |aspect: &f64| aspect.is_finite() && (aspect - 1.0).abs() > ROUNDING;
    aspect.filter(oblong).unwrap_or(1.0)
}

/// The header at the beginning of a stored volume, and how many bytes stand before the voxels; None while more bytes are
/// needed to tell.
pub(crate) fn beginning(bytes: &[u8]) -> Result<Option<(Header, usize)>> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Err(no_volume());
    }
    let Some(length) = bytes[known..].first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > HEADER_BYTES_MAX {
        return Err(no_volume());
    }
    let begins = MAGIC.len() + 4;
    let Some(header) = bytes.get(begins..begins + length) else { return Ok(None) };
    let header = serde_json::from_slice(header).map_err(|error| no_volume().because(error))?;
    Ok(Some((header, begins + length)))
}

/// How many bytes the voxels of that shape take in the stored form; None for more than there can be.
pub(crate) fn voxel_bytes(shape: Shape) -> Option<usize> {
    let voxels = shape.slices.checked_mul(shape.rows).and_then(|n| n.checked_mul(shape.columns));
    voxels.and_then(|n| n.checked_mul(4))
}

pub(crate) fn no_volume() -> Error {
    ErrorKind::Invalid.error("these bytes are no stored volume")
}

#[cfg(test)]
mod round_trips;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_modalities_have_one_name_everywhere() {
        for &format in Format::VARIANTS {
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
        let names: Vec<&str> = Format::VARIANTS.iter().map(|format| format.name()).collect();
        assert_eq!(names, ["png", "jpeg", "tiff", "webp", "dicom", "nifti", "zip"]);
        for modality in [Modality::MagneticResonance, Modality::ComputedTomography] {
            assert_eq!(Modality::of_term(modality.term()), Some(modality));
            assert_eq!(serde_json::to_value(modality).unwrap(), modality.term());
        }
        assert_eq!(Modality::of_term("mr"), None);
    }

    fn volume() -> Volume {
        Volume {
            shape: Shape { slices: 1, rows: 2, columns: 3 },
            voxels: vec![0., 1., 2., 3., 4.5, -6.],
            geometry: Some(Geometry {
                origin: [0.1, 0.2, 0.3],
                slice_step: [0., 0., 3.],
                row_step: [0., 0.5, 0.],
                column_step: [0.5, 0., 0.],
                known: Known::Place,
            }),
            modality: Some(Modality::MagneticResonance),
            kind: ImageKind::Flair,
            format: Format::Dicom,
            window: [0., 5.],
            remarks: vec!["1 file was left out: notes.txt".into()],
            stored: Orientation { axes: [2, 0, 1], flipped: [false, true, false] },
            protocol: Protocol { echo_ms: Some(87.5), ..Protocol::default() },
        }
    }

    #[test]
    fn a_volume_survives_storage() {
        assert_eq!(Volume::from_bytes(&volume().to_bytes()).unwrap(), volume());
    }

    #[test]
    fn the_kind_is_told_by_the_stored_form_itself() {
        for kind in [ImageKind::Flair, ImageKind::T1Contrast, ImageKind::Other, ImageKind::Unknown]
        {
            let bytes = Volume { kind, ..volume() }.to_bytes();
            assert_eq!(Volume::kind_of_bytes(&bytes).unwrap(), kind);
        }
        assert!(Volume::kind_of_bytes(b"no volume").is_err());
    }

    #[test]
    fn a_volume_of_an_unknown_kind_is_stored_as_before_there_were_kinds() {
        let volume = Volume { kind: ImageKind::Unknown, ..volume() };
        let bytes = volume.to_bytes();
        assert!(!bytes.windows(6).any(|word| word == b"\"kind\""));
        assert_eq!(Volume::from_bytes(&bytes).unwrap(), volume);
    }

    #[test]
    fn a_volume_that_was_stored_before_orientations_were_is_as_it_was() {
        let plain = Volume { stored: Orientation::default(), ..volume() };
        let bytes = String::from_utf8_lossy(&plain.to_bytes()[12..]).into_owned();
        let json = bytes.split_once("}}").map(|(header, _)| format!("{header}}}}}")).unwrap();
        let mut header: serde_json::Value = serde_json::from_str(&json).unwrap();
        header["geometry"].as_object_mut().unwrap().remove("known").unwrap();
        header.as_object_mut().unwrap().remove("stored").unwrap();
        let header = header.to_string().into_bytes();
        let voxels = plain.voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        let length = (header.len() as u32).to_le_bytes().to_vec();
        let old = [MAGIC.to_vec(), length, header, voxels].concat();
        assert_eq!(Volume::from_bytes(&old).unwrap(), plain);
    }

    #[test]
    fn any_truncation_is_refused() {
        let bytes = volume().to_bytes();
        for length in 0..bytes.len() {
            assert!(Volume::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
