//! The files of a folder, and what their names say of patients and visits.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use domain::Result;

use super::{LeftOut, joined};
use crate::weights::missing;

const PICTURES: [&str; 6] = ["jpeg", "jpg", "png", "tif", "tiff", "webp"];
/// Words in names of folders that say when somebody was scanned, and not who.
const VISITS: [&str; 12] = [
    "visit",
    "ses",
    "session",
    "tp",
    "timepoint",
    "baseline",
    "followup",
    "fu",
    "pre",
    "post",
    "scan",
    "study",
];
/// Names of folders that say what lies in them, and not whose it is.
const CONTENTS: [&str; 12] = [
    "dicom", "dcm", "image", "images", "img", "series", "flair", "t1ce", "t1c", "t1gd", "mr",
    "anat",
];

/// Names below a folder, with `/` between those of folders, sorted; by what the files seem to be.
#[derive(Default)]
pub struct Files {
    root: PathBuf,
    pub dicom: Vec<String>,
    pub nifti: Vec<String>,
    pub pictures: Vec<String>,
    pub others: Vec<String>,
    /// What is not even looked at.
    pub left_out: Vec<LeftOut>,
}

impl Files {
    /// All files below `root`.
    pub fn below(root: &Path) -> Result<Files> {
        let mut files = Files { root: root.to_owned(), ..Files::default() };
        files.collect("")?;
        let lists = [&mut files.dicom, &mut files.nifti, &mut files.pictures, &mut files.others];
        lists.into_iter().for_each(|list| list.sort());
        Ok(files)
    }

    /// The bytes of a file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = joined(&self.root, name);
        fs::read(&path).map_err(|error| missing(&path, error))
    }

    fn collect(&mut self, below: &str) -> Result<()> {
        let folder = joined(&self.root, below);
        let unreadable = |error| missing(&folder, error);
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let file_name = entry.file_name();
            let shown = file_name.to_string_lossy();
            let name =
                if below.is_empty() { shown.to_string() } else { format!("{below}/{shown}") };
            // A link to a file is that file, as data under version control often lies; one to a folder may lead in circles.
            let is_file = fs::metadata(entry.path()).is_ok_and(|about| about.is_file());
            if file_name.to_str().is_none() {
                self.leave(name, "its name is not UTF-8");
            } else if shown.starts_with('.') {
                self.others.push(name);
            } else if entry.file_type().map_err(unreadable)?.is_dir() {
                self.collect(&name)?;
            } else if is_file {
                self.sort(name);
            } else {
                self.leave(name, "neither a file nor a folder");
            }
        }
        Ok(())
    }

    fn leave(&mut self, name: String, why: &str) {
        self.left_out.push(LeftOut { name, why: why.to_owned() });
    }

    fn sort(&mut self, name: String) {
        let lower = name.to_lowercase();
        let extension = lower.rsplit('.').next().unwrap_or_default();
        if lower.ends_with(".nii") || lower.ends_with(".nii.gz") {
            self.nifti.push(name);
        } else if PICTURES.contains(&extension) {
            self.pictures.push(name);
        } else if extension == "dcm" || self.says_dicom(&name) {
            self.dicom.push(name);
        } else {
            self.others.push(name);
        }
    }

    /// Scanners' own files often have no extension, and a mark behind a preamble of 128 bytes (PS3.10, 7.1).
    fn says_dicom(&self, name: &str) -> bool {
        let mut head = [0; 132];
        let file = fs::File::open(joined(&self.root, name));
        file.and_then(|mut file| file.read_exact(&mut head)).is_ok() && head.ends_with(b"DICM")
    }
}

/// The folder that a name lies in; empty for the root.
pub fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The name of a file, without the folders and the extension.
pub fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let file = file.strip_suffix(".gz").unwrap_or(file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// The last name of a place that says whose it is.
pub fn last(place: &str) -> Option<&str> {
    let mut names = place.split('/').filter(|name| !name.is_empty());
    names.rfind(|name| !is_word_of(name, &CONTENTS) && !is_word_of(name, &VISITS))
}

/// Who was scanned at a place, as far as names say: without those of visits, and without the number that BraTS gives each
/// of them (`BraTS-GLI-00005-100`).
pub fn person(place: &str) -> String {
    let names = place.split('/').filter(|name| !name.is_empty());
    let named = |name: &&str| !is_word_of(name, &VISITS) && !is_word_of(name, &CONTENTS);
    let mut names: Vec<&str> = names.filter(named).collect();
    let Some(last) = names.pop() else { return place.to_owned() };
    let visit = last.rsplit_once('-').filter(|(before, visit)| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = before.rsplit('-').next().unwrap_or_default();
        before.to_lowercase().starts_with("brats-") && is_number(visit) && is_number(number)
    });
    // BraTS names the folder and the files in it alike.
    let last = visit.map_or(last, |(before, _)| before);
    match visit {
        Some(_) => last.to_owned(),
        None => names.into_iter().chain([last]).collect::<Vec<_>>().join("/"),
    }
}

/// Whether a name is one of the words, with a number perhaps.
fn is_word_of(name: &str, words: &[&str]) -> bool {
    let name = name.to_lowercase();
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit() || "-_. ".contains(c));
    words.contains(&name.as_str()) || words.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_people_from_their_visits() {
        for (place, who, called) in [
            ("BraTS-GLI-00005-100/BraTS-GLI-00005-100", "BraTS-GLI-00005", "BraTS-GLI-00005-100"),
            ("all/BraTS-GLI-00005-101", "BraTS-GLI-00005", "BraTS-GLI-00005-101"),
            ("patient07/visit1/series3", "patient07", "patient07"),
            ("patient07/dicom", "patient07", "patient07"),
            ("BraTS19_CBICA_AAB_1", "BraTS19_CBICA_AAB_1", "BraTS19_CBICA_AAB_1"),
            ("sub-01/ses-2/anat", "sub-01", "sub-01"),
        ] {
            assert_eq!((person(place).as_str(), last(place)), (who, Some(called)), "{place}");
        }
        assert_eq!(last("flair"), None);
    }

    #[test]
    fn files_are_sorted_by_what_they_seem_to_be() {
        let root = tempfile::tempdir().unwrap();
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM and more");
        for (name, bytes) in [
            ("a/1.png", &b""[..]),
            ("a/scan.nii.gz", b""),
            ("a/IM0001", &dicom),
            ("a/b/2.dcm", b""),
            ("a/notes.txt", b"DICM"),
            (".hidden", b""),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        std::os::unix::fs::symlink(root.path(), root.path().join("a/circle")).unwrap();
        let files = Files::below(root.path()).unwrap();
        assert_eq!(files.dicom, ["a/IM0001", "a/b/2.dcm"]);
        assert_eq!(
            (files.nifti, files.pictures),
            (vec!["a/scan.nii.gz".to_owned()], vec!["a/1.png".to_owned()])
        );
        assert_eq!(files.others, [".hidden", "a/notes.txt"]);
        let [circle] = files.left_out.try_into().unwrap();
        assert_eq!(
            (circle.name.as_str(), circle.why.as_str()),
            ("a/circle", "neither a file nor a folder")
        );
    }
}
