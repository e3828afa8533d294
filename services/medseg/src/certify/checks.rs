//! What a result says of a solid, beside what the solid's formula says.

use domain::Answer;
use imaging::phantom::SolidTruth;
use imaging::{Finding, ResultDocument, Shape};
use serde::{Deserialize, Serialize};

use super::cases::Case;

/// How far a volume may be off, as a part of it.
pub const VOLUME_ERROR_MAX: f64 = 0.02;
/// How far diameters and centres may be off, in voxels.
pub const VOXELS_ERROR_MAX: f64 = 1.0;
/// How far a voxel may come back from the patient from where it was, in voxels.
pub const ROUND_TRIP_ERROR_MAX: f64 = 0.5;

/// One case of a certificate.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    pub name: String,
    /// How it came in, and where columns, rows and slices of its file lead.
    pub door: String,
    pub measures: Vec<Measure>,
    /// What is wrong besides; empty where nothing is.
    pub problems: Vec<String>,
    pub passed: bool,
}

/// A number beside the true one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    pub name: String,
    pub expected: f64,
    pub measured: f64,
    /// How far it is off, in `unit`.
    pub error: f64,
    /// How far it may be.
    pub limit: f64,
    /// Of error and limit: `%` or `voxels`.
    pub unit: String,
}

impl Measure {
    /// A length in millimetres, as voxels of that size tell it.
    fn of_length(name: &str, [expected, measured]: [f64; 2], voxel_mm: f64) -> Measure {
        let error = (measured - expected).abs() / voxel_mm;
        Measure::new(name, [expected, measured], (error, VOXELS_ERROR_MAX), "voxels")
    }

    fn new(name: &str, numbers: [f64; 2], (error, limit): (f64, f64), unit: &str) -> Measure {
        let [expected, measured] = numbers.map(rounded);
        let (name, unit) = (name.to_owned(), unit.to_owned());
        Measure { name, expected, measured, error: rounded(error), limit, unit }
    }

    /// What is no number passes nothing.
    fn passed(&self) -> bool {
        self.error <= self.limit
    }
}

/// What the result says of the case's solid.
pub fn checked(case: &Case, truth: &SolidTruth, result: &ResultDocument) -> Checked {
    let mut problems = Vec::new();
    let measures = match &result.findings[..] {
        [finding] if result.answer == Answer::Found => {
            problems.extend(contradictions(case, truth, result, finding));
            measures(case, truth, result, finding)
        }
        findings => {
            let (answer, count) = (result.answer.name(), findings.len());
            problems
                .push(format!("the answer is {answer} with {count} findings, where there is one"));
            Vec::new()
        }
    };
    let passed = problems.is_empty() && measures.iter().all(Measure::passed);
    Checked { name: case.name.to_owned(), door: case.door(), measures, problems, passed }
}

/// What the result says that can be measured; what it lacks is told besides.
fn measures(
    case: &Case,
    truth: &SolidTruth,
    result: &ResultDocument,
    finding: &Finding,
) -> Vec<Measure> {
    let [slice_mm, row_mm, column_mm] = case.spacing();
    let pixel_mm = row_mm.max(column_mm);
    let volume = finding.volume_ml.map(|ml| {
        let truth_ml = truth.volume_mm3 / 1000.0;
        let off = 100.0 * (ml / truth_ml - 1.0).abs();
        Measure::new("volume, mL", [truth_ml, ml], (off, 100.0 * VOLUME_ERROR_MAX), "%")
    });
    let of_length = |name, truth, length| Measure::of_length(name, [truth, length], pixel_mm);
    let longest =
        of_length("longest diameter, mm", truth.longest_mm, finding.longest_diameter.length);
    let perpendicular = of_length(
        "perpendicular diameter, mm",
        truth.perpendicular_mm,
        finding.perpendicular_diameter.length,
    );
    let centre = finding.centroid_mm.map(|centre| {
        let squares = centre.iter().zip(truth.centre_mm).map(|(a, b)| (a - b).powi(2));
        let astray = squares.sum::<f64>().sqrt();
        Measure::of_length("centre, mm astray", [0.0, astray], slice_mm.max(pixel_mm))
    });
    let round_trip = result.witness.map(|witness| {
        let astray = witness.largest_error_voxels;
        let off = (astray, ROUND_TRIP_ERROR_MAX);
        Measure::new("round trip, voxels astray", [0.0, astray], off, "voxels")
    });
    let all = [volume, Some(longest), Some(perpendicular), centre, round_trip];
    all.into_iter().flatten().collect()
}

/// What must be exactly so, and is not.
fn contradictions(
    case: &Case,
    truth: &SolidTruth,
    result: &ResultDocument,
    finding: &Finding,
) -> Vec<String> {
    let said = [
        ("volume", finding.volume_ml.is_some()),
        ("place in the patient", finding.centroid_mm.is_some()),
        ("round trip into the patient and back", result.witness.is_some()),
    ];
    let lacking = said.into_iter().filter(|(_, is_said)| !is_said);
    let mut problems: Vec<String> =
        lacking.map(|(what, _)| format!("the result has no {what}")).collect();
    let bounds = [finding.bounds.from, finding.bounds.to];
    if bounds != truth.bounds {
        problems.push(format!("the box is {bounds:?}, where it is {:?}", truth.bounds));
    }
    let shape = result.image.as_ref().map(|image| image.shape);
    if shape != Some(case.shape()) {
        let Shape { slices, rows, columns } = case.shape();
        problems.push(format!(
            "the pictures are not the {slices} of {rows} by {columns} that there are"
        ));
    }
    if finding.laterality != case.side {
        let [said, is] = [finding.laterality, case.side]
            .map(|side| side.map_or("none".to_owned(), |side| format!("{side:?}").to_lowercase()));
        problems.push(format!("the side is said to be {said}, where it is {is}"));
    }
    problems
}

/// To millionths: what is read from JSON is then what was written there.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use imaging::phantom::Solid;
    use imaging::{
        ClassifiedKind, Criteria, Findings, ImageFacts, Laterality, Volume, Witness, mask_nifti,
    };

    use super::super::cases::ALL;
    use super::*;

    /// What is measured when each voxel is answered rightly.
    fn result(volume: &Volume, solid: &Solid) -> ResultDocument {
        let inside: Vec<f32> = solid.mask().into_iter().map(f32::from).collect();
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
        let found = Findings::new(&inside, volume.shape, volume.geometry.as_ref(), criteria);
        let found = found.unwrap().located(volume).unwrap();
        let written = mask_nifti(volume, &found).unwrap();
        ResultDocument {
            answer: Answer::Found,
            witness: Witness::of_file(volume, &found, &written).unwrap(),
            image: Some(ImageFacts::new(volume, ClassifiedKind::default(), 0)),
            findings: found.findings,
            ..ResultDocument::failed("7".into(), None, 0, 0)
        }
    }

    #[test]
    fn what_marks_each_voxel_rightly_passes_each_case() {
        for case in &ALL {
            let solid = case.solid().unwrap();
            let volume = solid.volume().stored_as("RAS").unwrap().radiological();
            let checked = checked(case, &solid.truth(), &result(&volume, &solid));
            assert!(checked.passed, "{checked:#?}");
        }
    }

    #[test]
    fn each_thing_that_is_off_is_told() {
        type Change = dyn Fn(&mut ResultDocument);
        let case = &ALL[0];
        let solid = case.solid().unwrap();
        let right = result(&solid.volume(), &solid);
        let told = |change: &Change| {
            let mut result = right.clone();
            change(&mut result);
            let checked = checked(case, &solid.truth(), &result);
            assert!(!checked.passed, "{checked:?}");
            let failed = checked.measures.iter().filter(|measure| !measure.passed());
            failed.map(|measure| measure.name.clone()).chain(checked.problems).collect::<String>()
        };
        let changes: [(&str, &Change); 8] = [
            ("volume", &|it| it.findings[0].volume_ml = Some(117.0)),
            ("volume", &|it| it.findings[0].volume_ml = None),
            ("longest", &|it| it.findings[0].longest_diameter.length += 3.0),
            ("perpendicular", &|it| it.findings[0].perpendicular_diameter.length -= 6.0),
            ("box", &|it| it.findings[0].bounds.to[2] += 1),
            ("side", &|it| it.findings[0].laterality = Some(Laterality::Right)),
            ("round trip", &|it| it.witness = None),
            ("none_found", &|it| (it.answer, it.findings) = (Answer::NoneFound, Vec::new())),
        ];
        for (what, change) in changes {
            let told = told(change);
            assert!(told.contains(what), "{what}: {told}");
        }
    }
}
