//! A folder of images with a mask beside each, as research data comes: `case/case_7.tif` and `case/case_7_mask.tif`, or
//! `images/7.png` and `masks/7.png`. What names mean, `imaging::names` says, for uploads and for this alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use domain::{ErrorKind, Result};
use imaging::names::{says_mask, twin};

use super::{Entry, Patient, barcode_site, kind_of_folder};
use crate::weights::missing;

const EXTENSIONS: [&str; 7] = ["dcm", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// The patients of the folder: images whose names differ in their last number are of one.
pub(super) fn read(root: &Path) -> Result<Vec<Patient>> {
    let mut names = Vec::new();
    collect(root, "", &mut names)?;
    let (masks, images): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| says_mask(name));
    let mut mask_of = BTreeMap::<String, String>::new();
    for mask in masks {
        if let Some(other) = mask_of.insert(twin(&mask), mask.clone()) {
            return Err(invalid(root, &format!("{other} and {mask} are masks of one image")));
        }
    }
    let source = root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let mut patients = BTreeMap::<String, Patient>::new();
    let mut folder_of = BTreeMap::<String, &str>::new();
    for image in &images {
        let mask = mask_of
            .get(&twin(image))
            .ok_or_else(|| invalid(root, &format!("no mask beside {image}")))?;
        let (id, folder) = (id(image), image.rsplit_once('/').map_or("", |(folder, _)| folder));
        // Slices that are numbers and nothing else, in no folder of their own.
        let id = if id.is_empty() { source.clone() } else { id };
        if *folder_of.entry(id.clone()).or_insert(folder) != folder {
            return Err(invalid(root, &format!("two folders have images of {id}")));
        }
        let slice = number(image).unwrap_or(1);
        let entry = Entry { slice, image: root.join(image), mask: root.join(mask) };
        let patient = patients.entry(id.clone()).or_insert_with(|| Patient {
            site: barcode_site(&id).map(str::to_owned),
            id,
            source: source.clone(),
            kind: kind_of_folder(&source),
            ..Patient::default()
        });
        patient.slices.push(entry);
    }
    if patients.is_empty() {
        return Err(invalid(root, "no images with masks"));
    }
    let mut patients: Vec<Patient> = patients.into_values().collect();
    patients.iter_mut().for_each(|patient| patient.slices.sort_by_key(|entry| entry.slice));
    Ok(patients)
}

/// The images below `root`, by their paths from it.
fn collect(root: &Path, below: &str, names: &mut Vec<String>) -> Result<()> {
    let folder = root.join(below);
    let unreadable = |error| missing(&folder, error);
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        let extension = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        if entry.file_type().map_err(unreadable)?.is_dir() {
            collect(root, &name, names)?;
        } else if EXTENSIONS.contains(&extension.as_str()) {
            names.push(name);
        }
    }
    Ok(())
}

/// What the patient of an image is called: the name without its counter, or the folder's where nothing is left of it.
pub(super) fn id(image: &str) -> String {
    let (folder, stem) = stem(image);
    let id = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let id = id.trim_end_matches(|c: char| !c.is_alphanumeric());
    if !id.is_empty() && id != stem { id.to_owned() } else { folder.to_owned() }
}

/// The number at the end of its name.
pub(super) fn number(image: &str) -> Option<u32> {
    let (_, stem) = stem(image);
    let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    stem[stem.len() - digits..].parse().ok()
}

/// The last folder's name and the file's, without its extension.
fn stem(image: &str) -> (&str, &str) {
    let (folders, file) = image.rsplit_once('/').unwrap_or(("", image));
    let folder = folders.rsplit('/').next().unwrap_or_default();
    (folder, file.rsplit_once('.').map_or(file, |(stem, _)| stem))
}

fn invalid(root: &Path, what: &str) -> domain::Error {
    ErrorKind::Invalid.error(format!("{}: {what}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    /// A slice: its number, its image and its mask.
    type Slice = (u32, String, String);

    fn patients(files: &[&str]) -> Result<Vec<(String, Vec<Slice>)>> {
        let folder = folder(files);
        let below =
            |path: &Path| path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned();
        let slice = |e: &Entry| (e.slice, below(&e.image), below(&e.mask));
        let patients = read(folder.path())?.into_iter();
        Ok(patients.map(|p| (p.id.clone(), p.slices.iter().map(slice).collect())).collect())
    }

    #[test]
    fn each_image_gets_the_mask_beside_it() {
        let public = [
            "README.txt",
            "T_CS_1_1996/T_CS_1_1996_10.tif",
            "T_CS_1_1996/T_CS_1_1996_10_mask.tif",
            "T_CS_1_1996/T_CS_1_1996_9.tif",
            "T_CS_1_1996/T_CS_1_1996_9_mask.tif",
            "T_CS_2_1997/T_CS_2_1997_1.tif",
            "T_CS_2_1997/T_CS_2_1997_1_mask.tif",
        ];
        let read = patients(&public).unwrap();
        let ids: Vec<_> = read.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["T_CS_1_1996", "T_CS_2_1997"]);
        let [(9, image, mask), (10, ..)] = &*read[0].1 else { panic!("{read:?}") };
        assert_eq!(image, "T_CS_1_1996/T_CS_1_1996_9.tif");
        assert_eq!(mask, "T_CS_1_1996/T_CS_1_1996_9_mask.tif");
        let apart =
            patients(&["images/a_1.png", "masks/a_1.png", "images/b_1.png", "masks/b_1.png"]);
        let ids: Vec<_> = apart.unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["a", "b"]);
        let numbers = patients(&["p/001.png", "p/001_mask.png"]).unwrap();
        assert_eq!(numbers[0].0, "p");
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named() {
        let why = |files: &[&str]| patients(files).unwrap_err().to_string();
        assert!(why(&["p/1.png", "p/1_mask.png", "p/2.png"]).contains("no mask beside p/2.png"));
        assert!(why(&["1.png", "1_mask.png", "1_seg.png"]).contains("are masks of one image"));
        assert!(why(&["notes.txt"]).contains("no images with masks"));
    }

    #[test]
    fn a_folders_name_and_a_barcode_say_what_and_where_it_was_scanned() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tcga-flair");
        fs::create_dir(&root).unwrap();
        for name in ["TCGA_DU_7013_2", "TCGA_DU_7013_1"] {
            fs::write(root.join(format!("{name}.tif")), "").unwrap();
            fs::write(root.join(format!("{name}_mask.tif")), "").unwrap();
        }
        let [patient] = read(&root).unwrap().try_into().unwrap();
        assert_eq!((patient.id.as_str(), patient.source.as_str()), ("TCGA_DU_7013", "tcga-flair"));
        assert_eq!((patient.site.as_deref(), patient.fold.as_deref()), (Some("DU"), None));
        assert_eq!(patient.kind, imaging::ImageKind::Flair);
        assert_eq!(patient.scans()[0].len(), 2, "numbered from 1 on, they are one volume");
    }

    #[test]
    fn images_of_one_name_in_two_folders_are_refused() {
        let files = ["a/x_1.png", "a/x_1_mask.png", "b/x_2.png", "b/x_2_mask.png"];
        let why = patients(&files).unwrap_err().to_string();
        assert!(why.contains("two folders have images of x"), "{why}");
    }

    #[test]
    fn slices_that_are_numbers_and_nothing_else_are_of_one_patient() {
        let folder = folder(&["2.png", "2_mask.png", "10.png", "10_mask.png", ".3.png", "3.txt"]);
        let [patient] = read(folder.path()).unwrap().try_into().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy();
        assert_eq!(patient.id, name);
        let numbers: Vec<u32> = patient.slices.iter().map(|entry| entry.slice).collect();
        assert_eq!(numbers, [2, 10]);
    }
}
