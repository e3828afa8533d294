use std::fs;
use std::path::Path;

use domain::{ErrorKind, Result};
use imaging::comparison_png;

use super::Scored;
use crate::dataset::{Entry, Labelled, Patient};

/// The scans that a model does worst on. They show where there is most to gain.
#[derive(Default)]
pub struct Worst {
    /// The lowest Dice first.
    scans: Vec<Case>,
}

struct Case {
    dice: f64,
    patient: String,
    entries: Vec<Entry>,
    mask: Vec<u8>,
    /// The slices that add most to the error, in slice order.
    shown: Vec<usize>,
}

const SCANS: usize = 10;
const SLICES: usize = 5;

impl Worst {
    /// Keeps the scan if it is among the worst.
    pub fn add(&mut self, patient: &Patient, scan: &[Entry], scored: &Scored) {
        let slices = &scored.outcome.slices;
        let wrong = |slice: &usize| {
            slices[*slice].found + slices[*slice].truth - 2 * slices[*slice].overlap
        };
        let mut shown: Vec<usize> = (0..slices.len()).collect();
        shown.sort_by_key(|slice| std::cmp::Reverse(wrong(slice)));
        shown.truncate(SLICES);
        shown.sort_unstable();
        let case = Case {
            dice: scored.outcome.counts().dice(),
            patient: patient.id.clone(),
            entries: scan.to_vec(),
            mask: scored.assessment.findings.mask.clone(),
            shown,
        };
        let at = self.scans.partition_point(|other| other.dice <= case.dice);
        self.scans.insert(at, case);
        self.scans.truncate(SCANS);
    }

    /// Writes one picture for each into `folder`: the slices with most error side by side, the truth outlined in blue
    /// and the mask in yellow. They show patients: they are not for publishing.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let cannot = |error| {
            ErrorKind::Unavailable
                .error(format!("cannot write to {}", folder.display()))
                .because(error)
        };
        fs::create_dir_all(folder).map_err(cannot)?;
        for (rank, case) in (1..).zip(&self.scans) {
            let Labelled { volume, truth } = Labelled::load(&case.entries)?;
            let png = comparison_png(&volume, &truth, &case.mask, &case.shown)?;
            // An id is data: it must not choose another folder.
            let safe = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
            let patient: String = case.patient.chars().map(safe).collect();
            let slices: Vec<String> =
                case.shown.iter().map(|slice| case.entries[*slice].slice.to_string()).collect();
            let name =
                format!("{rank:02}_dice{:.3}_{patient}_slices{}.png", case.dice, slices.join("-"));
            fs::write(folder.join(name), png).map_err(cannot)?;
        }
        Ok(())
    }
}
