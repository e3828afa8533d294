use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use imaging::{Limits, Volume, decode};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// One slice of a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The place in its volume, from the manifest.
    pub slice: u32,
    pub image: PathBuf,
    pub mask: PathBuf,
}

/// The slices of one patient, in slice order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Patient {
    pub id: String,
    pub slices: Vec<Entry>,
}

/// Patients to learn from and patients to be judged by; no patient is on both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Split {
    pub training: Vec<Patient>,
    pub validation: Vec<Patient>,
}

/// A slice with the truth about it.
pub struct Labelled {
    /// Of one slice.
    pub volume: Volume,
    /// 1 where there is tumour, else 0; the volume's order.
    pub truth: Vec<u8>,
}

impl Entry {
    /// Reads the slice and its mask, in any format that [`decode`] reads. Errors name the file.
    pub fn load(&self) -> Result<Labelled> {
        let volume = single(&self.image)?;
        let mask = single(&self.mask)?;
        if mask.shape != volume.shape {
            let message = format!("{} is not as large as its image", self.mask.display());
            return Err(ErrorKind::Invalid.error(message));
        }
        let truth = mask.voxels.iter().map(|value| u8::from(*value > 0.0)).collect();
        Ok(Labelled { volume, truth })
    }
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

const COLUMNS: [&str; 4] = ["patient", "slice", "image", "mask"];

/// Reads a `manifest.csv`: a header with at least `patient,slice,image,mask`, then one line per slice,
/// paths relative to the manifest. Patients come sorted by id. `NotFound` names a file that is missing.
pub fn read(manifest: &Path) -> Result<Vec<Patient>> {
    let text = fs::read_to_string(manifest).map_err(|error| {
        ErrorKind::NotFound.error(format!("cannot read {}", manifest.display())).because(error)
    })?;
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    let column = |name: &str| {
        header.iter().position(|title| *title == name).ok_or_else(|| {
            ErrorKind::Invalid.error(format!("{} has no column {name}", manifest.display()))
        })
    };
    let [patient, slice, image, mask] =
        [column(COLUMNS[0])?, column(COLUMNS[1])?, column(COLUMNS[2])?, column(COLUMNS[3])?];
    let mut patients = BTreeMap::<String, Vec<Entry>>::new();
    for (number, line) in (2..).zip(lines).filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let bad = |what: &str| {
            ErrorKind::Invalid.error(format!("{} line {number}: {what}", manifest.display()))
        };
        let cell = |at: usize| cells.get(at).copied().ok_or_else(|| bad("too few columns"));
        let slice = cell(slice)?.parse().map_err(|_| bad("slice is not a number"))?;
        let entry =
            Entry { slice, image: folder.join(cell(image)?), mask: folder.join(cell(mask)?) };
        for file in [&entry.image, &entry.mask] {
            if !file.is_file() {
                return Err(ErrorKind::NotFound.error(format!("no file {}", file.display())));
            }
        }
        patients.entry(cell(patient)?.to_owned()).or_default().push(entry);
    }
    let sorted = patients.into_iter().map(|(id, mut slices)| {
        slices.sort_by_key(|entry| entry.slice);
        Patient { id, slices }
    });
    Ok(sorted.collect())
}

impl Split {
    /// Draws about `part` of the patients (at least one) for validation; the same seed draws the same ones.
    pub fn draw(mut patients: Vec<Patient>, part: f64, seed: u64) -> Result<Split> {
        if patients.len() < 2 {
            return Err(ErrorKind::Invalid.error("a split needs at least two patients"));
        }
        patients.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let count = (patients.len() as f64 * part).round() as usize;
        let training = patients.split_off(count.clamp(1, patients.len() - 1));
        Split { training, validation: patients }.checked()
    }

    /// This split, unless a patient or a file is on both sides.
    pub fn checked(self) -> Result<Split> {
        for patient in &self.validation {
            if self.training.iter().any(|other| other.id == patient.id) {
                let message = format!("patient {} is in training and in validation", patient.id);
                return Err(ErrorKind::Invalid.error(message));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(id: &str) -> Patient {
        Patient { id: id.into(), slices: vec![] }
    }

    /// A folder with two files and a manifest of these lines.
    fn folder(lines: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::write(folder.path().join("manifest.csv"), lines).unwrap();
        folder
    }

    fn refusal(lines: &str) -> String {
        read(&folder(lines).path().join("manifest.csv")).unwrap_err().to_string()
    }

    #[test]
    fn columns_are_found_by_name_and_slices_sorted_by_number() {
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
    fn what_is_missing_is_named() {
        assert!(refusal("patient,slice,image\n").contains("no column mask"));
        assert!(refusal("patient,slice,image,mask\np,1,a.png,gone.png\n").contains("gone.png"));
        assert!(refusal("patient,slice,image,mask\np,one,a.png,b.png\n").contains("line 2: slice"));
        assert!(refusal("patient,slice,image,mask\np,1,a.png\n").contains("line 2: too few"));
        assert!(
            read(Path::new("/nowhere/m.csv")).unwrap_err().to_string().contains("/nowhere/m.csv")
        );
    }

    #[test]
    fn a_split_keeps_patients_apart_and_a_seed_draws_it_again() {
        let patients: Vec<Patient> = (0..20).map(|i| patient(&i.to_string())).collect();
        let split = Split::draw(patients.clone(), 0.2, 7).unwrap();
        assert_eq!((split.training.len(), split.validation.len()), (16, 4));
        assert!(split.validation.iter().all(|patient| !split.training.contains(patient)));
        assert_eq!(split, Split::draw(patients.clone(), 0.2, 7).unwrap());
        assert_ne!(split, Split::draw(patients, 0.2, 8).unwrap());
    }

    #[test]
    fn a_patient_on_both_sides_is_refused_by_name() {
        let split =
            Split { training: vec![patient("a"), patient("b")], validation: vec![patient("b")] };
        assert!(split.checked().unwrap_err().to_string().contains("patient b"));
        assert!(Split::draw(vec![patient("a"), patient("a")], 0.5, 1).is_err());
        assert!(Split::draw(vec![patient("a")], 0.5, 1).is_err());
    }
}
