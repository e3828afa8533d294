use imaging::{Shape, TilePlacement};

use super::*;

const SIDE: usize = 8;
const INPUT: NetworkInput = NetworkInput { side: SIDE, mirrored: false };

/// A slice as a network saw it: so likely a tumour in its upper left quarter, and in its lower right one. The tumour, if
/// there is one, takes the upper left.
fn slice(tumour: bool, [upper, lower]: [f32; 2]) -> ScanPrediction {
    let half = SIDE / 2;
    let is_upper = |place: usize| place / SIDE < half && place % SIDE < half;
    let is_lower = |place: usize| place / SIDE >= half && place % SIDE >= half;
    let probability = |place: usize| match (is_upper(place), is_lower(place)) {
        (true, _) => upper,
        (_, true) => lower,
        _ => 0.0,
    };
    let placement = TilePlacement {
        rows: SIDE,
        columns: SIDE,
        side: SIDE,
        top: -0.5,
        left: -0.5,
        extent: SIDE as f64,
        aspect: 1.0,
    };
    ScanPrediction {
        shape: Shape { slices: 1, rows: SIDE, columns: SIDE },
        input: INPUT,
        classified: ClassifiedKind::default(),
        probabilities: (0..SIDE * SIDE).map(probability).collect(),
        placements: vec![placement],
        truth: (0..SIDE * SIDE).map(|place| u8::from(tumour && is_upper(place))).collect(),
        ms: 1.0,
    }
}

/// A network that is unsure: cuts from 0.4 to 0.5 are right.
const UNSURE: [f32; 2] = [0.55, 0.35];
/// One that is too sure: cuts from 0.7 to 0.8 are right.
const SURE: [f32; 2] = [0.85, 0.65];

/// Patients of these kinds, each with the one slice.
fn patients(kinds: &[ImageKind]) -> Vec<Patient> {
    let patient = |(id, kind): (usize, &ImageKind)| Patient {
        id: id.to_string(),
        source: "made".into(),
        kind: *kind,
        ..Patient::default()
    };
    kinds.iter().enumerate().map(patient).collect()
}

fn choice(patients: &[Patient], slices: Vec<Vec<ScanPrediction>>) -> Choice<'_> {
    Choice::new(patients, vec![Predictions::of_slices(INPUT, slices)], KindBy::Data, SIDE).unwrap()
}

/// The Dice of each patient.
fn dice(judged: &CohortOutcome) -> Vec<f64> {
    judged.cases.iter().map(|case| case.scans[0].counts().dice()).collect()
}

fn two_of_each() -> Vec<Vec<ScanPrediction>> {
    [UNSURE, UNSURE, SURE, SURE].map(|seen| vec![slice(true, seen)]).into()
}

/// Both quarters are marked: 2 * 16 / (32 + 16).
const BOTH: f64 = 2.0 / 3.0;

#[test]
fn the_cut_that_marks_the_tumour_and_nothing_else_is_chosen() {
    for seen in [UNSURE, SURE] {
        let patients = patients(&[ImageKind::Unknown; 9]);
        let choice = choice(&patients, vec![vec![slice(true, seen)]; 9]);
        let readings = choice.readings(&choice.everything(), &choice.all()).unwrap();
        let judged = choice.outcome(&readings, Form::Slice, &choice.all()).unwrap();
        assert_eq!(dice(&judged), [1.0; 9], "{seen:?}");
        // There is no volume to choose on: a volume is read like a slice, and nothing is promised of it.
        let Forms { slice, volume } = &readings.general;
        assert_eq!(volume.operating_point, slice.operating_point);
        assert!(volume.grows_from.is_none() && volume.expected_dice.is_none());
        assert!(slice.expected_dice.is_some(), "nine findings are enough to foretell the next");
    }
}

#[test]
fn each_kind_of_image_has_a_cut_of_its_own_where_that_is_allowed() {
    let kinds = [ImageKind::Flair, ImageKind::Flair, ImageKind::T1Contrast, ImageKind::T1Contrast];
    let patients = patients(&kinds);
    let choice = choice(&patients, two_of_each());
    let judged = |allowed: &Allowed| {
        let readings = choice.readings(allowed, &choice.all()).unwrap();
        dice(&choice.outcome(&readings, Form::Slice, &choice.all()).unwrap())
    };
    assert_eq!(judged(&choice.everything()), [1.0; 4]);
    // One cut for all: the one that loses least marks too much where the network is too sure.
    let alike = judged(&Allowed { kinds: false, ..choice.everything() });
    assert_eq!(alike, [1.0, 1.0, BOTH, BOTH]);
}

#[test]
fn a_patient_is_judged_by_what_was_chosen_on_the_others() {
    let patients = patients(&[ImageKind::Unknown; 4]);
    let choice = choice(&patients, two_of_each());
    let nested = choice.nested(&choice.everything(), &[0, 0, 1, 1]).unwrap();
    // By a cut for the too sure nothing is found in the unsure, and the other way about too much.
    assert_eq!(dice(&nested.forms[1]), [0.0, 0.0, BOTH, BOTH]);
    assert!(nested.forms[0].cases.is_empty(), "there is no volume");
    let groups = [0, 1, 0, 1];
    let mixed = choice.nested(&choice.everything(), &groups).unwrap();
    let ids: Vec<&str> = mixed.forms[1].cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["0", "2", "1", "3"], "everybody once");
}

#[test]
fn false_alarms_are_counted_where_others_say_that_few_are_missed() {
    let patients = patients(&[ImageKind::Unknown; 4]);
    // Each has a tumour in one slice and none in the other; in the last patient's, something looks like one.
    let of_patient = |lower: f32| vec![slice(true, [0.55, 0.0]), slice(false, [0.0, lower])];
    let choice = choice(&patients, [0.35, 0.35, 0.35, 0.75].map(of_patient).into());
    let [far, frr] = choice.missing_few(Form::Slice, "made", &[0, 1, 0, 1], 0.05);
    assert_eq!((far.count, far.of, frr.count, frr.of), (1, 4, 0, 4));
    // Where every tumour may be missed, nothing needs to be found.
    let [far, frr] = choice.missing_few(Form::Slice, "made", &[0, 1, 0, 1], 1.0);
    assert_eq!((far.count, frr.count), (0, 4));
    let [far, _] = choice.missing_few(Form::Slice, "another source", &[0, 1, 0, 1], 0.05);
    assert_eq!((far.rate, far.of), (None, 0));
}

#[test]
fn groups_hold_as_many_of_each_source_as_of_the_others() {
    let mut patients = patients(&[ImageKind::Unknown; 12]);
    patients[6..].iter_mut().for_each(|patient| patient.source = "other".into());
    let choice = choice(&patients, vec![vec![slice(true, SURE)]; 12]);
    assert_eq!(choice.groups(), [0, 1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 0]);
}
