use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use domain::Result;
use imaging::Volume;

use super::manifest::{Place, Row, Table};
use super::{Entry, Labelled, Part, Patient, digest, grid, manifest_of, pair, truth};

/// What a data set came to that was looked through.
#[derive(Debug, Default)]
pub struct Validated {
    /// How many patients there are.
    pub patients: usize,
    /// In how many of them nothing is marked; of whoever has a fault it is not told.
    pub without_tumour: usize,
    /// How many slices there are, those that are wrong among them.
    pub slices: usize,
    /// What is wrong, each with its line and file; empty where all may be learned from.
    pub faults: Vec<String>,
}

/// What is known of the lines that were looked at.
#[derive(Default)]
struct Looked {
    patients: BTreeMap<String, Patient>,
    /// By the digests of pixels.
    seen: HashMap<[u8; 32], Seen>,
    /// Patients in whom something is marked.
    marked: BTreeSet<String>,
    /// Patients with a fault.
    faulty: BTreeSet<String>,
}

/// Where a slice stands whose pixels are known.
struct Seen {
    patient: String,
    place: String,
}

/// Looks through a data set: whether each file can be read and has the digest that its line says, each mask is one and lies
/// on its image, each patient is in one part, and no two patients have the same pixels.
///
/// An error where there is no manifest at all; whatever is wrong in it is a fault, and the rest is looked at all the same.
pub fn validate(manifest: &Path) -> Result<Validated> {
    let table = Table::open(&manifest_of(manifest))?;
    let (mut validated, mut looked) = (Validated::default(), Looked::default());
    for (place, row) in table.rows() {
        validated.slices += 1;
        let faults = match row {
            Ok(row) => {
                let faults = faults(&place, &row, &mut looked);
                if !faults.is_empty() {
                    looked.faulty.insert(row.patient);
                }
                faults
            }
            Err(error) => vec![error.to_string()],
        };
        validated.faults.extend(faults);
    }
    let Looked { patients, marked, faulty, .. } = looked;
    let mut patients: Vec<Patient> = patients.into_values().collect();
    patients.iter_mut().for_each(|patient| patient.slices.sort_by_key(|entry| entry.slice));
    if let Err(error) = Part::are_given(&patients) {
        validated.faults.push(format!("{}: {error}", manifest.display()));
    }
    let whole = || patients.iter().filter(|patient| !faulty.contains(&patient.id));
    validated.without_tumour = whole().filter(|patient| !marked.contains(&patient.id)).count();
    validated.faults.extend(whole().flat_map(not_one_scan));
    validated.patients = patients.len();
    Ok(validated)
}

/// What is wrong with a line.
fn faults(place: &Place, row: &Row, looked: &mut Looked) -> Vec<String> {
    let entry = match place.add(row.clone(), &mut looked.patients) {
        Ok(entry) => entry,
        Err(error) => return vec![error.to_string()],
    };
    let columns = [
        ("image_sha256", &row.image_sha256, &entry.image),
        ("mask_sha256", &row.mask_sha256, &entry.mask),
    ];
    let mut faults: Vec<String> = columns
        .into_iter()
        .filter_map(|(column, stated, file)| wrong_digest(place, column, stated.as_ref()?, file))
        .collect();
    match fitting(&entry) {
        Err(what) => faults.push(format!("{place}: {what}")),
        Ok((image, is_marked)) => {
            if is_marked {
                looked.marked.insert(row.patient.clone());
            }
            faults.extend(seen_before(place, row, &image, &mut looked.seen));
        }
    }
    faults
}

fn wrong_digest(place: &Place, column: &str, stated: &str, file: &Path) -> Option<String> {
    match digest::digest(file) {
        Ok(there) if there == *stated => None,
        Ok(there) => {
            Some(format!("{place}, column {column}: {} has the digest {there}", file.display()))
        }
        Err(error) => Some(format!("{place}, column {column}: {error}")),
    }
}

/// The image, where its mask is one and lies on it, and whether anything is marked.
fn fitting(entry: &Entry) -> std::result::Result<(Volume, bool), String> {
    let (image, mask) = pair(entry).map_err(|error| error.to_string())?;
    let truth = truth(entry, &image, &mask).map_err(|error| error.to_string())?;
    match grid::differ(&image, &mask) {
        Some(how) => Err(format!("{} does not fit its image: {how}", entry.mask.display())),
        None => Ok((image, truth.contains(&1))),
    }
}

fn seen_before(
    place: &Place,
    row: &Row,
    image: &Volume,
    seen: &mut HashMap<[u8; 32], Seen>,
) -> Option<String> {
    let first = image.voxels.first()?;
    // Outside of the head all patients look alike.
    if image.voxels.iter().all(|voxel| voxel == first) {
        return None;
    }
    let pixels = digest::digest_of_pixels(image);
    let own = Seen { patient: row.patient.clone(), place: place.to_string() };
    let Seen { patient, place: before } = seen.entry(pixels).or_insert(own);
    (*patient != row.patient).then(|| {
        format!(
            "{place}: patient {} has the same pixels as patient {patient} in {before}",
            row.patient
        )
    })
}

/// What is wrong with the scans of a patient of whom each slice by itself is right.
fn not_one_scan(patient: &Patient) -> Vec<String> {
    let scans = patient.scans().into_iter();
    let refused = scans.filter_map(|scan| Labelled::load(scan).err());
    refused.map(|error| format!("patient {}: {error}", patient.id)).collect()
}

#[cfg(test)]
mod tests;
