use std::fs;
use std::path::{Path, PathBuf};

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
    /// and the mask in yellow; answers where they are. They show patients: they are not for publishing.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let cannot = |error| {
            ErrorKind::Unavailable
                .error(format!("cannot write to {}", folder.display()))
                .because(error)
        };
        fs::create_dir_all(folder).map_err(cannot)?;
        let mut written = Vec::new();
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
            let path = folder.join(name);
            fs::write(&path, png).map_err(cannot)?;
            written.push(path);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use imaging::{ClassifiedKind, NetworkInput, OperatingPoint, Reading, Shape, TilePlacement};

    use super::*;
    use crate::evaluate::{ScanPrediction, score_with};

    const SIDE: usize = 64;

    /// The left half is tumour, of which the first `rows` rows were found.
    fn judged(rows: usize) -> Scored {
        let half = |place: usize| place % SIDE < SIDE / 2;
        let side = SIDE as f64;
        let placement = TilePlacement {
            rows: SIDE,
            columns: SIDE,
            side: SIDE,
            top: -0.5,
            left: -0.5,
            extent: side,
            aspect: 1.0,
        };
        let found = |place: usize| if half(place) && place / SIDE < rows { 0.9 } else { 0.1 };
        let seen = ScanPrediction {
            shape: Shape { slices: 1, rows: SIDE, columns: SIDE },
            input: NetworkInput { side: SIDE, mirrored: false },
            classified: ClassifiedKind::default(),
            probabilities: (0..SIDE * SIDE).map(found).collect(),
            placements: vec![placement],
            truth: (0..SIDE * SIDE).map(|place| u8::from(half(place))).collect(),
            ms: 1.0,
        };
        let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
        score_with(&Reading::plain(SIDE, operating_point), &seen).unwrap()
    }

    fn picture(folder: &Path, name: &str, value: impl Fn(u32, u32) -> u8) -> PathBuf {
        let (path, side) = (folder.join(name), SIDE as u32);
        image::GrayImage::from_fn(side, side, |x, y| image::Luma([value(x, y)]))
            .save(&path)
            .unwrap();
        path
    }

    #[test]
    fn the_ten_worst_are_drawn_in_their_order_and_an_id_chooses_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let image = picture(folder.path(), "1.png", |x, y| 10 + ((x * 7 + y * 13) % 41) as u8);
        let mask = picture(folder.path(), "1_mask.png", |x, _| if x < 32 { 255 } else { 0 });
        let mut worst = Worst::default();
        // Twelve scans, in no order.
        for scan in (0..12).map(|scan| scan * 5 % 12) {
            let patient = Patient { id: format!("../../p {scan}"), ..Patient::default() };
            let entry = Entry { slice: scan + 1, image: image.clone(), mask: mask.clone() };
            worst.add(&patient, &[entry], &judged(2 * scan as usize + 2));
        }
        let out = folder.path().join("worst");
        worst.write(&out).unwrap();
        let files = fs::read_dir(&out).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.len(), 10);
        // 2 * 64 / (64 + 2,048), and with ten times as many rows found 2 * 640 / (640 + 2,048).
        assert_eq!(names[0], "01_dice0.061_______p_0_slices1.png");
        assert_eq!(names[9], "10_dice0.476_______p_9_slices10.png");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing lies elsewhere");
    }
}
