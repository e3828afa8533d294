use std::collections::BTreeMap;

use serde::Serialize;

use super::{Deidentified, Treated};

/// What was done to the files that leave together, which goes along with them. Nothing of it is a name of a file, because that may be
/// a patient's.
#[derive(Debug, Serialize)]
pub struct DeidentificationReport {
    profile: &'static str,
    files: usize,
    /// Each file that stayed, by its place in their order, and why.
    refused: Vec<RefusedFile>,
    /// What was done to each attribute in how many places.
    attributes: BTreeMap<String, Treated>,
}

#[derive(Debug, Serialize)]
struct RefusedFile {
    number: usize,
    problem: &'static str,
    why: String,
}

impl Default for DeidentificationReport {
    fn default() -> DeidentificationReport {
        DeidentificationReport {
            profile: "PS3.15 Basic Application Level Confidentiality Profile",
            files: 0,
            refused: Vec::new(),
            attributes: BTreeMap::new(),
        }
    }
}

impl DeidentificationReport {
    /// What it is called beside the files.
    pub const NAME: &str = "report.json";

    /// Notes a file that leaves.
    pub fn take(&mut self, done: &Deidentified) {
        self.files += 1;
        for (attribute, treated) in &done.attributes {
            let all = self.attributes.entry(attribute.clone()).or_default();
            *all = all.and(*treated);
        }
    }

    /// Notes one that stays: its place, from 1; the problem, by its stable name; and why, in words that go along.
    pub fn refuse(&mut self, number: usize, problem: &'static str, why: String) {
        self.refused.push(RefusedFile { number, problem, why });
    }

    /// How many leave.
    pub fn files(&self) -> usize {
        self.files
    }

    /// How many stay.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// The bytes of the file.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a report is plain data")
    }
}

impl Deidentified {
    /// Where the file goes: `series/instance.dcm`, both digits and points only, for they were made here.
    pub fn place(&self) -> String {
        let name = |uid: &str| if uid.is_empty() { "none".to_owned() } else { uid.to_owned() };
        format!("{}/{}.dcm", name(&self.series), name(&self.instance))
    }
}
