use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result, hex};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::{Entry, Part, Patient};

/// Patients to learn from and patients to validate on; no patient is on both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Split {
    /// Whom the network learns from.
    pub training: Vec<Patient>,
    /// Whom readings are chosen on and figures are measured on.
    pub validation: Vec<Patient>,
}

impl Split {
    /// Draws about `part` of the patients of one source (at least one) for validation; the same seed draws the same
    /// ones. Where the data has folds of its own, whole folds are drawn.
    pub fn draw(patients: Vec<Patient>, part: f64, seed: u64) -> Result<Split> {
        let mut groups = groups(patients);
        if groups.len() < 2 {
            return Err(ErrorKind::Invalid.error("a split needs at least two patients or folds"));
        }
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let count = (groups.len() as f64 * part).round() as usize;
        let training = groups.split_off(count.clamp(1, groups.len() - 1));
        Split { training: training.concat(), validation: groups.concat() }.checked()
    }

    /// The sides that the data itself names in its column `part`, else drawn ones. Who is in part `test` is on neither.
    pub fn of(patients: Vec<Patient>, part: f64, seed: u64) -> Result<Split> {
        if !Part::are_given(&patients)? {
            return Split::draw(patients, part, seed);
        }
        let [training, validation] = [Part::Training, Part::Validation].map(|it| it.of(&patients));
        for (side, part) in [(&training, Part::Training), (&validation, Part::Validation)] {
            if side.is_empty() {
                let message = format!("nobody is in part {}", part.name());
                return Err(ErrorKind::Invalid.error(message));
            }
        }
        Split { training, validation }.checked()
    }

    /// Splits each of these manifests, as [`Split::of`] does, and puts the sides together.
    pub fn of_manifests(manifests: &[PathBuf], part: f64, seed: u64) -> Result<Split> {
        let mut split = Split { training: Vec::new(), validation: Vec::new() };
        let mut tested = BTreeSet::new();
        for manifest in manifests {
            let patients = super::read(manifest)?;
            tested.extend(Part::Test.of(&patients).into_iter().map(|patient| patient.id));
            let of_one = Split::of(patients, part, seed)
                .map_err(|error| error.kind().error(format!("{}: {error}", manifest.display())))?;
            split = split.and(of_one)?;
        }
        let mut used = split.training.iter().chain(&split.validation);
        if let Some(patient) = used.find(|patient| tested.contains(&patient.id)) {
            let message = format!(
                "patient {} is in part test of one manifest, and in another part of another",
                patient.id
            );
            return Err(ErrorKind::Invalid.error(message));
        }
        Ok(split)
    }

    /// As many splits as `folds`: each patient of one source is in the validation of one of them. Folds that the data
    /// has itself are kept; where it has fewer, the last splits validate nothing of it.
    pub fn folds(patients: Vec<Patient>, folds: usize, seed: u64) -> Result<Vec<Split>> {
        let ready = patients.iter().all(|patient| patient.fold.is_some());
        let mut groups = groups(patients);
        if folds < 2
            || groups.len() < 2
            || (!ready && groups.len() < folds)
            || (ready && groups.len() > folds)
        {
            let message = format!("{} patients or folds do not make {folds} folds", groups.len());
            return Err(ErrorKind::Invalid.error(message));
        }
        if !ready {
            groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        }
        let split = |fold: usize| {
            let (validation, training): (Vec<_>, Vec<_>) =
                groups.iter().cloned().enumerate().partition(|(index, _)| index % folds == fold);
            let all = |side: Vec<(usize, Vec<Patient>)>| {
                side.into_iter().flat_map(|(_, group)| group).collect()
            };
            Split { training: all(training), validation: all(validation) }.checked()
        };
        (0..folds).map(split).collect()
    }

    /// Both splits in one, of different sources.
    pub fn and(mut self, other: Split) -> Result<Split> {
        self.training.extend(other.training);
        self.validation.extend(other.validation);
        self.checked()
    }

    /// Names who is on which side, with which slices, in hex: another one is another split.
    pub fn digest(&self) -> String {
        let slices = |patient: &Patient| {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into();
            let slice = |entry: &Entry| {
                let [image, mask]: [String; 2] = [name(&entry.image), name(&entry.mask)];
                format!("{} {image} {mask}", entry.slice)
            };
            patient.slices.iter().map(slice).collect::<Vec<_>>().join(",")
        };
        let side = |patients: &[Patient]| {
            let names = patients
                .iter()
                .map(|patient| format!("{}/{}: {}", patient.source, patient.id, slices(patient)));
            names.collect::<Vec<_>>().join("\n")
        };
        let text = format!("{}\n\n{}", side(&self.training), side(&self.validation));
        hex(&Sha256::digest(text.as_bytes()))
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

/// Patients that stay together: by the data's own folds, or each alone.
pub(super) fn groups(patients: Vec<Patient>) -> Vec<Vec<Patient>> {
    let mut groups = BTreeMap::<String, Vec<Patient>>::new();
    for patient in patients {
        let key = patient.fold.as_ref().unwrap_or(&patient.id).clone();
        groups.entry(key).or_default().push(patient);
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests;
