//! Stored volumes and the masks of results and readers as NIfTI files on one grid: for whoever learns from them.
//!
//! A file holds voxels and where they lie, and nothing else that the volume's header says of the upload.

use std::io::{Cursor, Read};

use domain::statistics::dice;
use domain::{ErrorKind, Result};
use flate2::read::GzDecoder;
use image::ImageFormat;

use crate::encode::{NIFTI_HEADER_BYTES, nifti_gz, nifti_header};
use crate::findings::Role;
use crate::render::LESSER_GREY;
use crate::volume::{beginning, no_volume, voxel_bytes};
use crate::{Geometry, Limits, Orientation, Shape};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The grid of a stored volume, as its first bytes tell it.
pub struct StoredGrid {
    shape: Shape,
    geometry: Option<Geometry>,
    stored: Orientation,
    begins: usize,
    bytes: usize,
}

/// A mask as a result or a reader's word has it, in the order of its file.
struct OwnMask {
    shape: Shape,
    /// Whether it is a picture, which shows the one slice of the volume itself; else it has the grid of the upload's file.
    is_picture: bool,
    /// The [label](Role::label) of the finding there, or 0; what a reader has marked is labelled as a main one.
    labels: Vec<u8>,
}

impl StoredGrid {
    /// Reads it from the first bytes of a stored volume; None while more are needed. `Invalid` when they begin none.
    pub fn read(first: &[u8]) -> Result<Option<StoredGrid>> {
        let Some((header, begins)) = beginning(first)? else { return Ok(None) };
        let bytes = voxel_bytes(header.shape).ok_or_else(no_volume)?;
        let (shape, geometry, stored) = (header.shape, header.geometry, header.stored);
        Ok(Some(StoredGrid { shape, geometry, stored, begins, bytes }))
    }

    /// How many bytes of the stored volume stand before its voxels.
    pub fn voxels_begin(&self) -> usize {
        self.begins
    }

    /// How many bytes its voxels take.
    pub fn voxel_bytes(&self) -> usize {
        self.bytes
    }

    /// What stands before the voxels in a NIfTI file of the volume: both forms have the same voxels in the same order.
    pub fn nifti_header(&self) -> Result<Vec<u8>> {
        nifti_header::<f32>(self.shape, self.geometry.as_ref())
    }

    /// The mask of a result or of a reader, as `.nii.gz` on this grid: 1 in what is main or marked, else 0. `Invalid` for one that
    /// lies on another.
    pub fn mask(&self, file: &[u8]) -> Result<Vec<u8>> {
        let marked: Vec<u8> = self.labels(file)?.iter().map(marked).collect();
        nifti_gz(&marked, self.shape, self.geometry.as_ref())
    }

    /// The [label](Role::label) of the finding in each voxel of this grid, or 0, as the mask of a result has them. `Invalid` for one
    /// that lies on another grid.
    pub fn labels(&self, file: &[u8]) -> Result<Vec<u8>> {
        let mask = OwnMask::read(file)?;
        let (own, _) = self.own_grid();
        let expected = if mask.is_picture { self.shape } else { own };
        if mask.shape != expected {
            return Err(ErrorKind::Invalid.error("the mask lies on another grid than its volume"));
        }
        Ok(match mask.is_picture {
            true => mask.labels,
            false => self.stored.turned(&mask.labels, own),
        })
    }

    /// Slices, rows and columns as pictures and all indices of a result count them.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Where those voxels lie in the patient; None: the file does not say.
    pub fn geometry(&self) -> Option<Geometry> {
        self.geometry
    }

    /// The shape and the geometry of the file's own grid.
    pub fn own_grid(&self) -> (Shape, Option<Geometry>) {
        let back = self.stored.inverse();
        (back.shape(self.shape), self.geometry.map(|geometry| back.geometry(&geometry, self.shape)))
    }

    /// The way from this grid to the file's own one.
    pub fn to_own_grid(&self) -> Orientation {
        self.stored.inverse()
    }

    /// The same where nothing is marked.
    pub fn empty_mask(&self) -> Result<Vec<u8>> {
        nifti_gz(&vec![0_u8; self.shape.len()], self.shape, self.geometry.as_ref())
    }
}

/// How far two masks of one scan mark the same (Dice): 1 where neither marks anything; None where they are of two forms, so that it
/// would have to be known how they lie.
pub fn overlap(one: &[u8], other: &[u8]) -> Result<Option<f64>> {
    let (one, other) = (OwnMask::read(one)?, OwnMask::read(other)?);
    if (one.shape, one.is_picture) != (other.shape, other.is_picture) {
        return Ok(None);
    }
    let [one, other] = [one, other].map(|mask| mask.labels.iter().map(marked).collect::<Vec<u8>>());
    Ok(Some(dice(&one, &other)))
}

impl OwnMask {
    /// Of a file that `mask_png`, `mask_nifti` or ingest has written: nobody else's gets here.
    fn read(file: &[u8]) -> Result<OwnMask> {
        if file.starts_with(&GZIP) { OwnMask::volume(file) } else { OwnMask::picture(file) }
    }

    fn picture(file: &[u8]) -> Result<OwnMask> {
        let picture = image::load(Cursor::new(file), ImageFormat::Png)
            .map_err(|error| no_mask().because(error))?
            .into_luma8();
        let shape =
            Shape { slices: 1, rows: picture.height() as usize, columns: picture.width() as usize };
        let label = |grey: u8| match grey {
            LESSER_GREY => Role::Lesser.label(),
            grey if grey > LESSER_GREY => Role::Main.label(),
            _ => 0,
        };
        let labels = picture.into_raw().into_iter().map(label).collect();
        Ok(OwnMask { shape, is_picture: true, labels })
    }

    fn volume(file: &[u8]) -> Result<OwnMask> {
        let most = (NIFTI_HEADER_BYTES + Limits::default().voxels) as u64;
        let mut bytes = Vec::new();
        GzDecoder::new(file)
            .take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| no_mask().because(error))?;
        let shape = lengths(&bytes).ok_or_else(no_mask)?;
        let labels = bytes.get(NIFTI_HEADER_BYTES..).filter(|labels| labels.len() == shape.len());
        let labels = labels.ok_or_else(no_mask)?.to_vec();
        Ok(OwnMask { shape, is_picture: false, labels })
    }
}

/// 1 in main findings, or in what the reader has marked; else 0.
fn marked(label: &u8) -> u8 {
    u8::from(*label == Role::Main.label())
}

/// The shape that a NIfTI header of ours says, where its voxels are bytes.
fn lengths(bytes: &[u8]) -> Option<Shape> {
    let int16 = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk::<2>()?;
        usize::try_from(i16::from_le_bytes(*bytes)).ok()
    };
    let [columns, rows, slices] = [int16(42)?, int16(44)?, int16(46)?];
    let is_ours = int16(40)? == 3 && int16(72)? == 8;
    is_ours.then_some(Shape { slices, rows, columns })
}

fn no_mask() -> domain::Error {
    ErrorKind::Invalid.error("these bytes are no mask of ours")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{grey_png, nifti};
    use crate::phantom::{Phantom, Settings};
    use crate::{Volume, decode};

    fn volume(storage: &str) -> Volume {
        let shape = Shape { slices: 6, rows: 80, columns: 64 };
        let settings = Settings { shape, tumour: false, ..Settings::slice(3) };
        let volume = Phantom::new(&settings).unwrap().volume;
        let stored = volume.stored_as(storage).unwrap();
        Volume { remarks: vec!["1 file was left out: doe_jane.txt".into()], ..stored }
            .radiological()
    }

    fn grid(volume: &Volume) -> StoredGrid {
        StoredGrid::read(&volume.to_bytes()).unwrap().unwrap()
    }

    /// Different in each voxel's neighbourhood, so that a turn would show.
    fn marks(shape: Shape) -> Vec<u8> {
        (0..shape.len()).map(|index| u8::from(index % 7 == 0 || index < 99)).collect()
    }

    #[test]
    fn a_stored_volume_becomes_the_nifti_file_of_its_voxels_and_tells_nothing_else() {
        for storage in ["LPS", "RAS", "LIA"] {
            let volume = volume(storage);
            let bytes = volume.to_bytes();
            let grid = grid(&volume);
            let voxels = &bytes[grid.voxels_begin()..];
            assert_eq!(voxels.len(), grid.voxel_bytes());
            let file = [&grid.nifti_header().unwrap(), voxels].concat();
            let whole = nifti(&volume.voxels, volume.shape, volume.geometry.as_ref()).unwrap();
            assert!(file == whole, "{storage}");
            assert!(!file.windows(4).any(|word| word == b"jane"));
            let decoded = decode(&file, &Limits::default()).unwrap().volume;
            assert_eq!((decoded.shape, decoded.voxels), (volume.shape, volume.voxels));
        }
    }

    #[test]
    fn a_mask_in_the_order_of_its_file_is_turned_as_its_volume_was() {
        for storage in ["LPS", "RAS", "LIA", "PSR"] {
            let volume = volume(storage);
            let marked = marks(volume.shape);
            let (own, geometry) = volume.own_grid();
            // As `mask_nifti` writes it: lesser findings are no truth.
            let labels = volume.stored.inverse().turned(&marked, volume.shape);
            let labels: Vec<u8> = labels
                .iter()
                .enumerate()
                .map(|(at, it)| if *it == 0 && at % 5 == 0 { 2 } else { *it })
                .collect();
            let file = nifti_gz(&labels, own, geometry.as_ref()).unwrap();
            let made = grid(&volume).mask(&file).unwrap();
            let expected = nifti_gz(&marked, volume.shape, volume.geometry.as_ref()).unwrap();
            assert!(made == expected, "{storage}");
        }
    }

    #[test]
    fn a_picture_is_the_mask_of_one_slice_and_of_no_volume() {
        let volume = Phantom::new(&Settings::slice(3)).unwrap().volume;
        let marked = marks(volume.shape);
        let grey: Vec<u8> = marked
            .iter()
            .enumerate()
            .map(|(at, it)| if *it == 1 { 255 } else { 127 * (at % 2) as u8 })
            .collect();
        let file = grey_png(&grey, volume.shape.rows, volume.shape.columns).unwrap();
        let made = grid(&volume).mask(&file).unwrap();
        assert!(made == nifti_gz(&marked, volume.shape, volume.geometry.as_ref()).unwrap());
        for other in [
            self::volume("LPS"),
            Volume {
                shape: Shape { slices: 1, rows: 2, columns: 3 },
                voxels: vec![0.0; 6],
                ..volume
            },
        ] {
            assert_eq!(grid(&other).mask(&file).unwrap_err().kind(), ErrorKind::Invalid);
        }
        let strange = grid(&self::volume("LPS")).mask(b"no mask").unwrap_err();
        assert_eq!(strange.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn an_empty_mask_marks_nothing_on_the_same_grid() {
        let volume = volume("RAS");
        let none = vec![0_u8; volume.shape.len()];
        let expected = nifti_gz(&none, volume.shape, volume.geometry.as_ref()).unwrap();
        assert!(grid(&volume).empty_mask().unwrap() == expected);
    }

    #[test]
    fn more_bytes_are_asked_for_until_the_grid_is_known() {
        let bytes = volume("LPS").to_bytes();
        let begins = grid(&volume("LPS")).voxels_begin();
        for length in [0, 8, 20, begins - 1] {
            assert!(StoredGrid::read(&bytes[..length]).unwrap().is_none(), "{length}");
        }
        assert!(StoredGrid::read(&bytes[..begins]).unwrap().is_some());
        assert!(StoredGrid::read(b"something else").is_err());
    }

    #[test]
    fn two_masks_overlap_as_far_as_both_mark_the_same() {
        let shape = Shape { slices: 1, rows: 2, columns: 4 };
        let of = |marked: [u8; 8]| nifti_gz(&marked, shape, None).unwrap();
        let [one, other, none] =
            [of([1, 1, 1, 0, 0, 0, 0, 0]), of([0, 0, 1, 0, 0, 0, 0, 0]), of([0; 8])];
        assert_eq!(overlap(&one, &one).unwrap(), Some(1.0));
        assert_eq!(overlap(&one, &other).unwrap(), Some(0.5));
        assert_eq!(overlap(&one, &none).unwrap(), Some(0.0));
        assert_eq!(overlap(&none, &none).unwrap(), Some(1.0));
        let picture = grey_png(&[255, 255, 255, 0, 0, 0, 0, 0], 2, 4).unwrap();
        assert_eq!(overlap(&picture, &picture).unwrap(), Some(1.0));
        assert_eq!(overlap(&one, &picture).unwrap(), None, "of two forms");
        assert!(overlap(&one, &one[..20]).is_err());
    }
}
