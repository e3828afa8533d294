use std::fs;
use std::path::{Path, PathBuf};

use domain::{Result, hex};
use imaging::Volume;
use sha2::{Digest, Sha256};

use super::Patient;
use crate::weights::missing;

/// The SHA-256 of a file, in hex.
pub fn digest(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| missing(path, error))?;
    Ok(digest_of(&bytes))
}

/// The SHA-256 of bytes, in hex.
pub fn digest_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of an image's shape and voxels: whoever has the same pixels has the same.
pub fn digest_of_pixels(image: &Volume) -> [u8; 32] {
    let mut pixels = Sha256::new();
    pixels.update(format!("{:?}", image.shape));
    image.voxels.iter().for_each(|voxel| pixels.update(voxel.to_le_bytes()));
    pixels.finalize().into()
}

/// Names the data that is learned from and measured on: a SHA-256 over the digests of all files, each with its patient, its
/// place in the volume, its part and its kind of image.
///
/// Where the files lie, what they are called and in which order they stand does not matter; what is in them is read, and not
/// believed of a column.
pub fn version(patients: &[Patient]) -> Result<String> {
    let mut lines = Vec::new();
    for patient in patients {
        let part = patient.part.map(|part| part.name());
        for entry in &patient.slices {
            let files = [digest(&entry.image)?, digest(&entry.mask)?];
            // As JSON, because an id may hold any sign that could stand between two of them.
            let line = (&patient.id, entry.slice, part, patient.kind.name(), files);
            lines.push(serde_json::to_string(&line).expect("a line is plain data"));
        }
    }
    lines.sort_unstable();
    Ok(digest_of(lines.join("\n").as_bytes()))
}

/// The [`version`] of the data of these manifests together: what a model learns from them.
pub fn version_of(manifests: &[PathBuf]) -> Result<String> {
    let all: Result<Vec<Vec<Patient>>> =
        manifests.iter().map(|manifest| super::read(manifest)).collect();
    version(&all?.concat())
}

#[cfg(test)]
mod tests {
    use imaging::ImageKind;

    use super::*;
    use crate::dataset::{Entry, Part};

    /// A patient whose slices have these numbers; what is in a file is its number.
    fn patient(folder: &Path, id: &str, numbers: &[u32]) -> Patient {
        let slices = numbers.iter().map(|number| {
            let [image, mask] = ["image", "mask"].map(|what| {
                let path = folder.join(format!("{id}-{number}-{what}"));
                fs::write(&path, format!("{number} {what}")).unwrap();
                path
            });
            Entry { slice: *number, image, mask }
        });
        Patient { id: id.into(), slices: slices.collect(), ..Patient::default() }
    }

    #[test]
    fn a_version_is_the_same_wherever_and_in_whatever_order_the_files_lie() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let here = [patient(one.path(), "a", &[1, 2]), patient(one.path(), "b", &[1])];
        let there = [patient(other.path(), "b", &[1]), patient(other.path(), "a", &[2, 1])];
        assert_eq!(version(&here).unwrap(), version(&there).unwrap());
        assert_eq!(version(&here).unwrap().len(), 64);
    }

    #[test]
    fn another_byte_patient_place_part_or_kind_is_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let before = patient(folder.path(), "a", &[1, 2]);
        let mut moved = before.clone();
        moved.slices[1].slice = 3;
        let others = [
            Patient { id: "b".into(), ..before.clone() },
            Patient { part: Some(Part::Test), ..before.clone() },
            Patient { kind: ImageKind::Flair, ..before.clone() },
            moved,
        ];
        let first = version(std::slice::from_ref(&before)).unwrap();
        for other in others {
            assert_ne!(version(std::slice::from_ref(&other)).unwrap(), first, "{other:?}");
        }
        fs::write(&before.slices[0].mask, "1 mast").unwrap();
        assert_ne!(version(&[before]).unwrap(), first);
    }
}
