//! A data set that is being written: files in a folder for each patient, and at last the manifest that names them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use csv::Writer;
use domain::{ErrorKind, Result};
use imaging::ImageKind;
use serde::Serialize;

use super::digest::digest_of;
use super::{MANIFEST, Patient};
use crate::weights::replace;

/// A file as it is written.
pub struct File {
    pub bytes: Vec<u8>,
    /// Of its name, without the first dot.
    pub extension: String,
}

/// One line of the manifest, its columns in their order.
#[derive(Serialize)]
struct Line {
    patient: String,
    slice: u32,
    image: String,
    mask: String,
    fold: Option<String>,
    site: Option<String>,
    kind: Option<&'static str>,
    part: Option<&'static str>,
    image_sha256: String,
    mask_sha256: String,
}

/// A folder without a manifest yet: whoever finds it like this knows that it is not whole.
pub struct Made {
    folder: PathBuf,
    lines: Vec<Line>,
    /// The folder of each patient.
    folders: HashMap<String, String>,
    names: BTreeSet<String>,
}

impl Made {
    /// Begins a data set in `folder`, which is made where it is missing. `Conflict` where anything lies there: it could be
    /// taken for a part of this one.
    pub fn begin(folder: &Path) -> Result<Made> {
        let unusable = |error| {
            ErrorKind::Unavailable.error(format!("cannot make {}", folder.display())).because(error)
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        if fs::read_dir(folder).map_err(unusable)?.next().is_some() {
            let message = format!("{} is not empty: name another folder", folder.display());
            return Err(ErrorKind::Conflict.error(message));
        }
        Ok(Made {
            folder: folder.to_owned(),
            lines: Vec::new(),
            folders: HashMap::new(),
            names: BTreeSet::new(),
        })
    }

    /// Writes a slice of `patient` with its mask.
    pub fn add(&mut self, patient: &Patient, slice: u32, image: &File, mask: &File) -> Result<()> {
        let below = self.folder_of(&patient.id);
        let number = self.free(|turn| match turn {
            1 => format!("{below}/{slice:04}"),
            turn => format!("{below}/{slice:04}-{turn}"),
        });
        let names = [("", image), ("_mask", mask)]
            .map(|(word, file)| format!("{number}{word}.{}", file.extension));
        for (name, file) in names.iter().zip([image, mask]) {
            self.write(name, &file.bytes)?;
        }
        let [image_name, mask_name] = names;
        self.lines.push(Line {
            patient: patient.id.clone(),
            slice,
            image: image_name,
            mask: mask_name,
            fold: patient.fold.clone(),
            site: patient.site.clone(),
            kind: (patient.kind != ImageKind::Unknown).then(|| patient.kind.name()),
            part: patient.part.map(|part| part.name()),
            image_sha256: digest_of(&image.bytes),
            mask_sha256: digest_of(&mask.bytes),
        });
        Ok(())
    }

    /// How many slices there are.
    pub fn slices(&self) -> usize {
        self.lines.len()
    }

    /// How many patients there are.
    pub fn patients(&self) -> usize {
        self.folders.len()
    }

    /// Says for patients which of them must not be torn apart.
    pub fn bind(&mut self, folds: &BTreeMap<String, String>) {
        for line in &mut self.lines {
            line.fold = folds.get(&line.patient).cloned();
        }
    }

    /// Writes the manifest, sorted by patient and slice; answers where it is.
    pub fn finish(mut self) -> Result<PathBuf> {
        self.lines.sort_by(|a, b| (&a.patient, a.slice).cmp(&(&b.patient, b.slice)));
        let unwritten =
            |error: csv::Error| ErrorKind::Internal.error("no manifest was written").because(error);
        let mut writer = Writer::from_writer(Vec::new());
        self.lines.iter().try_for_each(|line| writer.serialize(line)).map_err(unwritten)?;
        let bytes = writer.into_inner().map_err(|error| unwritten(error.into_error().into()))?;
        let manifest = self.folder.join(MANIFEST);
        replace(&manifest, &bytes)?;
        Ok(manifest)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes)).map_err(|error| {
            ErrorKind::Unavailable.error(format!("cannot write {}", path.display())).because(error)
        })
    }

    /// A patient's folder. An id is data: it must not choose one outside of the data set, nor another patient's.
    fn folder_of(&mut self, id: &str) -> String {
        if let Some(folder) = self.folders.get(id) {
            return folder.clone();
        }
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = id.replace("..", "__").chars().map(plain).collect();
        // No hidden folder, nor the one above.
        let name = match name.strip_prefix('.') {
            Some(rest) => format!("_{rest}"),
            None => name,
        };
        let folder = self.free(|turn| match turn {
            1 => name.clone(),
            turn => format!("{name}-{turn}"),
        });
        self.folders.insert(id.to_owned(), folder.clone());
        folder
    }

    /// The first of these names that nobody has, whatever file systems think of small and large letters.
    fn free(&mut self, name: impl Fn(usize) -> String) -> String {
        let mut turn = 1;
        while !self.names.insert(name(turn).to_lowercase()) {
            turn += 1;
        }
        name(turn)
    }
}

/// What stands behind the first dot of a file's name, as `nii.gz` does.
pub fn extension(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    match name.strip_suffix(".nii.gz") {
        Some(_) => "nii.gz".to_owned(),
        None => path.extension().unwrap_or_default().to_string_lossy().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Part, read};

    fn file(text: &str) -> File {
        File { bytes: text.into(), extension: "png".into() }
    }

    #[test]
    fn a_finished_folder_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("made");
        let mut made = Made::begin(&out).unwrap();
        let one = Patient {
            id: "p, 1".into(),
            fold: Some("f".into()),
            site: Some("here".into()),
            kind: ImageKind::Flair,
            part: Some(Part::Test),
            ..Patient::default()
        };
        for slice in [2, 1] {
            made.add(&one, slice, &file("image"), &file("mask")).unwrap();
        }
        assert!(!out.join(MANIFEST).is_file(), "unfinished, it has no manifest");
        made.finish().unwrap();
        let [patient] = read(&out).unwrap().try_into().unwrap();
        let numbers: Vec<u32> = patient.slices.iter().map(|entry| entry.slice).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(Patient { slices: Vec::new(), source: String::new(), ..patient }, one);
    }

    #[test]
    fn no_id_leaves_the_folder_or_takes_anothers_files() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("made");
        let mut made = Made::begin(&out).unwrap();
        for id in ["../../etc", "a/b", "a_b", "A_B", "."] {
            let patient = Patient { id: id.into(), ..Patient::default() };
            // Twice the same number: both are kept.
            for text in [id, "again"] {
                made.add(&patient, 1, &file(text), &file("mask")).unwrap();
            }
        }
        made.finish().unwrap();
        let patients = read(&out).unwrap();
        assert_eq!(patients.len(), 5);
        for patient in patients {
            let texts =
                patient.slices.iter().map(|entry| fs::read_to_string(&entry.image).unwrap());
            assert_eq!(texts.collect::<Vec<_>>(), [patient.id.clone(), "again".into()]);
            assert!(
                patient.slices.iter().all(|entry| !entry.image.to_string_lossy().contains(".."))
            );
        }
    }

    #[test]
    fn a_folder_in_which_something_lies_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("note"), "mine").unwrap();
        let refused = Made::begin(folder.path()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
    }
}
