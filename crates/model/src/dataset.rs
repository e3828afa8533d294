mod folder;
mod manifest;
mod split;

use std::fs;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use imaging::{ImageKind, Limits, Shape, Volume, decode};

pub use split::Split;

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
            let volume = single(&entry.image)?;
            let mask = beside(&volume, single(&entry.mask)?);
            if mask.shape != volume.shape {
                let message = format!("{} is not as large as its image", entry.mask.display());
                return Err(ErrorKind::Invalid.error(message));
            }
            let level = imaging::mask_level(&mask).ok_or_else(|| {
                let message = format!("{} is no mask, but an image", entry.mask.display());
                ErrorKind::Invalid.error(message)
            })?;
            let truth = mask.voxels.iter().map(|value| u8::from(*value > level));
            let Some(whole) = &mut whole else {
                whole = Some(Labelled { truth: truth.collect(), volume });
                continue;
            };
            let shape = &mut whole.volume.shape;
            if (shape.rows, shape.columns) != (volume.shape.rows, volume.shape.columns) {
                let message =
                    format!("{} is not as large as the slices before", entry.image.display());
                return Err(ErrorKind::Invalid.error(message));
            }
            shape.slices += 1;
            let [black, white] = &mut whole.volume.window;
            (*black, *white) = (black.min(volume.window[0]), white.max(volume.window[1]));
            whole.volume.voxels.extend(volume.voxels);
            whole.truth.extend(truth);
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

/// A mask as its image is shown. One that does not say where it lies is drawn in the grid that the image's file stores.
fn beside(image: &Volume, mask: Volume) -> Volume {
    let own_shape = image.own_grid().0;
    if mask.geometry.is_some() || mask.shape != own_shape {
        return mask;
    }
    let voxels = image.stored.turned(&mask.voxels, own_shape);
    Volume { shape: image.shape, voxels, ..mask }
}

fn single(path: &Path) -> Result<Volume> {
    let bytes = fs::read(path).map_err(|error| {
        ErrorKind::NotFound.error(format!("cannot read {}", path.display())).because(error)
    })?;
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

/// Reads a `manifest.csv` (RFC 4180): a header with at least `patient,slice,image,mask` and perhaps `fold`, `site` and
/// `kind`, then one line per slice, paths relative to the manifest. Without a site, a TCGA barcode's tells it. The kind of
/// image stands in a column `kind` (`flair`, `t1_contrast`), else in the name of the manifest's folder. Patients come
/// sorted by id. `NotFound` names a file that is missing, `Invalid` the line and the column that are wrong.
///
/// A folder in place of a manifest is read by the one in it, else by its files' names: images with a mask beside each.
pub fn read(manifest: &Path) -> Result<Vec<Patient>> {
    let within = manifest.join("manifest.csv");
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
mod tests {
    use imaging::encode::nifti;
    use imaging::phantom::{Phantom, Settings};
    use imaging::slice_png;

    use super::*;

    /// A folder with two files and a manifest of these lines.
    fn folder(lines: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::write(folder.path().join("manifest.csv"), lines).unwrap();
        folder
    }

    #[test]
    fn slices_are_sorted_by_number() {
        let folder = folder(
            "mask,extra,image,slice,patient\nb.png,x,a.png,10,p\nb.png,x,a.png,9,p\n\nb.png,,a.png,1,o\n",
        );
        let patients = read(&folder.path().join("manifest.csv")).unwrap();
        let seen: Vec<(&str, Vec<u32>)> = patients
            .iter()
            .map(|p| (p.id.as_str(), p.slices.iter().map(|s| s.slice).collect()))
            .collect();
        assert_eq!(seen, [("o", vec![1]), ("p", vec![9, 10])]);
        assert_eq!(patients[0].slices[0].image, folder.path().join("a.png"));
    }

    #[test]
    fn slices_numbered_without_a_gap_are_one_volume_and_others_come_alone() {
        let scans = |numbers: &str| {
            let line = |number: &str| format!("p,{number},a.png,b.png\n");
            let lines: String = numbers.split(' ').map(line).collect();
            let folder = folder(&format!("patient,slice,image,mask\n{lines}"));
            let patients = read(&folder.path().join("manifest.csv")).unwrap();
            patients[0].scans().iter().map(|scan| scan.len()).collect::<Vec<_>>()
        };
        assert_eq!(scans("2 1 3"), [3]);
        assert_eq!(
            (scans("2 3"), scans("1 3"), scans("1 1")),
            (vec![1, 1], vec![1, 1], vec![1, 1])
        );
    }

    #[test]
    fn a_volumes_slices_and_masks_are_as_large_as_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let png = |name: &str, side: u32, texture: u32, value: u8| {
            let path = folder.path().join(name);
            let pixel = |x, y| image::Luma([value + ((x * 7 + y * 13) % texture) as u8]);
            image::GrayImage::from_fn(side, side, pixel).save(&path).unwrap();
            path
        };
        let (a, b) = (png("a.png", 32, 41, 10), png("b.png", 32, 41, 200));
        let (large, mask) = (png("large.png", 48, 41, 10), png("mask.png", 32, 1, 255));
        let large_mask = png("large-mask.png", 48, 1, 255);
        let entry =
            |image: &Path, mask: &Path| Entry { slice: 1, image: image.into(), mask: mask.into() };
        let Labelled { volume, truth } =
            Labelled::load(&[entry(&a, &mask), entry(&b, &mask)]).unwrap();
        assert_eq!(
            (volume.shape.slices, volume.voxels[0], volume.voxels[32 * 32]),
            (2, 10.0, 200.0)
        );
        assert_eq!((truth.len(), truth.iter().all(|inside| *inside == 1)), (2 * 32 * 32, true));
        let refused = |scan: &[Entry]| Labelled::load(scan).err().unwrap().to_string();
        assert!(refused(&[entry(&a, &large)]).contains("large.png is not as large as its image"));
        let why = refused(&[entry(&a, &mask), entry(&large, &large_mask)]);
        assert!(why.contains("large.png is not as large as the slices before"), "{why}");
    }

    #[test]
    fn a_mask_lies_on_its_image_whatever_order_both_are_stored_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: Vec<u8>| {
            fs::write(folder.path().join(name), bytes).unwrap();
            folder.path().join(name)
        };
        let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(4)).unwrap();
        let voxels = truth.iter().map(|inside| f32::from(*inside)).collect();
        let mask = Volume { voxels, window: [0.0, 1.0], ..volume.clone() };
        for storage in ["LPS", "RAS", "PLS", "LIA"] {
            let nifti = |volume: &Volume| {
                let stored = volume.stored_as(storage).unwrap();
                nifti(&stored.voxels, stored.shape, stored.geometry.as_ref()).unwrap()
            };
            let (image, own) = (file("image.nii", nifti(&volume)), file("mask.nii", nifti(&mask)));
            let picture = slice_png(&mask.stored_as(storage).unwrap(), 0);
            let mut masks = vec![own];
            if storage != "LIA" {
                // A picture has no third axis to tell which way it was cut.
                masks.push(file("mask.png", picture.unwrap()));
            }
            for mask in masks {
                let entry = Entry { slice: 1, image: image.clone(), mask };
                let labelled = Labelled::load(&[entry]).unwrap();
                assert_eq!(labelled.truth, truth, "{storage}");
            }
        }
    }

    #[test]
    fn the_kind_of_image_stands_in_the_folders_name() {
        let named = ["lgg-flair", "figshare-t1ce", "T1Gd 2024", "reflairs"].map(kind_of_folder);
        let t1 = ImageKind::T1Contrast;
        assert_eq!(named, [ImageKind::Flair, t1, t1, ImageKind::Unknown]);
    }

    #[test]
    fn a_softened_mask_counts_from_half_and_an_image_is_no_mask() {
        let folder = tempfile::tempdir().unwrap();
        let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(3)).unwrap();
        let write = |name: &str, voxels: &[f32]| {
            let file = folder.path().join(name);
            let bytes = nifti(voxels, volume.shape, volume.geometry.as_ref()).unwrap();
            fs::write(&file, bytes).unwrap();
            file
        };
        let exact: Vec<f32> = truth.iter().map(|inside| f32::from(*inside)).collect();
        let columns = volume.shape.columns;
        // As resampling leaves it: each row's rim is a ramp of values.
        let soft = |at: usize| {
            let around = exact[at.saturating_sub(1)..(at + 2).min(exact.len())].iter();
            around.sum::<f32>() / 3.0 * (1.0 - (at % columns) as f32 * 1e-5)
        };
        let soft: Vec<f32> = (0..exact.len()).map(soft).collect();
        let image = write("image.nii", &volume.voxels);
        let labelled = |image: &Path, mask: PathBuf| {
            Labelled::load(&[Entry { slice: 1, image: image.to_owned(), mask }])
        };
        for mask in [&exact, &soft] {
            assert_eq!(labelled(&image, write("mask.nii", mask)).unwrap().truth, truth);
        }
        let why = labelled(&image, image.clone()).err().unwrap().to_string();
        assert!(why.contains("image.nii is no mask, but an image"), "{why}");
        let mask = write("mask.nii", &exact);
        let why = labelled(&mask, mask.clone()).err().unwrap().to_string();
        assert!(why.contains("mask.nii is no image, but a mask"), "{why}");
    }
}
