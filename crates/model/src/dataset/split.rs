use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result, hex};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::{Entry, Patient};

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

    /// Draws from each of these manifests, and puts the sides together.
    pub fn of_manifests(manifests: &[PathBuf], part: f64, seed: u64) -> Result<Split> {
        let nobody = Split { training: Vec::new(), validation: Vec::new() };
        manifests.iter().try_fold(nobody, |split, manifest| {
            let drawn = Split::draw(super::read(manifest)?, part, seed)
                .map_err(|error| error.kind().error(format!("{}: {error}", manifest.display())))?;
            split.and(drawn)
        })
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
fn groups(patients: Vec<Patient>) -> Vec<Vec<Patient>> {
    let mut groups = BTreeMap::<String, Vec<Patient>>::new();
    for patient in patients {
        let key = patient.fold.as_ref().unwrap_or(&patient.id).clone();
        groups.entry(key).or_default().push(patient);
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(id: &str) -> Patient {
        Patient { id: id.into(), ..Patient::default() }
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
    fn folds_share_out_all_patients_and_keep_the_datas_own() {
        let patients: Vec<Patient> = (0..11).map(|i| patient(&i.to_string())).collect();
        let folds = Split::folds(patients.clone(), 5, 7).unwrap();
        let mut judged: Vec<Patient> =
            folds.iter().flat_map(|fold| fold.validation.clone()).collect();
        judged.sort_by_key(|patient| patient.id.parse::<u32>().unwrap());
        assert_eq!(judged, patients);
        assert!(folds.iter().all(|fold| fold.training.len() + fold.validation.len() == 11));
        let own =
            |id: u32| Patient { fold: Some((id % 4).to_string()), ..patient(&id.to_string()) };
        let folds = Split::folds((0..11).map(own).collect(), 5, 7).unwrap();
        let of_fold =
            |split: &Split| split.validation.iter().all(|p| p.fold == split.validation[0].fold);
        assert!(folds[..4].iter().all(of_fold) && folds[4].validation.is_empty());
        assert!(
            Split::folds(patients.clone(), 12, 7).is_err() && Split::folds(patients, 1, 7).is_err()
        );
    }

    #[test]
    fn a_patient_on_both_sides_is_refused_by_name() {
        let split =
            Split { training: vec![patient("a"), patient("b")], validation: vec![patient("b")] };
        assert!(split.clone().checked().unwrap_err().to_string().contains("patient b"));
        let other = Split { training: vec![patient("c")], validation: vec![patient("a")] };
        assert!(other.and(split).unwrap_err().to_string().contains("patient "));
        assert!(Split::draw(vec![patient("a"), patient("a")], 0.5, 1).is_err());
        assert!(Split::draw(vec![patient("a")], 0.5, 1).is_err());
    }

    #[test]
    fn where_the_data_has_folds_whole_folds_are_drawn() {
        let patient =
            |id: u32| Patient { fold: Some((id % 4).to_string()), ..patient(&id.to_string()) };
        for seed in 0..5 {
            let split = Split::draw((0..12).map(patient).collect(), 0.25, seed).unwrap();
            let fold = &split.validation[0].fold;
            assert_eq!((split.validation.len(), split.training.len()), (3, 9));
            assert!(split.validation.iter().all(|patient| patient.fold == *fold), "seed {seed}");
            assert!(split.training.iter().all(|patient| patient.fold != *fold), "seed {seed}");
        }
    }

    #[test]
    fn somebody_is_on_each_side_whatever_part_is_asked_for() {
        for (part, validation) in [(0.0, 1), (0.01, 1), (0.5, 3), (1.0, 4), (7.0, 4)] {
            let patients = (0..5).map(|id| patient(&id.to_string())).collect();
            let split = Split::draw(patients, part, 1).unwrap();
            assert_eq!(split.validation.len(), validation, "{part}");
            assert_eq!(split.training.len(), 5 - validation, "{part}");
        }
    }

    #[test]
    fn folds_of_the_data_are_never_torn_apart_to_make_fewer() {
        let own = |id: u32| Patient { fold: Some(id.to_string()), ..patient(&id.to_string()) };
        let why = Split::folds((0..4).map(own).collect(), 3, 1).unwrap_err().to_string();
        assert!(why.contains("4 patients or folds do not make 3 folds"), "{why}");
    }

    #[test]
    fn a_digest_names_slices_and_sides_and_not_where_the_folder_lies() {
        let split = |root: &str, mask: &str, number: u32| {
            let at = |name: &str| Path::new(root).join(name);
            let slices = vec![Entry { slice: number, image: at("1.png"), mask: at(mask) }];
            let source = "made".to_owned();
            let training = vec![Patient { slices, source, ..patient("a") }];
            Split { training, validation: vec![patient("b")] }
        };
        let one = split("/here", "1_mask.png", 1).digest();
        assert_eq!(split("/there/too", "1_mask.png", 1).digest(), one);
        let mut turned = split("/here", "1_mask.png", 1);
        std::mem::swap(&mut turned.training, &mut turned.validation);
        let others = [
            split("/here", "1_seg.png", 1).digest(),
            split("/here", "1_mask.png", 2).digest(),
            turned.digest(),
        ];
        assert!(others.iter().all(|other| *other != one && other.len() == 64), "{others:?}");
    }
}
