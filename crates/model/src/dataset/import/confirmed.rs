//! Scans that readers have confirmed: a NIfTI file each, and one of the mask, with what is known of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use domain::Result;
use imaging::{ImageKind, Volume};

use super::volume::Fitting;
use super::{Import, Imported, Importing, flat};
use crate::dataset::digest::digest_of_pixels;
use crate::weights::missing;

/// A scan with the mask that is true of it.
#[derive(Clone, Debug)]
pub struct ConfirmedScan {
    /// What it is called in the data set; no two are called the same.
    pub id: String,
    /// Whose it is: scans of one patient stay together.
    pub patient: String,
    /// What kind of image it is.
    pub kind: ImageKind,
    /// Whether the head has a tumour.
    pub has_tumour: bool,
    /// The file of the image.
    pub image: PathBuf,
    /// The file of the mask, on the image's grid.
    pub mask: PathBuf,
}

/// Writes these scans as a data set into `out`, a folder that is empty or not there. A scan is a patient of the manifest, and those
/// of one person have one fold. Of scans with the same pixels the first is taken: one that was sent twice, or for two people, must
/// not be on two sides of a split. What is not taken is told with its reason.
///
/// `Invalid` where nothing at all could be taken.
pub fn gather(scans: &[ConfirmedScan], out: &Path) -> Result<Imported> {
    let import = Import { source: out.to_owned(), out: out.to_owned(), sequence: None };
    let (mut importing, mut taken) = (Importing::begin(&import)?, HashMap::new());
    for scan in scans {
        let (volume, truth) = match scan.read()? {
            Ok(labelled) => labelled,
            Err(why) => {
                importing.leave_out(&scan.id, why);
                continue;
            }
        };
        match taken.entry(digest_of_pixels(&volume)) {
            Entry::Occupied(first) => {
                let why = format!("it has the same pixels as another scan: {}", first.get());
                importing.leave_out(&scan.id, why);
            }
            Entry::Vacant(place) => {
                place.insert(&scan.id);
                importing.take(scan, &volume, &truth)?;
            }
        }
    }
    importing.finish()
}

impl Importing<'_> {
    fn take(&mut self, scan: &ConfirmedScan, volume: &Volume, truth: &[u8]) -> Result<()> {
        if self.people.insert(scan.id.clone(), scan.patient.clone()).is_some() {
            self.leave_out(&scan.id, "another scan is called so, too");
            return Ok(());
        }
        let patient = self.called(scan.id.clone(), scan.kind);
        self.add_volume(&scan.id, &patient, volume, truth)
    }
}

impl ConfirmedScan {
    /// The image and what is true of it, or why it cannot be learned from.
    fn read(&self) -> Result<Fitting<(Volume, Vec<u8>)>> {
        let [image, mask] = [read(&self.image)?, read(&self.mask)?];
        Ok(self.fitting(&image, &mask))
    }

    fn fitting(&self, image: &[u8], mask: &[u8]) -> Fitting<(Volume, Vec<u8>)> {
        let (volume, truth) = flat::labelled(image, mask)?;
        if truth.contains(&1) != self.has_tumour {
            let said = if self.has_tumour { "a tumour" } else { "no tumour" };
            return Err(format!("its readers say that there is {said}, and its mask does not"));
        }
        Ok((volume, truth))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| missing(path, error))
}

#[cfg(test)]
mod tests {
    use domain::ErrorKind;
    use imaging::Shape;
    use imaging::encode::nifti_gz;
    use imaging::phantom::{Phantom, Settings};

    use super::*;
    use crate::dataset;

    /// A scan of three slices, its files in `folder`.
    fn scan(folder: &Path, id: &str, patient: &str, seed: u64, has_tumour: bool) -> ConfirmedScan {
        let shape = Shape { slices: 3, rows: 64, columns: 64 };
        let settings = Settings { shape, tumour: false, ..Settings::slice(seed) };
        let phantom = Phantom::new(&settings).unwrap();
        let Volume { shape, voxels, geometry, .. } = phantom.volume;
        let mut marked = vec![0_u8; voxels.len()];
        if has_tumour {
            marked[shape.slice_len() + 64 * 20 + 20..][..9].fill(1);
        }
        let [image, mask] =
            ["image", "mask"].map(|what| folder.join(format!("{id}-{what}.nii.gz")));
        fs::write(&image, nifti_gz(&voxels, shape, geometry.as_ref()).unwrap()).unwrap();
        fs::write(&mask, nifti_gz(&marked, shape, geometry.as_ref()).unwrap()).unwrap();
        let (id, patient) = (id.to_owned(), patient.to_owned());
        ConfirmedScan { id, patient, kind: ImageKind::Flair, has_tumour, image, mask }
    }

    #[test]
    fn scans_of_one_patient_stay_together_and_each_slice_has_its_truth() {
        let folder = tempfile::tempdir().unwrap();
        let scans = [
            scan(folder.path(), "s1", "one", 1, true),
            scan(folder.path(), "s2", "one", 2, false),
            scan(folder.path(), "s3", "other", 3, true),
        ];
        let out = folder.path().join("out");
        let imported = gather(&scans, &out).unwrap();
        assert_eq!((imported.patients, imported.slices), (3, 9), "{imported:?}");
        assert!(imported.left_out.is_empty());
        let patients = dataset::read(&out).unwrap();
        let folds: Vec<_> = patients.iter().map(|it| (&*it.id, it.fold.as_deref())).collect();
        assert_eq!(folds, [("s1", Some("s1")), ("s2", Some("s1")), ("s3", None)]);
        assert!(patients.iter().all(|patient| patient.kind == ImageKind::Flair));
        let marked = |patient: &dataset::Patient| {
            let labelled = dataset::Labelled::load(&patient.slices).unwrap();
            labelled.truth.iter().map(|voxel| usize::from(*voxel)).sum::<usize>()
        };
        assert_eq!(patients.iter().map(marked).collect::<Vec<_>>(), [9, 0, 9]);
        assert_eq!(dataset::validate(&out).unwrap().faults, [""; 0]);
    }

    /// The scan of a picture, each value of it so many times as large.
    fn picture(folder: &Path, id: &str, seed: u64, times: f32) -> (ConfirmedScan, Volume, Vec<u8>) {
        let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(seed)).unwrap();
        let png = imaging::slice_png(&volume, 0).unwrap();
        let mut shown = imaging::decode(&png, &imaging::Limits::default()).unwrap().volume;
        shown.voxels.iter_mut().for_each(|voxel| *voxel *= times);
        let [image, mask] =
            ["image", "mask"].map(|what| folder.join(format!("{id}-{what}.nii.gz")));
        fs::write(&image, nifti_gz(&shown.voxels, shown.shape, None).unwrap()).unwrap();
        fs::write(&mask, nifti_gz(&truth, shown.shape, None).unwrap()).unwrap();
        let (patient, kind) = (id.to_owned(), ImageKind::Flair);
        let scan =
            ConfirmedScan { id: id.to_owned(), patient, kind, has_tumour: true, image, mask };
        (scan, shown, truth)
    }

    #[test]
    fn pictures_that_say_nothing_of_how_the_patient_lies_are_taken_pixel_by_pixel() {
        let folder = tempfile::tempdir().unwrap();
        let pictures =
            [("s1", 1.0), ("s2", 16.0)].map(|(id, times)| picture(folder.path(), id, 5, times));
        let (below_nought, ..) = picture(folder.path(), "s3", 5, -1.0);
        let mut scans: Vec<_> = pictures.iter().map(|(scan, ..)| scan.clone()).collect();
        scans.push(below_nought);
        let out = folder.path().join("out");
        let imported = gather(&scans, &out).unwrap();
        let [left_out] = &imported.left_out[..] else { panic!("{imported:?}") };
        assert!(left_out.name == "s3" && left_out.why.contains("is no picture"), "{left_out:?}");
        let patients = dataset::read(&out).unwrap();
        assert_eq!((patients.len(), imported.slices), (2, 2));
        for (patient, (_, shown, truth)) in patients.iter().zip(&pictures) {
            let labelled = dataset::Labelled::load(&patient.slices).unwrap();
            assert_eq!((labelled.volume.shape, labelled.volume.geometry), (shown.shape, None));
            assert!(labelled.volume.voxels == shown.voxels && labelled.truth == *truth);
        }
        assert_eq!(dataset::validate(&out).unwrap().faults, [""; 0]);
    }

    #[test]
    fn a_scan_that_was_sent_twice_is_learned_from_once() {
        let folder = tempfile::tempdir().unwrap();
        let scans = [("s1", "one"), ("s2", "one"), ("s3", "other")]
            .map(|(id, patient)| scan(folder.path(), id, patient, 1, true));
        let imported = gather(&scans, &folder.path().join("out")).unwrap();
        let left_out = imported.left_out.iter().map(|it| (&*it.name, &*it.why));
        let why = "it has the same pixels as another scan: s1";
        assert_eq!(left_out.collect::<Vec<_>>(), [("s2", why), ("s3", why)]);
        assert_eq!((imported.patients, imported.slices), (1, 3));
    }

    #[test]
    fn a_mask_that_contradicts_its_readers_is_left_out_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let good = scan(folder.path(), "s1", "one", 1, true);
        let empty = scan(folder.path(), "s2", "two", 2, false);
        let marked = scan(folder.path(), "s3", "three", 3, true);
        let broken = scan(folder.path(), "s4", "four", 4, true);
        fs::write(&broken.mask, "half of a fi").unwrap();
        let scans = [
            good,
            ConfirmedScan { has_tumour: true, ..empty },
            ConfirmedScan { has_tumour: false, ..marked },
            broken,
        ];
        let imported = gather(&scans, &folder.path().join("out")).unwrap();
        let names: Vec<&str> = imported.left_out.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((imported.patients, names), (1, vec!["s2", "s3", "s4"]));
        assert!(imported.left_out[0].why.contains("a tumour, and its mask does not"));
        let none = gather(&scans[1..], &folder.path().join("none")).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Invalid);
    }
}
