//! Zip archives. Entries are read through a counting reader into memory and never written to a path.

use std::cmp::Ordering;
use std::io::{Cursor, Read, Seek};

use zip::ZipArchive;
use zip::result::ZipError;

use super::{Decoded, Kind, Limits, dicom, raster};
use crate::{Format, Problem, Refusal, Shape, Volume};

/// A zip archive whose structure has been checked: a bounded number of entries that neither overlap nor share a
/// name. What they unpack to is counted over all calls.
pub struct Archive<R> {
    zip: ZipArchive<R>,
    limits: Limits,
    /// The images among the entries, in the natural order of their names.
    entries: Vec<(usize, String)>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory. Folders and what operating systems and exporters add besides images are left out.
    pub fn open(reader: R, limits: Limits) -> Result<Archive<R>, Refusal> {
        let mut zip = ZipArchive::new(reader).map_err(refused)?;
        if zip.len() > limits.slices {
            return Err(Problem::TooLarge.refuse(format!(
                "The archive has {} entries; at most {} are read.",
                zip.len(),
                limits.slices
            )));
        }
        if zip.has_duplicate_names() || zip.has_overlapping_entries().map_err(refused)? {
            return Err(Problem::Corrupt.refuse("The archive's entries overlap."));
        }
        let mut entries = Vec::new();
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(refused)?;
            if entry.encrypted() {
                return Err(
                    Problem::Unsupported.refuse("The archive is protected with a password.")
                );
            }
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if entry.is_file() && is_content(&name) {
                entries.push((index, name));
            }
        }
        entries.sort_by(|(_, a), (_, b)| natural(a, b));
        Ok(Archive { zip, limits, entries })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries' names, as the archive spells them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(_, name)| name.as_str())
    }

    /// The bytes of the entry at that place of [`names`](Archive::names).
    pub fn read(&mut self, place: usize) -> Result<Vec<u8>, Refusal> {
        let Some((index, _)) = self.entries.get(place) else {
            return Err(Problem::Corrupt.refuse("The archive has no such entry."));
        };
        let entry = self.zip.by_index(*index).map_err(refused)?;
        let bytes = self.limits.unpack(entry)?;
        self.limits.bytes -= bytes.len();
        Ok(bytes)
    }
}

fn refused(error: ZipError) -> Refusal {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            Problem::Unsupported.refuse("The archive is protected with a password.")
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            Problem::Unsupported.refuse("The archive is packed in a way that is not read here.")
        }
        ZipError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => truncated(),
        // The directory stands at a zip's end: without it the end is missing.
        ZipError::InvalidArchive(_) => truncated(),
        _ => Problem::Corrupt.refuse("The archive cannot be unpacked."),
    }
}

fn truncated() -> Refusal {
    Problem::Truncated.refuse("The archive's directory is missing or incomplete.")
}

fn is_content(name: &str) -> bool {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    !file.starts_with('.')
        && !name.starts_with("__MACOSX/")
        && !file.eq_ignore_ascii_case("DICOMDIR")
}

/// The order in which people number files: `slice-2` before `slice-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let (digits_a, digits_b) = (leading_digits(a), leading_digits(b));
        let order = if digits_a > 0 && digits_b > 0 {
            let (number_a, number_b) = (significant(&a[..digits_a]), significant(&b[..digits_b]));
            (a, b) = (&a[digits_a..], &b[digits_b..]);
            number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn leading_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

/// One volume of all images in the archive.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Refusal> {
    let mut archive = Archive::open(Cursor::new(bytes), *limits)?;
    let mut slices = Slices::Nothing;
    let mut left = limits.voxels;
    for place in 0..archive.len() {
        let entry = archive.read(place)?;
        // Exporters add viewers and notes; what is no image is left out, what is one must fit.
        if let Some(kind) = Kind::of(&entry) {
            slices.add(kind, &entry, &Limits { voxels: left, ..*limits })?;
            left = limits.voxels - slices.voxels().min(limits.voxels);
        }
    }
    slices.join(limits)
}

/// What has been found in an archive so far: files of one kind only.
enum Slices {
    Nothing,
    Volume(Box<Decoded>),
    Dicom(Vec<dicom::Image>),
    Raster(Vec<Volume>),
}

impl Slices {
    fn add(&mut self, kind: Kind, bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
        match (&mut *self, kind) {
            (_, Kind::Archive) => return kind.decode(bytes, limits).map(drop),
            (Slices::Nothing, Kind::Nifti) => {
                *self = Slices::Volume(Box::new(kind.decode(bytes, limits)?))
            }
            (Slices::Nothing, Kind::Dicom) => {
                *self = Slices::Dicom(vec![dicom::read(bytes, limits)?])
            }
            (Slices::Nothing, Kind::Raster(format)) => {
                *self = Slices::Raster(vec![raster::decode(bytes, format, limits)?]);
            }
            (Slices::Dicom(images), Kind::Dicom) => images.push(dicom::read(bytes, limits)?),
            (Slices::Raster(images), Kind::Raster(format)) => {
                images.push(raster::decode(bytes, format, limits)?);
            }
            _ => {
                return Err(
                    Problem::MixedSeries.refuse("The archive holds files of different kinds.")
                );
            }
        }
        Ok(())
    }

    fn voxels(&self) -> usize {
        match self {
            Slices::Nothing => 0,
            Slices::Volume(decoded) => decoded.volume.voxels.len(),
            Slices::Dicom(images) => images.iter().map(dicom::Image::voxels).sum(),
            Slices::Raster(images) => images.iter().map(|image| image.voxels.len()).sum(),
        }
    }

    fn join(self, limits: &Limits) -> Result<Decoded, Refusal> {
        match self {
            Slices::Nothing => Err(Problem::NotAnImage.refuse("The archive holds no image.")),
            Slices::Volume(decoded) => {
                let Decoded { volume, identity } = *decoded;
                Ok(Decoded { volume: Volume { format: Format::Zip, ..volume }, identity })
            }
            Slices::Dicom(images) => dicom::join(images, limits),
            Slices::Raster(images) => Ok(Decoded { volume: pile(images, limits)?, identity: None }),
        }
    }
}

/// Slices without geometry, in the order of their names.
fn pile(images: Vec<Volume>, limits: &Limits) -> Result<Volume, Refusal> {
    let Shape { rows, columns, .. } = images[0].shape;
    if images.iter().any(|image| image.shape != images[0].shape) {
        return Err(Problem::MixedSeries.refuse("The archive holds images of different sizes."));
    }
    let shape = limits.shape(images.len(), rows, columns)?;
    let white = images.iter().map(|image| image.window[1]).fold(0.0, f32::max);
    let voxels = images.into_iter().flat_map(|image| image.voxels).collect();
    Ok(Volume {
        shape,
        voxels,
        geometry: None,
        modality: None,
        format: Format::Zip,
        window: [0.0, white],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_people_number_them() {
        let mut names = ["b/2.png", "a10.png", "a2.png", "a02b.png", "a1.png", "a.png"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a.png", "a1.png", "a2.png", "a02b.png", "a10.png", "b/2.png"]);
    }

    #[test]
    fn what_exporters_and_systems_add_is_no_content() {
        for name in ["__MACOSX/a.png", "x/.DS_Store", "IMAGES\\DICOMDIR", "dicomdir"] {
            assert!(!is_content(name), "{name}");
        }
        assert!(is_content("IMAGES/IM0001"));
    }
}
