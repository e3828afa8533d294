use domain::{Answer, rfc3339};
use serde::{Deserialize, Serialize};

use crate::picker::SeriesChoice;
use crate::{
    ClassifiedKind, ExpectedDice, Features, Finding, Format, Geometry, Modality, ModelUsed,
    Orientation, Readings, Role, Shape, Unit, View, Volume, Witness,
};

/// The form of the document; a change that could break a reader changes the number.
const SCHEMA: &str = "medseg.result/2";

/// What every result says of itself, whatever it found.
const LIMITS: &str = "Computed by software without medical approval, for research use. It is not a \
    diagnosis: it can miss tumours, mark healthy tissue, and knows nothing of the patient but these \
    pixels. A qualified person must look at the scan.";

/// Below this mean probability a finding is called doubtful.
const DOUBTFUL: f64 = 0.75;

/// The whole result of one scan: the artefact `result.json`.
///
/// Of a scan that nobody could look at it says why, and what it was of is missing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultDocument {
    /// The statement of limits, and what software wrote the document.
    #[serde(flatten)]
    pub header: DocumentHeader,
    /// The id that the upload was answered with.
    pub scan_id: String,
    /// One of the four answers.
    pub answer: Answer,
    /// Why, when the answer is not about findings.
    pub reason: Option<String>,
    /// Main ones first, the largest of each role first; empty unless the answer is `found`.
    pub findings: Vec<Finding>,
    /// None when the scan was not analysed: nothing found is another thing.
    pub totals: Option<Totals>,
    /// How sure the model is of the answer, 0..1: the mean probability over the main findings, or without
    /// one how far the most suspicious voxel stayed from certain tumour. Probabilities are calibrated where the model
    /// was measured: see its card.
    pub confidence: Option<f64>,
    /// How well the mask is expected to fit; None without a finding, or from a model that cannot tell.
    #[serde(default)]
    pub expected_dice: Option<ExpectedDice>,
    /// How the image is, and what a reader should know of it; missing when the scan was not analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub quality: Option<Quality>,
    /// The image as it was measured; missing when the scan was not analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub image: Option<ImageFacts>,
    /// The model and its reading; missing when no model was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub model: Option<ModelUsed>,
    /// What was analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub inputs: Option<Inputs>,
    /// The proof that pictures, patient and mask agree on where it lies; missing where the file does not say where in the patient
    /// its voxels are, and where nothing was analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub witness: Option<Witness>,
    /// Why it was analysed, or not, of a DICOM series that came with others of its study, or from a scanner; missing of anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub series: Option<SeriesChoice>,
    /// When each step was done.
    pub timing: Timing,
}

/// What is the same in every document of this software.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = About))]
pub struct DocumentHeader {
    /// The document's form.
    pub schema: String,
    /// Name and version of this software.
    pub software: String,
    /// What the result is not.
    pub limits: String,
    /// Patient coordinates are DICOM's: millimetres, x to the patient's left, y to the back, z to the head. (NIfTI
    /// files say RAS: there x and y have the other sign.) Voxel indices count slices, rows and columns of the pictures.
    #[serde(default = "coordinates")]
    pub coordinates: String,
}

fn coordinates() -> String {
    "LPS".into()
}

impl Default for DocumentHeader {
    fn default() -> DocumentHeader {
        let software = concat!("medseg ", env!("CARGO_PKG_VERSION"));
        DocumentHeader {
            schema: SCHEMA.into(),
            software: software.into(),
            limits: LIMITS.into(),
            coordinates: coordinates(),
        }
    }
}

/// All main findings together, and the lesser ones apart.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Which findings these are.
    #[serde(default)]
    pub includes: Role,
    /// How many there are.
    pub findings: usize,
    /// Voxels of all of them.
    pub voxels: usize,
    /// The part of all voxels that lies in these findings.
    pub mask_fraction: f64,
    /// Millilitres. None without known distances between voxels in all three directions.
    pub volume_ml: Option<f64>,
    /// Of a single slice only.
    pub area_mm2: Option<f64>,
    /// What is listed and marked besides, and in none of the numbers above.
    #[serde(default)]
    pub lesser: Lesser,
}

/// All lesser findings together.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lesser {
    /// How many there are.
    pub findings: usize,
    /// Voxels of all of them.
    pub voxels: usize,
    /// Millilitres. None without known distances between voxels in all three directions.
    pub volume_ml: Option<f64>,
}

/// What speaks for or against trusting the numbers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quality {
    /// Brightness, sharpness and noise of the image: what drift is measured by.
    pub features: Features,
    /// In words, for people.
    pub remarks: Vec<String>,
}

/// The scan as it was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageFacts {
    /// Slices, rows and columns of the pictures and of all indices here.
    pub shape: Shape,
    /// What lengths are given in.
    pub unit: Unit,
    /// Between slices (null for a single slice of unknown thickness), rows and columns.
    pub spacing_mm: Option<[Option<f64>; 3]>,
    /// None where the file does not say.
    pub modality: Option<Modality>,
    /// What kind of image it was taken for, and how it was classified.
    #[serde(default)]
    pub kind: ClassifiedKind,
    /// What kind of file the upload was.
    pub format: Format,
    /// The slice (from 0) that `mask.png` and `overlay.png` show.
    pub shown_slice: usize,
    /// What is at the edges of the pictures; None where the file does not say which way the patient lies: the pictures
    /// are then as stored, and nobody knows which side is which.
    #[serde(default)]
    pub view: Option<View>,
    /// The grid that the file stores, which `mask.nii.gz` has too.
    #[serde(default)]
    pub own_grid: Option<OwnGrid>,
}

/// The file's own grid, beside the one that the pictures and all indices have.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnGrid {
    /// Slices, rows and columns as the file stores them: those of `mask.nii.gz`.
    pub shape: Shape,
    /// How slices, rows and columns of the pictures run through it.
    #[serde(flatten)]
    pub orientation: Orientation,
}

/// Digests of what went in.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inputs {
    /// Of the decoded volume, in hex.
    pub volume_sha256: String,
    /// The digest that ties the result to tenant, scan and patient.
    pub binding: String,
    /// Which attempt at the analysis brought the result, from 1.
    pub attempt: u32,
}

/// When, and how long.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Timing {
    /// Milliseconds since the Unix epoch.
    pub accepted_ms: i64,
    /// Missing, as is `compute_ms`, where no analysis came to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub started_ms: Option<i64>,
    /// When the result was made, in milliseconds since the Unix epoch.
    pub finished_ms: i64,
    /// The same moments as RFC 3339 writes them.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = "date-time"))]
    pub accepted_at: Option<String>,
    /// As `started_ms`; missing with it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = "date-time"))]
    pub started_at: Option<String>,
    /// As `finished_ms`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = "date-time"))]
    pub finished_at: Option<String>,
    /// What the model's thread spent on the batches that this scan was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub compute_ms: Option<f64>,
}

impl Timing {
    /// Of an analysis between those moments, in milliseconds since the Unix epoch.
    pub fn new(accepted_ms: i64, started_ms: i64, finished_ms: i64, compute_ms: f64) -> Timing {
        Timing {
            started_ms: Some(started_ms),
            started_at: rfc3339(started_ms),
            compute_ms: Some(compute_ms),
            ..Timing::given_up(accepted_ms, finished_ms)
        }
    }

    /// Of a scan that was given up, in milliseconds since the Unix epoch.
    fn given_up(accepted_ms: i64, finished_ms: i64) -> Timing {
        Timing {
            accepted_ms,
            started_ms: None,
            finished_ms,
            accepted_at: rfc3339(accepted_ms),
            started_at: None,
            finished_at: rfc3339(finished_ms),
            compute_ms: None,
        }
    }
}

impl Totals {
    /// Adds up findings of one scan.
    pub fn new(findings: &[Finding], shape: Shape) -> Totals {
        let of = |role: Role| findings.iter().filter(move |finding| finding.role == role);
        let voxels = |role: Role| of(role).map(|finding| finding.voxels).sum();
        // A sum over nothing is -0.0.
        let volume_ml = |role: Role| {
            of(role).map(|finding| finding.volume_ml).sum::<Option<f64>>().map(|ml| ml + 0.0)
        };
        let areas = of(Role::Main).map(|finding| finding.area_mm2).sum::<Option<f64>>();
        let areas = areas.map(|mm2| mm2 + 0.0);
        let main: usize = voxels(Role::Main);
        Totals {
            includes: Role::Main,
            findings: of(Role::Main).count(),
            voxels: main,
            mask_fraction: main as f64 / shape.len().max(1) as f64,
            volume_ml: volume_ml(Role::Main),
            area_mm2: areas.filter(|_| shape.slices == 1),
            lesser: Lesser {
                findings: of(Role::Lesser).count(),
                voxels: voxels(Role::Lesser),
                volume_ml: volume_ml(Role::Lesser),
            },
        }
    }
}

impl ImageFacts {
    /// What is known of a volume that was taken for an image of that kind.
    pub fn new(volume: &Volume, kind: ClassifiedKind, shown_slice: usize) -> ImageFacts {
        ImageFacts {
            shape: volume.shape,
            unit: if volume.geometry.is_some() { Unit::Millimetre } else { Unit::Pixel },
            spacing_mm: volume
                .geometry
                .as_ref()
                .map(|g| g.spacing().map(|mm| Some(mm).filter(|mm| *mm > 0.0))),
            modality: volume.modality,
            kind,
            format: volume.format,
            shown_slice,
            view: volume.geometry.as_ref().and_then(View::of),
            own_grid: Some(OwnGrid { shape: volume.own_grid().0, orientation: volume.stored }),
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
        kind: (&Readings, &ClassifiedKind),
    ) -> Quality {
        let view = volume.geometry.as_ref().and_then(View::of);
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
            (
                view.is_none(),
                "the file does not say which way the patient lies: pictures are as stored, and sides are unknown",
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
        let (readings, classified) = kind;
        let remarks = remarks.chain(readings.remark(classified)).chain(lesser(findings));
        Quality { features, remarks: volume.remarks.iter().cloned().chain(remarks).collect() }
    }
}

/// Says what lies apart from the main finding, so that nobody overlooks it.
fn lesser(findings: &[Finding]) -> Option<String> {
    match findings.iter().filter(|finding| finding.role == Role::Lesser).count() {
        0 => None,
        1 => Some("one lesser finding lies apart from the main one: it is in no total".into()),
        count => Some(format!(
            "{count} lesser findings lie apart from the main one: they are in no total"
        )),
    }
}

/// How sure the model is, from all probabilities and what was found in them. A main finding is there if any is.
pub fn confidence(probabilities: &[f32], findings: &[Finding]) -> f64 {
    if findings.is_empty() {
        let highest = probabilities.iter().copied().fold(0.0, f32::max);
        return 1.0 - f64::from(highest);
    }
    let main = || findings.iter().filter(|finding| finding.role == Role::Main);
    let weighted: f64 = main().map(|finding| finding.confidence * finding.voxels as f64).sum();
    weighted / main().map(|finding| finding.voxels as f64).sum::<f64>()
}

impl ResultDocument {
    /// The result of a scan that nobody could look at: it says why, and nothing about the patient. Times are in milliseconds
    /// since the Unix epoch.
    pub fn failed(
        scan_id: String,
        reason: Option<String>,
        accepted_ms: i64,
        finished_ms: i64,
    ) -> ResultDocument {
        ResultDocument {
            header: DocumentHeader::default(),
            scan_id,
            answer: Answer::Failed,
            reason,
            findings: Vec::new(),
            totals: None,
            confidence: None,
            expected_dice: None,
            quality: None,
            image: None,
            model: None,
            inputs: None,
            witness: None,
            series: None,
            timing: Timing::given_up(accepted_ms, finished_ms),
        }
    }

    /// Whether it is the result of that very scan, with that answer and of those very voxels: what was kept is compared wherever it
    /// leaves.
    pub fn is_of(&self, scan_id: &str, answer: Answer, volume_sha256: &str) -> bool {
        let voxels = self.inputs.as_ref().map(|inputs| &inputs.volume_sha256);
        self.scan_id == scan_id
            && self.answer == answer
            && voxels.is_none_or(|digest| *digest == volume_sha256)
    }

    /// The bytes of `result.json`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a result is plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{Phantom, Settings};
    use crate::{Criteria, Findings, OperatingPoint, Reading};

    fn quality_of(volume: &Volume, findings: &[Finding]) -> Quality {
        let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
        let readings = Readings::alike(Reading::plain(64, operating_point));
        let kind = (&readings, &ClassifiedKind::default());
        Quality::new(volume, Features::new(volume), findings, Some(0.9), kind)
    }

    fn analysed(volume: &Volume, probabilities: &[f32]) -> (Totals, f64, Quality) {
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
        let found = Findings::new(probabilities, volume.shape, volume.geometry.as_ref(), criteria)
            .unwrap()
            .findings;
        let sure = confidence(probabilities, &found);
        let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
        let readings = Readings::alike(Reading::plain(64, operating_point));
        let kind = (&readings, &ClassifiedKind::default());
        let quality = Quality::new(volume, Features::new(volume), &found, Some(sure), kind);
        (Totals::new(&found, volume.shape), sure, quality)
    }

    #[test]
    fn a_failed_scans_result_is_of_the_same_form_and_tells_nothing_of_an_image() {
        let failed = ResultDocument::failed("7".into(), Some("why".into()), 1, 2);
        let bytes = failed.to_json();
        assert_eq!(serde_json::from_slice::<ResultDocument>(&bytes).unwrap(), failed);
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&document["schema"], &document["answer"]), (&SCHEMA.into(), &"failed".into()));
        for missing in ["quality", "image", "model", "inputs", "witness", "series"] {
            assert!(document.get(missing).is_none(), "{document}");
        }
        let timing = document["timing"].as_object().unwrap();
        assert!(!timing.contains_key("started_ms") && !timing.contains_key("compute_ms"));
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
    fn lesser_findings_are_told_and_in_no_total() {
        let shape = Shape { slices: 3, rows: 64, columns: 64 };
        let settings = Settings { shape, tumour: false, ..Settings::slice(1) };
        let Phantom { volume, .. } = Phantom::new(&settings).unwrap();
        let mut probabilities = vec![0.0; shape.len()];
        probabilities[64 * 64..][..20].fill(0.9);
        probabilities[64 * 64 + 640..][..10].fill(0.6);
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: Some(0.2) };
        let found = Findings::new(&probabilities, shape, volume.geometry.as_ref(), criteria);
        let found = found.unwrap().findings;
        let totals = Totals::new(&found, shape);
        assert_eq!((totals.findings, totals.voxels, totals.includes), (1, 20, Role::Main));
        assert_eq!((totals.lesser.findings, totals.lesser.voxels), (1, 10));
        let ml = |totals: Option<f64>| totals.unwrap();
        assert!((ml(totals.volume_ml) / ml(totals.lesser.volume_ml) - 2.0).abs() < 1e-9);
        assert!((confidence(&probabilities, &found) - 0.9).abs() < 1e-6);
        let quality = quality_of(&volume, &found);
        assert!(quality.remarks.iter().any(|words| words.contains("one lesser finding")));
        assert!(
            quality_of(&volume, &found[..1]).remarks.iter().all(|words| !words.contains("lesser"))
        );
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
