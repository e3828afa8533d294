use domain::{ErrorKind, Result};

use super::Patient;

/// What a patient's slices are for, as the column `part` of a manifest says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// The network learns from them.
    Training,
    /// Readings are chosen on them.
    Validation,
    /// Nothing is learned or chosen: a finished model is measured on them.
    Test,
}

impl Part {
    /// All of them, in the order of their use.
    pub const ALL: [Part; 3] = [Part::Training, Part::Validation, Part::Test];

    /// As manifests and command lines have it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Training => "training",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }

    /// The part of that name.
    pub fn of_name(name: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Whether the data says who is in which part. `Invalid` where it says so of some patients only: nobody could tell what
    /// the others are for.
    pub fn are_given(patients: &[Patient]) -> Result<bool> {
        let without = patients.iter().find(|patient| patient.part.is_none());
        match without {
            None => Ok(!patients.is_empty()),
            Some(_) if patients.iter().all(|patient| patient.part.is_none()) => Ok(false),
            Some(patient) => {
                let message = format!("patient {} is in no part, and others are", patient.id);
                Err(ErrorKind::Invalid.error(message))
            }
        }
    }

    /// Those of `patients` who are in this part.
    pub fn of(self, patients: &[Patient]) -> Vec<Patient> {
        patients.iter().filter(|patient| patient.part == Some(self)).cloned().collect()
    }
}
