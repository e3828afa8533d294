use super::*;

fn patient(id: &str) -> Patient {
    Patient { id: id.into(), ..Patient::default() }
}

#[test]
fn a_split_keeps_patients_apart_and_a_seed_draws_it_again() {
    let patients: Vec<Patient> = (0..20).map(|i| patient(&i.to_string())).collect();
    let split = Split::draw(patients.clone(), 0.2, 7).unwrap();
    assert_eq!((split.training.len(), split.validation.len()), (16, 4));
    assert!(split.validation.iter().all(|patient| !split.training.contains(patient)));
    assert_eq!(split, Split::draw(patients.clone(), 0.2, 7).unwrap());
    assert_ne!(split, Split::draw(patients, 0.2, 8).unwrap());
}

#[test]
fn folds_share_out_all_patients_and_keep_the_datas_own() {
    let patients: Vec<Patient> = (0..11).map(|i| patient(&i.to_string())).collect();
    let folds = Split::folds(patients.clone(), 5, 7).unwrap();
    let mut judged: Vec<Patient> = folds.iter().flat_map(|fold| fold.validation.clone()).collect();
    judged.sort_by_key(|patient| patient.id.parse::<u32>().unwrap());
    assert_eq!(judged, patients);
    assert!(folds.iter().all(|fold| fold.training.len() + fold.validation.len() == 11));
    let own = |id: u32| Patient { fold: Some((id % 4).to_string()), ..patient(&id.to_string()) };
    let folds = Split::folds((0..11).map(own).collect(), 5, 7).unwrap();
    let of_fold =
        |split: &Split| split.validation.iter().all(|p| p.fold == split.validation[0].fold);
    assert!(folds[..4].iter().all(of_fold) && folds[4].validation.is_empty());
    assert!(
        Split::folds(patients.clone(), 12, 7).is_err() && Split::folds(patients, 1, 7).is_err()
    );
}

#[test]
fn a_patient_on_both_sides_is_refused_by_name() {
    let split =
        Split { training: vec![patient("a"), patient("b")], validation: vec![patient("b")] };
    assert!(split.clone().checked().unwrap_err().to_string().contains("patient b"));
    let other = Split { training: vec![patient("c")], validation: vec![patient("a")] };
    assert!(other.and(split).unwrap_err().to_string().contains("patient "));
    assert!(Split::draw(vec![patient("a"), patient("a")], 0.5, 1).is_err());
    assert!(Split::draw(vec![patient("a")], 0.5, 1).is_err());
}

#[test]
fn where_the_data_has_folds_whole_folds_are_drawn() {
    let patient =
        |id: u32| Patient { fold: Some((id % 4).to_string()), ..patient(&id.to_string()) };
    for seed in 0..5 {
        let split = Split::draw((0..12).map(patient).collect(), 0.25, seed).unwrap();
        let fold = &split.validation[0].fold;
        assert_eq!((split.validation.len(), split.training.len()), (3, 9));
        assert!(split.validation.iter().all(|patient| patient.fold == *fold), "seed {seed}");
        assert!(split.training.iter().all(|patient| patient.fold != *fold), "seed {seed}");
    }
}

#[test]
fn somebody_is_on_each_side_whatever_part_is_asked_for() {
    for (part, validation) in [(0.0, 1), (0.01, 1), (0.5, 3), (1.0, 4), (7.0, 4)] {
        let patients = (0..5).map(|id| patient(&id.to_string())).collect();
        let split = Split::draw(patients, part, 1).unwrap();
        assert_eq!(split.validation.len(), validation, "{part}");
        assert_eq!(split.training.len(), 5 - validation, "{part}");
    }
}

#[test]
fn folds_of_the_data_are_never_torn_apart_to_make_fewer() {
    let own = |id: u32| Patient { fold: Some(id.to_string()), ..patient(&id.to_string()) };
    let why = Split::folds((0..4).map(own).collect(), 3, 1).unwrap_err().to_string();
    assert!(why.contains("4 patients or folds do not make 3 folds"), "{why}");
}

#[test]
fn a_digest_names_slices_and_sides_and_not_where_the_folder_lies() {
    let split = |root: &str, mask: &str, number: u32| {
        let at = |name: &str| Path::new(root).join(name);
        let slices = vec![Entry { slice: number, image: at("1.png"), mask: at(mask) }];
        let source = "made".to_owned();
        let training = vec![Patient { slices, source, ..patient("a") }];
        Split { training, validation: vec![patient("b")] }
    };
    let one = split("/here", "1_mask.png", 1).digest();
    assert_eq!(split("/there/too", "1_mask.png", 1).digest(), one);
    let mut turned = split("/here", "1_mask.png", 1);
    std::mem::swap(&mut turned.training, &mut turned.validation);
    let others = [
        split("/here", "1_seg.png", 1).digest(),
        split("/here", "1_mask.png", 2).digest(),
        turned.digest(),
    ];
    assert!(others.iter().all(|other| *other != one && other.len() == 64), "{others:?}");
}

/// Patients of these parts, in that order; an empty name is none.
fn of_parts(parts: &[&str]) -> Vec<Patient> {
    let of = |(number, part): (usize, &&str)| Patient {
        part: Part::of_name(part),
        ..patient(&number.to_string())
    };
    parts.iter().enumerate().map(of).collect()
}

#[test]
fn parts_that_the_data_names_are_kept_and_its_test_patients_are_on_no_side() {
    let ids = |side: &[Patient]| side.iter().map(|patient| patient.id.clone()).collect::<Vec<_>>();
    let parts = ["training", "test", "validation", "training"];
    for seed in 0..5 {
        let split = Split::of(of_parts(&parts), 0.9, seed).unwrap();
        assert_eq!(
            (ids(&split.training), ids(&split.validation)),
            (vec!["0".to_owned(), "3".to_owned()], vec!["2".to_owned()])
        );
    }
    let drawn = Split::of(of_parts(&["", "", "", ""]), 0.25, 7).unwrap();
    assert_eq!(drawn, Split::draw(of_parts(&["", "", "", ""]), 0.25, 7).unwrap());
}

#[test]
fn parts_that_are_named_for_some_or_leave_a_side_empty_are_refused() {
    let why = |parts: &[&str]| Split::of(of_parts(parts), 0.5, 1).unwrap_err().to_string();
    assert!(why(&["training", "", "validation"]).contains("patient 1 is in no part"));
    assert!(why(&["training", "test"]).contains("nobody is in part validation"));
    assert!(why(&["validation", "test"]).contains("nobody is in part training"));
}
