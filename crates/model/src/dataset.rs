mod digest;
mod export;
mod folder;
mod grid;
mod import;
mod made;
mod manifest;
mod part;
mod parts;
mod split;
mod validate;

use std::fs;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use imaging::{ImageKind, Known, Limits, Shape, Volume, decode};

use crate::weights::missing;

pub(crate) use digest::digest;
pub use digest::{version, version_of};
pub use export::export;
pub use import::{ConfirmedScan, Import, Imported, LeftOut, gather};
pub use part::Part;
pub use parts::{Drawn, Shares, parts_of, write_parts, write_parts_beside};
pub use split::Split;
pub use validate::{Validated, validate};

/// What a manifest is called in the folder of its data.
const MANIFEST: &str = "manifest.csv";

/// One slice of a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The place in its volume, from the manifest.
    pub slice: u32,
    /// The picture, below the manifest's folder.
    pub image: PathBuf,
    /// Its truth, a picture of the same size: labels, of which all but 0 are tumour.
    pub mask: PathBuf,
}

/// The slices of one patient, in slice order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Patient {
    /// As the manifest says it; unique within its source only.
    pub id: String,
    /// Sorted by their place, no place twice.
    pub slices: Vec<Entry>,
    /// The manifest's folder: what the data is called.
    pub source: String,
    /// The data's own fold, which must not be torn apart.
    pub fold: Option<String>,
    /// Where the patient was scanned.
    pub site: Option<String>,
    /// What kind of image the slices are, where that is known.
    pub kind: ImageKind,
    /// What the slices are for, where the data says so.
    pub part: Option<Part>,
}

/// A scan with the truth about it.
pub struct Labelled {
    /// The scan, as the decoder gives it.
    pub volume: Volume,
    /// 1 where there is tumour, else 0; the volume's order.
    pub truth: Vec<u8>,
}

impl Patient {
    /// What was scanned at once. Slices that are numbered from 1 without a gap are one volume; others come alone.
    pub fn scans(&self) -> Vec<&[Entry]> {
        match (1..).zip(&self.slices).all(|(number, entry)| entry.slice == number) {
            true => vec![&self.slices],
            false => self.slices.chunks(1).collect(),
        }
    }
}

impl Labelled {
    /// Reads the slices of one scan and their masks, in any format that [`decode`] reads. Errors name the file.
    pub fn load(scan: &[Entry]) -> Result<Labelled> {
        let mut whole: Option<Labelled> = None;
        for entry in scan {
            let (volume, mask) = pair(entry)?;
            let slice = Labelled { truth: truth(entry, &volume, &mask)?, volume };
            match &mut whole {
                None => whole = Some(slice),
                Some(whole) => whole.append(entry, slice)?,
            }
        }
        let whole =
            whole.ok_or_else(|| ErrorKind::Invalid.error("a scan has at least one slice"))?;
        // Of a scan as a whole: a slice at its end may be even by itself.
        if imaging::is_label_map(&whole.volume) {
            let first = scan[0].image.display();
            let message = format!("{first} is no image, but a mask");
            return Err(ErrorKind::Invalid.error(message));
        }
        Ok(whole)
    }

    fn append(&mut self, entry: &Entry, slice: Labelled) -> Result<()> {
        let Labelled { volume, truth } = slice;
        let shape = &mut self.volume.shape;
        if (shape.rows, shape.columns) != (volume.shape.rows, volume.shape.columns) {
            let message = format!("{} is not as large as the slices before", entry.image.display());
            return Err(ErrorKind::Invalid.error(message));
        }
        shape.slices += 1;
        let [black, white] = &mut self.volume.window;
        (*black, *white) = (black.min(volume.window[0]), white.max(volume.window[1]));
        self.volume.voxels.extend(volume.voxels);
        self.truth.extend(truth);
        Ok(())
    }

    /// The slice at `index`, as if it had come alone.
    pub fn alone(&self, index: usize) -> Labelled {
        let shape = self.volume.shape;
        let voxels = self.volume.slice(index).to_vec();
        let truth = self.truth[index * shape.slice_len()..][..shape.slice_len()].to_vec();
        Labelled {
            volume: Volume { shape: Shape { slices: 1, ..shape }, voxels, ..self.volume.clone() },
            truth,
        }
    }
}

/// The image of a slice, and its mask as the image is shown.
fn pair(entry: &Entry) -> Result<(Volume, Volume)> {
    let image = single(&entry.image)?;
    let mask = beside(&image, single(&entry.mask)?);
    Ok((image, mask))
}

/// What the mask says of each voxel of its image: 1 where there is tumour.
fn truth(entry: &Entry, image: &Volume, mask: &Volume) -> Result<Vec<u8>> {
    if mask.shape != image.shape {
        let message = format!("{} is not as large as its image", entry.mask.display());
        return Err(ErrorKind::Invalid.error(message));
    }
    // A reader's outline may end in a slice with one voxel of it, which looks like no shape.
    imaging::marked(mask).ok_or_else(|| {
        let message = format!("{} is no mask, but an image", entry.mask.display());
        ErrorKind::Invalid.error(message)
    })
}

/// A mask as its image is shown. One that does not say which way the patient lies is drawn in the grid that the image's file
/// stores.
fn beside(image: &Volume, mask: Volume) -> Volume {
    let own_shape = image.own_grid().0;
    if says_which_way(&mask) || mask.shape != own_shape {
        return mask;
    }
    let voxels = image.stored.turned(&mask.voxels, own_shape);
    let geometry = mask.geometry.map(|grid| image.stored.geometry(&grid, own_shape));
    Volume { shape: image.shape, voxels, geometry, ..mask }
}

/// Whether the file says which way the patient lies: then it was turned as radiologists look at him.
fn says_which_way(volume: &Volume) -> bool {
    volume.geometry.is_some_and(|grid| grid.known >= Known::Directions)
}

/// The file of a manifest that is named itself, or by the folder that it lies in.
pub(crate) fn manifest_of(path: &Path) -> PathBuf {
    let within = path.join(MANIFEST);
    if within.is_file() { within } else { path.to_owned() }
}

fn single(path: &Path) -> Result<Volume> {
    let bytes = fs::read(path).map_err(|error| missing(path, error))?;
    let decoded = decode(&bytes, &Limits::default()).map_err(|refusal| {
        ErrorKind::Invalid.error(format!("cannot decode {}: {refusal}", path.display()))
    })?;
    match decoded.volume.shape.slices {
        1 => Ok(decoded.volume),
        slices => {
            let message = format!("{} holds {slices} slices in place of one", path.display());
            Err(ErrorKind::Invalid.error(message))
        }
    }
}

/// Reads a `manifest.csv` (RFC 4180): a header with at least `patient,slice,image,mask` and perhaps `fold`, `site`, `kind`
/// and `part`, then one line per slice, paths relative to the manifest. Without a site, a TCGA barcode's tells it. The kind of
/// image stands in a column `kind` (`flair`, `t1_contrast`), else in the name of the manifest's folder. Patients come
/// sorted by id. `NotFound` names a file that is missing, `Invalid` the line and the column that are wrong.
///
/// A folder in place of a manifest is read by the one in it, else by its files' names: images with a mask beside each.
pub fn read(manifest: &Path) -> Result<Vec<Patient>> {
    let within = manifest.join(MANIFEST);
    let mut patients = match (manifest.is_dir(), within.is_file()) {
        (false, _) => manifest::read(manifest)?,
        (true, true) => manifest::read(&within)?,
        (true, false) => return folder::read(manifest),
    };
    patients.iter_mut().for_each(|patient| patient.slices.sort_by_key(|entry| entry.slice));
    Ok(patients)
}

/// What a folder's name says of the images in it, as in `lgg-flair` and `figshare-t1ce`.
fn kind_of_folder(name: &str) -> ImageKind {
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric()).map(|word| match word {
        "flair" => ImageKind::Flair,
        "t1ce" | "t1c" | "t1gd" => ImageKind::T1Contrast,
        _ => ImageKind::Unknown,
    });
    words.find(|kind| *kind != ImageKind::Unknown).unwrap_or_default()
}

/// The tissue source site in `TCGA-DU-7013` and the like.
fn barcode_site(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("TCGA")?.get(1..)?;
    rest.split(['-', '_']).next().filter(|site| site.len() == 2)
}

#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod tests;
