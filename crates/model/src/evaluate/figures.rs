mod groups;

use imaging::{ExpectedDice, ImageKind, ModelInfo};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

pub use groups::{Group, GroupedBy};
use groups::{by_site, by_size};

use super::{Counts, Rate, Reliability, ReliabilityBin, bootstrap, mean, median};
use crate::dataset::Patient;

/// The bootstrap's seed: the same masks have the same interval.
const SEED: u64 = 1;

/// What `medseg evaluate --json` prints. Dice is 2 * overlap / (found + truth), and 1 where both are empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Which model was measured, and how it read.
    #[serde(serialize_with = "measured")]
    pub model: ModelInfo,
    /// Volumetric: over all slices of a patient together.
    pub patients: Vec<PatientDice>,
    /// The mean over patients; None without one.
    pub dice_mean: Option<f64>,
    /// The median over patients; None without one.
    pub dice_median: Option<f64>,
    /// 95 %, bootstrap over patients.
    pub dice_interval: Option<[f64; 2]>,
    /// Patients without tumour in the truth and in the mask, who count 1 above.
    pub patients_empty: usize,
    /// The mean over patients with tumour in the truth or in the mask.
    pub dice_mean_not_empty: Option<f64>,
    /// Over scans, where a patient has several.
    pub scans: usize,
    /// The mean of the scans' volumetric Dice.
    pub scan_dice_mean: Option<f64>,
    /// The mean Dice of the slices that show a tumour, with its 95 % interval (bootstrap over patients).
    pub slice_dice_mean: Option<f64>,
    /// 95 %, bootstrap over patients: slices of one patient are alike.
    pub slice_dice_interval: Option<[f64; 2]>,
    /// All slices of all patients.
    pub slices: usize,
    /// Those with tumour in the truth.
    pub slices_with_tumour: usize,
    /// Slices without tumour in which one was found, of all slices without.
    pub far: Rate,
    /// Slices with tumour in which none was found, of all slices with.
    pub frr: Rate,
    /// The same figures with lesser findings counted, too; None where there are none.
    pub with_lesser: Option<WithLesser>,
    /// What scans were taken for, of those whose kind is known; None without one.
    pub kinds: Option<KindAccuracy>,
    /// The same by where patients were scanned, and by how large the tumour is in a slice.
    pub groups: Vec<Group>,
    /// Expected calibration error over the pixels that are not ruled out (probability at least 0.01).
    pub calibration_error: Option<f64>,
    /// What the reliability diagram is drawn from.
    pub reliability: Vec<ReliabilityBin>,
    /// How often a scan's real Dice lies in the interval that was predicted; of scans with a finding.
    pub expected_dice_covers: Rate,
    /// From pixels to mask, without reading files.
    pub ms_per_slice: Option<f64>,
}

/// What changes when lesser findings count like main ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WithLesser {
    /// Slices in which only a lesser finding was marked.
    pub slices: usize,
    /// The mean volumetric Dice over patients; None without one.
    pub dice_mean: Option<f64>,
    /// False acceptance rate: slices without tumour in which something was marked, of all without.
    pub far: Rate,
    /// False rejection rate: slices with tumour in which nothing was marked, of all with.
    pub frr: Rate,
}

/// How often a scan's kind was classified rightly.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct KindAccuracy {
    /// As the data says.
    pub right: usize,
    /// `unknown`: read in the general way.
    pub unsure: usize,
    /// Taken for another kind, and so perhaps read in a way that is not theirs.
    pub wrong: usize,
}

/// The Dice of one patient, over all slices together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatientDice {
    /// As the manifest says it.
    pub id: String,
    /// What the data is called that the patient is in.
    pub source: String,
    /// Where the patient was scanned, if that is known.
    pub site: Option<String>,
    /// 0 to 1; 1 also where truth and mask both are empty.
    pub dice: f64,
    /// How many it was counted over.
    pub slices: usize,
}

/// A patient of an evaluation, with the outcome of each scan.
#[derive(Clone, Debug)]
pub struct Case {
    /// As the manifest says it.
    pub id: String,
    /// What the data is called that the patient is in.
    pub source: String,
    /// Where the patient was scanned, if that is known.
    pub site: Option<String>,
    /// What kind of image the patient's scans are.
    pub kind: ImageKind,
    /// One for each scan of the patient.
    pub scans: Vec<Outcome>,
}

/// What one scan came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One for each slice.
    pub slices: Vec<Counts>,
    /// The same with lesser findings.
    pub marked: Vec<Counts>,
    /// What kind of image it was taken for.
    pub classified: ImageKind,
    /// Pixels of a slice.
    pub slice_pixels: usize,
    /// None without a finding, or from a model that cannot tell.
    pub expected: Option<ExpectedDice>,
    /// Milliseconds from voxels to probabilities, of the whole scan.
    pub ms: f64,
}

impl Case {
    /// That patient, with no scan yet.
    pub fn new(patient: &Patient) -> Case {
        let Patient { id, source, site, kind, .. } = patient.clone();
        Case { id, source, site, kind, scans: Vec::new() }
    }

    fn counts(&self) -> Counts {
        self.scans.iter().fold(Counts::default(), |sum, scan| sum.plus(scan.counts()))
    }
}

impl Outcome {
    /// Over all slices together.
    pub fn counts(&self) -> Counts {
        self.slices.iter().fold(Counts::default(), |sum, counts| sum.plus(*counts))
    }

    /// The part of the scan that is marked.
    pub fn mask_fraction(&self) -> f64 {
        self.counts().found as f64 / (self.slice_pixels * self.slices.len()) as f64
    }
}

impl Evaluation {
    /// The figures of these patients.
    pub fn new(model_info: &ModelInfo, cases: &[Case], reliability: &Reliability) -> Evaluation {
        let volumes: Vec<Counts> = cases.iter().map(Case::counts).collect();
        let dice: Vec<f64> = volumes.iter().map(|volume| volume.dice()).collect();
        let not_empty: Vec<f64> =
            volumes.iter().filter(|v| v.found + v.truth > 0).map(|v| v.dice()).collect();
        let scans: Vec<&Outcome> = cases.iter().flat_map(|case| &case.scans).collect();
        let slices: Vec<Counts> = scans.iter().flat_map(|scan| scan.slices.clone()).collect();
        let of_slices: Vec<Vec<f64>> = cases.iter().map(slice_dice).collect();
        let per_patient = cases.iter().zip(&dice).map(|(case, dice)| PatientDice {
            id: case.id.clone(),
            source: case.source.clone(),
            site: case.site.clone(),
            dice: *dice,
            slices: case.scans.iter().map(|scan| scan.slices.len()).sum(),
        });
        let (far, frr) = rates(&slices);
        let predicted: Vec<(f64, ExpectedDice)> =
            scans.iter().filter_map(|scan| Some((scan.counts().dice(), scan.expected?))).collect();
        let covered =
            predicted.iter().filter(|(dice, e)| (e.interval[0]..=e.interval[1]).contains(dice));
        let ms = scans.iter().map(|scan| scan.ms).sum::<f64>();
        Evaluation {
            model: model_info.clone(),
            patients: per_patient.collect(),
            dice_mean: mean(&dice),
            dice_median: median(&dice),
            dice_interval: bootstrap(&grouped(&dice), SEED),
            patients_empty: dice.len() - not_empty.len(),
            dice_mean_not_empty: mean(&not_empty),
            scans: scans.len(),
            scan_dice_mean: mean(
                &scans.iter().map(|scan| scan.counts().dice()).collect::<Vec<_>>(),
            ),
            slice_dice_mean: mean(&of_slices.concat()),
            slice_dice_interval: bootstrap(&of_slices, SEED),
            slices: slices.len(),
            slices_with_tumour: frr.of,
            far,
            frr,
            with_lesser: with_lesser(cases),
            kinds: kind_accuracy(cases),
            groups: by_site(cases).into_iter().chain(by_size(cases)).collect(),
            calibration_error: reliability.error(),
            reliability: reliability.curve(),
            expected_dice_covers: Rate::new(covered.count(), predicted.len()),
            ms_per_slice: (!slices.is_empty()).then(|| ms / slices.len() as f64),
        }
    }
}

fn with_lesser(cases: &[Case]) -> Option<WithLesser> {
    let scans = || cases.iter().flat_map(|case| &case.scans);
    if scans().all(|scan| scan.slices == scan.marked) {
        return None;
    }
    let marked: Vec<Counts> = scans().flat_map(|scan| scan.marked.clone()).collect();
    let only = |(main, all): (&Counts, &Counts)| main.found == 0 && all.found > 0;
    let slices = scans().flat_map(|scan| scan.slices.iter().zip(&scan.marked));
    let slices = slices.filter(|pair| only(*pair)).count();
    let dice = |case: &Case| {
        let all = case.scans.iter().flat_map(|scan| &scan.marked);
        all.fold(Counts::default(), |sum, counts| sum.plus(*counts)).dice()
    };
    let (far, frr) = rates(&marked);
    let dice_mean = mean(&cases.iter().map(dice).collect::<Vec<_>>());
    Some(WithLesser { slices, dice_mean, far, frr })
}

fn kind_accuracy(cases: &[Case]) -> Option<KindAccuracy> {
    let known = cases.iter().filter(|case| case.kind != ImageKind::Unknown);
    let pairs: Vec<(ImageKind, ImageKind)> =
        known.flat_map(|case| case.scans.iter().map(|scan| (case.kind, scan.classified))).collect();
    let right = pairs.iter().filter(|(kind, classified)| kind == classified).count();
    let unsure = pairs.iter().filter(|(_, classified)| *classified == ImageKind::Unknown).count();
    (!pairs.is_empty()).then(|| KindAccuracy { right, unsure, wrong: pairs.len() - right - unsure })
}

/// Each value as a group of its own, for the bootstrap.
fn grouped(values: &[f64]) -> Vec<Vec<f64>> {
    values.iter().map(|value| vec![*value]).collect()
}

/// The Dice of each of a patient's slices with a tumour.
fn slice_dice(case: &Case) -> Vec<f64> {
    let slices = case.scans.iter().flat_map(|scan| &scan.slices);
    slices.filter(|counts| counts.truth > 0).map(|counts| counts.dice()).collect()
}

/// FAR and FRR of slices.
fn rates(slices: &[Counts]) -> (Rate, Rate) {
    let (with, without): (Vec<Counts>, Vec<Counts>) =
        slices.iter().partition(|counts| counts.truth > 0);
    let found = without.iter().filter(|counts| counts.found > 0).count();
    let missed = with.iter().filter(|counts| counts.found == 0).count();
    (Rate::new(found, without.len()), Rate::new(missed, with.len()))
}

/// What figures say of the model: enough to measure it again.
fn measured<S: Serializer>(model: &ModelInfo, serializer: S) -> Result<S::Ok, S::Error> {
    let ModelInfo { facts, sha256, device } = model;
    let mut object = serializer.serialize_struct("Model", 6)?;
    object.serialize_field("name", &facts.name)?;
    object.serialize_field("version", &facts.version)?;
    object.serialize_field("sha256", sha256)?;
    object.serialize_field("data_version", &facts.data_version)?;
    object.serialize_field("device", device)?;
    object.serialize_field("readings", &facts.readings)?;
    object.end()
}

#[cfg(test)]
mod tests {
    use super::groups::SIZES;
    use super::*;
    use crate::evaluate::plot;
    use crate::evaluate::tests::model_info;

    fn counts(overlap: usize, found: usize, truth: usize) -> Counts {
        Counts { overlap, found, truth }
    }

    fn case(id: &str, site: &str, slices: Vec<Counts>) -> Case {
        let scan = Outcome {
            marked: slices.clone(),
            slices,
            classified: ImageKind::Flair,
            slice_pixels: 1000,
            expected: None,
            ms: 10.0,
        };
        Case {
            id: id.into(),
            source: "made".into(),
            site: Some(site.into()),
            kind: ImageKind::Flair,
            scans: vec![scan],
        }
    }

    fn evaluation(cases: &[Case]) -> Evaluation {
        Evaluation::new(&model_info(), cases, &Reliability::default())
    }

    #[test]
    fn figures_say_of_the_model_what_measures_it_again_and_no_more() {
        let evaluation =
            serde_json::to_value(evaluation(&[case("a", "X", vec![counts(1, 1, 1)])])).unwrap();
        let mut said: Vec<_> = evaluation["model"].as_object().unwrap().keys().collect();
        said.sort();
        assert_eq!(said, ["data_version", "device", "name", "readings", "sha256", "version"]);
        assert_eq!(evaluation["model"]["name"], "test");
    }

    #[test]
    fn the_figures_of_a_case_counted_by_hand() {
        let e = evaluation(&[
            // 2 * 6 / (10 + 8) over both slices; one slice with tumour at 2 * 6 / 14, one false alarm.
            case("a", "X", vec![counts(6, 6, 8), counts(0, 4, 0)]),
            // Missed altogether.
            case("b", "X", vec![counts(0, 0, 4), counts(0, 0, 0)]),
            // Empty in both.
            case("c", "Y", vec![counts(0, 0, 0)]),
        ]);
        let dice: Vec<f64> = e.patients.iter().map(|patient| patient.dice).collect();
        assert_eq!(dice, [12.0 / 18.0, 0.0, 1.0]);
        assert_eq!(
            (e.dice_mean, e.dice_median),
            (Some((12.0 / 18.0 + 1.0) / 3.0), Some(12.0 / 18.0))
        );
        assert_eq!((e.patients_empty, e.dice_mean_not_empty), (1, Some(6.0 / 18.0)));
        assert_eq!(e.slice_dice_mean, Some(12.0 / 14.0 / 2.0));
        assert_eq!((e.slices, e.slices_with_tumour, e.ms_per_slice), (5, 2, Some(6.0)));
        assert_eq!((e.far.count, e.far.of, e.frr.count, e.frr.of), (1, 3, 1, 2));
        let groups: Vec<(&str, usize, Option<f64>, usize)> =
            e.groups.iter().map(|g| (g.name.as_str(), g.count, g.dice_mean, g.frr.count)).collect();
        assert_eq!(
            groups,
            [
                ("X", 2, Some(6.0 / 18.0), 1),
                ("Y", 1, Some(1.0), 0),
                (SIZES[0], 1, Some(0.0), 1),
                (SIZES[1], 1, Some(12.0 / 14.0), 0),
            ]
        );
    }

    #[test]
    fn lesser_findings_have_figures_of_their_own() {
        let mut cases = vec![
            case("a", "X", vec![counts(6, 6, 8), counts(0, 0, 0)]),
            case("b", "X", vec![counts(0, 0, 4)]),
        ];
        assert_eq!(evaluation(&cases).with_lesser, None);
        cases[0].scans[0].marked[1] = counts(0, 3, 0);
        cases[1].scans[0].marked[0] = counts(2, 2, 4);
        let e = evaluation(&cases);
        assert_eq!((e.far.count, e.frr.count), (0, 1));
        let lesser = e.with_lesser.unwrap();
        assert_eq!((lesser.slices, lesser.far.count, lesser.frr.count), (2, 1, 0));
        assert_eq!(lesser.dice_mean, Some((12.0 / 17.0 + 4.0 / 6.0) / 2.0));
    }

    #[test]
    fn kinds_are_counted_where_they_are_known() {
        let mut cases: Vec<Case> =
            (0..4).map(|i| case(&i.to_string(), "X", vec![counts(1, 1, 1)])).collect();
        cases[1].scans[0].classified = ImageKind::Unknown;
        cases[2].scans[0].classified = ImageKind::T1Contrast;
        cases[3].kind = ImageKind::Unknown;
        let accuracy = KindAccuracy { right: 1, unsure: 1, wrong: 1 };
        assert_eq!(evaluation(&cases).kinds, Some(accuracy));
        assert_eq!(evaluation(&cases[3..]).kinds, None);
    }

    #[test]
    fn an_interval_covers_when_the_real_dice_lies_in_it() {
        let mut cases = vec![
            case("a", "X", vec![counts(8, 10, 10)]),
            case("b", "X", vec![counts(1, 10, 10)]),
            case("c", "X", vec![counts(0, 0, 10)]),
        ];
        let expected = ExpectedDice { dice: 0.8, interval: [0.7, 0.9] };
        cases[..2].iter_mut().for_each(|case| case.scans[0].expected = Some(expected));
        let covers = evaluation(&cases).expected_dice_covers;
        assert_eq!((covers.count, covers.of), (1, 2));
    }

    #[test]
    fn the_plot_names_every_patient() {
        let svg = plot(&evaluation(&[
            case("<x>", "X", vec![counts(1, 1, 1)]),
            case("y", "X", vec![counts(0, 0, 1)]),
        ]));
        assert!(
            svg.contains("&lt;x&gt;: 1.000")
                && svg.contains("y: 0.000")
                && svg.ends_with("</svg>\n")
        );
    }
}
