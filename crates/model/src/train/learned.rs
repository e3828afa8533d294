use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::{Settings, Split, State};
use crate::dataset::Patient;
use crate::weights::replace;

/// What weights that nobody has evaluated yet learned from: it travels with them, so that they are never evaluated on a patient
/// that they know.
#[derive(Debug, Deserialize, Serialize)]
pub struct Learned {
    /// Slices that were shown, each as often as it was.
    pub views: u64,
    /// The part of the training that is done, up to 1.
    pub done: f64,
    /// Their patients, as `source/patient`.
    patients: BTreeSet<String>,
}

impl Learned {
    /// Beside the weights.
    pub const FILE: &str = "learned.json";

    pub fn new(settings: &Settings, split: &Split, state: &State) -> Learned {
        let done = settings.schedule().done(state.gone());
        let patients = split.training.iter().map(name).collect();
        Learned { views: state.progress.views, done, patients }
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("what was learned from is plain data");
        replace(&folder.join(Learned::FILE), &text)
    }

    /// `Invalid` where the training was not finished, or where one of these patients was learned from.
    pub fn read(folder: &Path, validation: &[Patient]) -> Result<Learned> {
        let path = folder.join(Learned::FILE);
        let invalid = |what: &str| ErrorKind::Invalid.error(format!("{}: {what}", path.display()));
        let bytes = fs::read(&path).map_err(|error| {
            invalid("cannot be read, and says what the weights beside it learned from")
                .because(error)
        })?;
        let learned: Learned = serde_json::from_slice(&bytes)
            .map_err(|error| invalid("is not what training writes").because(error))?;
        if learned.done < 1.0 {
            let done = 100.0 * learned.done;
            return Err(invalid(&format!("only {done:.1} % of the training is done")));
        }
        match validation.iter().find(|patient| learned.patients.contains(&name(patient))) {
            Some(known) => {
                let known = name(known);
                Err(invalid(&format!(
                    "{known} was learned from, and is to validate: it is another fold or seed"
                )))
            }
            None => Ok(learned),
        }
    }
}

fn name(patient: &Patient) -> String {
    format!("{}/{}", patient.source, patient.id)
}
