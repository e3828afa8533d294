//! Scans that readers have confirmed: a NIfTI file each, and one of the mask, with what is known of them.

use std::fs;
use std::path::{Path, PathBuf};

use domain::Result;
use imaging::{ImageKind, Volume};

use super::volume::{Fitting, labelled};
use super::{Import, Imported, Importing};
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
/// of one person have one fold. What is not taken is told with its reason.
///
/// `Invalid` where nothing at all could be taken.
pub fn gather(scans: &[ConfirmedScan], out: &Path) -> Result<Imported> {
    let import = Import { source: out.to_owned(), out: out.to_owned(), sequence: None };
    let mut importing = Importing::begin(&import)?;
    for scan in scans {
        match scan.read()? {
            Err(why) => importing.leave_out(&scan.id, why),
            Ok((volume, truth)) => importing.take(scan, &volume, &truth)?,
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
        let (volume, truth) = labelled(image, mask)?;
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
