use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};

use super::digest::digest_of;
use super::made::{File, Made, extension};
use super::manifest::Table;
use super::{Part, Patient, manifest_of, read};
use crate::weights::missing;

/// Copies a data set, or those parts of it, into a folder that needs nothing beside it, with the digests of all files. Answers
/// where its manifest is.
///
/// `Invalid` where a file is not the one that its line has the digest of: the copy would make it right.
pub fn export(manifest: &Path, out: &Path, parts: &[Part]) -> Result<PathBuf> {
    let patients = chosen(manifest, parts)?;
    let stated = stated(manifest)?;
    let mut made = Made::begin(out)?;
    for patient in &patients {
        for entry in &patient.slices {
            let [image, mask] = [&entry.image, &entry.mask].map(|path| copied(path, &stated));
            made.add(patient, entry.slice, &image?, &mask?)?;
        }
    }
    made.finish()
}

fn chosen(manifest: &Path, parts: &[Part]) -> Result<Vec<Patient>> {
    let patients = read(manifest)?;
    if parts.is_empty() {
        return Ok(patients);
    }
    let invalid =
        |what: String| Err(ErrorKind::Invalid.error(format!("{}: {what}", manifest.display())));
    if !Part::are_given(&patients)? {
        return invalid("no column part says who is in which: `dataset split` writes it".into());
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    let chosen: Vec<Patient> = parts.iter().flat_map(|part| part.of(&patients)).collect();
    if chosen.is_empty() {
        return invalid(format!("nobody is in part {}", names.join(" or ")));
    }
    Ok(chosen)
}

/// The digests that the lines of a manifest say.
fn stated(manifest: &Path) -> Result<HashMap<PathBuf, String>> {
    let manifest = manifest_of(manifest);
    if manifest.is_dir() {
        return Ok(HashMap::new());
    }
    let mut stated = HashMap::new();
    for (place, row) in Table::open(&manifest)?.rows() {
        let row = row?;
        let digests = [row.image_sha256.clone(), row.mask_sha256.clone()];
        let entry = place.add(row, &mut Default::default())?;
        let files = [entry.image, entry.mask].into_iter().zip(digests);
        stated.extend(files.filter_map(|(file, digest)| Some((file, digest?))));
    }
    Ok(stated)
}

fn copied(path: &Path, stated: &HashMap<PathBuf, String>) -> Result<File> {
    let bytes = fs::read(path).map_err(|error| missing(path, error))?;
    match stated.get(path) {
        Some(digest) if *digest != digest_of(&bytes) => {
            let message = format!("{} has not the digest of its line", path.display());
            Err(ErrorKind::Invalid.error(message))
        }
        _ => Ok(File { bytes, extension: extension(path) }),
    }
}
