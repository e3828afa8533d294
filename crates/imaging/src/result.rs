use domain::{Answer, Result};
use serde::{Deserialize, Serialize};

use crate::{
    Criteria, Doubt, ExpectedDice, Features, Finding, Format, Geometry, Modality, Placement,
    Preprocessing, Shape, Unit, Volume,
};

/// The form of the document; a change that could break a reader changes the number.
const SCHEMA: &str = "medseg.result/1";

/// What every result says of itself, whatever it found.
const LIMITS: &str = "Computed by software without medical approval, for research use. It is not a \
    diagnosis: it can miss tumours, mark healthy tissue, and knows nothing of the patient but these \
    pixels. A qualified person must look at the scan.";

/// Below this mean probability a finding is called doubtful.
const DOUBTFUL: f64 = 0.75;

/// Which model looked, and how: enough to repeat it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Passport {
    pub name: String,
    pub version: String,
    /// Of the weights file, in hex; empty for an engine that has no weights.
    pub sha256: String,
    /// The version of everything done to pixels before the model sees them.
    pub preprocessing: String,
    /// The probability from which on a voxel counts as tumour.
    pub threshold: f32,
    /// Regions of fewer pixels, in the squares that the model sees, are noise.
    pub minimum_pixels: usize,
    /// The side of those squares, in pixels.
    pub side: usize,
    /// What the model may judge.
    pub modalities: Vec<Modality>,
    /// Where it ran: `cpu`, `cuda:0`.
    pub device: String,
    /// What counts in a volume, where that is another than for a slice that came alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Cut>,
    /// How well its masks fit, as far as that can be told; None of an engine that nobody measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
}

/// What counts as tumour.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cut {
    /// The probability from which on a voxel counts.
    pub threshold: f32,
    /// Regions of fewer pixels, in the squares that the model sees, are noise.
    pub minimum_pixels: usize,
}

impl Passport {
    /// How slices are prepared for it; `Invalid` for a way that is unknown here.
    pub fn preprocessing(&self) -> Result<Preprocessing> {
        Preprocessing::named(&self.preprocessing)
    }

    /// The same for a scan of that many slices: what it says counts is what counts there.
    pub fn of_scan(&self, slices: usize) -> Passport {
        let Passport { threshold, minimum_pixels, volumes, .. } = *self;
        let alone = Cut { threshold, minimum_pixels };
        let Cut { threshold, minimum_pixels } = volumes.filter(|_| slices > 1).unwrap_or(alone);
        Passport { threshold, minimum_pixels, volumes: None, ..self.clone() }
    }

    /// What counts as tumour in a scan whose slices were prepared at `placements`: the smallest region,
    /// counted in the scan's own pixels.
    pub fn criteria(&self, placements: &[Placement]) -> Criteria {
        if self.volumes.is_some() {
            return self.of_scan(placements.len()).criteria(placements);
        }
        let areas: f64 = placements.iter().map(Placement::pixel_area).sum();
        let pixels = self.minimum_pixels as f64 * areas / placements.len().max(1) as f64;
        Criteria { threshold: self.threshold, minimum_voxels: pixels.round() as usize }
    }
}

/// The whole result of one scan: the artefact `result.json`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ResultDocument {
    #[serde(flatten)]
    pub about: About,
    pub scan_id: String,
    pub answer: Answer,
    /// Why, when the answer is not about findings.
    pub reason: Option<String>,
    pub findings: Vec<Finding>,
    /// None when the scan was not analysed: nothing found is another thing.
    pub totals: Option<Totals>,
    /// How sure the model is of the answer, 0..1: the mean probability over the findings, or without
    /// one how far the most suspicious voxel stayed from certain tumour. Probabilities are calibrated where the model
    /// was measured: see its card.
    pub confidence: Option<f64>,
    /// How well the mask is expected to fit; None without a finding, or from a model that cannot tell.
    #[serde(default)]
    pub expected_dice: Option<ExpectedDice>,
    pub quality: Quality,
    pub image: ImageFacts,
    pub model: Passport,
    /// What was analysed.
    pub inputs: Inputs,
    pub timing: Timing,
}

/// What is the same in every document of this software.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct About {
    /// The document's form.
    pub schema: String,
    /// Name and version of this software.
    pub software: String,
    /// What the result is not.
    pub limits: String,
}

impl Default for About {
    fn default() -> About {
        let software = concat!("medseg ", env!("CARGO_PKG_VERSION"));
        About { schema: SCHEMA.into(), software: software.into(), limits: LIMITS.into() }
    }
}

/// All findings together.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Totals {
    pub findings: usize,
    pub voxels: usize,
    /// The part of all voxels that lies in findings.
    pub mask_fraction: f64,
    pub volume_ml: Option<f64>,
    /// Of a single slice only.
    pub area_mm2: Option<f64>,
}

/// What speaks for or against trusting the numbers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Quality {
    pub features: Features,
    /// In words, for people.
    pub remarks: Vec<String>,
}

/// The scan as it was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ImageFacts {
    pub shape: Shape,
    /// What lengths are given in.
    pub unit: Unit,
    /// Between slices (null for a single slice of unknown thickness), rows and columns.
    pub spacing_mm: Option<[Option<f64>; 3]>,
    pub modality: Option<Modality>,
    pub format: Format,
    /// The slice (from 0) that `mask.png` and `overlay.png` show.
    pub shown_slice: usize,
}

/// Digests of what went in.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Inputs {
    /// Of the decoded volume, in hex.
    pub volume_sha256: String,
    /// The digest that ties the result to tenant, scan and patient.
    pub binding: String,
    pub attempt: u32,
}

/// When, and how long.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Timing {
    /// Milliseconds since the Unix epoch.
    pub accepted_ms: i64,
    pub started_ms: i64,
    pub finished_ms: i64,
    /// What the model's thread spent on the batches that this scan was in.
    pub compute_ms: f64,
}

impl Totals {
    /// Adds up findings of one scan.
    pub fn new(findings: &[Finding], shape: Shape) -> Totals {
        let voxels = findings.iter().map(|finding| finding.voxels).sum();
        let areas = findings.iter().map(|finding| finding.area_mm2).sum::<Option<f64>>();
        Totals {
            findings: findings.len(),
            voxels,
            mask_fraction: voxels as f64 / shape.len().max(1) as f64,
            volume_ml: findings.iter().map(|finding| finding.volume_ml).sum(),
            area_mm2: areas.filter(|_| shape.slices == 1),
        }
    }
}

impl ImageFacts {
    /// What is known of a volume.
    pub fn new(volume: &Volume, shown_slice: usize) -> ImageFacts {
        ImageFacts {
            shape: volume.shape,
            unit: if volume.geometry.is_some() { Unit::Millimetre } else { Unit::Pixel },
            spacing_mm: volume
                .geometry
                .as_ref()
                .map(|g| g.spacing().map(|mm| Some(mm).filter(|mm| *mm > 0.0))),
            modality: volume.modality,
            format: volume.format,
            shown_slice,
        }
    }
}

impl Quality {
    /// Says what a reader of `findings` in `volume` should know.
    pub fn new(
        volume: &Volume,
        features: Features,
        findings: &[Finding],
        confidence: Option<f64>,
    ) -> Quality {
        let no_volume =
            volume.geometry.as_ref().is_some_and(|geometry| Geometry::voxel_mm3(geometry) == 0.0);
        let at_the_end = |finding: &Finding| {
            volume.shape.slices > 1
                && (finding.bounds.from[0] == 0 || finding.bounds.to[0] == volume.shape.slices)
        };
        let remarks = [
            (
                volume.geometry.is_none(),
                "the file does not say how large its pixels are: sizes are in pixels",
            ),
            (no_volume, "one slice of unknown thickness: an area is given and no volume"),
            (
                volume.modality.is_none(),
                "the file does not say what made the image: it was taken for MR",
            ),
            (
                findings.iter().any(at_the_end),
                "a finding reaches the first or the last slice: it may be larger",
            ),
            (confidence.is_some_and(|sure| sure < DOUBTFUL), "the model is unsure of this answer"),
        ];
        let remarks =
            remarks.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words.to_owned());
        Quality { features, remarks: volume.remarks.iter().cloned().chain(remarks).collect() }
    }
}

/// How sure the model is, from all probabilities and what was found in them.
pub fn confidence(probabilities: &[f32], findings: &[Finding]) -> f64 {
    if findings.is_empty() {
        let highest = probabilities.iter().copied().fold(0.0, f32::max);
        return 1.0 - f64::from(highest);
    }
    let weighted: f64 =
        findings.iter().map(|finding| finding.confidence * finding.voxels as f64).sum();
    weighted / findings.iter().map(|finding| finding.voxels as f64).sum::<f64>()
}

impl ResultDocument {
    /// The bytes of `result.json`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a result is plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{Phantom, Settings};
    use crate::{Criteria, Findings};

    fn analysed(volume: &Volume, probabilities: &[f32]) -> (Totals, f64, Quality) {
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1 };
        let found = Findings::new(probabilities, volume.shape, volume.geometry.as_ref(), criteria)
            .unwrap()
            .findings;
        let sure = confidence(probabilities, &found);
        let quality = Quality::new(volume, Features::new(volume), &found, Some(sure));
        (Totals::new(&found, volume.shape), sure, quality)
    }

    #[test]
    fn a_doubtful_answer_in_pixels_says_both() {
        let Phantom { mut volume, truth, .. } = Phantom::new(&Settings::slice(1)).unwrap();
        volume.geometry = None;
        let probabilities: Vec<f32> = truth.iter().map(|&inside| 0.6 * f32::from(inside)).collect();
        let (totals, sure, quality) = analysed(&volume, &probabilities);
        assert!((sure - 0.6).abs() < 1e-6);
        assert_eq!((totals.volume_ml, totals.area_mm2), (None, None));
        let words = quality.remarks.join("; ");
        assert!(words.contains("sizes are in pixels") && words.contains("unsure"), "{words}");
    }

    #[test]
    fn without_a_finding_the_most_suspicious_voxel_sets_the_confidence() {
        let Phantom { volume, .. } = Phantom::new(&Settings::slice(1)).unwrap();
        let mut probabilities = vec![0.0; volume.shape.len()];
        probabilities[77] = 0.4;
        let (totals, sure, quality) = analysed(&volume, &probabilities);
        assert_eq!((totals.findings, totals.volume_ml), (0, Some(0.0)));
        assert!((sure - 0.6).abs() < 1e-6 && quality.remarks.len() == 1, "{quality:?}");
    }

    #[test]
    fn volumes_and_slices_alone_each_have_their_own_cut() {
        let passport = Passport {
            name: "test".into(),
            version: "1".into(),
            sha256: String::new(),
            preprocessing: String::new(),
            threshold: 0.3,
            minimum_pixels: 8,
            side: 4,
            modalities: vec![],
            device: "cpu".into(),
            volumes: Some(Cut { threshold: 0.5, minimum_pixels: 96 }),
            doubt: None,
        };
        let placement = Placement {
            rows: 8,
            columns: 8,
            side: 4,
            top: 0.0,
            left: 0.0,
            extent: 8.0,
            aspect: 1.0,
        };
        let criteria = |slices| passport.criteria(&vec![placement; slices]);
        assert_eq!(criteria(1), Criteria { threshold: 0.3, minimum_voxels: 32 });
        assert_eq!(criteria(2), Criteria { threshold: 0.5, minimum_voxels: 384 });
        let said = passport.of_scan(2);
        assert_eq!((said.threshold, said.minimum_pixels, said.volumes), (0.5, 96, None));
        assert_eq!(said.criteria(&[placement; 2]), criteria(2));
    }

    #[test]
    fn a_finding_cut_by_the_last_slice_is_remarked() {
        let shape = Shape { slices: 2, rows: 64, columns: 64 };
        let settings = Settings { shape, tumour: false, ..Settings::slice(1) };
        let Phantom { volume, .. } = Phantom::new(&settings).unwrap();
        let (_, _, quality) = analysed(&volume, &[vec![0.0; 64 * 64], vec![1.0; 64 * 64]].concat());
        assert!(quality.remarks[0].contains("may be larger"), "{quality:?}");
    }
}
