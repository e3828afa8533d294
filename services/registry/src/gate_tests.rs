use super::*;

fn evaluation() -> Evaluation {
    Evaluation {
        gate_set: "phantoms-1".into(),
        dice_mean: 0.90,
        dice_low: 0.88,
        dice_high: 0.92,
        far: 0.02,
        far_low: 0.01,
        far_high: 0.05,
        frr: 0.03,
        frr_low: 0.01,
        frr_high: 0.06,
        ms_per_slice: 80.0,
        golden_dice: Some(0.999),
        kinds: ["flair", "t1_contrast"].map(|kind| of_kind(kind, 0.9)).into(),
        ..Evaluation::default()
    }
}

/// A Dice that is known to 0.02.
fn of_kind(kind: &str, dice_mean: f64) -> KindFigures {
    KindFigures {
        image_kind: kind.into(),
        dice_mean,
        dice_low: dice_mean - 0.02,
        dice_high: dice_mean + 0.02,
        ..KindFigures::default()
    }
}

fn refused_by(candidate: Option<&Evaluation>, serving: Option<&Evaluation>) -> Vec<String> {
    refused_at("", candidate, serving)
}

/// The checks that refuse it, those of a kind as NAME KIND.
fn refused_at(
    kind: &str,
    candidate: Option<&Evaluation>,
    serving: Option<&Evaluation>,
) -> Vec<String> {
    let checks = checks(candidate, serving, kind, &GateRules::default());
    let failed = checks.into_iter().filter(|check| !check.passed);
    failed.map(|it| format!("{} {}", it.name, it.image_kind).trim_end().to_owned()).collect()
}

#[test]
fn a_kinds_route_is_judged_by_its_own_cases_and_the_whole_by_each_kinds() {
    let serving = evaluation();
    let kinds = vec![of_kind("flair", 0.95), of_kind("t1_contrast", 0.7)];
    let better_at_flair = Evaluation { kinds, ..evaluation() };
    let refused = |kind: &str| refused_at(kind, Some(&better_at_flair), Some(&serving));
    assert_eq!(refused("flair"), [""; 0]);
    assert_eq!(refused("t1_contrast"), ["dice t1_contrast"]);
    assert_eq!(refused(""), ["dice t1_contrast"]);
    // What is worse in all is not what a kind is judged by.
    let worse = Evaluation { dice_mean: 0.85, dice_high: 0.899, ..evaluation() };
    assert_eq!(refused_at("flair", Some(&worse), Some(&serving)), [""; 0]);
    let alarming =
        KindFigures { far: 0.1, far_low: 0.01, frr: 0.2, frr_low: 0.1, ..of_kind("flair", 0.9) };
    let alarming =
        Evaluation { kinds: vec![alarming, of_kind("t1_contrast", 0.9)], ..evaluation() };
    assert_eq!(refused_by(Some(&alarming), Some(&serving)), ["far flair", "frr flair"]);
}

#[test]
fn a_kind_without_a_case_is_named_and_has_no_route_by_the_gates_leave() {
    let flair_only = || Evaluation { kinds: vec![of_kind("flair", 0.9)], ..evaluation() };
    for serving in [None, Some(flair_only())] {
        let of = |kind: &str| refused_at(kind, Some(&flair_only()), serving.as_ref());
        assert_eq!(of("t1_contrast"), ["cases t1_contrast"]);
        assert_eq!((of("flair"), of("")), (vec![], vec![]));
    }
    let made_for = Evaluation { kinds_without_cases: vec!["other".into()], ..flair_only() };
    let checks = checks(Some(&made_for), None, "", &GateRules::default());
    let cases = checks.iter().find(|check| check.name == "cases").unwrap();
    assert!(cases.words.contains("no case of other, t1_contrast"), "{}", cases.words);
}

#[test]
fn figures_that_tell_no_kinds_are_made_anew() {
    let before = Evaluation { kinds: Vec::new(), ..evaluation() };
    let now = evaluation();
    assert_eq!(refused_by(Some(&before), None), ["cases"]);
    assert_eq!(refused_by(Some(&now), Some(&before)), ["comparable"]);
    assert_eq!(outdated(Some(&before), None), [&before]);
    assert_eq!(outdated(Some(&before), Some(&before)), [&before, &before]);
    assert_eq!(outdated(Some(&now), Some(&before)), [&before]);
    assert_eq!(outdated(Some(&before), Some(&now)), [&before]);
    assert_eq!(outdated(Some(&now), None), [&now; 0]);
}

#[test]
fn a_version_serves_while_it_is_no_worse_than_chance_could_make_it() {
    let serving = evaluation();
    assert_eq!(refused_by(Some(&evaluation()), Some(&serving)), [""; 0]);
    assert_eq!(refused_by(Some(&evaluation()), None), [""; 0]);
    let nearly = Evaluation { dice_mean: 0.89, dice_high: 0.90, ..evaluation() };
    assert_eq!(refused_by(Some(&nearly), Some(&serving)), [""; 0]);
}

#[test]
fn each_check_refuses_by_itself() {
    let serving = evaluation();
    for (worse, by) in [
        (Evaluation { dice_mean: 0.85, dice_high: 0.899, ..evaluation() }, "dice"),
        (Evaluation { far: 0.1, far_low: 0.021, ..evaluation() }, "far"),
        (Evaluation { frr: 0.1, frr_low: 0.031, ..evaluation() }, "frr"),
        (Evaluation { golden_dice: Some(0.97), ..evaluation() }, "golden"),
        (Evaluation { golden_dice: None, ..evaluation() }, "golden"),
        (Evaluation { golden_dice: Some(f64::NAN), ..evaluation() }, "golden"),
        (Evaluation { ms_per_slice: 1000.1, ..evaluation() }, "latency"),
        (Evaluation { gate_set: "phantoms-2".into(), ..evaluation() }, "comparable"),
        (Evaluation { failure: "no such tensor".into(), ..evaluation() }, "evaluated"),
    ] {
        assert_eq!(refused_by(Some(&worse), Some(&serving)), [by]);
    }
    assert_eq!(refused_by(None, Some(&serving)), ["evaluated"]);
}

#[test]
fn what_serves_without_figures_is_nothing_to_be_better_than() {
    let failed = Evaluation { failure: "out of memory".into(), ..Evaluation::default() };
    assert_eq!(refused_by(Some(&evaluation()), Some(&failed)), ["comparable"]);
    let checks = checks(Some(&evaluation()), Some(&failed), "", &GateRules::default());
    assert!(checks.iter().all(|check| check.serving.is_none()), "{checks:?}");
    assert!(checks.iter().any(|check| check.words.contains("out of memory")), "{checks:?}");
}

#[test]
fn what_failed_or_is_of_another_gate_set_is_evaluated_anew() {
    let sound = evaluation();
    let failed = Evaluation { failure: "out of memory".into(), ..evaluation() };
    let other = Evaluation { gate_set: "phantoms-2".into(), ..evaluation() };
    assert_eq!(outdated(Some(&sound), Some(&sound)), [&sound; 0]);
    assert_eq!(outdated(None, Some(&sound)), [&sound; 0]);
    assert_eq!(outdated(Some(&failed), Some(&sound)), [&failed]);
    assert_eq!(outdated(Some(&sound), Some(&failed)), [&failed]);
    assert_eq!(outdated(Some(&other), Some(&sound)), [&other, &sound]);
}
