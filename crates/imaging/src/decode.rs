//! Bytes to [`Volume`], without trusting a single length that a file declares.

mod archive;
mod dicom;
mod folder;
mod groups;
mod gzip;
mod holes;
mod index;
mod left_out;
mod nifti;
mod raster;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use archive::Archive;
pub use dicom::deidentify::{DeidentificationReport, Deidentified, Naming, Treated};
pub(crate) use folder::label_map_alone;
pub use groups::{Group, Grouping};
pub use index::{instance, instances};

use domain::limits::{UPLOAD_FILES_MAX, UPLOAD_MIB_DEFAULT};
use domain::{Equipment, Identity};

use crate::window::range;
use crate::{DicomInstance, Refusal, RefusalReason, SegmentationFacts, Shape, Volume, window};

/// No scanner's pixels or slices are larger, in millimetres.
const MILLIMETRES_MAX: f64 = 100.0;
/// How far slices may be shifted against each other: gantries tilt by 30 degrees at most.
const SHEAR_MAX_DEGREES: f64 = 45.0;

/// What an upload may cost. Everything beyond is refused as too large before it is allocated.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the file, and of what it unpacks to.
    pub bytes: usize,
    /// Voxels in all slices.
    pub voxels: usize,
    /// Rows and columns of a slice.
    pub side: usize,
    /// Slices of a volume, and entries of an archive.
    pub slices: usize,
}

impl Default for Limits {
    /// A head at 0.5 mm in every direction fits; the voxels then need 256 MiB. One slice needs 64 MiB at most: packed, a picture of that
    /// size may have a few kilobytes.
    fn default() -> Limits {
        // A series may come as one file for each slice.
        let (bytes, slices) = ((UPLOAD_MIB_DEFAULT as usize) << 20, UPLOAD_FILES_MAX);
        Limits { bytes, voxels: 64 << 20, side: 4096, slices }
    }
}

impl Limits {
    /// The shape, if it is not empty and within the limits.
    fn shape(&self, slices: usize, rows: usize, columns: usize) -> Result<Shape, Refusal> {
        if slices == 0 || rows == 0 || columns == 0 {
            return Err(
                RefusalReason::Corrupt.refuse("The file declares an image without any pixels.")
            );
        }
        let voxels = slices.checked_mul(rows).and_then(|n| n.checked_mul(columns));
        let fits = slices <= self.slices && rows.max(columns) <= self.side;
        if !fits || voxels.is_none_or(|n| n > self.voxels) {
            return Err(RefusalReason::TooLarge.refuse(format!(
                "The file declares {slices} slice(s) of {columns} x {rows} pixels; at most {} pixels a side \
                 and {} million in all are read.",
                self.side,
                self.voxels >> 20
            )));
        }
        Ok(Shape { slices, rows, columns })
    }

    /// All that `packed` unpacks to, or a refusal when that is more than the limit.
    fn unpack(&self, packed: impl Read) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        packed.take(self.bytes as u64 + 1).read_to_end(&mut bytes).map_err(unpacking)?;
        if bytes.len() > self.bytes {
            return Err(RefusalReason::TooLarge
                .refuse(format!("It unpacks to more than {} MB.", self.bytes / 1_000_000)));
        }
        // It has grown by doubling, and the voxels are still to come.
        bytes.shrink_to_fit();
        Ok(bytes)
    }
}

fn unpacking(error: std::io::Error) -> Refusal {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            RefusalReason::Truncated.refuse("The compressed data ends too early.")
        }
        std::io::ErrorKind::Unsupported => {
            RefusalReason::Unsupported.refuse("It is compressed in a way that is not read here.")
        }
        _ => RefusalReason::Corrupt.refuse("The compressed data cannot be unpacked."),
    }
}

/// What a file held: the pixels, and apart from them whose they are.
#[derive(Debug)]
pub struct Decoded {
    /// The pixels, turned the one radiological way.
    pub volume: Volume,
    /// None: a format that carries no identity.
    pub identity: Option<Identity>,
    /// Where and with what it was made; nothing of a format that does not say so.
    pub equipment: Equipment,
}

impl Decoded {
    /// Of a format that says neither whose the volume is nor what has made it.
    fn unsaid(volume: Volume) -> Decoded {
        Decoded { volume, identity: None, equipment: Equipment::default() }
    }
}

/// Reads an image, a series or a volume, whatever its name says.
///
/// Never panics and never allocates more than a small multiple of `limits`, whatever the bytes are. The volume
/// is sound (its voxels fit its shape, all finite) and [`radiological`](Volume::radiological); whether it may be analysed, [`check`](crate::check) says.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Refusal> {
    let decoded = guarded(bytes, limits, |bytes| match Kind::of(bytes) {
        Some(Kind::Archive) => folder::decode(bytes, limits),
        Some(kind) => kind.decode(bytes, limits),
        None => Err(unknown(bytes)),
    })?;
    let volume = decoded.volume.radiological();
    let window = window::shown(&volume);
    Ok(Decoded { volume: Volume { window, ..volume }, ..decoded })
}

/// Which series a DICOM file says that it belongs to: patient, study and series. None: it is no slice.
///
/// As [`decode`], it never panics; headers are looked at, no pixels. A file that names no series has an empty one.
pub fn series_of(bytes: &[u8], limits: &Limits) -> Result<Option<[String; 3]>, Refusal> {
    let read = catch_unwind(AssertUnwindSafe(|| dicom::series_of(bytes, limits)));
    read.unwrap_or_else(|_| Err(RefusalReason::Corrupt.refuse("The file cannot be read.")))
}

/// What a DICOM file says it is, whether or not it holds a slice: headers are looked at, no pixels.
///
/// As [`decode`], it never panics. Refused is what is no file of PS3.10, is cut or broken, or whose head names another instance.
pub fn instance_of(bytes: &[u8], limits: &Limits) -> Result<DicomInstance, Refusal> {
    let read = catch_unwind(AssertUnwindSafe(|| dicom::instance_of(bytes, limits)));
    read.unwrap_or_else(|_| Err(RefusalReason::Corrupt.refuse("The file cannot be read.")))
}

/// The image of a DICOM file with nothing that says whose it is: the file that leaves, and what was done to each attribute. Refused is
/// what is no image, what may have text in its pixels, and pixels that are colours.
///
/// As [`decode`], it never panics.
pub fn deidentify(bytes: &[u8], limits: &Limits, naming: &Naming) -> Result<Deidentified, Refusal> {
    if bytes.len() > limits.bytes {
        let limit = limits.bytes / 1_000_000;
        return Err(RefusalReason::TooLarge.refuse(format!("The file is larger than {limit} MB.")));
    }
    let done = catch_unwind(AssertUnwindSafe(|| {
        dicom::deidentify::deidentify(&gzip::unpacked(bytes, limits)?, limits, naming)
    }));
    done.unwrap_or_else(|_| Err(RefusalReason::Corrupt.refuse("The file cannot be read.")))
}

/// What a DICOM segmentation says, and which pixels of its planes it marks in any of its segments: 1 or 0, plane after plane in row,
/// column order. None: the file is no DICOM segmentation, but may be a mask of another kind.
///
/// As [`decode`], it never panics. Whether the planes lie on a scan's grid, [`SegmentationFacts`] says.
pub fn segmentation(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Option<(SegmentationFacts, Vec<u8>)>, Refusal> {
    /// All that tells a DICOM file stands before.
    const HEAD: usize = 4096;
    let head = &bytes[..bytes.len().min(HEAD)];
    if bytes.len() > limits.bytes || Kind::of_head(head) != Some(Kind::Dicom) {
        return Ok(None);
    }
    let read = catch_unwind(AssertUnwindSafe(|| {
        dicom::segmentation(&gzip::unpacked(bytes, limits)?, limits)
    }));
    read.unwrap_or_else(|_| {
        Err(RefusalReason::Corrupt.refuse("The segmentation cannot be decoded."))
    })
}

/// Whether files of that SOP class may hold slices that [`decode`] reads. What one holds, only the file tells.
pub fn may_be_image(sop_class: &str) -> bool {
    dicom::may_be_image(sop_class)
}

/// The transfer syntaxes in which [`decode`] reads DICOM files, by their UIDs.
pub fn transfer_syntaxes() -> &'static [&'static str] {
    &dicom::TRANSFER_SYNTAXES
}

/// Reads a NIfTI file that does not say where it lies as if it were a picture: as stored, with square pixels.
///
/// For what medseg itself has written of pictures. Of anybody else's file nobody knows which side is left, so that
/// [`decode`] refuses it. Refused here is a file that says where it lies, and one whose pixels are not square.
pub fn decode_flat(bytes: &[u8], limits: &Limits) -> Result<Volume, Refusal> {
    let decoded = guarded(bytes, limits, |bytes| match Kind::of(bytes) {
        Some(Kind::Nifti) => nifti::decode_flat(bytes, limits).map(Decoded::unsaid),
        _ => Err(unknown(bytes)),
    })?;
    Ok(decoded.volume)
}

/// What `read` makes of the file within its compression, held to [`decode`]'s promise.
fn guarded(
    bytes: &[u8],
    limits: &Limits,
    read: impl FnOnce(&[u8]) -> Result<Decoded, Refusal>,
) -> Result<Decoded, Refusal> {
    if bytes.len() > limits.bytes {
        let limit = limits.bytes / 1_000_000;
        return Err(RefusalReason::TooLarge.refuse(format!("The file is larger than {limit} MB.")));
    }
    // The codecs below are other people's: a panic in one of them is one damaged file, not a lost service.
    let decoded = catch_unwind(AssertUnwindSafe(|| read(&gzip::unpacked(bytes, limits)?)));
    let decoded = decoded.unwrap_or_else(|_| {
        Err(RefusalReason::Corrupt.refuse("The image data cannot be decoded."))
    })?;
    check_decoded(decoded)
}

/// The kinds of file, told apart by what stands in them, never by their names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Raster(image::ImageFormat),
    Dicom,
    Nifti,
    Archive,
}

impl Kind {
    fn of(bytes: &[u8]) -> Option<Kind> {
        use image::ImageFormat::{Jpeg, Png, Tiff, WebP};
        // First, because DICOM's preamble may look like any other format (PS3.10, 7.1).
        if bytes.get(128..132) == Some(b"DICM") {
            return Some(Kind::Dicom);
        }
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Kind::Raster(Png)),
            [0xff, 0xd8, 0xff, ..] => Some(Kind::Raster(Jpeg)),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Kind::Raster(Tiff)),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                Some(Kind::Raster(WebP))
            }
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Kind::Archive),
            _ if nifti::is_header(bytes) => Some(Kind::Nifti),
            _ if dicom::is_headless(bytes) => Some(Kind::Dicom),
            _ => None,
        }
    }

    /// What stands in a file, or within its compression, as far as its first bytes tell.
    fn of_head(head: &[u8]) -> Option<Kind> {
        Kind::of(&gzip::head(head))
    }

    /// Decodes one image; an archive inside an archive is refused here.
    fn decode(self, bytes: &[u8], limits: &Limits) -> Result<Decoded, Refusal> {
        match self {
            Kind::Raster(format) => {
                let picture = raster::decode(bytes, format, limits)?;
                Ok(Decoded::unsaid(picture.volume))
            }
            Kind::Dicom => dicom::decode(bytes, limits),
            Kind::Nifti => Ok(Decoded::unsaid(nifti::decode(bytes, limits)?)),
            Kind::Archive => {
                Err(RefusalReason::Unsupported.refuse("The archive contains another archive."))
            }
        }
    }
}

fn unknown(bytes: &[u8]) -> Refusal {
    if let Some(what) = unread(bytes) {
        return RefusalReason::Unsupported
            .refuse(format!("This is {what}, which is not read here."));
    }
    let what = match bytes {
        [] => "The file is empty.",
        [b'%', b'P', b'D', b'F', ..] => "This is a PDF document.",
        [b'B', b'Z', b'h', ..]
        | [0xfd, b'7', b'z', b'X', b'Z', 0, ..]
        | [b'7', b'z', 0xbc, 0xaf, ..]
        | [b'R', b'a', b'r', b'!', ..] => {
            return RefusalReason::Unsupported
                .refuse("The file is compressed in a way that is not read here.");
        }
        _ => "The file is in none of the formats that are read here.",
    };
    RefusalReason::NotAnImage.refuse(what)
}

/// The kinds of picture that are known by their first bytes and not read.
fn unread(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [b'G', b'I', b'F', b'8', ..] => "a GIF file",
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => "a BigTIFF file",
        // Behind the size of the file, four bytes are reserved.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "a BMP file",
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => {
            "a JPEG 2000 file"
        }
        [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] | [0xff, 0x0a, ..] => "a JPEG XL file",
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', ..]
        | [_, _, _, _, b'f', b't', b'y', b'p', b'm', b'i' | b's', ..]
        | [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', ..] => "a HEIF or AVIF file",
        [b'N', b'R', b'R', b'D', b'0', ..] => "an NRRD file",
        _ => return None,
    })
}

/// Holds decoders to [`decode`]'s promise.
fn check_decoded(decoded: Decoded) -> Result<Decoded, Refusal> {
    let Volume { shape, ref voxels, window, .. } = decoded.volume;
    let finite =
        voxels.iter().all(|voxel| voxel.is_finite()) && window.iter().all(|end| end.is_finite());
    if voxels.len() != shape.len() || !finite {
        return Err(RefusalReason::Corrupt.refuse("The image holds values that are no numbers."));
    }
    Ok(decoded)
}

/// Turns what fills a picture beside the measured values, where no header says so, into the darkest of these: one value
/// below nought and far below all others, which no scanner measures so often.
fn fill_with_air(voxels: &mut [f32]) {
    /// Of all voxels; fewer are odd ones in the head.
    const OFTEN: f64 = 0.005;
    /// Of the whole range; in an image without fill, values follow upon each other.
    const FAR: f32 = 0.25;
    let [low, high] = range(&*voxels);
    let others = voxels.iter().copied().filter(|voxel| *voxel > low);
    let darkest = others.fold(f32::INFINITY, f32::min);
    let far = low < 0.0 && darkest.is_finite() && darkest - low > FAR * (high - low);
    let filled = voxels.iter().filter(|voxel| **voxel == low).count();
    if far && filled as f64 > (OFTEN * voxels.len() as f64).max(1.0) {
        voxels.iter_mut().filter(|voxel| **voxel == low).for_each(|voxel| *voxel = darkest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> RefusalReason {
        decode(bytes, &Limits::default()).unwrap_err().problem
    }

    #[test]
    fn what_is_no_image_is_refused_as_such() {
        for bytes in [&b""[..], b"%PDF-1.7", b"hello", &[0; 4096]] {
            assert_eq!(problem(bytes), RefusalReason::NotAnImage, "{bytes:?}");
        }
        for bytes in
            [&b"GIF89a"[..], b"BZh9", b"II\x2b\0", b"BM\x36\0\x01\0\0\0\0\0\x36\0", b"Rar!\x1a\x07"]
        {
            assert_eq!(problem(bytes), RefusalReason::Unsupported, "{bytes:?}");
        }
    }

    #[test]
    fn fill_that_no_header_tells_of_is_air_and_what_was_measured_stays() {
        let filled = |voxels: [f32; 6]| {
            let mut voxels = voxels;
            fill_with_air(&mut voxels);
            voxels
        };
        let with = |value: f32| [value, value, 3.0, 900.0, 1200.0, 2000.0];
        for value in [-2000.0, -32768.0] {
            assert_eq!(filled(with(value)), with(3.0));
        }
        // Air, a mask's background, and values below nought that go on upwards.
        for voxels in [
            with(0.0),
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0],
            [-1024.0, -1024.0, -900.0, -500.0, 40.0, 60.0],
        ] {
            assert_eq!(filled(voxels), voxels);
        }
    }

    #[test]
    fn one_slice_has_a_quarter_of_the_voxels_of_a_volume_at_most() {
        let limits = Limits::default();
        assert!(limits.shape(1, 4096, 4096).is_ok());
        assert!(limits.shape(1, 4096, 4097).is_err() && limits.shape(1, 4097, 64).is_err());
        assert!(limits.shape(4, 4096, 4096).is_ok());
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_even_looked_at() {
        let limits = Limits { bytes: 3, ..Limits::default() };
        assert_eq!(decode(b"1234", &limits).unwrap_err().problem, RefusalReason::TooLarge);
    }

    #[test]
    fn shapes_are_multiplied_without_overflow() {
        let limits = Limits { side: usize::MAX, slices: usize::MAX, ..Limits::default() };
        for shape in
            [(1, usize::MAX, 2), (usize::MAX, usize::MAX, usize::MAX), (1, 1 << 20, 1 << 20)]
        {
            assert_eq!(
                limits.shape(shape.0, shape.1, shape.2).unwrap_err().problem,
                RefusalReason::TooLarge
            );
        }
        assert_eq!(limits.shape(1, 0, 5).unwrap_err().problem, RefusalReason::Corrupt);
    }
}
