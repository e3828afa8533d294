use std::fs;

use imaging::ImageKind;

use super::*;

fn patient(id: usize) -> Patient {
    Patient { id: format!("p{id:03}"), ..Patient::default() }
}

/// Of whom nobody is in a part yet.
fn draw(patients: Vec<Patient>, shares: Shares, seed: u64) -> Result<BTreeMap<String, Part>> {
    super::draw(patients, shares, seed, &BTreeMap::new())
}

fn counts(parts: &BTreeMap<String, Part>) -> [usize; 3] {
    Part::ALL.map(|part| parts.values().filter(|other| **other == part).count())
}

fn shares(validation: f64, test: f64) -> Shares {
    Shares { validation, test }
}

#[test]
fn everybody_is_in_one_part_and_the_parts_have_the_sizes_that_were_asked_for() {
    for (all, validation, test, sizes) in [
        (100, 0.17, 0.1, [73, 17, 10]),
        (12, 0.25, 0.17, [7, 3, 2]),
        (10, 0.01, 0.0, [9, 1, 0]),
        (3, 0.1, 0.1, [1, 1, 1]),
    ] {
        for seed in 0..5 {
            let parts =
                draw((0..all).map(patient).collect(), shares(validation, test), seed).unwrap();
            assert_eq!((parts.len(), counts(&parts)), (all, sizes), "seed {seed}");
        }
    }
}

#[test]
fn a_seed_draws_the_same_again_and_another_draws_others() {
    let drawn = |seed| draw((0..40).map(patient).collect(), shares(0.2, 0.2), seed).unwrap();
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}

#[test]
fn each_kind_and_site_is_spread_over_the_parts() {
    let with = |number: usize| Patient {
        kind: if number < 40 { ImageKind::Flair } else { ImageKind::T1Contrast },
        site: Some((number % 2).to_string()),
        ..patient(number)
    };
    let patients: Vec<Patient> = (0..80).map(with).collect();
    for seed in 0..5 {
        let parts = draw(patients.clone(), shares(0.2, 0.1), seed).unwrap();
        // Of each of the four strata there are 20: 14, 4 and 2 of them, up to one.
        for stratum in patients.chunk_by(|a, b| a.kind == b.kind) {
            for site in ["0", "1"] {
                let of = |part: Part| {
                    let there = stratum.iter().filter(|it| it.site.as_deref() == Some(site));
                    there.filter(|it| parts[&it.id] == part).count()
                };
                let [training, validation, test] = Part::ALL.map(of);
                let near = |count: usize, wanted: usize| count.abs_diff(wanted) <= 1;
                assert!(
                    near(training, 14) && near(validation, 4) && near(test, 2),
                    "seed {seed}: {training}, {validation}, {test}"
                );
            }
        }
    }
}

#[test]
fn patients_of_one_fold_stay_together() {
    let with = |number: usize| Patient { fold: Some((number / 3).to_string()), ..patient(number) };
    let patients: Vec<Patient> = (0..30).map(with).collect();
    for seed in 0..5 {
        let parts = draw(patients.clone(), shares(0.3, 0.2), seed).unwrap();
        for fold in patients.chunks(3) {
            assert!(fold.iter().all(|it| parts[&it.id] == parts[&fold[0].id]), "seed {seed}");
        }
    }
}

#[test]
fn parts_that_leave_nobody_to_learn_from_are_refused() {
    let why = |all: usize, validation: f64, test: f64| {
        let patients = (0..all).map(patient).collect();
        draw(patients, shares(validation, test), 7).unwrap_err().to_string()
    };
    for (validation, test) in [(0.5, 0.5), (1.0, 0.0), (-0.1, 0.2), (f64::NAN, 0.1)] {
        assert!(why(10, validation, test).contains("leave nothing to learn from"));
    }
    assert!(why(2, 0.1, 0.1).contains("2 patients or folds are too few"));
}

#[test]
fn a_column_is_written_once_and_all_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "a, left.png"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let manifest = folder.path().join("manifest.csv");
    let line = |id: &str| format!("{id},\"a, left.png\",1,a.png,\"said \"\"so\"\"\"\n");
    let lines: String = ["p", "q", "r"].map(line).concat();
    fs::write(&manifest, format!("patient,image,slice,mask,note\n{lines}")).unwrap();
    let drawn = write_parts(folder.path(), shares(0.3, 0.3), 7, false).unwrap();
    assert_eq!(drawn.values().copied().collect::<Vec<_>>(), [1, 1, 1]);
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.starts_with("patient,image,slice,mask,note,part\np,\"a, left.png\",1,a.png,"));
    assert_eq!(text.matches("\"said \"\"so\"\"\"").count(), 3);

    let refused = write_parts(&manifest, shares(0.3, 0.3), 8, false).unwrap_err();
    assert_eq!(
        (refused.kind(), fs::read_to_string(&manifest).unwrap()),
        (ErrorKind::Conflict, text)
    );
    write_parts(&manifest, shares(0.3, 0.0), 8, true).unwrap();
    let patients = super::super::read(&manifest).unwrap();
    assert!(
        patients
            .iter()
            .all(|patient| matches!(patient.part, Some(Part::Training | Part::Validation)))
    );
}

#[test]
fn whoever_is_in_a_part_stays_there_when_others_come() {
    let with = |number: usize| Patient { fold: Some((number / 2).to_string()), ..patient(number) };
    let patients: Vec<Patient> = (0..40).map(with).collect();
    for seed in 0..5 {
        // Of some folds one patient was there before.
        let first: Vec<Patient> = patients.iter().step_by(2).take(10).cloned().collect();
        let before = draw(first, shares(0.2, 0.2), seed).unwrap();
        let after = super::draw(patients.clone(), shares(0.2, 0.2), seed + 1, &before).unwrap();
        assert!(before.iter().all(|(id, part)| after[id] == *part), "seed {seed}");
        assert!(patients.chunks(2).all(|fold| after[&fold[0].id] == after[&fold[1].id]));
        assert_eq!((after.len(), counts(&after)), (40, [24, 8, 8]), "seed {seed}");
    }
    // Somebody who was measured on is not learned from, whoever turns out to be the same patient.
    let before = [("p000".to_owned(), Part::Training), ("p001".to_owned(), Part::Test)].into();
    let after = super::draw(patients, shares(0.2, 0.2), 7, &before).unwrap();
    assert_eq!([after["p000"], after["p001"]], [Part::Test; 2]);
}
